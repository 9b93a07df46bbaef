/*
 * virtual_clari.c
 *		A scripted Clari and a virtual clock that drive one export.
 */
#include "virtual_clari.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_SIZE		32768
#define LIST_ENTRY_SIZE 1024

/* ----------
 * Answers
 * ----------
 */

Answer
answer_healthy(void)
{
	Answer		answer = {.delivery = DELIVERY_REPLIED,.retry_after = RETRY_AFTER_NONE};

	return answer;
}

Answer
answer_http(int http_status, const char *body)
{
	Answer		answer = answer_healthy();

	answer.http_status = http_status;
	answer.body = body;
	return answer;
}

Answer
answer_rate_limited(Duration retry_after)
{
	Answer		answer = answer_http(429, "<html>Too Many Requests</html>");

	answer.retry_after = retry_after;
	return answer;
}

Answer
answer_failed(Delivery delivery)
{
	Answer		answer = answer_healthy();

	answer.delivery = delivery;
	return answer;
}

Answer
answer_accepted(Answer answer)
{
	answer.accepted = true;
	return answer;
}

/* ----------
 * Preparing
 * ----------
 */

void
virtual_clari_init(VirtualClari *clari)
{
	Backoff		backoff = {SECONDS(5), 1.5, SECONDS(60)};

	memset(clari, 0, sizeof(*clari));
	clari->now = VIRTUAL_START;
	clari->rules.backoff = backoff;
	clari->rules.max_attempts = 60;
	clari->rules.submission_grace = SECONDS(60);
	clari->forecast_id = "net_arr";
	clari->time_period = "2026_Q3";
	clari->limits.backoff = backoff;
	clari->limits.submit_interval = SECONDS(10);
	clari->limits.max_requests_per_second = 10;
	clari->limits.max_concurrent_exports = 1;
	clari->job_duration = SECONDS(20);
	clari->final_status = "DONE";
	clari->sends_date = true;
	clari->tells_start_times = true;
	clari->clock_offset = INT64_C(1775600000123);
	clari->available_concurrent_limit = 1;
	clari->available_monthly_quota = 100;
	clari->max_sent = 10000;
}

void
virtual_clari_free(VirtualClari *clari)
{
	export_free(&clari->export);
	free(clari->sent);
}

void
virtual_clari_next(VirtualClari *clari, RequestKind kind, Answer answer)
{
	if (clari->scripted[kind] == MAX_SCRIPTED)
		abort();
	clari->script[kind][clari->scripted[kind]++] = answer;
}

void
virtual_clari_always(VirtualClari *clari, RequestKind kind, Answer answer)
{
	clari->lasts[kind] = true;
	clari->lasting[kind] = answer;
}

static VirtualJob *
add_job(VirtualClari *clari, const char *module, const char *file_name)
{
	VirtualJob *job;

	if (clari->n_jobs == MAX_VIRTUAL_JOBS)
		abort();
	job = &clari->jobs[clari->n_jobs++];
	memset(job, 0, sizeof(*job));
	snprintf(job->job_id, sizeof(job->job_id), "6073683781a6da229df71e%02d", clari->n_jobs);
	snprintf(job->module, sizeof(job->module), "%s", module);
	snprintf(job->file_name, sizeof(job->file_name), "%s", file_name);
	strcpy(job->currency, "USD");
	job->started_at = clari->now;
	job->listed_from = clari->now;
	job->ends_at = clari->now + clari->job_duration;
	return job;
}

const char *
virtual_clari_add_job(VirtualClari *clari, const char *module, const char *file_name)
{
	return add_job(clari, module, file_name)->job_id;
}

void
virtual_clari_add_other(VirtualClari *clari, Instant settles_at, Instant leaves_at)
{
	OtherExport other = {settles_at, instant_later(settles_at, leaves_at), false, false};

	if (clari->n_others == MAX_OTHER_EXPORTS)
		abort();
	lane_join(&clari->lane, true);
	clari->others[clari->n_others++] = other;
}

/* A longer wait is taken for a day. */
static Duration
at_most_a_day(Duration retry_after)
{
	return instant_earlier(retry_after, SECONDS(86400));
}

/* What a 429 forbids: for how long it says, else for one step of the backoff. */
static void
note_rate_limit(VirtualClari *clari, Duration retry_after)
{
	const Backoff *backoff = &clari->limits.backoff;

	if (retry_after != RETRY_AFTER_NONE)
		clari->key_held_until = instant_later(clari->key_held_until, clari->now + at_most_a_day(retry_after));
	else if (clari->now >= clari->key_held_until)
		clari->key_held_until = clari->now + instant_earlier(backoff->base, backoff->max);
}

