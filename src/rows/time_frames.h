/*
 * time_frames.h
 *		Which time frame of a result is which week of which time period.
 *
 * A result's time frames name no period, and the same id comes once for each
 * period that has it. Their dates tell which is whose.
 */
#ifndef CLARI_TIME_FRAMES_H
#define CLARI_TIME_FRAMES_H

#include "rows/weeks.h"

typedef struct TimeFrames TimeFrames;

/* Read a result's timePeriods and timeFrames; either may be missing. */
extern TimeFrames *time_frames_read(JsonbContainer *result);

/*
 * Add a week for every time frame whose period is known: there is only one,
 * or most of the time frame's days are in it. So a week counts even if nobody
 * has an entry in it.
 */
extern void time_frames_add_weeks(TimeFrames *frames, Weeks *weeks);

/*
 * Give a week its dates: those of the only time frame with its id, or of the
 * one that is in its period. Without either it gets none.
 */
extern void time_frames_date_week(TimeFrames *frames, Week *week);

#endif							/* CLARI_TIME_FRAMES_H */
