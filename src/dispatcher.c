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

#include "claim.h"
#include "clock.h"
#include "dispatcher.h"
#include "engine.h"
#include "item.h"
#include "item_row.h"
#include "log.h"
#include "settings.h"

/* At the latest: replication inserts, and triggers may be off, and nobody wakes us. */
#define LOOK_AT_LATEST		SECONDS(60)

/* When requests that others' transactions hold come again. */
#define TRY_PASSED_BY_AGAIN	SECONDS(1)

/* A lane we have requests in. */
typedef struct QueueLane
{
	dlist_node	node;
	uint8		key[LANE_KEY_SIZE];
	LaneTicket	ticket;
	List	   *accounts;		/* of the owners in this pass */
	List	   *owners;
	Oid			went_last;		/* the role whose request was started last */
	bool		has_waiting;	/* a request waits for its turn */
	bool		holds_restored;
	Instant		reported_hold;	/* told to a request already */
} QueueLane;

static QueueScope scope;
static int	requests_left;
static bool starts_more;
static dlist_head lanes = DLIST_STATIC_INIT(lanes);
static MemoryContext dispatcher_context = NULL;
static MemoryContext pass_context = NULL;
static uint64 pass = 0;			/* looks at the queue, counted */
static Instant next_look = 0;
static DuePlace due_place;
static int	n_held_due = 0;		/* passed by in this sweep */
static TimestampTz next_sweep = DT_NOBEGIN;
static TimestampTz next_due = DT_NOEND;
static TimestampTz next_held = DT_NOEND;

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
	for (Item *item = item_next(NULL); item != NULL; item = item_next(item))
	{
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
	for (Item *item = item_next(NULL); item != NULL; item = item_next(item))
	{
		if (!export_may_have_job(&item->task->export) && !task_is_finished(item->task) &&
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
	QueueLane  *lane;
} OwnerLookup;

static void
look_up_lane(void *arg)
{
	OwnerLookup *lookup = arg;

	lookup->account = account_load(lookup->owner->server, lookup->owner->role);
	lookup->lane = lane_of(lookup->account);
}

/* A key file that cannot be read just now may be there in a moment, as may a free lane. */
static bool
may_pass(const ErrorData *error)
{
	int			category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category != ERRCODE_TO_CATEGORY(ERRCODE_UNDEFINED_OBJECT) &&
		category != ERRCODE_DATA_EXCEPTION &&
		category != ERRCODE_TO_CATEGORY(ERRCODE_FDW_INVALID_OPTION_NAME);
}

/* A role as it is shown: one that was dropped has its number left. */
static char *
role_text(Oid role)
{
	return DatumGetCString(DirectFunctionCall1(regroleout, ObjectIdGetDatum(role)));
}

/* Find each owner's lane; requests of an owner who has no account fail. */
static void
sort_into_lanes(List *owners)
{
	ListCell   *cell;

	foreach(cell, owners)
	{
		OwnerLookup lookup = {.owner = lfirst(cell)};
		ErrorData  *error = queue_try(look_up_lane, &lookup);
		QueueLane  *lane;

		if (error != NULL)
		{
			log_now_and_then(psprintf("requests of role %s on server \"%s\" cannot be exported: %s",
									  role_text(lookup.owner->role), lookup.owner->server, error->message));
			if (!may_pass(error))
				queue_fail_owner(lookup.owner, failure_of_error(error));
			continue;
		}
		lane = lookup.lane;
		lane->ticket.limits = account_lane_limits(lookup.account);
		lane->owners = lappend(lane->owners, lookup.owner);
		lane->accounts = lappend(lane->accounts, lookup.account);
	}
}

/* Take up a request that another process has left behind. */
static Item *
take_up(int64 id)
{
	Request    *request = queue_find(id, &(bool) {false});

	return request != NULL ? item_start(request, dispatcher_context) : NULL;
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
		List	   *active = claim_active(lfirst(owner));
		ListCell   *cell;

		foreach(cell, active)
		{
			int64		id = *(int64 *) lfirst(cell);
			Item	   *item = item_find(id);

			if (item == NULL)
				item = take_up(id);
			if (item != NULL)
				item->seen_in = pass;
		}
	}
}

/* A 429 holds the API key as long as it said, even if the server was restarted since. */
static void
restore_holds(QueueLane *lane)
{
	ListCell   *owner;

	if (lane->holds_restored)
		return;
	foreach(owner, lane->owners)
	{
		TimestampTz until = queue_rate_limited_until(lfirst(owner));

		if (until > GetCurrentTimestamp())
			lane_restore_hold(&lane->ticket, instant_of(until));
	}
	lane->holds_restored = true;
}

/* Whether we work on a request that its row has as queued still. */
static bool
is_claimed(int64 id)
{
	return item_find(id) != NULL;
}

/*
 * Whether a claim of role a goes before that of role b. Roles have turns, in
 * the order of their numbers from the one that went last, so that nobody's
 * many requests, nor their priorities, keep others waiting.
 */
static bool
goes_before(const QueueLane *lane, Oid a, const Claim *a_claim, Oid b, const Claim *b_claim)
{
	bool		a_waited = a > lane->went_last;
	bool		b_waited = b > lane->went_last;

	if (a == b)
		return claim_compare(a_claim, b_claim) < 0;
	return a_waited != b_waited ? a_waited : a < b;
}

/*
 * The lane's next request; NULL if none is due, or their servers are paused.
 * With passed_by it is to be started: see claim_first().
 */
static Request *
next_request(const QueueLane *lane, bool *passed_by)
{
	Claim		best;
	Oid			best_role = InvalidOid;
	ListCell   *owner;
	ListCell   *its_account;

	forboth(owner, lane->owners, its_account, lane->accounts)
	{
		Oid			role = ((RequestOwner *) lfirst(owner))->role;
		Claim		claim;

		if (((Account *) lfirst(its_account))->paused ||
			!claim_first(lfirst(owner), is_claimed, passed_by, &claim))
			continue;
		if (OidIsValid(best_role) && !goes_before(lane, role, &claim, best_role, &best))
			continue;
		best = claim;
		best_role = role;
	}
	return OidIsValid(best_role) ? queue_find(best.id, &(bool) {false}) : NULL;
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
		Claim		claim;
		Request    *request;

		if (!((Account *) lfirst(its_account))->paused ||
			!claim_first(lfirst(owner), is_claimed, NULL, &claim))
			continue;
		request = queue_find(claim.id, &(bool) {false});
		if (request != NULL && (request->hold_reason == NULL || strcmp(request->hold_reason, paused) != 0))
			queue_hold(request->id, paused, DT_NOBEGIN);
	}
}

