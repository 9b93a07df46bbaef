/*
 * functions.c
 *		The SQL functions and triggers of the request queue.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

#include "clari/account.h"
#include "clari/functions.h"
#include "clari/submission.h"
#include "clock.h"
#include "extension.h"
#include "interval.h"
#include "queue/home.h"
#include "queue/queue.h"
#include "queue/removal.h"
#include "queue/snapshots.h"
#include "queue/wake.h"
#include "statement.h"
#include "wait_event.h"

/* Without a worker that wakes us, look this often. */
#define LOOK_INTERVAL		SECONDS(1)

/* How long clari_export_cancel() waits for a submission that is under way. */
#define SUBMISSION_PATIENCE	SECONDS(10)

/* ----------
 * Triggers
 * ----------
 */

#define TRIGGER_EVENT_MASK \
	(TRIGGER_EVENT_OPMASK | TRIGGER_EVENT_ROW | TRIGGER_EVENT_TIMINGMASK)

static bool
is_request_table(Relation relation)
{
	Extension	extension;

	return extension_find(&extension) && RelationGetRelid(relation) == extension.request_table;
}

/*
 * A trigger function can be attached to any table, for any event, by whoever
 * may execute it: what it relies on is checked.
 */
static TriggerData *
trigger_data(FunctionCallInfo fcinfo, TriggerEvent event)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || (data->tg_event & TRIGGER_EVENT_MASK) != event ||
		!is_request_table(data->tg_relation))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("this function can only be called as a trigger of clari_export_request")));
	return data;
}

/* A column of the new row as text; NULL where it is null. */
static char *
new_column(const TriggerData *data, const char *name)
{
	TupleDesc	description = RelationGetDescr(data->tg_relation);

	return SPI_getvalue(data->tg_trigtuple, description, SPI_fnumber(description, name));
}

static char *
required_column(const TriggerData *data, const char *name)
{
	char	   *value = new_column(data, name);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("%s must not be null", name)));
	return value;
}

static Oid
new_role(const TriggerData *data)
{
	TupleDesc	description = RelationGetDescr(data->tg_relation);
	bool		is_null;

	required_column(data, "requested_by");
	return DatumGetObjectId(SPI_getbinval(data->tg_trigtuple, description,
										  SPI_fnumber(description, "requested_by"), &is_null));
}

PG_FUNCTION_INFO_V1(clari_export_check_request);

/* The new row, ready if its time to run has come already. */
static HeapTuple
with_readiness(const TriggerData *data)
{
	TupleDesc	description = RelationGetDescr(data->tg_relation);
	int			column = SPI_fnumber(description, "ready");
	bool		is_null;
	Datum		run_after = SPI_getbinval(data->tg_trigtuple, description,
										  SPI_fnumber(description, "run_after"), &is_null);
	Datum		ready = BoolGetDatum(!is_null && DatumGetTimestampTz(run_after) <= GetCurrentTimestamp());

	return heap_modify_tuple_by_cols(data->tg_trigtuple, description, 1, &column, &ready, &(bool) {false});
}

/*
 * BEFORE INSERT: refuse a request that could never be exported. The columns
 * are checked as clari_export() checks its arguments.
 */
Datum
clari_export_check_request(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, TRIGGER_EVENT_INSERT | TRIGGER_EVENT_ROW | TRIGGER_EVENT_BEFORE);
	Submission	submission = {
		.kind = export_kind_from_name(required_column(data, "kind")),
		.forecast_id = new_column(data, "forecast_id"),
		.time_period = new_column(data, "time_period"),
		.options = required_column(data, "options"),
	};

	submission_check(&submission);
	account_check_server(required_column(data, "server"), new_role(data));
	wake_for_owner_at_commit(required_column(data, "server"), new_role(data));
	return PointerGetDatum(with_readiness(data));
}

PG_FUNCTION_INFO_V1(clari_export_wake_worker);

/* AFTER INSERT: let the worker look when this transaction commits. */
Datum
clari_export_wake_worker(PG_FUNCTION_ARGS)
{
	trigger_data(fcinfo, TRIGGER_EVENT_INSERT | TRIGGER_EVENT_AFTER);
	wake_for_insert_at_commit();
	return PointerGetDatum(NULL);
}

static void
raise_not_finished(const char *id, const char *state)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("request %s is not finished and cannot be deleted", id),
			 errdetail("Its state is %s.", state),
			 errhint("Cancel it first with: SELECT %s(%s::bigint);",
					 statement_name_now("clari_export_cancel"), id)));
}

