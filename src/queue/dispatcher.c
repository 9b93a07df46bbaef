/*
 * dispatcher.c
 *		Works through the request queue: which request goes next, and what
 *		becomes of it.
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
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "clari/engine.h"
#include "clock.h"
#include "queue/claim.h"
#include "queue/dispatcher.h"
#include "queue/dropped_roles.h"
#include "queue/item_row.h"
#include "queue/items.h"
#include "queue/lanes.h"

/* At the latest: replication inserts, and triggers may be off, and nobody wakes us. */
#define LOOK_AT_LATEST		SECONDS(60)

/* When somebody's account could not be read, or there was no lane for it. */
#define LOOK_AGAIN			SECONDS(1)

static QueueScope scope;
static bool is_told;			/* of requests that are new, or change */
static int	requests_left;
static bool starts_more;
static MemoryContext dispatcher_context = NULL;
static MemoryContext look_context = NULL;
static uint64 n_looks = 0;
static Instant next_whole_look = 0;
static Instant next_due_look = INSTANT_NEVER;
static DuePlace due_place;
static int	n_held_due = 0;		/* passed by in this sweep */
static Instant next_sweep = 0;
static TimestampTz next_due = DT_NOEND;
static TimestampTz next_held = DT_NOEND;

/* ----------
 * Looking at the queue
 * ----------
 */

/* Requests that are running no more, though we did not end them: cancelled. */
static void
drop_moved_on(const LaneLook *look)
{
	for (Item *item = item_next(NULL); item != NULL; item = item_next(item))
	{
		if (item->job_is_stored && item->seen_in != look->number)
			row_abandon(item);
	}
}

/* The extension is gone, and with it every request. */
static void
abandon_all(void)
{
	for (Item *item = item_next(NULL); item != NULL; item = item_next(item))
		row_abandon(item);
}

static void
note_owners(List *owners)
{
	ListCell   *cell;

	foreach(cell, owners)
	{
		const RequestOwner *owner = lfirst(cell);

		if (claim_in_scope(owner, &scope))
			queue_lane_note_owner(owner->server, owner->role);
	}
}

/*
 * Let requests whose time has come be claimed. Returns when to go on with it.
 *
 * What others' transactions hold is passed by, or somebody who keeps many for
 * long would keep everybody's from getting their turn: a sweep goes from the
 * first to the last, a part in each look, and those come again in a next one,
 * the later the more they are.
 */
static TimestampTz
make_due_ready(void)
{
	TimestampTz next;
	List	   *due;
	List	   *owners = NIL;

	if (clock_now() >= next_sweep)
	{
		due_place = FIRST_DUE_PLACE;
		next_sweep = INSTANT_NEVER;
		n_held_due = 0;
	}
	due = claim_due(&due_place, &next);
	if (due != NIL)
		n_held_due += queue_make_ready(due, &owners);
	note_owners(owners);
	if (next > GetCurrentTimestamp() && next_sweep == INSTANT_NEVER)
		next_sweep = n_held_due == 0 ? 0 : clock_now() + SECONDS(1) + n_held_due * MILLISECONDS(1);
	return n_held_due == 0 ? next : Min(next, timestamp_of(next_sweep));
}

/* What a look sees, and what it leaves for a later one. */
static void
look_at_lanes(LaneLook *look)
{
	TimestampTz due = make_due_ready();
	TimestampTz hold_ends;

	if (look->whole)
	{
		queue_lanes_note_all();
		note_owners(claim_owners(&scope));
	}
	queue_lanes_look(look);
	if (look->whole)
		drop_moved_on(look);
	hold_ends = claim_next_held(&scope, &next_held);
	next_due = Min(due, hold_ends);
	next_due_look = instant_of(due);
	if (look->whole)
		next_whole_look = clock_now() + LOOK_AT_LATEST;
	next_whole_look = instant_earlier(next_whole_look, instant_of(hold_ends));
	if (look->some_failed)
		next_whole_look = instant_earlier(next_whole_look, clock_now() + LOOK_AGAIN);
}

/*
 * Look at the lanes in which something happened or, whole, at all of them, and
 * for what others did to the queue without telling us.
 */
static void
look_at_queue(bool whole)
{
	LaneLook	look = {.may_start = starts_more ? requests_left : 0,.number = ++n_looks,.whole = whole};

	if (queue_begin())
	{
		look_at_lanes(&look);
		queue_commit("look", look.reported_hold);
		if (starts_more)
			requests_left = look.may_start;
		if (whole && dropped_roles_disown())
			dispatcher_look();
	}
	else
	{
		abandon_all();
		if (item_count() == 0)
			queue_lanes_forget();
		next_due_look = INSTANT_NEVER;
		next_whole_look = clock_now() + LOOK_AT_LATEST;
	}
}