void
virtual_clari_limit_rate(VirtualClari *clari, Duration retry_after)
{
	note_rate_limit(clari, retry_after);
	lane_rate_limited(&clari->lane, &clari->limits, at_most_a_day(retry_after), clari->random, clari->now);
}

void
virtual_clari_prepare(VirtualClari *clari, ExportGoal goal, const char *job_id)
{
	bool		resumes = goal == GOAL_RESUME_UNKNOWN || goal == GOAL_RESUME_JOB;

	export_init(&clari->export, goal, &clari->rules, clari->kind, clari->forecast_id,
				clari->time_period, job_id);
	clari->export.currency = clari->currency;
	if (resumes)
		lane_join(&clari->lane, goal == GOAL_RESUME_UNKNOWN);
	clari->has_place = resumes;
	clari->submitting = goal == GOAL_RESUME_UNKNOWN;
}

/* ----------
 * A healthy Clari
 * ----------
 */

static void
start_job(VirtualClari *clari)
{
	static const char *const modules[] = {"FORECAST", "ACTIVITY", "AUDIT"};
	char		file_name[JOB_TEXT_SIZE];
	VirtualJob *job;

	if (clari->kind == EXPORT_FORECAST)
		snprintf(file_name, sizeof(file_name), "clari_export_forecast_%s_%s915_20260407_212737.json",
				 clari->forecast_id, clari->time_period != NULL ? clari->time_period : "2026_Q2");
	else
		strcpy(file_name, "clari_export.json");
	job = add_job(clari, modules[clari->kind], file_name);
	job->ours = true;
	job->listed_from += clari->listing_delay;
}

static VirtualJob *
find_job(VirtualClari *clari, const char *job_id)
{
	for (int i = 0; i < clari->n_jobs; i++)
		if (strcmp(clari->jobs[i].job_id, job_id) == 0)
			return &clari->jobs[i];
	return NULL;
}

static const char *
job_status(const VirtualClari *clari, const VirtualJob *job)
{
	if (clari->now >= job->ends_at)
		return clari->final_status;
	return clari->now == job->started_at ? "SCHEDULED" : "STARTED";
}

int64_t
virtual_clari_time(const VirtualClari *clari, Instant at)
{
	return clari->clock_offset + at / 1000;
}

static void
write_job(const VirtualClari *clari, const VirtualJob *job, char *out, size_t size)
{
	char		start_time[64] = "";

	if (clari->tells_start_times)
		snprintf(start_time, sizeof(start_time), ",\"startTime\":%lld",
				 (long long) virtual_clari_time(clari, job->started_at));
	snprintf(out, size, "%s{\"jobId\":\"%s\",\"module\":\"%s\",\"fileName\":\"%s\","
			 "\"currency\":\"%s\",\"status\":\"%s\"%s}%s",
			 clari->wraps_jobs ? "{\"job\":" : "", job->job_id, job->module, job->file_name,
			 job->currency, job_status(clari, job), start_time, clari->wraps_jobs ? "}" : "");
}

static bool
is_listed(const VirtualClari *clari, const VirtualJob *job)
{
	int			newer = 0;

	for (int i = 0; i < clari->n_jobs; i++)
		newer += &clari->jobs[i] > job && clari->now >= clari->jobs[i].listed_from;
	return clari->now >= job->listed_from && (clari->newest_listed == 0 || newer < clari->newest_listed);
}

static void
write_list(const VirtualClari *clari, char *out)
{
	char	   *end = out;
	const char *separator = "";

	*end++ = '[';
	for (int i = 0; i < clari->n_jobs; i++)
	{
		if (!is_listed(clari, &clari->jobs[i]))
			continue;
		end += sprintf(end, "%s", separator);
		write_job(clari, &clari->jobs[i], end, LIST_ENTRY_SIZE);
		end += strlen(end);
		separator = ",";
	}
	strcpy(end, "]");
}

static void
write_limits(const VirtualClari *clari, char *out)
{
	sprintf(out, "{\"jobs\":{\"concurrentLimit\":1,\"monthlyQuota\":100,\"submittedJobIds\":[],"
			"\"availableConcurrentLimit\":%d,\"availableMonthlyQuota\":%d}}",
			clari->available_concurrent_limit, clari->available_monthly_quota);
}

static int
refuse(char *out, const char *code)
{
	sprintf(out, "{\"code\":\"%s\",\"message\":\"refused\"}", code);
	return 400;
}

