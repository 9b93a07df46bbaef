/*
 * history_values.c
 *		A row of a result as a row of clari_export_history.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "rows/history_values.h"

/* An entry of an index has 2,704 bytes; none of ours has more than five of these. */
#define MAX_KEY_LENGTH	256
#define HASH_LENGTH		17		/* a hyphen, and 64 bits in hexadecimal */

static const struct
{
	HistoryColumn column;
	RowColumn	row_column;
}			copied[] =
{
	{HISTORY_TIME_PERIOD, ROW_TIME_PERIOD},
	{HISTORY_TIME_FRAME_ID, ROW_TIME_FRAME_ID},
	{HISTORY_USER_ID, ROW_USER_ID},
	{HISTORY_FIELD_ID, ROW_FIELD_ID},
	{HISTORY_FIELD_TYPE, ROW_FIELD_TYPE},
	{HISTORY_WEEK_START, ROW_WEEK_START},
	{HISTORY_WEEK_END, ROW_WEEK_END},
	{HISTORY_USER_NAME, ROW_USER_NAME},
	{HISTORY_USER_EMAIL, ROW_USER_EMAIL},
	{HISTORY_CRM_USER_ID, ROW_CRM_USER_ID},
	{HISTORY_ROLE, ROW_ROLE},
	{HISTORY_ROLE_ID, ROW_ROLE_ID},
	{HISTORY_PARENT_ROLE, ROW_PARENT_ROLE},
	{HISTORY_PARENT_ROLE_ID, ROW_PARENT_ROLE_ID},
	{HISTORY_FIELD_NAME, ROW_FIELD_NAME},
	{HISTORY_VALUE, ROW_VALUE},
	{HISTORY_VALUE_TEXT, ROW_VALUE_TEXT},
	{HISTORY_VALUE_CURRENCY, ROW_CURRENCY},
	{HISTORY_IS_UPDATED, ROW_IS_UPDATED},
	{HISTORY_UPDATED_BY, ROW_UPDATED_BY},
	{HISTORY_UPDATED_AT, ROW_UPDATED_AT},
};

/* What indexes have. */
static const HistoryColumn bounded[] = {
	HISTORY_TIME_PERIOD, HISTORY_TIME_FRAME_ID, HISTORY_USER_ID, HISTORY_FIELD_ID, HISTORY_FIELD_TYPE,
	HISTORY_USER_EMAIL,
};

/* What stands for a person without a user id; one of them, the first that is there. */
static const HistoryColumn persons[] = {HISTORY_CRM_USER_ID, HISTORY_USER_EMAIL, HISTORY_USER_NAME};

/* ----------
 * Hashes
 * ----------
 */

static uint64
hash_text(Datum value, uint64 seed)
{
	text	   *whole = DatumGetTextPP(value);

	return hash_bytes_extended((const unsigned char *) VARDATA_ANY(whole), (int) VARSIZE_ANY_EXHDR(whole), seed);
}

/* Equal values have equal hashes, whatever way they are written: 1.0 and 1.00. */
static uint64
hash_column(HistoryColumn column, Datum value, uint64 seed)
{
	int64		number;

	switch (column)
	{
		case HISTORY_WEEK_START:
		case HISTORY_WEEK_END:
			number = DatumGetDateADT(value);
			break;
		case HISTORY_IS_UPDATED:
			number = DatumGetBool(value);
			break;
		case HISTORY_UPDATED_AT:
			number = DatumGetTimestampTz(value);
			break;
		case HISTORY_VALUE:
			return DatumGetUInt64(DirectFunctionCall2(hash_numeric_extended, value, UInt64GetDatum(seed)));
		default:
			return hash_text(value, seed);
	}
	return hash_bytes_extended((const unsigned char *) &number, sizeof(number), seed);
}

static uint64
hash_columns(const Datum *values, const bool *nulls, HistoryColumn first, HistoryColumn last, uint64 seed)
{
	uint64		hash = seed;

	for (HistoryColumn column = first; column <= last; column++)
		hash = nulls[column] ? hash_combine64(hash, (uint64) column) :
			hash_column(column, values[column], hash + (uint64) column);
	return hash;
}

HistoryKey
history_values_key(const Datum *values, const bool *nulls, int32 part_id)
{
	HistoryKey	key;

	StaticAssertStmt(HISTORY_FIELD_ID == HISTORY_USER_ID + 1, "the key's columns are side by side");
	key.words[0] = hash_columns(values, nulls, HISTORY_USER_ID, HISTORY_FIELD_ID, (uint64) part_id);
	key.words[1] = hash_columns(values, nulls, HISTORY_USER_ID, HISTORY_FIELD_ID, ~(uint64) part_id);
	return key;
}

uint64
history_values_content(const Datum *values, const bool *nulls)
{
	return hash_columns(values, nulls, HISTORY_WEEK_START, HISTORY_UPDATED_AT, 0);
}

/* ----------
 * Columns
 * ----------
 */

text *
history_bounded_text(text *whole)
{
	char	   *data = VARDATA_ANY(whole);
	int			length = (int) VARSIZE_ANY_EXHDR(whole);
	int			kept;
	char	   *cut;

	if (length <= MAX_KEY_LENGTH)
		return whole;
	kept = pg_mbcliplen(data, length, MAX_KEY_LENGTH - HASH_LENGTH);
	cut = psprintf("%.*s-%016llx", kept, data,
				   (unsigned long long) hash_bytes_extended((const unsigned char *) data, length, 0));
	return cstring_to_text(cut);
}

static char *
text_of(const Datum *values, const bool *nulls, HistoryColumn column)
{
	return nulls[column] ? NULL : TextDatumGetCString(values[column]);
}

/* Clari's own user ids are a person and a role, too, with a colon between them. */
static void
set_user_id(Datum *values, bool *nulls)
{
	char	   *role = text_of(values, nulls, HISTORY_ROLE);
	char	   *person = NULL;

	for (int i = 0; person == NULL && i < (int) lengthof(persons); i++)
		person = text_of(values, nulls, persons[i]);
	if (person == NULL && role == NULL)
		return;
	values[HISTORY_USER_ID] = CStringGetTextDatum(psprintf("%s%s%s", person != NULL ? person : "",
														   role != NULL ? ":" : "", role != NULL ? role : ""));
	nulls[HISTORY_USER_ID] = false;
}

static void
replace_null(Datum *values, bool *nulls, HistoryColumn column, Datum value, bool is_null)
{
	if (!nulls[column])
		return;
	values[column] = value;
	nulls[column] = is_null;
}

void
history_values_set(Datum *values, bool *nulls, const Row *row, text *time_period)
{
	for (int i = 0; i < (int) lengthof(copied); i++)
	{
		values[copied[i].column] = row->values[copied[i].row_column];
		nulls[copied[i].column] = row->nulls[copied[i].row_column];
	}
	replace_null(values, nulls, HISTORY_TIME_PERIOD, PointerGetDatum(time_period), time_period == NULL);
	replace_null(values, nulls, HISTORY_FIELD_ID, values[HISTORY_FIELD_NAME], nulls[HISTORY_FIELD_NAME]);
	if (nulls[HISTORY_USER_ID])
		set_user_id(values, nulls);
	for (int i = 0; i < (int) lengthof(bounded); i++)
		if (!nulls[bounded[i]])
			values[bounded[i]] = PointerGetDatum(history_bounded_text(DatumGetTextPP(values[bounded[i]])));
}
