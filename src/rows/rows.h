/*
 * rows.h
 *		The result of a forecast export as rows.
 */
#ifndef CLARI_ROWS_H
#define CLARI_ROWS_H

#include "rows/row.h"

/* Put the rows of a result in either form; those of anything else are none. */
extern void rows_put(Row *row, Jsonb *result);

#endif							/* CLARI_ROWS_H */
