/*
 * functions.c
 *		The SQL functions that wait for Clari.
 *
 * Each prepares one task, lets the engine run it, and turns what came of it
 * into its result or an error. The waiting itself is the engine's.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "clari/account.h"
#include "clari/engine.h"
#include "clari/functions.h"
#include "clari/outcome.h"
#include "clari/result.h"
#include "clari/stat.h"
#include "clari/submission.h"
#include "clari/task_scope.h"
#include "clock.h"
#include "interval.h"
#include "statement.h"
#include "value.h"

static const FunctionsMemory *memory = NULL;

void
functions_set_memory(const FunctionsMemory *given)
{
	memory = given;
}

/* ----------
 * While a function waits
 * ----------
 */

static void
report_hold(Task *task pg_attribute_unused(), HoldReason reason, Instant until)
{
	long long	seconds = until == INSTANT_NEVER ? 0 :
		(until - clock_now() + SECONDS(1) - 1) / SECONDS(1);

	if (until == INSTANT_NEVER)
		ereport(NOTICE, (errmsg("waiting: %s", hold_reason_notice(reason))));
	else
		ereport(NOTICE, (errmsg("waiting %lld s: %s", seconds, hold_reason_notice(reason))));
}

/* Whether the submission is on its way, and no reply to it has come. */
static bool
submission_is_sent(const Task *task)
{
	return task->export.step == STEP_SUBMIT && task->transfer != NULL;
}

/*
 * A cancel, a time-out or a shutdown is PostgreSQL's own error. It gets the
 * job id and how to go on, so that a submission is not lost with it.
 */
static void
add_job_to_interrupt(void *arg)
{
	Task	   *task = arg;

	if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_OPERATOR_INTERVENTION)
		return;
	if (export_may_have_job(&task->export))
	{
		errdetail("Job %s of server \"%s\" was submitted.",
				  task->export.job_id, task->account->server_name);
		errhint("%s", job_hint(task));
	}
	else if (export_submission_is_open(&task->export) || submission_is_sent(task))
	{
		errdetail("A submission on server \"%s\" was under way.", task->account->server_name);
		errhint("Look for its job with: %s", jobs_statement(task));
	}
}

static const TaskHooks waiting_hooks = {
	.reload_account = engine_reload_account,
	.held = report_hold,
	.read_result = task_read_result,
};

/* Run a task to its end; what came of it is in task->export. */
static void
run(Task *task)
{
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = add_job_to_interrupt,
		.arg = task,
	};

	error_context_stack = &context;
	engine_run(task);
	error_context_stack = context.previous;
}

static void
run_or_raise(Task *task)
{
	Failure    *failure;

	run(task);
	failure = failure_of_task(task);
	if (failure != NULL)
		failure_raise(failure);
}

/* ----------
 * Making tasks
 * ----------
 */

static Task *
new_task(const char *server_name, Oid role)
{
	Task	   *task = engine_new_task();
	MemoryContext old_context = MemoryContextSwitchTo(task->context);

	task_scope_bind(task);
	statement_find_schema();
	task->account = account_load(server_name, role);
	task->submit_interval = task->account->options.submit_interval;
	task->hooks = &waiting_hooks;
	MemoryContextSwitchTo(old_context);
	return task;
}

/* A task about no job yet: a list, the limits. */
static Task *
new_plain_task(const char *server_name, ExportGoal goal)
{
	Task	   *task = new_task(server_name, GetUserId());
	ExportRules rules = account_export_rules(task->account);

	export_init(&task->export, goal, &rules, EXPORT_FORECAST, NULL, NULL, NULL);
	return task;
}

static Task *
new_job_task(const char *server_name, Oid role, ExportGoal goal, const char *job_id)
{
	Task	   *task = new_task(server_name, role);
	ExportRules rules = account_export_rules(task->account);

	if (!request_is_job_id(job_id))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid job id"),
				 errdetail("It must have from 1 to %d letters, digits and any of \"" JOB_ID_MARKS "\".", JOB_ID_SIZE - 1),
				 errhint("See the jobs of your key with: %s", jobs_statement(task))));
	export_init(&task->export, goal, &rules, EXPORT_FORECAST, NULL, NULL,
				MemoryContextStrdup(task->context, job_id));
	return task;
}

