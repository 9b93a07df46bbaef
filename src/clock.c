/*
 * clock.c
 *		What time it is, on the core's clock and on the calendar.
 */
#include "postgres.h"

#include <time.h>

#include "utils/timestamp.h"

#include "clock.h"

Instant
clock_now(void)
{
	struct timespec now;

	/* Goes on while the machine is suspended, as Clari's time does. */
#ifdef CLOCK_BOOTTIME
	clock_gettime(CLOCK_BOOTTIME, &now);
#else
	clock_gettime(CLOCK_MONOTONIC, &now);
#endif
	return SECONDS(now.tv_sec) + now.tv_nsec / 1000;
}

Instant
clock_unix_now(void)
{
	return GetCurrentTimestamp() +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

TimestampTz
timestamp_of(Instant instant)
{
	Duration	ahead = instant - clock_now();

	/* Beyond what a timestamp can hold: a huge Retry-After. */
	if (instant == INSTANT_NEVER || ahead > END_TIMESTAMP - GetCurrentTimestamp() - SECONDS(1))
		return DT_NOEND;
	return GetCurrentTimestamp() + ahead;
}

Instant
instant_of(TimestampTz time)
{
	return TIMESTAMP_NOT_FINITE(time) ? INSTANT_NEVER :
		clock_now() + Max(time - GetCurrentTimestamp(), 0);
}
