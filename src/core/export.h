/*
 * export.h
 *		The state machine of one export.
 *
 * The machine decides what to ask Clari next and when it is over. It is given
 * a start and then one reply after the other, each with the current time, and
 * answers with the next action: send this request, not before that moment; or
 * finish. It neither sends nor waits, and it knows no clock.
 *
 *      baseline --> submit --> poll ... poll --> fetch --> finished
 *        ^            |         ^
 *        | none,      | fate    | adopted
 *        | once       v unknown |
 *        +--------- look up ----+
 *
 * A 429 goes on with the same request. Once there is a job, a reply that may
 * be another one in a moment costs an attempt and ends nothing.
 *
 * The API key's rate, its 429s and the pauses between exports concern all
 * exports of the key and are the lane's business (lane_rules.h): an action
 * names what the lane has to learn, and the caller asks the lane before it
 * sends.
 */
#ifndef CORE_EXPORT_H
#define CORE_EXPORT_H

#include <stdbool.h>

#include "core/backoff.h"
#include "core/instant.h"
#include "core/job_match.h"
#include "core/lane_rules.h"
#include "core/outcome.h"
#include "core/polling.h"
#include "core/reply.h"
#include "core/request.h"

/* What a machine is to bring about. */
typedef enum ExportGoal
{
	GOAL_EXPORT,				/* submit, poll, fetch the result */
	GOAL_SUBMIT,				/* submit and no more */
	GOAL_RESUME_UNKNOWN,		/* as GOAL_EXPORT, after a submission whose fate
								 * is not known */
	GOAL_RESUME_JOB,			/* poll a job, fetch its result */
	GOAL_POLL,					/* poll a job to its end */
	GOAL_STATUS,				/* one status request; its body is the caller's */
	GOAL_RESULT,				/* fetch a job's result */
	GOAL_CANCEL,				/* cancel a job, tell its status then */
	GOAL_JOBS,					/* list the jobs */
	GOAL_LIMITS,				/* the limits */
} ExportGoal;

/* How patient a machine is. */
typedef struct ExportRules
{
	Backoff		backoff;
	int			max_attempts;	/* of each kind: polls, submissions, fetches */
	Duration	submission_grace;	/* until a lost submission is in the list */
	Duration	request_timeout;	/* the longest that one is under way; 0: not
									 * known */
	int			quota_reserve;	/* leave so many submissions to others */

	/*
	 * Where a submission is held before it got anywhere, end with
	 * action.postponed instead of trying again: the queue then takes whatever
	 * request is first when the hold is over.
	 */
	bool		give_way;
} ExportRules;

typedef enum ExportStep
{
	STEP_CHECK_QUOTA,			/* GET /admin/limits before a submission */
	STEP_BASELINE,				/* GET /export/jobs before a submission */
	STEP_SUBMIT,
	STEP_EXPLAIN_REFUSAL,		/* GET /admin/limits: queue full, or quota? */
	STEP_LOOK_UP,				/* GET /export/jobs for a lost submission */
	STEP_POLL,
	STEP_FETCH,
	STEP_CANCEL,
	STEP_STATUS,
	STEP_JOBS,
	STEP_LIMITS,
	STEP_FINISHED,
} ExportStep;

/* A word for a step, such as "submit". */
extern const char *export_step_name(ExportStep step);

typedef struct ExportAction
{
	bool		finished;		/* see the machine's outcome */
	bool		postponed;		/* finished for now: nothing was submitted, and
								 * it may be tried anew after the hold */
	RequestKind request;		/* else: send this */
	bool		submits;		/* it belongs to a submission */
	Instant		not_before;

	/* What the lane must learn first; HOLD_NONE for nothing. */
	HoldReason	hold;
	Duration	retry_after;	/* of HOLD_RATE_LIMITED */

	bool		wait_was_cut;	/* Clari asked for more than a day: say so */
	bool		reload_account; /* the API key may be another one by now */
} ExportAction;

