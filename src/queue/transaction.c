/*
 * transaction.c
 *		The transactions in which the queue is worked on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "extension.h"
#include "fault.h"
#include "queue/transaction.h"

static QueueTransactions mode = QUEUE_CALLERS_TRANSACTION;

/* Of the transaction at hand. */
static Oid	schema_id;
static Oid	saved_role;
static int	saved_security_context;
static int	guc_level;

/*
 * Find the extension's schema and its owner, and keep it from being dropped,
 * or moved, during the transaction: what was read before the lock was there
 * may have been dropped since. Returns false if the extension is not there.
 */
static bool
find_extension(Oid *owner)
{
	static Oid	last_found = InvalidOid;
	Extension	extension = {.id = last_found};
	Oid			locked;

	do
	{
		locked = extension.id;
		if (OidIsValid(locked))
			LockDatabaseObject(ExtensionRelationId, locked, 0, AccessShareLock);
		if (!extension_find(&extension))
			return false;
	} while (extension.id != locked);
	last_found = extension.id;
	schema_id = extension.schema;
	*owner = extension.owner;
	return true;
}

static void
start_transaction(void)
{
	if (mode == QUEUE_OWN_TRANSACTIONS)
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
	}
	/* In a procedure within its own connection, which keeps every result until the end. */
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

static void
end_transaction(void)
{
	SPI_finish();
	if (mode == QUEUE_SESSION_TRANSACTIONS)
		SPI_commit();
	else if (mode == QUEUE_OWN_TRANSACTIONS)
	{
		PopActiveSnapshot();
		CommitTransactionCommand();
		pgstat_report_stat(true);
	}
}

/*
 * How statements on the queue run: with a search path that nobody can shadow,
 * and with plans that do not depend on statistics, which a queue outruns.
 * Triggers are silent, so that nobody's run with the owner's rights: an owner
 * who wants one says ENABLE ALWAYS TRIGGER. The extension's own are silent, too.
 */
static const char *const settings[][2] = {
	{"search_path", "pg_catalog, pg_temp"},
	{"session_replication_role", "replica"},
	{"jit", "off"},
	{"enable_indexscan", "on"},
	{"enable_seqscan", "off"},
	{"enable_bitmapscan", "off"},
	{"enable_incremental_sort", "off"},
};

void
queue_set_transactions(QueueTransactions transactions)
{
	mode = transactions;
	if (mode != QUEUE_OWN_TRANSACTIONS)
		return;
	for (size_t i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/* Others' sessions have these settings only in a transaction of the queue. */
static void
set_locally(void)
{
	for (size_t i = 0; i < lengthof(settings); i++)
		set_config_option(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_SESSION,
						  GUC_ACTION_SAVE, true, 0, false);
}

/* Go on as the tables' owner, since users may not update them. */
static void
enter_owner(Oid owner)
{
	GetUserIdAndSecContext(&saved_role, &saved_security_context);
	SetUserIdAndSecContext(owner, saved_security_context | SECURITY_LOCAL_USERID_CHANGE);
	guc_level = NewGUCNestLevel();
	if (mode != QUEUE_OWN_TRANSACTIONS)
		set_locally();
}

bool
queue_begin(void)
{
	MemoryContext context = CurrentMemoryContext;
	bool		found;
	Oid			owner;

	start_transaction();
	found = find_extension(&owner);
	if (found)
		enter_owner(owner);
	else
		end_transaction();
	MemoryContextSwitchTo(context);
	return found;
}

bool
queue_begin_as_caller(void)
{
	Oid			owner;

	if (!find_extension(&owner))
		return false;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	return true;
}

void
queue_end_as_caller(void)
{
	SPI_finish();
}

/* What is no promise need not be waited for: whoever finds it undone does it again. */
static void
choose_durability(bool durable)
{
	const char *commit = NULL;

	if (durable && synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		commit = "on";
	else if (!durable && mode != QUEUE_CALLERS_TRANSACTION)
		commit = "off";
	if (commit != NULL)
		set_config_option("synchronous_commit", commit, PGC_USERSET, PGC_S_SESSION,
						  GUC_ACTION_LOCAL, true, 0, false);
}

void
queue_end(bool durable)
{
	MemoryContext context = CurrentMemoryContext;

	AtEOXact_GUC(true, guc_level);
	SetUserIdAndSecContext(saved_role, saved_security_context);
	choose_durability(durable);
	end_transaction();
	MemoryContextSwitchTo(context);
}

void
queue_commit(const char *step, bool durable)
{
	FAULT_POINT("before_commit", step);
	queue_end(durable);
	FAULT_POINT("after_commit", step);
}

/* The error at hand, copied to the given context. */
static ErrorData *
take_error(MemoryContext context)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	return error;
}

/* A cancel or a shutdown is nobody's failure and goes through, when what failed is rolled back. */
static ErrorData *
let_interventions_through(ErrorData *error)
{
	if (error != NULL && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	return error;
}

ErrorData *
queue_try(void (*function) (void *), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		function(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		error = take_error(context);
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return let_interventions_through(error);
}

bool
queue_error_may_pass(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category == ERRCODE_TO_CATEGORY(ERRCODE_T_R_DEADLOCK_DETECTED) ||
		category == ERRCODE_INSUFFICIENT_RESOURCES ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_OBJECT_IN_USE) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_IO_ERROR);
}

/*
 * The limit that a commit meets is that of the queue of notifications, which
 * others have filled: there is no room for now.
 */
static ErrorData *
take_error_of_commit(MemoryContext context)
{
	ErrorData  *error = take_error(context);

	if (error->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED)
		error->sqlerrcode = ERRCODE_INSUFFICIENT_RESOURCES;
	return error;
}

/* In a transaction of our own all of it goes with an error, the commit's included. */
static ErrorData *
run_in_own_transaction(const char *step, bool durable, void (*function) (void *), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;
	volatile bool is_over = false;

	PG_TRY();
	{
		if (queue_begin())
		{
			function(arg);
			is_over = true;
			queue_commit(step, durable);
		}
	}
	PG_CATCH();
	{
		error = is_over ? take_error_of_commit(context) : take_error(context);
		AbortCurrentTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return let_interventions_through(error);
}

ErrorData *
queue_run(const char *step, bool durable, void (*function) (void *), void *arg)
{
	ErrorData  *error;

	if (mode == QUEUE_OWN_TRANSACTIONS)
		return run_in_own_transaction(step, durable, function, arg);
	if (!queue_begin())
		return NULL;
	error = queue_try(function, arg);
	queue_commit(step, durable);
	return error;
}

Oid
queue_schema_id(void)
{
	return schema_id;
}

uint64
queue_execute(SqlQuery *query, const char *name, const char *text)
{
	return query_execute(schema_id, query, name, text);
}
