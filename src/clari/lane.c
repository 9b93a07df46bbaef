/*
 * lane.c
 *		Lanes in shared memory: one for each API key at one host.
 *
 * Shared memory holds numbers only: nothing in it points into a process. A
 * process that ends gives its places back in an exit callback; one that
 * crashes takes all of shared memory with it, as always in PostgreSQL.
 *
 * Who waits for a lane is noted under the same lock under which it was told to
 * wait, so that no change goes unseen. A change wakes these processes and no
 * others: their latches are set, and as a latch may be reset by any wait, each
 * has a mark of its own, too.
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "clari/lane.h"
#include "clock.h"
#include "core/fixed_table.h"
#include "settings.h"

#define LANE_TRANCHE	"clari_export"

#define LOCAL_LANES		256		/* of a session, where they are not shared */

/* With more held lanes than this share of all, a role loses its own first. */
#define FAIR_SHARE		8

/* How long the workers may take to take up what was left behind. */
#define LONGEST_TAKE_UP	SECONDS(10)
#define LOOK_AGAIN		SECONDS(1)	/* meanwhile */
#define MAX_TAKEN_UP	64		/* databases remembered to have done so */

/* Processes by number, one bit each. */
typedef uint64 *ProcessSet;

struct Lane
{
	uint8		key[LANE_KEY_SIZE];
	int			tickets;		/* open in all processes */
	Oid			role;			/* whose business made the lane */
	Oid			database;		/* of the server that was used last */
	Oid			server;
	Instant		last_use;
	LaneState	state;
	uint64		processes[FLEXIBLE_ARRAY_MEMBER];	/* waiters, then drivers */
};

typedef struct Lanes
{
	LWLock	   *lock;			/* NULL where the lanes are not shared */
	int			max_processes;
	Instant		take_up_until;	/* no submission goes out until then ... */
	int			not_taken_up;	/* ... or no database is left; -1: not known */
	int			n_taken_up;
	Oid			taken_up[MAX_TAKEN_UP];
} Lanes;

static Lanes *all = NULL;
static FixedTable *table = NULL;
static volatile bool *woken = NULL; /* by process, since it asked last */
static volatile bool *woken_by_others = NULL;
static dlist_head open_tickets = DLIST_STATIC_INIT(open_tickets);
static bool exit_callback_registered = false;

/* ----------
 * Memory
 * ----------
 */

/* Words of a set of processes. */
static int
set_words(int max_processes)
{
	return (max_processes + 63) / 64;
}

static Size
lane_size(int max_processes)
{
	return offsetof(Lane, processes) + 2 * (Size) set_words(max_processes) * sizeof(uint64);
}

static Size
lanes_size(int max_lanes, int max_processes)
{
	return add_size(MAXALIGN(sizeof(Lanes)) + 2 * MAXALIGN((Size) max_processes),
					fixed_table_size(max_lanes, lane_size(max_processes)));
}

static void
find_parts(int max_processes)
{
	woken = (volatile bool *) all + MAXALIGN(sizeof(Lanes));
	woken_by_others = woken + MAXALIGN((Size) max_processes);
	table = (FixedTable *) ((char *) all + MAXALIGN(sizeof(Lanes)) + 2 * MAXALIGN((Size) max_processes));
}

static void
initialize(int max_lanes, int max_processes)
{
	memset(all, 0, MAXALIGN(sizeof(Lanes)) + 2 * MAXALIGN((Size) max_processes));
	all->max_processes = max_processes;
	find_parts(max_processes);
	fixed_table_init(table, max_lanes, lane_size(max_processes), LANE_KEY_SIZE);
}

void
lane_request_shared_memory(void)
{
	RequestAddinShmemSpace(lanes_size(settings_max_lanes(), MaxBackends));
	RequestNamedLWLockTranche(LANE_TRANCHE, 1);
}

void
lane_attach_shared_memory(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	all = ShmemInitStruct("clari_export lanes", lanes_size(settings_max_lanes(), MaxBackends), &found);
	if (!found)
	{
		initialize(settings_max_lanes(), MaxBackends);
		all->lock = &GetNamedLWLockTranche(LANE_TRANCHE)->lock;
		all->take_up_until = clock_now() + LONGEST_TAKE_UP;
		all->not_taken_up = -1;
	}
	find_parts(all->max_processes);
	LWLockRelease(AddinShmemInitLock);
}

