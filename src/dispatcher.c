/*
 * dispatcher.c
 *		Works through the request queue: which request goes next, and what
 *		becomes of it.
 *
 * An item is a request that is being worked on: its task (engine.h) asks Clari,
 * and what comes of it is written to the request's row, in a transaction that
 * is over before the next request to Clari goes out. The order in which a
 * submission is written is what makes it happen once:
 *
 *		commit "submitting"  ->  POST  ->  commit "running" with the job id
 *
 * A lane whose requests are ours to work on (lane_drive) has no other process
 * at work in this database. So a row that is found submitting or running, and
 * is none of our items, was left behind by one that is gone: it is taken up
 * where it stands. That is proof, not age, and needs no special start.
 */
#include "postgres.h"

#include <limits.h>

#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "dispatcher.h"
#include "engine.h"
#include "fault.h"
#include "result.h"
#include "settings.h"
#include "stat.h"
#include "submission.h"
#include "wake.h"

/* When a row is locked by somebody, or something failed that may pass. */
#define TRY_AGAIN_AFTER		SECONDS(1)

/* At the latest we look at a queue that holds something. */
#define LOOK_AT_LATEST		SECONDS(60)

typedef struct Item
{
	dlist_node	node;
	int64		request_id;
	Task	   *task;
	bool		claimed;		/* counts in requests_left */
	bool		job_is_stored;	/* the row is running and has the job's id */
	uint64		seen_in;		/* the last pass that saw it so */
	Instant		write_again_at; /* 0: the row is up to date */
} Item;

/* A lane we have requests in. */
typedef struct QueueLane
{
	dlist_node	node;
	uint8		key[LANE_KEY_SIZE];
	LaneTicket	ticket;
	List	   *accounts;		/* of the owners in this pass */
	List	   *owners;
	bool		has_waiting;	/* a request waits for its turn */
	Instant		reported_hold;	/* told to a request already */
} QueueLane;

static QueueScope scope;
static int	requests_left;
static dlist_head items = DLIST_STATIC_INIT(items);
static dlist_head lanes = DLIST_STATIC_INIT(lanes);
static MemoryContext dispatcher_context = NULL;
static MemoryContext pass_context = NULL;
static uint64 pass = 0;			/* looks at the queue, counted */
static Instant next_look = 0;
static TimestampTz next_due = DT_NOEND;
static TimestampTz next_held = DT_NOEND;

/* ----------
 * Items
 * ----------
 */

static Item *
item_of(const Task *task)
{
	return (Item *) task->owner;
}

static void
remove_item(Item *item)
{
	dlist_delete(&item->node);
	engine_remove(item->task);
	pfree(item);
	next_look = 0;				/* the lane may have room now */
}

static Item *
find_item(int64 request_id)
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

/* Work on a request no more, and write nothing. */
static void
abandon(Item *item)
{
	item->task->export.outcome = OUTCOME_NONE;
	item->task->action.finished = true;
}

/* A request did not get as far as its submission: it does not count. */
static void
give_back(Item *item)
{
	if (item->claimed)
		requests_left++;
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

static TimestampTz
timestamp_of(Instant instant)
{
	Duration	ahead = instant - http_now();

	/* Beyond what a timestamp can hold: a huge Retry-After. */
	if (instant == INSTANT_NEVER || ahead > END_TIMESTAMP - GetCurrentTimestamp() - SECONDS(1))
		return DT_NOEND;
	return GetCurrentTimestamp() + ahead;
}

/* queue_end(), where a crash test may end it all; step is what is written. */
static void
commit(const char *step, bool durable)
{
	FAULT_POINT("before_commit", step);
	queue_end(durable);
	FAULT_POINT("after_commit", step);
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
	commit("submitting", true);
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
	commit("look_up", false);
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
		update = queue_polled(item->request_id, &task->export, next_poll_at);
	commit(item->job_is_stored ? "poll" : "running", !item->job_is_stored);
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
			abandon(item);
			break;
	}
}

