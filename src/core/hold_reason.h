/*
 * hold_reason.h
 *		Why something waits: the one list, for C and for SQL.
 */
#ifndef CORE_HOLD_REASON_H
#define CORE_HOLD_REASON_H

/*
 * Each reason with the words that clari_export_request.hold_reason shows, and
 * those in which a function that waits tells of it.
 */
#define HOLD_REASONS(HOLD) \
	/* Clari answered 429 */ \
	HOLD(RATE_LIMITED, "rate limited", "rate limited by Clari") \
	/* no free concurrent export at Clari */ \
	HOLD(QUEUE_FULL, "job queue full", "Clari's job queue is full") \
	/* the monthly quota is used up or reserved */ \
	HOLD(QUOTA, "monthly quota used up", "monthly quota used up") \
	/* Clari cannot be reached */ \
	HOLD(UNAVAILABLE, "Clari unavailable", "Clari cannot be reached") \
	/* max_requests_per_second, or the pace that a lane has learned */ \
	HOLD(PACE, "requests per second", "requests per second") \
	/* submit_interval after the last export */ \
	HOLD(INTERVAL, "pause between exports", "pause between exports") \
	/* max_concurrent_exports are running */ \
	HOLD(LANE_IN_USE, "another export is running", "another export of this API key is running") \
	/* another submission's fate is not known yet */ \
	HOLD(UNKNOWN_SUBMISSION, "another submission is under way", \
		 "another submission of this API key is under way") \
	/* the server's option paused */ \
	HOLD(PAUSED, "paused", "paused") \
	/* the row cannot be written just now */ \
	HOLD(DATABASE_ERROR, "database error", "database error")

typedef enum HoldReason
{
	HOLD_NONE,
#define HOLD_SYMBOL(symbol, column, notice)	HOLD_##symbol,
	HOLD_REASONS(HOLD_SYMBOL)
#undef HOLD_SYMBOL
} HoldReason;

/* A few words, as clari_export_request.hold_reason shows them. */
extern const char *hold_reason_name(HoldReason reason);

/* The same for somebody who waits for a function. */
extern const char *hold_reason_notice(HoldReason reason);

#endif							/* CORE_HOLD_REASON_H */
