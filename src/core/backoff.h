/*
 * backoff.h
 *		How long to wait after the n-th try.
 */
#ifndef CORE_BACKOFF_H
#define CORE_BACKOFF_H

#include "core/instant.h"

typedef struct Backoff
{
	Duration	base;			/* wait after the first try */
	double		multiplier;		/* growth from one try to the next, >= 1 */
	Duration	max;			/* no wait is longer */
} Backoff;

/*
 * The wait after try n (from 0): base * multiplier^n, at most max. This is
 * the timetable of Clari's reference client (5 s, 7.5 s, 11.25 s, ... 60 s).
 */
extern Duration backoff_delay(const Backoff *backoff, int n);

/*
 * The same with up to a quarter more, still at most max, so that clients
 * which were turned away together do not come back together. Never less than
 * backoff_delay(). random is any 32 random bits.
 */
extern Duration backoff_delay_with_jitter(const Backoff *backoff, int n,
										  uint32_t random);

#endif							/* CORE_BACKOFF_H */
