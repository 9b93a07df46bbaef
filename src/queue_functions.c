/*
 * queue_functions.c
 *		The SQL functions and triggers of the request queue.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

#include "account.h"
#include "functions.h"
#include "http.h"
#include "interval.h"
#include "queue.h"
#include "submission.h"
#include "wait_event.h"
#include "wake.h"

/* Without a worker that wakes us, look this often. */
#define LOOK_INTERVAL		SECONDS(1)

/* How long clari_export_cancel() waits for a submission that is under way. */
#define SUBMISSION_PATIENCE	SECONDS(10)

/* ----------
 * Triggers
 * ----------
 */

static TriggerData *
trigger_data(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("this function can only be called as a trigger")));
	return (TriggerData *) fcinfo->context;
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

PG_FUNCTION_INFO_V1(clari_export_check_request);

/*
 * BEFORE INSERT: refuse a request that could never be exported. The columns
 * are checked as clari_export() checks its arguments.
 */
Datum
clari_export_check_request(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo);
	char	   *role = required_column(data, "requested_by");
	Submission	submission = {
		.kind = export_kind_from_name(required_column(data, "kind")),
		.forecast_id = new_column(data, "forecast_id"),
		.time_period = new_column(data, "time_period"),
		.options = required_column(data, "options"),
	};

	submission_check(&submission);
	account_check_server(required_column(data, "server"), get_role_oid(role, false));
	return PointerGetDatum(data->tg_trigtuple);
}

PG_FUNCTION_INFO_V1(clari_export_wake_worker);

/* AFTER INSERT: let the worker look when this transaction commits. */
Datum
clari_export_wake_worker(PG_FUNCTION_ARGS)
{
	trigger_data(fcinfo);
	wake_at_commit();
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(clari_export_keep_unfinished);

/* BEFORE DELETE: an unfinished request is cancelled, not deleted. */
Datum
clari_export_keep_unfinished(PG_FUNCTION_ARGS)
{
	TriggerData *data = trigger_data(fcinfo);
	char	   *id = new_column(data, "id");
	char	   *state = new_column(data, "state");

	if (strcmp(state, "done") != 0 && strcmp(state, "failed") != 0 && strcmp(state, "cancelled") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("request %s is not finished and cannot be deleted", id),
				 errdetail("Its state is %s.", state),
				 errhint("Cancel it first with: SELECT clari_export_cancel(%s);", id)));
	return PointerGetDatum(data->tg_trigtuple);
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
			 errhint("See your requests in clari_export_request.")));
}

/* A request of the caller's, as it stands now; error 42704 for any other. */
static Request *
find_own_request(int64 id, bool *inserted_here)
{
	Oid			caller = GetUserId();
	Request    *request = NULL;

	if (queue_begin())
	{
		request = queue_find(id, inserted_here);
		queue_end(false);
	}
	if (request == NULL ||
		!has_privs_of_role(caller, request->requested_by))
		raise_no_such_request(id);
	return request;
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
	Instant		now = http_now();
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
		result = queue_snapshot(id);
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
			 errhint("It goes on. Wait again with: SELECT clari_export_wait(" INT64_FORMAT ");", request->id)));
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
		request = find_own_request(id, &inserted_here);
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
					 errhint("Work through the queue with: CALL clari_export_drain();")));
		told = true;
		if (http_now() >= deadline)
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
		deadline = http_now() + instant_earlier(interval_duration(PG_GETARG_INTERVAL_P(1)), DURATION_MAX);
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
	Instant		deadline = http_now() + SUBMISSION_PATIENCE;
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
		if (http_now() >= deadline)
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

/* Returns whether the job is over now without a result. */
static bool
cancel_at_clari(const Request *request)
{
	char	   *status = wait_for_cancel(request->server,
										 request->requested_by, request->job_id);
	bool		known;

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
		wake_at_commit();
	}
	request = find_own_request(id, &(bool) {false});
	PG_RETURN_TEXT_P(cstring_to_text(request->state));
}

/* ----------
 * clari_export_retry
 * ----------
 */

/* The states that a failed request goes back to. */
static const char *
state_for_retry(const Request *request)
{
	const char *code = request->error_code != NULL ? request->error_code : "";
	bool		job_is_lost = strcmp(code, "RC006") == 0 || strcmp(code, "RC002") == 0;
	bool		refused = strcmp(code, "RC001") == 0 || strcmp(code, "RC002") == 0;

	if (request->job_id != NULL)
		return job_is_lost ? "queued" : "running";
	return request->was_submitted && !refused ? "submitting" : "queued";
}

PG_FUNCTION_INFO_V1(clari_export_retry);

/*
 * clari_export_retry(request_id bigint) returns text: the state after it. A
 * job that may still be fetched is not submitted again, and a submission that
 * Clari has not refused is looked up.
 */
Datum
clari_export_retry(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	bool		inserted_here;
	Request    *request = find_own_request(id, &inserted_here);
	const char *state = state_for_retry(request);
	QueueUpdate update = QUEUE_MOVED_ON;

	if (!is_in(request, "failed"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("request " INT64_FORMAT " has not failed", id),
				 errdetail("Its state is %s.", request->state)));
	if (queue_begin())
	{
		update = queue_retry(id, state, strcmp(state, "running") == 0);
		queue_end(false);
	}
	if (update == QUEUE_LOCKED)
		raise_locked(id);
	wake_at_commit();
	PG_RETURN_TEXT_P(cstring_to_text(state));
}
