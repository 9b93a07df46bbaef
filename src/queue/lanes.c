/*
 * lanes.c
 *		The lanes that the queue has requests in: whose they are, and which goes
 *		next.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "clock.h"
#include "log.h"
#include "queue/claim.h"
#include "queue/items.h"
#include "queue/lanes.h"

/* When requests that others' transactions hold, or that cannot be started yet, come again. */
#define TRY_AGAIN_AFTER		SECONDS(1)

/* A role's requests on a server, which are those of one API key: a lane's. */
typedef struct OwnerKey
{
	NameData	server;
	Oid			role;
} OwnerKey;

typedef struct LaneOwner
{
	OwnerKey	key;
	RequestOwner owner;
	QueueLane  *lane;			/* NULL: not known yet */
	dlist_node	node;			/* in the lane, or among those without one */
	uint64		looked_up_in;	/* the look that has its account */
	Account    *account;		/* in that look */
	bool		taken_up;		/* nothing of it was left behind */
	bool		noted;			/* it has requests, or had when that was asked last */
} LaneOwner;

static int	compare_times(const pairingheap_node *a, const pairingheap_node *b, void *arg);

static MemoryContext lanes_context = NULL;
static dlist_head lanes = DLIST_STATIC_INIT(lanes);
static HTAB *lanes_by_key = NULL;
static HTAB *owners_by_key = NULL;
static dlist_head new_owners = DLIST_STATIC_INIT(new_owners);
static dlist_head to_look = DLIST_STATIC_INIT(to_look);
static pairingheap to_look_later = {.ph_compare = compare_times};	/* the first is on top */
static dlist_head waiting = DLIST_STATIC_INIT(waiting);

/* ----------
 * Lanes
 * ----------
 */

static int
compare_times(const pairingheap_node *a, const pairingheap_node *b, void *arg pg_attribute_unused())
{
	Instant		time_a = pairingheap_const_container(QueueLane, by_time, a)->look_at;
	Instant		time_b = pairingheap_const_container(QueueLane, by_time, b)->look_at;

	return (time_a < time_b) - (time_a > time_b);
}

typedef struct LaneByKey
{
	uint8		key[LANE_KEY_SIZE];
	QueueLane  *lane;
} LaneByKey;

