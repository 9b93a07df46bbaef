/*
 * polling.h
 *		When to ask for a job the next time, going by what earlier ones took.
 *
 * Clari tells when each job started and ended. Jobs of the same kind take
 * similar times, so a poll is worth most when the job is likely to have ended.
 * A plan is made once an export, from the durations of earlier ones, and then
 * gives the time of each poll. It spends fewer polls than the backoff would on
 * such jobs and places them where they find the end soonest.
 */
#ifndef CORE_POLLING_H
#define CORE_POLLING_H

#include <stdbool.h>

#include "core/backoff.h"
#include "core/instant.h"

/* As many earlier exports count, the latest ones. */
#define POLLING_HISTORY 50

/* With fewer, nothing is known: the plan is the backoff. */
#define POLLING_LEAST_HISTORY 3

/* Durations are divided into so many cells, at equal steps of their logarithm. */
#define POLLING_CELLS 64

typedef struct PollingPlan
{
	Backoff		backoff;		/* its base is the floor, its max the cap */
	bool		has_learned;	/* else it is the backoff, and the rest is unset */

	/* Cell i lies between the bounds first * exp(step * i) and the next one. */
	double		first;			/* microseconds */
	double		step;
	float		lasting[POLLING_CELLS + 1]; /* share of jobs that last to a bound */
	float		polls[POLLING_CELLS + 1];	/* due by then */
} PollingPlan;

/*
 * Make a plan from the durations of earlier exports, the latest first; those
 * after POLLING_HISTORY do not count.
 */
extern void polling_plan(PollingPlan *plan, const Backoff *backoff,
						 const Duration *durations, int n);

/*
 * The wait for the next poll, when n polls were made so far and the job has
 * been running for elapsed. At least the backoff's base, at most its max.
 */
extern Duration polling_delay(const PollingPlan *plan, int n, Duration elapsed);

/*
 * How long a share (0 to 1) of those jobs take in all that have been running
 * for elapsed. Returns false where nothing was learned.
 */
extern bool polling_expected_end(const PollingPlan *plan, double share, Duration elapsed,
								 Duration *end);

#endif							/* CORE_POLLING_H */
