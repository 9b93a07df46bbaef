/*
 * lane_rules.c
 *		When a request of one API key may go out.
 *
 * Nobody knows how many requests a gateway admits, so a lane learns it: a 429
 * makes the pause between two requests a quarter longer, an answer shortens it
 * by at most a 64th. While requests are refused only because they come too
 * close to each other, the pause stays around what the gateway wants, and each
 * refusal has to be paid for with log(1 + 1/4) / log(1 / (1 - 1/64)) = 14 or
 * more answers: in the long run fewer than one request in ten is refused,
 * whatever the limit. Where answers come quickly, the time since the last
 * refusal and not their number decides how fast the pause shrinks: after a
 * minute it is what it was, and after five a lane that had been slowed down a
 * hundredfold is free. Each refusal may cost a hold of seconds, and so they
 * should be far apart.
 */
#include "core/lane_rules.h"

#include "core/retry_after.h"

#include <stddef.h>

static LaneVerdict
verdict(HoldReason reason, Instant until)
{
	LaneVerdict result = {reason, until};

	return result;
}

/*
 * The moment from which one more request stays within the limit (in any
 * window of n / rate seconds go at most n requests) and the pace.
 */
static Instant
next_turn(const LaneState *lane, int rate)
{
	int			n = rate < LANE_RECENT_REQUESTS ? rate : LANE_RECENT_REQUESTS;
	Instant		turn = lane->pace > 0 ? lane->next_by_pace : 0;

	if (lane->requests < (uint64_t) n)
		return turn;
	return instant_later(turn, SECONDS(1) * n / rate +
						 lane->recent[(lane->requests - (uint64_t) n) % LANE_RECENT_REQUESTS]);
}

/* A hold begins, or ends early: turns that were given are void. */
static void
take_turns_back(LaneState *lane)
{
	lane->holds++;
	lane->last_turn = 0;
}

/*
 * The moment of a request's turn, which is kept in *turn where it lies ahead:
 * at once, or after those that were given to others.
 */
static Instant
find_turn(LaneState *lane, const LaneLimits *limits, LaneTurn *turn, Instant now)
{
	int			rate = limits->max_requests_per_second;
	Instant		possible = next_turn(lane, rate);

	if (turn != NULL && turn->at != 0 && turn->holds == lane->holds)
		return instant_later(turn->at, possible);
	if (lane->last_turn > now)
		possible = instant_later(possible, lane->last_turn + instant_later(lane->pace, SECONDS(1) / rate));
	if (turn != NULL && possible > now)
	{
		*turn = (LaneTurn) {possible, lane->holds};
		lane->last_turn = possible;
	}
	return possible;
}

LaneVerdict
lane_admit_request(LaneState *lane, const LaneLimits *limits, bool submits, LaneTurn *turn, Instant now)
{
	Instant		at;

	if (now < lane->held_until)
		return verdict(HOLD_RATE_LIMITED, lane->held_until);
	if (submits && now < lane->submissions_held_until)
		return verdict(lane->submissions_held_for, lane->submissions_held_until);

	at = find_turn(lane, limits, turn, now);
	if (now < at)
		return verdict(HOLD_PACE, at);

	if (turn != NULL)
		turn->at = 0;
	lane->recent[lane->requests++ % LANE_RECENT_REQUESTS] = now;
	lane->next_by_pace = now + lane->pace;
	return verdict(HOLD_NONE, now);
}

LaneVerdict
lane_export_verdict(const LaneState *lane, const LaneLimits *limits,
					Duration interval, Instant now)
{
	if (lane->exports >= limits->max_concurrent_exports)
		return verdict(HOLD_LANE_IN_USE, INSTANT_NEVER);
	if (lane->open_submissions > 0)
		return verdict(HOLD_UNKNOWN_SUBMISSION, INSTANT_NEVER);
	if (now < lane->held_until)
		return verdict(HOLD_RATE_LIMITED, lane->held_until);
	if (now < lane->submissions_held_until)
		return verdict(lane->submissions_held_for, lane->submissions_held_until);
	if (lane->ended_one && now < lane->last_export_end + interval)
		return verdict(HOLD_INTERVAL, lane->last_export_end + interval);
	return verdict(HOLD_NONE, now);
}

LaneVerdict
lane_admit_export(LaneState *lane, const LaneLimits *limits, Duration interval, Instant now)
{
	LaneVerdict result = lane_export_verdict(lane, limits, interval, now);

	if (result.reason == HOLD_NONE)
	{
		lane->exports++;
		lane->open_submissions++;
	}
	return result;
}

void
lane_join(LaneState *lane, bool submission_open)
{
	lane->exports++;
	if (submission_open)
		lane->open_submissions++;
}

void
lane_submission_settled(LaneState *lane)
{
	lane->open_submissions--;
}

void
lane_leave(LaneState *lane, bool ended, Instant now)
{
	lane->exports--;
	if (ended)
	{
		lane->ended_one = true;
		lane->last_export_end = now;
	}
}

/* ----------
 * The pace
 * ----------
 */

/* A pause this short holds nobody back: the lane has recovered. */
#define QUICKEST_PACE		MILLISECONDS(10)

/* Fewer answers than this between two refusals: the pace may be far off. */
#define FEW_ANSWERS			8

