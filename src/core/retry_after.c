/*
 * retry_after.c
 *		The Retry-After header in all its forms.
 *
 * libcurl has CURLINFO_RETRY_AFTER, but in versions still in use it keeps the
 * value of an earlier reply, goes negative for dates in the past, and measures
 * dates against the local clock instead of the server's. No function of the C
 * library helps either: strptime() reads dates in the process's locale.
 */
#include "core/retry_after.h"

#include <stdio.h>
#include <string.h>

#define MONTHS		"JanFebMarAprMayJunJulAugSepOctNovDec"
#define IS_DIGIT(c) ((c) >= '0' && (c) <= '9')

static const char *
skip_blanks(const char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar (month from 1). */
static int64_t
days_since_1970(int year, int month, int day)
{
	int			y = month <= 2 ? year - 1 : year;
	int			era = y / 400;
	int			year_of_era = y - era * 400;
	int			day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int			day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return (int64_t) era * 146097 + day_of_era - 719468;
}

/* RFC 9110: a two-digit year more than 50 years ahead is one of the past. */
static int
year_from_two_digits(int year, Instant unix_now)
{
	int			this_year = (int) (1970 + unix_now / SECONDS(31556952));
	int			full = this_year - this_year % 100 + year;

	return full > this_year + 50 ? full - 100 : full;
}

static int
month_number(const char *name)
{
	for (int month = 1; month <= 12; month++)
		if (memcmp(name, &MONTHS[(month - 1) * 3], 3) == 0)
			return month;
	return 0;
}

bool
http_date_read(const char *text, Instant unix_now, Instant *unix_time)
{
	char		month_name[4];
	int			year;
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
	int			end = 0;

	text = skip_blanks(text);
	if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n",
			   &day, month_name, &year, &hour, &minute, &second, &end) == 6 && end > 0)
		 /* IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT */ ;
	else if (sscanf(text, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n",
					&day, month_name, &year, &hour, &minute, &second, &end) == 6 && end > 0)
		year = year_from_two_digits(year, unix_now);	/* RFC 850 */
	else if (sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n",
					month_name, &day, &hour, &minute, &second, &year, &end) == 6 && end > 0)
		 /* asctime: Sun Nov  6 08:49:37 1994 */ ;
	else
		return false;

	month = strlen(month_name) == 3 ? month_number(month_name) : 0;
	if (*skip_blanks(text + end) != '\0' || month == 0 ||
		year < 1 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
		minute < 0 || minute > 59 || second < 0 || second > 60)
		return false;

	*unix_time = SECONDS(days_since_1970(year, month, day) * 86400 +
						 hour * 3600 + minute * 60 + second);
	return true;
}

/* Digits with an optional fraction; saturates at DURATION_MAX. */
static Duration
read_seconds(const char *text)
{
	Duration	wait = 0;
	Duration	unit = SECONDS(1);

	text = skip_blanks(text);
	if (*text == '+')
		text++;
	if (!IS_DIGIT(*text))
		return RETRY_AFTER_NONE;

	for (; IS_DIGIT(*text); text++)
	{
		wait = wait * 10 + SECONDS(*text - '0');
		if (wait > DURATION_MAX)
			wait = DURATION_MAX;
	}
	if (*text == '.' && IS_DIGIT(text[1]))
	{
		for (text++; IS_DIGIT(*text); text++)
		{
			unit /= 10;
			wait += unit * (*text - '0');
		}
	}
	if (*skip_blanks(text) != '\0')
		return RETRY_AFTER_NONE;

	return instant_earlier(wait, DURATION_MAX);
}

Duration
retry_after_read(const char *value, const char *date, Instant unix_now)
{
	Duration	wait = read_seconds(value);
	Instant		until;
	Instant		from;

	if (wait != RETRY_AFTER_NONE)
		return wait;
	if (!http_date_read(value, unix_now, &until))
		return RETRY_AFTER_NONE;
	if (date == NULL || !http_date_read(date, unix_now, &from))
		from = unix_now;

	return until > from ? instant_earlier(until - from, DURATION_MAX) : 0;
}
