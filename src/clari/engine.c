/*
 * engine.c
 *		Drives any number of exports: timers, transfers, lanes.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "clari/connections.h"
#include "clari/engine.h"
#include "clari/result.h"
#include "clari/stat.h"
#include "clock.h"
#include "core/json.h"
#include "fault.h"
#include "settings.h"
#include "value.h"
#include "wait_event.h"

/* A hold shorter than this is not worth a message. */
#define REPORTED_HOLD			SECONDS(1)
#define SHORTEST_HOLD			MILLISECONDS(1)

static int	compare_times(const pairingheap_node *a, const pairingheap_node *b, void *arg);

/*
 * A task waits for a moment, for its lane, for room for its result, or for its
 * transfer, which knows whose it is. Nothing that happens costs a look at more than the tasks that
 * it concerns.
 */
static pairingheap waiting = {.ph_compare = compare_times}; /* the first is on top */
static dlist_head held = DLIST_STATIC_INIT(held);
static dlist_head without_room = DLIST_STATIC_INIT(without_room);

/* What clari_export.max_memory allows. */
static Room room;

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

/* The connection is closed, or idle. */
static void
give_back_connection(Task *task)
{
	if (task->has_connection)
		connections_give_back(task->account->role);
	task->has_connection = false;
}

static void
drop_transfer(Task *task)
{
	give_back_connection(task);
	transfer_free(task->transfer);
	task->transfer = NULL;
	if (task->result == NULL)
		share_close(&task->share);
}

/* Whether the job of a task with a place has come to its end. */
static bool
export_ended(const Task *task)
{
	return task->export.has_job && task->export.job.phase != JOB_IN_PROGRESS;
}

static int
compare_times(const pairingheap_node *a, const pairingheap_node *b, void *arg pg_attribute_unused())
{
	Instant		time_a = pairingheap_const_container(Task, by_time, a)->look_at;
	Instant		time_b = pairingheap_const_container(Task, by_time, b)->look_at;

	return (time_a < time_b) - (time_a > time_b);
}

/* A task is looked at, or goes: it waits for nothing. */
static void
stop_waiting(Task *task)
{
	if (task->has_time)
		pairingheap_remove(&waiting, &task->by_time);
	if (task->is_held)
		dlist_delete(&task->held_node);
	task->has_time = task->is_held = false;
}

/* Note when to look at a task again; a transfer calls by itself. */
static void
wait_for_time(Task *task)
{
	stop_waiting(task);
	if (task->action.finished || (task->transfer != NULL && transfer_reply(task->transfer) == NULL))
		return;
	if (task->lacks_connection)
		connections_wait(task->account->role, &task->held_node);
	else if (task->lacks_room)
		dlist_push_tail(&without_room, &task->held_node);
	else if (task->held_since != 0)
		dlist_push_tail(&held, &task->held_node);
	task->is_held = task->lacks_connection || task->lacks_room || task->held_since != 0;
	if (task->lacks_connection || task->lacks_room)
		return;
	/* Lanes say when to ask again; never so often that nothing else is done. */
	task->look_at = task->held_since != 0 ? Max(task->due, clock_now() + SHORTEST_HOLD) :
		task->action.not_before;
	if (task->look_at == INSTANT_NEVER)
		return;
	pairingheap_add(&waiting, &task->by_time);
	task->has_time = true;
}

