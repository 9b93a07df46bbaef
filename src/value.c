/*
 * value.c
 *		Texts and times of Clari's as PostgreSQL's.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "value.h"

char *
text_from_clari(const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	int			length = (int) strlen(text);
	char	   *volatile converted = pstrdup(text);

	PG_TRY();
	{
		converted = pg_any_to_server(converted, length, PG_UTF8);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		for (char *c = converted; *c != '\0'; c++)
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
	}
	PG_END_TRY();
	return converted;
}

TimestampTz
time_from_clari(int64 milliseconds)
{
	TimestampTz time;

	if (milliseconds <= 0 || milliseconds > PG_INT64_MAX / 1000)
		return DT_NOBEGIN;
	time = milliseconds * 1000 - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	return IS_VALID_TIMESTAMP(time) ? time : DT_NOBEGIN;
}
