/*
 * result_period.h
 *		Whether a forecast's result is for the time period that was asked for.
 */
#ifndef CLARI_RESULT_PERIOD_H
#define CLARI_RESULT_PERIOD_H

#include "utils/jsonb.h"

#include "clari/failure.h"

/*
 * NULL if a forecast's result is for the given period or does not say;
 * otherwise the failure (RC010). A NULL period is any. Raises a NOTICE where the
 * result names periods of another type alone.
 */
extern Failure *result_period_check(Jsonb *result, const char *time_period);

#endif							/* CLARI_RESULT_PERIOD_H */
