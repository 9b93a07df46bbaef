/*
 * engine.h
 *		Drives any number of exports: timers, transfers, lanes.
 *
 * A task is one state machine (core/export.h) with what it needs to act: an
 * account, a ticket of the account's lane, the transfer under way. The SQL
 * functions run one task and wait; the queue runs many side by side.
 */
#ifndef CLARI_ENGINE_H
#define CLARI_ENGINE_H

#include "lib/ilist.h"
#include "lib/pairingheap.h"
#include "utils/jsonb.h"

#include "clari/account.h"
#include "clari/failure.h"
#include "clari/http.h"
#include "clari/lane.h"
#include "core/export.h"
#include "core/room.h"

typedef struct Task Task;

/*
 * What the owner of a task does at certain points. Each may be NULL. They run
 * outside of libcurl and may raise errors, which end the call of engine_run()
 * or engine_step() at hand.
 */
typedef struct TaskHooks
{
	/*
	 * The submission goes out when this returns true: commit that it does. On
	 * false the task is over, without an outcome.
	 */
	bool		(*before_submission) (Task *task);

	/* A lost submission's reply is about to be read: name others' jobs. */
	void		(*before_look_up) (Task *task);

	/*
	 * A result arrived, complete: say what it is, and keep it
	 * (task_read_result). Without the hook it is read when it is asked for.
	 */
	ResultReading (*read_result) (Task *task, const Reply *reply);

	/* Clari refused the key, which may have been replaced: engine_reload_account(). */
	void		(*reload_account) (Task *task);

	/* A reply was taken in; task->due is when the next request goes out. */
	void		(*progressed) (Task *task);

	/*
	 * The task raised an error and is over, without an outcome. If this is
	 * NULL the error goes on to whoever runs the engine.
	 */
	void		(*failed) (Task *task, const ErrorData *error);

	/* A hold of more than a second begins; until may be INSTANT_NEVER. */
	void		(*held) (Task *task, HoldReason reason, Instant until);
} TaskHooks;

struct Task
{
	pairingheap_node by_time;	/* among those that wait for a moment */
	bool		has_time;		/* it is in there */
	Instant		look_at;		/* that moment */
	dlist_node	held_node;		/* among those that their lanes hold */
	bool		is_held;		/* it is in there, or in one of these: */
	bool		lacks_connection;	/* it waits for one that its role may open */
	bool		lacks_room;		/* it waits for room for its result */
	bool		has_connection; /* of those that its role may open */
	MemoryContext context;		/* of the task and all it needs */

	Export		export;
	Account    *account;
	const char *body;			/* of the submission */
	const TaskHooks *hooks;
	void	   *owner;			/* for the hooks */
	Duration	submit_interval;	/* since the lane's last export */

	LaneTicket	ticket;
	ExportAction action;
	Instant		due;			/* of action, as far as is known */
	Instant		held_since;		/* 0: nothing holds it */
	bool		hold_reported;
	Transfer   *transfer;		/* NULL between requests; the last one's stays
								 * when the task is finished */
	RequestKind sent;			/* the last request that was sent */
	bool		warned_of_status;

	Jsonb	   *result;			/* what was read, in the task's context */
	Share		share;			/* the memory it takes, as text and then as jsonb */
	Failure    *result_failure; /* or why it was not read */
};

/*
 * Make a task in a memory context of its own, a child of the current one.
 * The caller initializes task->export and fills in what a task is given.
 */
extern Task *engine_new_task(void);

/*
 * Start a task, not before the given moment.
 */
extern void engine_add(Task *task, Instant not_before);

/*
 * Forget a task and free its memory: end its transfer, leave the lane. The
 * same happens when its memory context goes, at the latest after an error.
 */
extern void engine_remove(Task *task);

extern bool task_is_finished(const Task *task);

/* The body of the last reply: the result, where that was the goal. */
extern const Reply *task_last_reply(const Task *task);

/*
 * Read a reply as the result, which is kept in the task, or else the failure
 * (result_read). May raise an error, and needs a transaction.
 */
extern ResultReading task_read_result(Task *task, const Reply *reply);

/*
 * Where others wait for room, forget the result of a finished task, which can
 * be fetched again. Returns whether it did.
 */
extern bool engine_give_room(Task *task);

/*
 * Do what can be done now, then sleep until a task finished, a reply came,
 * the latch was set, or until; with watch_lanes also until a lane changed
 * for which the process waits. Interrupts are served.
 */
extern void engine_step(Instant until, bool watch_lanes);

/* Read the task's account anew, inside a transaction. */
extern void engine_reload_account(Task *task);

/* Warn, once a task, of a status that Clari does not document. */
extern void engine_warn_of_status(Task *task, const char *status);

/* Start one task and run it to its end. */
extern void engine_run(Task *task);

#endif							/* CLARI_ENGINE_H */
