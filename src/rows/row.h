/*
 * row.h
 *		One row of clari_export_rows().
 */
#ifndef CLARI_ROW_H
#define CLARI_ROW_H

#include "jsonb_reader.h"

/*
 * The columns of clari_export_rows(), by their names in SQL and in its order:
 * the function that is declared otherwise is that of another version.
 */
#define ROW_COLUMN_LIST(COLUMN) \
	COLUMN(TIME_PERIOD, time_period) \
	COLUMN(WEEK, week) \
	COLUMN(TIME_FRAME_ID, time_frame_id) \
	COLUMN(WEEK_START, week_start) \
	COLUMN(WEEK_END, week_end) \
	COLUMN(USER_ID, user_id) \
	COLUMN(USER_NAME, user_name) \
	COLUMN(USER_EMAIL, user_email) \
	COLUMN(CRM_USER_ID, crm_user_id) \
	COLUMN(ROLE, role) \
	COLUMN(PARENT_ROLE, parent_role) \
	COLUMN(FIELD_ID, field_id) \
	COLUMN(FIELD_NAME, field_name) \
	COLUMN(FIELD_TYPE, field_type) \
	COLUMN(VALUE, value) \
	COLUMN(VALUE_TEXT, value_text) \
	COLUMN(CURRENCY, currency) \
	COLUMN(IS_UPDATED, is_updated) \
	COLUMN(UPDATED_BY, updated_by) \
	COLUMN(UPDATED_AT, updated_at) \
	COLUMN(ROLE_ID, role_id) \
	COLUMN(PARENT_ROLE_ID, parent_role_id) \
	COLUMN(SCOPE_ID, scope_id)

#define ROW_SYMBOL(symbol, name)	ROW_##symbol,
typedef enum RowColumn
{
	ROW_COLUMN_LIST(ROW_SYMBOL)
	ROW_COLUMNS
} RowColumn;
#undef ROW_SYMBOL

typedef struct Row
{
	Datum		values[ROW_COLUMNS];
	bool		nulls[ROW_COLUMNS];

	/* What becomes of it; what it allocates lives until the next row. */
	void		(*put) (struct Row *row);
	/* A time frame that the result knows, before any row; NULL if that does not matter. */
	void		(*see_time_frame) (struct Row *row, Slice period, Slice time_frame, const int32 *start);
	void	   *argument;		/* of both */
} Row;

/* The name of a time period, or no text; it may be gone after the visit. */
typedef void (*PeriodVisitor) (Slice period, void *argument);

/* A column's name in SQL. */
extern const char *row_column_name(RowColumn column);

/* Make every column null. */
extern void row_clear(Row *row);

/* Set a column; without a text it becomes null. */
extern void row_set(Row *row, RowColumn column, Datum value);
extern void row_set_text(Row *row, RowColumn column, Slice text);

/* Set value and value_text (and currency, if the text names one). */
extern void row_set_value(Row *row, const JsonbValue *value);

#endif							/* CLARI_ROW_H */