static void
progressed(Task *task)
{
	if (!task_is_finished(task) && export_may_have_job(&task->export))
		write_progress(item_of(task));
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

	task->account = account_load(request->server, get_role_oid(request->requested_by, false));
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
 * well, the task belongs to the pass.
 */
static void
start_item(void *arg)
{
	const Request *request = arg;
	Task	   *task = make_task(request);
	Item	   *item = MemoryContextAllocZero(dispatcher_context, sizeof(Item));

	item->request_id = request->id;
	item->task = task;
	item->job_is_stored = request->job_id != NULL;
	task->owner = item;
	engine_add(task, first_request_at(request));
	dlist_push_tail(&items, &item->node);
	MemoryContextSetParent(task->context, dispatcher_context);
}

static Failure *
failure_of_error(const ErrorData *error)
{
	Failure    *failure = failure_make(error->sqlerrcode, "%s", error->message);

	failure->detail = error->detail;
	failure->hint = error->hint;
	return failure;
}

/* Returns whether an item was started; a request that cannot be, fails. */
static bool
start_or_fail(Request *request)
{
	ErrorData  *error = queue_try(start_item, request);

	if (error != NULL)
		queue_fail(request->id, failure_of_error(error));
	return error == NULL;
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
 */
static void
finish_item(Item *item)
{
	QueueUpdate update = QUEUE_MOVED_ON;

	if (!item->job_is_stored && export_may_have_job(&item->task->export))
		write_progress(item);
	if (queue_begin())
	{
		update = store_ending(item);
		commit("finish", true);
	}

	if (update == QUEUE_LOCKED)
		item->write_again_at = http_now() + TRY_AGAIN_AFTER;
	else
	{
		remove_item(item);
		wake_waiters();
	}
}

/* Whether an item has to be written again, now. */
static bool
is_due_to_write(const Item *item)
{
	return item->write_again_at == 0 || http_now() >= item->write_again_at;
}

static void
finish_items(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &items)
	{
		Item	   *item = dlist_container(Item, node, iter.cur);

		if (task_is_finished(item->task) && is_due_to_write(item))
			finish_item(item);
		else if (item->write_again_at != 0 && is_due_to_write(item))
			write_progress(item);
	}
	MemoryContextReset(pass_context);
}

/* ----------
 * Lanes
 * ----------
 */

static QueueLane *
lane_of(const Account *account)
{
	dlist_iter	iter;
	QueueLane  *lane;

	dlist_foreach(iter, &lanes)
	{
		lane = dlist_container(QueueLane, node, iter.cur);
		if (memcmp(lane->key, account->lane_key, LANE_KEY_SIZE) == 0)
			return lane;
	}
	lane = MemoryContextAllocZero(dispatcher_context, sizeof(QueueLane));
	memcpy(lane->key, account->lane_key, LANE_KEY_SIZE);
	lane_open(&lane->ticket, account);
	dlist_push_tail(&lanes, &lane->node);
	return lane;
}

static void
remove_lane(QueueLane *lane)
{
	dlist_delete(&lane->node);
	lane_close(&lane->ticket, false);
	pfree(lane);
}

static bool
has_items(const QueueLane *lane)
{
	dlist_iter	iter;

	dlist_foreach(iter, &items)
	{
		Item	   *item = dlist_container(Item, node, iter.cur);

		if (memcmp(item->task->account->lane_key, lane->key, LANE_KEY_SIZE) == 0)
			return true;
	}
	return false;
}

/*
 * Whether a request of ours is on its way to being submitted: the lane's next
 * one starts after that. One whose row is locked is not.
 */
static bool
is_submitting(const QueueLane *lane)
{
	dlist_iter	iter;

	dlist_foreach(iter, &items)
	{
		Item	   *item = dlist_container(Item, node, iter.cur);

		if (!item->job_is_stored && !task_is_finished(item->task) &&
			memcmp(item->task->account->lane_key, lane->key, LANE_KEY_SIZE) == 0)
			return true;
	}
	return false;
}

/* Lanes without requests are left to whoever has some. */
static void
remove_empty_lanes(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &lanes)
	{
		QueueLane  *lane = dlist_container(QueueLane, node, iter.cur);

		if (lane->owners == NIL && !has_items(lane))
			remove_lane(lane);
	}
}

