/*
 * history.h
 *		What a snapshot shows, in the history of its forecast.
 *
 * The table is what comes out when snapshots are added in the order of the
 * times they were exported at, and of their requests where these are equal; in
 * whatever order they are added.
 */
#ifndef CLARI_HISTORY_H
#define CLARI_HISTORY_H

#include "rows/history_snapshot.h"

/*
 * Add a snapshot, inside a transaction of the tables' owner; the schema is
 * theirs. Nobody else adds one of the same forecast until that ends. Returns
 * false if it was there already.
 */
extern bool history_add(Oid schema, const HistorySnapshot *snapshot);

#endif							/* CLARI_HISTORY_H */
