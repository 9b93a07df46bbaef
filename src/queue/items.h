/*
 * items.h
 *		The requests that are being worked on.
 */
#ifndef CLARI_ITEMS_H
#define CLARI_ITEMS_H

#include "queue/item.h"

/*
 * Start to work on a request, inside a transaction of the queue. The item and
 * its task live in the given memory context. A request that cannot be started
 * fails, and NULL is returned.
 */
extern Item *item_start(Request *request, MemoryContext context);

/* The item of a request, or NULL. */
extern Item *item_find(int64 request_id);

/* The item after one; the first after NULL; NULL after the last. */
extern Item *item_next(Item *item);

/* How many there are. */
extern int	item_count(void);

/* Forget an item and end its task. */
extern void item_remove(Item *item);

/*
 * An item that has got its job, or is over, since the last call, or NULL; each
 * is told once.
 */
extern Item *item_next_with_news(void);

/*
 * How many claimed items, since the last call, did not get as far as their
 * submission.
 */
extern int	items_given_back(void);

#endif							/* CLARI_ITEMS_H */
