/*
 * history_store.h
 *		The tables of the history: every statement on them, but for the weeks.
 *
 * Of a forecast there are parts: a time frame and a field type of a series.
 * Rows belong to parts, and a snapshot covers some of them.
 */
#ifndef CLARI_HISTORY_STORE_H
#define CLARI_HISTORY_STORE_H

#include "storage/itemptr.h"
#include "utils/date.h"

#include "rows/history_snapshot.h"
#include "rows/history_values.h"

/* A snapshot's place in the order. */
typedef struct HistoryPosition
{
	TimestampTz at;				/* DT_NOEND for after all */
	int64		request_id;
} HistoryPosition;

/* A snapshot that says nothing of what it lacks. */
typedef struct TruncatedSnapshot
{
	HistoryPosition position;
	int			n_keys;
	HistoryKey *keys;			/* what it shows, in order */
} TruncatedSnapshot;

typedef struct StoredPart
{
	int32		id;
	text	   *names[3];		/* time period, time frame, field type; NULL for none */
} StoredPart;

typedef struct HistoryStore HistoryStore;

extern int	history_position_compare(HistoryPosition a, HistoryPosition b);
extern int	history_key_compare(const void *a, const void *b);

/*
 * Begin to add a snapshot: lock its forecast, and find what there is of it.
 * NULL if the snapshot was added before. Everything is in the current memory
 * context, in which SPI is connected.
 */
extern HistoryStore *history_store_open(Oid schema, const HistorySnapshot *snapshot);

/* The parts of the snapshot's series, and one more. */
extern StoredPart *history_store_parts(HistoryStore *store, int *n);
extern int32 history_store_add_part(HistoryStore *store, text *const names[3]);

/* Whether there are later snapshots of the forecast, and those of them that were truncated. */
extern bool history_store_has_later(const HistoryStore *store);
extern TruncatedSnapshot *history_store_truncated(HistoryStore *store, int *n);

/* The first later snapshot, of those that were not truncated, which covers a part. */
extern HistoryPosition history_store_next(HistoryStore *store, int32 part_id);

/*
 * Visit a part's rows that were valid at the snapshot's time or later. The
 * values may be gone after the visit.
 */
typedef void (*HistoryVisitor) (ItemPointer row, const Datum *values, const bool *nulls, void *argument);
extern void history_store_visit(HistoryStore *store, const StoredPart *part, HistoryVisitor visit, void *argument);

/* ----------
 * Changes: they are written sooner or later, at the latest by history_store_finish()
 * ----------
 */

/* A new row; the series' columns are filled in. */
extern void history_store_insert(HistoryStore *store, Datum *values, bool *nulls);

/* The snapshot ends a row; began_now: that began at the very time, and is gone. */
extern void history_store_end_row(HistoryStore *store, ItemPointer row, bool began_now);

/* A row begins with the snapshot, and not later. */
extern void history_store_begin_earlier(HistoryStore *store, ItemPointer row);

/* What a row shows goes on after another position. */
extern void history_store_continue(HistoryStore *store, ItemPointer row, HistoryPosition from);

/* A time frame of the forecast, and its first day where that is known. */
extern void history_store_see_time_frame(HistoryStore *store, Slice period, Slice time_frame, const DateADT *start);

/* The parts that the snapshot covers; keys: what it shows, if it is truncated. */
extern void history_store_finish(HistoryStore *store, const int32 *parts, int n_parts,
								 const HistoryKey *keys, int n_keys);

#endif							/* CLARI_HISTORY_STORE_H */
