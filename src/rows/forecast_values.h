/*
 * forecast_values.h
 *		Values of a result as PostgreSQL's.
 */
#ifndef CLARI_FORECAST_VALUES_H
#define CLARI_FORECAST_VALUES_H

#include "utils/date.h"
#include "utils/timestamp.h"

#include "core/forecast_text.h"
#include "jsonb_reader.h"

/* Each returns false, for null, if the text is missing or says nothing else. */
extern bool read_date(Slice text, DateADT *date);
extern bool read_moment(Slice text, TimestampTz *moment);
extern bool read_answer(Slice text, bool *answer);

/* An amount, written into buffer; false if the text is not one. */
extern bool read_amount(Slice text, Amount *buffer);

#endif							/* CLARI_FORECAST_VALUES_H */