void
queue_lanes_start(MemoryContext context)
{
	HASHCTL		by_key = {.keysize = LANE_KEY_SIZE,.entrysize = sizeof(LaneByKey),.hcxt = context};
	HASHCTL		by_owner = {.keysize = sizeof(OwnerKey),.entrysize = sizeof(LaneOwner),.hcxt = context};

	lanes_context = context;
	lanes_by_key = hash_create("clari_export lanes", 64, &by_key, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	owners_by_key = hash_create("clari_export owners", 64, &by_owner, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	dlist_init(&lanes);
	dlist_init(&new_owners);
	dlist_init(&to_look);
	dlist_init(&waiting);
	pairingheap_reset(&to_look_later);
}

/* Called before anything else is remembered of a new key: a lane may not be had. */
static QueueLane *
new_lane(const Account *account)
{
	QueueLane  *lane = MemoryContextAllocZero(lanes_context, sizeof(QueueLane));
	LaneByKey  *entry;

	lane_open(&lane->ticket, account);
	memcpy(lane->key, account->lane_key, LANE_KEY_SIZE);
	dlist_init(&lane->owners);
	dlist_init(&lane->starting);
	dlist_push_tail(&lanes, &lane->node);
	entry = hash_search(lanes_by_key, lane->key, HASH_ENTER, NULL);
	entry->lane = lane;
	return lane;
}

static QueueLane *
lane_of(const Account *account)
{
	LaneByKey  *entry = hash_search(lanes_by_key, account->lane_key, HASH_FIND, NULL);

	return entry != NULL ? entry->lane : new_lane(account);
}

static void
set_waiting(QueueLane *lane, bool is_waiting)
{
	if (is_waiting && !lane->is_waiting)
		dlist_push_tail(&waiting, &lane->waiting_node);
	else if (!is_waiting && lane->is_waiting)
		dlist_delete(&lane->waiting_node);
	lane->is_waiting = is_waiting;
}

/* Look at a lane when the moment comes, and not before; INSTANT_NEVER for never. */
static void
look_later(QueueLane *lane, Instant look_at)
{
	if (lane->has_time)
		pairingheap_remove(&to_look_later, &lane->by_time);
	lane->has_time = look_at != INSTANT_NEVER;
	lane->look_at = look_at;
	if (lane->has_time)
		pairingheap_add(&to_look_later, &lane->by_time);
}

static void
look_now(QueueLane *lane)
{
	if (!lane->to_look)
		dlist_push_tail(&to_look, &lane->look_node);
	lane->to_look = true;
}

/* Whoever has requests in it next may have it. */
static void
remove_lane(QueueLane *lane)
{
	hash_search(lanes_by_key, lane->key, HASH_REMOVE, NULL);
	look_later(lane, INSTANT_NEVER);
	set_waiting(lane, false);
	if (lane->to_look)
		dlist_delete(&lane->look_node);
	dlist_delete(&lane->node);
	lane_close(&lane->ticket, false);
	pfree(lane);
}

void
queue_lanes_stop(void)
{
	while (!dlist_is_empty(&lanes))
		remove_lane(dlist_head_element(QueueLane, node, &lanes));
	hash_destroy(lanes_by_key);
	hash_destroy(owners_by_key);
}

void
queue_lanes_forget(void)
{
	queue_lanes_stop();
	queue_lanes_start(lanes_context);
}

/*
 * Whether a request of ours is on its way to being submitted: the lane's next
 * one starts after that. One whose row is locked is not.
 */
static bool
is_submitting(QueueLane *lane)
{
	dlist_iter	iter;

	dlist_foreach(iter, &lane->starting)
	{
		const Task *task = dlist_container(Item, lane_node, iter.cur)->task;

		if (!export_may_have_job(&task->export) && !task_is_finished(task))
			return true;
	}
	return false;
}

static void
add_item(QueueLane *lane, Item *item)
{
	item->lane = lane;
	lane->n_items++;
	item->is_starting = !export_may_have_job(&item->task->export);
	if (item->is_starting)
		dlist_push_tail(&lane->starting, &item->lane_node);
}

void
queue_lane_settle_item(Item *item)
{
	if (item->is_starting)
		dlist_delete(&item->lane_node);
	item->is_starting = false;
	queue_lane_note_change(item->lane);
}

/*
 * A request that got nowhere is queued again, one whose result made room is
 * taken up again, and one that was the last leaves the lane to others.
 */
void
queue_lane_remove_item(Item *item)
{
	QueueLane  *lane = item->lane;

	queue_lane_settle_item(item);
	if (item->fetches_again)
		queue_lane_note_left_behind(item->task->account->server_name, item->task->account->role);
	lane->n_items--;
	if (!item->job_is_stored || lane->n_items == 0)
		look_now(lane);
}

/* ----------
 * Owners
 * ----------
 */

static LaneOwner *
get_owner(const char *server, Oid role)
{
	OwnerKey	key;
	LaneOwner  *owner;
	bool		found;

	memset(&key, 0, sizeof(key));
	namestrcpy(&key.server, server);
	key.role = role;
	owner = hash_search(owners_by_key, &key, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) owner + sizeof(OwnerKey), 0, sizeof(LaneOwner) - sizeof(OwnerKey));
		owner->owner = (RequestOwner) {NameStr(owner->key.server), role};
		dlist_push_tail(&new_owners, &owner->node);
	}
	return owner;
}

static void
forget_owner(LaneOwner *owner)
{
	dlist_delete(&owner->node);
	hash_search(owners_by_key, &owner->key, HASH_REMOVE, NULL);
}

void
queue_lane_note_owner(const char *server, Oid role)
{
	LaneOwner  *owner = get_owner(server, role);

	owner->noted = true;
	if (owner->lane != NULL)
		look_now(owner->lane);
}

void
queue_lane_note_left_behind(const char *server, Oid role)
{
	get_owner(server, role)->taken_up = false;
	queue_lane_note_owner(server, role);
}

void
queue_lane_note_change(QueueLane *lane)
{
	if (lane->has_waiting)
		look_now(lane);
}

void
queue_lanes_note_all(void)
{
	HASH_SEQ_STATUS all;
	LaneOwner  *owner;
	dlist_iter	iter;

	hash_seq_init(&all, owners_by_key);
	while ((owner = hash_seq_search(&all)) != NULL)
		owner->noted = false;
	dlist_foreach(iter, &lanes)
		look_now(dlist_container(QueueLane, node, iter.cur));
}

void
queue_lanes_note_open(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &waiting)
	{
		QueueLane  *lane = dlist_container(QueueLane, waiting_node, iter.cur);

		if ((!lane->ticket.driving && lane_drive(&lane->ticket)) ||
			(lane->has_waiting && !is_submitting(lane) && lane_look(&lane->ticket).reason == HOLD_NONE))
			look_now(lane);
	}
}

Instant
queue_lanes_next_look(void)
{
	if (!dlist_is_empty(&to_look) || !dlist_is_empty(&new_owners))
		return 0;
	return pairingheap_is_empty(&to_look_later) ? INSTANT_NEVER :
		pairingheap_container(QueueLane, by_time, pairingheap_first(&to_look_later))->look_at;
}

