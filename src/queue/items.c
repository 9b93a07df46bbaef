/*
 * items.c
 *		The requests that are being worked on.
 *
 * A task (engine.h) asks Clari for each, and what comes of it is written to the
 * request's row, in a transaction that is over before the next request to
 * Clari goes out. The order in which a submission is written is what makes it
 * happen once:
 *
 *		commit "submitting"  ->  POST  ->  commit "running" with the job id
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "clari/outcome.h"
#include "clari/stat.h"
#include "clari/submission.h"
#include "clock.h"
#include "fault.h"
#include "log.h"
#include "queue/home.h"
#include "queue/durations.h"
#include "queue/item_row.h"
#include "queue/items.h"

/* When a request cannot be started, for a reason that passes. */
#define START_AGAIN_AFTER	SECONDS(5)

static dlist_head items = DLIST_STATIC_INIT(items);
static MemoryContext items_context = NULL;
static HTAB *items_by_id = NULL;
static dlist_head with_news = DLIST_STATIC_INIT(with_news);
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

/* A request did not get as far as its submission: it does not count. */
static void
give_back(Item *item)
{
	if (item->claimed)
		given_back++;
	item->claimed = false;
}

void
item_remove(Item *item)
{
	if (item->task->action.postponed)
		give_back(item);
	if (item->has_news)
		dlist_delete(&item->news_node);
	hash_search(get_items_by_id(), &item->request_id, HASH_REMOVE, NULL);
	dlist_delete(&item->node);
	row_forget(item);
	engine_remove(item->task);
	pfree(item);
}

Item *
item_find(int64 request_id)
{
	ItemById   *entry = hash_search(get_items_by_id(), &request_id, HASH_FIND, NULL);

	return entry != NULL ? entry->item : NULL;
}

Item *
item_next_with_news(void)
{
	Item	   *item;

	if (dlist_is_empty(&with_news))
		return NULL;
	item = dlist_container(Item, news_node, dlist_pop_head_node(&with_news));
	item->has_news = false;
	return item;
}

Item *
item_next(Item *item)
{
	if (item == NULL)
		return dlist_is_empty(&items) ? NULL : dlist_head_element(Item, node, &items);
	if (!dlist_has_next(&items, &item->node))
		return NULL;
	return dlist_container(Item, node, dlist_next_node(&items, &item->node));
}

int
item_count(void)
{
	return items_by_id != NULL ? (int) hash_get_num_entries(items_by_id) : 0;
}

/* ----------
 * The task's hooks: what happens to the row while an export goes on
 * ----------
 */

/*
 * Step 1 of a submission: whoever finds the row knows that it may be sent. If
 * it cannot be written now, others of the lane go first.
 */
static bool
before_submission(Task *task)
{
	bool		try_again;
	bool		committed = row_commit_submission(item_of(task), &try_again);

	if (try_again)
	{
		lane_close(&task->ticket, false);
		give_back(item_of(task));
	}
	return committed;
}

static void
exclude_owned_jobs(void *arg)
{
	Item	   *item = arg;

	queue_exclude_owned_jobs(item->request_id, &item->task->export);
}

/* Whose jobs the others are is not known without the table: then none is ours. */
static void
before_look_up(Task *task)
{
	if (queue_run("look_up", false, exclude_owned_jobs, item_of(task)) != NULL)
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

static void
note_news(Item *item)
{
	if (!item->has_news)
		dlist_push_tail(&with_news, &item->news_node);
	item->has_news = true;
}

/*
 * Step 3 of a submission, and every poll after it; also a submission that
 * Clari refused for now, or whose reply was lost.
 */
static void
progressed(Task *task)
{
	if (task_is_finished(task) || export_may_have_job(&task->export) ||
		export_submission_is_open(&task->export) || task->export.step == STEP_EXPLAIN_REFUSAL ||
		(task->action.submits && task->action.hold == HOLD_RATE_LIMITED))
		row_note(item_of(task));
	if (task_is_finished(task) || (item_of(task)->is_starting && export_may_have_job(&task->export)))
		note_news(item_of(task));
}

/* The task itself ran into an error, between two writes. */
static void
failed(Task *task, const ErrorData *error)
{
	row_doom(item_of(task), error);
	note_news(item_of(task));
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
	task->submit_interval = task->account->options.submit_interval;
	task->hooks = &queue_hooks;
	rules = account_export_rules(task->account);
	rules.give_way = true;
	rules.quota_reserve = task->account->options.quota_reserve;
	submission_prepare(task, goal_of(request), &rules, &submission);
	restore_progress(&task->export, request);
	durations_plan(task, &submission);
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
	Task	   *task;
	Item	   *item;

	home_check(request->id, request->made_in);
	task = make_task(request);
	item = MemoryContextAllocZero(items_context, sizeof(Item));
	item->request_id = request->id;
	item->task = task;
	item->job_is_stored = request->job_id != NULL;
	item->shows_hold = request->hold_reason != NULL;
	task->owner = item;
	engine_add(task, first_request_at(request, task->account->options.poll_backoff.max));
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

int
items_given_back(void)
{
	int			n = given_back;

	given_back = 0;
	return n;
}
