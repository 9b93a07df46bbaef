/*
 * entries.c
 *		The rows of a result in Clari's form 1: entries, and four arrays of what
 *		they refer to.
 *
 * A first look at the entries finds the weeks, for a week's number depends on
 * the others; a second one gives the rows out. An entry has a value under each
 * key that ends in Value or Total.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "rows/dictionary.h"
#include "rows/entries.h"
#include "rows/forecast_values.h"
#include "rows/time_frames.h"

#define FORECAST_VALUE		"forecastValue"
#define ADJUSTMENT_VALUE	"adjustmentValue"
#define FORECAST_TYPE		"FORECAST"

/* An id, and the columns that it stands for. */
static const char *const user_names[] = {
	"userId", "name", "email", "crmId", "hierarchyName", "parentHierarchyName",
	"hierarchyId", "parentHierarchyId", "scopeId",
};
static const RowColumn user_columns[] = {
	ROW_USER_ID, ROW_USER_NAME, ROW_USER_EMAIL, ROW_CRM_USER_ID, ROW_ROLE, ROW_PARENT_ROLE,
	ROW_ROLE_ID, ROW_PARENT_ROLE_ID, ROW_SCOPE_ID,
};

/* What the keys of other values say, whatever the field's own type. */
static const char *const types_of_keys[] = {"QUOTA", "ADJUSTMENT", "AGGREGATION_TOTAL", "CRM_TOTAL", "CRM_CLOSED"};

static const char *const field_names[] = {"fieldId", "fieldName", "fieldType"};
static const RowColumn field_columns[] = {ROW_FIELD_ID, ROW_FIELD_NAME, ROW_FIELD_TYPE};

typedef struct NamedValue
{
	Slice		name;
	JsonbValue	value;
} NamedValue;

/* The members of one entry. */
typedef struct Entry
{
	JsonbValue	user_id;
	JsonbValue	field_id;
	JsonbValue	period;
	JsonbValue	time_frame;
	JsonbValue	currency;
	JsonbValue	is_updated;
	JsonbValue	updated_by;
	JsonbValue	updated_on;
	JsonbValue	adjusted_by;
	JsonbValue	adjusted_on;
	NamedValue *values;
	int			n_values;
	int			values_allocated;
} Entry;

typedef struct EntryReader
{
	Row		   *row;
	Dictionary *users;
	Dictionary *fields;
	Weeks	   *weeks;
	MemoryContext context;
	Entry		entry;			/* the one being read */
} EntryReader;

/* ----------
 * Reading an entry
 * ----------
 */

/* Lengths are compared first: this looks at every key of every entry. */
static const struct
{
	const char *name;
	int			length;
	size_t		offset;
}			members[] =
{
#define MEMBER(name, field) {name, sizeof(name) - 1, offsetof(Entry, field)}
	MEMBER("userId", user_id),
	MEMBER("fieldId", field_id),
	MEMBER("timePeriodId", period),
	MEMBER("timeFrameId", time_frame),
	MEMBER("currency", currency),
	MEMBER("isUpdated", is_updated),
	MEMBER("updatedBy", updated_by),
	MEMBER("updatedOn", updated_on),
	MEMBER("adjustedBy", adjusted_by),
	MEMBER("adjustedOn", adjusted_on),
#undef MEMBER
};

static JsonbValue *
member_of_entry(Entry *entry, Slice name)
{
	for (int i = 0; i < (int) lengthof(members); i++)
		if (name.length == members[i].length &&
			memcmp(name.text, members[i].name, (size_t) name.length) == 0)
			return (JsonbValue *) ((char *) entry + members[i].offset);
	return NULL;
}

/* Both ends have five letters. */
static bool
is_value_key(Slice name)
{
	const char *end = name.text + name.length - 5;

	return name.length >= 5 && (memcmp(end, "Value", 5) == 0 || memcmp(end, "Total", 5) == 0);
}

static NamedValue *
add_value(EntryReader *reader)
{
	Entry	   *entry = &reader->entry;

	if (entry->n_values == entry->values_allocated)
	{
		int			wanted = entry->values_allocated * 2 + 4;
		Size		size = (Size) wanted * sizeof(NamedValue);

		entry->values = entry->values == NULL ?
			MemoryContextAlloc(reader->context, size) : repalloc_huge(entry->values, size);
		entry->values_allocated = wanted;
	}
	return &entry->values[entry->n_values++];
}

static void
clear_entry(Entry *entry)
{
	entry->user_id.type = entry->field_id.type = entry->period.type = entry->time_frame.type =
		entry->currency.type = entry->is_updated.type = entry->updated_by.type = entry->updated_on.type =
		entry->adjusted_by.type = entry->adjusted_on.type = jbvNull;
	entry->n_values = 0;
}

