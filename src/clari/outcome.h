/*
 * outcome.h
 *		What a task came to: the result of its export, or how it failed.
 */
#ifndef CLARI_OUTCOME_H
#define CLARI_OUTCOME_H

#include "utils/jsonb.h"

#include "clari/engine.h"
#include "clari/failure.h"

/*
 * The result of a finished export, checked, or NULL with *failure set (RC008,
 * RC010). It lives as long as the task.
 */
extern Jsonb *result_of_task(Task *task, Failure **failure);

/*
 * The failure a finished task ended in, or NULL if it ended well. Allocated in
 * the current memory context.
 */
extern Failure *failure_of_task(const Task *task);

/*
 * Complete a failure of a task: the API key is taken out of it, and if there
 * is a job the DETAIL names it and the HINT says how to go on with it.
 */
extern void failure_add_job(Failure *failure, const Task *task);

/* How to go on with a job, as a HINT. */
extern char *job_hint(const Task *task);

/* The statement that lists the jobs of the task's server. */
extern char *jobs_statement(const Task *task);

#endif							/* CLARI_OUTCOME_H */