static Task *
new_submission_task(const char *server_name, ExportGoal goal, const Submission *submission)
{
	Task	   *task = new_task(server_name, GetUserId());
	ExportRules rules = account_export_rules(task->account);

	submission_prepare(task, goal, &rules, submission);
	return task;
}

/* ----------
 * Arguments and results
 * ----------
 */

static char *
text_arg(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static char *
required_text_arg(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static char *
server_arg(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("server must not be null")));
	return pstrdup(NameStr(*PG_GETARG_NAME(n)));
}

static char *
options_arg(FunctionCallInfo fcinfo, int n)
{
	Jsonb	   *options;

	if (PG_ARGISNULL(n))
		return NULL;
	options = PG_GETARG_JSONB_P(n);
	return JsonbToCString(NULL, &options->root, (int) VARSIZE(options));
}

/* The first three arguments of the functions that submit one forecast. */
static Submission
forecast_args(FunctionCallInfo fcinfo)
{
	Submission	submission = {
		.kind = EXPORT_FORECAST,
		.forecast_id = required_text_arg(fcinfo, 0, "forecast_id"),
		.time_period = text_arg(fcinfo, 1),
		.options = options_arg(fcinfo, 2),
	};

	return submission;
}

static Duration
delay_arg(FunctionCallInfo fcinfo, int n, const char *name, Duration missing)
{
	Duration	delay;

	if (PG_ARGISNULL(n))
		return missing;
	delay = interval_duration(PG_GETARG_INTERVAL_P(n));
	if (delay < 0 || delay > SECONDS(86400))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is out of range", name),
				 errhint("Valid values are intervals from 0 to 1 day.")));
	return delay;
}

/* The last reply as jsonb; raises RC008 where jsonb cannot hold it. */
static Jsonb *
reply_as_jsonb(const Task *task)
{
	Failure    *failure;
	Jsonb	   *result = result_to_jsonb(task_last_reply(task), &failure);

	if (failure != NULL)
	{
		failure_add_job(failure, task);
		failure_raise(failure);
	}
	return result;
}

/* Raise RC008: the last reply is not what it should be. */
static void
raise_bad_reply(const Task *task, const char *expected)
{
	Failure    *failure = failure_make(ERRCODE_CLARI_BAD_RESPONSE,
									   "the reply from Clari cannot be understood");

	failure->detail = psprintf("It is not %s as Clari's API documents it.", expected);
	failure->hint = psprintf("Check the option base_url of server \"%s\".", task->account->server_name);
	failure_raise(failure);
}

static void
warn_if_truncated(const Task *task)
{
	if (task->export.has_job && task->export.job.truncated)
		ereport(WARNING,
				(errmsg("Clari truncated the result of job %s", task->export.job_id),
				 errdetail("The job object says cellsTruncated or rowsTruncated."),
				 errhint("Export less at once: name fewer typesToExport or a scopeId.")));
}

/* Run an export; its result, or NULL with *failure set. */
static Jsonb *
run_export(Task *task, const Submission *submission, Failure **failure)
{
	Jsonb	   *result = NULL;

	memory->recall(task, submission);
	run(task);
	*failure = failure_of_task(task);
	if (*failure == NULL)
	{
		warn_if_truncated(task);
		result = result_of_task(task, failure);
		memory->note(task, submission);
	}
	stat_add_end(task->account->server_id, *failure != NULL ? (*failure)->sqlstate : 0);
	return result;
}

/* End a task and keep its result. */
static Datum
keep_result(Task *task, Jsonb *result)
{
	Datum		kept = PointerGetDatum(pg_detoast_datum_copy((struct varlena *) result));

	engine_remove(task);
	return kept;
}

static Datum
export_or_raise(const Submission *submission, const char *server_name)
{
	Task	   *task = new_submission_task(server_name, GOAL_EXPORT, submission);
	Failure    *failure;
	Jsonb	   *result = run_export(task, submission, &failure);

	if (failure != NULL)
		failure_raise(failure);
	return keep_result(task, result);
}

/* ----------
 * clari_export, clari_export_activity, clari_export_audit_events
 * ----------
 */

PG_FUNCTION_INFO_V1(clari_export);

/*
 * clari_export(forecast_id text, time_period text, options jsonb, server text)
 * returns jsonb: submit, poll, fetch, and check the period of the result.
 */
Datum
clari_export(PG_FUNCTION_ARGS)
{
	Submission	submission = forecast_args(fcinfo);

	return export_or_raise(&submission, server_arg(fcinfo, 3));
}

