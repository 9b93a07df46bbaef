/*
 * worker.c
 *		The launcher and the queue worker.
 *
 * The launcher starts a worker for each database of clari_export.databases and
 * starts it anew when it ends. A worker sleeps until its queue has something
 * to do; it holds no transaction and no lock while it sleeps or waits for
 * Clari.
 */
#include "postgres.h"

#include <limits.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "clari/lane.h"
#include "clock.h"
#include "log.h"
#include "queue/dispatcher.h"
#include "queue/removal.h"
#include "queue/wake.h"
#include "queue/worker.h"
#include "settings.h"
#include "wait_event.h"

#define LAUNCHER_NAME		"clari_export launcher"
#define WORKER_NAME			"clari_export worker"

#define LONG_RUN			SECONDS(60) /* of a worker that had no trouble */
#define LOOK_FOR_DATABASES	SECONDS(60)
#define REMOVAL_INTERVAL		SECONDS(3600)

/* ----------
 * The launcher
 * ----------
 */

typedef struct WorkerHandle
{
	char		database[NAMEDATALEN];
	int			number;			/* in the order of the list */
	BackgroundWorkerHandle *handle; /* NULL: not running */
	Instant		started_at;
	int			short_runs;		/* in a row */
	Instant		start_after;
	bool		missing;		/* there was no database to start it in */
	bool		wanted;
} WorkerHandle;

static List *handles = NIL;

/*
 * A worker that ends comes back after 1 s, 2 s, 4 s ... 60 s; after 1 s where
 * it was told to end.
 */
static const Backoff restarts = {.base = SECONDS(1),.multiplier = 2,.max = SECONDS(60)};

void
worker_register_launcher(void)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = 1,
		.bgw_name = LAUNCHER_NAME,
		.bgw_type = LAUNCHER_NAME,
		.bgw_library_name = "clari_export",
		.bgw_function_name = "clari_export_launcher_main",
	};

	RegisterBackgroundWorker(&worker);
}

static WorkerHandle *
handle_of(const char *database)
{
	WorkerHandle *handle;
	ListCell   *cell;

	foreach(cell, handles)
	{
		handle = lfirst(cell);
		if (strcmp(handle->database, database) == 0)
			return handle;
	}
	handle = MemoryContextAllocZero(TopMemoryContext, sizeof(WorkerHandle));
	strlcpy(handle->database, database, NAMEDATALEN);
	handle->number = list_length(handles);
	handles = lappend(handles, handle);
	return handle;
}

/*
 * Whether a database is there that can be connected to. A process without a
 * database cannot count on system indexes, so this reads all of pg_database.
 */
static bool
database_exists(const char *name)
{
	Relation	relation;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		exists = false;

	StartTransactionCommand();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	while (!exists && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		exists = database->datallowconn && strcmp(NameStr(database->datname), name) == 0;
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(TopMemoryContext);
	return exists;
}

/* How many of clari_export.databases are there. */
static int
count_databases(void)
{
	List	   *names = settings_databases();
	ListCell   *cell;
	int			n = 0;

	foreach(cell, names)
		n += database_exists(lfirst(cell));
	return n;
}

static void
start_worker(WorkerHandle *handle)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_type = WORKER_NAME,
		.bgw_library_name = "clari_export",
		.bgw_function_name = "clari_export_worker_main",
		.bgw_main_arg = Int32GetDatum(handle->number),
		.bgw_notify_pid = MyProcPid,
	};

	snprintf(worker.bgw_name, BGW_MAXLEN, WORKER_NAME " for %s", handle->database);
	strlcpy(worker.bgw_extra, handle->database, BGW_EXTRALEN);
	handle->started_at = clock_now();
	if (!RegisterDynamicBackgroundWorker(&worker, &handle->handle))
	{
		handle->start_after = clock_now() + LOOK_FOR_DATABASES;
		ereport(LOG,
				(errmsg("clari_export: no worker could be started for database \"%s\"", handle->database),
				 errhint("Increase max_worker_processes.")));
	}
}

/* Forget the handle of a worker that has ended. */
static void
note_end(WorkerHandle *handle)
{
	pid_t		pid;

	if (handle->handle == NULL || GetBackgroundWorkerPid(handle->handle, &pid) != BGWH_STOPPED)
		return;
	pfree(handle->handle);
	handle->handle = NULL;
	if (clock_now() - handle->started_at >= LONG_RUN)
		handle->short_runs = 0;
	if (wake_ended_when_told(handle->number))
		handle->start_after = clock_now() + restarts.base;
	else
		handle->start_after = clock_now() + backoff_delay(&restarts, handle->short_runs++);
}

static void
mark_wanted(void)
{
	List	   *names = settings_databases();
	ListCell   *cell;

	foreach(cell, handles)
		((WorkerHandle *) lfirst(cell))->wanted = false;
	foreach(cell, names)
		handle_of(lfirst(cell))->wanted = true;
}

static void
start_or_put_off(WorkerHandle *handle, Instant now)
{
	handle->missing = !database_exists(handle->database);
	if (handle->missing)
	{
		handle->short_runs = 0;
		handle->start_after = now + LOOK_FOR_DATABASES;
	}
	else
		start_worker(handle);
}

