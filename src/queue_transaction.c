/*
 * queue_transaction.c
 *		The transactions in which the queue is worked on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "fault.h"
#include "queue_transaction.h"

static QueueTransactions mode = QUEUE_CALLERS_TRANSACTION;

/* Of the transaction at hand. */
static char *schema = NULL;		/* quoted; in TopMemoryContext */
static Oid	schema_id;
static Oid	saved_role;
static int	saved_security_context;
static int	guc_level;

void
queue_set_transactions(QueueTransactions transactions)
{
	mode = transactions;
}

/*
 * Keep the extension from being dropped, or moved, during the transaction: the
 * snapshot that finds it may be older than the end of its tables. Returns false
 * if it is not there.
 */
static bool
lock_extension(void)
{
	Oid			extension = get_extension_oid("clari_export", true);

	if (!OidIsValid(extension))
		return false;
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	return get_extension_oid("clari_export", true) == extension;
}

/* Find the extension's schema and its owner. */
static bool
find_extension(Oid *owner)
{
	static const char *query =
		"SELECT pg_catalog.quote_ident(n.nspname), e.extowner, n.oid"
		" FROM pg_catalog.pg_extension e"
		" JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace"
		" WHERE e.extname OPERATOR(pg_catalog.=) 'clari_export'";
	bool		is_null;
	char	   *name;

	if (SPI_execute(query, true, 1) != SPI_OK_SELECT || SPI_processed == 0)
		return false;
	name = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	*owner = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null));
	schema_id = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3, &is_null));
	if (schema != NULL)
		pfree(schema);
	schema = MemoryContextStrdup(TopMemoryContext, name);
	return true;
}

static void
set_locally(const char *name, const char *value)
{
	set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
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
 * Go on as the tables' owner, since users may not update them, with a search
 * path that nobody can shadow, and with plans that do not depend on
 * statistics, which a queue outruns. Triggers are silent, so that nobody's run
 * with the owner's rights: an owner who wants one says ENABLE ALWAYS TRIGGER.
 * The extension's own are silent, too.
 */
static void
enter_owner(Oid owner)
{
	GetUserIdAndSecContext(&saved_role, &saved_security_context);
	SetUserIdAndSecContext(owner, saved_security_context | SECURITY_LOCAL_USERID_CHANGE);
	guc_level = NewGUCNestLevel();
	set_locally("search_path", "pg_catalog, pg_temp");
	set_locally("session_replication_role", "replica");
	set_locally("jit", "off");
	set_locally("enable_indexscan", "on");
	set_locally("enable_seqscan", "off");
	set_locally("enable_bitmapscan", "off");
	set_locally("enable_incremental_sort", "off");
}

bool
queue_begin(void)
{
	MemoryContext context = CurrentMemoryContext;
	bool		found;
	Oid			owner;

	start_transaction();
	found = lock_extension() && find_extension(&owner);
	if (found)
		enter_owner(owner);
	else
		end_transaction();
	MemoryContextSwitchTo(context);
	return found;
}

void
queue_end(bool durable)
{
	MemoryContext context = CurrentMemoryContext;

	AtEOXact_GUC(true, guc_level);
	SetUserIdAndSecContext(saved_role, saved_security_context);
	if (durable && synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
		set_config_option("synchronous_commit", "on", PGC_USERSET, PGC_S_SESSION,
						  GUC_ACTION_LOCAL, true, 0, false);
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

/* In a transaction of our own all of it goes with an error, the commit's included. */
static ErrorData *
run_in_own_transaction(const char *step, bool durable, void (*function) (void *), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		if (queue_begin())
		{
			function(arg);
			queue_commit(step, durable);
		}
	}
	PG_CATCH();
	{
		error = take_error(context);
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

const char *
queue_schema(void)
{
	return schema;
}

Oid
queue_schema_id(void)
{
	return schema_id;
}