/* Runs when the task's memory goes. */
static void
release_task(void *arg)
{
	Task	   *task = arg;

	stop_waiting(task);
	drop_transfer(task);
	share_close(&task->share);
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
	task->action = export_start(&task->export, not_before);
	task->due = task->action.not_before;
	wait_for_time(task);
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
		.base_url = account->options.base_url,
		.path = path,
		.api_key = account->options.api_key,
		.ca_file = account->options.ca_file,
		.proxy = account->options.proxy,
		.connect_timeout = account->options.connect_timeout,
		.timeout = account->options.request_timeout,
		.timeout_is_idle = kind == REQUEST_RESULT,
		.max_reply_size = kind == REQUEST_RESULT ? account->options.max_result_size : (int64) request_reply_limit(kind),
		.max_refusal_size = REPLY_LIMIT,
		.fresh_connection = kind == REQUEST_SUBMIT,
		.owner = task,
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
	if (kind == REQUEST_RESULT)
	{
		share_open(&task->share, &room);
		request.share = &task->share;
	}
	task->transfer = transfer_start(&request);
	connections_take(account->role);
	task->has_connection = true;
	task->sent = kind;
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

	task->lacks_connection = !connections_admit(task->account->role);
	task->lacks_room = task->action.request == REQUEST_RESULT && !room_admits(&room);
	if (task->lacks_connection || task->lacks_room)
		return;
	verdict = ask_lane(task);
	if (verdict.reason != HOLD_NONE)
	{
		hold_task(task, verdict, now);
		return;
	}
	if (task->held_since != 0)
		stat_add(task->account->server_id, STAT_HELD, now - task->held_since);
	task->held_since = 0;
	task->hold_reported = false;
	export_sending(&task->export, clock_now());
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

/* Another key, another lane: take along what the task has in the old one. */
static void
change_lane(Task *task)
{
	bool		has_place = task->ticket.has_place;
	bool		submitting = task->ticket.submitting;

	lane_close(&task->ticket, false);
	lane_open(&task->ticket, task->account);
	if (has_place)
		lane_take_running_place(&task->ticket, submitting);
}

void
engine_reload_account(Task *task)
{
	MemoryContext old_context = MemoryContextSwitchTo(task->context);
	const Account *before = task->account;

	AcceptInvalidationMessages();
	task->account = account_load(before->server_name, before->role);
	MemoryContextSwitchTo(old_context);
	if (memcmp(before->lane_key, task->account->lane_key, LANE_KEY_SIZE) != 0)
		change_lane(task);
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
						(double) Max(task->due - clock_now(), 0) / SECONDS(1));
	elog(DEBUG1, "clari_export: %s %s: HTTP %d%s%s",
		 request_method(request), path, export->http_status, news, plan);
}

