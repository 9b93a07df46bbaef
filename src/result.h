/*
 * result.h
 *		A reply's body as jsonb.
 */
#ifndef CLARI_RESULT_H
#define CLARI_RESULT_H

#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "core/reply.h"
#include "failure.h"

/*
 * The body of a reply as jsonb, in the current memory context, or NULL with
 * *failure set (RC008) if jsonb cannot hold it.
 */
extern Jsonb *result_to_jsonb(const Reply *reply, Failure **failure);

/* A job object without the {"job": ...} around it. */
extern Jsonb *result_unwrap_job(Jsonb *job);

/* The status of an unwrapped job object, or NULL if it has none. */
extern char *result_job_status(Jsonb *job);

/*
 * NULL if a forecast's result is for the given period or does not say;
 * otherwise the failure (RC010).
 */
extern Failure *result_check_period(Jsonb *result, const char *time_period);

/*
 * Read a result: good, it is kept in the task. Anything that is not what the
 * export's kind says leaves the failure (RC008) there. May raise an error, and
 * needs a transaction.
 */
extern ResultReading result_read(Task *task, const Reply *reply);

/*
 * The result of a finished export, checked, or NULL with *failure set (RC008,
 * RC010). It lives as long as the task.
 */
extern Jsonb *result_of_export(Task *task, Failure **failure);

/*
 * A text of Clari's (UTF-8) in the database's encoding; characters that it
 * lacks become question marks.
 */
extern char *text_from_clari(const char *text);

/*
 * A time of Clari's, in milliseconds since 1970, as a timestamp; DT_NOBEGIN if
 * there is none.
 */
extern TimestampTz time_from_clari(int64 milliseconds);

#endif							/* CLARI_RESULT_H */
