/*
 * queue.h
 *		Every SQL statement on the request table, and nowhere else.
 *
 * The functions run inside a transaction that the caller opened with
 * queue_begin(); those that change a request name the state they expect it in,
 * so that nothing that happened meanwhile is overwritten.
 */
#ifndef CLARI_QUEUE_H
#define CLARI_QUEUE_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "clari/failure.h"
#include "core/export.h"
#include "queue/scope.h"
#include "queue/transaction.h"

/* A row of clari_export_request, as far as the work on it needs it. */
typedef struct Request
{
	int64		id;
	char	   *kind;
	char	   *forecast_id;	/* NULL where the column is */
	char	   *time_period;
	char	   *options;
	char	   *server;
	Oid			requested_by;
	char	   *state;
	char	   *hold_reason;	/* NULL for none */
	char	   *job_id;			/* NULL until it is known */
	int			polls;
	TimestampTz next_poll_at;	/* DT_NOBEGIN if it is not set */
	TimestampTz posted_at;		/* the same */
	int			lost_submissions;	/* before the one under way */
	bool		retried;		/* the job was given up before */
	char	   *made_in;		/* the database that works on it: see home.h */
	int			n_known_jobs;	/* -1: the list was not readable */
	char	  **known_jobs;
	bool		was_submitted;	/* perhaps: the row said so before the POST */
	char	   *error_code;
	char	   *error_message;
	char	   *error_hint;
} Request;

/* One role's requests on one server: one user mapping, hence one API key. */
typedef struct RequestOwner
{
	char	   *server;
	Oid			role;
} RequestOwner;

typedef enum QueueUpdate
{
	QUEUE_UPDATED,
	QUEUE_MOVED_ON,				/* it is not in the expected state any more */
	QUEUE_LOCKED,				/* somebody else's transaction holds the row */
} QueueUpdate;

/* ----------
 * Looking
 * ----------
 */

/*
 * Until when the owner's requests say that Clari has held their API key;
 * DT_NOBEGIN if it does not.
 */
extern TimestampTz queue_rate_limited_until(const RequestOwner *owner);

/* Any request by its id, or NULL. inserted_here: by this very transaction. */
extern Request *queue_find(int64 id, bool *inserted_here);

/* Name the jobs that other requests own to export_exclude_job(). */
extern void queue_exclude_owned_jobs(int64 id, Export *export);

/* ----------
 * Enqueueing, between queue_begin_as_caller() and queue_end_as_caller()
 * ----------
 */

/* The arguments of clari_export_enqueue(). */
typedef struct WantedExport
{
	NullableDatum forecast_id;
	NullableDatum time_period;
	NullableDatum options;
	NullableDatum kind;
	NullableDatum server;
	NullableDatum priority;
	NullableDatum run_after;
	NullableDatum dedupe_key;
	NullableDatum max_age;
} WantedExport;

/* A role's request for the same thing that was done within max_age, with its snapshot; 0 for none. */
extern int64 queue_find_fresh(const WantedExport *wanted, Oid role);

/* A role's unfinished request with the same dedupe_key; 0 for none. */
extern int64 queue_find_waiting(const WantedExport *wanted, Oid role);

/* Insert it; 0 if there is one with the dedupe_key by now. */
extern int64 queue_insert(const WantedExport *wanted);

/* ----------
 * Changing
 * ----------
 */

/*
 * The run_after of these requests, a list of int64 pointers, has come. Whose
 * they are is added to *owners, some perhaps more than once. Returns how many of
 * them others' transactions hold: those are not ready yet.
 */
extern int	queue_make_ready(List *ids, List **owners);

/* queued or submitting -> submitting, with the jobs known before */
extern QueueUpdate queue_submitting(int64 id, const Export *export);

/* submitting -> running, with the job's id */
extern QueueUpdate queue_running(int64 id, const Export *export, TimestampTz next_poll_at);

/* submitting, its reply lost: looked up; hold_reason NULL for none */
extern QueueUpdate queue_looked_up(int64 id, TimestampTz next_poll_at, const char *hold_reason);

/* running, one poll later; hold_reason NULL for none */
extern QueueUpdate queue_polled(int64 id, const Export *export, TimestampTz next_poll_at,
								const char *hold_reason);

/* A poll of a running request that nothing holds. */
typedef struct QueuePoll
{
	int64		id;
	const Export *export;
	TimestampTz next_poll_at;
	bool		updated;		/* the row is running, and was not locked */
} QueuePoll;

/* queue_polled() for many; those that are not updated are to be asked alone. */
extern void queue_polled_together(QueuePoll *polls, int n);

/* queued, held; until DT_NOBEGIN where that is not known */
extern QueueUpdate queue_hold(int64 id, const char *reason, TimestampTz until);

/* queued or submitting -> queued, held: what came of it so far is kept */
extern QueueUpdate queue_put_back(int64 id, const Export *export, const char *reason, TimestampTz until);

/* What held the owner's queued requests holds them no more. */
extern void queue_lift_holds(const RequestOwner *owner);

/* As queue_lift_holds(), for all requests of a server, those at Clari included. */
extern void queue_release(const char *server);

/*
 * Any unfinished request, in its state: the database has an error that may
 * pass, so nothing is done about it until then.
 */
extern QueueUpdate queue_delay(int64 id, TimestampTz until, const char *error_message);

/* running -> done, with a snapshot */
extern QueueUpdate queue_done(int64 id, const Export *export, Jsonb *result);

/* A result from elsewhere becomes a request that is done, with its snapshot; returns its id. */
extern int64 queue_import(const char *server, Oid role, const char *forecast_id, const char *time_period,
						  TimestampTz exported_at, Jsonb *result);

/* any unfinished -> failed; export, if not NULL, tells its job and its polls */
extern QueueUpdate queue_fail(int64 id, const Export *export, const Failure *failure);

/* the owner's due and active requests -> failed */
extern void queue_fail_owner(const RequestOwner *owner, const Failure *failure);

/*
 * Hold a queued or running request in its state until the transaction ends,
 * waiting for whoever changes it. Returns false if it is in another state.
 */
extern bool queue_lock_to_cancel(int64 id);

/* any unfinished -> cancelled */
extern QueueUpdate queue_cancel(int64 id);

/* failed -> state, its error forgotten, for this database to work on; keeps_job: with its job */
extern QueueUpdate queue_retry(int64 id, const char *state, bool keeps_job);

/* Any unfinished request, in its state: this database works on it. */
extern QueueUpdate queue_take_over(int64 id);

/*
 * Lock a finished request, or those in scope that finished longer ago than the
 * retention and that nobody else has locked. Returns their ids, a bigint[].
 */
extern Datum queue_lock_finished(int64 id);
extern Datum queue_lock_old(const QueueScope *scope, Duration retention);

/* Delete requests by their ids, a bigint[]. Returns how many there were. */
extern uint64 queue_delete(Datum ids);

/* a role's unfinished requests -> failed */
extern void queue_fail_role(Oid role, const Failure *failure);

#endif							/* CLARI_QUEUE_H */