/* Start and stop what has to be. Returns when to do so again. */
static Instant
manage_workers(void)
{
	Instant		again = INSTANT_NEVER;
	ListCell   *cell;

	mark_wanted();
	foreach(cell, handles)
	{
		WorkerHandle *handle = lfirst(cell);
		Instant		now = clock_now();

		note_end(handle);
		if (handle->handle != NULL && !handle->wanted)
			TerminateBackgroundWorker(handle->handle);
		if (handle->handle != NULL || !handle->wanted)
			continue;
		if (now >= handle->start_after)
			start_or_put_off(handle, now);
		again = instant_earlier(again, handle->start_after);
	}
	return again;
}

/*
 * Our transactions are what the queue needs, whatever ALTER SYSTEM, DATABASE
 * or ROLE say for others: read-write, read committed, as slow as they have to
 * be, and as nobody else. autovacuum.c does the same for its processes.
 */
static void
override_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
#if PG_VERSION_NUM >= 170000
		{"transaction_timeout", "0"},
		{"event_triggers", "off"},
#endif
		{"zero_damaged_pages", "off"},
		{"jit", "off"},
		{"max_parallel_workers_per_gather", "0"},
		{"search_path", ""},
		{"session_replication_role", "replica"},
		{"role", "none"},
	};

	for (size_t i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

static volatile sig_atomic_t told_to_end = false;

/* What SIGNAL_ARGS declares. */
#if PG_VERSION_NUM >= 190000
#define SIGNAL_ARG_NAMES	postgres_signal_arg, pg_siginfo
#else
#define SIGNAL_ARG_NAMES	postgres_signal_arg
#endif

static void
on_sigterm(SIGNAL_ARGS)
{
	told_to_end = true;
	die(SIGNAL_ARG_NAMES);
}

/* Make this a process that sleeps on its latch and obeys signals at once. */
static void
prepare_process(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, on_sigterm);
	override_settings();
	BackgroundWorkerUnblockSignals();
}

/* Returns whether they may have changed. */
static bool
reload_settings(void)
{
	if (!ConfigReloadPending)
		return false;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	return true;
}

/* A database was created or altered, perhaps: look for those that were missing. */
static void
look_again(void)
{
	ListCell   *cell;

	foreach(cell, handles)
	{
		WorkerHandle *handle = lfirst(cell);

		if (handle->missing)
			handle->start_after = clock_now();
	}
}

void
clari_export_launcher_main(Datum arg pg_attribute_unused())
{
	prepare_process();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	wake_register_launcher();
	lane_expect_take_up(count_databases());
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(TopMemoryContext);

	for (;;)
	{
		Instant		again = manage_workers();
		Duration	sleep = again == INSTANT_NEVER ? LOOK_FOR_DATABASES : Max(again - clock_now(), 0);
		int			events;

		events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						   (long) (sleep / 1000 + 1), wait_event_info(WAIT_FOR_WORK));
		if (events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			look_again();
		}
		CHECK_FOR_INTERRUPTS();
		reload_settings();
	}
}

/* ----------
 * The worker
 * ----------
 */

/* Say in pg_stat_activity what goes on, when it is something else. */
static void
report_activity(void)
{
	static int	reported = -1;
	char		activity[64];
	int			running = dispatcher_running();

	if (running == reported)
		return;
	reported = running;
	if (running == 0)
	{
		pgstat_report_activity(STATE_IDLE, "waiting for requests");
		return;
	}
	snprintf(activity, sizeof(activity), "working on %d request%s", running, running == 1 ? "" : "s");
	pgstat_report_activity(STATE_RUNNING, activity);
}

static void
work(void)
{
	QueueScope	everything = {NULL, InvalidOid};
	WakeNotes	notes;
	Instant		next_removal = 0;

	queue_set_transactions(QUEUE_OWN_TRANSACTIONS);
	dispatcher_start(&everything, INT_MAX, true);
	for (;;)
	{
		if (reload_settings() || clock_now() >= next_removal)
		{
			removal_of_old(&everything);
			next_removal = clock_now() + REMOVAL_INTERVAL;
		}
		if (wake_take_notes(&notes))
			dispatcher_note(&notes);
		dispatcher_step(next_removal);
		lane_note_take_up();
		report_activity();
	}
}

/* A command wanted the database to itself, or somebody this worker's end: no trouble. */
static void
note_why(int code pg_attribute_unused(), Datum number)
{
	if (told_to_end)
		wake_note_end_when_told(DatumGetInt32(number));
}

static void
register_and_work(void)
{
	if (!wake_register_worker())
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("it has one already, or too many databases have one")));
	report_activity();
	work();
}

/* The error at hand is no request's. Ending well, we leave it to log.c what the log says of it. */
static void
end_with_error(void)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	error_context_stack = NULL;
	MemoryContextSwitchTo(TopMemoryContext);
	error = CopyErrorData();
	FlushErrorState();
	log_now_and_then(psprintf("the worker for database \"%s\" ends: %s", MyBgworkerEntry->bgw_extra, error->message));
	proc_exit(0);
}

/*
 * An error that is no request's ends the process; the launcher starts another,
 * which takes up from the table what this one left behind.
 */
void
clari_export_worker_main(Datum number)
{
	prepare_process();
	before_shmem_exit(note_why, number);
	BackgroundWorkerInitializeConnection(MyBgworkerEntry->bgw_extra, NULL, 0);
	MemoryContextSwitchTo(AllocSetContextCreate(TopMemoryContext, "clari_export worker",
												ALLOCSET_DEFAULT_SIZES));
	PG_TRY();
	{
		register_and_work();
	}
	PG_CATCH();
	{
		end_with_error();
	}
	PG_END_TRY();
}
