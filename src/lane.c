/*
 * lane.c
 *		Lanes in shared memory: one for each API key.
 *
 * Shared memory holds numbers only: nothing in it points into a process. A
 * process that ends gives its places back in an exit callback; one that
 * crashes takes all of shared memory with it, as always in PostgreSQL.
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "http.h"
#include "lane.h"

#define MAX_LANES		128
#define LANE_TRANCHE	"clari_export"

/* Who works on a database's queue in a lane. */
typedef struct LaneDriver
{
	Oid			database;		/* invalid for a free entry */
	int			pid;
} LaneDriver;

#define MAX_DRIVERS		64		/* of one lane: databases that use one key */

struct Lane
{
	bool		used;
	uint8		key[LANE_KEY_SIZE];
	int			tickets;		/* open in all processes */
	Instant		last_use;
	LaneState	state;
	LaneDriver	drivers[MAX_DRIVERS];
};

typedef struct Lanes
{
	LWLock	   *lock;			/* NULL where the lanes are not shared */
	ConditionVariable changed;
	Lane		lanes[MAX_LANES];
} Lanes;

static Lanes *all = NULL;
static dlist_head open_tickets = DLIST_STATIC_INIT(open_tickets);
static bool exit_callback_registered = false;

void
lane_request_shared_memory(void)
{
	RequestAddinShmemSpace(sizeof(Lanes));
	RequestNamedLWLockTranche(LANE_TRANCHE, 1);
}

