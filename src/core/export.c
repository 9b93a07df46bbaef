/*
 * export.c
 *		The state machine of one export.
 *
 * Sources: the timetable and the statuses are those of Clari's reference
 * client and of its published OpenAPI document (Revenue API 5.0.0).
 */
#include "core/export.h"

#include <string.h>

/*
 * While no job is at stake, a Clari that cannot be reached is given up sooner
 * than a job would be: somebody waits, and nothing is lost.
 */
#define UNREACHABLE_TRIES	5

/* A submission whose reply is lost is tried once more, if Clari has no job. */
#define MAX_LOST_SUBMISSIONS 2

/* Clari's word for a full job queue and for a used-up quota alike. */
#define CODE_QUOTA_REACHED	"export_monthly_quota_reached"
#define CODE_CANNOT_CANCEL	"export_failed_to_cancel"
#define CODE_INVALID_JOB	"invalid_jobId"

const char *
export_step_name(ExportStep step)
{
	static const char *const names[] = {
		[STEP_CHECK_QUOTA] = "check_quota",
		[STEP_BASELINE] = "baseline",
		[STEP_SUBMIT] = "submit",
		[STEP_EXPLAIN_REFUSAL] = "explain_refusal",
		[STEP_LOOK_UP] = "look_up",
		[STEP_POLL] = "poll",
		[STEP_FETCH] = "fetch",
		[STEP_CANCEL] = "cancel",
		[STEP_STATUS] = "status",
		[STEP_JOBS] = "jobs",
		[STEP_LIMITS] = "limits",
		[STEP_FINISHED] = "finished",
	};

	return names[step];
}

void
export_init(Export *export, ExportGoal goal, const ExportRules *rules,
			ExportKind kind, const char *forecast_id,
			const char *time_period, const char *job_id)
{
	memset(export, 0, sizeof(*export));
	export->goal = goal;
	export->rules = *rules;
	export->kind = kind;
	export->forecast_id = forecast_id;
	export->time_period = time_period;
	if (job_id != NULL)
		strncpy(export->job_id, job_id, JOB_ID_SIZE - 1);
}

void
export_free(Export *export)
{
	job_id_set_free(&export->others_jobs);
}

bool
export_exclude_job(Export *export, const char *job_id)
{
	if (job_id_set_has(&export->others_jobs, job_id) ||
		job_id_set_add(&export->others_jobs, job_id))
		return true;
	export->has_baseline = false;
	return false;
}

static RequestKind
step_request(ExportStep step)
{
	switch (step)
	{
		case STEP_SUBMIT:
			return REQUEST_SUBMIT;
		case STEP_BASELINE:
		case STEP_LOOK_UP:
		case STEP_JOBS:
			return REQUEST_JOBS;
		case STEP_POLL:
		case STEP_STATUS:
			return REQUEST_STATUS;
		case STEP_FETCH:
			return REQUEST_RESULT;
		case STEP_CANCEL:
			return REQUEST_CANCEL;
		default:
			return REQUEST_LIMITS;
	}
}

static bool
step_submits(ExportStep step)
{
	return step == STEP_CHECK_QUOTA || step == STEP_BASELINE || step == STEP_SUBMIT;
}

static ExportAction
send(Export *export, Instant not_before)
{
	ExportAction action = {
		.request = step_request(export->step),
		.submits = step_submits(export->step),
		.not_before = not_before,
	};

	export->not_before = not_before;
	return action;
}

/* Go on to another step's request. */
static ExportAction
go_to(Export *export, ExportStep step, Instant not_before)
{
	export->step = step;
	export->tries = 0;
	return send(export, not_before);
}

static ExportAction
finish(Export *export, ExportOutcome outcome)
{
	ExportAction action = {.finished = true};

	export->step = STEP_FINISHED;
	export->outcome = outcome;
	return action;
}

static ExportAction
with_hold(ExportAction action, HoldReason hold)
{
	action.hold = hold;
	return action;
}

/* Start a submission. Each try has a baseline of its own. */
static ExportAction
begin_submission(Export *export, Instant now)
{
	return go_to(export, export->rules.quota_reserve > 0 ? STEP_CHECK_QUOTA : STEP_BASELINE, now);
}

