/*
 * lanes.h
 *		The lanes that the queue has requests in: whose they are, and which goes
 *		next.
 *
 * A lane stays known as long as it has requests, so that what happens in one
 * costs a look at that one. All of it runs inside a transaction of the queue,
 * but for what only notes that there is something to look at.
 */
#ifndef CLARI_QUEUE_LANE_H
#define CLARI_QUEUE_LANE_H

#include "lib/ilist.h"
#include "lib/pairingheap.h"

#include "clari/lane.h"
#include "queue/item.h"
#include "queue/queue.h"

typedef struct QueueLane
{
	dlist_node	node;			/* among all */
	LaneTicket	ticket;
	dlist_head	owners;			/* whose requests go through it */
	dlist_head	starting;		/* items that have no job yet */
	int			n_items;
	Oid			went_last;		/* the role whose request was started last */
	Instant		reported_hold;	/* told to a request already */
	bool		has_waiting;	/* a request waits for its turn */
	bool		is_waiting;		/* the lane waits for others, or for itself, to change */
	dlist_node	waiting_node;	/* among those */
	bool		to_look;
	dlist_node	look_node;		/* among those to look at */
	bool		has_time;
	pairingheap_node by_time;	/* among those to look at later */
	Instant		look_at;		/* that moment */
	uint8		key[LANE_KEY_SIZE];
} QueueLane;

/* Begin; everything lives in the given memory context. */
extern void queue_lanes_start(MemoryContext context);

/* Leave all lanes; and go on, where there are no items. */
extern void queue_lanes_stop(void);
extern void queue_lanes_forget(void);

/* ----------
 * What is to be looked at
 * ----------
 */

/* An owner has a new request, or one that became ready. */
extern void queue_lane_note_owner(const char *server, Oid role);

/* As queue_lane_note_owner(); a request of it was left behind. */
extern void queue_lane_note_left_behind(const char *server, Oid role);

/* Look at a lane, if a request waits in it. */
extern void queue_lane_note_change(QueueLane *lane);

/* Look at all that are known, to see who has requests still. */
extern void queue_lanes_note_all(void);

/* Another process changed lanes: look at those that are open to us now. */
extern void queue_lanes_note_open(void);

/* When there is a lane to look at: 0 for now. */
extern Instant queue_lanes_next_look(void);

/* Whether a lane would let a request of ours go on only when it changes ... */
extern bool queue_lanes_wait(void);

/* ... and there is such a request. */
extern bool queue_lanes_have_waiting(void);

/* ----------
 * Looking
 * ----------
 */

/*
 * How many requests may be started; and for the items that are found running,
 * the number of the look that sees them.
 */
typedef struct LaneLook
{
	int			may_start;
	uint64		number;
	bool		whole;			/* see whether anything was left behind or moved on */
	bool		reported_hold;	/* that must not be lost: how long Clari said to wait */
	bool		some_failed;	/* to be found an account or a lane, for a reason that passes */
} LaneLook;

/* Look at every lane that is to be looked at, and start what has room. */
extern void queue_lanes_look(LaneLook *look);

/* An item goes. */
extern void queue_lane_remove_item(Item *item);

/* An item's submission is settled: it has a job, or is over. */
extern void queue_lane_settle_item(Item *item);

#endif							/* CLARI_QUEUE_LANE_H */