bool
queue_lanes_wait(void)
{
	return !dlist_is_empty(&waiting);
}

bool
queue_lanes_have_waiting(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &waiting)
		if (dlist_container(QueueLane, waiting_node, iter.cur)->has_waiting)
			return true;
	return false;
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

/* Find an owner's account, and with it the lane that it is in by now. */
static void
look_up_owner(void *arg)
{
	LaneOwner  *owner = arg;
	QueueLane  *lane;

	owner->account = account_load(owner->owner.server, owner->owner.role);
	lane = lane_of(owner->account);
	if (lane != owner->lane)
	{
		dlist_delete(&owner->node);
		dlist_push_tail(&lane->owners, &owner->node);
		owner->lane = lane;
		owner->taken_up = false;
	}
	look_now(lane);
}

/* Requests of an owner who has no account fail. */
static void
find_lane(LaneOwner *owner, LaneLook *look)
{
	ErrorData  *error;

	if (owner->looked_up_in == look->number)
		return;
	owner->looked_up_in = look->number;
	error = queue_try(look_up_owner, owner);
	if (error == NULL)
		return;
	log_now_and_then(psprintf("requests of role %s on server \"%s\" cannot be exported: %s",
							  role_text(owner->owner.role), owner->owner.server, error->message));
	if (may_pass(error))
		look->some_failed = true;
	else
		queue_fail_owner(&owner->owner, failure_of_error(error));
	forget_owner(owner);
}

static void
find_lanes(dlist_head *owners, LaneLook *look)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, owners)
		find_lane(dlist_container(LaneOwner, node, iter.cur), look);
}

/*
 * Owners who have no more requests here. In a look at the whole queue those who
 * have some were noted; in another one we ask, where it seems that none is left.
 */
static void
forget_idle_owners(QueueLane *lane, const LaneLook *look)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &lane->owners)
	{
		LaneOwner  *owner = dlist_container(LaneOwner, node, iter.cur);

		if (look->whole ? !owner->noted : !claim_has_any(&owner->owner))
			forget_owner(owner);
	}
}

/* ----------
 * What others left behind
 * ----------
 */

static Item *
start_item(QueueLane *lane, Request *request)
{
	Item	   *item = item_start(request, lanes_context);

	if (item != NULL)
		add_item(lane, item);
	return item;
}

/* Take up a request that another process has left behind. */
static Item *
take_up(QueueLane *lane, int64 id)
{
	Request    *request = queue_find(id, &(bool) {false});

	return request != NULL ? start_item(lane, request) : NULL;
}

/* A 429 holds the API key as long as it said, even if the server was restarted since. */
static void
restore_hold(const LaneOwner *owner)
{
	TimestampTz until = queue_rate_limited_until(&owner->owner);

	if (until > GetCurrentTimestamp())
		lane_restore_hold(&owner->lane->ticket, instant_of(until));
}

/*
 * Take up what another process left behind of an owner's requests, in a lane
 * that is ours. Of our own items, note which are still as we left them.
 */
static void
take_up_left_behind(LaneOwner *owner, const LaneLook *look)
{
	List	   *active;
	ListCell   *cell;

	if (owner->taken_up && !look->whole)
		return;
	if (!owner->taken_up)
		restore_hold(owner);
	owner->taken_up = true;
	active = claim_active(&owner->owner);
	foreach(cell, active)
	{
		int64		id = *(int64 *) lfirst(cell);
		Item	   *item = item_find(id);

		if (item == NULL)
			item = take_up(owner->lane, id);
		if (item != NULL)
			item->seen_in = look->number;
	}
}

/* ----------
 * Which goes next
 * ----------
 */

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
 * Find the lane's next request, and return whether one is due whose server is
 * not paused. The lane's limits become those of its server. With passed_by it is
 * to be started: see claim_first().
 */
static bool
find_next(QueueLane *lane, bool *passed_by, int64 *id)
{
	Claim		best;
	Oid			best_role = InvalidOid;
	dlist_iter	iter;

	dlist_foreach(iter, &lane->owners)
	{
		const LaneOwner *owner = dlist_container(LaneOwner, node, iter.cur);
		Claim		claim;

		if (owner->account->options.paused || !claim_first(&owner->owner, is_claimed, passed_by, &claim))
			continue;
		if (OidIsValid(best_role) && !goes_before(lane, owner->owner.role, &claim, best_role, &best))
			continue;
		best = claim;
		best_role = owner->owner.role;
		lane->ticket.limits = account_lane_limits(owner->account);
	}
	if (!OidIsValid(best_role))
		return false;
	*id = best.id;
	return true;
}

/* Whether it is more than a request's turn that it waits for. */
static bool
is_hold(HoldReason reason)
{
	return reason == HOLD_RATE_LIMITED || reason == HOLD_QUEUE_FULL ||
		reason == HOLD_QUOTA || reason == HOLD_UNAVAILABLE;
}