typedef struct OwnerLookup
{
	RequestOwner *owner;
	Account    *account;
} OwnerLookup;

static void
look_up_account(void *arg)
{
	OwnerLookup *lookup = arg;

	lookup->account = account_load(lookup->owner->server, get_role_oid(lookup->owner->role, false));
}

/* A key file that cannot be read just now may be there in a moment. */
static bool
may_pass(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category != ERRCODE_TO_CATEGORY(ERRCODE_UNDEFINED_OBJECT) &&
		category != ERRCODE_DATA_EXCEPTION &&
		category != ERRCODE_TO_CATEGORY(ERRCODE_FDW_INVALID_OPTION_NAME);
}

/* Find each owner's lane; requests of an owner who has no account fail. */
static void
sort_into_lanes(List *owners)
{
	ListCell   *cell;

	foreach(cell, owners)
	{
		OwnerLookup lookup = {.owner = lfirst(cell)};
		ErrorData  *error = queue_try(look_up_account, &lookup);
		QueueLane  *lane;

		if (error != NULL)
		{
			ereport(LOG,
					(errmsg("clari_export: requests of role \"%s\" on server \"%s\" cannot be exported: %s",
							lookup.owner->role, lookup.owner->server, error->message)));
			if (!may_pass(error))
				queue_fail_owner(lookup.owner, failure_of_error(error));
			continue;
		}
		lane = lane_of(lookup.account);
		lane->ticket.limits = account_lane_limits(lookup.account);
		lane->owners = lappend(lane->owners, lookup.owner);
		lane->accounts = lappend(lane->accounts, lookup.account);
	}
}

/*
 * Take up what another process left behind in a lane that is ours. Of our own
 * items, note which are still as we left them.
 */
static void
take_up_left_behind(QueueLane *lane)
{
	ListCell   *owner;

	foreach(owner, lane->owners)
	{
		List	   *active = queue_active(lfirst(owner));
		ListCell   *cell;

		foreach(cell, active)
		{
			Request    *request = lfirst(cell);
			Item	   *item = find_item(request->id);

			if (item != NULL)
				item->seen_in = pass;
			else if (start_or_fail(request))
				find_item(request->id)->seen_in = pass;
		}
	}
}

/* Whether request a with its priority goes before b. */
static bool
goes_first(const Request *a, int a_priority, TimestampTz a_run_after,
		   const Request *b, int b_priority, TimestampTz b_run_after)
{
	if (b == NULL || a_priority != b_priority)
		return b == NULL || a_priority > b_priority;
	if (a_run_after != b_run_after)
		return a_run_after < b_run_after;
	return a->id < b->id;
}

/* The owner's first due request of those that we do not work on yet, or NULL. */
static Request *
first_unclaimed(const RequestOwner *owner, int *priority, TimestampTz *run_after)
{
	int64	   *claimed = palloc((Size) dispatcher_running() * sizeof(int64));
	int			n = 0;
	dlist_iter	iter;

	dlist_foreach(iter, &items)
	{
		Item	   *item = dlist_container(Item, node, iter.cur);

		if (!item->job_is_stored)
			claimed[n++] = item->request_id;
	}
	return queue_first_due(owner, claimed, n, priority, run_after);
}

/* The lane's next request; NULL if none is due, or their servers are paused. */
static Request *
next_request(const QueueLane *lane)
{
	Request    *best = NULL;
	int			best_priority = 0;
	TimestampTz best_run_after = 0;
	ListCell   *owner;
	ListCell   *its_account;

	forboth(owner, lane->owners, its_account, lane->accounts)
	{
		int			priority;
		TimestampTz run_after;
		Request    *request;

		if (((Account *) lfirst(its_account))->paused)
			continue;
		request = first_unclaimed(lfirst(owner), &priority, &run_after);
		if (request == NULL ||
			!goes_first(request, priority, run_after, best, best_priority, best_run_after))
			continue;
		best = request;
		best_priority = priority;
		best_run_after = run_after;
	}
	return best;
}