/* A refusal so soon after another may be of a request sent before that one. */
#define USUAL_LATENCY		MILLISECONDS(250)

/* What one answer quickens the pace by, at most. */
#define MOST_QUICKENING		(1.0 / 64)

/*
 * t seconds after a refusal the pause shrinks by t / SLOWNESS of itself each
 * second: by exp(t^2 / (2 * SLOWNESS)) in all, which after a minute is the
 * quarter that a refusal adds.
 */
#define SLOWNESS			8000.0

static double
seconds(Duration duration)
{
	return (double) duration / SECONDS(1);
}

/*
 * The first refusal tells how many requests Clari answered in the second
 * before it; later ones that the pause is too short, or much too short. Of
 * refusals in a row the others tell that Clari is closed, and not that we are
 * too fast.
 */
static void
slow_down(LaneState *lane, Instant now)
{
	bool		second_is_over = now >= lane->second_began + SECONDS(1);
	int			answered = second_is_over ? 0 : lane->answers_in_second;
	Duration	as_answered = SECONDS(1) / (answered > 0 ? answered : 1);
	Duration	longer = lane->pace + lane->pace / 4;

	lane->is_guess = lane->pace == 0;
	if (lane->is_guess)
		longer = as_answered;
	else if (lane->answers_since < FEW_ANSWERS)
		longer = instant_later(longer, instant_earlier(as_answered, 2 * lane->pace));

	lane->pace = instant_earlier(instant_later(longer, QUICKEST_PACE), LANE_SLOWEST_PACE);
	lane->next_by_pace = instant_later(lane->next_by_pace, now + lane->pace);
	lane->slowed_at = now;
	lane->answers_since = 0;
}

/* One refusal alone may have been a chance: after it every answer counts fully. */
static void
quicken(LaneState *lane, Instant now)
{
	double		share = seconds(lane->pace) * seconds(instant_later(now - lane->slowed_at, 0)) / SLOWNESS;

	if (lane->is_guess || share > MOST_QUICKENING)
		share = MOST_QUICKENING;
	lane->pace -= (Duration) ((double) lane->pace * share);
	if (lane->pace < QUICKEST_PACE)
		lane->pace = 0;
}

static void
count_answer(LaneState *lane, Instant now)
{
	if (now >= lane->second_began + SECONDS(1))
	{
		lane->second_began = now;
		lane->answers_in_second = 0;
	}
	lane->answers_in_second++;
	lane->answers_since++;
}

/* ----------
 * Replies
 * ----------
 */

Instant
lane_rate_limited(LaneState *lane, const LaneLimits *limits,
				  Duration retry_after, uint32_t random, Instant now)
{
	Duration	wait = retry_after;
	bool		joins = now < lane->held_until;
	bool		first = lane->pace == 0;

	/*
	 * Of several requests that were under way together, the first 429 slows
	 * the lane down and takes the step of the backoff, and the others join.
	 */
	take_turns_back(lane);
	if (!joins && (first || (lane->answers_since > 0 && now >= lane->slowed_at + USUAL_LATENCY)))
		slow_down(lane, now);
	if (retry_after == RETRY_AFTER_NONE && joins)
		return lane->held_until;
	if (retry_after == RETRY_AFTER_NONE)
		wait = backoff_delay_with_jitter(&limits->backoff, lane->rate_limited++, random);

	lane->held_until = instant_later(lane->held_until, now + instant_earlier(wait, LANE_LONGEST_HOLD));

	/* The moment that Clari names is a turn; "now" is worth a try, but only one. */
	if (retry_after > 0 || (retry_after == 0 && first))
		lane->next_by_pace = lane->held_until;
	return lane->held_until;
}

void
lane_hold_until(LaneState *lane, Instant until, Instant now)
{
	take_turns_back(lane);
	lane->held_until = instant_later(lane->held_until, instant_earlier(until, now + LANE_LONGEST_HOLD));
}

void
lane_answered(LaneState *lane, Instant now)
{
	lane->rate_limited = 0;
	count_answer(lane, now);
	if (lane->pace > 0)
		quicken(lane, now);
}

Instant
lane_hold_submissions(LaneState *lane, const LaneLimits *limits,
					  HoldReason reason, uint32_t random, Instant now)
{
	Duration	wait = backoff_delay_with_jitter(&limits->backoff,
												 lane->submissions_refused++, random);

	lane->submissions_held_until = instant_later(lane->submissions_held_until, now + wait);
	lane->submissions_held_for = reason;
	return lane->submissions_held_until;
}

void
lane_submission_accepted(LaneState *lane)
{
	lane->submissions_refused = 0;
	lane->submissions_held_until = 0;
}

void
lane_lift_holds(LaneState *lane)
{
	lane->held_until = lane->submissions_held_until = 0;
	lane->rate_limited = lane->submissions_refused = 0;
	lane->pace = 0;
	take_turns_back(lane);
}

Instant
lane_held_until(const LaneState *lane)
{
	return instant_later(lane->held_until, lane->submissions_held_until);
}

bool
lane_is_idle(const LaneState *lane, Instant now)
{
	return lane->exports == 0 && lane->open_submissions == 0 && now >= lane_held_until(lane);
}
