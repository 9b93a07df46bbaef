/*
 * lane.h
 *		Lanes in shared memory: one for each API key at one host.
 *
 * The rules are those of core/lane_rules.h; here is where the lanes live, who
 * may touch them when, and what happens to the places of a process that ends.
 * Preloaded, the lanes are the whole cluster's; otherwise each session has its
 * own.
 */
#ifndef CLARI_LANE_H
#define CLARI_LANE_H

#include "lib/ilist.h"

#include "clari/account.h"
#include "core/lane_rules.h"

typedef struct Lane Lane;

/*
 * A process's business in a lane. While it is open the lane stays; the place
 * of an export and the right to submit, if held, are given back when it is
 * closed or the process ends.
 */
typedef struct LaneTicket
{
	dlist_node	node;			/* in the process's open tickets */
	Lane	   *lane;			/* NULL while it is closed */
	LaneLimits	limits;
	LaneTurn	turn;			/* of the next request, if it waits for it */
	bool		driving;
	bool		has_place;
	bool		submitting;
} LaneTicket;

/* Ask for the shared memory; only while it is being set up. */
extern void lane_request_shared_memory(void);

/* Find the shared lanes, or create them. */
extern void lane_attach_shared_memory(void);

/*
 * Open a ticket for the account's lane. Error 53400 if too many API keys are
 * in use at the same time, or too many of the account's role.
 */
extern void lane_open(LaneTicket *ticket, const Account *account);

/*
 * Close a ticket; does nothing if it is closed. ended: the export that had
 * the place came to its end, submit_interval counts from now.
 */
extern void lane_close(LaneTicket *ticket, bool ended);

/*
 * Claim the lane for this process's work on the database's queue, until the
 * ticket is closed. Returns false while another process has it: whatever of
 * the queue is under way in a lane that one drives has been left behind.
 */
extern bool lane_drive(LaneTicket *ticket);

/* Whether an export could start now; takes nothing. */
extern LaneVerdict lane_look(LaneTicket *ticket);

/* The rules of core/lane_rules.h, one by one. */
extern LaneVerdict lane_take_turn(LaneTicket *ticket, bool submits);
extern LaneVerdict lane_take_place(LaneTicket *ticket, Duration interval);
extern void lane_take_running_place(LaneTicket *ticket, bool submission_open);
extern void lane_settle_submission(LaneTicket *ticket);
extern Instant lane_note_rate_limit(LaneTicket *ticket, Duration retry_after);
extern void lane_restore_hold(LaneTicket *ticket, Instant until);
extern void lane_note_answer(LaneTicket *ticket);
extern void lane_note_acceptance(LaneTicket *ticket);
extern Instant lane_note_submission_hold(LaneTicket *ticket, HoldReason reason);

/* Submissions of this lane that are under way or of unknown fate, in all databases. */
extern int	lane_open_submissions(LaneTicket *ticket);

/* What held a lane; of several, what held longest. */
typedef struct LaneHolds
{
	Instant		until;			/* every request */
	Instant		submissions_until;
	HoldReason	submissions_held_for;
} LaneHolds;

/*
 * Lift what holds the lanes that were last used for this server, and the lane
 * with that key, if it is not NULL. What it was is added to *lifted.
 */
extern void lane_release(Oid server, const uint8 *key, LaneHolds *lifted);

/*
 * Whoever was told to wait by one of these is woken through its latch when the
 * lane changes. Whether that happened since the last call: ask again then, and
 * before going to sleep.
 */
extern bool lane_woke_us(void);

/* The same of what other processes changed. */
extern bool lane_others_changed(void);

/*
 * After the server's start, submissions wait until the workers of so many
 * databases have taken up what was left behind, but not for long. Each worker
 * says when it has.
 */
extern void lane_expect_take_up(int databases);
extern void lane_note_take_up(void);

#endif							/* CLARI_LANE_H */
