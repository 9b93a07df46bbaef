/*
 * durations.h
 *		How long earlier exports took: noted, and used to plan polls.
 */
#ifndef CLARI_DURATIONS_H
#define CLARI_DURATIONS_H

#include "clari/submission.h"

/* Have the functions that wait note and use them, too. */
extern void durations_install(void);

/*
 * Plan a task's polls by the exports of the same server, kind, forecast and
 * size, if its server says so and there are enough. In a transaction of the
 * queue.
 */
extern void durations_plan(Task *task, const Submission *submission);

/* Note how long a request's job took, in the transaction in which it becomes done. */
extern void durations_note(int64 request_id, const Job *job);

/* Delete all but the latest of each subject. In a transaction of the queue. */
extern void durations_prune(void);

#endif							/* CLARI_DURATIONS_H */
