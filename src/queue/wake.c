/*
 * wake.c
 *		Who works on which database's queue, and waking them.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

#include "queue/wake.h"

#define MAX_WORKERS		64
#define WAKE_TRANCHE	"clari_export_wake"

typedef struct WorkerEntry
{
	Oid			database;		/* invalid for a free entry */
	int			pid;
	WakeNotes	notes;			/* that it has not seen yet */
} WorkerEntry;

typedef struct WakeState
{
	LWLock	   *lock;
	ConditionVariable request_ended;
	int			launcher_pid;	/* 0: none */
	WorkerEntry workers[MAX_WORKERS];
	bool		ended_when_told[MAX_WORKERS];	/* by the launcher's numbers */
} WakeState;

static WakeState *state = NULL;
static WorkerEntry *my_entry = NULL;
static WakeNotes pending;		/* of the transaction at hand */
static bool wake_all_pending = false;
static bool launcher_wake_pending = false;
static object_access_hook_type previous_object_access_hook = NULL;
static ProcessUtility_hook_type previous_utility_hook = NULL;

void
wake_request_shared_memory(void)
{
	RequestAddinShmemSpace(sizeof(WakeState));
	RequestNamedLWLockTranche(WAKE_TRANCHE, 1);
}

void
wake_attach_shared_memory(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	state = ShmemInitStruct("clari_export workers", sizeof(WakeState), &found);
	if (!found)
	{
		memset(state, 0, sizeof(WakeState));
		state->lock = &GetNamedLWLockTranche(WAKE_TRANCHE)->lock;
		ConditionVariableInit(&state->request_ended);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* ----------
 * Registering
 * ----------
 */

/* The entry of a database, or NULL. Called with the lock held. */
static WorkerEntry *
find_entry(Oid database)
{
	for (int i = 0; i < MAX_WORKERS; i++)
		if (state->workers[i].database == database)
			return &state->workers[i];
	return NULL;
}

static void
unregister_worker(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	LWLockAcquire(state->lock, LW_EXCLUSIVE);
	memset(my_entry, 0, sizeof(WorkerEntry));
	LWLockRelease(state->lock);
}

bool
wake_register_worker(void)
{
	LWLockAcquire(state->lock, LW_EXCLUSIVE);
	if (find_entry(MyDatabaseId) == NULL)
		my_entry = find_entry(InvalidOid);
	if (my_entry != NULL)
	{
		my_entry->database = MyDatabaseId;
		my_entry->pid = MyProcPid;
		my_entry->notes.everything = true;	/* there may be work from before */
	}
	LWLockRelease(state->lock);

	if (my_entry != NULL)
		before_shmem_exit(unregister_worker, (Datum) 0);
	return my_entry != NULL;
}

static void
unregister_launcher(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	state->launcher_pid = 0;
}

void
wake_register_launcher(void)
{
	state->launcher_pid = MyProcPid;
	before_shmem_exit(unregister_launcher, (Datum) 0);
}

void
wake_note_end_when_told(int number)
{
	if (number < MAX_WORKERS)
		state->ended_when_told[number] = true;
}

bool
wake_ended_when_told(int number)
{
	bool		told = number < MAX_WORKERS && state->ended_when_told[number];

	if (told)
		state->ended_when_told[number] = false;
	return told;
}

static bool
has_notes(const WakeNotes *notes)
{
	return notes->everything || notes->n_owners > 0 || notes->n_requests > 0;
}

static void
clear_notes(WakeNotes *notes)
{
	notes->everything = false;
	notes->n_owners = notes->n_requests = 0;
}

bool
wake_take_notes(WakeNotes *notes)
{
	LWLockAcquire(state->lock, LW_EXCLUSIVE);
	*notes = my_entry->notes;
	clear_notes(&my_entry->notes);
	LWLockRelease(state->lock);
	return has_notes(notes);
}

bool
wake_has_worker(void)
{
	bool		found;

	if (state == NULL)
		return false;
	LWLockAcquire(state->lock, LW_SHARED);
	found = find_entry(MyDatabaseId) != NULL;
	LWLockRelease(state->lock);
	return found;
}

/* ----------
 * Waking
 * ----------
 */

static void
set_latch_of(int pid)
{
	PGPROC	   *process = pid != 0 ? BackendPidGetProc(pid) : NULL;

	if (process != NULL)
		SetLatch(&process->procLatch);
}

static void
add_owner(WakeNotes *notes, const WakeOwner *owner)
{
	for (int i = 0; i < notes->n_owners; i++)
		if (notes->owners[i].role == owner->role &&
			namestrcmp(&notes->owners[i].server, NameStr(owner->server)) == 0)
			return;
	if (notes->n_owners == WAKE_MAX_NOTES)
		notes->everything = true;
	else
		notes->owners[notes->n_owners++] = *owner;
}

static void
add_request(WakeNotes *notes, int64 request_id)
{
	if (notes->n_requests == WAKE_MAX_NOTES)
		notes->everything = true;
	else
		notes->requests[notes->n_requests++] = request_id;
}

static void
add_notes(WakeNotes *notes, const WakeNotes *more)
{
	notes->everything |= more->everything;
	for (int i = 0; i < more->n_owners; i++)
		add_owner(notes, &more->owners[i]);
	for (int i = 0; i < more->n_requests; i++)
		add_request(notes, more->requests[i]);
}

static void
wake_worker(const WakeNotes *notes)
{
	WorkerEntry *entry;
	int			pid = 0;

	LWLockAcquire(state->lock, LW_EXCLUSIVE);
	entry = find_entry(MyDatabaseId);
	if (entry != NULL)
	{
		add_notes(&entry->notes, notes);
		pid = entry->pid;
	}
	LWLockRelease(state->lock);
	set_latch_of(pid);
}

/* What concerns the whole cluster. */
static void
wake_all_workers(void)
{
	int			pids[MAX_WORKERS];

	LWLockAcquire(state->lock, LW_EXCLUSIVE);
	for (int i = 0; i < MAX_WORKERS; i++)
	{
		pids[i] = state->workers[i].pid;
		state->workers[i].notes.everything |= pids[i] != 0;
	}
	LWLockRelease(state->lock);
	for (int i = 0; i < MAX_WORKERS; i++)
		set_latch_of(pids[i]);
}

static void
forget_pending(void)
{
	clear_notes(&pending);
	wake_all_pending = launcher_wake_pending = false;
}

/*
 * Wake at the very end of a commit: a look before the invalidation messages
 * are out would find in its caches what has just been dropped.
 */
static void
at_resource_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level,
					void *arg pg_attribute_unused())
{
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level)
		return;
	if (is_commit && has_notes(&pending))
		wake_worker(&pending);
	if (is_commit && wake_all_pending)
		wake_all_workers();
	if (is_commit && launcher_wake_pending)
		set_latch_of(state->launcher_pid);
	forget_pending();
}

