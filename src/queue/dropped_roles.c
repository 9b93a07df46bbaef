/*
 * dropped_roles.c
 *		What becomes of the rows of a role that was dropped.
 *
 * Whose rows are is an OID. A dump has a role's name or, where the role is no
 * more, its OID as a number, which is somebody else's in another cluster. So that
 * no dump has one, such rows are made nobody's: the OID 0, which a dump has as
 * "-". Roles are the cluster's, and no trigger sees them go.
 */
#include "postgres.h"

#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "clari/failure.h"
#include "log.h"
#include "queue/dropped_roles.h"
#include "queue/owners.h"
#include "queue/queue.h"

/* Somebody's transaction, the dropped role's last one perhaps, may hold a row. */
#define LOCK_TIMEOUT	"1s"

static bool roles_changed = true;

static void
note_change(Datum arg pg_attribute_unused(), int cache pg_attribute_unused(), uint32 hash pg_attribute_unused())
{
	roles_changed = true;
}

static void
watch_roles(void)
{
	static bool registered = false;

	if (!registered)
		CacheRegisterSyscacheCallback(AUTHOID, note_change, (Datum) 0);
	registered = true;
}

static void
disown(void *arg)
{
	bool	   *any = arg;
	Failure    *failure = failure_make(ERRCODE_UNDEFINED_OBJECT, "the role that made the request does not exist any more");
	ListCell   *cell;

	set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	foreach(cell, owners())
	{
		if (SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(lfirst_oid(cell))))
			continue;
		queue_fail_role(lfirst_oid(cell), failure);
		owners_forget(lfirst_oid(cell));
		*any = true;
	}
}

bool
dropped_roles_disown(void)
{
	ErrorData  *error;
	bool		any = false;

	watch_roles();
	if (!roles_changed)
		return false;
	roles_changed = false;
	error = queue_run("disown", false, disown, &any);
	if (error == NULL)
		return any;
	roles_changed = true;
	log_now_and_then(psprintf("requests of dropped roles cannot be disowned: %s", error->message));
	FreeErrorData(error);
	return false;
}
