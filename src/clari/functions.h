/*
 * functions.h
 *		What the queue's functions need of those that wait for Clari.
 */
#ifndef CLARI_FUNCTIONS_H
#define CLARI_FUNCTIONS_H

/*
 * Cancel a job at Clari with the key of the given role and wait for the
 * answer. Returns the job's status afterwards; errors as clari_export_cancel().
 */
extern char *wait_for_cancel(const char *server_name, Oid role, const char *job_id);

#endif							/* CLARI_FUNCTIONS_H */
