/*
 * item_row.c
 *		What the rows of the requests that are worked on are told, and when.
 */
#include "postgres.h"

#include "clari/outcome.h"
#include "clari/stat.h"
#include "clock.h"
#include "log.h"
#include "queue/durations.h"
#include "queue/item_row.h"
#include "queue/remember.h"

/* When a row is locked by somebody, look at it again. */
#define TRY_AGAIN_AFTER		SECONDS(1)

/* So old may be what a row says of the polls of its job. */
#define POLLS_WRITTEN_AFTER	SECONDS(2)

/* So many rows are told in one transaction: others' business waits meanwhile. */
#define ROWS_AT_ONCE		100
#define POLLS_AT_ONCE		500

/* When the database has an error, try again after 1 s, 2 s, 4 s ... 60 s. */
static const Backoff patience = {.base = SECONDS(1),.multiplier = 2,.max = SECONDS(60)};

static int	compare_times(const pairingheap_node *a, const pairingheap_node *b, void *arg);

static dlist_head to_write = DLIST_STATIC_INIT(to_write);
static pairingheap to_write_later = {.ph_compare = compare_times}; /* the first is on top */
static dlist_head with_polls = DLIST_STATIC_INIT(with_polls);	/* in the order of polls_since */
static dlist_head over = DLIST_STATIC_INIT(over);

/* What is written of one row, and what came of it. */
typedef struct RowWrite
{
	Item	   *item;
	QueueUpdate update;
	bool		stored_job;
	const char *hold_reason;	/* that it shows then */
	int			sqlstate;		/* of the request's end */
} RowWrite;

typedef struct RowWrites
{
	int			n;
	RowWrite	rows[ROWS_AT_ONCE];
} RowWrites;

/* ----------
 * Where an item waits
 * ----------
 */

static int
compare_times(const pairingheap_node *a, const pairingheap_node *b, void *arg pg_attribute_unused())
{
	Instant		time_a = pairingheap_const_container(Item, by_time, a)->write_again_at;
	Instant		time_b = pairingheap_const_container(Item, by_time, b)->write_again_at;

	return (time_a < time_b) - (time_a > time_b);
}

static void
stop_waiting(Item *item)
{
	if (item->row_state == ROW_TO_WRITE_LATER)
		pairingheap_remove(&to_write_later, &item->by_time);
	else if (item->row_state != ROW_UP_TO_DATE)
		dlist_delete(&item->row_node);
	item->row_state = ROW_UP_TO_DATE;
}

static void
write_later(Item *item, Duration wait)
{
	stop_waiting(item);
	item->write_again_at = clock_now() + wait;
	pairingheap_add(&to_write_later, &item->by_time);
	item->row_state = ROW_TO_WRITE_LATER;
}

static void
note_to_write(Item *item)
{
	if (item->row_state != ROW_UP_TO_DATE)
		return;
	dlist_push_tail(&to_write, &item->row_node);
	item->row_state = ROW_TO_WRITE;
}

static void
note_over(Item *item)
{
	stop_waiting(item);
	dlist_push_tail(&over, &item->row_node);
	item->row_state = ROW_OVER;
}

static void
forget_polls(Item *item)
{
	if (item->has_polls)
		dlist_delete(&item->polls_node);
	item->has_polls = false;
}

void
row_abandon(Item *item)
{
	item->task->export.outcome = OUTCOME_NONE;
	item->task->action.finished = true;
	note_over(item);
}

void
row_forget(Item *item)
{
	stop_waiting(item);
	forget_polls(item);
}

Item *
rows_next_over(void)
{
	return dlist_is_empty(&over) ? NULL : dlist_head_element(Item, row_node, &over);
}

/* ----------
 * What a row is told
 * ----------
 */

/* The word for what the task's next request waits for, if Clari held it. */
static const char *
hold_reason_of(const Task *task)
{
	return task->action.hold == HOLD_RATE_LIMITED ? hold_reason_name(HOLD_RATE_LIMITED) : NULL;
}

/* Whether a poll is all that happened, and nothing that users wait to see. */
static bool
has_only_polls(const Item *item)
{
	return item->job_is_stored && !task_is_finished(item->task) && !item->shows_hold &&
		hold_reason_of(item->task) == NULL;
}

void
row_note(Item *item)
{
	if (!has_only_polls(item))
		note_to_write(item);
	else if (!item->has_polls)
	{
		item->has_polls = true;
		item->polls_since = clock_now();
		dlist_push_tail(&with_polls, &item->polls_node);
	}
}

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
	if (failure != NULL || row->update != QUEUE_UPDATED)
		return;
	durations_note(row->item->request_id, &task->export.job);
	if (task->account->options.keeps_history)
		remember_snapshot(row->item->request_id, result);
}

/* Whether the request of a finished item is queued again. */
static bool
goes_on_later(const Item *item)
{
	return item->failure == NULL && item->task->action.postponed;
}