/* Without preloading: lanes of this session, which is process 0 of one. */
static void
make_local_lanes(void)
{
	all = MemoryContextAlloc(TopMemoryContext, lanes_size(LOCAL_LANES, 1));
	initialize(LOCAL_LANES, 1);
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

static uint32
random_bits(void)
{
	return pg_prng_uint32(&pg_global_prng_state);
}

/* ----------
 * Processes: all of this with the lanes locked
 * ----------
 */

static int
my_number(void)
{
	if (all->lock == NULL)
		return 0;
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

static ProcessSet
waiters(Lane *lane)
{
	return lane->processes;
}

static ProcessSet
drivers(Lane *lane)
{
	return lane->processes + set_words(all->max_processes);
}

static void
put(ProcessSet set, int process, bool member)
{
	uint64		bit = UINT64CONST(1) << (process % 64);

	if (member)
		set[process / 64] |= bit;
	else
		set[process / 64] &= ~bit;
}

/* The first member from a number on, or -1. */
static int
next_member(ProcessSet set, int from)
{
	for (int process = from; process < all->max_processes; process++)
	{
		uint64		rest = set[process / 64] >> (process % 64);

		if (rest & 1)
			return process;
		if (rest == 0)
			process |= 63;
	}
	return -1;
}

static void
wake(int process)
{
	woken[process] = true;
	if (process != my_number())
		woken_by_others[process] = true;
	SetLatch(all->lock == NULL ? MyLatch : &GetPGProcByNumber(process)->procLatch);
}

/* Wake those who wait for this lane; they ask again, and are noted again. */
static void
wake_waiters_of(Lane *lane)
{
	ProcessSet	set = waiters(lane);

	for (int process = next_member(set, 0); process >= 0; process = next_member(set, process + 1))
	{
		put(set, process, false);
		wake(process);
	}
}

static void
wake_waiters_of_all(void)
{
	for (Lane *lane = NULL; (lane = fixed_table_next(table, lane)) != NULL;)
		wake_waiters_of(lane);
}

/* Pass a verdict on; who has to wait for more than a moment that is known is noted. */
static LaneVerdict
tell(Lane *lane, LaneVerdict verdict)
{
	if (verdict.reason != HOLD_NONE && verdict.reason != HOLD_PACE && verdict.reason != HOLD_INTERVAL)
		put(waiters(lane), my_number(), true);
	return verdict;
}

/* Whether this process is marked; it is not any more. */
static bool
take_mark(volatile bool *marks)
{
	if (all == NULL || !marks[my_number()])
		return false;
	marks[my_number()] = false;
	pg_memory_barrier();		/* before the caller asks */
	return true;
}

bool
lane_woke_us(void)
{
	return take_mark(woken);
}

bool
lane_others_changed(void)
{
	return take_mark(woken_by_others);
}

/* ----------
 * Finding a lane
 * ----------
 */

/* Give back everything when the process ends, whatever way it ends. */
static void
close_all_tickets(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	while (!dlist_is_empty(&open_tickets))
		lane_close(dlist_head_element(LaneTicket, node, &open_tickets), false);
}

/* What a look at all lanes finds, on behalf of one role. */
typedef struct Census
{
	int			in_use;			/* lanes with tickets */
	int			in_use_by_role;
	Lane	   *idle;			/* nobody will miss it: the one used least lately */
	int			held_by_others; /* lanes that only a hold keeps */
	int			held_by_role;
	Lane	   *held_of_other;	/* one of the other roles' at random ... */
	Lane	   *held_of_role;	/* ... and the role's that is free first */
} Census;

static Census
take_census(Oid role, Instant now)
{
	Census		census = {0};

	for (Lane *lane = NULL; (lane = fixed_table_next(table, lane)) != NULL;)
	{
		bool		own = lane->role == role;

		if (lane->tickets > 0)
		{
			census.in_use++;
			census.in_use_by_role += own;
		}
		else if (lane_is_idle(&lane->state, now))
		{
			if (census.idle == NULL || lane->last_use < census.idle->last_use)
				census.idle = lane;
		}
		else
		{
			if (!own && random_bits() % (uint32) ++census.held_by_others == 0)
				census.held_of_other = lane;
			census.held_by_role += own;
			if (own && (census.held_of_role == NULL ||
						lane_held_until(&lane->state) < lane_held_until(&census.held_of_role->state)))
				census.held_of_role = lane;
		}
	}
	return census;
}

/*
 * The lane to forget for a new one. A lane that is only held may have to go,
 * or a few 429s with a long Retry-After would keep everybody out for a day: of
 * a role that holds many its own, else another's, which is most likely one of
 * a role that holds many.
 */
static Lane *
dispensable(const Census *census)
{
	if (census->idle != NULL)
		return census->idle;
	if (census->held_of_other == NULL ||
		census->held_by_role > fixed_table_capacity(table) / FAIR_SHARE)
		return census->held_of_role;
	return census->held_of_other;
}

/*
 * A new lane for a role. No role may have more lanes in use than would be left
 * for others: then each leaves room, however many keys it has.
 */
static Lane *
new_lane(const uint8 *key, Oid role, Instant now)
{
	Census		census = take_census(role, now);
	Lane	   *lane;

	if (census.in_use_by_role >= fixed_table_capacity(table) - census.in_use)
		return NULL;
	if (fixed_table_count(table) == fixed_table_capacity(table))
		fixed_table_remove(table, dispensable(&census));
	lane = fixed_table_add(table, key);
	lane->role = role;
	return lane;
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
	lane = fixed_table_find(table, account->lane_key);
	if (lane == NULL)
		lane = new_lane(account->lane_key, account->role, clock_now());
	if (lane != NULL)
	{
		lane->tickets++;
		lane->database = MyDatabaseId;
		lane->server = account->server_id;
	}
	unlock_lanes();
	if (lane == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many Clari API keys are in use at the same time"),
				 errdetail("There is room for %d, and a role may use half of what the others leave.",
						   fixed_table_capacity(table)),
				 errhint("Try again when an export has ended, or increase clari_export.max_lanes.")));

	ticket->lane = lane;
	ticket->limits = account_lane_limits(account);
	ticket->turn = (LaneTurn) {0, 0};
	ticket->driving = false;
	ticket->has_place = false;
	ticket->submitting = false;
	dlist_push_tail(&open_tickets, &ticket->node);
}

/* ----------
 * Driving a lane
 * ----------
 */

/* Whether a process has the lane for the queue of this database. */
static bool
is_driven(Lane *lane)
{
	ProcessSet	set = drivers(lane);

	for (int process = next_member(set, 0); process >= 0; process = next_member(set, process + 1))
		if (GetPGProcByNumber(process)->databaseId == MyDatabaseId)
			return true;
	return false;
}

static bool
drive_shared(Lane *lane)
{
	bool		granted;

	lock_lanes();
	granted = !is_driven(lane);
	put(granted ? drivers(lane) : waiters(lane), my_number(), true);
	unlock_lanes();
	return granted;
}

/*
 * Without shared lanes a lock keeps drains apart. It belongs to no database,
 * so that it holds across all of them, and is of a type that no SQL function
 * takes: nobody can keep drains out with a lock of the same number.
 */
static LOCKTAG
driver_lock(const Lane *lane)
{
	LOCKTAG		tag;
	uint32		numbers[3];

	memcpy(numbers, lane->key, sizeof(numbers));
	tag.locktag_field1 = numbers[0];
	tag.locktag_field2 = numbers[1];
	tag.locktag_field3 = numbers[2];
	tag.locktag_field4 = 0;
	tag.locktag_type = LOCKTAG_USERLOCK;
	tag.locktag_lockmethodid = USER_LOCKMETHOD;
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
	LOCKTAG		tag;

	if (all->lock != NULL)
		put(drivers(ticket->lane), my_number(), false);
	else
	{
		tag = driver_lock(ticket->lane);
		LockRelease(&tag, ExclusiveLock, true);
	}
}

void
lane_close(LaneTicket *ticket, bool ended)
{
	Lane	   *lane = ticket->lane;
	Instant		now = clock_now();

	if (lane == NULL)
		return;
	lock_lanes();
	if (ticket->submitting)
		lane_submission_settled(&lane->state);
	if (ticket->driving)
		stop_driving(ticket);
	if (ticket->has_place)
		lane_leave(&lane->state, ended, now);
	if (ticket->submitting || ticket->driving || ticket->has_place)
		wake_waiters_of(lane);
	lane->last_use = now;
	lane->tickets--;
	unlock_lanes();

	dlist_delete(&ticket->node);
	ticket->lane = NULL;
	ticket->driving = false;
	ticket->has_place = false;
	ticket->submitting = false;
}

/* ----------
 * After the server was started
 * ----------
 */

/*
 * Of the submissions that the server's last run left behind each database
 * knows its own. Until all are in their lanes, no other submission goes out
 * with which they could be confused, and none is looked up.
 */
void
lane_expect_take_up(int databases)
{
	lock_lanes();
	if (all->not_taken_up < 0)
	{
		all->take_up_until = clock_now() + LONGEST_TAKE_UP;
		all->not_taken_up = Max(databases - all->n_taken_up, 0);
		wake_waiters_of_all();
	}
	unlock_lanes();
}

static bool
has_taken_up(Oid database)
{
	for (int i = 0; i < all->n_taken_up; i++)
		if (all->taken_up[i] == database)
			return true;
	return false;
}

void
lane_note_take_up(void)
{
	static bool noted = false;

	if (noted)
		return;
	noted = true;
	lock_lanes();
	if (all->n_taken_up < MAX_TAKEN_UP && !has_taken_up(MyDatabaseId))
	{
		all->taken_up[all->n_taken_up++] = MyDatabaseId;
		if (all->not_taken_up > 0 && --all->not_taken_up == 0)
			wake_waiters_of_all();
	}
	unlock_lanes();
}

/* What holds every submission just now, whatever the lane says. */
static LaneVerdict
take_up_verdict(Instant now)
{
	if (all->not_taken_up == 0 || now >= all->take_up_until)
		return (LaneVerdict) {HOLD_NONE, now};
	return (LaneVerdict) {HOLD_UNKNOWN_SUBMISSION, instant_earlier(all->take_up_until, now + LOOK_AGAIN)};
}

int
lane_open_submissions(LaneTicket *ticket)
{
	int			n;

	lock_lanes();
	n = ticket->lane->state.open_submissions;
	unlock_lanes();
	return n;
}

/* ----------
 * The rules
 * ----------
 */

LaneVerdict
lane_look(LaneTicket *ticket)
{
	Instant		now = clock_now();
	LaneVerdict verdict;

	lock_lanes();
	verdict = take_up_verdict(now);
	if (verdict.reason == HOLD_NONE)
		verdict = lane_export_verdict(&ticket->lane->state, &ticket->limits,
									  ticket->limits.submit_interval, now);
	verdict = tell(ticket->lane, verdict);
	unlock_lanes();
	return verdict;
}

LaneVerdict
lane_take_turn(LaneTicket *ticket, bool submits)
{
	Instant		now = clock_now();
	LaneVerdict verdict = {HOLD_NONE, now};

	lock_lanes();
	if (submits || ticket->submitting)
		verdict = take_up_verdict(now);
	if (verdict.reason == HOLD_NONE)
		verdict = lane_admit_request(&ticket->lane->state, &ticket->limits, submits, &ticket->turn, now);
	verdict = tell(ticket->lane, verdict);
	unlock_lanes();
	return verdict;
}

LaneVerdict
lane_take_place(LaneTicket *ticket, Duration interval)
{
	Instant		now = clock_now();
	LaneVerdict verdict;

	lock_lanes();
	verdict = take_up_verdict(now);
	if (verdict.reason == HOLD_NONE)
		verdict = lane_admit_export(&ticket->lane->state, &ticket->limits, interval, now);
	verdict = tell(ticket->lane, verdict);
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
	wake_waiters_of(ticket->lane);
	unlock_lanes();
	ticket->submitting = false;
}

Instant
lane_note_rate_limit(LaneTicket *ticket, Duration retry_after)
{
	Instant		until;

	lock_lanes();
	until = lane_rate_limited(&ticket->lane->state, &ticket->limits, retry_after,
							  random_bits(), clock_now());
	unlock_lanes();
	return until;
}

void
lane_restore_hold(LaneTicket *ticket, Instant until)
{
	lock_lanes();
	lane_hold_until(&ticket->lane->state, until, clock_now());
	unlock_lanes();
}

void
lane_note_answer(LaneTicket *ticket)
{
	lock_lanes();
	lane_answered(&ticket->lane->state, clock_now());
	unlock_lanes();
}

void
lane_note_acceptance(LaneTicket *ticket)
{
	lock_lanes();
	lane_submission_accepted(&ticket->lane->state);
	wake_waiters_of(ticket->lane);
	unlock_lanes();
}

Instant
lane_note_submission_hold(LaneTicket *ticket, HoldReason reason)
{
	Instant		until;

	lock_lanes();
	until = lane_hold_submissions(&ticket->lane->state, &ticket->limits, reason,
								  random_bits(), clock_now());
	unlock_lanes();
	return until;
}

/* ----------
 * Release
 * ----------
 */

static void
release(Lane *lane, LaneHolds *lifted)
{
	const LaneState *state = &lane->state;

	lifted->until = instant_later(lifted->until, state->held_until);
	if (state->submissions_held_until > lifted->submissions_until)
	{
		lifted->submissions_until = state->submissions_held_until;
		lifted->submissions_held_for = state->submissions_held_for;
	}
	lane_lift_holds(&lane->state);
	wake_waiters_of(lane);
}

void
lane_release(Oid server, const uint8 *key, LaneHolds *lifted)
{
	if (all == NULL)
		return;
	lock_lanes();
	for (Lane *lane = NULL; (lane = fixed_table_next(table, lane)) != NULL;)
		if ((lane->database == MyDatabaseId && lane->server == server) ||
			(key != NULL && memcmp(lane->key, key, LANE_KEY_SIZE) == 0))
			release(lane, lifted);
	unlock_lanes();
}
