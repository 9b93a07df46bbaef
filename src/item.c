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

#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "clock.h"
#include "fault.h"
#include "item.h"
#include "log.h"
#include "outcome.h"
#include "remember.h"
#include "stat.h"
#include "submission.h"
#include "wake.h"

/* When a row is locked by somebody, look at it again. */
#define TRY_AGAIN_AFTER		SECONDS(1)

/* When a request cannot be started, for a reason that passes. */
#define START_AGAIN_AFTER	SECONDS(5)

/* When the database has an error, try again after 1 s, 2 s, 4 s ... 60 s. */
static const Backoff patience = {.base = SECONDS(1),.multiplier = 2,.max = SECONDS(60)};

dlist_head	items = DLIST_STATIC_INIT(items);
static MemoryContext items_context = NULL;
static HTAB *items_by_id = NULL;
static int	given_back = 0;

static Item *
item_of(const Task *task)
{
	return (Item *) task->owner;
}

typedef struct ItemById
{
	int64		request_id;		/* the key */
	Item	   *item;
} ItemById;

static HTAB *
get_items_by_id(void)
{
	HASHCTL		control = {.keysize = sizeof(int64),.entrysize = sizeof(ItemById)};

	if (items_by_id == NULL)
		items_by_id = hash_create("clari_export items", 64, &control, HASH_ELEM | HASH_BLOBS);
	return items_by_id;
}

static void
item_insert(Item *item)
{
	ItemById   *entry = hash_search(get_items_by_id(), &item->request_id, HASH_ENTER, NULL);

	entry->item = item;
	dlist_push_tail(&items, &item->node);
}

void
item_remove(Item *item)
{
	hash_search(get_items_by_id(), &item->request_id, HASH_REMOVE, NULL);
	dlist_delete(&item->node);
	engine_remove(item->task);
	pfree(item);
}