PG_FUNCTION_INFO_V1(clari_export_activity);

/* clari_export_activity(options jsonb, server text) returns jsonb */
Datum
clari_export_activity(PG_FUNCTION_ARGS)
{
	Submission	submission = {.kind = EXPORT_ACTIVITY,.options = options_arg(fcinfo, 0)};

	return export_or_raise(&submission, server_arg(fcinfo, 1));
}

PG_FUNCTION_INFO_V1(clari_export_audit_events);

/* clari_export_audit_events(options jsonb, server text) returns jsonb */
Datum
clari_export_audit_events(PG_FUNCTION_ARGS)
{
	Submission	submission = {.kind = EXPORT_AUDIT_EVENTS,.options = options_arg(fcinfo, 0)};

	return export_or_raise(&submission, server_arg(fcinfo, 1));
}

/* ----------
 * The single steps
 * ----------
 */

PG_FUNCTION_INFO_V1(clari_export_submit);

/*
 * clari_export_submit(forecast_id text, time_period text, options jsonb,
 * server text) returns text: the job id.
 */
Datum
clari_export_submit(PG_FUNCTION_ARGS)
{
	Submission	submission = forecast_args(fcinfo);
	Task	   *task = new_submission_task(server_arg(fcinfo, 3), GOAL_SUBMIT, &submission);
	text	   *job_id;

	run_or_raise(task);
	job_id = cstring_to_text(task->export.job_id);
	engine_remove(task);
	PG_RETURN_TEXT_P(job_id);
}

PG_FUNCTION_INFO_V1(clari_export_status);

/* clari_export_status(job_id text, server text) returns jsonb: one request */
Datum
clari_export_status(PG_FUNCTION_ARGS)
{
	char	   *job_id = required_text_arg(fcinfo, 0, "job_id");
	Task	   *task = new_job_task(server_arg(fcinfo, 1), GetUserId(), GOAL_STATUS, job_id);
	const Reply *reply;
	Jsonb	   *result;
	Job			job;

	run_or_raise(task);
	reply = task_last_reply(task);
	result = result_unwrap_job(reply_as_jsonb(task));
	if (!reply_job(reply->body, reply->body_size, &job))
		raise_bad_reply(task, "a job object");
	engine_warn_of_status(task, job.status);
	engine_remove(task);
	PG_RETURN_JSONB_P(result);
}

PG_FUNCTION_INFO_V1(clari_export_poll);

/*
 * clari_export_poll(job_id text, max_attempts int, base_delay interval,
 * max_delay interval, server text) returns jsonb: the terminal status.
 */
