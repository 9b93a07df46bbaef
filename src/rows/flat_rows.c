/*
 * flat_rows.c
 *		The rows of a result in Clari's form 2: flat rows, with the columns of
 *		Clari's CSV.
 *
 * Whether a value was updated is a row of its own here, "Forecast Updated". It
 * is given out like any other, and its answer also goes to the rows of the
 * values that it is about, so that both forms say the same about those.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "core/flat_column.h"
#include "core/period.h"
#include "rows/flat_rows.h"
#include "rows/forecast_values.h"
#include "rows/weeks.h"

#define FIRST_SIZE		64
#define UPDATE_TYPE		"UPDATED"
#define NOT_AVAILABLE	"N/A"

/* The columns of those that are a text and nothing else; ROW_COLUMNS for the others. */
static const RowColumn columns[FLAT_COLUMNS] =
{
	[FLAT_USER] = ROW_USER_NAME,
	[FLAT_EMAIL] = ROW_USER_EMAIL,
	[FLAT_CRM_USER_ID] = ROW_CRM_USER_ID,
	[FLAT_ROLE] = ROW_ROLE,
	[FLAT_PARENT_ROLE] = ROW_PARENT_ROLE,
	[FLAT_TIMEFRAME] = ROW_TIME_PERIOD,
	[FLAT_FIELD] = ROW_FIELD_NAME,
	[FLAT_WEEK] = ROW_TIME_FRAME_ID,
	[FLAT_START_DAY] = ROW_COLUMNS,
	[FLAT_END_DAY] = ROW_COLUMNS,
	[FLAT_DATA_TYPE] = ROW_COLUMNS,
	[FLAT_DATA_VALUE] = ROW_COLUMNS,
};

/* What must be the same for an answer to be about a value. */
static const FlatColumn identity[] = {
	FLAT_TIMEFRAME, FLAT_WEEK, FLAT_FIELD, FLAT_CRM_USER_ID, FLAT_EMAIL, FLAT_USER, FLAT_ROLE,
};

typedef struct Update
{
	Slice		identity;
	uint32		hash;
	char		status;
	bool		answer;
} Update;

#define SH_PREFIX updates
#define SH_ELEMENT_TYPE Update
#define SH_KEY_TYPE Slice
#define SH_KEY identity
#define SH_HASH_KEY(table, key) slice_hash(key)
#define SH_EQUAL(table, a, b) slice_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, element) (element)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct FlatRowReader
{
	Row		   *row;
	Weeks	   *weeks;
	updates_hash *updates;
	MemoryContext context;

	/* the flat row being read */
	JsonbValue	values[FLAT_COLUMNS];
	Slice		cells[FLAT_COLUMNS];
	char		period[PERIOD_TEXT_SIZE];
} FlatRowReader;

/* ----------
 * Reading a row
 * ----------
 */

/* CSV has no null: a blank text is one. */
static bool
is_blank(Slice text)
{
	int			i = 0;

	while (i < text.length && (text.text[i] == ' ' || text.text[i] == '\t'))
		i++;
	return i == text.length;
}

static bool
is_not_available(Slice text)
{
	return text.length == (int) strlen(NOT_AVAILABLE) && pg_strncasecmp(text.text, NOT_AVAILABLE, strlen(NOT_AVAILABLE)) == 0;
}

/* The text of a cell other than a value's; none where it says that there is none. */
static Slice
cell_text(const JsonbValue *value)
{
	Slice		text = jsonb_scalar(value);
	Slice		nothing = {NULL, 0};

	return text.text == NULL || is_blank(text) || is_not_available(text) ? nothing : text;
}

/* A quarter is named as form 1 names it; anything else as it is written. */
static Slice
period_text(FlatRowReader *reader, Slice timeframe)
{
	Slice		text = {reader->period, PERIOD_TEXT_SIZE - 1};
	Period		period;

	if (timeframe.text == NULL || !period_read_any(timeframe.text, (size_t) timeframe.length, &period))
		return timeframe;
	period_write(period, reader->period);
	return text;
}

static void
read_row(FlatRowReader *reader, JsonbContainer *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	item;
	JsonbValue	ignored;

	for (int i = 0; i < FLAT_COLUMNS; i++)
		reader->values[i].type = jbvNull;
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		Slice		header;
		FlatColumn	column;
		bool		is_known;

		CHECK_FOR_INTERRUPTS();
		if (token != WJB_KEY)
			continue;
		header = jsonb_scalar(&item);
		column = flat_column_find(header.text, (size_t) header.length);
		is_known = column < FLAT_COLUMNS && reader->values[column].type == jbvNull;
		JsonbIteratorNext(&iterator, is_known ? &reader->values[column] : &ignored, true);
	}
	for (int i = 0; i < FLAT_COLUMNS; i++)
		reader->cells[i] = cell_text(&reader->values[i]);
	reader->cells[FLAT_TIMEFRAME] = period_text(reader, reader->cells[FLAT_TIMEFRAME]);
}

/* ----------
 * Answers to whether a value was updated
 * ----------
 */

