/*
 * claim.c
 *		Which request is next, read from the indexes themselves.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "queue/claim.h"

/* (server, requested_by, priority DESC, run_after, id), of those that are queued and ready */
#define CLAIM_INDEX		"clari_export_request_claim_idx"
/* (run_after, id), of those that are queued and not ready */
#define DUE_INDEX		"clari_export_request_due_idx"
/* (server, requested_by), of those that are submitting or running */
#define ACTIVE_INDEX	"clari_export_request_active_idx"

/* (held_until), of those that are queued and held until some time */
#define HELD_INDEX		"clari_export_request_held_until_idx"
/* (server, requested_by, held_until), of those that are queued and held */
#define OWNER_HELD_INDEX	"clari_export_request_held_idx"

/* An error of the database delays a request by no more than this. */
#define LONGEST_DELAY	SECONDS(60)

/* At most so many become ready in one look. */
#define DUE_AT_ONCE		1000

/* ----------
 * Walking through an index
 * ----------
 */

typedef struct Walk
{
	Relation	table;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *row;
} Walk;

static void
begin_walk(Walk *walk, const char *index_name, ScanKey keys, int n_keys)
{
	Oid			index = get_relname_relid(index_name, queue_schema_id());

	walk->index = index_open(index, AccessShareLock);
	walk->table = table_open(walk->index->rd_index->indrelid, AccessShareLock);
	walk->row = table_slot_create(walk->table, NULL);
	PushActiveSnapshot(GetTransactionSnapshot());
#if PG_VERSION_NUM >= 190000
	walk->scan = index_beginscan(walk->table, walk->index, GetActiveSnapshot(), NULL, n_keys, 0, 0);
#elif PG_VERSION_NUM >= 180000
	walk->scan = index_beginscan(walk->table, walk->index, GetActiveSnapshot(), NULL, n_keys, 0);
#else
	walk->scan = index_beginscan(walk->table, walk->index, GetActiveSnapshot(), n_keys, 0);
#endif
	index_rescan(walk->scan, keys, n_keys, NULL, 0);
}

/* The next row that is there, in walk->row; false at the end. */
static bool
step_on(Walk *walk)
{
	CHECK_FOR_INTERRUPTS();
	return index_getnext_slot(walk->scan, ForwardScanDirection, walk->row);
}

static void
end_walk(Walk *walk)
{
	index_endscan(walk->scan);
	PopActiveSnapshot();
	ExecDropSingleTupleTableSlot(walk->row);
	table_close(walk->table, AccessShareLock);
	index_close(walk->index, AccessShareLock);
}

/* A column of the row at hand. */
static Datum
value_of(const Walk *walk, const char *column, bool *is_null)
{
	return slot_getattr(walk->row, get_attnum(RelationGetRelid(walk->table), column), is_null);
}

static int64
id_of(const Walk *walk)
{
	bool		is_null;

	return DatumGetInt64(value_of(walk, "id", &is_null));
}

static TimestampTz
time_of(const Walk *walk, const char *column, TimestampTz missing)
{
	bool		is_null;
	Datum		value = value_of(walk, column, &is_null);

	return is_null ? missing : DatumGetTimestampTz(value);
}

static int64 *
copy_of(int64 id)
{
	int64	   *copy = palloc(sizeof(int64));

	*copy = id;
	return copy;
}

/* A condition on the first column of the owners' indexes, and one on the second. */
static void
server_key(ScanKey key, StrategyNumber strategy, const char *server)
{
	NameData   *name = palloc0(sizeof(NameData));

	namestrcpy(name, server);
	ScanKeyInit(key, 1, strategy, strategy == BTEqualStrategyNumber ? F_NAMEEQ : F_NAMEGT, NameGetDatum(name));
}

static void
role_key(ScanKey key, StrategyNumber strategy, Oid role)
{
	ScanKeyInit(key, 2, strategy, strategy == BTEqualStrategyNumber ? F_OIDEQ : F_OIDGT, ObjectIdGetDatum(role));
}