/* Write the body of a healthy reply; returns its HTTP status. */
static int
answer_healthily(VirtualClari *clari, RequestKind kind, char *out)
{
	VirtualJob *job = find_job(clari, clari->export.job_id);
	bool		ended = job != NULL && clari->now >= job->ends_at;

	switch (kind)
	{
		case REQUEST_SUBMIT:
			sprintf(out, "{\"jobId\":\"%s\"}", clari->jobs[clari->n_jobs - 1].job_id);
			return clari->kind == EXPORT_FORECAST ? 200 : 202;
		case REQUEST_JOBS:
			write_list(clari, out);
			return 200;
		case REQUEST_LIMITS:
			write_limits(clari, out);
			return 200;
		case REQUEST_STATUS:
			if (job == NULL)
				return refuse(out, "invalid_jobId");
			write_job(clari, job, out, LIST_ENTRY_SIZE);
			return 200;
		case REQUEST_CANCEL:
			if (job == NULL || ended)
				return refuse(out, job == NULL ? "invalid_jobId" : "export_failed_to_cancel");
			strcpy(out, "{\"status\":\"CANCELLED\",\"successful\":true}");
			return 200;
		default:
			if (!ended)
				return refuse(out, "invalid_jobId");
			strcpy(out, "{\"entries\":[]}");
			return 200;
	}
}

/* ----------
 * One request
 * ----------
 */

static Answer
next_answer(VirtualClari *clari, RequestKind kind)
{
	if (clari->choose_answer != NULL)
		return clari->choose_answer(clari, kind);
	if (clari->played[kind] < clari->scripted[kind])
		return clari->script[kind][clari->played[kind]++];
	return clari->lasts[kind] ? clari->lasting[kind] : answer_healthy();
}

static SentRequest *
note_request(VirtualClari *clari)
{
	SentRequest *sent;

	if (clari->n_sent == clari->allocated)
	{
		clari->allocated = clari->allocated > 0 ? clari->allocated * 2 : 64;
		clari->sent = realloc(clari->sent, (size_t) clari->allocated * sizeof(*clari->sent));
		if (clari->sent == NULL)
			abort();
	}
	sent = &clari->sent[clari->n_sent++];
	memset(sent, 0, sizeof(*sent));
	sent->kind = clari->action.request;
	sent->not_before = clari->action.not_before;
	sent->key_held_until = clari->key_held_until;
	sent->sent_at = clari->now;
	export_sending(&clari->export, clari->now);
	return sent;
}

static bool
our_job_is_listed(const VirtualClari *clari)
{
	for (int i = 0; i < clari->n_jobs; i++)
		if (clari->jobs[i].ours && is_listed(clari, &clari->jobs[i]))
			return true;
	return false;
}

/* Put the reply together and let the time pass until it is there. */
static void
exchange(VirtualClari *clari, SentRequest *sent, Reply *reply, char *body)
{
	Answer		answer = next_answer(clari, sent->kind);
	bool		healthy = answer.delivery == DELIVERY_REPLIED && answer.http_status == 0;

	sent->answer = answer;
	sent->readable_list = healthy && sent->kind == REQUEST_JOBS;
	sent->lists_our_job = sent->readable_list && our_job_is_listed(clari);
	sent->started_job = sent->kind == REQUEST_SUBMIT && (healthy || answer.accepted);
	if (sent->kind != REQUEST_SUBMIT && healthy)
		reply->http_status = answer_healthily(clari, sent->kind, body);

	clari->now += answer.latency;
	if (sent->started_job)
		start_job(clari);
	if (sent->kind == REQUEST_SUBMIT && healthy)
		reply->http_status = answer_healthily(clari, sent->kind, body);

	if (!healthy)
	{
		reply->http_status = answer.http_status;
		strcpy(body, answer.body != NULL ? answer.body : "");
	}
	reply->delivery = answer.delivery;
	reply->retry_after = answer.retry_after;
	reply->reading = answer.reading;
	if (clari->sends_date && reply->http_status != 0)
		reply->date = virtual_clari_time(clari, clari->now) / 1000 * 1000;
	if (reply->http_status == 429)
		note_rate_limit(clari, answer.retry_after);
	sent->http_status = reply->http_status;
	sent->replied_at = clari->now;
}

