/*
 * flat_rows.h
 *		The rows of a result in Clari's form 2: flat rows, with the columns of Clari's CSV.
 */
#ifndef CLARI_FLAT_ROWS_H
#define CLARI_FLAT_ROWS_H

#include "rows/row.h"

/* Put a row for each value. */
extern void flat_rows_put_rows(Row *row, JsonbContainer *result);

/* Visit the time period of each row, under the name that its rows give it. */
extern void flat_rows_visit_periods(JsonbContainer *result, PeriodVisitor visit, void *argument);

#endif							/* CLARI_FLAT_ROWS_H */
