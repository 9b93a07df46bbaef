/*
 * entries.h
 *		The rows of a result in Clari's form 1: entries, and four arrays of what they refer to.
 */
#ifndef CLARI_ENTRIES_H
#define CLARI_ENTRIES_H

#include "rows/row.h"

#define ENTRIES			"entries"

/* Put a row for each value. */
extern void entries_put_rows(Row *row, JsonbContainer *result);

/*
 * Visit the time periods of the entries, each as often as it comes; where the
 * result knows a single one, that is visited once.
 */
extern void entries_visit_periods(JsonbContainer *result, PeriodVisitor visit, void *argument);

#endif							/* CLARI_ENTRIES_H */
