/*
 * dispatcher.h
 *		Works through the request queue: which request goes next, and what
 *		becomes of it.
 *
 * The worker and clari_export_drain() both call it; it runs any number of
 * exports side by side, one lane for each API key.
 */
#ifndef CLARI_DISPATCHER_H
#define CLARI_DISPATCHER_H

#include "queue/queue.h"
#include "queue/wake.h"

/*
 * Begin to dispatch the requests in scope. max_requests limits how many are
 * started; INT_MAX for any number. told: dispatcher_note() will tell of those
 * that are new or change; otherwise we look whenever one ends.
 */
extern void dispatcher_start(const QueueScope *scope, int max_requests, bool told);

/* Look at the whole queue in the next step. */
extern void dispatcher_look(void);

/* Look at what others say has changed. */
extern void dispatcher_note(const WakeNotes *notes);

/*
 * Work until the moment comes, the latch is set, or something happened, the
 * start of a request included: look at the queue where there is reason to,
 * send, receive, store.
 */
extern void dispatcher_step(Instant until);

/* Start no more requests; those being worked on go on. */
extern void dispatcher_start_no_more(void);

/* How many requests are being worked on. */
extern int	dispatcher_running(void);

/*
 * Until when there is nothing to do: a moment that has passed while requests
 * are being worked on or wait for their turn; INSTANT_NEVER if nothing is due
 * ever. scheduled: requests that are to run later count, too, and not only
 * those that a hold put off.
 */
extern Instant dispatcher_idle_until(bool scheduled);

/* Whether a submission is on its way: a bad moment to stop. */
extern bool dispatcher_is_submitting(void);

/* Tell the rows of what was asked since they were told: the end comes. */
extern void dispatcher_write_polls(void);

/*
 * Let go of everything; jobs at Clari go on, and are found again by whoever
 * dispatches next.
 */
extern void dispatcher_stop(void);

#endif							/* CLARI_DISPATCHER_H */