Datum
clari_export_poll(PG_FUNCTION_ARGS)
{
	char	   *job_id = required_text_arg(fcinfo, 0, "job_id");
	Task	   *task = new_job_task(server_arg(fcinfo, 4), GetUserId(), GOAL_POLL, job_id);
	ExportRules *rules = &task->export.rules;
	Jsonb	   *status;

	if (!PG_ARGISNULL(1))
		rules->max_attempts = PG_GETARG_INT32(1);
	if (rules->max_attempts < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_attempts must be at least 1")));
	rules->backoff.base = delay_arg(fcinfo, 2, "base_delay", rules->backoff.base);
	rules->backoff.max = delay_arg(fcinfo, 3, "max_delay", rules->backoff.max);

	run_or_raise(task);
	status = result_unwrap_job(reply_as_jsonb(task));
	engine_remove(task);
	PG_RETURN_JSONB_P(status);
}

PG_FUNCTION_INFO_V1(clari_export_result);

/* clari_export_result(job_id text, server text) returns jsonb */
Datum
clari_export_result(PG_FUNCTION_ARGS)
{
	char	   *job_id = required_text_arg(fcinfo, 0, "job_id");
	Task	   *task = new_job_task(server_arg(fcinfo, 1), GetUserId(), GOAL_RESULT, job_id);
	Failure    *failure;
	Jsonb	   *result;

	run_or_raise(task);
	result = result_of_task(task, &failure);
	if (failure != NULL)
		failure_raise(failure);
	return keep_result(task, result);
}

char *
wait_for_cancel(const char *server_name, Oid role, const char *job_id)
{
	Task	   *task = new_job_task(server_name, role, GOAL_CANCEL, job_id);
	char	   *status;

	run_or_raise(task);
	status = text_from_clari(task->export.job.status);
	engine_remove(task);
	return status;
}

PG_FUNCTION_INFO_V1(clari_export_cancel_job);

/* clari_export_cancel(job_id text, server text) returns text: the status */
Datum
clari_export_cancel_job(PG_FUNCTION_ARGS)
{
	char	   *job_id = required_text_arg(fcinfo, 0, "job_id");

	PG_RETURN_TEXT_P(cstring_to_text(wait_for_cancel(server_arg(fcinfo, 1), GetUserId(), job_id)));
}

/* ----------
 * clari_export_all
 * ----------
 */

/* The row of one period: its result, or its failure. */
static void
put_period(ReturnSetInfo *result_info, const char *time_period, const Task *task,
		   const Failure *failure, Jsonb *result)
{
	Datum		values[5] = {0};
	bool		nulls[5] = {false};
	const Export *export = &task->export;

	nulls[0] = time_period == NULL;
	if (time_period != NULL)
		values[0] = CStringGetTextDatum(time_period);
	nulls[1] = !export_may_have_job(export);
	if (!nulls[1])
		values[1] = CStringGetTextDatum(export->job_id);
	nulls[2] = !export->has_job;
	if (!nulls[2])
		values[2] = CStringGetTextDatum(text_from_clari(export->job.status));
	nulls[3] = result == NULL;
	values[3] = JsonbPGetDatum(result);
	nulls[4] = failure == NULL;
	if (failure != NULL)
		values[4] = CStringGetTextDatum(failure->detail != NULL ?
										psprintf("%s: %s", failure->message, failure->detail) :
										failure->message);
	tuplestore_putvalues(result_info->setResult, result_info->setDesc, values, nulls);
}

static void
export_period(ReturnSetInfo *result_info, Submission *submission, const char *server_name,
			  Duration interval)
{
	Task	   *task = new_submission_task(server_name, GOAL_EXPORT, submission);
	Failure    *failure;
	Jsonb	   *result;

	if (interval >= 0)
		task->submit_interval = interval;
	result = run_export(task, submission, &failure);
	put_period(result_info, submission->time_period, task, failure, result);
	engine_remove(task);
}

PG_FUNCTION_INFO_V1(clari_export_all);

/*
 * clari_export_all(forecast_id text, time_periods text[], options jsonb,
 * delay_between interval, server text) returns table: one period after the
 * other. A period that fails is a row with its error; the rest go on.
 */
Datum
clari_export_all(PG_FUNCTION_ARGS)
{
	Submission	submission = {
		.kind = EXPORT_FORECAST,
		.forecast_id = required_text_arg(fcinfo, 0, "forecast_id"),
		.options = options_arg(fcinfo, 2),
	};
	Duration	delay = delay_arg(fcinfo, 3, "delay_between", -1);
	char	   *server_name = server_arg(fcinfo, 4);
	Datum	   *periods;
	bool	   *nulls;
	char	  **names;
	int			n;
	MemoryContext period_context;
	MemoryContext old_context;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("time_periods must not be null"),
				 errhint("Use an array such as ARRAY['2026_Q2', '2026_Q3'].")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &periods, &nulls, &n);

	/* What is wrong with a later period is said before one is submitted. */
	names = palloc(n * sizeof(char *));
	for (int i = 0; i < n; i++)
	{
		names[i] = nulls[i] ? NULL : TextDatumGetCString(periods[i]);
		submission.time_period = names[i];
		submission_check(&submission);
	}

	InitMaterializedSRF(fcinfo, 0);
	period_context = AllocSetContextCreate(CurrentMemoryContext, "clari_export period",
										   ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(period_context);
	for (int i = 0; i < n; i++)
	{
		submission.time_period = names[i];
		export_period((ReturnSetInfo *) fcinfo->resultinfo, &submission, server_name,
					  i > 0 ? delay : -1);
		MemoryContextReset(period_context);
	}
	MemoryContextSwitchTo(old_context);
	PG_RETURN_VOID();
}

/* ----------
 * clari_export_jobs, clari_export_limits
 * ----------
 */

static Datum
text_or_null(const char *text, bool *is_null)
{
	*is_null = text[0] == '\0';
	return *is_null ? (Datum) 0 : CStringGetTextDatum(text_from_clari(text));
}

static Datum
time_or_null(int64 milliseconds, bool *is_null)
{
	TimestampTz time = time_from_clari(milliseconds);

	*is_null = TIMESTAMP_NOT_FINITE(time);
	return TimestampTzGetDatum(time);
}

typedef struct JobRows
{
	ReturnSetInfo *result_info;
	MemoryContext context;		/* of one row */
} JobRows;

static bool
put_job(const Job *job, void *context)
{
	JobRows    *rows = context;
	Datum		values[10];
	bool		nulls[10];
	MemoryContext old_context = MemoryContextSwitchTo(rows->context);

	CHECK_FOR_INTERRUPTS();
	values[0] = text_or_null(job->job_id, &nulls[0]);
	values[1] = text_or_null(job->module, &nulls[1]);
	values[2] = text_or_null(job->title, &nulls[2]);
	values[3] = text_or_null(job->status, &nulls[3]);
	values[4] = text_or_null(job->file_name, &nulls[4]);
	values[5] = text_or_null(job->file_type, &nulls[5]);
	values[6] = text_or_null(job->currency, &nulls[6]);
	values[7] = time_or_null(job->start_time, &nulls[7]);
	values[8] = time_or_null(job->end_time, &nulls[8]);
	values[9] = time_or_null(job->expired_time, &nulls[9]);
	tuplestore_putvalues(rows->result_info->setResult, rows->result_info->setDesc, values, nulls);
	MemoryContextSwitchTo(old_context);
	MemoryContextReset(rows->context);
	return true;
}

PG_FUNCTION_INFO_V1(clari_export_jobs);

/* clari_export_jobs(server text) returns table: the jobs of the key's user */
Datum
clari_export_jobs(PG_FUNCTION_ARGS)
{
	Task	   *task = new_plain_task(server_arg(fcinfo, 0), GOAL_JOBS);
	JobRows		rows = {.context = AllocSetContextCreate(task->context, "clari_export job",
														 ALLOCSET_DEFAULT_SIZES)};
	const Reply *reply;

	InitMaterializedSRF(fcinfo, 0);
	rows.result_info = (ReturnSetInfo *) fcinfo->resultinfo;
	run_or_raise(task);
	reply = task_last_reply(task);
	if (!reply_job_list(reply->body, reply->body_size, put_job, &rows))
		raise_bad_reply(task, "a list of jobs");
	engine_remove(task);
	PG_RETURN_VOID();
}

static void
put_number(Datum *value, bool *is_null, int number)
{
	*value = Int32GetDatum(number);
	*is_null = number < 0;
}

static bool
add_job_id(const char *job_id, void *context)
{
	ArrayBuildState *ids = context;

	CHECK_FOR_INTERRUPTS();
	accumArrayResult(ids, CStringGetTextDatum(job_id), false, TEXTOID, CurrentMemoryContext);
	return true;
}

/* A list of job ids in the last reply as an array; empty if it is missing. */
static Datum
job_ids(const Task *task, const char *name)
{
	ArrayBuildState *ids = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	const Reply *reply = task_last_reply(task);

	reply_limits_jobs(reply->body, reply->body_size, name, add_job_id, ids);
	return makeArrayResult(ids, CurrentMemoryContext);
}

PG_FUNCTION_INFO_V1(clari_export_limits);

/* clari_export_limits(server text) returns table: one row */
Datum
clari_export_limits(PG_FUNCTION_ARGS)
{
	Task	   *task = new_plain_task(server_arg(fcinfo, 0), GOAL_LIMITS);
	const Limits *limits = &task->export.limits;
	ReturnSetInfo *result_info;
	Datum		values[6];
	bool		nulls[6] = {false};

	InitMaterializedSRF(fcinfo, 0);
	result_info = (ReturnSetInfo *) fcinfo->resultinfo;
	run_or_raise(task);

	put_number(&values[0], &nulls[0], limits->concurrent_limit);
	put_number(&values[1], &nulls[1], limits->available_concurrent_limit);
	put_number(&values[2], &nulls[2], limits->monthly_quota);
	put_number(&values[3], &nulls[3], limits->available_monthly_quota);
	values[4] = job_ids(task, "runningJobIds");
	values[5] = job_ids(task, "submittedJobIds");
	tuplestore_putvalues(result_info->setResult, result_info->setDesc, values, nulls);
	engine_remove(task);
	PG_RETURN_VOID();
}
