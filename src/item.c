/*
 * item.c
 *		A request that is being worked on.
 *
 * Its task (engine.h) asks Clari, and what comes of it is written to the
 * request's row, in a transaction that is over before the next request to
 * Clari goes out. The order in which a submission is written is what makes it
 * happen once:
 *
 *		commit "submitting"  ->  POST  ->  commit "running" with the job id
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "fault.h"
#include "interval.h"
#include "item.h"
#include "result.h"
#include "stat.h"
#include "submission.h"
#include "wake.h"

/* When a row is locked by somebody, look at it again. */
#define TRY_AGAIN_AFTER		SECONDS(1)

dlist_head	items = DLIST_STATIC_INIT(items);
static MemoryContext items_context = NULL;
static int	given_back = 0;

static Item *
item_of(const Task *task)
{
	return (Item *) task->owner;
}

void
item_remove(Item *item)
{
	dlist_delete(&item->node);
	engine_remove(item->task);
	pfree(item);
}

Item *
item_find(int64 request_id)
{
	dlist_iter	iter;

	dlist_foreach(iter, &items)
	{
		Item	   *item = dlist_container(Item, node, iter.cur);

		if (item->request_id == request_id)
			return item;
	}
	return NULL;
}

void
item_abandon(Item *item)
{
	item->task->export.outcome = OUTCOME_NONE;
	item->task->action.finished = true;
}

/* A request did not get as far as its submission: it does not count. */
static void
give_back(Item *item)
{
	if (item->claimed)
		given_back++;
	item->claimed = false;
}

/*
 * Somebody else's transaction holds the row of a request that was to be
 * submitted. Others of the lane go first; it is looked at again in a moment.
 */
static void
put_off(Item *item)
{
	lane_close(&item->task->ticket, false);
	item->write_again_at = http_now() + TRY_AGAIN_AFTER;
	give_back(item);
}

/* ----------
 * The task's hooks: what is written while an export goes on
 * ----------
 */

/* Step 1 of a submission: whoever finds the row knows that it may be sent. */
static bool
before_submission(Task *task)
{
	Item	   *item = item_of(task);
	QueueUpdate update;

	if (!queue_begin())
		return false;
	update = queue_submitting(item->request_id, &task->export);
	queue_commit("submitting", true);
	if (update == QUEUE_LOCKED)
		put_off(item);
	return update == QUEUE_UPDATED;
}

static void
before_look_up(Task *task)
{
	if (!queue_begin())
		return;
	queue_exclude_owned_jobs(item_of(task)->request_id, &task->export);
	queue_commit("look_up", false);
}

/* The word for what the task's next request waits for, if Clari held it. */
static const char *
hold_reason_of(const Task *task)
{
	return task->action.hold == HOLD_RATE_LIMITED ? hold_reason_name(HOLD_RATE_LIMITED) : NULL;
}

/* Step 3 of a submission, and every poll after it. */
static QueueUpdate
store_progress(Item *item)
{
	const Task *task = item->task;
	TimestampTz next_poll_at = timestamp_of(task->due);
	QueueUpdate update;

	if (!queue_begin())
		return QUEUE_MOVED_ON;
	if (!item->job_is_stored)
		update = queue_running(item->request_id, &task->export, next_poll_at);
	else
		update = queue_polled(item->request_id, &task->export, next_poll_at, hold_reason_of(task));
	queue_commit(item->job_is_stored ? "poll" : "running", !item->job_is_stored);
	return update;
}

static void
write_progress(Item *item)
{
	switch (store_progress(item))
	{
		case QUEUE_UPDATED:
			item->job_is_stored = true;
			item->write_again_at = 0;
			break;
		case QUEUE_LOCKED:
			item->write_again_at = http_now() + TRY_AGAIN_AFTER;
			break;
		case QUEUE_MOVED_ON:
			item_abandon(item);
			break;
	}
}