Item *
item_find(int64 request_id)
{
	ItemById   *entry = hash_search(get_items_by_id(), &request_id, HASH_FIND, NULL);

	return entry != NULL ? entry->item : NULL;
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

/* ----------
 * Writing rows, whatever the database says to it
 * ----------
 */

/* What is written in one transaction, and what came of it. */
typedef struct RowWrite
{
	Item	   *item;
	QueueUpdate update;
	int			sqlstate;		/* of the request's end */
} RowWrite;

typedef struct Delay
{
	int64		request_id;
	TimestampTz until;
	const char *message;
} Delay;

static void
write_delay(void *arg)
{
	Delay	   *delay = arg;

	queue_delay(delay->request_id, delay->until, delay->message);
}

/* A task raised an error that its request has to end with. */
static void
doom(Item *item, const ErrorData *error)
{
	MemoryContext old_context = MemoryContextSwitchTo(item->task->context);

	item->failure = failure_of_error(error);
	MemoryContextSwitchTo(old_context);
	item->task->action.finished = true;
	item->write_again_at = clock_now();
}

/*
 * The database refused to write an item's row. An error that may pass puts it
 * off; any other is the request's end, and if that cannot be written either,
 * it is tried again all the same.
 */
static void
suffer(Item *item, const ErrorData *error)
{
	Duration	wait = backoff_delay(&patience, item->errors++);
	Delay		delay = {item->request_id, timestamp_of(clock_now() + wait), error->message};

	log_now_and_then(psprintf("request " INT64_FORMAT " cannot be written: %s",
							  item->request_id, error->message));
	item->write_again_at = clock_now() + wait;
	if (queue_error_may_pass(error))
		queue_run("delay", false, write_delay, &delay);
	else if (item->failure == NULL)
		doom(item, error);
}

/*
 * Write an item's row. QUEUE_LOCKED stands for every write that is to be tried
 * again when write_again_at comes.
 */
static QueueUpdate
write_row(RowWrite *row, const char *step, bool durable, void (*write) (void *))
{
	Item	   *item = row->item;
	ErrorData  *error = queue_run(step, durable, write, row);

	if (error != NULL)
	{
		suffer(item, error);
		return QUEUE_LOCKED;
	}
	if (row->update == QUEUE_LOCKED)
		item->write_again_at = clock_now() + TRY_AGAIN_AFTER;
	else
	{
		item->errors = 0;
		item->write_again_at = 0;
	}
	return row->update;
}

/* ----------
 * The task's hooks: what is written while an export goes on
 * ----------
 */

static void
write_submitting(void *arg)
{
	RowWrite   *row = arg;

	row->update = queue_submitting(row->item->request_id, &row->item->task->export);
}

/*
 * Step 1 of a submission: whoever finds the row knows that it may be sent. If
 * it cannot be written now, others of the lane go first.
 */
static bool
before_submission(Task *task)
{
	RowWrite	row = {.item = item_of(task),.update = QUEUE_MOVED_ON};
	QueueUpdate update = write_row(&row, "submitting", true, write_submitting);

	if (update == QUEUE_LOCKED)
	{
		lane_close(&task->ticket, false);
		give_back(row.item);
	}
	return update == QUEUE_UPDATED;
}

static void
exclude_owned_jobs(void *arg)
{
	RowWrite   *row = arg;

	queue_exclude_owned_jobs(row->item->request_id, &row->item->task->export);
}

/* Whose jobs the others are is not known without the table: then none is ours. */
static void
before_look_up(Task *task)
{
	RowWrite	row = {.item = item_of(task)};

	if (queue_run("look_up", false, exclude_owned_jobs, &row) != NULL)
		task->export.contested = true;
}

static void
read_account_again(void *arg)
{
	engine_reload_account((Task *) arg);
}

/* An account that cannot be read stays as it was, and is refused again. */
static void
reload_account(Task *task)
{
	(void) queue_run("reload", false, read_account_again, task);
}

/* The word for what the task's next request waits for, if Clari held it. */
static const char *
hold_reason_of(const Task *task)
{
	return task->action.hold == HOLD_RATE_LIMITED ? hold_reason_name(HOLD_RATE_LIMITED) : NULL;
}

static void
write_job(void *arg)
{
	RowWrite   *row = arg;
	const Task *task = row->item->task;
	TimestampTz next_poll_at = timestamp_of(task->due);

	if (row->item->job_is_stored)
		row->update = queue_polled(row->item->request_id, &task->export, next_poll_at, hold_reason_of(task));
	else
		row->update = queue_running(row->item->request_id, &task->export, next_poll_at);
}

/* Step 3 of a submission, and every poll after it. */
static void
write_progress(Item *item)
{
	RowWrite	row = {.item = item,.update = QUEUE_MOVED_ON};
	const char *step = item->job_is_stored ? "poll" : "running";

	switch (write_row(&row, step, !item->job_is_stored, write_job))
	{
		case QUEUE_UPDATED:
			item->job_is_stored = true;
			break;
		case QUEUE_LOCKED:
			break;
		case QUEUE_MOVED_ON:
			item_abandon(item);
			break;
	}
}

static void
write_lost(void *arg)
{
	RowWrite   *row = arg;
	const Task *task = row->item->task;

	row->update = queue_looked_up(row->item->request_id, timestamp_of(task->due), hold_reason_of(task));
}

/* After a lost reply: the submission is under way no more. */
static void
write_look_up(Item *item)
{
	RowWrite	row = {.item = item,.update = QUEUE_MOVED_ON};

	write_row(&row, "lost", false, write_lost);
}

static void
write_refused(void *arg)
{
	RowWrite   *row = arg;
	const Task *task = row->item->task;

	row->update = queue_put_back(row->item->request_id, &task->export, hold_reason_of(task),
								 timestamp_of(task->due));
}

/* Clari said no to a submission for now: nothing is under way until the next try. */
static void
write_rate_limit(Item *item)
{
	RowWrite	row = {.item = item,.update = QUEUE_MOVED_ON};

	if (write_row(&row, "refused", false, write_refused) == QUEUE_MOVED_ON)
		item_abandon(item);
}

static void
progressed(Task *task)
{
	if (task_is_finished(task))
		return;
	if (export_may_have_job(&task->export))
		write_progress(item_of(task));
	else if (task->action.submits && task->action.hold == HOLD_RATE_LIMITED)
		write_rate_limit(item_of(task));
	else if (export_submission_is_open(&task->export))
		write_look_up(item_of(task));
}

/* The task itself ran into an error, between two writes. */
static void
failed(Task *task, const ErrorData *error)
{
	doom(item_of(task), error);
}

typedef struct ResultRead
{
	Task	   *task;
	const Reply *reply;
	ResultReading reading;
} ResultRead;

static void
read_in_transaction(void *arg)
{
	ResultRead *read = arg;

	read->reading = task_read_result(read->task, read->reply);
}

/*
 * A conversion of its text needs a transaction. What goes wrong with the
 * database meanwhile is met again, and suffered, when the result is stored.
 */
static ResultReading
read_result(Task *task, const Reply *reply)
{
	ResultRead	read = {task, reply, RESULT_NOT_READ};

	return queue_run("result", false, read_in_transaction, &read) == NULL ? read.reading : RESULT_NOT_READ;
}

static const TaskHooks queue_hooks = {
	.read_result = read_result,
	.failed = failed,
	.reload_account = reload_account,
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

static int64
unix_milliseconds(TimestampTz time)
{
	return time / 1000 + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;
}

/* Continue where the row says the export stands. */
static void
restore_progress(Export *export, const Request *request)
{
	if (request->job_id != NULL)
		strlcpy(export->job_id, request->job_id, JOB_ID_SIZE);
	export->polls = request->polls;
	export->doubts_job = request->retried;
	export->lost_submissions = request->lost_submissions;
	export->asks_limits = request->hold_reason != NULL &&
		(strcmp(request->hold_reason, hold_reason_name(HOLD_QUEUE_FULL)) == 0 ||
		 strcmp(request->hold_reason, hold_reason_name(HOLD_QUOTA)) == 0);
	if (!TIMESTAMP_NOT_FINITE(request->posted_at))
		export->post_began = unix_milliseconds(request->posted_at);

	/*
	 * The grace begins anew: the clock that the row's time was taken from may
	 * have been another machine's.
	 */
	export->submitted_at = clock_now();
	export->has_baseline = request->n_known_jobs >= 0;
	for (int i = 0; i < request->n_known_jobs; i++)
		export_exclude_job(export, request->known_jobs[i]);
}

/*
 * When the row says that the next request is due. If the clock was set back
 * since, that is no reason to wait longer than between two polls; what Clari
 * told the key to wait is the lane's business.
 */
static Instant
first_request_at(const Request *request, Duration longest)
{
	TimestampTz now = GetCurrentTimestamp();

	if (TIMESTAMP_NOT_FINITE(request->next_poll_at) || request->next_poll_at <= now)
		return clock_now();
	return clock_now() + instant_earlier(request->next_poll_at - now, longest);
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
	engine_add(task, first_request_at(request, task->account->poll_backoff.max));
	item_insert(item);
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
	if (queue_error_may_pass(error))
		queue_delay(request->id, timestamp_of(clock_now() + START_AGAIN_AFTER), error->message);
	else
		queue_fail(request->id, NULL, failure_of_error(error));
	return NULL;
}

/* ----------
 * Finishing items
 * ----------
 */

static void
write_failure(RowWrite *row, const Failure *failure)
{
	row->update = queue_fail(row->item->request_id, &row->item->task->export, failure);
	row->sqlstate = failure->sqlstate;
}

/* Store the result, unless it is none. */
static void
write_result(RowWrite *row)
{
	Task	   *task = row->item->task;
	Failure    *failure;
	Jsonb	   *result = result_of_task(task, &failure);

	if (failure != NULL)
		write_failure(row, failure);
	else
		row->update = queue_done(row->item->request_id, &task->export, result);
	if (failure == NULL && row->update == QUEUE_UPDATED && task->account->keeps_history)
		remember_snapshot(row->item->request_id, result);
}

static void
write_ending(void *arg)
{
	RowWrite   *row = arg;
	Item	   *item = row->item;
	const Task *task = item->task;

	if (item->failure != NULL)
		write_failure(row, item->failure);
	else if (item->fetches_again)
		row->update = queue_polled(item->request_id, &task->export, GetCurrentTimestamp(), NULL);
	else if (task->action.postponed)
		row->update = queue_put_back(item->request_id, &task->export,
									 hold_reason_name(task->action.hold), timestamp_of(task->due));
	else if (task->export.outcome == OUTCOME_DONE)
		write_result(row);
	else
		write_failure(row, failure_of_task(task));
}

/* Whether a finished item has an end to be written: it was not let go of. */
static bool
has_ending(const Item *item)
{
	return item->failure != NULL || item->task->export.outcome != OUTCOME_NONE;
}

/* Whether the request of a finished item is queued again. */
static bool
goes_on_later(const Item *item)
{
	return item->failure == NULL && item->task->action.postponed;
}

/* Returns false if the end is still to be written. */
static bool
finish_row(Item *item)
{
	RowWrite	row = {.item = item,.update = QUEUE_MOVED_ON};

	if (!item->job_is_stored && export_may_have_job(&item->task->export))
		write_progress(item);
	if (!has_ending(item))
		return true;
	if (write_row(&row, "finish", true, write_ending) == QUEUE_LOCKED)
	{
		/* Somebody's transaction holds the row, for as long as it likes. */
		if (row.update == QUEUE_LOCKED && engine_give_room(item->task))
			item->fetches_again = true;
		return false;
	}
	if (item->fetches_again)
		return true;
	if (goes_on_later(item))
		give_back(item);
	else if (row.update == QUEUE_UPDATED)
		stat_add_end(item->task->account->server_id, row.sqlstate);
	return true;
}

/*
 * Write what a finished task came to, and forget the item. A row that cannot
 * be written is tried again later; one that moved on (cancelled) is left
 * alone. Returns whether the item is gone.
 */
static bool
finish_item(Item *item)
{
	if (!finish_row(item))
		return false;
	item_remove(item);
	wake_waiters();
	return true;
}

/* Whether an item has to be written again, now. */
static bool
is_due_to_write(const Item *item)
{
	return item->write_again_at == 0 || clock_now() >= item->write_again_at;
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