/* Tell the next request why it waits, unless that is only its turn. */
static void
report_hold(QueueLane *lane, const Request *request, LaneVerdict verdict)
{
	switch (verdict.reason)
	{
		case HOLD_RATE_LIMITED:
		case HOLD_QUEUE_FULL:
		case HOLD_QUOTA:
		case HOLD_UNAVAILABLE:
			if (verdict.until > lane->reported_hold)
				queue_hold(request->id, hold_reason_name(verdict.reason), timestamp_of(verdict.until));
			lane->reported_hold = verdict.until;
			break;
		default:
			break;
	}
}

/* Tell the first request of each owner whose server is paused. */
static void
report_pauses(const QueueLane *lane)
{
	const char *paused = hold_reason_name(HOLD_PAUSED);
	ListCell   *owner;
	ListCell   *its_account;

	forboth(owner, lane->owners, its_account, lane->accounts)
	{
		int			priority;
		TimestampTz run_after;
		Request    *request;

		if (!((Account *) lfirst(its_account))->paused)
			continue;
		request = first_unclaimed(lfirst(owner), &priority, &run_after);
		if (request != NULL && (request->hold_reason == NULL || strcmp(request->hold_reason, paused) != 0))
			queue_hold(request->id, paused, DT_NOBEGIN);
	}
}

/*
 * Start what the lane has room for. Returns when to look again: its hold ends,
 * or never by itself.
 */
static Instant
start_next(QueueLane *lane)
{
	report_pauses(lane);
	lane->has_waiting = false;
	while (requests_left > 0)
	{
		Request    *request = next_request(lane);
		LaneVerdict verdict = lane_look(&lane->ticket);

		if (request == NULL)
			return INSTANT_NEVER;
		if (is_submitting(lane))
			verdict = (LaneVerdict) {HOLD_UNKNOWN_SUBMISSION, INSTANT_NEVER};
		if (verdict.reason != HOLD_NONE)
		{
			report_hold(lane, request, verdict);
			lane->has_waiting = true;
			return verdict.until;
		}
		if (start_or_fail(request))
		{
			find_item(request->id)->claimed = true;
			requests_left--;
		}
	}
	return INSTANT_NEVER;
}

/* ----------
 * Looking at the queue
 * ----------
 */

/* Requests that are running no more, though we did not end them: cancelled. */
static void
drop_moved_on(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &items)
	{
		Item	   *item = dlist_container(Item, node, iter.cur);

		if (item->job_is_stored && item->seen_in != pass)
		{
			abandon(item);
			item->write_again_at = 0;
		}
	}
}

/* The extension is gone, and with it every request. */
static void
abandon_all(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &items)
		abandon(dlist_container(Item, node, iter.cur));
}

static void
work_on_lanes(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &lanes)
	{
		QueueLane  *lane = dlist_container(QueueLane, node, iter.cur);

		if (!lane_drive(&lane->ticket))
			continue;
		take_up_left_behind(lane);
		next_look = instant_earlier(next_look, start_next(lane));
	}
}

static void
forget_pass(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &lanes)
	{
		QueueLane  *lane = dlist_container(QueueLane, node, iter.cur);

		lane->owners = NIL;
		lane->accounts = NIL;
	}
	MemoryContextReset(pass_context);
}

static Instant
instant_of(TimestampTz time)
{
	return TIMESTAMP_NOT_FINITE(time) ? INSTANT_NEVER :
		http_now() + Max(time - GetCurrentTimestamp(), 0);
}

