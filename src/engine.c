/*
 * engine.c
 *		Drives any number of exports: timers, transfers, lanes.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "core/json.h"
#include "engine.h"
#include "fault.h"
#include "result.h"
#include "stat.h"
#include "wait_event.h"

/* A hold shorter than this is not worth a message. */
#define REPORTED_HOLD			SECONDS(1)

static dlist_head tasks = DLIST_STATIC_INIT(tasks);

bool
task_is_finished(const Task *task)
{
	return task->action.finished;
}

const Reply *
task_last_reply(const Task *task)
{
	return task->transfer != NULL ? transfer_reply(task->transfer) : NULL;
}

/* Whether the goal is an export that occupies a place in the lane. */
static bool
needs_place(const Task *task)
{
	return task->action.submits && !task->ticket.has_place;
}

static void
drop_transfer(Task *task)
{
	transfer_free(task->transfer);
	task->transfer = NULL;
}

/* Whether the job of a task with a place has come to its end. */
static bool
export_ended(const Task *task)
{
	return task->export.has_job && task->export.job.phase != JOB_IN_PROGRESS;
}

/* Runs when the task's memory goes. */
static void
release_task(void *arg)
{
	Task	   *task = arg;

	if (task->added)
		dlist_delete(&task->node);
	drop_transfer(task);
	lane_close(&task->ticket, export_ended(task));
	export_free(&task->export);
}

Task *
engine_new_task(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "clari_export task",
												  ALLOCSET_SMALL_SIZES);
	Task	   *task = MemoryContextAllocZero(context, sizeof(Task));
	MemoryContextCallback *callback = MemoryContextAlloc(context, sizeof(*callback));

	task->context = context;
	callback->func = release_task;
	callback->arg = task;
	MemoryContextRegisterResetCallback(context, callback);
	return task;
}

void
engine_add(Task *task, Instant not_before)
{
	ExportGoal	goal = task->export.goal;

	lane_open(&task->ticket, task->account);
	if (goal == GOAL_RESUME_UNKNOWN || goal == GOAL_RESUME_JOB)
		lane_take_running_place(&task->ticket, goal == GOAL_RESUME_UNKNOWN);
	dlist_push_tail(&tasks, &task->node);
	task->added = true;

	task->action = export_start(&task->export, not_before);
	task->due = task->action.not_before;
}

void
engine_remove(Task *task)
{
	MemoryContextDelete(task->context);
}

/* ----------
 * Sending
 * ----------
 */

static void
start_transfer(Task *task)
{
	const Account *account = task->account;
	RequestKind kind = task->action.request;
	char		path[REQUEST_PATH_SIZE];
	HttpRequest request = {
		.method = request_method(kind),
		.base_url = account->base_url,
		.path = path,
		.api_key = account->api_key,
		.ca_file = account->ca_file,
		.proxy = account->proxy,
		.connect_timeout = account->connect_timeout,
		.timeout = account->request_timeout,
		.timeout_is_idle = kind == REQUEST_RESULT,
		.max_reply_size = kind == REQUEST_RESULT ? account->max_result_size : (int64) request_reply_limit(kind),
		.fresh_connection = kind == REQUEST_SUBMIT,
	};

	if (!request_path(kind, task->export.kind, task->export.forecast_id,
					  task->export.job_id, path, sizeof(path)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("forecast id is too long")));
	if (kind == REQUEST_SUBMIT)
		request.body = task->body;
	else if (kind == REQUEST_CANCEL)
		request.body = REQUEST_CANCEL_BODY;

	drop_transfer(task);
	task->transfer = transfer_start(&request);
	stat_add(account->server_id, STAT_REQUESTS, 1);
	if (kind == REQUEST_STATUS)
		stat_add(account->server_id, STAT_POLLS, 1);
}

/* Ask the lane for what the next request needs. */
static LaneVerdict
ask_lane(Task *task)
{
	if (needs_place(task))
	{
		LaneVerdict verdict = lane_take_place(&task->ticket, task->submit_interval);

		if (verdict.reason != HOLD_NONE)
			return verdict;
	}
	return lane_take_turn(&task->ticket, task->action.submits);
}

/*
 * Note that a task waits for its lane, and tell its owner once it is clear
 * that this takes more than a moment. due becomes when to look again.
 */
