/*
 * lane_rules.c
 *		When a request of one API key may go out.
 */
#include "core/lane_rules.h"

#include "core/retry_after.h"

const char *
hold_reason_name(HoldReason reason)
{
	switch (reason)
	{
		case HOLD_NONE:
			return "none";
		case HOLD_RATE_LIMITED:
			return "rate limited";
		case HOLD_QUEUE_FULL:
			return "job queue full";
		case HOLD_QUOTA:
			return "monthly quota used up";
		case HOLD_UNAVAILABLE:
			return "Clari unavailable";
		case HOLD_PACE:
			return "requests per second";
		case HOLD_INTERVAL:
			return "pause between exports";
		case HOLD_LANE_IN_USE:
			return "another export is running";
		case HOLD_UNKNOWN_SUBMISSION:
			return "another submission is under way";
		case HOLD_PAUSED:
			return "paused";
	}
	return "unknown";
}

static LaneVerdict
verdict(HoldReason reason, Instant until)
{
	LaneVerdict result = {reason, until};

	return result;
}

/*
 * The moment from which one more request stays within the limit: in any
 * window of n / rate seconds go at most n requests.
 */
static Instant
next_turn(const LaneState *lane, int rate)
{
	int			n = rate < LANE_RECENT_REQUESTS ? rate : LANE_RECENT_REQUESTS;

	if (lane->requests < (uint64_t) n)
		return 0;
	return lane->recent[(lane->requests - (uint64_t) n) % LANE_RECENT_REQUESTS] +
		SECONDS(1) * n / rate;
}

LaneVerdict
lane_admit_request(LaneState *lane, const LaneLimits *limits, bool submits, Instant now)
{
	Instant		turn = next_turn(lane, limits->max_requests_per_second);

	if (now < lane->held_until)
		return verdict(HOLD_RATE_LIMITED, lane->held_until);
	if (submits && now < lane->submissions_held_until)
		return verdict(lane->submissions_held_for, lane->submissions_held_until);
	if (now < turn)
		return verdict(HOLD_PACE, turn);

	lane->recent[lane->requests++ % LANE_RECENT_REQUESTS] = now;
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

Instant
lane_rate_limited(LaneState *lane, const LaneLimits *limits,
				  Duration retry_after, uint32_t random, Instant now)
{
	Duration	wait = retry_after;

	/*
	 * Of several requests that were under way together, the first 429 takes
	 * the step of the backoff and the others join its hold.
	 */
	if (retry_after == RETRY_AFTER_NONE && now < lane->held_until)
		return lane->held_until;
	if (retry_after == RETRY_AFTER_NONE)
		wait = backoff_delay_with_jitter(&limits->backoff, lane->rate_limited++, random);

	lane->held_until = instant_later(lane->held_until, now + wait);
	return lane->held_until;
}

void
lane_hold_until(LaneState *lane, Instant until)
{
	lane->held_until = instant_later(lane->held_until, until);
}

void
lane_answered(LaneState *lane)
{
	lane->rate_limited = 0;
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

bool
lane_is_idle(const LaneState *lane, Instant now)
{
	return lane->exports == 0 && lane->open_submissions == 0 &&
		now >= lane->held_until && now >= lane->submissions_held_until;
}
