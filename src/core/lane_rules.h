/*
 * lane_rules.h
 *		When a request of one API key may go out.
 *
 * A lane is all traffic of one API key. Clari limits the rate per key, so what
 * one request learns (a 429, a full job queue) holds back the others. These
 * are the rules only; where a lane lives and who locks it is the caller's
 * business.
 */
#ifndef CORE_LANE_RULES_H
#define CORE_LANE_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/backoff.h"
#include "core/hold_reason.h"
#include "core/instant.h"

/* The options of a server that concern its lanes. */
typedef struct LaneLimits
{
	Backoff		backoff;		/* where Clari names no time */
	Duration	submit_interval;
	int			max_requests_per_second;
	int			max_concurrent_exports;
} LaneLimits;

/* Requests remembered to keep to max_requests_per_second. */
#define LANE_RECENT_REQUESTS 64

/* The longest hold: Clari may ask for more, and a clock may be wrong. */
#define LANE_LONGEST_HOLD	SECONDS(86400)

/* However often a lane is refused, its pace lets a request through so often. */
#define LANE_SLOWEST_PACE	SECONDS(5)

/*
 * A turn that somebody waits for. Turns are given in the order in which they
 * were asked for, or those who ask most often would leave none to others. All
 * zeros is none.
 */
typedef struct LaneTurn
{
	Instant		at;
	uint32_t	holds;			/* the lane's when it was given: one more and it is void */
} LaneTurn;

/* All zeros is a lane that has seen nothing yet. */
typedef struct LaneState
{
	/* Every request waits until then, after a 429. */
	Instant		held_until;
	uint32_t	holds;			/* so far */
	int			rate_limited;	/* 429s without a named time, in a row */

	/*
	 * The pace that 429s taught: no two requests go out closer than this,
	 * except where Clari named the moment. 0: no 429 was seen, or the lane
	 * has recovered.
	 */
	Duration	pace;
	Instant		next_by_pace;
	bool		is_guess;		/* one 429 is all we know */
	Instant		slowed_at;		/* when the pace was last lowered */
	int			answers_since;	/* well answered requests since then */

	/* Answers other than 429 of the second that began then. */
	Instant		second_began;
	int			answers_in_second;

	/* Submissions wait until then. */
	Instant		submissions_held_until;
	HoldReason	submissions_held_for;
	int			submissions_refused;	/* in a row */

	int			open_submissions;	/* under way, or of unknown fate */
	int			exports;		/* exports with a place in the lane */
	bool		ended_one;
	Instant		last_export_end;

	Instant		recent[LANE_RECENT_REQUESTS];	/* ring of send times */
	uint64_t	requests;
	Instant		last_turn;		/* given to somebody who waits for it */
} LaneState;

/* When a request may go out: now, or not before a moment, or on a change. */
typedef struct LaneVerdict
{
	HoldReason	reason;			/* HOLD_NONE: now */
	Instant		until;			/* INSTANT_NEVER: until the lane changes */
} LaneVerdict;

/*
 * Take the next turn for any request; submits says that it is part of a
 * submission. Where the verdict is HOLD_NONE, the request is counted and must
 * be sent. turn keeps the caller's place where it has to wait for its turn;
 * NULL for none.
 */
extern LaneVerdict lane_admit_request(LaneState *lane, const LaneLimits *limits,
									  bool submits, LaneTurn *turn, Instant now);

/*
 * Take a place for one export and the right to submit. interval replaces
 * limits->submit_interval. Where the verdict is HOLD_NONE, the caller owes
 * lane_submission_settled() and lane_leave().
 */
extern LaneVerdict lane_admit_export(LaneState *lane, const LaneLimits *limits,
									 Duration interval, Instant now);

/* Whether lane_admit_export() would let an export in; takes nothing. */
extern LaneVerdict lane_export_verdict(const LaneState *lane, const LaneLimits *limits,
									   Duration interval, Instant now);

/*
 * Take a place for an export that is at Clari already: always granted.
 * submission_open: its submission's fate is not known; settle it later.
 */
extern void lane_join(LaneState *lane, bool submission_open);

/* The submission's fate is known: others may submit. */
extern void lane_submission_settled(LaneState *lane);

/*
 * Give the place back. ended: a job came to its end, and submit_interval
 * counts from now.
 */
extern void lane_leave(LaneState *lane, bool ended, Instant now);

/*
 * A 429 arrived. retry_after is Clari's time, at most LANE_LONGEST_HOLD of
 * it, or RETRY_AFTER_NONE; random spreads the backoff. The lane's pace slows
 * down. Returns until when the lane is held.
 */
extern Instant lane_rate_limited(LaneState *lane, const LaneLimits *limits,
								 Duration retry_after, uint32_t random, Instant now);

/* A 429 of which this lane does not know holds it until then. */
extern void lane_hold_until(LaneState *lane, Instant until, Instant now);

/*
 * Clari answered something else than 429: the backoff starts anew, and the
 * lane's pace quickens a little.
 */
extern void lane_answered(LaneState *lane, Instant now);

/*
 * Clari refused or missed a submission for a reason that passes. Returns
 * until when the lane's submissions are held.
 */
extern Instant lane_hold_submissions(LaneState *lane, const LaneLimits *limits,
									 HoldReason reason, uint32_t random, Instant now);

/* Clari accepted a submission: nothing holds the next one. */
extern void lane_submission_accepted(LaneState *lane);

/* End every hold, and forget what refusals taught. */
extern void lane_lift_holds(LaneState *lane);

/* Until when the lane is held, wholly or its submissions; no later than now if it is not. */
extern Instant lane_held_until(const LaneState *lane);

/* Whether forgetting the lane would lose nothing. */
extern bool lane_is_idle(const LaneState *lane, Instant now);

#endif							/* CORE_LANE_RULES_H */