static void
hold_task(Task *task, LaneVerdict verdict, Instant now)
{
	bool		long_hold = verdict.until != INSTANT_NEVER ?
		verdict.until - now > REPORTED_HOLD :
		task->held_since != 0 && now - task->held_since >= REPORTED_HOLD;

	task->due = verdict.until;
	if (task->held_since == 0)
		task->held_since = now;
	if (task->hold_reported)
		return;
	if (long_hold)
	{
		task->hold_reported = true;
		if (task->hooks->held != NULL)
			task->hooks->held(task, verdict.reason, verdict.until);
	}
	else if (verdict.until == INSTANT_NEVER)
		task->due = task->held_since + REPORTED_HOLD;
}

/* Send the task's request if its time has come and the lane lets it. */
static void
try_to_send(Task *task, Instant now)
{
	LaneVerdict verdict;

	if (task->action.finished || now < task->action.not_before)
		return;
	if (task->transfer != NULL && transfer_reply(task->transfer) == NULL)
		return;

	verdict = ask_lane(task);
	if (verdict.reason != HOLD_NONE)
	{
		hold_task(task, verdict, now);
		return;
	}
	if (task->held_since != 0)
		stat_add(task->account->server_id, STAT_MICROSECONDS_HELD, now - task->held_since);
	task->held_since = 0;
	task->hold_reported = false;
	if (task->action.request == REQUEST_SUBMIT && task->hooks->before_submission != NULL &&
		!task->hooks->before_submission(task))
		task->action.finished = true;
	else
	{
		FAULT_POINT("before_send", export_step_name(task->export.step));
		start_transfer(task);
	}
}

/* ----------
 * Receiving
 * ----------
 */

/* Tell the lane what a reply means for others. */
static void
inform_lane(Task *task, const Reply *reply)
{
	const ExportAction *action = &task->action;
	const Export *export = &task->export;

	if (action->hold == HOLD_RATE_LIMITED)
		task->due = lane_note_rate_limit(&task->ticket, action->retry_after);
	else if (reply->delivery == DELIVERY_REPLIED)
		lane_note_answer(&task->ticket);

	if (action->hold != HOLD_NONE && action->hold != HOLD_RATE_LIMITED)
		task->due = lane_note_submission_hold(&task->ticket, action->hold);
	if (task->ticket.submitting && export_may_have_job(export))
		lane_note_acceptance(&task->ticket);
	if (task->ticket.submitting && (action->finished || export_may_have_job(export)))
		lane_settle_submission(&task->ticket);
}

static void
count_reply(const Task *task, const Reply *reply)
{
	const Export *export = &task->export;
	Oid			server = task->account->server_id;

	stat_add(server, STAT_BYTES, (int64) reply->body_size);
	if (reply->http_status == 429)
		stat_add(server, STAT_HTTP_429, 1);
	if (task->ticket.submitting && export_may_have_job(export))
	{
		stat_add(server, STAT_SUBMISSIONS, 1);
		stat_add(server, STAT_ADOPTIONS, export->adopted ? 1 : 0);
	}
}

void
engine_warn_of_status(Task *task, const char *status)
{
	bool		known;
	char	   *text;

	job_phase(status, &known);
	if (known || task->warned_of_status)
		return;
	task->warned_of_status = true;
	text = text_from_clari(status); /* not inside ereport: it catches errors */
	ereport(WARNING,
			(errmsg("Clari reports an unknown status \"%s\" for job %s", text, task->export.job_id),
			 errdetail("It is taken for a job in progress.")));
}

/* What came of a request and when the next one goes out, for whoever listens. */
static void
log_reply(const Task *task, RequestKind request)
{
	const Export *export = &task->export;
	const char *news = "";
	const char *plan = "";
	char		path[REQUEST_PATH_SIZE];

	if (!message_level_is_interesting(DEBUG1) ||
		!request_path(request, export->kind, export->forecast_id, export->job_id, path, sizeof(path)))
		return;
	if (request == REQUEST_STATUS && export->http_status == 200 && export->has_job)
		news = psprintf(", job %s", text_from_clari(export->job.status));
	if (!task->action.finished)
		plan = psprintf(", next request in %.3f s",
						(double) Max(task->due - http_now(), 0) / SECONDS(1));
	elog(DEBUG1, "clari_export: %s %s: HTTP %d%s%s",
		 request_method(request), path, export->http_status, news, plan);
}

/* Have a result read as soon as it is there, so that the machine knows what came. */
static ResultReading
read_result(Task *task, RequestKind request, const Reply *reply)
{
	if (request != REQUEST_RESULT || reply->delivery != DELIVERY_REPLIED || reply->http_status != 200 ||
		task->hooks->read_result == NULL)
		return RESULT_NOT_READ;
	return task->hooks->read_result(task, reply);
}

