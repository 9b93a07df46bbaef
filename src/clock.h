/*
 * clock.h
 *		What time it is, on the core's clock and on the calendar.
 */
#ifndef CLARI_CLOCK_H
#define CLARI_CLOCK_H

#include "datatype/timestamp.h"

#include "core/instant.h"

/*
 * The current time of the clock that all Instants outside the core are on. It
 * never runs backwards, and goes on while the machine is suspended.
 */
extern Instant clock_now(void);

/* Microseconds since 1970 by the calendar, for dates in headers. */
extern Instant clock_unix_now(void);

/*
 * A moment of clock_now() on the calendar, and back: DT_NOEND and
 * INSTANT_NEVER for what never comes, now for what has passed.
 */
extern TimestampTz timestamp_of(Instant instant);
extern Instant instant_of(TimestampTz time);

#endif							/* CLARI_CLOCK_H */