/* What is prepared is not committed yet; for resources it looks the same. */
static void
at_transaction_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (event == XACT_EVENT_PREPARE)
		forget_pending();
}

static void
watch_transaction_end(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterResourceReleaseCallback(at_resource_release, NULL);
	registered = true;
}

/* What is noted now goes out at the end; false where there is nobody to hear it. */
static bool
may_note(void)
{
	if (state == NULL)
		return false;
	watch_transaction_end();
	return true;
}

void
wake_at_commit(void)
{
	if (may_note())
		pending.everything = true;
}

void
wake_for_owner_at_commit(const char *server, Oid role)
{
	WakeOwner	owner = {.role = role};

	if (!may_note())
		return;
	namestrcpy(&owner.server, server);
	add_owner(&pending, &owner);
}

void
wake_for_request_at_commit(int64 request_id)
{
	if (may_note())
		add_request(&pending, request_id);
}

/* Rows out of a dump pass the trigger that tells their owners. */
void
wake_for_insert_at_commit(void)
{
	if (may_note() && pending.n_owners == 0)
		pending.everything = true;
}

static void
wake_all_at_commit(void)
{
	watch_transaction_end();
	wake_all_pending = true;
}

/* A database is there for the launcher to see once it is committed. */
static void
wake_launcher_at_commit(void)
{
	watch_transaction_end();
	launcher_wake_pending = true;
}