void
lane_attach_shared_memory(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	all = ShmemInitStruct("clari_export lanes", sizeof(Lanes), &found);
	if (!found)
	{
		memset(all, 0, sizeof(Lanes));
		all->lock = &GetNamedLWLockTranche(LANE_TRANCHE)->lock;
		ConditionVariableInit(&all->changed);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Without preloading: lanes of this session. */
static void
make_local_lanes(void)
{
	all = MemoryContextAllocZero(TopMemoryContext, sizeof(Lanes));
	ConditionVariableInit(&all->changed);
}

static void
lock_lanes(void)
{
	if (all->lock != NULL)
		LWLockAcquire(all->lock, LW_EXCLUSIVE);
}

static void
unlock_lanes(void)
{
	if (all->lock != NULL)
		LWLockRelease(all->lock);
}

/* As unlock_lanes(), after something that others may wait for. */
static void
unlock_changed_lanes(void)
{
	unlock_lanes();
	ConditionVariableBroadcast(&all->changed);
}

static uint32
random_bits(void)
{
	return pg_prng_uint32(&pg_global_prng_state);
}

/* Give back everything when the process ends, whatever way it ends. */
static void
close_all_tickets(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	while (!dlist_is_empty(&open_tickets))
		lane_close(dlist_head_element(LaneTicket, node, &open_tickets), false);
}

/* The lane of a key, a free one, or one that nobody will miss. */
static Lane *
choose_lane(const uint8 *key, Instant now)
{
	Lane	   *candidate = NULL;

	for (int i = 0; i < MAX_LANES; i++)
	{
		Lane	   *lane = &all->lanes[i];

		if (lane->used && memcmp(lane->key, key, LANE_KEY_SIZE) == 0)
			return lane;
		if (lane->used && (lane->tickets > 0 || !lane_is_idle(&lane->state, now)))
			continue;
		if (candidate == NULL || (candidate->used && !lane->used) ||
			(candidate->used && lane->last_use < candidate->last_use))
			candidate = lane;
	}
	if (candidate != NULL)
	{
		memset(candidate, 0, sizeof(Lane));
		memcpy(candidate->key, key, LANE_KEY_SIZE);
		candidate->used = true;
	}
	return candidate;
}

void
lane_open(LaneTicket *ticket, const Account *account)
{
	Lane	   *lane;

	if (all == NULL)
		make_local_lanes();
	if (!exit_callback_registered)
	{
		before_shmem_exit(close_all_tickets, (Datum) 0);
		exit_callback_registered = true;
	}

	lock_lanes();
	lane = choose_lane(account->lane_key, http_now());
	if (lane != NULL)
		lane->tickets++;
	unlock_lanes();
	if (lane == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("more than %d Clari API keys are in use at the same time", MAX_LANES),
				 errhint("Try again when an export has ended.")));

	ticket->lane = lane;
	ticket->limits = account_lane_limits(account);
	ticket->driving = false;
	ticket->has_place = false;
	ticket->submitting = false;
	dlist_push_tail(&open_tickets, &ticket->node);
}

/* ----------
 * Driving a lane
 * ----------
 */

/* This database's entry in a lane's drivers, or a free one, or NULL. */
static LaneDriver *
find_driver(Lane *lane)
{
	LaneDriver *available = NULL;

	for (int i = 0; i < MAX_DRIVERS; i++)
	{
		if (lane->drivers[i].database == MyDatabaseId)
			return &lane->drivers[i];
		if (available == NULL && !OidIsValid(lane->drivers[i].database))
			available = &lane->drivers[i];
	}
	return available;
}

static bool
drive_shared(Lane *lane)
{
	LaneDriver *driver;
	bool		granted;

	lock_lanes();
	driver = find_driver(lane);
	granted = driver != NULL && !OidIsValid(driver->database);
	if (granted)
	{
		driver->database = MyDatabaseId;
		driver->pid = MyProcPid;
	}
	unlock_lanes();
	return granted;
}

/*
 * Without shared lanes an advisory lock keeps drains apart. It belongs to no
 * database, so that it holds across all of them.
 */
static LOCKTAG
driver_lock(const Lane *lane)
{
	LOCKTAG		tag;
	uint32		half[2];

	memcpy(half, lane->key, sizeof(half));
	SET_LOCKTAG_ADVISORY(tag, InvalidOid, half[0], half[1], 2);
	return tag;
}

bool
lane_drive(LaneTicket *ticket)
{
	LOCKTAG		tag;

	if (ticket->driving)
		return true;
	if (all->lock != NULL)
		ticket->driving = drive_shared(ticket->lane);
	else
	{
		tag = driver_lock(ticket->lane);
		ticket->driving = LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
	}
	return ticket->driving;
}

/* Called with the lanes locked. */
static void
stop_driving(LaneTicket *ticket)
{
	LaneDriver *driver = find_driver(ticket->lane);
	LOCKTAG		tag;

	if (all->lock != NULL && driver != NULL && driver->pid == MyProcPid)
		driver->database = InvalidOid;
	if (all->lock == NULL)
	{
		tag = driver_lock(ticket->lane);
		LockRelease(&tag, ExclusiveLock, true);
	}
}

void
lane_close(LaneTicket *ticket, bool ended)
{
	Lane	   *lane = ticket->lane;
	Instant		now = http_now();

	if (lane == NULL)
		return;
	lock_lanes();
	if (ticket->submitting)
		lane_submission_settled(&lane->state);
	if (ticket->driving)
		stop_driving(ticket);
	if (ticket->has_place)
		lane_leave(&lane->state, ended, now);
	lane->last_use = now;
	lane->tickets--;
	unlock_changed_lanes();

	dlist_delete(&ticket->node);
	ticket->lane = NULL;
	ticket->driving = false;
	ticket->has_place = false;
	ticket->submitting = false;
}

LaneVerdict
lane_look(LaneTicket *ticket)
{
	LaneVerdict verdict;

	lock_lanes();
	verdict = lane_export_verdict(&ticket->lane->state, &ticket->limits,
								  ticket->limits.submit_interval, http_now());
	unlock_lanes();
	return verdict;
}

LaneVerdict
lane_take_turn(LaneTicket *ticket, bool submits)
{
	LaneVerdict verdict;

	lock_lanes();
	verdict = lane_admit_request(&ticket->lane->state, &ticket->limits, submits, http_now());
	unlock_lanes();
	return verdict;
}

LaneVerdict
lane_take_place(LaneTicket *ticket, Duration interval)
{
	LaneVerdict verdict;

	lock_lanes();
	verdict = lane_admit_export(&ticket->lane->state, &ticket->limits, interval, http_now());
	unlock_lanes();
	if (verdict.reason == HOLD_NONE)
	{
		ticket->has_place = true;
		ticket->submitting = true;
	}
	return verdict;
}

void
lane_take_running_place(LaneTicket *ticket, bool submission_open)
{
	lock_lanes();
	lane_join(&ticket->lane->state, submission_open);
	unlock_lanes();
	ticket->has_place = true;
	ticket->submitting = submission_open;
}

void
lane_settle_submission(LaneTicket *ticket)
{
	if (!ticket->submitting)
		return;
	lock_lanes();
	lane_submission_settled(&ticket->lane->state);
	unlock_changed_lanes();
	ticket->submitting = false;
}

Instant
lane_note_rate_limit(LaneTicket *ticket, Duration retry_after)
{
	Instant		until;

	lock_lanes();
	until = lane_rate_limited(&ticket->lane->state, &ticket->limits, retry_after,
							  random_bits(), http_now());
	unlock_lanes();
	return until;
}

void
lane_restore_hold(LaneTicket *ticket, Instant until)
{
	lock_lanes();
	lane_hold_until(&ticket->lane->state, until, http_now());
	unlock_lanes();
}

void
lane_note_answer(LaneTicket *ticket)
{
	lock_lanes();
	lane_answered(&ticket->lane->state, http_now());
	unlock_lanes();
}

void
lane_note_acceptance(LaneTicket *ticket)
{
	lock_lanes();
	lane_submission_accepted(&ticket->lane->state);
	unlock_changed_lanes();
}

Instant
lane_note_submission_hold(LaneTicket *ticket, HoldReason reason)
{
	Instant		until;

	lock_lanes();
	until = lane_hold_submissions(&ticket->lane->state, &ticket->limits, reason,
								  random_bits(), http_now());
	unlock_lanes();
	return until;
}

void
lane_prepare_to_wait(void)
{
	if (all != NULL)
		ConditionVariablePrepareToSleep(&all->changed);
}

void
lane_cancel_wait(void)
{
	ConditionVariableCancelSleep();
}
