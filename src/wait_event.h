/*
 * wait_event.h
 *		What pg_stat_activity shows while a process waits.
 */
#ifndef CLARI_WAIT_EVENT_H
#define CLARI_WAIT_EVENT_H

/* In the order in which one hides another. */
typedef enum WaitFor
{
	WAIT_FOR_WORK,				/* ClariQueue: nothing to do */
	WAIT_FOR_POLL,				/* ClariPollDelay: the next poll is not due */
	WAIT_FOR_REPLY,				/* ClariReply: a request is under way */
	WAIT_FOR_LANE,				/* ClariLane: held back by the API key's lane */
} WaitFor;

/*
 * The value for pg_stat_activity.wait_event. Before PostgreSQL 17 all are the
 * server's own "Extension".
 */
extern uint32 wait_event_info(WaitFor wait);

#endif							/* CLARI_WAIT_EVENT_H */