/* Whether a finished item has an end to be written: it was not let go of. */
static bool
has_ending(const Item *item)
{
	return item->failure != NULL || item->task->export.outcome != OUTCOME_NONE;
}

static void
write_ending(RowWrite *row)
{
	Item	   *item = row->item;
	const Task *task = item->task;

	if (!has_ending(item))
		row->update = QUEUE_MOVED_ON;
	else if (item->failure != NULL)
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

/*
 * Clari said no to a submission for now: nothing is under way until the next
 * try, and whoever finds the row need not look it up. Of a full job queue and a
 * used-up quota it is yet to say which: until then it is the former.
 */
static bool
write_refusal(RowWrite *row, TimestampTz next)
{
	const Task *task = row->item->task;

	if (task->action.submits && task->action.hold == HOLD_RATE_LIMITED)
		row->update = queue_put_back(row->item->request_id, &task->export, row->hold_reason, next);
	else if (task->export.step == STEP_EXPLAIN_REFUSAL)
		row->update = queue_put_back(row->item->request_id, &task->export,
									 hold_reason_name(HOLD_QUEUE_FULL), DT_NOBEGIN);
	else
		return false;
	return true;
}

/* Where an export that goes on stands. */
static void
write_progress(RowWrite *row)
{
	const Item *item = row->item;
	const Task *task = item->task;
	TimestampTz next = timestamp_of(task->due);

	row->hold_reason = hold_reason_of(task);
	if (item->job_is_stored)
		row->update = queue_polled(item->request_id, &task->export, next, row->hold_reason);
	else if (!row->stored_job && !write_refusal(row, next) && export_submission_is_open(&task->export))
		row->update = queue_looked_up(item->request_id, next, row->hold_reason);
}

/* Whether Clari took a job of which the row does not know yet; an error may be that it cannot be told so. */
static bool
has_new_job(const Item *item)
{
	return !item->job_is_stored && item->failure == NULL && export_may_have_job(&item->task->export);
}

static void
write_row(RowWrite *row)
{
	const Item *item = row->item;

	row->update = QUEUE_UPDATED;
	if (has_new_job(item))
	{
		row->update = queue_running(item->request_id, &item->task->export, timestamp_of(item->task->due));
		row->stored_job = row->update == QUEUE_UPDATED;
	}
	if (row->update != QUEUE_UPDATED)
		return;
	if (task_is_finished(item->task))
		write_ending(row);
	else
		write_progress(row);
}

static void
write_rows(void *arg)
{
	RowWrites  *writes = arg;

	for (int i = 0; i < writes->n; i++)
		write_row(&writes->rows[i]);
}

/* ----------
 * What came of it
 * ----------
 */

void
row_doom(Item *item, const ErrorData *error)
{
	MemoryContext old_context = MemoryContextSwitchTo(item->task->context);

	item->failure = failure_of_error(error);
	MemoryContextSwitchTo(old_context);
	item->task->action.finished = true;
	stop_waiting(item);
	row_note(item);
}

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
	write_later(item, wait);
	item->shows_hold = true;
	if (queue_error_may_pass(error))
		queue_run("delay", false, write_delay, &delay);
	else if (item->failure == NULL)
		row_doom(item, error);
}

/* A row was written, or is not ours any more, or is locked. */
static void
conclude(const RowWrite *row)
{
	Item	   *item = row->item;

	item->job_is_stored |= row->stored_job;
	if (row->update == QUEUE_LOCKED)
	{
		/* Somebody's transaction holds the row, for as long as it likes. */
		item->fetches_again |= task_is_finished(item->task) && engine_give_room(item->task);
		write_later(item, TRY_AGAIN_AFTER);
		return;
	}
	item->errors = 0;
	item->shows_hold = row->hold_reason != NULL;
	forget_polls(item);
	if (row->update == QUEUE_MOVED_ON)
		row_abandon(item);
	else if (task_is_finished(item->task))
	{
		if (!goes_on_later(item) && !item->fetches_again)
			stat_add_end(item->task->account->server_id, row->sqlstate);
		note_over(item);
	}
}

/* What a transaction mainly says, for those who crash there. */
static const char *
step_of(const RowWrites *writes)
{
	const Item *item = writes->rows[0].item;

	if (has_new_job(item))
		return "running";
	if (task_is_finished(item->task))
		return "finish";
	return item->job_is_stored ? "poll" : "lost";
}

/* Whether anything of it must not be lost: a job, an end, how long Clari said to wait. */
static bool
is_durable(const RowWrites *writes)
{
	for (int i = 0; i < writes->n; i++)
	{
		const Item *item = writes->rows[i].item;

		if (has_new_job(item) || task_is_finished(item->task) || hold_reason_of(item->task) != NULL)
			return true;
	}
	return false;
}

/* Returns false if nothing was written, as one row met an error. */
static bool
write_together(RowWrites *writes)
{
	ErrorData  *error = queue_run(step_of(writes), is_durable(writes), write_rows, writes);

	if (error != NULL && writes->n == 1)
		suffer(writes->rows[0].item, error);
	else if (error == NULL)
		for (int i = 0; i < writes->n; i++)
			conclude(&writes->rows[i]);
	return error == NULL || writes->n == 1;
}

