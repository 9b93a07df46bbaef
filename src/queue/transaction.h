/*
 * transaction.h
 *		The transactions in which the queue is worked on.
 */
#ifndef CLARI_QUEUE_TRANSACTION_H
#define CLARI_QUEUE_TRANSACTION_H

#include "query.h"

/* Whose transactions the queue's statements run in. */
typedef enum QueueTransactions
{
	QUEUE_CALLERS_TRANSACTION,	/* a function: whatever calls it commits */
	QUEUE_SESSION_TRANSACTIONS, /* a procedure: it commits its session's */
	QUEUE_OWN_TRANSACTIONS,		/* a worker: it begins and commits its own */
} QueueTransactions;

extern void queue_set_transactions(QueueTransactions transactions);

/*
 * Begin to work on the queue, as the owner of its tables. Returns false, with
 * nothing begun, if the extension is not there. Results of the functions below
 * are allocated in the current memory context, which must outlive the
 * transaction if they are to.
 */
extern bool queue_begin(void);

/*
 * End it, and commit where that is ours to do; durable: safely on disk,
 * whatever synchronous_commit says.
 */
extern void queue_end(bool durable);

/*
 * The same with the rights and settings of the caller, whose transaction it is:
 * plans that sessions keep outlast it.
 */
extern bool queue_begin_as_caller(void);
extern void queue_end_as_caller(void);

/* queue_end(), where a crash test may end it all; step is what is written. */
extern void queue_commit(const char *step, bool durable);

/*
 * Run a function in a subtransaction. Returns NULL, or a copy of the error it
 * raised, all it did then being undone. A cancel or a shutdown (class 57) goes
 * through.
 */
extern ErrorData *queue_try(void (*function) (void *), void *arg);

/* Whether what raised an error may go through in a while. */
extern bool queue_error_may_pass(const ErrorData *error);

/*
 * Run a function in a transaction of the queue and commit that, as
 * queue_commit() does. Returns NULL, or a copy of the error raised, all being
 * undone. The function is not called if the extension is not there.
 */
extern ErrorData *queue_run(const char *step, bool durable, void (*function) (void *), void *arg);

/* The schema of the queue's tables; of the transaction at hand. */
extern Oid	queue_schema_id(void);

/* query_execute() there. */
extern uint64 queue_execute(SqlQuery *query, const char *name, const char *text);

#endif							/* CLARI_QUEUE_TRANSACTION_H */
