/*
 * functions.h
 *		What others need of the functions that wait for Clari, and give them.
 */
#ifndef CLARI_FUNCTIONS_H
#define CLARI_FUNCTIONS_H

#include "clari/submission.h"

/* Who knows what earlier exports took: this room has no tables. */
typedef struct FunctionsMemory
{
	/* Plan the polls of a task that was prepared with a submission. */
	void		(*recall) (Task *task, const Submission *submission);

	/* Its job is done: note how long it took. */
	void		(*note) (Task *task, const Submission *submission);
} FunctionsMemory;

extern void functions_set_memory(const FunctionsMemory *memory);

/*
 * Cancel a job at Clari with the key of the given role and wait for the
 * answer. Returns the job's status afterwards; errors as clari_export_cancel().
 */
extern char *wait_for_cancel(const char *server_name, Oid role, const char *job_id);

#endif							/* CLARI_FUNCTIONS_H */
