/*
 * outcome.h
 *		How an export may end: the one list, for C and for SQL.
 */
#ifndef CORE_OUTCOME_H
#define CORE_OUTCOME_H

/*
 * Each end but the good one: its SQLSTATE is RC and the number, its condition
 * clari_ and the name, and the name is that of its counter in the view
 * clari_export_stat and of the function in outcome.c that tells it.
 */
#define OUTCOMES(OUTCOME) \
	OUTCOME(NOT_AUTHORIZED, 1, not_authorized) \
	OUTCOME(BAD_REQUEST, 2, bad_request) \
	OUTCOME(RATE_LIMITED, 3, rate_limited) \
	OUTCOME(QUEUE_FULL, 4, queue_full) \
	OUTCOME(QUOTA_EXHAUSTED, 5, quota_exhausted) \
	OUTCOME(JOB_FAILED, 6, job_failed) \
	OUTCOME(POLL_TIMEOUT, 7, poll_timeout) \
	OUTCOME(BAD_RESPONSE, 8, bad_response) \
	OUTCOME(UNAVAILABLE, 9, unavailable) \
	/* of whoever reads results: the machine does not */ \
	OUTCOME(WRONG_PERIOD, 10, wrong_period) \
	OUTCOME(SUBMISSION_UNKNOWN, 11, submission_unknown)

typedef enum ExportOutcome
{
	OUTCOME_NONE,				/* it did not end yet */
	OUTCOME_DONE,				/* what the goal says */
#define OUTCOME_SYMBOL(symbol, number, name)	OUTCOME_##symbol,
	OUTCOMES(OUTCOME_SYMBOL)
#undef OUTCOME_SYMBOL
} ExportOutcome;

#endif							/* CORE_OUTCOME_H */
