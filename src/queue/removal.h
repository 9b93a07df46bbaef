/*
 * removal.h
 *		Removing requests and snapshots: what is old, and what somebody deletes.
 *
 * What the foreign key of another table refers to stays, whatever its ON DELETE
 * says: the queue runs nobody's actions.
 */
#ifndef CLARI_REMOVAL_H
#define CLARI_REMOVAL_H

#include "queue/scope.h"

/*
 * Remove what clari_export.request_retention and snapshot_retention no longer
 * keep, in scope, and durations that no plan uses. What cannot be removed is
 * left for the next time, and the log says so.
 */
extern void removal_of_old(const QueueScope *scope);

/*
 * Remove a finished request, or a snapshot. Returns whether it was there. Raises
 * 23503 if a foreign key refers to it. In a transaction of the queue.
 */
extern bool removal_of_request(int64 id);
extern bool removal_of_snapshot(int64 request_id);

#endif							/* CLARI_REMOVAL_H */