static void
look_at_queue(void)
{
	List	   *owners;

	pass++;
	next_look = INSTANT_NEVER;
	next_due = next_held = DT_NOEND;
	if (queue_begin())
	{
		owners = queue_owners(&scope);
		sort_into_lanes(owners);
		work_on_lanes();
		drop_moved_on();
		next_due = queue_next_due(&scope, &next_held);
		next_look = instant_earlier(next_look, instant_of(next_due));
		if (owners != NIL)
			next_look = instant_earlier(next_look, http_now() + LOOK_AT_LATEST);
		commit("look", false);
	}
	else
		abandon_all();
	remove_empty_lanes();
	forget_pass();
}

/* ----------
 * What the worker and drain call
 * ----------
 */

void
dispatcher_start(const QueueScope *requests_in_scope, int max_requests)
{
	dispatcher_context = AllocSetContextCreate(TopMemoryContext, "clari_export dispatcher",
											   ALLOCSET_DEFAULT_SIZES);
	pass_context = AllocSetContextCreate(dispatcher_context, "clari_export pass",
										 ALLOCSET_DEFAULT_SIZES);
	scope = *requests_in_scope;
	requests_left = max_requests;
	next_look = 0;
}

static Instant
next_write(void)
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

/* Whether a lane would let a request of ours go on only when it changes. */
static bool
waits_for_lanes(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &lanes)
	{
		QueueLane  *lane = dlist_container(QueueLane, node, iter.cur);

		if (lane->has_waiting || !lane->ticket.driving)
			return true;
	}
	return false;
}

/* Look at the queue again if a lane that was closed to us is open now. */
static void
notice_open_lanes(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &lanes)
	{
		QueueLane  *lane = dlist_container(QueueLane, node, iter.cur);

		if ((!lane->ticket.driving && lane_drive(&lane->ticket)) ||
			(lane->has_waiting && !is_submitting(lane) && lane_look(&lane->ticket).reason == HOLD_NONE))
			next_look = 0;
	}
}

void
dispatcher_step(Instant until, bool look)
{
	MemoryContext old_context = MemoryContextSwitchTo(pass_context);

	/* After a look the caller may have something to tell, or nothing to wait for. */
	if (look || http_now() >= next_look)
	{
		look_at_queue();
		until = http_now();
	}
	engine_step(instant_earlier(until, instant_earlier(next_look, next_write())), waits_for_lanes());
	finish_items();
	notice_open_lanes();
	MemoryContextSwitchTo(old_context);
}

void
dispatcher_prune(void)
{
	Duration	retention = settings_request_retention();

	if (retention == 0 || !queue_begin())
		return;
	queue_prune(&scope, retention);
	queue_end(false);
}

int
dispatcher_running(void)
{
	dlist_iter	iter;
	int			n = 0;

	dlist_foreach(iter, &items)
		n++;
	return n;
}

Instant
dispatcher_idle_until(bool scheduled)
{
	dlist_iter	iter;

	if (!dlist_is_empty(&items) || next_look == 0)
		return 0;
	dlist_foreach(iter, &lanes)
		if (dlist_container(QueueLane, node, iter.cur)->has_waiting && requests_left > 0)
			return 0;
	return requests_left > 0 ? instant_of(scheduled ? next_due : next_held) : INSTANT_NEVER;
}

bool
dispatcher_is_submitting(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &items)
	{
		const Task *task = dlist_container(Item, node, iter.cur)->task;

		if (task->transfer != NULL && !task_is_finished(task) && task->action.request == REQUEST_SUBMIT)
			return true;
	}
	return false;
}

void
dispatcher_stop(void)
{
	dlist_mutable_iter iter;

	if (dispatcher_context == NULL)
		return;
	dlist_foreach_modify(iter, &items)
		remove_item(dlist_container(Item, node, iter.cur));
	dlist_foreach_modify(iter, &lanes)
		remove_lane(dlist_container(QueueLane, node, iter.cur));
	MemoryContextDelete(dispatcher_context);
	dispatcher_context = NULL;
}
