/*
 * interval.c
 *		Intervals, as PostgreSQL and as the core have them.
 */
#include "postgres.h"

#include "common/int.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "interval.h"

Duration
interval_duration(const Interval *interval)
{
	int64		days = interval->day + (int64) interval->month * DAYS_PER_MONTH;
	Duration	duration;

	if (pg_mul_s64_overflow(days, USECS_PER_DAY, &duration) ||
		pg_add_s64_overflow(duration, interval->time, &duration))
		duration = (days < 0 || (days == 0 && interval->time < 0)) ? -DURATION_MAX : DURATION_MAX;
	return Max(Min(duration, DURATION_MAX), -DURATION_MAX);
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
