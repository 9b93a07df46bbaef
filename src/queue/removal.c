/*
 * removal.c
 *		Removing requests and snapshots: what is old, and what somebody deletes.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "log.h"
#include "queue/durations.h"
#include "queue/foreign_keys.h"
#include "queue/queue.h"
#include "queue/removal.h"
#include "queue/snapshots.h"
#include "settings.h"

/* How long others' tables may keep everything else waiting. */
#define LOCK_TIMEOUT	"1s"

/* What is removed. Each locks rows, whose ids it gives as bigint[], or deletes such. */
typedef struct Removable
{
	const char *what;			/* it is called */
	const char *what_all;
	const char *table;
	const char *id;				/* the table's key */
	Datum		(*lock_one) (int64 id);
	Datum		(*lock_old) (const QueueScope *scope, Duration retention);
	uint64		(*delete) (Datum ids);
} Removable;

static const Removable request = {
	.what = "request",
	.what_all = "finished requests",
	.table = "clari_export_request",
	.id = "id",
	.lock_one = queue_lock_finished,
	.lock_old = queue_lock_old,
	.delete = queue_delete,
};

static const Removable snapshot = {
	.what = "snapshot",
	.what_all = "snapshots",
	.table = "clari_export_snapshot",
	.id = "request_id",
	.lock_one = snapshot_lock,
	.lock_old = snapshots_lock_old,
	.delete = snapshots_delete,
};

/* ----------
 * One
 * ----------
 */

static bool
remove_one(const Removable *removable, int64 id)
{
	ForeignKey	found;
	Datum		rows = foreign_keys_leave(removable->table, removable->id, removable->lock_one(id), &found);

	if (found.name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("%s " INT64_FORMAT " cannot be deleted: table %s refers to it", removable->what, id, found.table),
				 errdetail("The foreign key is \"%s\".", found.name),
				 errhint("Delete the row that refers to it first: what ON DELETE says is not done here.")));
	return removable->delete(rows) > 0;
}

bool
removal_of_request(int64 id)
{
	return remove_one(&request, id);
}

bool
removal_of_snapshot(int64 request_id)
{
	return remove_one(&snapshot, request_id);
}

/* ----------
 * What is old
 * ----------
 */

static void
remove_old(const Removable *removable, const QueueScope *scope, Duration retention)
{
	ForeignKey	found;
	Datum		rows;

	if (retention == 0)
		return;
	rows = foreign_keys_leave(removable->table, removable->id, removable->lock_old(scope, retention), &found);
	if (found.name != NULL)
		log_now_and_then(psprintf("old %s are kept that table %s refers to by its foreign key \"%s\"",
								  removable->what_all, found.table, found.name));
	removable->delete(rows);
}

static void
remove_all_old(void *arg)
{
	const QueueScope *scope = arg;

	set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	remove_old(&request, scope, settings_request_retention());
	remove_old(&snapshot, scope, settings_snapshot_retention());
	durations_prune();
}

void
removal_of_old(const QueueScope *scope)
{
	ErrorData  *error = queue_run("prune", false, remove_all_old, unconstify(QueueScope *, scope));

	if (error == NULL)
		return;
	log_now_and_then(psprintf("what is old cannot be removed: %s", error->message));
	FreeErrorData(error);
}
