/*
 * period.c
 *		Clari's time periods: fiscal quarters, written like "2026_Q3".
 */
#include "core/period.h"

#define MONTHS_A_QUARTER	3
#define MONTHS_A_YEAR		12
#define CENTURY				2000

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

/* What is left to read of a text. */
typedef struct Rest
{
	const char *at;
	const char *end;
} Rest;

static bool
skip_letter(Rest *rest, char letter)
{
	if (rest->at == rest->end || (*rest->at != letter && *rest->at != letter - 'A' + 'a'))
		return false;
	rest->at++;
	return true;
}

static void
skip_separators(Rest *rest)
{
	while (rest->at < rest->end && (*rest->at == ' ' || *rest->at == '_' || *rest->at == '-'))
		rest->at++;
}

/* "2027", "FY2027", "FY 27" */
static bool
read_year(Rest *rest, int *year)
{
	bool		is_fiscal = skip_letter(rest, 'F') && skip_letter(rest, 'Y');
	int			digits = 0;

	if (is_fiscal)
		skip_separators(rest);
	*year = 0;
	for (; rest->at < rest->end && digits <= 4 && *rest->at >= '0' && *rest->at <= '9'; digits++, rest->at++)
		*year = *year * 10 + (*rest->at - '0');
	if (digits == 2 && is_fiscal)
		*year += CENTURY;
	return (digits == 4 || (digits == 2 && is_fiscal)) && *year > 0;
}

static bool
read_quarter(Rest *rest, int *quarter)
{
	if (!skip_letter(rest, 'Q') || rest->at == rest->end || *rest->at < '1' || *rest->at > '4')
		return false;
	*quarter = *rest->at++ - '0';
	return true;
}

bool
period_read_any(const char *text, size_t length, Period *period)
{
	Rest		rest = {text, text + length};
	Rest		reversed = rest;

	if (read_year(&rest, &period->year))
	{
		skip_separators(&rest);
		return read_quarter(&rest, &period->quarter) && rest.at == rest.end;
	}
	if (!read_quarter(&reversed, &period->quarter))
		return false;
	skip_separators(&reversed);
	return read_year(&reversed, &period->year) && reversed.at == reversed.end;
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
