/*
 * item.h
 *		A request that is being worked on.
 */
#ifndef CLARI_ITEM_H
#define CLARI_ITEM_H

#include "lib/ilist.h"
#include "lib/pairingheap.h"

#include "clari/engine.h"
#include "clari/failure.h"
#include "queue/queue.h"

struct QueueLane;

typedef struct Item
{
	dlist_node	node;			/* among all */
	int64		request_id;
	Task	   *task;
	bool		claimed;		/* counts among those a drain may start */
	uint64		seen_in;		/* the last look that saw it running */
	bool		fetches_again;	/* its result made room for others': when its
								 * row can be written it is taken up anew */
	Failure    *failure;		/* the request's end, if the task did not come to one */

	bool		has_news;		/* its lane may have room for another */
	dlist_node	news_node;		/* among those that have */

	/* Its lane (lanes.h). */
	struct QueueLane *lane;
	bool		is_starting;	/* it has no job yet */
	dlist_node	lane_node;		/* among those of its lane */

	/* Its row (item_row.h). */
	bool		job_is_stored;	/* it is running and has the job's id */
	bool		shows_hold;		/* it says what the item waits for */
	int			errors;			/* of the database, in a row */
	enum
	{
		ROW_UP_TO_DATE,
		ROW_TO_WRITE,
		ROW_TO_WRITE_LATER,
		ROW_OVER,
	}			row_state;
	dlist_node	row_node;		/* among those to write, or over */
	pairingheap_node by_time;	/* among those to write later */
	Instant		write_again_at; /* that moment */
	bool		has_polls;		/* that the row does not know of */
	dlist_node	polls_node;		/* among those that have */
	Instant		polls_since;
} Item;

#endif							/* CLARI_ITEM_H */
