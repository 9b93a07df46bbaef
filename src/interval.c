/*
 * interval.c
 *		Intervals and moments, as PostgreSQL and as the core have them.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "http.h"
#include "interval.h"

Duration
interval_duration(const Interval *interval)
{
	return interval->time +
		(interval->day + (int64) interval->month * DAYS_PER_MONTH) * USECS_PER_DAY;
}

/* interval_in() raises an error on bad input; here it only returns false. */
bool
interval_parse(const char *text, Duration *duration)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool valid = true;

	PG_TRY();
	{
		Datum		interval = DirectFunctionCall3(interval_in, CStringGetDatum(text),
												   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));

		*duration = interval_duration(DatumGetIntervalP(interval));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		FlushErrorState();
		valid = false;
	}
	PG_END_TRY();
	return valid;
}

TimestampTz
timestamp_of(Instant instant)
{
	Duration	ahead = instant - http_now();

	/* Beyond what a timestamp can hold: a huge Retry-After. */
	if (instant == INSTANT_NEVER || ahead > END_TIMESTAMP - GetCurrentTimestamp() - SECONDS(1))
		return DT_NOEND;
	return GetCurrentTimestamp() + ahead;
}

Instant
instant_of(TimestampTz time)
{
	return TIMESTAMP_NOT_FINITE(time) ? INSTANT_NEVER :
		http_now() + Max(time - GetCurrentTimestamp(), 0);
}
