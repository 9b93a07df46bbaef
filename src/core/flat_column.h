/*
 * flat_column.h
 *		The columns of Clari's CSV, which its flat form has too.
 */
#ifndef CORE_FLAT_COLUMN_H
#define CORE_FLAT_COLUMN_H

#include <stddef.h>

typedef enum FlatColumn
{
	FLAT_USER,
	FLAT_EMAIL,
	FLAT_CRM_USER_ID,
	FLAT_ROLE,
	FLAT_PARENT_ROLE,
	FLAT_TIMEFRAME,
	FLAT_FIELD,
	FLAT_WEEK,
	FLAT_START_DAY,
	FLAT_END_DAY,
	FLAT_DATA_TYPE,
	FLAT_DATA_VALUE,
	FLAT_COLUMNS
} FlatColumn;

/* A column's header, as Clari writes it. */
extern const char *flat_column_header(FlatColumn column);

/* The column of a header, in any case; FLAT_COLUMNS if it is none of them. */
extern FlatColumn flat_column_find(const char *header, size_t length);

#endif							/* CORE_FLAT_COLUMN_H */