PG_FUNCTION_INFO_V1(clari_export_keep_unfinished);

/* BEFORE DELETE: an unfinished request is cancelled, not deleted. */
Datum
clari_export_keep_unfinished(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo, TRIGGER_EVENT_DELETE | TRIGGER_EVENT_ROW | TRIGGER_EVENT_BEFORE);
	char	   *id = new_column(data, "id");
	char	   *state = new_column(data, "state");

	if (strcmp(state, "done") != 0 && strcmp(state, "failed") != 0 && strcmp(state, "cancelled") != 0)
		raise_not_finished(id, state);
	return PointerGetDatum(data->tg_trigtuple);
}

/* ----------
 * clari_export_enqueue
 * ----------
 */

/* Whoever has the dedupe_key may finish, or come, between two looks. */
#define ENQUEUE_ATTEMPTS	10

/* A request that stands for the one that is wanted, or 0. */
static int64
known_request(const WantedExport *wanted)
{
	Oid			role = GetUserId();
	int64		id = wanted->max_age.isnull ? 0 : queue_find_fresh(wanted, role);

	if (id == 0 && !wanted->dedupe_key.isnull)
		id = queue_find_waiting(wanted, role);
	return id;
}

PG_FUNCTION_INFO_V1(clari_export_enqueue);

/*
 * clari_export_enqueue(forecast_id text, time_period text, options jsonb,
 *		kind text, server name, priority int, run_after timestamptz,
 *		dedupe_key text, max_age interval) returns bigint
 */
Datum
clari_export_enqueue(PG_FUNCTION_ARGS)
{
	const NullableDatum *args = fcinfo->args;
	WantedExport wanted = {args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7], args[8]};
	int64		id = 0;

	if (!queue_begin_as_caller())
		elog(ERROR, "extension clari_export does not exist");
	for (int attempt = 0; id == 0 && attempt < ENQUEUE_ATTEMPTS; attempt++)
	{
		id = known_request(&wanted);
		if (id == 0)
			id = queue_insert(&wanted);
	}
	queue_end_as_caller();
	if (id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(id);
}

/* ----------
 * One request
 * ----------
 */

static void
raise_no_such_request(int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("request " INT64_FORMAT " does not exist", id),
			 errhint("See your requests with: SELECT * FROM %s;", statement_name_now("clari_export_request"))));
}

/* What belongs to a role is for whoever has that role's rights. */
static bool
may_act_for(Oid role)
{
	return has_privs_of_role(GetUserId(), role);
}

static bool
may_read_all(void)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_DATA);
}

/*
 * A request that the caller may act on, or at least read, as it stands now;
 * error 42704 for any other.
 */
static Request *
find_request(int64 id, bool to_read, bool *inserted_here)
{
	Request    *request = NULL;

	if (queue_begin())
	{
		request = queue_find(id, inserted_here);
		queue_end(false);
	}
	if (request == NULL ||
		!(may_act_for(request->requested_by) || (to_read && may_read_all())))
		raise_no_such_request(id);
	return request;
}

static Request *
find_own_request(int64 id, bool *inserted_here)
{
	return find_request(id, false, inserted_here);
}

static bool
is_in(const Request *request, const char *state)
{
	return strcmp(request->state, state) == 0;
}

static bool
is_finished(const Request *request)
{
	return is_in(request, "done") || is_in(request, "failed") || is_in(request, "cancelled");
}

static void
raise_locked(int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("request " INT64_FORMAT " is being changed by another transaction", id),
			 errhint("Try again when that has ended.")));
}

/* The end of a wait: what others commit must become visible. */
static void
require_fresh_snapshots(const char *function)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run in a REPEATABLE READ or SERIALIZABLE transaction", function),
				 errdetail("It would not see the request finish."),
				 errhint("Use READ COMMITTED.")));
}

/*
 * Sleep until some request ended, or the moment comes. Call
 * wake_prepare_to_wait() before the look that decided to sleep.
 */
static void
sleep_until(Instant until)
{
	Instant		now = clock_now();
	Duration	sleep = instant_earlier(LOOK_INTERVAL, instant_later(until - now, 0));

	WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
			  (long) (sleep / 1000 + 1), wait_event_info(WAIT_FOR_WORK));
	ResetLatch(MyLatch);
	wake_cancel_wait();
	CHECK_FOR_INTERRUPTS();
}

/* ----------
 * clari_export_wait
 * ----------
 */

