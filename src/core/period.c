/*
 * period.c
 *		Clari's time periods: fiscal quarters, written like "2026_Q3".
 */
#include "core/period.h"

#define MONTHS_A_QUARTER	3
#define MONTHS_A_YEAR		12

Period
period_of_month(int year, int month, int first_month)
{
	int			month_of_year = (month - first_month + MONTHS_A_YEAR) % MONTHS_A_YEAR;
	bool		ends_next_year = first_month > 1 && month >= first_month;
	Period		period = {
		.year = ends_next_year ? year + 1 : year,
		.quarter = month_of_year / MONTHS_A_QUARTER + 1,
	};

	return period;
}

bool
period_read(const char *text, size_t length, Period *period)
{
	int			year = 0;

	if (length != PERIOD_TEXT_SIZE - 1)
		return false;
	for (int i = 0; i < 4; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		year = year * 10 + (text[i] - '0');
	}
	if (year == 0 || text[4] != '_' || text[5] != 'Q' || text[6] < '1' || text[6] > '4')
		return false;

	period->year = year;
	period->quarter = text[6] - '0';
	return true;
}

void
period_write(Period period, char text[PERIOD_TEXT_SIZE])
{
	for (int i = 3, rest = period.year; i >= 0; i--, rest /= 10)
		text[i] = (char) ('0' + rest % 10);
	text[4] = '_';
	text[5] = 'Q';
	text[6] = (char) ('0' + period.quarter);
	text[7] = '\0';
}

Period
period_next(Period period)
{
	if (period.quarter < 4)
		period.quarter++;
	else
	{
		period.year++;
		period.quarter = 1;
	}
	return period;
}

int
period_compare(Period a, Period b)
{
	return a.year != b.year ? a.year - b.year : a.quarter - b.quarter;
}