ExportAction
export_start(Export *export, Instant now)
{
	switch (export->goal)
	{
		case GOAL_EXPORT:
		case GOAL_SUBMIT:
			return begin_submission(export, now);
		case GOAL_RESUME_UNKNOWN:
			export->lost_submissions = 1;
			return go_to(export, STEP_LOOK_UP, now);
		case GOAL_RESUME_JOB:
		case GOAL_POLL:
			return go_to(export, STEP_POLL, now);
		case GOAL_STATUS:
			return go_to(export, STEP_STATUS, now);
		case GOAL_RESULT:
			return go_to(export, STEP_FETCH, now);
		case GOAL_CANCEL:
			return go_to(export, STEP_CANCEL, now);
		case GOAL_JOBS:
			return go_to(export, STEP_JOBS, now);
		default:
			return go_to(export, STEP_LIMITS, now);
	}
}

bool
export_may_have_job(const Export *export)
{
	return export->job_id[0] != '\0';
}

bool
export_submission_is_open(const Export *export)
{
	return export->step == STEP_LOOK_UP ||
		(export->step == STEP_FINISHED && export->outcome == OUTCOME_SUBMISSION_UNKNOWN);
}

/* Clari answered, and the answer is of no use. */
static bool
is_bad_delivery(Delivery delivery)
{
	return delivery == DELIVERY_CUT_SHORT || delivery == DELIVERY_TOO_LARGE;
}

/* The same request once more, unless it was tried often enough. */
static ExportAction
try_again(Export *export, int max_tries, ExportOutcome otherwise, Instant now)
{
	Duration	wait = backoff_delay(&export->rules.backoff, export->tries);

	if (++export->tries >= max_tries)
		return finish(export, otherwise);
	return send(export, now + wait);
}

/* How often the request at hand may go unanswered. */
static int
max_failures(const Export *export)
{
	if (export->goal == GOAL_STATUS)
		return 1;
	if (export_may_have_job(export) || export->step == STEP_LOOK_UP ||
		export->rules.max_attempts < UNREACHABLE_TRIES)
		return export->rules.max_attempts;
	return UNREACHABLE_TRIES;
}

/*
 * A submission did not get through, for a reason that passes: hold the lane's
 * submissions and begin anew when the hold is over.
 */
static ExportAction
submission_held(Export *export, HoldReason reason, ExportOutcome outcome, Instant now)
{
	int			limit = reason == HOLD_UNAVAILABLE ? max_failures(export) : export->rules.max_attempts;

	if (export->rules.give_way || ++export->submissions >= limit)
		return with_hold(finish(export, outcome), reason);
	return with_hold(begin_submission(export, now), reason);
}

static ExportAction
rate_limited(Export *export, const Reply *reply, Instant now)
{
	ExportAction action;

	if (step_submits(export->step) && (export->rules.give_way ||
									   ++export->submissions >= export->rules.max_attempts))
		action = finish(export, OUTCOME_RATE_LIMITED);
	else if (step_submits(export->step))
		action = begin_submission(export, now);
	else if (export->goal == GOAL_STATUS || ++export->tries >= export->rules.max_attempts)
		action = finish(export, export->step == STEP_LOOK_UP ?
						OUTCOME_SUBMISSION_UNKNOWN : OUTCOME_RATE_LIMITED);
	else
		action = send(export, now);

	action.hold = HOLD_RATE_LIMITED;
	action.retry_after = reply->retry_after;
	return action;
}

/* ----------
 * Submitting
 * ----------
 */

/* The wait is one base delay: an export takes time. */
static ExportAction
submitted(Export *export, Instant now)
{
	if (export->goal == GOAL_SUBMIT)
		return finish(export, OUTCOME_DONE);
	return go_to(export, STEP_POLL, now + backoff_delay(&export->rules.backoff, 0));
}

/*
 * No reply says whether Clari took the submission: ask its list of jobs. It
 * may have been under way until now, so the grace begins now.
 */
static ExportAction
submission_lost(Export *export, ExportOutcome outcome, Instant now)
{
	export->submitted_at = now;
	export->lost_submissions++;
	export->lost_outcome = outcome;
	export->look_ups = 0;
	return go_to(export, STEP_LOOK_UP, now);
}

static ExportAction
check_quota_replied(Export *export, const Reply *reply, Instant now)
{
	if (reply_limits(reply->body, reply->body_size, &export->limits) &&
		export->limits.available_monthly_quota >= 0 &&
		export->limits.available_monthly_quota <= export->rules.quota_reserve)
		return submission_held(export, HOLD_QUOTA, OUTCOME_QUOTA_EXHAUSTED, now);
	return go_to(export, STEP_BASELINE, now);
}