static void
read_entry(EntryReader *reader, JsonbContainer *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	item;
	JsonbValue	ignored;

	clear_entry(&reader->entry);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		Slice		name;
		JsonbValue *target;

		CHECK_FOR_INTERRUPTS();
		if (token != WJB_KEY)
			continue;
		name = jsonb_scalar(&item);
		target = member_of_entry(&reader->entry, name);
		if (target == NULL && is_value_key(name))
		{
			NamedValue *named = add_value(reader);

			named->name = name;
			target = &named->value;
		}
		JsonbIteratorNext(&iterator, target != NULL ? target : &ignored, true);
	}
}

/* ----------
 * Putting its rows
 * ----------
 */

/* What an id stands for; the id alone, if nothing tells. */
static void
set_reference(Row *row, Dictionary *dictionary, Slice id, const RowColumn *columns, int n)
{
	text	  **texts = dictionary_find(dictionary, id);

	if (texts == NULL)
		row_set_text(row, columns[0], id);
	for (int i = 0; texts != NULL && i < n; i++)
		if (texts[i] != NULL)
			row_set(row, columns[i], PointerGetDatum(texts[i]));
}

static void
set_week(Row *row, const Week *week)
{
	if (week == NULL)
		return;
	row_set(row, ROW_WEEK, Int32GetDatum(week->number));
	if (week->has_start)
		row_set(row, ROW_WEEK_START, DateADTGetDatum(week->start));
	if (week->has_end)
		row_set(row, ROW_WEEK_END, DateADTGetDatum(week->end));
}

/* {"code", "symbol"}, or the code alone. */
static Slice
currency_code(const JsonbValue *currency)
{
	return jsonb_is_container(currency) ?
		jsonb_member_scalar(currency->val.binary.data, "code") : jsonb_scalar(currency);
}

static void
set_update_time(Row *row, Slice text)
{
	TimestampTz moment = 0;

	row->nulls[ROW_UPDATED_AT] = !read_moment(text, &moment);
	row->values[ROW_UPDATED_AT] = TimestampTzGetDatum(moment);
}

static void
set_update(Row *row, const Entry *entry)
{
	bool		is_updated;

	if (read_answer(jsonb_scalar(&entry->is_updated), &is_updated))
		row_set(row, ROW_IS_UPDATED, BoolGetDatum(is_updated));
	row_set_text(row, ROW_UPDATED_BY, jsonb_scalar(&entry->updated_by));
	set_update_time(row, jsonb_scalar(&entry->updated_on));
}

static void
set_all_but_value(EntryReader *reader)
{
	Row		   *row = reader->row;
	const Entry *entry = &reader->entry;
	Slice		period = jsonb_scalar(&entry->period);
	Slice		time_frame = jsonb_scalar(&entry->time_frame);

	row_clear(row);
	row_set_text(row, ROW_TIME_PERIOD, period);
	row_set_text(row, ROW_TIME_FRAME_ID, time_frame);
	set_week(row, weeks_find(reader->weeks, period, time_frame));
	set_reference(row, reader->users, jsonb_scalar(&entry->user_id), user_columns, lengthof(user_columns));
	set_reference(row, reader->fields, jsonb_scalar(&entry->field_id), field_columns, lengthof(field_columns));
	row_set_text(row, ROW_CURRENCY, currency_code(&entry->currency));
	set_update(row, entry);
}

static bool
field_is_forecast(const Row *row)
{
	Slice		type;

	if (row->nulls[ROW_FIELD_TYPE])
		return false;
	type.text = VARDATA_ANY(DatumGetPointer(row->values[ROW_FIELD_TYPE]));
	type.length = (int) VARSIZE_ANY_EXHDR(DatumGetPointer(row->values[ROW_FIELD_TYPE]));
	return slice_is(type, FORECAST_TYPE);
}

static bool
is_type_of_key(const char *type)
{
	for (int i = 0; i < (int) lengthof(types_of_keys); i++)
		if (strcmp(type, types_of_keys[i]) == 0)
			return true;
	return false;
}

/*
 * The field's own type is that of its forecast value. The others of an entry
 * are told apart by the types in their keys; one alone has the field's type,
 * unless that says FORECAST and the key knows better.
 */
static void
set_type_of_value(Row *row, Slice name, bool is_alone)
{
	char		type[FIELD_TYPE_SIZE];

	if (slice_is(name, FORECAST_VALUE))
		return;
	field_type_write(name.text, (size_t) name.length, type);
	if (is_alone && !(field_is_forecast(row) && is_type_of_key(type)))
		return;
	row_set(row, ROW_FIELD_TYPE, CStringGetTextDatum(type));
}

