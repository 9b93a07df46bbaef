/*
 * snapshots.h
 *		Every SQL statement on the snapshot table, and nowhere else.
 *
 * The functions run inside a transaction that the caller opened with
 * queue_begin(). An id is that of the request.
 */
#ifndef CLARI_SNAPSHOTS_H
#define CLARI_SNAPSHOTS_H

#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "core/export.h"
#include "queue/scope.h"
#include "rows/history_snapshot.h"

/* The result of a request's export, with what the request says of itself. */
extern void snapshot_insert(int64 id, const Export *export, Jsonb *result);

/* A result from elsewhere, of a request that was imported. */
extern void snapshot_import(int64 id, TimestampTz exported_at, Jsonb *result);

/* The result, or NULL. */
extern Jsonb *snapshot_result(int64 id);

/* All of a forecast's snapshot but the result; false if there is none. */
extern bool snapshot_describe(int64 id, HistorySnapshot *snapshot);

/* Whose it is; InvalidOid if there is none. */
extern Oid	snapshot_owner(int64 id);

/*
 * Lock one, or those in scope that were stored longer ago than the retention
 * and that nobody else has locked. Returns their ids, a bigint[].
 */
extern Datum snapshot_lock(int64 id);
extern Datum snapshots_lock_old(const QueueScope *scope, Duration retention);

/* Delete them by their ids, a bigint[]. Returns how many there were. */
extern uint64 snapshots_delete(Datum ids);

#endif							/* CLARI_SNAPSHOTS_H */
