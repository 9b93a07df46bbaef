/*
 * result.h
 *		A reply's body as jsonb.
 */
#ifndef CLARI_RESULT_H
#define CLARI_RESULT_H

#include "utils/jsonb.h"

#include "clari/failure.h"
#include "core/export.h"

/*
 * The body of a reply as jsonb, in the current memory context, or NULL with
 * *failure set (RC008) if jsonb cannot hold it.
 */
extern Jsonb *result_to_jsonb(const Reply *reply, Failure **failure);

/* A job object without the {"job": ...} around it. */
extern Jsonb *result_unwrap_job(Jsonb *job);

/* Whether a value has the shape of a forecast's result. */
extern bool result_is_forecast(Jsonb *result);

/*
 * Read what came as an export's result, in the current memory context. A good
 * one is in *result; of anything that is not what the export's kind says the
 * failure (RC008) is in *failure. May raise an error, and needs a transaction.
 */
extern ResultReading result_read(const Export *export, const Reply *reply, Jsonb **result, Failure **failure);

#endif							/* CLARI_RESULT_H */