static ExportAction
submit_replied(Export *export, const Reply *reply, Instant now)
{
	bool		refused = reply->http_status >= 300 && reply->http_status < 500;

	if (refused && strcmp(export->error.code, CODE_QUOTA_REACHED) == 0)
		return go_to(export, STEP_EXPLAIN_REFUSAL, now);
	if (refused)
		return finish(export, OUTCOME_REFUSED);
	if (reply_job_id(reply->body, reply->body_size, export->job_id))
		return submitted(export, now);

	export->job_id[0] = '\0';
	return submission_lost(export, OUTCOME_BAD_RESPONSE, now);
}

/* Clari refuses a submission in the same words for two reasons. */
static ExportAction
explain_refusal_replied(Export *export, const Reply *reply, Instant now)
{
	bool		known = reply_limits(reply->body, reply->body_size, &export->limits);

	if (known && export->limits.available_monthly_quota == 0)
	{
		if (export->rules.give_way)
			return submission_held(export, HOLD_QUOTA, OUTCOME_QUOTA_EXHAUSTED, now);
		return finish(export, OUTCOME_QUOTA_EXHAUSTED);
	}
	return submission_held(export, HOLD_QUEUE_FULL, OUTCOME_QUEUE_FULL, now);
}

/* ----------
 * The list of jobs
 * ----------
 */

typedef struct Search
{
	Export	   *export;
	int			fitting;
	int			perhaps_fitting;
	char		job_id[JOB_ID_SIZE];
} Search;

static bool
search_job(const Job *job, void *context)
{
	Search	   *search = context;
	Export	   *export = search->export;

	if (job_id_set_has(&export->others_jobs, job->job_id))
		return true;

	switch (job_fit(job, export->kind, export->forecast_id, export->time_period))
	{
		case JOB_FITS:
			search->fitting++;
			strcpy(search->job_id, job->job_id);
			break;
		case JOB_MAY_FIT:
			search->perhaps_fitting++;
			break;
		case JOB_FITS_NOT:
			break;
	}
	return true;
}

/* A lost submission's job may be among those of the list: adopt it, if it is sure. */
static ExportAction
found_in_list(Export *export, const Search *search, Instant now)
{
	if (search->fitting != 1 || !export->has_baseline || export->contested)
		return finish(export, OUTCOME_SUBMISSION_UNKNOWN);

	strcpy(export->job_id, search->job_id);
	export->adopted = true;
	return submitted(export, now);
}

typedef struct Baseline
{
	Export	   *export;
	bool		complete;
} Baseline;

/* Remember a job that may look like ours later: it is not. */
static bool
add_to_baseline(const Job *job, void *context)
{
	Baseline   *baseline = context;
	Export	   *export = baseline->export;

	if (job_fit(job, export->kind, export->forecast_id, export->time_period) != JOB_FITS_NOT)
		baseline->complete = job_id_set_add(&export->others_jobs, job->job_id);
	return baseline->complete;
}

/*
 * Without a readable list the submission goes ahead: the list is needed only
 * if the reply is lost, and then the outcome is unknown. Where one was lost
 * before and not found, its job may have turned up by now.
 */
static ExportAction
baseline_replied(Export *export, const Reply *reply, Instant now)
{
	Baseline	baseline = {export, true};
	Search		search = {.export = export};

	if (export->lost_submissions > 0 && reply->http_status == 200 &&
		reply_job_list(reply->body, reply->body_size, search_job, &search) &&
		search.fitting + search.perhaps_fitting > 0)
		return found_in_list(export, &search, now);

	job_id_set_free(&export->others_jobs);
	export->has_baseline = reply->http_status == 200 &&
		reply_job_list(reply->body, reply->body_size, add_to_baseline, &baseline) &&
		baseline.complete;
	return go_to(export, STEP_SUBMIT, now);
}

/* ----------
 * Looking up a lost submission
 * ----------
 */

/* Clari never heard of the submission. */
static ExportAction
submission_not_found(Export *export, Instant now)
{
	if (export->rules.give_way)
		return with_hold(finish(export, OUTCOME_UNAVAILABLE), HOLD_UNAVAILABLE);
	if (export->lost_submissions >= MAX_LOST_SUBMISSIONS)
		return finish(export, export->lost_outcome);
	return begin_submission(export, now);
}

static Instant
grace_end(const Export *export)
{
	return export->submitted_at + export->rules.submission_grace;
}

