/*
 * interval.h
 *		Intervals and moments, as PostgreSQL and as the core have them.
 */
#ifndef CLARI_INTERVAL_H
#define CLARI_INTERVAL_H

#include "datatype/timestamp.h"

#include "core/instant.h"

/* An interval in microseconds, a month counted as 30 days. */
extern Duration interval_duration(const Interval *interval);

/* Read an interval such as '5 s' into *duration; false if it is not one. */
extern bool interval_parse(const char *text, Duration *duration);

/*
 * A moment on http_now()'s clock on the calendar, and back: DT_NOEND and
 * INSTANT_NEVER for what never comes, now for what has passed.
 */
extern TimestampTz timestamp_of(Instant instant);
extern Instant instant_of(TimestampTz time);

#endif							/* CLARI_INTERVAL_H */
