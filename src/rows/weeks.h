/*
 * weeks.h
 *		The weeks of a result's time periods.
 *
 * A week is a time frame of one period: the same time frame id in two periods
 * means two weeks. Weeks are numbered within their period, from 0, in the
 * order of their time frame ids, as soon as all of them are known.
 */
#ifndef CLARI_WEEKS_H
#define CLARI_WEEKS_H

#include "utils/date.h"

#include "jsonb_reader.h"

typedef struct WeekKey
{
	Slice		period;
	Slice		time_frame;
} WeekKey;

typedef struct Week
{
	WeekKey		key;
	uint32		hash;
	char		status;
	int			number;			/* from 0 */
	bool		has_start;
	bool		has_end;
	DateADT		start;
	DateADT		end;
} Week;

typedef struct Weeks Weeks;

/* Weeks live in the memory context that is current now. */
extern Weeks *weeks_make(void);

/* Add a week, if it is not there yet; one without a time frame is no week. */
extern void weeks_add(Weeks *weeks, Slice period, Slice time_frame);

/*
 * Number the weeks and give the caller all of them, by period and number.
 * No week can be added afterwards.
 */
extern Week **weeks_number(Weeks *weeks, int *n);

/* NULL if there is no such week. */
extern const Week *weeks_find(Weeks *weeks, Slice period, Slice time_frame);

#endif							/* CLARI_WEEKS_H */
