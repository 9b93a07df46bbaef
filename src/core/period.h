/*
 * period.h
 *		Clari's time periods: fiscal quarters, written like "2026_Q3".
 */
#ifndef CORE_PERIOD_H
#define CORE_PERIOD_H

#include <stdbool.h>
#include <stddef.h>

#define PERIOD_TEXT_SIZE	8	/* "2026_Q3" */
#define PERIOD_LAST_YEAR	9999

typedef struct Period
{
	int			year;			/* 1 to PERIOD_LAST_YEAR */
	int			quarter;		/* 1 to 4 */
} Period;

/*
 * The quarter that a month of a calendar year is in, where fiscal years begin
 * with the month first_month (1 to 12). A fiscal year is named after the
 * calendar year it ends in, so the last one may be past PERIOD_LAST_YEAR.
 */
extern Period period_of_month(int year, int month, int first_month);

/* Read text of that length; false if it is not a period. */
extern bool period_read(const char *text, size_t length, Period *period);

/*
 * Read a quarter as a person may write it: "2026_Q3", "2027-q2", "FY27 Q2",
 * "Q2 FY2027". Two digits are a year of this century, and need the FY.
 */
extern bool period_read_any(const char *text, size_t length, Period *period);

extern void period_write(Period period, char text[PERIOD_TEXT_SIZE]);

extern Period period_next(Period period);

/* Less than, equal to, or greater than 0, as a is before, at, or after b. */
extern int	period_compare(Period a, Period b);

#endif							/* CORE_PERIOD_H */
