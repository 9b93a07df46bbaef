/*
 * item_row.h
 *		What the rows of the requests that are worked on are told, and when.
 *
 * An item whose export went on is noted, and what one step has to say of all
 * of them goes into one transaction. The polls of a job in flight are no news:
 * they are written every few seconds, many at a time.
 */
#ifndef CLARI_ITEM_ROW_H
#define CLARI_ITEM_ROW_H

#include "queue/item.h"

/* Something happened to an item's export; its row is told at rows_write(). */
extern void row_note(Item *item);

/*
 * Commit that an item's submission goes out, now: false if it must not. A row
 * that could not be written is told again when the item ends.
 */
extern bool row_commit_submission(Item *item, bool *try_again);

/* An error that is the end of an item's request. */
extern void row_doom(Item *item, const ErrorData *error);

/*
 * Tell all rows that have something to be told, whatever the database says to
 * it: one row's error is that row's, and is tried again, or ends its request.
 */
extern void rows_write(void);

/* Tell the polls, too, that would have waited for more. */
extern void rows_write_polls(void);

/* When rows_write() has something to do: now, later, or INSTANT_NEVER. */
extern Instant rows_next_write(void);

/* An item with which nothing is left to be done, or NULL: item_remove() it. */
extern Item *rows_next_over(void);

/* Work on a request no more, and write nothing. */
extern void row_abandon(Item *item);

/* An item goes. */
extern void row_forget(Item *item);

#endif							/* CLARI_ITEM_ROW_H */
