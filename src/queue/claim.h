/*
 * claim.h
 *		Which request is next, read from the indexes themselves.
 *
 * A planner goes by statistics, and a queue's are always stale: taken while it
 * was empty, used when it holds a million. So what every claim depends on is
 * not a query but a walk through an index, as the catalogs' own code does it.
 * A request is ready once its run_after has come (claim_due()); only
 * ready ones are in the index of claims, in the order in which they go.
 *
 * All of it runs inside a transaction of the queue.
 */
#ifndef CLARI_CLAIM_H
#define CLARI_CLAIM_H

#include "queue/queue.h"

/* The place of a request in the order of its owner's. */
typedef struct Claim
{
	int64		id;
	int			priority;
	TimestampTz run_after;
} Claim;

/* Whether a request is not to be claimed. */
typedef bool (*ClaimFilter) (int64 id);

/*
 * Who has ready requests, or such as are submitting or running, in scope: a
 * list of RequestOwner, in which who has both is twice.
 */
extern List *claim_owners(const QueueScope *scope);

/* Whether the owner has any such request. */
extern bool claim_has_any(const RequestOwner *owner);

/* Whether its requests are in scope. */
extern bool claim_in_scope(const RequestOwner *owner, const QueueScope *scope);

/*
 * The owner's first ready request that is not left out; false if there is none.
 * With passed_by it is locked until the transaction ends; those that others'
 * transactions hold are passed by, and *passed_by is set.
 */
extern bool claim_first(const RequestOwner *owner, ClaimFilter left_out, bool *passed_by, Claim *claim);

/* Whether a queued request of the owner says that it is held. */
extern bool claim_has_held(const RequestOwner *owner);

/* Less than 0 if a goes before b. */
extern int	claim_compare(const Claim *a, const Claim *b);

/* The owner's requests that are submitting or running: a list of int64 pointers. */
extern List *claim_active(const RequestOwner *owner);

/* A place among the requests that wait for their run_after. */
typedef struct DuePlace
{
	TimestampTz run_after;
	int64		id;
} DuePlace;

/* Before all of them. */
#define FIRST_DUE_PLACE	((DuePlace) {DT_NOBEGIN, 0})

/*
 * Requests behind a place whose run_after has come since they were inserted, at
 * most as many as one look takes on: a list of int64 pointers. The place moves
 * behind them. *next is when the next one's does, now if there are more,
 * DT_NOEND for never.
 */
extern List *claim_due(DuePlace *place, TimestampTz *next);

/*
 * When the next hold of a queued request in scope ends, and the next that is
 * not for the monthly quota; DT_NOEND for none.
 */
extern TimestampTz claim_next_held(const QueueScope *scope, TimestampTz *unless_quota);

#endif							/* CLARI_CLAIM_H */
