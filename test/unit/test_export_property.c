/*
 * test_export_property.c
 *		What holds for every export, whatever Clari and the network do.
 *
 * A sequence is one export against a Clari whose every answer, with its delay,
 * is drawn at random, as are the rules, the goal, the other exports of the key
 * and the jobs of others. All sequences run once; each property is then a test
 * of its own, which names the seed of the first sequence that breaks it.
 *
 * CLARI_UNIT_SEED starts elsewhere, CLARI_UNIT_SEQUENCES runs more or fewer:
 * CLARI_UNIT_SEED=<seed of the sequence> CLARI_UNIT_SEQUENCES=1 runs just that.
 */
#include "unit.h"

#include "core/export.h"
#include "virtual_clari.h"

#define DEFAULT_SEED		20260407
#define DEFAULT_SEQUENCES	300000

#define OUR_FILE	"clari_export_forecast_net_arr_2026_Q3915_20260407_212737.json"
#define OTHER_FILE	"clari_export_forecast_net_arr_2026_Q2915_20260407_212737.json"

/* ----------
 * Chance
 * ----------
 */

/* splitmix64: every seed, even the next one, starts another sequence. */
static uint64_t
draw(uint64_t *chance)
{
	uint64_t	z = (*chance += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static int
draw_below(uint64_t *chance, int n)
{
	return (int) (draw(chance) % (uint64_t) n);
}

static bool
draw_one_in(uint64_t *chance, int n)
{
	return draw_below(chance, n) == 0;
}

static Duration
draw_duration(uint64_t *chance, Duration max)
{
	return (Duration) (draw(chance) % (uint64_t) (max + 1));
}

/* ----------
 * A Clari at random
 * ----------
 */

typedef struct Sequence
{
	VirtualClari clari;			/* first: the hooks get its address */
	uint64_t	chance;
	ExportGoal	goal;
	int			health;			/* one answer in so many is not healthy */
	Instant		resumed_at;		/* of a submission before our time */
	Duration	slowest_reply;	/* so far Clari's clock may be out */
} Sequence;

static Duration
draw_retry_after(uint64_t *chance)
{
	switch (draw_below(chance, 4))
	{
		case 0:
			return RETRY_AFTER_NONE;
		case 1:
			return 0;
		default:
			return draw_one_in(chance, 50) ? DURATION_MAX : draw_duration(chance, SECONDS(120));
	}
}

static Answer
draw_network_failure(uint64_t *chance)
{
	static const Delivery failures[] = {
		DELIVERY_NOT_SENT, DELIVERY_NOT_SENT, DELIVERY_LOST, DELIVERY_LOST, DELIVERY_LOST,
		DELIVERY_CUT_SHORT, DELIVERY_CUT_SHORT, DELIVERY_TOO_LARGE, DELIVERY_NOT_TRUSTED,
	};
	Answer		answer = answer_failed(failures[draw_below(chance, sizeof(failures) / sizeof(failures[0]))]);

	if (answer.delivery == DELIVERY_CUT_SHORT || answer.delivery == DELIVERY_TOO_LARGE)
		answer.http_status = draw_one_in(chance, 4) ? 500 : 200;
	return answer;
}

static Answer
draw_rate_limit(uint64_t *chance)
{
	Answer		answer = answer_rate_limited(draw_retry_after(chance));

	if (draw_one_in(chance, 5))
		answer.delivery = DELIVERY_CUT_SHORT;
	return answer;
}

static Answer
draw_unreadable(uint64_t *chance)
{
	static const char *const bodies[] = {
		"", "OK", "[null", "{}", "null", "{\"jobId\":", "[{\"jobId\":\"1\"}", "<html></html>", "{\"job\":{}}",
	};

	return answer_http(200, bodies[draw_below(chance, sizeof(bodies) / sizeof(bodies[0]))]);
}

static Answer
draw_refusal(uint64_t *chance)
{
	static const struct
	{
		int			http_status;
		const char *body;
	}			refusals[] = {
		{400, "{\"code\":\"bad_request\",\"message\":\"m\"}"},
		{400, "{\"errors\":[{\"code\":\"invalid_jobId\"}]}"},
		{400, "{\"code\":\"export_failed_to_cancel\"}"},
		{400, "{\"message\":\"m\"}"},
		{401, ""},
		{403, "<html>"},
		{404, "{}"},
		{302, ""},
	};
	int			i = draw_below(chance, sizeof(refusals) / sizeof(refusals[0]));

	return answer_http(refusals[i].http_status, refusals[i].body);
}

/* What says nothing about the request, and may be another reply in a moment. */
static Answer
draw_passing(uint64_t *chance)
{
	static const Answer passing[] = {
		{.http_status = 202,.body = "{\"message\":\"being prepared\"}"},
		{.http_status = 204},
		{.http_status = 401},
		{.http_status = 403,.body = "<html>"},
		{.http_status = 404,.body = "<html>"},
		{.http_status = 404,.body = "{\"message\":\"no Route matched\"}"},
		{.http_status = 408},
		{.http_status = 425},
		{.http_status = 503,.body = "<html>"},
	};
	Answer		answer = passing[draw_below(chance, sizeof(passing) / sizeof(passing[0]))];

	answer.retry_after = draw_one_in(chance, 2) ? draw_retry_after(chance) : RETRY_AFTER_NONE;
	return answer;
}

static Answer
draw_result(uint64_t *chance)
{
	Answer		answer = answer_http(200, "{\"some\":\"thing\"}");

	answer.reading = (ResultReading) draw_below(chance, RESULT_NOT_STORABLE + 1);
	return answer;
}

static Answer
draw_unhealthy(Sequence *sequence, RequestKind kind)
{
	uint64_t   *chance = &sequence->chance;

	if (draw_one_in(chance, 4))
		return draw_passing(chance);
	if (kind == REQUEST_RESULT && draw_one_in(chance, 3))
		return draw_result(chance);
	switch (draw_below(chance, 12))
	{
		case 0:
		case 1:
		case 2:
			return draw_rate_limit(chance);
		case 3:
		case 4:
		case 5:
			return draw_network_failure(chance);
		case 6:
			return draw_unreadable(chance);
		case 7:
			return answer_http(500, "{\"code\":\"SWW\",\"message\":\"m\"}");
		case 8:
			return answer_http(503, "<html>");
		case 9:
			return kind == REQUEST_STATUS ? answer_http(200, "{\"jobId\":\"1\",\"status\":\"REHEARSING\"}") :
				draw_rate_limit(chance);
		case 10:
			return kind == REQUEST_SUBMIT ? answer_http(400, BODY_QUOTA_REACHED) : draw_network_failure(chance);
		default:
			return draw_refusal(chance);
	}
}

/* Whether such an answer leaves open if Clari took the submission. */
static bool
leaves_fate_open(const Answer *answer)
{
	bool		healthy = answer->delivery == DELIVERY_REPLIED && answer->http_status == 0;

	if (healthy || answer->delivery == DELIVERY_NOT_SENT || answer->delivery == DELIVERY_NOT_TRUSTED)
		return false;
	if (answer->http_status == 429)
		return false;
	return answer->delivery != DELIVERY_REPLIED || answer->http_status < 300 ||
		answer->http_status == 408 || answer->http_status >= 500;
}

static Duration
draw_latency(uint64_t *chance)
{
	switch (draw_below(chance, 4))
	{
		case 0:
			return 0;
		case 1:
			return draw_duration(chance, SECONDS(120));
		default:
			return draw_duration(chance, MILLISECONDS(500));
	}
}

static Answer
choose_answer(VirtualClari *clari, RequestKind kind)
{
	Sequence   *sequence = (Sequence *) clari;
	uint64_t   *chance = &sequence->chance;
	Answer		answer = draw_one_in(chance, sequence->health) ? draw_unhealthy(sequence, kind) : answer_healthy();

	clari->random = (uint32_t) draw(chance);
	answer.latency = draw_latency(chance);
	sequence->slowest_reply = instant_later(sequence->slowest_reply, answer.latency);
	answer.accepted = leaves_fate_open(&answer) && !draw_one_in(chance, 3);
	clari->available_concurrent_limit = draw_below(chance, 2);
	clari->available_monthly_quota = draw_below(chance, 4);
	return answer;
}

/* What else goes on with the key: jobs of others, their exports, their 429s. */
static void
meanwhile(VirtualClari *clari)
{
	uint64_t   *chance = &((Sequence *) clari)->chance;

	if (draw_one_in(chance, 20) && clari->n_jobs < MAX_VIRTUAL_JOBS / 2)
		virtual_clari_add_job(clari, draw_one_in(chance, 4) ? "" : "FORECAST",
							  draw_one_in(chance, 2) ? OUR_FILE : OTHER_FILE);
	if (draw_one_in(chance, 20) && clari->n_others < MAX_OTHER_EXPORTS)
		virtual_clari_add_other(clari, clari->now + draw_duration(chance, SECONDS(30)),
								clari->now + draw_duration(chance, SECONDS(300)));
	if (draw_one_in(chance, 20))
		virtual_clari_limit_rate(clari, draw_retry_after(chance));
	if (draw_one_in(chance, 20))
		lane_hold_submissions(&clari->lane, &clari->limits, HOLD_QUEUE_FULL, clari->random, clari->now);
	if (draw_one_in(chance, 20))
		lane_answered(&clari->lane, clari->now);
}

static void
draw_rules(Sequence *sequence)
{
	static const char *const ends[] = {"DONE", "DONE", "COMPLETED", "FAILED", "CANCELLED", "ABORTED"};
	VirtualClari *clari = &sequence->clari;
	uint64_t   *chance = &sequence->chance;

	clari->rules.backoff.base = SECONDS(1) + draw_duration(chance, SECONDS(4));
	clari->rules.backoff.multiplier = 1 + draw_below(chance, 5) / 4.0;
	clari->rules.backoff.max = SECONDS(1) + draw_duration(chance, SECONDS(60));
	clari->rules.max_attempts = 1 + draw_below(chance, 10);
	clari->rules.submission_grace = draw_duration(chance, SECONDS(30));
	clari->rules.quota_reserve = draw_one_in(chance, 4);
	clari->rules.give_way = draw_one_in(chance, 4);
	clari->limits.backoff = clari->rules.backoff;
	clari->limits.submit_interval = draw_duration(chance, SECONDS(10));
	clari->limits.max_requests_per_second = 1 + draw_below(chance, 10);
	clari->limits.max_concurrent_exports = 1 + draw_below(chance, 3);
	clari->job_duration = draw_duration(chance, SECONDS(60));
	clari->listing_delay = draw_one_in(chance, 2) ? 0 :
		draw_duration(chance, clari->rules.submission_grace * 3 / 2);
	clari->final_status = ends[draw_below(chance, sizeof(ends) / sizeof(ends[0]))];
	clari->wraps_jobs = draw_one_in(chance, 2);
	clari->sends_date = !draw_one_in(chance, 4);
	clari->tells_start_times = !draw_one_in(chance, 4);
	clari->clock_offset += draw_below(chance, 1000);
	clari->contested = draw_one_in(chance, 16);
	sequence->health = 1 + draw_below(chance, 12);
}

static void
draw_goal(Sequence *sequence)
{
	static const ExportGoal goals[] = {
		GOAL_EXPORT, GOAL_EXPORT, GOAL_EXPORT, GOAL_EXPORT, GOAL_EXPORT, GOAL_EXPORT,
		GOAL_SUBMIT, GOAL_SUBMIT, GOAL_RESUME_UNKNOWN, GOAL_RESUME_UNKNOWN,
		GOAL_RESUME_JOB, GOAL_POLL, GOAL_STATUS, GOAL_RESULT, GOAL_CANCEL, GOAL_JOBS, GOAL_LIMITS,
	};
	VirtualClari *clari = &sequence->clari;
	uint64_t   *chance = &sequence->chance;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	sequence->goal = goals[draw_below(chance, sizeof(goals) / sizeof(goals[0]))];
	if (sequence->goal == GOAL_EXPORT || sequence->goal == GOAL_SUBMIT ||
		sequence->goal == GOAL_RESUME_UNKNOWN)
		job_id = NULL;
	virtual_clari_prepare(clari, sequence->goal, job_id);
	if (sequence->goal != GOAL_RESUME_UNKNOWN)
		return;

	/* The earlier submission's job is the one above; it was a baseline's, or none's. */
	clari->jobs[0].ours = draw_one_in(chance, 2);
	clari->jobs[0].listed_from = clari->now + (clari->jobs[0].ours ? clari->listing_delay : 0);
	clari->export.submitted_at = clari->now;
	clari->export.has_baseline = !draw_one_in(chance, 4);
	if (!clari->jobs[0].ours && clari->export.has_baseline)
		export_exclude_job(&clari->export, clari->jobs[0].job_id);
}

/*
 * The most requests these rules allow, generously: every try of a submission
 * with its list and limits, two lost ones with their look-ups, polls, fetches.
 */
static int
bound_on_requests(const ExportRules *rules)
{
	int			tries = rules->max_attempts;
	int			shortest = (int) (instant_earlier(rules->backoff.base, rules->backoff.max) / SECONDS(1));
	int			look_ups = (int) (rules->submission_grace / SECONDS(1)) / shortest + 2;

	return (tries + 1) * (3 + tries) + 2 * look_ups * (tries + 1) + 3 * tries;
}

/* ----------
 * Properties: each looks at one sequence that has run
 * ----------
 */

/* It ends, after no more requests than its rules allow. */
static bool
it_always_ends(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;

	return clari->action.finished && !clari->stuck && !clari->overran &&
		clari->n_sent <= bound_on_requests(&clari->rules);
}

/* No request leaves before the moment its action named, and that is none of the past. */
static bool
it_never_sends_before_it_may(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;

	for (int i = 0; i < clari->n_sent; i++)
		if (clari->sent[i].sent_at < clari->sent[i].not_before ||
			(i > 0 && clari->sent[i].not_before < clari->sent[i - 1].replied_at))
			return false;
	return true;
}

/* No request of the key leaves inside the hold of a 429, its own or another's. */
static bool
it_never_sends_inside_a_hold(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;

	for (int i = 0; i < clari->n_sent; i++)
		if (clari->sent[i].sent_at < clari->sent[i].key_held_until)
			return false;
	return true;
}

/* Whether Clari said when to send that request again; then until when, but for a day at most. */
static bool
names_a_time(const SentRequest *sent, Instant *until)
{
	Duration	wait = instant_earlier(sent->answer.retry_after, SECONDS(86400));

	*until = sent->replied_at + wait;
	return sent->answer.retry_after != RETRY_AFTER_NONE &&
		(sent->http_status == 429 || sent->http_status == 503 || sent->http_status == 202);
}

/* The next request of that kind leaves no sooner than Clari said, whatever came between. */
static bool
it_waits_as_long_as_clari_says(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;
	Instant		until[REQUEST_KINDS] = {0};

	for (int i = 0; i < clari->n_sent; i++)
	{
		const SentRequest *sent = &clari->sent[i];
		Instant		named;

		if (sent->sent_at < until[sent->kind])
			return false;
		if (names_a_time(sent, &named) && sent->kind != REQUEST_LIMITS && sent->kind != REQUEST_CANCEL)
			until[sent->kind] = instant_later(until[sent->kind], named);
	}
	return true;
}

/* It waits longer than a day after no reply, and says so where that was asked for. */
static bool
it_waits_a_day_at_most(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;

	for (int i = 1; i < clari->n_sent; i++)
		if (clari->sent[i].not_before - clari->sent[i - 1].replied_at > SECONDS(86400))
			return false;
	return true;
}

/* Between two status requests passes the wait of the timetable, except where Clari names another. */
static bool
it_polls_by_the_timetable(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;
	const SentRequest *last = NULL;
	int			polls = 0;

	if (sequence->goal == GOAL_STATUS || sequence->goal == GOAL_CANCEL)
		return true;
	for (int i = 0; i < clari->n_sent; i++)
	{
		const SentRequest *sent = &clari->sent[i];

		if (sent->kind != REQUEST_STATUS)
			continue;
		if (last != NULL && last->http_status != 429 && !names_a_time(last, &(Instant) {0}) &&
			sent->sent_at - last->replied_at < backoff_delay(&clari->rules.backoff, polls - 1))
			return false;
		last = sent;
		polls++;
	}
	return true;
}

/* The first status request after a submission comes one base delay later. */
static bool
it_polls_a_new_job_after_one_delay(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;

	for (int i = 1; i < clari->n_sent; i++)
		if (clari->sent[i].kind == REQUEST_STATUS &&
			(clari->sent[i - 1].kind == REQUEST_SUBMIT || clari->sent[i - 1].kind == REQUEST_JOBS) &&
			clari->sent[i].sent_at - clari->sent[i - 1].replied_at < backoff_delay(&clari->rules.backoff, 0))
			return false;
	return true;
}

static bool
it_polls_at_most_max_attempts_times(const Sequence *sequence)
{
	return virtual_clari_count(&sequence->clari, REQUEST_STATUS) <= sequence->clari.rules.max_attempts;
}

/*
 * Whether a list shows that Clari has no job of a submission that ended then:
 * asked for after the grace, read, and without a job of ours.
 */
static bool
list_clears(const SentRequest *list, Instant ended, Duration grace)
{
	return list->readable_list && !list->lists_our_job && list->sent_at >= ended + grace;
}

static bool
cleared_before(const VirtualClari *clari, int submission, Instant ended)
{
	for (int i = 0; i < submission; i++)
		if (list_clears(&clari->sent[i], ended, clari->rules.submission_grace))
			return true;
	return false;
}

/* The last list before a submission, if it could be read, has no job of ours. */
static bool
no_job_was_in_sight(const VirtualClari *clari, int submission)
{
	for (int i = submission - 1; i >= 0; i--)
		if (clari->sent[i].readable_list)
			return !clari->sent[i].lists_our_job;
	return true;
}

/*
 * After a submission that Clari took, or may have taken, there is another one
 * only if a list showed after the grace that Clari has no job of ours.
 */
static bool
it_never_submits_twice(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;
	bool		open = sequence->goal == GOAL_RESUME_UNKNOWN;
	Instant		ended = sequence->resumed_at;

	for (int i = 0; i < clari->n_sent; i++)
	{
		const SentRequest *sent = &clari->sent[i];

		if (sent->kind != REQUEST_SUBMIT)
			continue;
		if (open && !(cleared_before(clari, i, ended) && no_job_was_in_sight(clari, i)))
			return false;
		if (sent->started_job || leaves_fate_open(&sent->answer))
		{
			open = true;
			ended = sent->replied_at;
		}
	}
	return true;
}

/* Where Clari lists a job within the grace, there are never two of ours. */
static bool
it_never_has_two_jobs(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;
	int			ours = 0;

	if (clari->listing_delay > clari->rules.submission_grace)
		return true;
	for (int i = 0; i < clari->n_jobs; i++)
		ours += clari->jobs[i].ours;
	return ours <= 1;
}

static bool
it_never_loses_more_than_two_submissions(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;
	int			lost = sequence->goal == GOAL_RESUME_UNKNOWN;

	for (int i = 0; i < clari->n_sent; i++)
		lost += clari->sent[i].kind == REQUEST_SUBMIT && leaves_fate_open(&clari->sent[i].answer);
	return lost <= 2;
}

/* No submission follows where one told the job. */
static bool
it_submits_nothing_once_it_has_a_job(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;

	for (int i = 0; i < clari->n_sent - 1; i++)
		if (clari->sent[i].kind == REQUEST_STATUS || clari->sent[i].kind == REQUEST_RESULT)
			for (int j = i + 1; j < clari->n_sent; j++)
				if (clari->sent[j].kind == REQUEST_SUBMIT)
					return false;
	return true;
}

/* Whether a reply says nothing about a known job. */
static bool
may_pass(const SentRequest *sent)
{
	bool		is_404 = sent->http_status == 404;
	bool		is_empty = sent->kind == REQUEST_RESULT && sent->http_status == 200 &&
		(sent->answer.reading == RESULT_UNREADABLE ||
		 (sent->answer.body != NULL && sent->answer.body[0] == '\0'));

	if (sent->answer.delivery != DELIVERY_REPLIED)
		return sent->answer.delivery != DELIVERY_TOO_LARGE || sent->kind == REQUEST_STATUS;
	return is_404 || is_empty || sent->http_status == 202 || sent->http_status == 204 ||
		sent->http_status == 401 || sent->http_status == 403 || sent->http_status == 408 ||
		sent->http_status == 425 || sent->http_status == 429 || sent->http_status >= 500;
}

/* The last replies refused the key: three at least, over a minute at least. */
static bool
key_was_refused_for_good(const VirtualClari *clari)
{
	Instant		since = clari->now;
	int			refused = 0;

	for (int i = clari->n_sent - 1; i >= 0; i--)
	{
		const SentRequest *sent = &clari->sent[i];

		if (sent->http_status == 401 || sent->http_status == 403)
		{
			since = sent->replied_at;
			refused++;
		}
		else
			break;
	}
	return refused >= 3 && clari->now - since >= SECONDS(60);
}

/* With a job of its own, what may pass ends it only when the attempts are used up. */
static bool
it_gives_up_no_job_for_what_may_pass(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;
	const SentRequest *last = &clari->sent[clari->n_sent - 1];
	bool		is_ours = sequence->goal == GOAL_EXPORT || sequence->goal == GOAL_RESUME_UNKNOWN ||
		sequence->goal == GOAL_RESUME_JOB;

	if (!is_ours || !export_may_have_job(&clari->export) || !may_pass(last))
		return true;
	return virtual_clari_count(clari, last->kind) >= clari->rules.max_attempts ||
		key_was_refused_for_good(clari);
}

/* Where Clari's clock is known, it adopts none that started before or after its submissions. */
static bool
it_adopts_only_a_job_of_its_own_time(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;
	Instant		began = INSTANT_NEVER;
	Instant		ended = 0;

	if (!clari->export.adopted || clari->export.post_began == 0 || !clari->tells_start_times ||
		sequence->goal == GOAL_RESUME_UNKNOWN)
		return true;
	for (int i = 0; i < clari->n_sent; i++)
		if (clari->sent[i].kind == REQUEST_SUBMIT)
		{
			began = instant_earlier(began, clari->sent[i].sent_at);
			ended = clari->sent[i].replied_at;
		}
	for (int i = 0; i < clari->n_jobs; i++)
		if (strcmp(clari->jobs[i].job_id, clari->export.job_id) == 0)
			return clari->jobs[i].started_at >= began - SECONDS(3) - sequence->slowest_reply &&
				clari->jobs[i].started_at <= ended + SECONDS(3) + sequence->slowest_reply;
	return false;
}

/*
 * A job of ours that Clari lists in time is known in the end, or the outcome
 * says that it is not.
 */
static bool
it_never_loses_a_job(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;
	const Export *export = &clari->export;

	if (export_may_have_job(export) || export->outcome == OUTCOME_SUBMISSION_UNKNOWN ||
		clari->listing_delay > clari->rules.submission_grace)
		return true;
	for (int i = 0; i < clari->n_jobs; i++)
		if (clari->jobs[i].ours)
			return false;
	return true;
}

/* It adopts no job but one that appeared after its submission. */
static bool
it_never_adopts_a_job_of_before(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;

	return !clari->export.adopted || clari->jobs[0].ours ||
		strcmp(clari->export.job_id, clari->jobs[0].job_id) != 0;
}

static bool
it_never_adopts_a_contested_job(const Sequence *sequence)
{
	return !(sequence->clari.contested && sequence->clari.export.adopted);
}

/* Giving way to others, it takes a hold of its submission for its end: it submits anew only after a 429 or a loss. */
static bool
giving_way_it_ends_at_the_first_hold(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;
	int			reasons_to_submit = 1 + clari->export.lost_submissions;

	for (int i = 0; i < clari->n_sent; i++)
		reasons_to_submit += clari->sent[i].kind == REQUEST_SUBMIT && clari->sent[i].http_status == 429;
	return !clari->rules.give_way || virtual_clari_count(clari, REQUEST_SUBMIT) <= reasons_to_submit;
}

static bool
the_lane_gets_back_what_it_gave(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;
	int			exports = 0;
	int			open_submissions = 0;

	for (int i = 0; i < clari->n_others; i++)
	{
		exports += !clari->others[i].left;
		open_submissions += !clari->others[i].settled;
	}
	return clari->lane.exports == exports && clari->lane.open_submissions == open_submissions;
}

static bool
done_is_true(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;
	const Export *export = &clari->export;
	const SentRequest *last = &clari->sent[clari->n_sent - 1];

	if (last->answer.delivery != DELIVERY_REPLIED ||
		(last->http_status >= 300 && sequence->goal != GOAL_CANCEL))
		return false;
	switch (sequence->goal)
	{
		case GOAL_EXPORT:
		case GOAL_RESUME_UNKNOWN:
		case GOAL_RESUME_JOB:
			return last->kind == REQUEST_RESULT && export->job.phase == JOB_DONE && export_may_have_job(export);
		case GOAL_SUBMIT:
			return export_may_have_job(export) && (last->kind == REQUEST_SUBMIT || export->adopted);
		case GOAL_POLL:
			return last->kind == REQUEST_STATUS && export->job.phase != JOB_IN_PROGRESS;
		case GOAL_STATUS:
			return last->kind == REQUEST_STATUS && last->http_status < 300;
		default:
			return true;
	}
}

/* What the outcome says is what the last reply said. */
static bool
the_outcome_is_true(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;
	const Export *export = &clari->export;
	const SentRequest *last = &clari->sent[clari->n_sent - 1];
	bool		replied = last->answer.delivery == DELIVERY_REPLIED;

	switch (export->outcome)
	{
		case OUTCOME_DONE:
			return done_is_true(sequence);
		case OUTCOME_NOT_AUTHORIZED:
			return last->http_status == 401 || last->http_status == 403;
		case OUTCOME_BAD_REQUEST:
			return replied && last->http_status >= 300 && last->http_status < 500 &&
				last->http_status != 429;
		case OUTCOME_RATE_LIMITED:
			return last->http_status == 429;
		case OUTCOME_QUEUE_FULL:
			return last->kind == REQUEST_LIMITS && !export_may_have_job(export);
		case OUTCOME_QUOTA_EXHAUSTED:
			return last->kind == REQUEST_LIMITS && !export_may_have_job(export) &&
				export->limits.available_monthly_quota <= clari->rules.quota_reserve;
		case OUTCOME_JOB_FAILED:
			return last->kind == REQUEST_STATUS && export->job.phase == JOB_ENDED_WITHOUT_RESULT;
		case OUTCOME_POLL_TIMEOUT:
			return export->polls == clari->rules.max_attempts && export->job.phase == JOB_IN_PROGRESS;
		case OUTCOME_BAD_RESPONSE:
			return export->lost_submissions > 0 || last->http_status < 300 || !replied;
		case OUTCOME_UNAVAILABLE:
			return export->lost_submissions > 0 || last->http_status >= 500 || !replied ||
				last->http_status == 408 || last->http_status == 425 ||
				(last->http_status == 202 && !export_may_have_job(export));
		case OUTCOME_SUBMISSION_UNKNOWN:
			return export->lost_submissions > 0 && !export_may_have_job(export) &&
				last->kind == REQUEST_JOBS && export_submission_is_open(export);
		default:
			return false;
	}
}

/* A hold that ends it is told to the lane together with the end. */
static bool
the_last_hold_fits_the_outcome(const Sequence *sequence)
{
	const VirtualClari *clari = &sequence->clari;

	switch (clari->action.hold)
	{
		case HOLD_NONE:
			return clari->export.outcome != OUTCOME_RATE_LIMITED;
		case HOLD_RATE_LIMITED:
			return clari->sent[clari->n_sent - 1].http_status == 429;
		case HOLD_QUEUE_FULL:
			return clari->export.outcome == OUTCOME_QUEUE_FULL;
		case HOLD_QUOTA:
			return clari->export.outcome == OUTCOME_QUOTA_EXHAUSTED;
		case HOLD_UNAVAILABLE:
			return clari->export.outcome == OUTCOME_UNAVAILABLE;
		default:
			return false;
	}
}

/* ----------
 * All sequences
 * ----------
 */

typedef struct Property
{
	const char *name;
	bool		(*holds) (const Sequence *sequence);
	int			broken;			/* by so many sequences */
	uint64_t	first_seed;		/* of a sequence that broke it */
} Property;

#define PROPERTY(name) {#name, name, 0, 0}

static Property properties[] = {
	PROPERTY(it_always_ends),
	PROPERTY(it_never_sends_before_it_may),
	PROPERTY(it_never_sends_inside_a_hold),
	PROPERTY(it_waits_as_long_as_clari_says),
	PROPERTY(it_waits_a_day_at_most),
	PROPERTY(it_polls_by_the_timetable),
	PROPERTY(it_polls_a_new_job_after_one_delay),
	PROPERTY(it_polls_at_most_max_attempts_times),
	PROPERTY(it_never_submits_twice),
	PROPERTY(it_never_has_two_jobs),
	PROPERTY(it_never_loses_more_than_two_submissions),
	PROPERTY(it_submits_nothing_once_it_has_a_job),
	PROPERTY(it_never_loses_a_job),
	PROPERTY(it_gives_up_no_job_for_what_may_pass),
	PROPERTY(it_adopts_only_a_job_of_its_own_time),
	PROPERTY(it_never_adopts_a_job_of_before),
	PROPERTY(it_never_adopts_a_contested_job),
	PROPERTY(giving_way_it_ends_at_the_first_hold),
	PROPERTY(the_lane_gets_back_what_it_gave),
	PROPERTY(the_outcome_is_true),
	PROPERTY(the_last_hold_fits_the_outcome),
};

#define N_PROPERTIES (sizeof(properties) / sizeof(properties[0]))

static int	outcomes[OUTCOME_SUBMISSION_UNKNOWN + 1];
static int	adoptions;
static int	resubmissions;

static void
run_sequence(uint64_t seed)
{
	static Sequence sequence;
	VirtualClari *clari = &sequence.clari;

	memset(&sequence, 0, sizeof(sequence));
	sequence.chance = seed;
	virtual_clari_init(clari);
	draw_rules(&sequence);
	draw_goal(&sequence);
	sequence.resumed_at = clari->now;
	clari->choose_answer = choose_answer;
	clari->meanwhile = meanwhile;
	clari->max_sent = bound_on_requests(&clari->rules) + 1;

	outcomes[virtual_clari_run(clari)]++;
	adoptions += clari->export.adopted;
	resubmissions += clari->export.lost_submissions > 0 && virtual_clari_count(clari, REQUEST_SUBMIT) > 1;

	for (size_t i = 0; i < N_PROPERTIES; i++)
		if (!properties[i].holds(&sequence) && properties[i].broken++ == 0)
			properties[i].first_seed = seed;
	virtual_clari_free(clari);
}

static uint64_t
setting(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

static int
run_all(void **state)
{
	uint64_t	seed = setting("CLARI_UNIT_SEED", DEFAULT_SEED);
	uint64_t	sequences = setting("CLARI_UNIT_SEQUENCES", DEFAULT_SEQUENCES);

	(void) state;
	print_message("# %llu sequences, CLARI_UNIT_SEED=%llu\n",
				  (unsigned long long) sequences, (unsigned long long) seed);
	for (uint64_t i = 0; i < sequences; i++)
		run_sequence(seed + i);
	return 0;
}

/* ----------
 * One test for each property
 * ----------
 */

static void
check_property(void **state)
{
	const Property *property = *state;

	if (property->broken > 0)
		fail_msg("broken by %d sequences, the first with CLARI_UNIT_SEED=%llu",
				 property->broken, (unsigned long long) property->first_seed);
}

/* The chances are set so that everything happens: else the rest shows little. */
static void
the_sequences_reach_every_outcome(void **state)
{
	(void) state;
	if (setting("CLARI_UNIT_SEQUENCES", DEFAULT_SEQUENCES) < 1000)
		return;
	for (ExportOutcome outcome = OUTCOME_DONE; outcome <= OUTCOME_SUBMISSION_UNKNOWN; outcome++)
		assert_true(outcomes[outcome] > 0 || outcome == OUTCOME_WRONG_PERIOD);
	assert_true(adoptions > 0);
	assert_true(resubmissions > 0);
}

int
main(void)
{
	struct CMUnitTest tests[N_PROPERTIES + 1] = {cmocka_unit_test(the_sequences_reach_every_outcome)};

	for (size_t i = 0; i < N_PROPERTIES; i++)
		tests[i + 1] = (struct CMUnitTest) {properties[i].name, check_property, NULL, NULL, &properties[i]};

	return cmocka_run_group_tests_name("properties", tests, run_all, NULL);
}
