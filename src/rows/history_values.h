/*
 * history_values.h
 *		A row of a result as a row of clari_export_history.
 */
#ifndef CLARI_HISTORY_VALUES_H
#define CLARI_HISTORY_VALUES_H

#include "rows/row.h"

/* The columns of the table, in its order. */
typedef enum HistoryColumn
{
	HISTORY_SERVER,
	HISTORY_REQUESTED_BY,
	HISTORY_FORECAST_ID,
	HISTORY_SCOPE_ID,
	HISTORY_CURRENCY,
	HISTORY_TIME_PERIOD,
	HISTORY_TIME_FRAME_ID,
	HISTORY_USER_ID,
	HISTORY_FIELD_ID,
	HISTORY_FIELD_TYPE,
	HISTORY_WEEK_START,
	HISTORY_WEEK_END,
	HISTORY_USER_NAME,
	HISTORY_USER_EMAIL,
	HISTORY_CRM_USER_ID,
	HISTORY_ROLE,
	HISTORY_ROLE_ID,
	HISTORY_PARENT_ROLE,
	HISTORY_PARENT_ROLE_ID,
	HISTORY_FIELD_NAME,
	HISTORY_VALUE,
	HISTORY_VALUE_TEXT,
	HISTORY_VALUE_CURRENCY,
	HISTORY_IS_UPDATED,
	HISTORY_UPDATED_BY,
	HISTORY_UPDATED_AT,
	HISTORY_VALID_FROM,
	HISTORY_VALID_TO,
	HISTORY_REQUEST_ID,
	HISTORY_CLOSED_BY,
	HISTORY_PART_ID,
	HISTORY_COLUMNS
} HistoryColumn;

/* Stands for a value's key. Two that are alike are as likely as a machine's error. */
typedef struct HistoryKey
{
	uint64		words[2];
} HistoryKey;

/* Fill in the columns of the key and of what Clari shows with it; a row without a period is of the one given. */
extern void history_values_set(Datum *values, bool *nulls, const Row *row, text *time_period);

/* The key within a part: who and which field. */
extern HistoryKey history_values_key(const Datum *values, const bool *nulls, int32 part_id);

/* Stands for everything that Clari shows with the key. */
extern uint64 history_values_content(const Datum *values, const bool *nulls);

/* A text that an index can hold: a long one is cut, and ends in a hash of the whole. */
extern text *history_bounded_text(text *text);

#endif							/* CLARI_HISTORY_VALUES_H */