static ExportAction
look_up_again(Export *export, Instant now)
{
	Instant		next = now + backoff_delay(&export->rules.backoff, export->look_ups++);

	export->tries = 0;
	return send(export, instant_earlier(next, instant_later(now, grace_end(export))));
}

static ExportAction
look_up_replied(Export *export, const Reply *reply, Instant now)
{
	Search		search = {.export = export};

	/* The list says how it was when it was asked for, not when it arrived. */
	bool		grace_over = export->not_before >= grace_end(export);

	if (reply->http_status != 200 ||
		!reply_job_list(reply->body, reply->body_size, search_job, &search))
		return try_again(export, export->rules.max_attempts, OUTCOME_SUBMISSION_UNKNOWN, now);

	if (search.fitting > 0)
		return found_in_list(export, &search, now);
	if (!grace_over)
		return look_up_again(export, now);
	if (search.perhaps_fitting > 0)
		return finish(export, OUTCOME_SUBMISSION_UNKNOWN);
	return submission_not_found(export, now);
}

/* ----------
 * Following a job
 * ----------
 */

static ExportOutcome
poll_timeout_outcome(const Reply *reply, bool readable)
{
	if (reply->http_status == 429)
		return OUTCOME_RATE_LIMITED;
	if (is_bad_delivery(reply->delivery))
		return OUTCOME_BAD_RESPONSE;
	if (reply->delivery != DELIVERY_REPLIED || reply->http_status >= 500)
		return OUTCOME_UNAVAILABLE;
	return readable ? OUTCOME_POLL_TIMEOUT : OUTCOME_BAD_RESPONSE;
}

static ExportAction
job_ended(Export *export, Instant now)
{
	if (export->goal == GOAL_POLL)
		return finish(export, OUTCOME_DONE);
	if (export->job.phase == JOB_ENDED_WITHOUT_RESULT)
		return finish(export, OUTCOME_JOB_FAILED);
	return go_to(export, STEP_FETCH, now);
}

/*
 * An attempt is one status request, whatever comes back of it: a status, an
 * error that passes, a 429, or nothing.
 */
static ExportAction
poll_replied(Export *export, const Reply *reply, Instant now)
{
	Job			job;
	bool		readable = reply->delivery == DELIVERY_REPLIED && reply->http_status == 200 &&
		reply_job(reply->body, reply->body_size, &job);
	Duration	wait = backoff_delay(&export->rules.backoff, export->polls - 1);
	ExportAction action;

	if (readable)
	{
		export->job = job;
		export->has_job = true;
		if (job.phase != JOB_IN_PROGRESS)
			return job_ended(export, now);
	}
	if (reply->delivery == DELIVERY_NOT_TRUSTED)
		return finish(export, OUTCOME_UNAVAILABLE);
	if (export->polls >= export->rules.max_attempts)
		action = finish(export, poll_timeout_outcome(reply, readable));
	else
		action = send(export, reply->http_status == 429 ? now : now + wait);

	if (reply->http_status == 429)
	{
		action.hold = HOLD_RATE_LIMITED;
		action.retry_after = reply->retry_after;
	}
	return action;
}

static ExportAction
status_replied(Export *export, const Reply *reply)
{
	if (export->goal == GOAL_STATUS)
		return finish(export, OUTCOME_DONE);
	if (!reply_job(reply->body, reply->body_size, &export->job))
		return finish(export, OUTCOME_BAD_RESPONSE);
	export->has_job = true;
	return finish(export, OUTCOME_DONE);
}

static ExportAction
cancel_replied(Export *export, const Reply *reply, Instant now)
{
	if (reply_cancelled(reply->body, reply->body_size, export->job.status))
		return finish(export, OUTCOME_DONE);
	return go_to(export, STEP_STATUS, now);
}

static ExportAction
limits_replied(Export *export, const Reply *reply)
{
	return finish(export, reply_limits(reply->body, reply->body_size, &export->limits) ?
				  OUTCOME_DONE : OUTCOME_BAD_RESPONSE);
}

/* ----------
 * Any reply
 * ----------
 */

/* A 2xx reply arrived, or for a submission and a list any decisive one. */
static ExportAction
step_replied(Export *export, const Reply *reply, Instant now)
{
	switch (export->step)
	{
		case STEP_CHECK_QUOTA:
			return check_quota_replied(export, reply, now);
		case STEP_BASELINE:
			return baseline_replied(export, reply, now);
		case STEP_SUBMIT:
			return submit_replied(export, reply, now);
		case STEP_EXPLAIN_REFUSAL:
			return explain_refusal_replied(export, reply, now);
		case STEP_LOOK_UP:
			return look_up_replied(export, reply, now);
		case STEP_CANCEL:
			return cancel_replied(export, reply, now);
		case STEP_STATUS:
			return status_replied(export, reply);
		case STEP_LIMITS:
			return limits_replied(export, reply);
		default:
			return finish(export, OUTCOME_DONE);
	}
}

