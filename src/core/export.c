/*
 * export.c
 *		The state machine of one export.
 *
 * Sources: the timetable and the statuses are those of Clari's reference
 * client and of its published OpenAPI document (Revenue API 5.0.0).
 */
#include "core/export.h"

#include <string.h>

#include "core/retry_after.h"

#define HTTP_ACCEPTED			202
#define HTTP_UNAUTHORIZED		401
#define HTTP_FORBIDDEN			403
#define HTTP_NOT_FOUND			404
#define HTTP_REQUEST_TIMEOUT	408
#define HTTP_TOO_EARLY			425
#define HTTP_TOO_MANY_REQUESTS	429
#define HTTP_UNAVAILABLE		503

/*
 * While no job is at stake, a Clari that cannot be reached is given up sooner
 * than a job would be: somebody waits, and nothing is lost.
 */
#define UNREACHABLE_TRIES	5

/* A submission whose reply is lost is tried once more, if Clari has no job. */
#define MAX_LOST_SUBMISSIONS 2

/* Once there is a job, so many refusals of the key in a row end it, and no sooner. */
#define MAX_REFUSED_KEYS	3
#define REFUSED_KEY_PATIENCE SECONDS(60)

/* Longer waits are taken for this one. */
#define LONGEST_WAIT		SECONDS(86400)

/* A Date header tells whole seconds. */
#define DATE_PRECISION		999

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
	if (job_id_set_add(&export->others_jobs, job_id))
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

static ExportStep
first_step_of_submission(const Export *export)
{
	return export->rules.quota_reserve > 0 || export->asks_limits ? STEP_CHECK_QUOTA : STEP_BASELINE;
}

/* Start a submission. Each try has a list of its own, unless a 429 held it. */
static ExportAction
begin_submission(Export *export, Instant now)
{
	return go_to(export, first_step_of_submission(export), now);
}