/* Cells with their lengths, so that no two identities are written alike. */
static Slice
write_identity(const FlatRowReader *reader, StringInfo text)
{
	Slice		slice;

	for (int i = 0; i < (int) lengthof(identity); i++)
	{
		Slice		cell = reader->cells[identity[i]];
		int			length = cell.text == NULL ? -1 : cell.length;

		appendBinaryStringInfo(text, (const char *) &length, sizeof(length));
		if (cell.text != NULL)
			appendBinaryStringInfo(text, cell.text, cell.length);
	}
	slice.text = text->data;
	slice.length = text->len;
	return slice;
}

static bool
is_update_type(const char *type, size_t length)
{
	size_t		end_length = strlen(UPDATE_TYPE);

	return length >= end_length && strcmp(type + length - end_length, UPDATE_TYPE) == 0;
}

static void
note_update(FlatRowReader *reader)
{
	Slice		data_type = reader->cells[FLAT_DATA_TYPE];
	char		type[FIELD_TYPE_SIZE];
	StringInfoData text;
	Slice		key;
	Update	   *update;
	bool		answer;
	bool		found;
	size_t		length;

	if (data_type.text == NULL)
		return;
	length = field_type_write(data_type.text, (size_t) data_type.length, type);
	if (!is_update_type(type, length) || !read_answer(reader->cells[FLAT_DATA_VALUE], &answer))
		return;
	initStringInfo(&text);
	key = write_identity(reader, &text);
	update = updates_insert(reader->updates, key, &found);
	update->answer = answer;
	if (!found)
		update->identity = slice_copy(reader->context, key);
}

static const Update *
find_update(FlatRowReader *reader)
{
	StringInfoData text;

	if (reader->updates->members == 0)
		return NULL;
	initStringInfo(&text);
	return updates_lookup(reader->updates, write_identity(reader, &text));
}

/* ----------
 * Putting rows
 * ----------
 */

static void
look_at_row(JsonbContainer *object, void *argument)
{
	FlatRowReader *reader = argument;

	read_row(reader, object);
	weeks_add(reader->weeks, reader->cells[FLAT_TIMEFRAME], reader->cells[FLAT_WEEK]);
	note_update(reader);
}

static void
set_week(FlatRowReader *reader)
{
	Row		   *row = reader->row;
	const Week *week = weeks_find(reader->weeks, reader->cells[FLAT_TIMEFRAME], reader->cells[FLAT_WEEK]);
	DateADT		date;

	if (week != NULL)
		row_set(row, ROW_WEEK, Int32GetDatum(week->number));
	if (read_date(reader->cells[FLAT_START_DAY], &date))
		row_set(row, ROW_WEEK_START, DateADTGetDatum(date));
	if (read_date(reader->cells[FLAT_END_DAY], &date))
		row_set(row, ROW_WEEK_END, DateADTGetDatum(date));
}

/* As form 1 writes it: CRM_TOTAL for "CRM Total". */
static void
set_field_type(Row *row, Slice data_type)
{
	char		type[FIELD_TYPE_SIZE];

	if (data_type.text == NULL)
		return;
	field_type_write(data_type.text, (size_t) data_type.length, type);
	row_set(row, ROW_FIELD_TYPE, CStringGetTextDatum(type));
}

static void
set_value(Row *row, const JsonbValue *value)
{
	if (value->type != jbvNull && !(value->type == jbvString && is_blank(jsonb_scalar(value))))
		row_set_value(row, value);
}

static void
put_flat_row(JsonbContainer *object, void *argument)
{
	FlatRowReader *reader = argument;
	Row		   *row = reader->row;
	const Update *update;

	read_row(reader, object);
	update = find_update(reader);
	row_clear(row);
	for (int i = 0; i < FLAT_COLUMNS; i++)
		if (columns[i] != ROW_COLUMNS)
			row_set_text(row, columns[i], reader->cells[i]);
	set_week(reader);
	set_field_type(row, reader->cells[FLAT_DATA_TYPE]);
	if (update != NULL)
		row_set(row, ROW_IS_UPDATED, BoolGetDatum(update->answer));
	set_value(row, &reader->values[FLAT_DATA_VALUE]);
	row->put(row);
}

void
flat_rows_put_rows(Row *row, JsonbContainer *result)
{
	FlatRowReader reader = {.row = row, .context = CurrentMemoryContext};
	int			n;

	reader.weeks = weeks_make();
	reader.updates = updates_create(CurrentMemoryContext, FIRST_SIZE, NULL);
	jsonb_visit_objects(result, look_at_row, &reader);
	weeks_number(reader.weeks, &n);
	jsonb_visit_objects(result, put_flat_row, &reader);
}

/* ----------
 * Their time periods
 * ----------
 */

typedef struct PeriodVisit
{
	FlatRowReader reader;
	PeriodVisitor visit;
	void	   *argument;
} PeriodVisit;

static void
visit_period_of_row(JsonbContainer *object, void *argument)
{
	PeriodVisit *periods = argument;

	read_row(&periods->reader, object);
	periods->visit(periods->reader.cells[FLAT_TIMEFRAME], periods->argument);
}

void
flat_rows_visit_periods(JsonbContainer *result, PeriodVisitor visit, void *argument)
{
	PeriodVisit periods = {.visit = visit, .argument = argument};

	jsonb_visit_objects(result, visit_period_of_row, &periods);
}