/* Nothing usable arrived: no connection, no reply, half a reply, a 5xx. */
static ExportAction
request_failed(Export *export, const Reply *reply, Instant now)
{
	ExportOutcome outcome = is_bad_delivery(reply->delivery) ? OUTCOME_BAD_RESPONSE : OUTCOME_UNAVAILABLE;
	bool		hopeless = reply->delivery == DELIVERY_NOT_TRUSTED ||
		reply->delivery == DELIVERY_TOO_LARGE;

	if (export->step == STEP_BASELINE && reply->delivery == DELIVERY_TOO_LARGE)
		return baseline_replied(export, reply, now);
	if (export->step == STEP_LOOK_UP)
		return try_again(export, max_failures(export), OUTCOME_SUBMISSION_UNKNOWN, now);
	if (export->step == STEP_EXPLAIN_REFUSAL)
		return submission_held(export, HOLD_QUEUE_FULL, OUTCOME_QUEUE_FULL, now);
	if (hopeless && export->step != STEP_SUBMIT)
		return finish(export, outcome);
	if (export->step == STEP_SUBMIT && reply->delivery == DELIVERY_NOT_TRUSTED)
		return finish(export, OUTCOME_UNAVAILABLE);
	if (export->step == STEP_SUBMIT && reply->delivery != DELIVERY_NOT_SENT)
		return submission_lost(export, outcome, now);
	if (step_submits(export->step))
		return submission_held(export, HOLD_UNAVAILABLE, OUTCOME_UNAVAILABLE, now);
	return try_again(export, max_failures(export), outcome, now);
}

/* Clari refuses: 3xx or 4xx, but for 429. */
static ExportAction
request_refused(Export *export, const Reply *reply, Instant now)
{
	bool		cannot_cancel = strcmp(export->error.code, CODE_CANNOT_CANCEL) == 0;
	bool		invalid_job = strcmp(export->error.code, CODE_INVALID_JOB) == 0;

	if (export->step == STEP_LOOK_UP)
		return finish(export, OUTCOME_SUBMISSION_UNKNOWN);
	if (reply->http_status == 401)
		return finish(export, OUTCOME_NOT_AUTHORIZED);
	if (export->step == STEP_CHECK_QUOTA || export->step == STEP_BASELINE ||
		export->step == STEP_EXPLAIN_REFUSAL)
		return step_replied(export, reply, now);
	if (reply->http_status == 403)
		return finish(export, OUTCOME_NOT_AUTHORIZED);
	if (export->step == STEP_SUBMIT)
		return submit_replied(export, reply, now);
	if (export->step == STEP_CANCEL && cannot_cancel)
		return go_to(export, STEP_STATUS, now);

	/* Clari said DONE a moment ago: its parts disagree for a while. */
	if (export->step == STEP_FETCH && invalid_job && export->polls > 0)
		return try_again(export, export->rules.max_attempts, OUTCOME_REFUSED, now);
	return finish(export, OUTCOME_REFUSED);
}

void
export_sending(Export *export, Instant now)
{
	export->sent_at = now;
}

ExportAction
export_reply(Export *export, const Reply *reply, Instant now)
{
	bool		replied = reply->delivery == DELIVERY_REPLIED;

	export->delivery = reply->delivery;
	export->http_status = reply->http_status;
	export->reading = reply->reading;
	memset(&export->error, 0, sizeof(export->error));
	if (replied && reply->http_status >= 300)
		reply_error(reply->body, reply->body_size, &export->error);

	if (export->step == STEP_POLL)
		export->polls++;
	if (export->step == STEP_POLL && !(replied && reply->http_status >= 300 &&
									   reply->http_status < 500 && reply->http_status != 429))
		return poll_replied(export, reply, now);
	if (reply->http_status == 429)	/* its body says nothing: it may be cut short */
		return rate_limited(export, reply, now);
	if (!replied || reply->http_status >= 500)
		return request_failed(export, reply, now);
	if (reply->http_status >= 300)
		return request_refused(export, reply, now);
	return step_replied(export, reply, now);
}