ResultReading
task_read_result(Task *task, const Reply *reply)
{
	MemoryContext old_context = MemoryContextSwitchTo(task->context);
	ResultReading reading = result_read(&task->export, reply, &task->result, &task->result_failure);

	MemoryContextSwitchTo(old_context);
	return reading;
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

/* A result is stored from what was read: its text goes at once. */
static void
settle_result(Task *task)
{
	transfer_forget_body(task->transfer);
	if (task->result != NULL)
		share_settle(&task->share, VARSIZE(task->result));
	else
		share_close(&task->share);
}

/* What Clari says of the limits is kept for the view clari_export_quota. */
static void
keep_limits(const Task *task, RequestKind request, const Reply *reply)
{
	Limits		limits;

	if (request == REQUEST_LIMITS && reply->delivery == DELIVERY_REPLIED && reply->http_status == 200 &&
		reply_limits(reply->body, reply->body_size, &limits))
		stat_set_limits(task->account->server_id, &limits);
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
	const char *key = task->account->options.api_key;

	if (request != REQUEST_RESULT || reply->http_status != 200)
		json_clean(unconstify(char *, reply->body), reply->body_size,
				   strlen(key) >= SHORTEST_HIDDEN_KEY ? key : NULL);
}

/*
 * Before a list is searched for the job of a lost submission: another one of
 * the same key, in whatever database, may have started it.
 */
static void
prepare_look_up(Task *task)
{
	task->export.contested = lane_open_submissions(&task->ticket) > 1;
	if (task->hooks->before_look_up != NULL)
		task->hooks->before_look_up(task);
}

static void
take_reply(Task *task, const Reply *reply)
{
	const char *step = export_step_name(task->export.step);
	RequestKind request = task->action.request;
	Reply		known = *reply;

	FAULT_POINT("at_reply", step);
	if (export_seeks_job(&task->export))
		prepare_look_up(task);

	clean_reply(task, request, reply);
	known.reading = read_result(task, request, reply);
	task->action = export_reply(&task->export, &known, clock_now());
	task->due = task->action.not_before;
	if (task->action.reload_account && task->hooks->reload_account != NULL)
		task->hooks->reload_account(task);
	count_reply(task, reply);
	keep_limits(task, request, reply);
	inform_lane(task, reply);
	if (task->action.wait_was_cut)
		ereport(WARNING,
				(errmsg("Clari asked for a wait of more than a day"),
				 errdetail("It is taken for a day.")));
	if (known.reading != RESULT_NOT_READ)
		settle_result(task);
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
	{
		give_back_connection(task);
		take_reply(task, reply);
	}
	try_to_send(task, clock_now());
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
 * Look at a task: something that it waited for has come. Whose job is over has
 * no more use for its lane, however long its owner takes to write that down.
 */
static bool
look_at(Task *task)
{
	bool		news = false;

	if (!task->action.finished)
		news = task->hooks->failed != NULL ? advance_guarded(task) : advance(task);
	if (task->action.finished && export_ended(task))
		lane_close(&task->ticket, true);
	wait_for_time(task);
	return news;
}

/* The task whose moment comes first, or NULL. */
static Task *
first_in_time(void)
{
	return pairingheap_is_empty(&waiting) ? NULL :
		pairingheap_container(Task, by_time, pairingheap_first(&waiting));
}

/*
 * Take in what arrived and send what may go. Returns true if that changed
 * anything the owners of tasks may want to act on. A task that sent something
 * is past its moment; one that its lane holds is looked at later, too.
 */
static bool
advance_tasks(void)
{
	Instant		now = clock_now();
	Task	   *task;
	bool		any_news = false;

	while ((task = transfer_next_finished()) != NULL)
		any_news |= look_at(task);
	while ((task = first_in_time()) != NULL && task->look_at <= now)
		any_news |= look_at(task);
	return any_news;
}

/* What the tasks of a list wait for has changed: whoever is held may go. */
static bool
advance_all(dlist_head *list)
{
	bool		any_news = false;
	int			n = 0;
	dlist_iter	iter;

	dlist_foreach(iter, list)
		n++;
	/* Those that are held again stand at the end then. */
	while (n-- > 0 && !dlist_is_empty(list))
		any_news |= look_at(dlist_head_element(Task, held_node, list));
	return any_news;
}

/* Roles may open connections that they were refused: whoever stands in line may go. */
static bool
use_connections(void)
{
	dlist_node *first;
	bool		any_news = false;

	while ((first = connections_next()) != NULL)
		any_news |= look_at(dlist_container(Task, held_node, first));
	return any_news;
}

bool
engine_give_room(Task *task)
{
	if (task->result == NULL || !room_is_wanted(&room))
		return false;
	pfree(task->result);
	task->result = NULL;
	share_close(&task->share);
	return true;
}

/* Those whose results have begun to arrive go before others. */
static bool
use_room(void)
{
	transfers_resume();
	return advance_all(&without_room);
}

/* What the process mainly waits for. */
static WaitFor
wait_kind(bool watch_lanes)
{
	WaitFor		wait = WAIT_FOR_WORK;

	if (!pairingheap_is_empty(&waiting))
		wait = WAIT_FOR_POLL;
	if (!dlist_is_empty(&held) || (wait == WAIT_FOR_WORK && watch_lanes))
		wait = Max(wait, WAIT_FOR_LANE);
	if (transfers_are_running())
		wait = Max(wait, WAIT_FOR_REPLY);
	return wait;
}

void
engine_step(Instant until, bool watch_lanes)
{
	const Task *first;

	room_set_limit(&room, settings_max_memory());
	if (advance_tasks() || use_connections())
		return;
	if (room_has_news(&room) && use_room())
		return;

	/* A place may have become free since we asked: ask once more. */
	if (lane_woke_us() && (advance_all(&held) || watch_lanes))
		return;

	first = first_in_time();
	if (first != NULL)
		until = instant_earlier(until, first->look_at);
	http_wait(until, wait_event_info(wait_kind(watch_lanes)));
	CHECK_FOR_INTERRUPTS();
}

void
engine_run(Task *task)
{
	engine_add(task, clock_now());
	while (!task_is_finished(task))
		engine_step(INSTANT_NEVER, false);
}
