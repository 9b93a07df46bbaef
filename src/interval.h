/*
 * interval.h
 *		Intervals, as PostgreSQL and as the core have them.
 */
#ifndef CLARI_INTERVAL_H
#define CLARI_INTERVAL_H

#include "datatype/timestamp.h"

#include "core/instant.h"

/*
 * An interval in microseconds, a month counted as 30 days; no longer than
 * DURATION_MAX, forwards or backwards.
 */
extern Duration interval_duration(const Interval *interval);

/* Read an interval such as '5 s' into *duration; false if it is not one. */
extern bool interval_parse(const char *text, Duration *duration);

#endif							/* CLARI_INTERVAL_H */