static void
raise_error_of(const Request *request)
{
	const char *code = request->error_code;

	if (is_in(request, "cancelled"))
		ereport(ERROR,
				(errcode(ERRCODE_CLARI_JOB_FAILED),
				 errmsg("request " INT64_FORMAT " was cancelled", request->id)));
	ereport(ERROR,
			(errcode(code != NULL && strlen(code) == 5 ?
					 MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]) : ERRCODE_INTERNAL_ERROR),
			 errmsg_internal("%s", request->error_message),
			 errdetail("Request " INT64_FORMAT " failed.", request->id),
			 request->error_hint != NULL ? errhint("%s", request->error_hint) : 0));
}

static Jsonb *
snapshot_of(int64 id)
{
	Jsonb	   *result = NULL;

	if (queue_begin())
	{
		result = snapshot_result(id);
		queue_end(false);
	}
	if (result == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("the snapshot of request " INT64_FORMAT " was deleted", id)));
	return result;
}

static void
raise_not_committed(int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("request " INT64_FORMAT " is not committed yet", id),
			 errdetail("Nobody else can see it before."),
			 errhint("Commit first, then wait.")));
}

static void
raise_wait_timeout(const Request *request)
{
	ereport(ERROR,
			(errcode(ERRCODE_CLARI_POLL_TIMEOUT),
			 errmsg("request " INT64_FORMAT " did not finish in time", request->id),
			 errdetail("Its state is %s.", request->state),
			 errhint("It goes on. Wait again with: SELECT %s(" INT64_FORMAT "::bigint);",
					 statement_name_now("clari_export_wait"), request->id)));
}

/* Wait until the request is finished; timeout INSTANT_NEVER for ever. */
static Request *
wait_for_end(int64 id, Instant deadline)
{
	bool		inserted_here;
	bool		told = false;

	for (;;)
	{
		Request    *request;

		wake_prepare_to_wait();
		request = find_request(id, true, &inserted_here);
		if (is_finished(request))
		{
			wake_cancel_wait();
			return request;
		}
		if (inserted_here)
			raise_not_committed(id);
		if (!told && !wake_has_worker())
			ereport(NOTICE,
					(errmsg("no clari_export worker runs in this database"),
					 errhint("Work through the queue with: CALL %s();", statement_name_now("clari_export_drain"))));
		told = true;
		if (clock_now() >= deadline)
			raise_wait_timeout(request);
		sleep_until(deadline);
	}
}

PG_FUNCTION_INFO_V1(clari_export_wait);

/*
 * clari_export_wait(request_id bigint, timeout interval) returns jsonb: the
 * result of a request when it is done, or its error.
 */
Datum
clari_export_wait(PG_FUNCTION_ARGS)
{
	int64		id;
	Instant		deadline = INSTANT_NEVER;
	Request    *request;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	id = PG_GETARG_INT64(0);
	if (!PG_ARGISNULL(1))
		deadline = clock_now() + interval_duration(PG_GETARG_INTERVAL_P(1));
	require_fresh_snapshots("clari_export_wait()");
	request = wait_for_end(id, deadline);
	if (!is_in(request, "done"))
		raise_error_of(request);
	PG_RETURN_JSONB_P(snapshot_of(id));
}

/* ----------
 * clari_export_cancel
 * ----------
 */

/* The request once no submission of it is under way. */
static Request *
settled_request(int64 id)
{
	Instant		deadline = clock_now() + SUBMISSION_PATIENCE;
	bool		inserted_here;

	for (;;)
	{
		Request    *request;

		wake_prepare_to_wait();
		request = find_own_request(id, &inserted_here);
		if (!is_in(request, "submitting"))
		{
			wake_cancel_wait();
			return request;
		}
		if (clock_now() >= deadline)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("request " INT64_FORMAT " is being submitted", id),
					 errdetail("Clari has not said yet whether it took the job."),
					 errhint("Try again in a moment.")));
		sleep_until(deadline);
	}
}

/*
 * The request, locked unless it is finished: the worker, which may see the job
 * end before we have said why, must not take that for a failure.
 */
static Request *
locked_request(int64 id)
{
	for (;;)
	{
		Request    *request = settled_request(id);
		bool		locked = false;

		if (is_finished(request))
			return request;
		if (queue_begin())
		{
			locked = queue_lock_to_cancel(id);
			queue_end(false);
		}
		if (locked)
			return find_own_request(id, &(bool) {false});
	}
}

/*
 * Returns whether the job is over now without a result. One that belongs to the
 * database of which this is a copy is that one's business.
 */
