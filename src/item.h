/*
 * item.h
 *		A request that is being worked on.
 */
#ifndef CLARI_ITEM_H
#define CLARI_ITEM_H

#include "lib/ilist.h"

#include "engine.h"
#include "queue.h"

typedef struct Item
{
	dlist_node	node;			/* in items */
	int64		request_id;
	Task	   *task;
	bool		claimed;		/* counts among those a drain may start */
	bool		job_is_stored;	/* the row is running and has the job's id */
	uint64		seen_in;		/* the last pass that saw it so */
	Instant		write_again_at; /* 0: the row is up to date */
	int			errors;			/* of the database, in a row */
	bool		fetches_again;	/* its result made room for others': when its
								 * row can be written it is taken up anew */
	Failure    *failure;		/* the request's end, if the task did not come to one */
} Item;

/* All of this process's. */
extern dlist_head items;

/*
 * Start to work on a request, inside a transaction of the queue. The item and
 * its task live in the given memory context. A request that cannot be started
 * fails, and NULL is returned.
 */
extern Item *item_start(Request *request, MemoryContext context);

/* The item of a request, or NULL. */
extern Item *item_find(int64 request_id);

/* Work on a request no more, and write nothing: it goes at items_finish(). */
extern void item_abandon(Item *item);

/* Forget an item and end its task. */
extern void item_remove(Item *item);

/*
 * Write what the finished ones came to, and what could not be written before.
 * Returns whether any is gone.
 */
extern bool items_finish(void);

/* When something has to be written again; INSTANT_NEVER for nothing. */
extern Instant items_next_write(void);

/*
 * How many claimed items, since the last call, did not get as far as their
 * submission.
 */
extern int	items_given_back(void);

#endif							/* CLARI_ITEM_H */