/* An earlier process sent it, and nobody knows when it ended: at the latest so. */
static ExportAction
resume_unknown(Export *export, Instant now)
{
	export->lost_submissions++;
	export->lost_outcome = OUTCOME_UNAVAILABLE;
	if (export->post_began != 0 && export->rules.request_timeout != 0)
		export->post_ended = export->post_began + export->rules.request_timeout / 1000;
	return go_to(export, STEP_LOOK_UP, now);
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
			return resume_unknown(export, now);
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

bool
export_was_never_heard(const Export *export)
{
	return export->lost_submissions >= MAX_LOST_SUBMISSIONS && !export_may_have_job(export);
}

bool
export_seeks_job(const Export *export)
{
	return export->step == STEP_LOOK_UP ||
		(export->step == STEP_BASELINE && export->lost_submissions > 0);
}

/*
 * Whether a job is at stake that Clari took or told of: then the server's
 * options and the key were good a while ago, and a refusal may pass.
 */
static bool
has_proven_job(const Export *export)
{
	bool		is_ours = export->goal == GOAL_EXPORT || export->goal == GOAL_RESUME_UNKNOWN ||
		export->goal == GOAL_RESUME_JOB;

	return export_may_have_job(export) && (is_ours || export->has_job);
}

/* ----------
 * Clari's clock
 * ----------
 */

/*
 * A reply was written between its request and its arrival, and its Date is cut
 * to whole seconds. Where that contradicts what was known, a clock was set.
 */
static void
read_clock(Export *export, const Reply *reply, Instant now)
{
	int64_t		least = reply->date - now / 1000;
	int64_t		most = reply->date + DATE_PRECISION - export->sent_at / 1000;

	if (reply->date <= 0)
		return;
	if (!export->knows_clock || least > export->clock_most || most < export->clock_least)
	{
		export->clock_least = least;
		export->clock_most = most;
	}
	if (least > export->clock_least)
		export->clock_least = least;
	if (most < export->clock_most)
		export->clock_most = most;
	export->knows_clock = true;
}

void
export_sending(Export *export, Instant now)
{
	export->sent_at = now;
	if (export->step == STEP_SUBMIT && export->lost_submissions == 0)
		export->post_began = export->knows_clock ? now / 1000 + export->clock_least : 0;
}

/* ----------
 * Requests that bring nothing
 * ----------
 */

/* Clari answered, and the answer is of no use. */
static bool
is_bad_delivery(Delivery delivery)
{
	return delivery == DELIVERY_CUT_SHORT || delivery == DELIVERY_TOO_LARGE;
}

/* How often the request at hand may bring nothing. */
static int
max_tries(const Export *export)
{
	if (export->goal == GOAL_STATUS)
		return 1;
	if (export_may_have_job(export) || export->step == STEP_LOOK_UP ||
		export->rules.max_attempts < UNREACHABLE_TRIES)
		return export->rules.max_attempts;
	return UNREACHABLE_TRIES;
}

/* The same: how often it did, this time included. A poll is counted anyway. */
static int
count_try(Export *export)
{
	return export->step == STEP_POLL ? export->polls : ++export->tries;
}

/*
 * The request brought nothing yet: once more, when Clari says or after the
 * backoff, unless it was tried often enough.
 */
static ExportAction
try_again(Export *export, const Reply *reply, ExportOutcome otherwise, Instant now)
{
	int			tries = count_try(export);

	if (tries >= max_tries(export))
		return finish(export, otherwise);
	if (reply->retry_after != RETRY_AFTER_NONE)
		return send(export, now + reply->retry_after);
	return send(export, now + backoff_delay(&export->rules.backoff, tries - 1));
}

/* Nothing was submitted, for a reason that passes, and enough was tried. */
static ExportAction
postpone(Export *export, ExportOutcome outcome)
{
	ExportAction action = finish(export, outcome);

	action.postponed = export->rules.give_way;
	return action;
}

/*
 * A submission did not get through, for a reason that passes: hold the lane's
 * submissions and begin anew when the hold is over.
 */
static ExportAction
submission_held(Export *export, HoldReason reason, ExportOutcome outcome, Instant now)
{
	bool		unreached = reason == HOLD_UNAVAILABLE;
	int			tries = unreached ? ++export->unreached : ++export->submissions;

	if (export->rules.give_way || tries >= (unreached ? max_tries(export) : export->rules.max_attempts))
		return with_hold(postpone(export, outcome), reason);
	return with_hold(begin_submission(export, now), reason);
}

/* As submission_held(), but Clari said how long: the same request after that. */
static ExportAction
submission_put_off(Export *export, const Reply *reply, Instant now)
{
	if (++export->unreached >= max_tries(export))
		return with_hold(postpone(export, OUTCOME_UNAVAILABLE), HOLD_UNAVAILABLE);
	return send(export, now + reply->retry_after);
}

/*
 * A 429 of a request that belongs to a submission. Giving way, it makes room
 * for others only where nothing is lost by beginning anew: else, at a rate of
 * less than a whole submission, none would ever come to its end.
 */
static ExportAction
submission_rate_limited(Export *export, Instant now)
{
	bool		got_nowhere = export->step == first_step_of_submission(export);

	if ((export->rules.give_way && got_nowhere) ||
		++export->submissions >= export->rules.max_attempts)
		return postpone(export, OUTCOME_RATE_LIMITED);
	return send(export, now);
}

/* The same request again, once the lane lets it. */
static ExportAction
rate_limited(Export *export, const Reply *reply, Instant now)
{
	ExportOutcome outcome = export->step == STEP_LOOK_UP ? OUTCOME_SUBMISSION_UNKNOWN : OUTCOME_RATE_LIMITED;
	ExportAction action;

	if (step_submits(export->step) || export->step == STEP_EXPLAIN_REFUSAL)
		action = submission_rate_limited(export, now);
	else if (export->goal == GOAL_STATUS || count_try(export) >= export->rules.max_attempts)
		action = finish(export, outcome);
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

/*
 * The job is known, and those of others are of no more use. The first wait is
 * one base delay, or what was learned: an export takes time.
 */
static ExportAction
submitted(Export *export, Instant now)
{
	job_id_set_free(&export->others_jobs);
	export->submitted_at = now;
	if (!export->adopted)
		export->job_since = now;
	if (export->goal == GOAL_SUBMIT)
		return finish(export, OUTCOME_DONE);
	return go_to(export, STEP_POLL, now + (export->polling != NULL ?
										   polling_delay(export->polling, 0, 0) :
										   backoff_delay(&export->rules.backoff, 0)));
}

/*
 * No reply says whether Clari took the submission: ask its list of jobs. It
 * may have been under way until now, so the grace begins now.
 */
static ExportAction
submission_lost(Export *export, const Reply *reply, ExportOutcome outcome, Instant now)
{
	export->submitted_at = now;
	export->lost_submissions++;
	export->lost_outcome = outcome;
	export->look_ups = 0;
	if (export->knows_clock)
		export->post_ended = now / 1000 + export->clock_most - DATE_PRECISION;
	if (reply->retry_after != RETRY_AFTER_NONE)
		export->post_not_before = now + reply->retry_after;
	return go_to(export, STEP_LOOK_UP, now);
}

/* Before a submission: is there a place for it, as far as Clari says? */
static ExportAction
check_quota_replied(Export *export, const Reply *reply, Instant now)
{
	const Limits *limits = &export->limits;

	if (!reply_limits(reply->body, reply->body_size, &export->limits))
		return go_to(export, STEP_BASELINE, now);
	if (limits->available_monthly_quota >= 0 &&
		limits->available_monthly_quota <= export->rules.quota_reserve)
		return export->rules.give_way ?
			submission_held(export, HOLD_QUOTA, OUTCOME_QUOTA_EXHAUSTED, now) :
			finish(export, OUTCOME_QUOTA_EXHAUSTED);
	if (limits->available_concurrent_limit == 0)
		return submission_held(export, HOLD_QUEUE_FULL, OUTCOME_QUEUE_FULL, now);
	return go_to(export, STEP_BASELINE, now);
}

static ExportAction
submit_replied(Export *export, const Reply *reply, Instant now)
{
	if (reply_job_id(reply->body, reply->body_size, export->job_id))
		return submitted(export, now);

	export->job_id[0] = '\0';
	return submission_lost(export, reply, OUTCOME_BAD_RESPONSE, now);
}

static ExportAction
submit_refused(Export *export, Instant now)
{
	if (strcmp(export->error.code, CODE_QUOTA_REACHED) == 0)
		return go_to(export, STEP_EXPLAIN_REFUSAL, now);
	return finish(export, OUTCOME_BAD_REQUEST);
}

/* 425 says of itself that nothing was done; any other one that may be late does not. */
static ExportAction
submit_failed(Export *export, const Reply *reply, ExportOutcome outcome, Instant now)
{
	if (reply->delivery == DELIVERY_NOT_TRUSTED)
		return finish(export, OUTCOME_UNAVAILABLE);
	if (reply->delivery == DELIVERY_NOT_SENT || reply->http_status == HTTP_TOO_EARLY)
		return submission_held(export, HOLD_UNAVAILABLE, OUTCOME_UNAVAILABLE, now);
	return submission_lost(export, reply, outcome, now);
}

/*
 * Clari refuses a submission in the same words for two reasons. The next try
 * asks the limits first.
 */
static ExportAction
explain_refusal_replied(Export *export, const Reply *reply, Instant now)
{
	bool		known = reply_limits(reply->body, reply->body_size, &export->limits);

	export->asks_limits = true;
	if (known && export->limits.available_monthly_quota == 0)
		return export->rules.give_way ?
			submission_held(export, HOLD_QUOTA, OUTCOME_QUOTA_EXHAUSTED, now) :
			finish(export, OUTCOME_QUOTA_EXHAUSTED);
	return submission_held(export, HOLD_QUEUE_FULL, OUTCOME_QUEUE_FULL, now);
}

/* ----------
 * The list of jobs
 * ----------
 */

static ExportSubject
subject_of(const Export *export)
{
	ExportSubject subject = {export->kind, export->forecast_id, export->time_period, export->currency};

	return subject;
}

typedef struct Search
{
	const Export *export;
	ExportSubject subject;
	ClariTime	window;
	int			fitting;
	char		job_id[JOB_ID_SIZE];	/* of the last one that fits */
} Search;

static bool
search_job(const Job *job, void *context)
{
	Search	   *search = context;

	if (job_fits(job, &search->subject) && job_started_within(job, search->window) &&
		!job_id_set_has(&search->export->others_jobs, job->job_id))
	{
		search->fitting++;
		strcpy(search->job_id, job->job_id);
	}
	return true;
}

/* Look for the job of a lost submission. Returns false without a readable list. */
static bool
search_list(const Export *export, const Reply *reply, Search *search)
{
	*search = (Search) {
		.export = export,
		.subject = subject_of(export),
		.window = {export->post_began, export->post_ended},
	};
	return reply->http_status == 200 && reply->delivery == DELIVERY_REPLIED &&
		reply_job_list(reply->body, reply->body_size, search_job, search);
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
	ExportSubject subject;
	bool		complete;
} Baseline;

/* Remember a job that may look like ours later: it is not. */
static bool
add_to_baseline(const Job *job, void *context)
{
	Baseline   *baseline = context;

	if (job_fits(job, &baseline->subject))
		baseline->complete = job_id_set_add(&baseline->export->others_jobs, job->job_id);
	return baseline->complete;
}

static bool
read_baseline(Export *export, const Reply *reply)
{
	Baseline	baseline = {export, subject_of(export), true};

	return reply->http_status == 200 && reply->delivery == DELIVERY_REPLIED &&
		reply_job_list(reply->body, reply->body_size, add_to_baseline, &baseline) && baseline.complete;
}

/*
 * Without a readable list the submission goes ahead: the list is needed only
 * if the reply is lost, and then the outcome is unknown. Where one was lost
 * before and not found, its job may have turned up by now; and what was known
 * before that one stays known.
 */
static ExportAction
baseline_replied(Export *export, const Reply *reply, Instant now)
{
	Search		search;

	if (export->lost_submissions == 0)
	{
		job_id_set_free(&export->others_jobs);
		export->has_baseline = read_baseline(export, reply);
	}
	else if (search_list(export, reply, &search))
	{
		if (search.fitting > 0)
			return found_in_list(export, &search, now);
		export->has_baseline = export->has_baseline && read_baseline(export, reply);
	}
	return go_to(export, STEP_SUBMIT, instant_later(now, export->post_not_before));
}

/* ----------
 * Looking up a lost submission
 * ----------
 */

/* Clari never heard of the submission. */
static ExportAction
submission_not_found(Export *export, Instant now)
{
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
	Search		search;

	/* The list says how it was when it was asked for, not when it arrived. */
	bool		grace_over = export->not_before >= grace_end(export);

	if (!search_list(export, reply, &search))
		return try_again(export, reply, OUTCOME_SUBMISSION_UNKNOWN, now);
	if (search.fitting > 0)
		return found_in_list(export, &search, now);
	if (!grace_over)
		return look_up_again(export, now);
	return submission_not_found(export, now);
}

/* ----------
 * Following a job
 * ----------
 */

static ExportAction
job_ended(Export *export, Instant now)
{
	if (export->goal == GOAL_POLL)
		return finish(export, OUTCOME_DONE);
	if (export->job.phase == JOB_ENDED_WITHOUT_RESULT)
		return finish(export, OUTCOME_JOB_FAILED);
	return go_to(export, STEP_FETCH, now);
}

/* Where nobody saw the job start, its own start time says when that was. */
static void
find_job_since(Export *export, Instant now)
{
	int64_t		clari_now = now / 1000 + (export->clock_least + export->clock_most) / 2;

	if (export->job_since != 0)
		return;
	export->job_since = now;
	if (export->knows_clock && export->job.start_time > 0 && export->job.start_time < clari_now)
		export->job_since -= (clari_now - export->job.start_time) * 1000;
}

/* The job runs: ask again when it is likely to have ended. */
static ExportAction
poll_again(Export *export, const Reply *reply, Instant now)
{
	find_job_since(export, now);
	if (export->polling == NULL || export->polls >= max_tries(export))
		return try_again(export, reply, OUTCOME_POLL_TIMEOUT, now);
	return send(export, now + polling_delay(export->polling, export->polls, now - export->job_since));
}

/*
 * An attempt is one status request, whatever comes back of it: a status, an
 * error that passes, a 429, or nothing.
 */
static ExportAction
poll_replied(Export *export, const Reply *reply, Instant now)
{
	Job			job;

	if (reply->http_status != 200 || !reply_job(reply->body, reply->body_size, &job))
		return try_again(export, reply, OUTCOME_BAD_RESPONSE, now);

	export->job = job;
	export->has_job = true;
	if (job.phase != JOB_IN_PROGRESS)
		return job_ended(export, now);
	return poll_again(export, reply, now);
}

/* A result that is on its way is tried again; one that is none stays so. */
static ExportAction
fetch_replied(Export *export, const Reply *reply, Instant now)
{
	if (reply->http_status != 200 || reply->body_size == 0)
		return try_again(export, reply, OUTCOME_BAD_RESPONSE, now);
	switch (reply->reading)
	{
		case RESULT_UNREADABLE:
			return try_again(export, reply, OUTCOME_BAD_RESPONSE, now);
		case RESULT_WRONG_SHAPE:
		case RESULT_NOT_STORABLE:
			return finish(export, OUTCOME_BAD_RESPONSE);
		default:
			return finish(export, OUTCOME_DONE);
	}
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

/*
 * Clari does not know the job, or says so. Just after the submission, and
 * between the last poll and the result, its parts disagree for a while.
 */
static ExportAction
job_refused(Export *export, const Reply *reply, Instant now)
{
	bool		is_new = export->step == STEP_POLL && has_proven_job(export) && !export->doubts_job &&
		now < grace_end(export);

	if (is_new || (export->step == STEP_FETCH && export->polls > 0))
		return try_again(export, reply, OUTCOME_BAD_REQUEST, now);
	return finish(export, OUTCOME_BAD_REQUEST);
}

/* ----------
 * Any reply
 * ----------
 */

/* A 2xx reply arrived, or for a list or limits a refusal without which it goes on. */
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
		case STEP_POLL:
			return poll_replied(export, reply, now);
		case STEP_FETCH:
			return fetch_replied(export, reply, now);
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

/*
 * Whether what came says nothing about the request: no reply, half a reply, an
 * error of the way or of the moment. 404 is Clari's own only with a code; it
 * ends what was never known to be there, since then a wrong base_url is likely.
 */
static bool
is_failure(const Export *export, const Reply *reply)
{
	if (reply->delivery != DELIVERY_REPLIED || reply->http_status >= 500)
		return true;
	if (reply->http_status == HTTP_NOT_FOUND)
		return export->error.code[0] == '\0' && (export->step == STEP_LOOK_UP || has_proven_job(export));
	if (export->step == STEP_CHECK_QUOTA || export->step == STEP_BASELINE)
		if (reply->http_status == HTTP_ACCEPTED && reply->retry_after != RETRY_AFTER_NONE)
			return true;		/* what was asked for is being prepared */
	return reply->http_status == HTTP_REQUEST_TIMEOUT || reply->http_status == HTTP_TOO_EARLY;
}

static ExportOutcome
outcome_of_failure(const Reply *reply)
{
	if (is_bad_delivery(reply->delivery))
		return OUTCOME_BAD_RESPONSE;
	return reply->http_status == HTTP_NOT_FOUND ? OUTCOME_BAD_REQUEST : OUTCOME_UNAVAILABLE;
}

static ExportAction
request_failed(Export *export, const Reply *reply, Instant now)
{
	ExportOutcome outcome = outcome_of_failure(reply);
	bool		is_too_large = reply->delivery == DELIVERY_TOO_LARGE;
	bool		hopeless = (is_too_large && (export->step == STEP_FETCH || !has_proven_job(export))) ||
		(reply->delivery == DELIVERY_NOT_TRUSTED && !has_proven_job(export));

	/* It goes on without them. */
	if (is_too_large && (export->step == STEP_CHECK_QUOTA || export->step == STEP_BASELINE))
		return step_replied(export, reply, now);
	if (export->step == STEP_LOOK_UP)
		return try_again(export, reply, OUTCOME_SUBMISSION_UNKNOWN, now);
	if (export->step == STEP_EXPLAIN_REFUSAL)
		return explain_refusal_replied(export, reply, now);
	if (export->step == STEP_SUBMIT)
		return submit_failed(export, reply, outcome, now);
	if (hopeless)
		return finish(export, outcome);
	if (step_submits(export->step))
		return reply->retry_after != RETRY_AFTER_NONE ?
			submission_put_off(export, reply, now) :
			submission_held(export, HOLD_UNAVAILABLE, OUTCOME_UNAVAILABLE, now);
	return try_again(export, reply, outcome, now);
}

/*
 * 401 or 403. Where a job is at stake the key may have been changed meanwhile:
 * have it read anew, and be patient.
 */
static ExportAction
key_refused(Export *export, const Reply *reply, Instant now)
{
	bool		looks_up = export->step == STEP_LOOK_UP;
	ExportOutcome outcome = looks_up ? OUTCOME_SUBMISSION_UNKNOWN : OUTCOME_NOT_AUTHORIZED;
	ExportAction action;

	if (export->keys_refused++ == 0)
		export->key_refused_since = now;
	if (!looks_up && !has_proven_job(export))
		return finish(export, outcome);
	if (export->keys_refused >= MAX_REFUSED_KEYS &&
		now - export->key_refused_since >= REFUSED_KEY_PATIENCE)
		return finish(export, outcome);
	action = try_again(export, reply, outcome, now);
	action.reload_account = !action.finished;
	return action;
}

/* Clari refuses: 3xx or 4xx, but for 429 and what is a failure. */
static ExportAction
request_refused(Export *export, const Reply *reply, Instant now)
{
	bool		is_forbidden = reply->http_status == HTTP_FORBIDDEN;
	bool		is_helper = export->step == STEP_CHECK_QUOTA || export->step == STEP_BASELINE ||
		export->step == STEP_EXPLAIN_REFUSAL;

	/* A key that may not list jobs or see limits may still export. */
	if (is_helper && reply->http_status != HTTP_UNAUTHORIZED)
		return step_replied(export, reply, now);
	if (is_forbidden || reply->http_status == HTTP_UNAUTHORIZED)
		return key_refused(export, reply, now);
	if (export->step == STEP_LOOK_UP)
		return finish(export, OUTCOME_SUBMISSION_UNKNOWN);
	if (export->step == STEP_SUBMIT)
		return submit_refused(export, now);
	if (export->step == STEP_CANCEL && strcmp(export->error.code, CODE_CANNOT_CANCEL) == 0)
		return go_to(export, STEP_STATUS, now);
	if (strcmp(export->error.code, CODE_INVALID_JOB) == 0)
		return job_refused(export, reply, now);
	return finish(export, OUTCOME_BAD_REQUEST);
}

static bool
is_refusal_of_key(const Reply *reply)
{
	return reply->delivery == DELIVERY_REPLIED &&
		(reply->http_status == HTTP_UNAUTHORIZED || reply->http_status == HTTP_FORBIDDEN);
}

/* Take in what every reply tells, whatever it is a reply to. */
static void
note_reply(Export *export, const Reply *reply, Instant now)
{
	export->delivery = reply->delivery;
	export->http_status = reply->http_status;
	export->reading = reply->reading;
	memset(&export->error, 0, sizeof(export->error));
	if (reply->delivery == DELIVERY_REPLIED && reply->http_status >= 300)
		reply_error(reply->body, reply->body_size, &export->error);
	if (!is_refusal_of_key(reply))
		export->keys_refused = 0;
	if (export->step == STEP_POLL)
		export->polls++;
	read_clock(export, reply, now);
}

static ExportAction
next_action(Export *export, const Reply *reply, Instant now)
{
	/* The body of a 429 says nothing: it may be cut short. */
	if (reply->http_status == HTTP_TOO_MANY_REQUESTS)
		return rate_limited(export, reply, now);
	if (is_failure(export, reply))
		return request_failed(export, reply, now);
	if (reply->http_status >= 300)
		return request_refused(export, reply, now);
	return step_replied(export, reply, now);
}

/* Whether Retry-After means something with a status. */
static bool
tells_to_wait(int http_status)
{
	return http_status == HTTP_TOO_MANY_REQUESTS || http_status == HTTP_UNAVAILABLE ||
		http_status == HTTP_ACCEPTED;
}

ExportAction
export_reply(Export *export, const Reply *given, Instant now)
{
	Reply		reply = *given;
	bool		is_cut;
	ExportAction action;

	if (!tells_to_wait(reply.http_status))
		reply.retry_after = RETRY_AFTER_NONE;
	is_cut = reply.retry_after > LONGEST_WAIT;
	if (is_cut)
		reply.retry_after = LONGEST_WAIT;

	note_reply(export, &reply, now);
	action = next_action(export, &reply, now);
	action.wait_was_cut = is_cut;
	return action;
}