/* As the engine does after every reply. */
static void
inform_lane(VirtualClari *clari, const Reply *reply)
{
	const ExportAction *action = &clari->action;
	bool		may_have_job = export_may_have_job(&clari->export);

	if (action->hold == HOLD_RATE_LIMITED)
		lane_rate_limited(&clari->lane, &clari->limits, action->retry_after, clari->random, clari->now);
	else if (reply->delivery == DELIVERY_REPLIED)
		lane_answered(&clari->lane, clari->now);

	if (action->hold != HOLD_NONE && action->hold != HOLD_RATE_LIMITED)
		lane_hold_submissions(&clari->lane, &clari->limits, action->hold, clari->random, clari->now);
	if (clari->submitting && may_have_job)
		lane_submission_accepted(&clari->lane);
	if (clari->submitting && (action->finished || may_have_job))
	{
		lane_submission_settled(&clari->lane);
		clari->submitting = false;
	}
}

static void
send_request(VirtualClari *clari)
{
	SentRequest *sent = note_request(clari);
	Reply		reply = {.retry_after = RETRY_AFTER_NONE};
	char		text[BODY_SIZE];
	char	   *body;

	exchange(clari, sent, &reply, text);

	/* In memory of just the right size, so that valgrind sees a byte too far. */
	body = strdup(text);
	reply.body = body;
	reply.body_size = strlen(body);

	if (export_seeks_job(&clari->export))
	{
		clari->export.contested = clari->contested;
		if (clari->others_job != NULL)
			export_exclude_job(&clari->export, clari->others_job);
	}
	clari->action = export_reply(&clari->export, &reply, clari->now);
	inform_lane(clari, &reply);
	free(body);
}

/* ----------
 * The loop
 * ----------
 */

/* Let the others do what they do up to now; returns when they do more. */
static Instant
move_others(VirtualClari *clari)
{
	Instant		next = INSTANT_NEVER;

	for (int i = 0; i < clari->n_others; i++)
	{
		OtherExport *other = &clari->others[i];

		if (!other->settled && clari->now >= other->settles_at)
		{
			lane_submission_settled(&clari->lane);
			other->settled = true;
		}
		if (!other->left && clari->now >= other->leaves_at)
		{
			lane_leave(&clari->lane, true, other->leaves_at);
			other->left = true;
		}
		if (!other->left)
			next = instant_earlier(next, other->settled ? other->leaves_at : other->settles_at);
	}
	return next;
}

static LaneVerdict
ask_lane(VirtualClari *clari)
{
	if (clari->action.submits && !clari->has_place)
	{
		LaneVerdict verdict = lane_admit_export(&clari->lane, &clari->limits,
												clari->limits.submit_interval, clari->now);

		if (verdict.reason != HOLD_NONE)
			return verdict;
		clari->has_place = true;
		clari->submitting = true;
	}
	return lane_admit_request(&clari->lane, &clari->limits, clari->action.submits, NULL, clari->now);
}

/* Wait until the lane lets the next request go; false if it never will. */
static bool
wait_for_lane(VirtualClari *clari)
{
	for (;;)
	{
		Instant		change = move_others(clari);
		LaneVerdict verdict = ask_lane(clari);
		Instant		until = instant_earlier(verdict.until, change);

		if (verdict.reason == HOLD_NONE)
			return true;
		if (until == INSTANT_NEVER || until <= clari->now)
			return false;
		clari->now = until;
	}
}

ExportOutcome
virtual_clari_run(VirtualClari *clari)
{
	const Export *export = &clari->export;

	clari->action = export_start(&clari->export, clari->now);
	while (!clari->action.finished)
	{
		clari->now = instant_later(clari->now, clari->action.not_before);
		if (clari->meanwhile != NULL)
			clari->meanwhile(clari);
		clari->stuck = !wait_for_lane(clari);
		clari->overran = clari->n_sent == clari->max_sent;
		if (clari->stuck || clari->overran)
			return OUTCOME_NONE;
		send_request(clari);
	}
	if (clari->has_place)
		lane_leave(&clari->lane, export->has_job && export->job.phase != JOB_IN_PROGRESS, clari->now);
	clari->has_place = false;
	return export->outcome;
}

/* ----------
 * What happened
 * ----------
 */

int
virtual_clari_count(const VirtualClari *clari, RequestKind kind)
{
	int			n = 0;

	for (int i = 0; i < clari->n_sent; i++)
		n += clari->sent[i].kind == kind;
	return n;
}

Instant
virtual_clari_sent_at(const VirtualClari *clari, RequestKind kind, int n)
{
	for (int i = 0; i < clari->n_sent; i++)
		if (clari->sent[i].kind == kind && n-- == 0)
			return clari->sent[i].sent_at;
	return INSTANT_NEVER;
}