typedef struct Export
{
	/* Given. Texts belong to the caller and outlive the machine. */
	ExportGoal	goal;
	ExportRules rules;
	ExportKind	kind;
	const char *forecast_id;	/* NULL where the kind has none */
	const char *time_period;	/* NULL: Clari's current quarter */
	const char *currency;		/* NULL: Clari's default */
	const PollingPlan *polling; /* when to poll; NULL: after the backoff */
	bool		asks_limits;	/* an earlier try found the job queue full or
								 * the quota used up: look before submitting */
	bool		doubts_job;		/* with GOAL_RESUME_JOB: an earlier try gave the
								 * job up, so invalid_jobId means it is lost */
	int			lost_submissions;	/* with GOAL_EXPORT and _RESUME_UNKNOWN:
									 * those before the last one */
	Instant		submitted_at;	/* the latest that a submission was under way:
								 * given with the GOAL_RESUMEs */

	ExportStep	step;
	Instant		not_before;		/* of the request at hand */
	Instant		sent_at;		/* the same */
	int			tries;			/* of the request at hand, failed ones */
	int			submissions;	/* refused for a reason that passes */
	int			unreached;		/* not taken, since Clari was not there */
	Instant		post_not_before;	/* Clari's word in a 503 */
	int			keys_refused;	/* 401s and 403s in a row */
	Instant		key_refused_since;
	ExportOutcome lost_outcome; /* what the last lost one would end in */
	int			look_ups;		/* readable lists without our job */

	/*
	 * When lost submissions were under way, by Clari's clock in milliseconds
	 * since 1970: the first one's earliest begin and the last one's latest
	 * end; 0 where that is not known.
	 */
	int64_t		post_began;		/* given with lost_submissions */
	int64_t		post_ended;

	/* Clari's clock minus ours, in milliseconds, from the Date headers. */
	bool		knows_clock;
	int64_t		clock_least;
	int64_t		clock_most;

	/* The jobs that a lost submission cannot have started, until ours is known. */
	bool		has_baseline;
	JobIdSet	others_jobs;
	bool		contested;		/* another request may own the job as well */

	char		job_id[JOB_ID_SIZE];	/* empty until it is known */
	bool		adopted;		/* found in the list after a lost reply */
	Instant		job_since;		/* when the job started, about; 0: not known */
	int			polls;			/* status requests that ended, in any way */
	Job			job;			/* from the last status reply */
	bool		has_job;		/* job is filled */
	Limits		limits;			/* from the last GET /admin/limits */

	ExportOutcome outcome;
	Delivery	delivery;		/* of the last reply */
	int			http_status;
	ResultReading reading;
	ClariError	error;			/* Clari's words in the last refusal */
} Export;

/*
 * Prepare a machine. job_id is NULL or the job the goal is about. Free it
 * with export_free().
 */
extern void export_init(Export *export, ExportGoal goal, const ExportRules *rules,
						ExportKind kind, const char *forecast_id,
						const char *time_period, const char *job_id);
extern void export_free(Export *export);

/*
 * Name a job that is somebody else's, so that it is not adopted. Returns
 * false if no more can be remembered; the machine then adopts none.
 */
extern bool export_exclude_job(Export *export, const char *job_id);

/* The first action. */
extern ExportAction export_start(Export *export, Instant now);

/*
 * The request of the action at hand is about to be sent: note when. Before a
 * submission this sets post_began.
 */
extern void export_sending(Export *export, Instant now);

/* A request ended: the next action. */
extern ExportAction export_reply(Export *export, const Reply *reply, Instant now);

/* Whether a job runs, or may run, at Clari for this machine. */
extern bool export_may_have_job(const Export *export);

/* Whether the submission was given up: sent as often as it may be, and Clari has no job of it. */
extern bool export_was_never_heard(const Export *export);

/*
 * Whether the request at hand is a list in which a lost submission's job is
 * sought: name the jobs of others before its reply.
 */
extern bool export_seeks_job(const Export *export);

/* Whether the fate of a submission is open: sent, and no clear reply yet. */
extern bool export_submission_is_open(const Export *export);

#endif							/* CORE_EXPORT_H */