/* ----------
 * Owners
 * ----------
 */

static RequestOwner *
owner_of(const Walk *walk)
{
	RequestOwner *owner = palloc(sizeof(RequestOwner));
	bool		is_null;

	owner->server = pstrdup(NameStr(*DatumGetName(value_of(walk, "server", &is_null))));
	owner->role = DatumGetObjectId(value_of(walk, "requested_by", &is_null));
	return owner;
}

/* The first owner that an index has under these conditions, or NULL. */
static RequestOwner *
owner_under(const char *index_name, ScanKey keys, int n_keys)
{
	RequestOwner *owner = NULL;
	Walk		walk;

	begin_walk(&walk, index_name, keys, n_keys);
	if (step_on(&walk))
		owner = owner_of(&walk);
	end_walk(&walk);
	return owner;
}

/* The owner after one in an index; the first after NULL. */
static RequestOwner *
owner_after(const char *index_name, const RequestOwner *owner)
{
	ScanKeyData keys[2];
	RequestOwner *next;

	if (owner == NULL)
		return owner_under(index_name, NULL, 0);
	server_key(&keys[0], BTEqualStrategyNumber, owner->server);
	role_key(&keys[1], BTGreaterStrategyNumber, owner->role);
	next = owner_under(index_name, keys, 2);
	if (next != NULL)
		return next;
	server_key(&keys[0], BTGreaterStrategyNumber, owner->server);
	return owner_under(index_name, keys, 1);
}

bool
claim_in_scope(const RequestOwner *owner, const QueueScope *scope)
{
	return (scope->server == NULL || strcmp(scope->server, owner->server) == 0) &&
		(!OidIsValid(scope->role) || scope->role == owner->role);
}

/* Add those of an index that are in scope. */
static List *
add_owners(List *owners, const char *index_name, const QueueScope *scope)
{
	for (RequestOwner *owner = owner_after(index_name, NULL); owner != NULL;
		 owner = owner_after(index_name, owner))
		if (claim_in_scope(owner, scope))
			owners = lappend(owners, owner);
	return owners;
}

List *
claim_owners(const QueueScope *scope)
{
	return add_owners(add_owners(NIL, ACTIVE_INDEX, scope), CLAIM_INDEX, scope);
}

bool
claim_has_any(const RequestOwner *owner)
{
	ScanKeyData keys[2];

	server_key(&keys[0], BTEqualStrategyNumber, owner->server);
	role_key(&keys[1], BTEqualStrategyNumber, owner->role);
	return owner_under(CLAIM_INDEX, keys, 2) != NULL || owner_under(ACTIVE_INDEX, keys, 2) != NULL;
}

/* ----------
 * Requests
 * ----------
 */

static bool
is_held_for(const Walk *walk, HoldReason reason)
{
	bool		is_null;
	Datum		shown = value_of(walk, "hold_reason", &is_null);

	return !is_null && strcmp(TextDatumGetCString(shown), hold_reason_name(reason)) == 0;
}

/*
 * Whether the database has put the request at hand off for now. A time that no
 * delay reaches was taken from a clock that has been set back since.
 */
static bool
is_delayed(const Walk *walk, TimestampTz now)
{
	TimestampTz until = time_of(walk, "held_until", DT_NOBEGIN);

	return until > now && until <= now + LONGEST_DELAY && is_held_for(walk, HOLD_DATABASE_ERROR);
}

/* Nothing was created later than now, whatever the clock says. */
static bool
is_due(const Walk *walk, TimestampTz run_after, TimestampTz now)
{
	return run_after <= Max(now, time_of(walk, "created_at", DT_NOBEGIN));
}

/* Lock the row at hand until the transaction ends; false if others have it. */
static bool
lock_row(const Walk *walk, TupleTableSlot *locked)
{
	TM_FailureData failure;

	LockRelationOid(RelationGetRelid(walk->table), RowShareLock);
	return table_tuple_lock(walk->table, &walk->row->tts_tid, GetActiveSnapshot(), locked,
							GetCurrentCommandId(true), LockTupleNoKeyExclusive, LockWaitSkip,
							0, &failure) == TM_Ok;
}

