/*
 * stat.h
 *		Counters of what was asked of Clari, for each server.
 */
#ifndef CLARI_STAT_H
#define CLARI_STAT_H

#include "core/instant.h"

typedef enum StatCounter
{
	STAT_REQUESTS,				/* HTTP requests sent */
	STAT_POLLS,					/* of these, status requests */
	STAT_HTTP_429,				/* replies 429 */
	STAT_MICROSECONDS_HELD,		/* time that requests were held back */
	STAT_SUBMISSIONS,			/* jobs that Clari accepted */
	STAT_ADOPTIONS,				/* of these, found after the reply was lost */
	STAT_BYTES,					/* received, after decompression */

	/* How exports ended: well, or with SQLSTATE RC001 and up. */
	STAT_DONE,
	STAT_RC001, STAT_RC002, STAT_RC003, STAT_RC004, STAT_RC005, STAT_RC006,
	STAT_RC007, STAT_RC008, STAT_RC009, STAT_RC010, STAT_RC011,
	STAT_OTHER_ERROR,
	N_STAT_COUNTERS
} StatCounter;

extern void stat_request_shared_memory(void);
extern void stat_attach_shared_memory(void);

/* Add n to a counter of a server of this database. */
extern void stat_add(Oid server, StatCounter counter, int64 n);

/* Count the end of an export: its SQLSTATE, or 0 if it ended well. */
extern void stat_add_end(Oid server, int sqlstate);

#endif							/* CLARI_STAT_H */