/*
 * After a lost reply: the submission is under way no more. What comes next is
 * a matter of time only, so a row that cannot be written does no harm.
 */
static void
write_look_up(Item *item)
{
	const Task *task = item->task;

	if (!queue_begin())
		return;
	queue_looked_up(item->request_id, &task->export, timestamp_of(task->due), hold_reason_of(task));
	queue_commit("lost", false);
}

static void
progressed(Task *task)
{
	if (task_is_finished(task))
		return;
	if (export_may_have_job(&task->export))
		write_progress(item_of(task));
	else if (export_submission_is_open(&task->export))
		write_look_up(item_of(task));
}

static const TaskHooks queue_hooks = {
	.before_submission = before_submission,
	.before_look_up = before_look_up,
	.progressed = progressed,
};

/* ----------
 * Starting items
 * ----------
 */

static ExportGoal
goal_of(const Request *request)
{
	if (strcmp(request->state, "running") == 0)
		return GOAL_RESUME_JOB;
	if (strcmp(request->state, "submitting") == 0)
		return GOAL_RESUME_UNKNOWN;
	return GOAL_EXPORT;
}

/* Continue where the row says the export stands. */
static void
restore_progress(Export *export, const Request *request)
{
	if (request->job_id != NULL)
		strlcpy(export->job_id, request->job_id, JOB_ID_SIZE);
	export->polls = request->polls;

	/*
	 * The grace begins anew: the clock that the row's time was taken from may
	 * have been another machine's.
	 */
	export->submitted_at = http_now();
	export->has_baseline = request->n_known_jobs >= 0;
	for (int i = 0; i < request->n_known_jobs; i++)
		export_exclude_job(export, request->known_jobs[i]);
}

static Instant
first_request_at(const Request *request)
{
	TimestampTz now = GetCurrentTimestamp();

	if (TIMESTAMP_NOT_FINITE(request->next_poll_at) || request->next_poll_at <= now)
		return http_now();
	return http_now() + (request->next_poll_at - now);
}

static Task *
make_task(const Request *request)
{
	Task	   *task = engine_new_task();
	MemoryContext old_context = MemoryContextSwitchTo(task->context);
	Submission	submission = {
		.kind = export_kind_from_name(request->kind),
		.forecast_id = request->forecast_id,
		.time_period = request->time_period,
		.options = request->options,
	};
	ExportRules rules;

	task->account = account_load(request->server, request->requested_by);
	task->submit_interval = task->account->submit_interval;
	task->hooks = &queue_hooks;
	rules = account_export_rules(task->account);
	rules.give_way = true;
	rules.quota_reserve = task->account->quota_reserve;
	submission_prepare(task, goal_of(request), &rules, &submission);
	restore_progress(&task->export, request);
	MemoryContextSwitchTo(old_context);
	return task;
}

/*
 * Start to work on a request. Errors are the request's; until all has gone
 * well, the task belongs to the current memory context.
 */
static void
start_item(void *arg)
{
	const Request *request = arg;
	Task	   *task = make_task(request);
	Item	   *item = MemoryContextAllocZero(items_context, sizeof(Item));

	item->request_id = request->id;
	item->task = task;
	item->job_is_stored = request->job_id != NULL;
	task->owner = item;
	engine_add(task, first_request_at(request));
	dlist_push_tail(&items, &item->node);
	MemoryContextSetParent(task->context, items_context);
}

Item *
item_start(Request *request, MemoryContext context)
{
	ErrorData  *error;

	items_context = context;
	error = queue_try(start_item, request);
	if (error == NULL)
		return item_find(request->id);
	queue_fail(request->id, failure_of_error(error));
	return NULL;
}

/* ----------
 * Finishing items
 * ----------
 */

