/*
 * instant.h
 *		Points in time and lengths of time, as the core counts them.
 *
 * The core has no clock. Whoever calls it says what time it is, on any clock
 * that never runs backwards; only differences matter.
 */
#ifndef CORE_INSTANT_H
#define CORE_INSTANT_H

#include <stdint.h>

typedef int64_t Instant;		/* microseconds since some fixed moment */
typedef int64_t Duration;		/* microseconds */

#define MILLISECONDS(n)		((Duration) (n) * 1000)
#define SECONDS(n)			((Duration) (n) * 1000000)

/* A moment that never comes: later than any due time the core computes. */
#define INSTANT_NEVER		INT64_MAX

/*
 * The longest wait the core keeps, about 10,000 years. Adding it to any
 * Instant of our time cannot overflow.
 */
#define DURATION_MAX		SECONDS(INT64_C(315576000000))

static inline Instant
instant_later(Instant a, Instant b)
{
	return a > b ? a : b;
}

static inline Instant
instant_earlier(Instant a, Instant b)
{
	return a < b ? a : b;
}

#endif							/* CORE_INSTANT_H */