/* The lane lets requests go on: nothing says any more that it holds them. */
static void
forget_holds(const QueueLane *lane)
{
	ListCell   *owner;
	ListCell   *its_account;

	forboth(owner, lane->owners, its_account, lane->accounts)
		if (!((Account *) lfirst(its_account))->paused)
			queue_lift_holds(lfirst(owner));
}

/*
 * Start what the lane has room for. Returns when to look again: its hold ends,
 * or never by itself.
 */
static Instant
start_next(QueueLane *lane)
{
	bool		passed_by = false;

	report_pauses(lane);
	lane->has_waiting = false;
	while (starts_more && requests_left > 0)
	{
		LaneVerdict verdict = is_submitting(lane) ?
			(LaneVerdict) {HOLD_UNKNOWN_SUBMISSION, INSTANT_NEVER} : lane_look(&lane->ticket);
		Request    *request = next_request(lane, verdict.reason == HOLD_NONE ? &passed_by : NULL);
		Item	   *item;

		if (request == NULL)
			break;
		if (verdict.reason != HOLD_NONE)
		{
			report_hold(lane, request, verdict);
			lane->has_waiting = verdict.reason != HOLD_QUOTA;
			return verdict.until;
		}
		forget_holds(lane);
		item = item_start(request, dispatcher_context);
		if (item != NULL)
		{
			item->claimed = true;
			lane->went_last = request->requested_by;
			requests_left--;
		}
	}
	return passed_by ? clock_now() + TRY_PASSED_BY_AGAIN : INSTANT_NEVER;
}

