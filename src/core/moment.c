/*
 * moment.c
 *		Moments as Clari writes them: milliseconds since 1970, or ISO 8601.
 */
#include "core/moment.h"

#include <string.h>

#include "core/forecast_text.h"

#define IS_DIGIT(c)				((c) >= '0' && (c) <= '9')
#define SECONDS_A_DAY			86400
#define MICROSECONDS_A_SECOND	1000000
#define DATE_LENGTH				10	/* "2026-07-15" */
#define FRACTION_DIGITS			6

/* What is left to read of a text. */
typedef struct Rest
{
	const char *at;
	const char *end;
} Rest;

static bool
skip(Rest *rest, char c)
{
	if (rest->at == rest->end || *rest->at != c)
		return false;
	rest->at++;
	return true;
}

static bool
read_two_digits(Rest *rest, int most, int *number)
{
	if (rest->end - rest->at < 2 || !IS_DIGIT(rest->at[0]) || !IS_DIGIT(rest->at[1]))
		return false;
	*number = (rest->at[0] - '0') * 10 + (rest->at[1] - '0');
	rest->at += 2;
	return *number <= most;
}

/* Days since 1970 in the Gregorian calendar, by eras of 400 years that begin in March. */
static int64_t
days_since_1970(Day day)
{
	int			year = day.month <= 2 ? day.year - 1 : day.year;
	int			era = year / 400;
	int			year_of_era = year - era * 400;
	int			month_from_march = (day.month + 9) % 12;
	int			day_of_year = (153 * month_from_march + 2) / 5 + day.day - 1;
	int			day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return (int64_t) era * 146097 + day_of_era - 719468;
}

/* Digits behind a point or a comma; none at all are none. */
static int
read_fraction(Rest *rest)
{
	int			fraction = 0;
	int			unit = MICROSECONDS_A_SECOND;

	if (!skip(rest, '.') && !skip(rest, ','))
		return 0;
	for (int n = 0; rest->at < rest->end && IS_DIGIT(*rest->at); n++, rest->at++)
		if (n < FRACTION_DIGITS)
		{
			unit /= 10;
			fraction += unit * (*rest->at - '0');
		}
	return fraction;
}

/* "09:12", with seconds and a fraction of one or without; 60 is a leap second. */
static bool
read_time(Rest *rest, int64_t *microseconds)
{
	int			hour;
	int			minute;
	int			second = 0;

	if (!read_two_digits(rest, 23, &hour) || !skip(rest, ':') || !read_two_digits(rest, 59, &minute))
		return false;
	if (skip(rest, ':') && !read_two_digits(rest, 60, &second))
		return false;
	*microseconds = ((int64_t) hour * 3600 + minute * 60 + second) * MICROSECONDS_A_SECOND + read_fraction(rest);
	return true;
}

/* "Z", "+02:00", "+0200", "-05", or nothing for UTC. */
static bool
read_zone(Rest *rest, int *seconds)
{
	bool		is_west;
	int			hours;
	int			minutes = 0;

	*seconds = 0;
	skip(rest, ' ');
	if (rest->at == rest->end || skip(rest, 'Z') || skip(rest, 'z'))
		return rest->at == rest->end;
	is_west = *rest->at == '-';
	if ((!skip(rest, '-') && !skip(rest, '+')) || !read_two_digits(rest, 15, &hours))
		return false;
	skip(rest, ':');
	if (rest->at != rest->end && !read_two_digits(rest, 59, &minutes))
		return false;
	*seconds = (hours * 3600 + minutes * 60) * (is_west ? -1 : 1);
	return rest->at == rest->end;
}

bool
moment_read(const char *text, size_t length, int64_t *microseconds)
{
	Rest		rest = {text, text + length};
	int64_t		time = 0;
	int			zone = 0;
	Day			day;

	if (milliseconds_read(text, length, microseconds))
		return true;
	if (length < DATE_LENGTH || text[4] != '-' || !day_read(text, DATE_LENGTH, &day))
		return false;
	rest.at += DATE_LENGTH;
	if (length > DATE_LENGTH &&
		((!skip(&rest, 'T') && !skip(&rest, 't') && !skip(&rest, ' ')) || !read_time(&rest, &time) ||
		 !read_zone(&rest, &zone)))
		return false;
	*microseconds = (days_since_1970(day) * SECONDS_A_DAY - zone) * MICROSECONDS_A_SECOND + time;
	return true;
}
