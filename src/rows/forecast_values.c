/*
 * forecast_values.c
 *		Values of a result as PostgreSQL's.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/datetime.h"

#include "core/moment.h"
#include "rows/forecast_values.h"

#define UNIX_TO_POSTGRES_EPOCH	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

bool
read_date(Slice text, DateADT *date)
{
	Day			day;

	if (text.text == NULL || !day_read(text.text, (size_t) text.length, &day))
		return false;
	*date = date2j(day.year, day.month, day.day) - POSTGRES_EPOCH_JDATE;
	return true;
}

bool
read_moment(Slice text, TimestampTz *moment)
{
	int64_t		microseconds;

	if (text.text == NULL || !moment_read(text.text, (size_t) text.length, &microseconds))
		return false;
	*moment = microseconds - UNIX_TO_POSTGRES_EPOCH;
	return IS_VALID_TIMESTAMP(*moment);
}

bool
read_answer(Slice text, bool *answer)
{
	return text.text != NULL && answer_read(text.text, (size_t) text.length, answer);
}

/* Signs of currencies are known in UTF-8, which SQL_ASCII may hold as well. */
bool
read_amount(Slice text, Amount *buffer)
{
	char	   *utf8;

	if (GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
		return amount_read(text.text, (size_t) text.length, buffer);
	utf8 = pg_server_to_any(text.text, text.length, PG_UTF8);
	return amount_read(utf8, utf8 == text.text ? (size_t) text.length : strlen(utf8), buffer);
}
