/*
 * stat.h
 *		Counters of what was asked of Clari, for each server.
 */
#ifndef CLARI_STAT_H
#define CLARI_STAT_H

#include "core/instant.h"
#include "core/outcome.h"
#include "core/reply.h"

/* Each counter by its symbol and its column in the view clari_export_stat. */
#define STAT_COUNTERS(COUNTER) \
	/* HTTP requests sent, and of these, status requests */ \
	COUNTER(REQUESTS, requests) \
	COUNTER(POLLS, polls) \
	/* replies 429 */ \
	COUNTER(HTTP_429, http_429) \
	/* time that requests were held back, in microseconds */ \
	COUNTER(HELD, seconds_held) \
	/* jobs that Clari accepted, and of these, found after the reply was lost */ \
	COUNTER(SUBMISSIONS, submissions) \
	COUNTER(ADOPTIONS, adoptions) \
	/* received, after decompression */ \
	COUNTER(BYTES, bytes) \
	/* how exports ended: well, as core/outcome.h lists, or by an error of PostgreSQL's */ \
	COUNTER(DONE, done) \
	OUTCOMES(STAT_OF_OUTCOME) \
	COUNTER(OTHER_ERROR, other_error)

typedef enum StatCounter
{
#define STAT_OF_OUTCOME(symbol, number, name)	STAT_##symbol,
#define STAT_SYMBOL(symbol, name)	STAT_##symbol,
	STAT_COUNTERS(STAT_SYMBOL)
#undef STAT_SYMBOL
#undef STAT_OF_OUTCOME
	N_STAT_COUNTERS
} StatCounter;

extern void stat_request_shared_memory(void);
extern void stat_attach_shared_memory(void);

/* Add n to a counter of a server of this database. */
extern void stat_add(Oid server, StatCounter counter, int64 n);

/* Count the end of an export: its SQLSTATE, or 0 if it ended well. */
extern void stat_add_end(Oid server, int sqlstate);

/* Keep what Clari says of the limits of a server's organization. */
extern void stat_set_limits(Oid server, const Limits *limits);

#endif							/* CLARI_STAT_H */
