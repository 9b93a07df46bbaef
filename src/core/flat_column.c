/*
 * flat_column.c
 *		The columns of Clari's CSV, which its flat form has too.
 */
#include "core/flat_column.h"

#include <stdbool.h>

static const struct
{
	const char *text;
	size_t		length;
}			headers[FLAT_COLUMNS] =
{
#define HEADER(text) {text, sizeof(text) - 1}
	[FLAT_USER] = HEADER("User"),
	[FLAT_EMAIL] = HEADER("Email"),
	[FLAT_CRM_USER_ID] = HEADER("CRM User ID"),
	[FLAT_ROLE] = HEADER("Role"),
	[FLAT_PARENT_ROLE] = HEADER("Parent Role"),
	[FLAT_TIMEFRAME] = HEADER("Timeframe"),
	[FLAT_FIELD] = HEADER("Field"),
	[FLAT_WEEK] = HEADER("Week"),
	[FLAT_START_DAY] = HEADER("Start Day"),
	[FLAT_END_DAY] = HEADER("End Day"),
	[FLAT_DATA_TYPE] = HEADER("Data Type"),
	[FLAT_DATA_VALUE] = HEADER("Data Value"),
#undef HEADER
};

const char *
flat_column_header(FlatColumn column)
{
	return headers[column].text;
}

static char
lower_case(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

static bool
is_same(const char *a, const char *b, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (lower_case(a[i]) != lower_case(b[i]))
			return false;
	return true;
}

/* Lengths are compared first: this looks at every key of every row. */
FlatColumn
flat_column_find(const char *header, size_t length)
{
	FlatColumn	column = 0;

	while (column < FLAT_COLUMNS &&
		   !(headers[column].length == length && is_same(headers[column].text, header, length)))
		column++;
	return column;
}