/* ----------
 * Looking at the queue
 * ----------
 */

/* Requests that are running no more, though we did not end them: cancelled. */
static void
drop_moved_on(void)
{
	for (Item *item = item_next(NULL); item != NULL; item = item_next(item))
	{
		if (item->job_is_stored && item->seen_in != pass)
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
work_on_lanes(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &lanes)
	{
		QueueLane  *lane = dlist_container(QueueLane, node, iter.cur);

		if (!lane_drive(&lane->ticket))
			continue;
		restore_holds(lane);
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
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next;
	List	   *due;

	if (now >= next_sweep)
	{
		due_place = FIRST_DUE_PLACE;
		next_sweep = DT_NOEND;
		n_held_due = 0;
	}
	due = claim_due(&due_place, &next);
	if (due != NIL)
		n_held_due += queue_make_ready(due);
	if (next > now && next_sweep == DT_NOEND)
		next_sweep = n_held_due == 0 ? DT_NOBEGIN : now + SECONDS(1) + n_held_due * MILLISECONDS(1);
	return n_held_due == 0 ? next : Min(next, next_sweep);
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
		next_due = make_due_ready();
		owners = claim_owners(&scope);
		sort_into_lanes(owners);
		work_on_lanes();
		drop_moved_on();
		next_due = Min(next_due, claim_next_held(&scope, &next_held));
		next_look = instant_earlier(next_look, instant_of(next_due));
		next_look = instant_earlier(next_look, clock_now() + LOOK_AT_LATEST);
		queue_commit("look", false);
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
	next_sweep = DT_NOBEGIN;
	requests_left = max_requests;
	starts_more = true;
	next_look = 0;
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
	if (look || clock_now() >= next_look)
	{
		look_at_queue();
		until = clock_now();
	}
	engine_step(instant_earlier(until, instant_earlier(next_look, rows_next_write())), waits_for_lanes());
	if (items_finish())
		next_look = 0;			/* a lane may have room now */
	requests_left += items_given_back();
	MemoryContextReset(pass_context);
	notice_open_lanes();
	MemoryContextSwitchTo(old_context);
}

static void
prune(void *arg pg_attribute_unused())
{
	Duration	requests = settings_request_retention();
	Duration	snapshots = settings_snapshot_retention();

	if (requests > 0)
		queue_prune_requests(&scope, requests);
	if (snapshots > 0)
		queue_prune_snapshots(&scope, snapshots);
}

void
dispatcher_prune(void)
{
	ErrorData  *error;

	if (settings_request_retention() == 0 && settings_snapshot_retention() == 0)
		return;
	error = queue_run("prune", false, prune, NULL);
	if (error == NULL)
		return;
	log_now_and_then(psprintf("finished requests cannot be pruned: %s", error->message));
	FreeErrorData(error);
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
	dlist_iter	iter;

	if (item_count() > 0 || next_look == 0)
		return 0;
	dlist_foreach(iter, &lanes)
		if (dlist_container(QueueLane, node, iter.cur)->has_waiting && requests_left > 0)
			return 0;
	return requests_left > 0 ? instant_of(scheduled ? next_due : next_held) : INSTANT_NEVER;
}

void
dispatcher_write_polls(void)
{
	rows_write_polls();
	items_finish();
}

bool
dispatcher_is_submitting(void)
{
	for (Item *item = item_next(NULL); item != NULL; item = item_next(item))
	{
		const Task *task = item->task;

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
	while (item_count() > 0)
		item_remove(item_next(NULL));
	dlist_foreach_modify(iter, &lanes)
		remove_lane(dlist_container(QueueLane, node, iter.cur));
	MemoryContextDelete(dispatcher_context);
	dispatcher_context = NULL;
}