static bool
cancel_at_clari(const Request *request)
{
	char	   *status;
	bool		known;

	if (home_is_elsewhere(request->made_in))
		return true;
	status = wait_for_cancel(request->server, request->requested_by, request->job_id);
	return job_phase(status, &known) == JOB_ENDED_WITHOUT_RESULT;
}

PG_FUNCTION_INFO_V1(clari_export_cancel_request);

/*
 * clari_export_cancel(request_id bigint) returns text: the state after it. A
 * job that runs is cancelled at Clari first; one that is done is left alone.
 */
Datum
clari_export_cancel_request(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	Request    *request = locked_request(id);

	if (is_in(request, "queued") || (is_in(request, "running") && cancel_at_clari(request)))
	{
		if (queue_begin())
		{
			queue_cancel(id);
			queue_end(false);
		}
		wake_for_request_at_commit(id);
	}
	request = find_own_request(id, &(bool) {false});
	PG_RETURN_TEXT_P(cstring_to_text(request->state));
}

/* ----------
 * clari_export_retry
 * ----------
 */

/* An earlier retry asked for the job, and Clari did not know it. */
static bool
was_unknown_on_retry(const Request *request)
{
	return request->retried && request->error_message != NULL &&
		strstr(request->error_message, "invalid_jobId") != NULL;
}

/* The states that a failed request goes back to. */
static const char *
state_for_retry(const Request *request)
{
	const char *code = request->error_code != NULL ? request->error_code : "";
	bool		job_is_lost = strcmp(code, "RC006") == 0 || was_unknown_on_retry(request);
	bool		refused = strcmp(code, "RC001") == 0 || strcmp(code, "RC002") == 0;

	if (request->job_id != NULL)
		return job_is_lost ? "queued" : "running";
	return request->was_submitted && !refused ? "submitting" : "queued";
}

PG_FUNCTION_INFO_V1(clari_export_retry);

/*
 * clari_export_retry(request_id bigint) returns text: the state after it. A
 * job that may still be fetched is not submitted again, and a submission that
 * Clari has not refused is looked up. In a copy of a database, one that is not
 * finished goes on where it stands.
 */
Datum
clari_export_retry(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	bool		inserted_here;
	Request    *request = find_own_request(id, &inserted_here);
	bool		take_over = !is_finished(request) && home_is_elsewhere(request->made_in);
	const char *state = take_over ? request->state : state_for_retry(request);
	QueueUpdate update = QUEUE_MOVED_ON;

	if (!is_in(request, "failed") && !take_over)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("request " INT64_FORMAT " has not failed", id),
				 errdetail("Its state is %s.", request->state)));
	if (queue_begin())
	{
		update = take_over ? queue_take_over(id) : queue_retry(id, state, strcmp(state, "running") == 0);
		queue_end(false);
	}
	if (update == QUEUE_LOCKED)
		raise_locked(id);
	wake_for_request_at_commit(id);
	PG_RETURN_TEXT_P(cstring_to_text(state));
}

/* ----------
 * clari_export_delete_request, clari_export_delete_snapshot
 * ----------
 */

PG_FUNCTION_INFO_V1(clari_export_delete_request);

/* clari_export_delete_request(request_id bigint) returns bool: its snapshot stays. */
Datum
clari_export_delete_request(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	Request    *request = NULL;
	bool		deleted = false;

	if (!queue_begin())
		PG_RETURN_BOOL(false);
	request = queue_find(id, &(bool) {false});
	queue_end(false);
	if (request == NULL || !may_act_for(request->requested_by))
		PG_RETURN_BOOL(false);
	if (!is_finished(request))
		raise_not_finished(psprintf(INT64_FORMAT, id), request->state);
	if (queue_begin())
	{
		deleted = removal_of_request(id);
		queue_end(false);
	}
	PG_RETURN_BOOL(deleted);
}

PG_FUNCTION_INFO_V1(clari_export_delete_snapshot);

/* clari_export_delete_snapshot(request_id bigint) returns bool */
Datum
clari_export_delete_snapshot(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	Oid			owner;
	bool		deleted = false;

	if (!queue_begin())
		PG_RETURN_BOOL(false);
	owner = snapshot_owner(id);
	queue_end(false);
	if (OidIsValid(owner) && may_act_for(owner) && queue_begin())
	{
		deleted = removal_of_snapshot(id);
		queue_end(false);
	}
	PG_RETURN_BOOL(deleted);
}