/* Who adjusted, where the entry tells; the entry's update is of its forecast. */
static void
set_adjustment(Row *row, const Entry *entry)
{
	Slice		by = jsonb_scalar(&entry->adjusted_by);
	Slice		on = jsonb_scalar(&entry->adjusted_on);

	if (by.text == NULL && on.text == NULL)
		return;
	row_set_text(row, ROW_UPDATED_BY, by);
	set_update_time(row, on);
}

static void
put_value(EntryReader *reader, const NamedValue *named)
{
	Row		   *row = reader->row;
	const Entry *entry = &reader->entry;
	Datum		type = row->values[ROW_FIELD_TYPE];
	bool		type_is_null = row->nulls[ROW_FIELD_TYPE];
	bool		is_adjustment = slice_is(named->name, ADJUSTMENT_VALUE);

	set_type_of_value(row, named->name, entry->n_values == 1);
	if (is_adjustment)
		set_adjustment(row, entry);
	row_set_value(row, &named->value);
	row->put(row);
	row->values[ROW_FIELD_TYPE] = type;
	row->nulls[ROW_FIELD_TYPE] = type_is_null;
	if (is_adjustment)
		set_update(row, entry);
}

static void
put_entry(JsonbContainer *object, void *argument)
{
	EntryReader *reader = argument;

	read_entry(reader, object);
	set_all_but_value(reader);
	if (reader->entry.n_values == 0)
		reader->row->put(reader->row);
	for (int i = 0; i < reader->entry.n_values; i++)
	{
		CHECK_FOR_INTERRUPTS();
		put_value(reader, &reader->entry.values[i]);
	}
}

/* ----------
 * The whole result
 * ----------
 */

static void
add_week_of_entry(JsonbContainer *object, void *argument)
{
	weeks_add(argument, jsonb_member_scalar(object, "timePeriodId"), jsonb_member_scalar(object, "timeFrameId"));
}

static void
show_week(Row *row, const Week *week)
{
	if (row->see_time_frame != NULL)
		row->see_time_frame(row, week->key.period, week->key.time_frame, week->has_start ? &week->start : NULL);
}

static Weeks *
read_weeks(Row *row, JsonbContainer *result, JsonbContainer *entries)
{
	Weeks	   *weeks = weeks_make();
	TimeFrames *frames = time_frames_read(result);
	Week	  **list;
	int			n;

	time_frames_add_weeks(frames, weeks);
	jsonb_visit_objects(entries, add_week_of_entry, weeks);
	list = weeks_number(weeks, &n);
	for (int i = 0; i < n; i++)
	{
		time_frames_date_week(frames, list[i]);
		show_week(row, list[i]);
	}
	return weeks;
}

void
entries_put_rows(Row *row, JsonbContainer *result)
{
	JsonbContainer *entries = jsonb_member_array(result, ENTRIES);
	EntryReader reader = {.row = row, .context = CurrentMemoryContext};

	if (entries == NULL)
		return;
	reader.users = dictionary_make(jsonb_member_array(result, "users"), user_names, lengthof(user_names));
	reader.fields = dictionary_make(jsonb_member_array(result, "fields"), field_names, lengthof(field_names));
	reader.weeks = read_weeks(row, result, entries);
	jsonb_visit_objects(entries, put_entry, &reader);
}

/* ----------
 * Its time periods
 * ----------
 */

typedef struct PeriodVisit
{
	PeriodVisitor visit;
	void	   *argument;
	MemoryContext context;
	int			n;				/* in timePeriods */
	Slice		only;
} PeriodVisit;

static void
count_period(JsonbContainer *object, void *argument)
{
	PeriodVisit *periods = argument;
	Slice		id = jsonb_member_scalar(object, "timePeriodId");

	if (id.text != NULL && periods->n++ == 0)
		periods->only = slice_copy(periods->context, id);
}

static void
visit_period_of_entry(JsonbContainer *object, void *argument)
{
	PeriodVisit *periods = argument;

	periods->visit(jsonb_member_scalar(object, "timePeriodId"), periods->argument);
}

void
entries_visit_periods(JsonbContainer *result, PeriodVisitor visit, void *argument)
{
	PeriodVisit periods = {.visit = visit, .argument = argument, .context = CurrentMemoryContext};
	JsonbContainer *entries = jsonb_member_array(result, ENTRIES);
	JsonbContainer *list = jsonb_member_array(result, "timePeriods");

	if (list != NULL)
		jsonb_visit_objects(list, count_period, &periods);
	if (periods.n == 1)
		visit(periods.only, argument);
	else if (entries != NULL)
		jsonb_visit_objects(entries, visit_period_of_entry, &periods);
}