static void
look_at_request(void *arg)
{
	int64		id = *(int64 *) arg;
	Request    *request = queue_find(id, &(bool) {false});
	Item	   *item = item_find(id);
	bool		is_running = request != NULL && strcmp(request->state, "running") == 0;

	if (item != NULL && item->job_is_stored && !is_running)
		row_abandon(item);
	if (request == NULL)
		return;
	if (item == NULL && (is_running || strcmp(request->state, "submitting") == 0))
		queue_lane_note_left_behind(request->server, request->requested_by);
	else
		queue_lane_note_owner(request->server, request->requested_by);
}

/* ----------
 * What the worker and drain call
 * ----------
 */

void
dispatcher_start(const QueueScope *requests_in_scope, int max_requests, bool told)
{
	dispatcher_context = AllocSetContextCreate(TopMemoryContext, "clari_export dispatcher",
											   ALLOCSET_DEFAULT_SIZES);
	look_context = AllocSetContextCreate(dispatcher_context, "clari_export look",
										 ALLOCSET_DEFAULT_SIZES);
	queue_lanes_start(dispatcher_context);
	scope = *requests_in_scope;
	is_told = told;
	next_sweep = 0;
	next_due = next_held = DT_NOEND;
	requests_left = max_requests;
	starts_more = true;
	next_whole_look = 0;
}

void
dispatcher_look(void)
{
	next_whole_look = 0;
}

void
dispatcher_note(const WakeNotes *notes)
{
	if (notes->everything)
		dispatcher_look();
	for (int i = 0; i < notes->n_owners; i++)
		queue_lane_note_owner(NameStr(notes->owners[i].server), notes->owners[i].role);
	for (int i = 0; i < notes->n_requests; i++)
		(void) queue_run("note", false, look_at_request, unconstify(int64 *, &notes->requests[i]));
}

/* When there is something to look at: a moment that has passed for now. */
static Instant
next_look(void)
{
	return instant_earlier(instant_earlier(next_whole_look, next_due_look), queue_lanes_next_look());
}

/* Those with which nothing is left to be done go. */
static void
remove_items(void)
{
	Item	   *item;
	bool		any = false;

	for (; (item = rows_next_over()) != NULL; any = true)
	{
		queue_lane_remove_item(item);
		item_remove(item);
	}
	if (any)
		wake_waiters();
	if (any && !is_told)
		dispatcher_look();
}

/* What did not get as far as its submission was not started. */
static void
take_back(int n)
{
	if (n > 0 && requests_left == 0)
		dispatcher_look();
	requests_left += n;
}

/* Take in what happened to the items, and to others' lanes. */
static void
take_in_news(void)
{
	Item	   *item;

	while ((item = item_next_with_news()) != NULL)
		queue_lane_settle_item(item);
	rows_write();
	remove_items();
	take_back(items_given_back());
	if (lane_others_changed() || !is_told)
		queue_lanes_note_open();
}

void
dispatcher_step(Instant until)
{
	MemoryContext old_context = MemoryContextSwitchTo(look_context);
	Instant		now = clock_now();

	/* After a look the caller may have something to tell, or nothing to wait for. */
	if (now >= next_look())
	{
		look_at_queue(now >= next_whole_look);
		until = now;
	}
	engine_step(instant_earlier(until, instant_earlier(next_look(), rows_next_write())), queue_lanes_wait());
	take_in_news();
	MemoryContextReset(look_context);
	MemoryContextSwitchTo(old_context);
}

void
dispatcher_start_no_more(void)
{
	starts_more = false;
}

int
dispatcher_running(void)
{
	return item_count();
}

Instant
dispatcher_idle_until(bool scheduled)
{
	if (item_count() > 0 || next_whole_look == 0 ||
		(requests_left > 0 && queue_lanes_have_waiting()))
		return 0;
	return requests_left > 0 ? instant_of(scheduled ? next_due : next_held) : INSTANT_NEVER;
}

void
dispatcher_write_polls(void)
{
	rows_write_polls();
	take_in_news();
}

bool
dispatcher_is_submitting(void)
{
	for (Item *item = item_next(NULL); item != NULL; item = item_next(item))
	{
		const Task *task = item->task;

		if (task->transfer != NULL && !task_is_finished(task) &&
			(task->action.request == REQUEST_SUBMIT || task->export.step == STEP_EXPLAIN_REFUSAL))
			return true;
	}
	return false;
}

void
dispatcher_stop(void)
{
	if (dispatcher_context == NULL)
		return;
	while (item_count() > 0)
		item_remove(item_next(NULL));
	queue_lanes_stop();
	MemoryContextDelete(dispatcher_context);
	dispatcher_context = NULL;
}