/* A key shorter than this is a part of ordinary words. */
#define SHORTEST_HIDDEN_KEY	4

/*
 * Before anybody looks into a reply that is no result: take out the API key,
 * which Clari or a gateway may repeat, and what cannot be stored or shown.
 */
static void
clean_reply(const Task *task, RequestKind request, const Reply *reply)
{
	const char *key = task->account->api_key;

	if (request != REQUEST_RESULT || reply->http_status != 200)
		json_clean(unconstify(char *, reply->body), reply->body_size,
				   strlen(key) >= SHORTEST_HIDDEN_KEY ? key : NULL);
}

static void
take_reply(Task *task, const Reply *reply)
{
	const char *step = export_step_name(task->export.step);
	RequestKind request = task->action.request;
	Reply		known = *reply;

	FAULT_POINT("at_reply", step);
	if (task->export.step == STEP_LOOK_UP && task->hooks->before_look_up != NULL)
		task->hooks->before_look_up(task);
	if (task->export.step == STEP_LOOK_UP && lane_open_submissions(&task->ticket) > 1)
		task->export.contested = true;

	clean_reply(task, request, reply);
	known.reading = read_result(task, request, reply);
	task->action = export_reply(&task->export, &known, http_now());
	task->due = task->action.not_before;
	count_reply(task, reply);
	inform_lane(task, reply);
	if (task->action.wait_was_cut)
		ereport(WARNING,
				(errmsg("Clari asked for a wait of more than a day"),
				 errdetail("It is taken for a day.")));
	if (!task->action.finished)
		drop_transfer(task);

	log_reply(task, request);
	if (task->export.has_job)
		engine_warn_of_status(task, task->export.job.status);
	FAULT_POINT("after_reply", step);
	if (task->hooks->progressed != NULL)
		task->hooks->progressed(task);
}

/* ----------
 * The loop
 * ----------
 */

/* Take in what arrived for a task and send what may go. Returns whether it has news. */
static bool
advance(Task *task)
{
	const Reply *reply = task_last_reply(task);

	if (reply != NULL)
		take_reply(task, reply);
	try_to_send(task, http_now());
	return reply != NULL || task->action.finished;
}

/*
 * The same where one task's error must not be the others'. A cancel or a
 * shutdown is everybody's.
 */
static bool
advance_guarded(Task *task)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool news = true;

	PG_TRY();
	{
		news = advance(task);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
			PG_RE_THROW();
		FlushErrorState();
		drop_transfer(task);
		task->action.finished = true;
		task->hooks->failed(task, error);
	}
	PG_END_TRY();
	return news;
}

/*
 * Take in what arrived and send what may go. Returns true if that changed
 * anything the owners of tasks may want to act on.
 */
static bool
advance_tasks(void)
{
	dlist_mutable_iter iter;
	bool		any_news = false;

	dlist_foreach_modify(iter, &tasks)
	{
		Task	   *task = dlist_container(Task, node, iter.cur);

		if (!task->action.finished)
			any_news |= task->hooks->failed != NULL ? advance_guarded(task) : advance(task);
	}
	return any_news;
}

/*
 * When the next task has something to do; transfers wake us by themselves.
 * *wait is what the process mainly waits for.
 */
static Instant
next_due(WaitFor *wait)
{
	dlist_iter	iter;
	Instant		next = INSTANT_NEVER;

	*wait = WAIT_FOR_WORK;
	dlist_foreach(iter, &tasks)
	{
		Task	   *task = dlist_container(Task, node, iter.cur);

		if (task->action.finished)
			continue;
		if (task->transfer != NULL)
			*wait = Max(*wait, WAIT_FOR_REPLY);
		else
		{
			next = instant_earlier(next, task->due);
			*wait = Max(*wait, task->held_since != 0 ? WAIT_FOR_LANE : WAIT_FOR_POLL);
		}
	}
	return next;
}

void
engine_step(Instant until, bool watch_lanes)
{
	WaitFor		wait;
	Instant		next;

	if (advance_tasks())
		return;

	/* A place may have become free since we asked: ask once more. */
	if (lane_woke_us() && (advance_tasks() || watch_lanes))
		return;

	next = next_due(&wait);
	if (wait == WAIT_FOR_WORK && watch_lanes)
		wait = WAIT_FOR_LANE;
	http_wait(instant_earlier(until, next), wait_event_info(wait));
	CHECK_FOR_INTERRUPTS();
}

void
engine_run(Task *task)
{
	engine_add(task, http_now());
	while (!task_is_finished(task))
		engine_step(INSTANT_NEVER, false);
}
