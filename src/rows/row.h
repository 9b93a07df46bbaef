/*
 * row.h
 *		One row of clari_export_rows().
 */
#ifndef CLARI_ROW_H
#define CLARI_ROW_H

#include "jsonb_reader.h"

/* The columns, in the order in which the function declares them. */
typedef enum RowColumn
{
	ROW_TIME_PERIOD,
	ROW_WEEK,
	ROW_TIME_FRAME_ID,
	ROW_WEEK_START,
	ROW_WEEK_END,
	ROW_USER_ID,
	ROW_USER_NAME,
	ROW_USER_EMAIL,
	ROW_CRM_USER_ID,
	ROW_ROLE,
	ROW_PARENT_ROLE,
	ROW_FIELD_ID,
	ROW_FIELD_NAME,
	ROW_FIELD_TYPE,
	ROW_VALUE,
	ROW_VALUE_TEXT,
	ROW_CURRENCY,
	ROW_IS_UPDATED,
	ROW_UPDATED_BY,
	ROW_UPDATED_AT,
	ROW_ROLE_ID,
	ROW_PARENT_ROLE_ID,
	ROW_SCOPE_ID,
	ROW_COLUMNS
} RowColumn;

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

/* Make every column null. */
extern void row_clear(Row *row);

/* Set a column; without a text it becomes null. */
extern void row_set(Row *row, RowColumn column, Datum value);
extern void row_set_text(Row *row, RowColumn column, Slice text);

/* Set value and value_text (and currency, if the text names one). */
extern void row_set_value(Row *row, const JsonbValue *value);

#endif							/* CLARI_ROW_H */
