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

#include "common/hashfn.h"
#include "utils/builtins.h"

#include "forecast_values.h"
#include "rows.h"
#include "weeks.h"

#define FIRST_SIZE		64
#define UPDATE_TYPE		"UPDATED"

/* What must be the same for an answer to be about a value. */
static const char *const identity_names[] = {
	"Timeframe", "Week", "Field", "CRM User ID", "Email", "User", "Role",
};

typedef struct Update
{
	JsonbContainer *row;		/* the "Forecast Updated" row */
	uint32		hash;
	char		status;
	bool		answer;
} Update;

static uint32 identity_hash(JsonbContainer *row);
static bool same_identity(JsonbContainer *a, JsonbContainer *b);

#define SH_PREFIX updates
#define SH_ELEMENT_TYPE Update
#define SH_KEY_TYPE JsonbContainer *
#define SH_KEY row
#define SH_HASH_KEY(table, key) identity_hash(key)
#define SH_EQUAL(table, a, b) same_identity(a, b)
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
} FlatRowReader;

/* Columns that are a text and nothing else. */
static const struct
{
	const char *name;
	RowColumn	column;
}			text_columns[] =
{
	{"Timeframe", ROW_TIME_PERIOD},
	{"Week", ROW_TIME_FRAME_ID},
	{"User", ROW_USER_NAME},
	{"Email", ROW_USER_EMAIL},
	{"CRM User ID", ROW_CRM_USER_ID},
	{"Role", ROW_ROLE},
	{"Parent Role", ROW_PARENT_ROLE},
	{"Field", ROW_FIELD_NAME},
};

/* CSV has no null: an empty text is one. */
static bool
is_empty_text(const JsonbValue *value)
{
	return value->type == jbvString && value->val.string.len == 0;
}

static Slice
cell(JsonbContainer *row, const char *name)
{
	JsonbValue	value;
	Slice		nothing = {NULL, 0};

	return jsonb_member(row, name, &value) && !is_empty_text(&value) ? jsonb_scalar(&value) : nothing;
}

/* ----------
 * Answers to whether a value was updated
 * ----------
 */

static uint32
identity_hash(JsonbContainer *row)
{
	uint32		hash = 0;

	for (int i = 0; i < (int) lengthof(identity_names); i++)
	{
		Slice		text = cell(row, identity_names[i]);

		if (text.text != NULL)
			hash = hash_combine(hash, slice_hash(text));
	}
	return hash;
}

static bool
same_identity(JsonbContainer *a, JsonbContainer *b)
{
	for (int i = 0; i < (int) lengthof(identity_names); i++)
		if (!slice_equal(cell(a, identity_names[i]), cell(b, identity_names[i])))
			return false;
	return true;
}

static bool
is_update_type(const char *type, size_t length)
{
	size_t		end_length = strlen(UPDATE_TYPE);

	return length >= end_length && strcmp(type + length - end_length, UPDATE_TYPE) == 0;
}

static void
note_update(FlatRowReader *reader, JsonbContainer *row)
{
	Slice		data_type = cell(row, "Data Type");
	char		type[FIELD_TYPE_SIZE];
	bool		answer;
	bool		found;
	size_t		length;

	if (data_type.text == NULL)
		return;
	length = field_type_write(data_type.text, (size_t) data_type.length, type);
	if (is_update_type(type, length) && read_answer(cell(row, "Data Value"), &answer))
		updates_insert(reader->updates, row, &found)->answer = answer;
}

/* ----------
 * Reading
 * ----------
 */

static void
look_at_row(JsonbContainer *row, void *argument)
{
	FlatRowReader *reader = argument;

	weeks_add(reader->weeks, cell(row, "Timeframe"), cell(row, "Week"));
	note_update(reader, row);
}

static void
set_week(Row *row, JsonbContainer *source, const Week *week)
{
	DateADT		date;

	if (week != NULL)
		row_set(row, ROW_WEEK, Int32GetDatum(week->number));
	if (read_date(cell(source, "Start Day"), &date))
		row_set(row, ROW_WEEK_START, DateADTGetDatum(date));
	if (read_date(cell(source, "End Day"), &date))
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
put_flat_row(JsonbContainer *source, void *argument)
{
	FlatRowReader *reader = argument;
	Row		   *row = reader->row;
	Update	   *update = reader->updates->members > 0 ? updates_lookup(reader->updates, source) : NULL;
	JsonbValue	value;

	row_clear(row);
	for (int i = 0; i < (int) lengthof(text_columns); i++)
		row_set_text(row, text_columns[i].column, cell(source, text_columns[i].name));
	set_week(row, source, weeks_find(reader->weeks, cell(source, "Timeframe"), cell(source, "Week")));
	set_field_type(row, cell(source, "Data Type"));
	if (update != NULL)
		row_set(row, ROW_IS_UPDATED, BoolGetDatum(update->answer));
	if (jsonb_member(source, "Data Value", &value) && !is_empty_text(&value))
		row_set_value(row, &value);
	row_put(row);
}

void
flat_rows_put_rows(Row *row, JsonbContainer *result)
{
	FlatRowReader reader = {.row = row};
	int			n;

	reader.weeks = weeks_make();
	reader.updates = updates_create(CurrentMemoryContext, FIRST_SIZE, NULL);
	jsonb_visit_objects(result, look_at_row, &reader);
	weeks_number(reader.weeks, &n);
	jsonb_visit_objects(result, put_flat_row, &reader);
}