void
wake_waiters(void)
{
	if (state != NULL)
		ConditionVariableBroadcast(&state->request_ended);
}

void
wake_prepare_to_wait(void)
{
	if (state != NULL)
		ConditionVariablePrepareToSleep(&state->request_ended);
}

void
wake_cancel_wait(void)
{
	ConditionVariableCancelSleep();
}

/* ----------
 * Commands that concern workers
 * ----------
 */

/* A worker's connection must not stand in the way of what needs a database to itself. */
static void
stop_worker_of(Oid database)
{
	WorkerEntry *entry;

	LWLockAcquire(state->lock, LW_SHARED);
	entry = find_entry(database);
	if (entry != NULL)
		kill(entry->pid, SIGTERM);
	LWLockRelease(state->lock);
}

static void
on_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_object_access_hook != NULL)
		previous_object_access_hook(access, class_id, object_id, sub_id, arg);

	if (class_id == DatabaseRelationId && access == OAT_DROP)
		stop_worker_of(object_id);
	else if (class_id == DatabaseRelationId && (access == OAT_POST_CREATE || access == OAT_POST_ALTER))
		wake_launcher_at_commit();
	else if (class_id == AuthIdRelationId && access == OAT_DROP)
		wake_all_at_commit();
	else if (class_id == ForeignServerRelationId || class_id == UserMappingRelationId ||
			 class_id == ExtensionRelationId || class_id == AuthIdRelationId)
		wake_at_commit();
}

static char *
option_value(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/*
 * The database in which a command, DROP DATABASE apart, bears no connection;
 * NULL for none.
 */
static const char *
database_to_itself(Node *command)
{
	if (IsA(command, RenameStmt) && ((RenameStmt *) command)->renameType == OBJECT_DATABASE)
		return ((RenameStmt *) command)->subname;
	if (IsA(command, AlterDatabaseStmt) &&
		option_value(((AlterDatabaseStmt *) command)->options, "tablespace") != NULL)
		return ((AlterDatabaseStmt *) command)->dbname;
	if (IsA(command, CreatedbStmt))
		return option_value(((CreatedbStmt *) command)->options, "template");
	return NULL;
}

/* Whether the caller may have a database to itself: whoever may not fails soon. */
static bool
may_have_to_itself(Oid database)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, GetUserId());
#else
	return pg_database_ownercheck(database, GetUserId());
#endif
}

/* The launcher's next worker waits for the lock that the command then holds. */
static void
step_aside_for(Node *command)
{
	const char *name = database_to_itself(command);
	Oid			database = name != NULL ? get_database_oid(name, true) : InvalidOid;

	if (OidIsValid(database) && may_have_to_itself(database))
		stop_worker_of(database);
}

/*
 * The commit of a prepared transaction runs none of the callbacks of the one
 * that inserted.
 */
static void
on_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	Node	   *parse_tree = statement->utilityStmt;
	bool		commits_prepared = IsA(parse_tree, TransactionStmt) &&
		((TransactionStmt *) parse_tree)->kind == TRANS_STMT_COMMIT_PREPARED;

	step_aside_for(parse_tree);
	if (previous_utility_hook != NULL)
		previous_utility_hook(statement, query, read_only_tree, context, params,
							  environment, dest, completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context, params,
								environment, dest, completion);
	if (commits_prepared)
		wake_worker(&(WakeNotes) {.everything = true});
}

void
wake_install_hooks(void)
{
	previous_object_access_hook = object_access_hook;
	object_access_hook = on_object_access;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
}