/* Tell the next request why it waits. */
static void
report_hold(QueueLane *lane, int64 id, LaneVerdict verdict, LaneLook *look)
{
	if (verdict.until > lane->reported_hold)
	{
		queue_hold(id, hold_reason_name(verdict.reason), timestamp_of(verdict.until));
		look->reported_hold = true;
	}
	lane->reported_hold = verdict.until;
}

/* Tell the first request of each owner whose server is paused. */
static void
report_pauses(QueueLane *lane)
{
	const char *paused = hold_reason_name(HOLD_PAUSED);
	dlist_iter	iter;

	dlist_foreach(iter, &lane->owners)
	{
		const LaneOwner *owner = dlist_container(LaneOwner, node, iter.cur);
		Claim		claim;
		Request    *request;

		if (!owner->account->options.paused || !claim_first(&owner->owner, is_claimed, NULL, &claim))
			continue;
		request = queue_find(claim.id, &(bool) {false});
		if (request != NULL && (request->hold_reason == NULL || strcmp(request->hold_reason, paused) != 0))
			queue_hold(request->id, paused, DT_NOBEGIN);
	}
}

/* Nothing but their turn is in the way of requests: none says any more that it is held. */
static void
forget_holds(QueueLane *lane)
{
	dlist_iter	iter;

	dlist_foreach(iter, &lane->owners)
	{
		const LaneOwner *owner = dlist_container(LaneOwner, node, iter.cur);

		if (!owner->account->options.paused && claim_has_held(&owner->owner))
			queue_lift_holds(&owner->owner);
	}
}

/* What the lane says to its next request, by the limits of that one's server. */
static LaneVerdict
next_verdict(QueueLane *lane)
{
	if (is_submitting(lane))
		return (LaneVerdict) {HOLD_UNKNOWN_SUBMISSION, INSTANT_NEVER};
	return lane_look(&lane->ticket);
}

/*
 * Start what the lane has room for. Returns when to look again: its hold ends,
 * or never by itself.
 */
static Instant
start_next(QueueLane *lane, LaneLook *look)
{
	bool		passed_by = false;

	report_pauses(lane);
	lane->has_waiting = false;
	while (look->may_start > 0)
	{
		int64		id;
		bool		any = find_next(lane, NULL, &id);
		LaneVerdict verdict = next_verdict(lane);
		Request    *request;
		Item	   *item;

		if (!any)
			break;
		if (is_hold(verdict.reason))
			report_hold(lane, id, verdict, look);
		else
			forget_holds(lane);
		if (verdict.reason != HOLD_NONE)
		{
			lane->has_waiting = verdict.reason != HOLD_QUOTA;
			return verdict.until;
		}
		request = find_next(lane, &passed_by, &id) ? queue_find(id, &(bool) {false}) : NULL;
		if (request == NULL)
			break;
		item = start_item(lane, request);
		if (item != NULL)
		{
			item->claimed = true;
			lane->went_last = request->requested_by;
			look->may_start--;
		}
	}
	return passed_by ? clock_now() + TRY_AGAIN_AFTER : INSTANT_NEVER;
}

/* ----------
 * Looking
 * ----------
 */

static void
work_on(QueueLane *lane, LaneLook *look)
{
	dlist_iter	iter;

	if (lane_drive(&lane->ticket))
	{
		dlist_foreach(iter, &lane->owners)
			take_up_left_behind(dlist_container(LaneOwner, node, iter.cur), look);
		look_later(lane, start_next(lane, look));
	}
	set_waiting(lane, lane->has_waiting || !lane->ticket.driving);
	if (look->whole || (lane->n_items == 0 && !lane->has_waiting))
		forget_idle_owners(lane, look);
	if (dlist_is_empty(&lane->owners) && lane->n_items == 0)
		remove_lane(lane);
}

static void
note_later_ones(void)
{
	Instant		now = clock_now();

	while (!pairingheap_is_empty(&to_look_later))
	{
		QueueLane  *lane = pairingheap_container(QueueLane, by_time, pairingheap_first(&to_look_later));

		if (lane->look_at > now)
			return;
		look_later(lane, INSTANT_NEVER);
		look_now(lane);
	}
}

void
queue_lanes_look(LaneLook *look)
{
	note_later_ones();
	find_lanes(&new_owners, look);
	while (!dlist_is_empty(&to_look))
	{
		QueueLane  *lane = dlist_head_element(QueueLane, look_node, &to_look);

		/* An owner may turn out to be in another lane by now, which is looked at, too. */
		find_lanes(&lane->owners, look);
		dlist_delete(&lane->look_node);
		lane->to_look = false;
		work_on(lane, look);
	}
}