bool
claim_first(const RequestOwner *owner, ClaimFilter left_out, bool *passed_by, Claim *claim)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		found = false;
	bool		is_null;
	ScanKeyData keys[2];
	TupleTableSlot *locked;
	Walk		walk;

	server_key(&keys[0], BTEqualStrategyNumber, owner->server);
	role_key(&keys[1], BTEqualStrategyNumber, owner->role);
	begin_walk(&walk, CLAIM_INDEX, keys, 2);
	locked = table_slot_create(walk.table, NULL);
	while (!found && step_on(&walk))
	{
		claim->id = id_of(&walk);
		claim->priority = DatumGetInt32(value_of(&walk, "priority", &is_null));
		claim->run_after = time_of(&walk, "run_after", DT_NOBEGIN);
		if (!is_due(&walk, claim->run_after, now) || left_out(claim->id) || is_delayed(&walk, now))
			continue;
		found = passed_by == NULL || lock_row(&walk, locked);
		if (!found)
			*passed_by = true;
	}
	ExecDropSingleTupleTableSlot(locked);
	end_walk(&walk);
	return found;
}

bool
claim_has_held(const RequestOwner *owner)
{
	ScanKeyData keys[2];

	server_key(&keys[0], BTEqualStrategyNumber, owner->server);
	role_key(&keys[1], BTEqualStrategyNumber, owner->role);
	return owner_under(OWNER_HELD_INDEX, keys, 2) != NULL;
}

int
claim_compare(const Claim *a, const Claim *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority ? -1 : 1;
	if (a->run_after != b->run_after)
		return a->run_after < b->run_after ? -1 : 1;
	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	return 0;
}

List *
claim_active(const RequestOwner *owner)
{
	List	   *ids = NIL;
	ScanKeyData keys[2];
	Walk		walk;

	server_key(&keys[0], BTEqualStrategyNumber, owner->server);
	role_key(&keys[1], BTEqualStrategyNumber, owner->role);
	begin_walk(&walk, ACTIVE_INDEX, keys, 2);
	while (step_on(&walk))
		ids = lappend(ids, copy_of(id_of(&walk)));
	end_walk(&walk);
	return ids;
}

List *
claim_due(DuePlace *place, TimestampTz *next)
{
	TimestampTz now = GetCurrentTimestamp();
	List	   *ids = NIL;
	ScanKeyData key;
	Walk		walk;

	*next = DT_NOEND;
	ScanKeyInit(&key, 1, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE, TimestampTzGetDatum(place->run_after));
	begin_walk(&walk, DUE_INDEX, &key, 1);
	while (*next == DT_NOEND && step_on(&walk))
	{
		DuePlace	here = {time_of(&walk, "run_after", DT_NOBEGIN), id_of(&walk)};

		if (here.run_after == place->run_after && here.id <= place->id)
			continue;
		if (here.run_after > now || list_length(ids) == DUE_AT_ONCE)
			*next = Max(here.run_after, now);
		else
		{
			ids = lappend(ids, copy_of(here.id));
			*place = here;
		}
	}
	end_walk(&walk);
	return ids;
}

TimestampTz
claim_next_held(const QueueScope *scope, TimestampTz *unless_quota)
{
	TimestampTz next = DT_NOEND;
	ScanKeyData key;
	Walk		walk;

	*unless_quota = DT_NOEND;
	ScanKeyInit(&key, 1, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT, TimestampTzGetDatum(GetCurrentTimestamp()));
	begin_walk(&walk, HELD_INDEX, &key, 1);
	while (*unless_quota == DT_NOEND && step_on(&walk))
	{
		TimestampTz until = time_of(&walk, "held_until", DT_NOEND);

		if (!claim_in_scope(owner_of(&walk), scope))
			continue;
		next = Min(next, until);
		if (!is_held_for(&walk, HOLD_QUOTA))
			*unless_quota = until;
	}
	end_walk(&walk);
	return next;
}