/* Whether a submission did not happen, for a reason that passes. */
static bool
is_held(const Task *task, HoldReason *reason)
{
	const Export *export = &task->export;

	if (export_may_have_job(export) || export->delivery == DELIVERY_NOT_TRUSTED)
		return false;
	switch (export->outcome)
	{
		case OUTCOME_RATE_LIMITED:
			*reason = HOLD_RATE_LIMITED;
			return true;
		case OUTCOME_QUEUE_FULL:
			*reason = HOLD_QUEUE_FULL;
			return true;
		case OUTCOME_QUOTA_EXHAUSTED:
			*reason = HOLD_QUOTA;
			return true;
		case OUTCOME_UNAVAILABLE:
			*reason = HOLD_UNAVAILABLE;
			return true;
		default:
			return false;
	}
}

/* Fail a request, and count that. */
static QueueUpdate
fail(const Item *item, const Failure *failure)
{
	QueueUpdate update = queue_fail(item->request_id, failure);

	if (update == QUEUE_UPDATED)
		stat_add_end(item->task->account->server_id, failure->sqlstate);
	return update;
}

typedef struct Ending
{
	const Item *item;
	QueueUpdate update;
} Ending;

/* Store the result; whatever jsonb or the table refuse is the request's error. */
static void
store_result(void *arg)
{
	Ending	   *ending = arg;
	const Task *task = ending->item->task;
	Failure    *failure;
	Jsonb	   *result = result_of_export(task, &failure);

	if (failure != NULL)
	{
		ending->update = fail(ending->item, failure);
		return;
	}
	ending->update = queue_done(ending->item->request_id, &task->export, result);
	if (ending->update == QUEUE_UPDATED)
		stat_add_end(task->account->server_id, 0);
}

static QueueUpdate
store_ending(Item *item)
{
	const Task *task = item->task;
	Ending		ending = {.item = item};
	ErrorData  *error;
	HoldReason	reason;

	if (task->export.outcome == OUTCOME_NONE)
		return QUEUE_UPDATED;
	if (is_held(task, &reason))
	{
		give_back(item);
		return queue_hold(item->request_id, hold_reason_name(reason), timestamp_of(task->due));
	}
	if (task->export.outcome != OUTCOME_DONE)
		return fail(item, failure_of_task(task));

	error = queue_try(store_result, &ending);
	return error == NULL ? ending.update : fail(item, failure_of_error(error));
}

/*
 * Write what a finished task came to, and forget the item. A row that is
 * locked is tried again later; one that moved on (cancelled) is left alone.
 * Returns whether the item is gone.
 */
static bool
finish_item(Item *item)
{
	QueueUpdate update = QUEUE_MOVED_ON;

	if (!item->job_is_stored && export_may_have_job(&item->task->export))
		write_progress(item);
	if (queue_begin())
	{
		update = store_ending(item);
		queue_commit("finish", true);
	}

	if (update == QUEUE_LOCKED)
	{
		item->write_again_at = http_now() + TRY_AGAIN_AFTER;
		return false;
	}
	item_remove(item);
	wake_waiters();
	return true;
}

/* Whether an item has to be written again, now. */
static bool
is_due_to_write(const Item *item)
{
	return item->write_again_at == 0 || http_now() >= item->write_again_at;
}

bool
items_finish(void)
{
	dlist_mutable_iter iter;
	bool		any_removed = false;

	dlist_foreach_modify(iter, &items)
	{
		Item	   *item = dlist_container(Item, node, iter.cur);

		if (task_is_finished(item->task) && is_due_to_write(item))
			any_removed |= finish_item(item);
		else if (item->write_again_at != 0 && is_due_to_write(item))
			write_progress(item);
	}
	return any_removed;
}

int
items_given_back(void)
{
	int			n = given_back;

	given_back = 0;
	return n;
}

Instant
items_next_write(void)
{
	dlist_iter	iter;
	Instant		next = INSTANT_NEVER;

	dlist_foreach(iter, &items)
	{
		Item	   *item = dlist_container(Item, node, iter.cur);

		if (item->write_again_at != 0)
			next = instant_earlier(next, item->write_again_at);
	}
	return next;
}