static void
write_alone(Item *item)
{
	RowWrites  *writes = palloc0(sizeof(RowWrites));

	writes->n = 1;
	writes->rows[0].item = item;
	write_together(writes);
	pfree(writes);
}

/* ----------
 * Polls
 * ----------
 */

typedef struct PollWrites
{
	int			n;
	Item	   *items[POLLS_AT_ONCE];
	QueuePoll	polls[POLLS_AT_ONCE];
} PollWrites;

static void
write_polls(void *arg)
{
	PollWrites *writes = arg;

	queue_polled_together(writes->polls, writes->n);
}

static void
take_polls(PollWrites *writes)
{
	for (writes->n = 0; writes->n < POLLS_AT_ONCE && !dlist_is_empty(&with_polls); writes->n++)
	{
		Item	   *item = dlist_head_element(Item, polls_node, &with_polls);

		forget_polls(item);
		writes->items[writes->n] = item;
		writes->polls[writes->n] = (QueuePoll) {
			.id = item->request_id,
			.export = &item->task->export,
			.next_poll_at = timestamp_of(item->task->due),
		};
	}
}

/* What could not be written with the others is written alone, and shows why then. */
static void
write_some_polls(void)
{
	PollWrites *writes = palloc(sizeof(PollWrites));
	ErrorData  *error;

	take_polls(writes);
	error = queue_run("poll", false, write_polls, writes);
	for (int i = 0; i < writes->n; i++)
		if (error != NULL || !writes->polls[i].updated)
			note_to_write(writes->items[i]);
	pfree(writes);
}

void
rows_write_polls(void)
{
	while (!dlist_is_empty(&with_polls))
		write_some_polls();
}

/* Some have waited long enough: they take others along. */
static bool
polls_are_due(void)
{
	return !dlist_is_empty(&with_polls) &&
		dlist_head_element(Item, polls_node, &with_polls)->polls_since + POLLS_WRITTEN_AFTER <= clock_now();
}

/* ----------
 * Submissions
 * ----------
 */

static void
write_submitting(void *arg)
{
	RowWrite   *row = arg;

	row->update = queue_submitting(row->item->request_id, &row->item->task->export);
}

bool
row_commit_submission(Item *item, bool *try_again)
{
	RowWrite	row = {.item = item,.update = QUEUE_MOVED_ON};
	ErrorData  *error = queue_run("submitting", true, write_submitting, &row);

	*try_again = error != NULL || row.update == QUEUE_LOCKED;
	if (error != NULL)
		suffer(item, error);
	else if (row.update == QUEUE_LOCKED)
		write_later(item, TRY_AGAIN_AFTER);
	else if (row.update == QUEUE_MOVED_ON)
		row_abandon(item);
	else
	{
		item->errors = 0;
		item->shows_hold = false;
	}
	return error == NULL && row.update == QUEUE_UPDATED;
}

/* ----------
 * A step's writes
 * ----------
 */

/* Those whose moment has come again. */
static void
note_later_ones(void)
{
	Instant		now = clock_now();

	while (!pairingheap_is_empty(&to_write_later))
	{
		Item	   *item = pairingheap_container(Item, by_time, pairingheap_first(&to_write_later));

		if (item->write_again_at > now)
			return;
		stop_waiting(item);
		note_to_write(item);
	}
}

/* Take some that can be written together; one that met an error before goes alone. */
static void
take_rows(RowWrites *writes)
{
	writes->n = 0;
	while (writes->n < ROWS_AT_ONCE && !dlist_is_empty(&to_write))
	{
		Item	   *item = dlist_head_element(Item, row_node, &to_write);

		if (item->errors > 0 && writes->n > 0)
			return;
		stop_waiting(item);
		writes->rows[writes->n++] = (RowWrite) {.item = item};
		if (item->errors > 0)
			return;
	}
}

void
rows_write(void)
{
	RowWrites  *writes = palloc(sizeof(RowWrites));

	note_later_ones();
	for (take_rows(writes); writes->n > 0; take_rows(writes))
		if (!write_together(writes))
			for (int i = 0; i < writes->n; i++)
				write_alone(writes->rows[i].item);
	if (polls_are_due())
		write_some_polls();
	pfree(writes);
}

Instant
rows_next_write(void)
{
	Instant		next = INSTANT_NEVER;

	if (!dlist_is_empty(&to_write) || !dlist_is_empty(&over))
		return 0;
	if (!pairingheap_is_empty(&to_write_later))
		next = pairingheap_container(Item, by_time, pairingheap_first(&to_write_later))->write_again_at;
	if (!dlist_is_empty(&with_polls))
		next = instant_earlier(next, dlist_head_element(Item, polls_node, &with_polls)->polls_since +
							   POLLS_WRITTEN_AFTER);
	return next;
}
