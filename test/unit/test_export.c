/*
 * test_export.c
 *		The state machine of one export, scenario by scenario.
 */
#include "unit.h"

#include "scenario.h"

/* ----------
 * The timetable
 * ----------
 */

/* Seconds after the submission, by design.md: 5, then 5 * 1.5^n more, at most 60 more. */
static void
polls_by_the_reference_timetable(void **state)
{
	static const Duration polls[] = {
		5000000, 10000000, 17500000, 28750000, 45625000, 70937500, 108906250, 165859375, 225859375,
	};
	VirtualClari *clari = *state;
	int			n = sizeof(polls) / sizeof(polls[0]);
	Instant		submitted;

	clari->job_duration = SECONDS(200);
	run_export(clari, OUTCOME_DONE);
	submitted = virtual_clari_sent_at(clari, REQUEST_SUBMIT, 0);
	assert_int_equal(virtual_clari_count(clari, REQUEST_STATUS), n);
	for (int i = 0; i < n; i++)
		assert_int_equal(virtual_clari_sent_at(clari, REQUEST_STATUS, i) - submitted, polls[i]);
	assert_int_equal(virtual_clari_sent_at(clari, REQUEST_RESULT, 0) - submitted, polls[n - 1]);
}

/* The wait counts from the reply, however long that took. */
static void
counts_the_wait_from_the_reply(void **state)
{
	VirtualClari *clari = *state;
	Answer		slow = answer_healthy();

	slow.latency = SECONDS(3);
	virtual_clari_always(clari, REQUEST_SUBMIT, slow);
	virtual_clari_always(clari, REQUEST_STATUS, slow);
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(virtual_clari_sent_at(clari, REQUEST_STATUS, 0) -
					 virtual_clari_sent_at(clari, REQUEST_SUBMIT, 0), SECONDS(3 + 5));
	assert_int_equal(gap(clari, REQUEST_STATUS, 1), SECONDS(3 + 5));
	assert_int_equal(gap(clari, REQUEST_STATUS, 2), MILLISECONDS(3000 + 7500));
}

static void
times_out_after_sixty_polls(void **state)
{
	VirtualClari *clari = *state;

	clari->job_duration = SECONDS(1000000);
	run_export(clari, OUTCOME_POLL_TIMEOUT);
	assert_int_equal(virtual_clari_count(clari, REQUEST_STATUS), 60);
	assert_int_equal(clari->export.polls, 60);
	for (int n = 1; n < 60; n++)
		assert_int_equal(gap(clari, REQUEST_STATUS, n), backoff_delay(&clari->rules.backoff, n - 1));
	assert_true(export_may_have_job(&clari->export));
}

static void
poll_asks_at_once(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	clari->jobs[0].ends_at = VIRTUAL_START + SECONDS(15);
	run(clari, GOAL_POLL, job_id, OUTCOME_DONE);
	check_sequence(clari, "pppp");
	assert_int_equal(virtual_clari_sent_at(clari, REQUEST_STATUS, 0), VIRTUAL_START);
	assert_int_equal(gap(clari, REQUEST_STATUS, 1), SECONDS(5));
	assert_int_equal(gap(clari, REQUEST_STATUS, 2), MILLISECONDS(7500));
	assert_int_equal(gap(clari, REQUEST_STATUS, 3), MILLISECONDS(11250));
}

static void
poll_times_out_after_sixty_polls(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	clari->jobs[0].ends_at = INSTANT_NEVER;
	run(clari, GOAL_POLL, job_id, OUTCOME_POLL_TIMEOUT);
	assert_int_equal(virtual_clari_count(clari, REQUEST_STATUS), 60);
}

static void
asks_no_more_than_max_attempts_says(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.max_attempts = 1;
	run_export(clari, OUTCOME_POLL_TIMEOUT);
	check_sequence(clari, "jSp");
}

/* ----------
 * The ways of a healthy Clari
 * ----------
 */

static void
exports_a_forecast(void **state)
{
	VirtualClari *clari = *state;

	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSppppr");
	assert_string_equal(clari->export.job_id, clari->jobs[0].job_id);
	assert_false(clari->export.adopted);
	assert_int_equal(clari->export.job.phase, JOB_DONE);
}

static void
exports_with_wrapped_job_objects(void **state)
{
	VirtualClari *clari = *state;

	clari->wraps_jobs = true;
	virtual_clari_add_job(clari, "FORECAST", OUR_FILE);
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSjppppr");
	assert_true(clari->export.adopted);
	assert_int_equal(clari->export.others_jobs.n, 0);
}

static void
exports_activity_on_202(void **state)
{
	VirtualClari *clari = *state;

	clari->kind = EXPORT_ACTIVITY;
	clari->forecast_id = NULL;
	clari->time_period = NULL;
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSppppr");
}

static void
exports_audit_events_on_202(void **state)
{
	VirtualClari *clari = *state;

	clari->kind = EXPORT_AUDIT_EVENTS;
	clari->forecast_id = NULL;
	clari->time_period = NULL;
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSppppr");
}

static void
submits_and_no_more(void **state)
{
	VirtualClari *clari = *state;

	run(clari, GOAL_SUBMIT, NULL, OUTCOME_DONE);
	check_sequence(clari, "jS");
	assert_string_equal(clari->export.job_id, clari->jobs[0].job_id);
}

static void
resumes_a_job(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	run(clari, GOAL_RESUME_JOB, job_id, OUTCOME_DONE);
	check_sequence(clari, "ppppr");
	assert_int_equal(virtual_clari_sent_at(clari, REQUEST_STATUS, 0), VIRTUAL_START);
}

static void
asks_for_one_status(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	run(clari, GOAL_STATUS, job_id, OUTCOME_DONE);
	check_sequence(clari, "p");
	assert_int_equal(clari->export.http_status, 200);
	assert_false(clari->export.has_job);	/* the body is the caller's to read */
}

static void
asks_for_one_status_whatever_comes_back(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_STATUS, answer_failed(DELIVERY_LOST));
	run(clari, GOAL_STATUS, "1", OUTCOME_UNAVAILABLE);
	check_sequence(clari, "p");
}

static void
fetches_a_result(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	clari->jobs[0].ends_at = VIRTUAL_START;
	run(clari, GOAL_RESULT, job_id, OUTCOME_DONE);
	check_sequence(clari, "r");
}

static void
lists_jobs(void **state)
{
	VirtualClari *clari = *state;

	run(clari, GOAL_JOBS, NULL, OUTCOME_DONE);
	check_sequence(clari, "j");
}

static void
starts_from_nothing(void **state)
{
	char		job_id[JOB_ID_SIZE];
	VirtualClari *clari = *state;
	Export		export;

	memset(&export, 0xFF, sizeof(export));
	memset(job_id, '1', sizeof(job_id));
	job_id[sizeof(job_id) - 1] = '\0';
	export_init(&export, GOAL_POLL, &clari->rules, EXPORT_FORECAST, NULL, NULL, job_id);
	assert_string_equal(export.job_id, job_id);
	assert_int_equal(export.polls, 0);
	assert_int_equal(export.others_jobs.n, 0);
	assert_int_equal(export.outcome, OUTCOME_NONE);
	export_free(&export);
}

static void
takes_a_job_id_of_one_character(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_http(200, "{\"jobId\":\"1\"}"));
	run(clari, GOAL_SUBMIT, NULL, OUTCOME_DONE);
	assert_true(export_may_have_job(&clari->export));
}

static void
asks_for_limits(void **state)
{
	VirtualClari *clari = *state;

	run(clari, GOAL_LIMITS, NULL, OUTCOME_DONE);
	check_sequence(clari, "l");
	assert_int_equal(clari->export.limits.available_monthly_quota, 100);
}

static void
takes_unreadable_limits_for_a_bad_response(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_LIMITS, answer_http(200, "[]"));
	run(clari, GOAL_LIMITS, NULL, OUTCOME_BAD_RESPONSE);
}

/* ----------
 * Cancelling
 * ----------
 */

static void
cancels_a_job(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	run(clari, GOAL_CANCEL, job_id, OUTCOME_DONE);
	check_sequence(clari, "c");
	assert_string_equal(clari->export.job.status, "CANCELLED");
}

static void
tells_the_status_of_a_job_that_ended_before_the_cancel(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	clari->jobs[0].ends_at = VIRTUAL_START;
	run(clari, GOAL_CANCEL, job_id, OUTCOME_DONE);
	check_sequence(clari, "cp");
	assert_string_equal(clari->export.job.status, "DONE");
}

static void
asks_for_the_status_after_an_unclear_cancel(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	virtual_clari_next(clari, REQUEST_CANCEL, answer_http(200, "{\"status\":\"STARTED\",\"successful\":false}"));
	run(clari, GOAL_CANCEL, job_id, OUTCOME_DONE);
	check_sequence(clari, "cp");
	assert_string_equal(clari->export.job.status, "SCHEDULED");
}

static void
cancels_again_after_a_lost_reply(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	virtual_clari_next(clari, REQUEST_CANCEL, answer_failed(DELIVERY_LOST));
	run(clari, GOAL_CANCEL, job_id, OUTCOME_DONE);
	check_sequence(clari, "cc");
	assert_int_equal(gap(clari, REQUEST_CANCEL, 1), SECONDS(5));
}

static void
cannot_cancel_an_unknown_job(void **state)
{
	VirtualClari *clari = *state;

	run(clari, GOAL_CANCEL, "1", OUTCOME_BAD_REQUEST);
	check_sequence(clari, "c");
	assert_string_equal(clari->export.error.code, "invalid_jobId");
}

/* ----------
 * Statuses
 * ----------
 */

static void
check_final_status(VirtualClari *clari, const char *status, ExportOutcome expected, const char *sequence)
{
	clari->final_status = status;
	run_export(clari, expected);
	check_sequence(clari, sequence);
	assert_string_equal(clari->export.job.status, status);
}

static void
fetches_after_done(void **state)
{
	check_final_status(*state, "DONE", OUTCOME_DONE, "jSppppr");
}

static void
fetches_after_completed(void **state)
{
	check_final_status(*state, "COMPLETED", OUTCOME_DONE, "jSppppr");
}

static void
ends_after_failed(void **state)
{
	check_final_status(*state, "FAILED", OUTCOME_JOB_FAILED, "jSpppp");
}

static void
ends_after_cancelled(void **state)
{
	check_final_status(*state, "CANCELLED", OUTCOME_JOB_FAILED, "jSpppp");
}

static void
ends_after_aborted(void **state)
{
	check_final_status(*state, "ABORTED", OUTCOME_JOB_FAILED, "jSpppp");
}

static void
polls_on_after_an_unknown_status(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_STATUS, answer_http(200, "{\"jobId\":\"1\",\"status\":\"REHEARSING\"}"));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSppppr");
}

/* For poll the end is a value, whatever it is. */
static void
poll_tells_any_end(void **state)
{
	static const char *const ends[] = {"DONE", "COMPLETED", "FAILED", "CANCELLED", "ABORTED"};
	VirtualClari *clari = *state;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
	{
		const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

		clari->jobs[i].ends_at = clari->now;
		clari->final_status = ends[i];
		run(clari, GOAL_POLL, job_id, OUTCOME_DONE);
		assert_string_equal(clari->export.job.status, ends[i]);
	}
	check_sequence(clari, "ppppp");
}

/* ----------
 * Polls that bring nothing
 * ----------
 */

/* An attempt is one status request, whatever comes of it: n counts it. */
static void
check_fruitless_poll(VirtualClari *clari, Answer answer)
{
	virtual_clari_next(clari, REQUEST_STATUS, answer);
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSppppr");
	assert_int_equal(gap(clari, REQUEST_STATUS, 1), SECONDS(5));
	assert_int_equal(gap(clari, REQUEST_STATUS, 2), MILLISECONDS(7500));
}

static void
polls_on_after_a_500(void **state)
{
	check_fruitless_poll(*state, answer_http(500, "{\"code\":\"SWW\",\"message\":\"Something went wrong\"}"));
}

static void
polls_on_after_a_503(void **state)
{
	check_fruitless_poll(*state, answer_http(503, "<html>"));
}

static void
polls_on_after_a_lost_reply(void **state)
{
	check_fruitless_poll(*state, answer_failed(DELIVERY_LOST));
}

static void
polls_on_without_a_connection(void **state)
{
	check_fruitless_poll(*state, answer_failed(DELIVERY_NOT_SENT));
}

static void
polls_on_after_a_reply_cut_short(void **state)
{
	check_fruitless_poll(*state, answer_failed(DELIVERY_CUT_SHORT));
}

static void
polls_on_after_an_unreadable_reply(void **state)
{
	check_fruitless_poll(*state, answer_http(200, "{\"jobId\":"));
}

static void
check_fruitless_polls(VirtualClari *clari, Answer answer, ExportOutcome expected)
{
	clari->rules.max_attempts = 7;
	virtual_clari_always(clari, REQUEST_STATUS, answer);
	run_export(clari, expected);
	check_sequence(clari, "jSppppppp");
	assert_true(export_may_have_job(&clari->export));
}

static void
ends_unavailable_after_polls_without_a_reply(void **state)
{
	check_fruitless_polls(*state, answer_failed(DELIVERY_LOST), OUTCOME_UNAVAILABLE);
}

static void
ends_unavailable_after_polls_with_5xx(void **state)
{
	check_fruitless_polls(*state, answer_http(502, ""), OUTCOME_UNAVAILABLE);
}

static void
ends_with_a_bad_response_after_unreadable_polls(void **state)
{
	check_fruitless_polls(*state, answer_http(200, "[]"), OUTCOME_BAD_RESPONSE);
}

static void
ends_with_a_bad_response_after_polls_cut_short(void **state)
{
	check_fruitless_polls(*state, answer_failed(DELIVERY_CUT_SHORT), OUTCOME_BAD_RESPONSE);
}

static void
ends_rate_limited_after_polls_with_429(void **state)
{
	check_fruitless_polls(*state, answer_rate_limited(SECONDS(1)), OUTCOME_RATE_LIMITED);
}

/* A certificate that has run out is renewed, and the job is there still. */
static void
goes_on_polling_where_trust_is_missing(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_STATUS, answer_failed(DELIVERY_NOT_TRUSTED));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
}

static void
stops_polling_an_unknown_job(void **state)
{
	VirtualClari *clari = *state;

	run(clari, GOAL_POLL, "1", OUTCOME_BAD_REQUEST);
	check_sequence(clari, "p");
	assert_string_equal(clari->export.error.code, "invalid_jobId");
}

/* ----------
 * Refusals, one row of the table of errors each
 * ----------
 */

typedef struct Refusal
{
	int			http_status;
	const char *body;
	const char *code;
	ExportOutcome outcome;
} Refusal;

static void
check_refusal(VirtualClari *clari, const Refusal *refusal)
{
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_http(refusal->http_status, refusal->body));
	run_export(clari, refusal->outcome);
	check_sequence(clari, "jS");
	assert_int_equal(clari->export.http_status, refusal->http_status);
	assert_string_equal(clari->export.error.code, refusal->code);
	assert_false(export_may_have_job(&clari->export));
	assert_false(export_submission_is_open(&clari->export));
}

#define REFUSAL_TEST(name, ...) \
	static void \
	name(void **state) \
	{ \
		static const Refusal refusal = {__VA_ARGS__}; \
\
		check_refusal(*state, &refusal); \
	}

REFUSAL_TEST(is_refused_an_unknown_forecast, 400,
			 "{\"code\":\"no_such_forecast_config\",\"message\":\"m\"}", "no_such_forecast_config", OUTCOME_BAD_REQUEST)
REFUSAL_TEST(is_refused_a_missing_forecast_id, 400,
			 "{\"errors\":[{\"status\":400,\"code\":\"missing_forecast_id\"}]}", "missing_forecast_id", OUTCOME_BAD_REQUEST)
REFUSAL_TEST(is_refused_an_unsupported_type, 400, "{\"code\":\"type_not_supported\"}", "type_not_supported", OUTCOME_BAD_REQUEST)
REFUSAL_TEST(is_refused_a_bad_request, 400, "{\"code\":\"bad_request\"}", "bad_request", OUTCOME_BAD_REQUEST)
REFUSAL_TEST(is_refused_with_a_message_alone, 400, "{\"message\":\"Bad Request\"}", "", OUTCOME_BAD_REQUEST)
REFUSAL_TEST(is_refused_without_words, 404, "", "", OUTCOME_BAD_REQUEST)
REFUSAL_TEST(is_redirected, 302, "", "", OUTCOME_BAD_REQUEST)
REFUSAL_TEST(is_offered_choices, 300, "", "", OUTCOME_BAD_REQUEST)
REFUSAL_TEST(is_not_authorized_with_a_bad_key, 401, "{\"message\":\"Unauthorized\"}", "", OUTCOME_NOT_AUTHORIZED)
REFUSAL_TEST(is_not_authorized_without_optin, 401, "{\"code\":\"no_optin\"}", "no_optin", OUTCOME_NOT_AUTHORIZED)
REFUSAL_TEST(is_not_authorized_by_403, 403, "<html>", "", OUTCOME_NOT_AUTHORIZED)

static void
is_redirected_from_a_status(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_STATUS, answer_http(300, ""));
	run(clari, GOAL_POLL, "1", OUTCOME_BAD_REQUEST);
	check_sequence(clari, "p");
}

static void
is_not_authorized_to_see_a_job(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_STATUS, answer_http(403, ""));
	run(clari, GOAL_POLL, "1", OUTCOME_NOT_AUTHORIZED);
	check_sequence(clari, "p");
}

/* A key that may not list jobs may still export. */
static void
exports_without_the_right_to_list_jobs(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_JOBS, answer_http(403, ""));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSppppr");
	assert_false(clari->export.has_baseline);
}

/* ----------
 * Fetching
 * ----------
 */

static void
fetches_again_while_clari_disagrees_with_itself(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_RESULT, answer_http(400, "{\"code\":\"invalid_jobId\"}"));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSpppprr");
	assert_int_equal(gap(clari, REQUEST_RESULT, 1), SECONDS(5));
}

static void
fetches_again_after_a_single_poll(void **state)
{
	VirtualClari *clari = *state;

	clari->job_duration = 0;
	virtual_clari_next(clari, REQUEST_RESULT, answer_http(400, "{\"code\":\"invalid_jobId\"}"));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSprr");
}

static void
forgets_an_error_that_passed(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_RESULT, answer_http(400, "{\"code\":\"invalid_jobId\",\"message\":\"m\"}"));
	run_export(clari, OUTCOME_DONE);
	assert_string_equal(clari->export.error.code, "");
	assert_string_equal(clari->export.error.message, "");
}

static void
keeps_how_the_last_request_ended(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_RESULT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_UNAVAILABLE);
	assert_int_equal(clari->export.delivery, DELIVERY_LOST);
	assert_int_equal(clari->export.http_status, 0);
}

static void
gives_up_a_result_that_never_comes(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.max_attempts = 4;
	virtual_clari_always(clari, REQUEST_RESULT, answer_http(400, "{\"code\":\"invalid_jobId\"}"));
	run_export(clari, OUTCOME_BAD_REQUEST);
	check_sequence(clari, "jSpppprrrr");
}

static void
is_refused_the_result_of_a_running_job(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	run(clari, GOAL_RESULT, job_id, OUTCOME_BAD_REQUEST);
	check_sequence(clari, "r");
}

static void
fetches_again_after_failures(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_RESULT, answer_http(500, "{\"code\":\"SWW\"}"));
	virtual_clari_next(clari, REQUEST_RESULT, answer_failed(DELIVERY_CUT_SHORT));
	virtual_clari_next(clari, REQUEST_RESULT, answer_failed(DELIVERY_LOST));
	virtual_clari_next(clari, REQUEST_RESULT, answer_failed(DELIVERY_NOT_SENT));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSpppprrrrr");
	for (int n = 1; n < 5; n++)
		assert_int_equal(gap(clari, REQUEST_RESULT, n), backoff_delay(&clari->rules.backoff, n - 1));
}

static void
does_not_fetch_a_result_that_is_too_large_again(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_RESULT, answer_failed(DELIVERY_TOO_LARGE));
	run_export(clari, OUTCOME_BAD_RESPONSE);
	check_sequence(clari, "jSppppr");
}

/* Of a status it says nothing about the job. */
static void
polls_again_after_a_status_that_is_too_large(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_STATUS, answer_failed(DELIVERY_TOO_LARGE));
	virtual_clari_next(clari, REQUEST_STATUS, answer_failed(DELIVERY_TOO_LARGE));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSppppr");
}

/* The failures before it were those of another request. */
static void
fetches_as_often_after_a_look_up_that_failed(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.max_attempts = 4;
	virtual_clari_next(clari, REQUEST_JOBS, answer_healthy());
	virtual_clari_next(clari, REQUEST_JOBS, answer_failed(DELIVERY_LOST));
	virtual_clari_next(clari, REQUEST_JOBS, answer_failed(DELIVERY_LOST));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	virtual_clari_always(clari, REQUEST_RESULT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_UNAVAILABLE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_RESULT), 4);
}

static void
gives_up_fetching_after_sixty_failures(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_RESULT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_UNAVAILABLE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_RESULT), 60);
}

/* ----------
 * 429
 * ----------
 */

static void
polls_after_exactly_retry_after(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_STATUS, answer_rate_limited(SECONDS(120)));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSppr");
	assert_int_equal(gap(clari, REQUEST_STATUS, 1), SECONDS(120));
}

/* The second hold is short, and the wait of the timetable does not add to it. */
static void
polls_no_later_than_retry_after_allows(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_STATUS, answer_rate_limited(0));
	virtual_clari_next(clari, REQUEST_STATUS, answer_rate_limited(SECONDS(2)));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(gap(clari, REQUEST_STATUS, 1), 0);
	assert_int_equal(gap(clari, REQUEST_STATUS, 2), SECONDS(2));
	assert_int_equal(gap(clari, REQUEST_STATUS, 3), MILLISECONDS(11250));
}

static void
backs_off_from_the_base_delay_without_retry_after(void **state)
{
	VirtualClari *clari = *state;

	for (int i = 0; i < 4; i++)
		virtual_clari_next(clari, REQUEST_STATUS, answer_rate_limited(RETRY_AFTER_NONE));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(gap(clari, REQUEST_STATUS, 1), SECONDS(5));
	assert_int_equal(gap(clari, REQUEST_STATUS, 2), MILLISECONDS(7500));
	assert_int_equal(gap(clari, REQUEST_STATUS, 3), MILLISECONDS(11250));
	assert_int_equal(gap(clari, REQUEST_STATUS, 4), MILLISECONDS(16875));
}

static void
heeds_a_429_whose_body_is_cut_short(void **state)
{
	VirtualClari *clari = *state;
	Answer		cut = answer_rate_limited(SECONDS(120));

	cut.delivery = DELIVERY_CUT_SHORT;
	virtual_clari_next(clari, REQUEST_STATUS, cut);
	virtual_clari_next(clari, REQUEST_RESULT, cut);
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(gap(clari, REQUEST_STATUS, 1), SECONDS(120));
	assert_int_equal(gap(clari, REQUEST_RESULT, 1), SECONDS(120));
}

/* The status line says that Clari did not take it: there is nothing to look up. */
static void
takes_a_429_cut_short_for_no_submission(void **state)
{
	VirtualClari *clari = *state;
	Answer		cut = answer_rate_limited(SECONDS(120));

	cut.delivery = DELIVERY_CUT_SHORT;
	virtual_clari_next(clari, REQUEST_SUBMIT, cut);
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSSppppr");
	assert_true(gap(clari, REQUEST_SUBMIT, 1) >= SECONDS(120));
}

static void
submits_again_after_exactly_retry_after(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_rate_limited(SECONDS(2)));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSSppppr");
	assert_int_equal(gap(clari, REQUEST_SUBMIT, 1), SECONDS(2));
	assert_true(gap(clari, REQUEST_SUBMIT, 1) >= SECONDS(2));
}

static void
submits_again_after_a_429_for_the_list(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_JOBS, answer_rate_limited(RETRY_AFTER_NONE));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jjSppppr");
	assert_int_equal(gap(clari, REQUEST_JOBS, 1), SECONDS(5));
}

static void
gives_up_submitting_after_sixty_429s(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_SUBMIT, answer_rate_limited(RETRY_AFTER_NONE));
	run_export(clari, OUTCOME_RATE_LIMITED);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 60);
	for (int n = 1; n < 60; n++)
		assert_true(gap(clari, REQUEST_SUBMIT, n) >= SECONDS(5));
	assert_false(export_may_have_job(&clari->export));
}

static void
fetches_again_after_a_429(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_RESULT, answer_rate_limited(SECONDS(2)));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSpppprr");
	assert_int_equal(gap(clari, REQUEST_RESULT, 1), SECONDS(2));
}

static void
gives_up_fetching_after_sixty_429s(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_RESULT, answer_rate_limited(0));
	run_export(clari, OUTCOME_RATE_LIMITED);
	assert_int_equal(virtual_clari_count(clari, REQUEST_RESULT), 60);
}

static void
waits_for_a_429_of_another_request(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_limit_rate(clari, SECONDS(120));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(clari->sent[0].sent_at, VIRTUAL_START + SECONDS(120));
}

/* ----------
 * A full job queue, a used-up quota
 * ----------
 */

static void
free_a_place_in_a_while(VirtualClari *clari)
{
	if (virtual_clari_count(clari, REQUEST_LIMITS) >= 3)
		clari->available_concurrent_limit = 1;
}

/* Clari is asked for its limits, and not with one submission after the other. */
static void
waits_while_the_job_queue_is_full(void **state)
{
	VirtualClari *clari = *state;

	clari->available_concurrent_limit = 0;
	clari->meanwhile = free_a_place_in_a_while;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_http(400, BODY_QUOTA_REACHED));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSlllljSppppr");
	assert_int_equal(gap(clari, REQUEST_LIMITS, 1), SECONDS(5));
	assert_int_equal(gap(clari, REQUEST_LIMITS, 2), MILLISECONDS(7500));
}

static void
gives_up_a_full_job_queue_after_sixty_tries(void **state)
{
	VirtualClari *clari = *state;

	clari->available_concurrent_limit = 0;
	virtual_clari_always(clari, REQUEST_SUBMIT, answer_http(400, BODY_QUOTA_REACHED));
	run_export(clari, OUTCOME_QUEUE_FULL);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
	assert_int_equal(virtual_clari_count(clari, REQUEST_LIMITS), 60);
}

static void
ends_at_once_where_the_quota_is_used_up(void **state)
{
	VirtualClari *clari = *state;

	clari->available_monthly_quota = 0;
	virtual_clari_always(clari, REQUEST_SUBMIT, answer_http(400, BODY_QUOTA_REACHED));
	run_export(clari, OUTCOME_QUOTA_EXHAUSTED);
	check_sequence(clari, "jSl");
	assert_int_equal(clari->export.limits.monthly_quota, 100);
}

/* Without a free place and without quota it is the quota that counts. */
static void
ends_at_once_where_both_are_used_up(void **state)
{
	VirtualClari *clari = *state;

	clari->available_concurrent_limit = 0;
	clari->available_monthly_quota = 0;
	virtual_clari_always(clari, REQUEST_SUBMIT, answer_http(400, BODY_QUOTA_REACHED));
	run_export(clari, OUTCOME_QUOTA_EXHAUSTED);
	check_sequence(clari, "jSl");
}

/* It may be the queue, and then waiting helps. */
static void
takes_the_queue_for_full_where_the_limits_are_unreadable(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_http(400, BODY_QUOTA_REACHED));
	virtual_clari_next(clari, REQUEST_LIMITS, answer_http(403, ""));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_http(400, BODY_QUOTA_REACHED));
	virtual_clari_next(clari, REQUEST_LIMITS, answer_http(200, "{\"jobs\":{}}"));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_http(400, BODY_QUOTA_REACHED));
	virtual_clari_next(clari, REQUEST_LIMITS, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSlljSlljSlljSppppr");
}

static void
asks_for_the_limits_again_after_a_429(void **state)
{
	VirtualClari *clari = *state;

	clari->available_monthly_quota = 0;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_http(400, BODY_QUOTA_REACHED));
	virtual_clari_next(clari, REQUEST_LIMITS, answer_rate_limited(SECONDS(2)));
	run_export(clari, OUTCOME_QUOTA_EXHAUSTED);
	check_sequence(clari, "jSll");
	assert_int_equal(gap(clari, REQUEST_LIMITS, 1), SECONDS(2));
}

static void
leaves_the_reserve_of_the_quota(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.quota_reserve = 5;
	clari->rules.give_way = true;
	clari->available_monthly_quota = 5;
	run_export(clari, OUTCOME_QUOTA_EXHAUSTED);
	check_sequence(clari, "l");
	assert_int_equal(clari->action.hold, HOLD_QUOTA);
}

static void
leaves_a_reserve_of_one(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.quota_reserve = 1;
	clari->rules.give_way = true;
	clari->available_monthly_quota = 0;
	run_export(clari, OUTCOME_QUOTA_EXHAUSTED);
	check_sequence(clari, "l");
}

static void
submits_above_the_reserve_of_the_quota(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.quota_reserve = 5;
	clari->available_monthly_quota = 6;
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "ljSppppr");
}

/* ----------
 * Submissions that never left
 * ----------
 */

static void
submits_again_without_look_up_what_was_not_sent(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_NOT_SENT));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSjSppppr");
	assert_int_equal(gap(clari, REQUEST_SUBMIT, 1), SECONDS(5));
	assert_int_equal(clari->export.lost_submissions, 0);
}

static void
gives_up_an_unreachable_clari_after_five_tries(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_NOT_SENT));
	run_export(clari, OUTCOME_UNAVAILABLE);
	check_sequence(clari, "jSjSjSjSjS");
}

static void
gives_up_an_unreachable_list_after_five_tries(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_JOBS, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_UNAVAILABLE);
	check_sequence(clari, "jjjjj");
}

static void
submits_without_limits_that_are_too_large(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.quota_reserve = 1;
	virtual_clari_next(clari, REQUEST_LIMITS, answer_failed(DELIVERY_TOO_LARGE));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "ljSppppr");
}

/* The list is needed only if the reply is lost. */
static void
submits_without_a_list_that_is_too_large(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_JOBS, answer_failed(DELIVERY_TOO_LARGE));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSppppr");
	assert_false(clari->export.has_baseline);
}

static void
does_not_submit_where_trust_is_missing(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_JOBS, answer_failed(DELIVERY_NOT_TRUSTED));
	run_export(clari, OUTCOME_UNAVAILABLE);
	check_sequence(clari, "j");
}

static void
does_not_submit_again_where_trust_is_missing(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_NOT_TRUSTED));
	run_export(clari, OUTCOME_UNAVAILABLE);
	check_sequence(clari, "jS");
	assert_false(export_submission_is_open(&clari->export));
}

/* ----------
 * Submissions of unknown fate
 * ----------
 */

static void
check_adopted(VirtualClari *clari, Answer answer)
{
	virtual_clari_add_job(clari, "FORECAST", OUR_FILE);
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSjppppr");
	assert_true(clari->export.adopted);
	assert_string_equal(clari->export.job_id, clari->jobs[1].job_id);
	assert_int_equal(virtual_clari_sent_at(clari, REQUEST_JOBS, 1), virtual_clari_sent_at(clari, REQUEST_SUBMIT, 0));
}

static void
adopts_the_job_of_a_lost_submission(void **state)
{
	check_adopted(*state, answer_failed(DELIVERY_LOST));
}

static void
adopts_the_job_of_a_reply_cut_short(void **state)
{
	check_adopted(*state, answer_failed(DELIVERY_CUT_SHORT));
}

static void
adopts_the_job_of_a_reply_too_large(void **state)
{
	check_adopted(*state, answer_failed(DELIVERY_TOO_LARGE));
}

static void
adopts_the_job_of_a_500(void **state)
{
	check_adopted(*state, answer_http(500, "{\"code\":\"internal_server_error\"}"));
}

static void
adopts_the_job_of_a_504(void **state)
{
	check_adopted(*state, answer_http(504, "<html>Gateway Timeout</html>"));
}

static void
adopts_the_job_of_an_unreadable_reply(void **state)
{
	check_adopted(*state, answer_http(200, "{\"jobId\":\"607"));
}

static void
adopts_the_job_of_a_reply_without_a_job_id(void **state)
{
	check_adopted(*state, answer_http(202, "{}"));
}

static void
adopts_an_activity_job(void **state)
{
	VirtualClari *clari = *state;

	clari->kind = EXPORT_ACTIVITY;
	clari->forecast_id = NULL;
	clari->time_period = NULL;
	check_adopted(clari, answer_failed(DELIVERY_LOST));
}

static void
adopts_from_a_list_of_wrapped_jobs(void **state)
{
	VirtualClari *clari = *state;

	clari->wraps_jobs = true;
	check_adopted(clari, answer_failed(DELIVERY_LOST));
}

static void
submit_ends_with_the_adopted_job(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run(clari, GOAL_SUBMIT, NULL, OUTCOME_DONE);
	check_sequence(clari, "jSj");
	assert_string_equal(clari->export.job_id, clari->jobs[0].job_id);
}

/* The list is asked by the backoff until the job is in it. */
static void
looks_up_until_the_job_is_listed(void **state)
{
	VirtualClari *clari = *state;

	clari->listing_delay = SECONDS(20);
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSjjjjpr");
	assert_int_equal(gap(clari, REQUEST_JOBS, 2), SECONDS(5));
	assert_int_equal(gap(clari, REQUEST_JOBS, 3), MILLISECONDS(7500));
	assert_int_equal(gap(clari, REQUEST_JOBS, 4), MILLISECONDS(11250));
}

static void
looks_up_through_failures(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_JOBS, answer_healthy());
	virtual_clari_next(clari, REQUEST_JOBS, answer_failed(DELIVERY_LOST));
	virtual_clari_next(clari, REQUEST_JOBS, answer_failed(DELIVERY_NOT_TRUSTED));
	virtual_clari_next(clari, REQUEST_JOBS, answer_http(500, ""));
	virtual_clari_next(clari, REQUEST_JOBS, answer_http(200, "[{}"));
	virtual_clari_next(clari, REQUEST_JOBS, answer_rate_limited(SECONDS(120)));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSjjjjjjpr");
	assert_int_equal(gap(clari, REQUEST_JOBS, 6), SECONDS(120));
}

/* The same words, another job: of before, of another period, of somebody else. */
static void
does_not_adopt_a_job_of_the_baseline(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_add_job(clari, "FORECAST", OUR_FILE);
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_DONE);
	assert_false(clari->export.adopted);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 2);
}

/* What was there before is not ours, even if Clari does not say what it is. */
static void
passes_over_a_nameless_job_of_the_baseline(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_add_job(clari, "", "");
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 2);
}

/* Each readable list starts the count of failures anew, here of two at most. */
static void
counts_failed_look_ups_in_a_row(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.max_attempts = 2;
	clari->listing_delay = SECONDS(30);
	for (int i = 0; i < 4; i++)
	{
		virtual_clari_next(clari, REQUEST_JOBS, answer_healthy());
		virtual_clari_next(clari, REQUEST_JOBS, answer_failed(DELIVERY_LOST));
	}
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run(clari, GOAL_SUBMIT, NULL, OUTCOME_DONE);
	assert_true(clari->export.adopted);
}

static void
start_jobs_of_others(VirtualClari *clari)
{
	if (clari->n_sent == 2 && clari->n_jobs == 0)
	{
		virtual_clari_add_job(clari, "FORECAST", OTHER_FILE);
		virtual_clari_add_job(clari, "ACTIVITY", OUR_FILE);
	}
}

static void
does_not_adopt_a_job_that_does_not_fit(void **state)
{
	VirtualClari *clari = *state;

	clari->meanwhile = start_jobs_of_others;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_DONE);
	assert_false(clari->export.adopted);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 2);
}

static void
start_an_equal_job(VirtualClari *clari)
{
	if (clari->n_sent == 2 && clari->others_job == NULL)
		clari->others_job = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);
}

static void
does_not_adopt_a_job_of_another_request(void **state)
{
	VirtualClari *clari = *state;

	clari->meanwhile = start_an_equal_job;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSjppppr");
	assert_string_not_equal(clari->export.job_id, clari->others_job);
}

static void
check_unknown(VirtualClari *clari, const char *sequence)
{
	run_export(clari, OUTCOME_SUBMISSION_UNKNOWN);
	check_sequence(clari, sequence);
	assert_false(export_may_have_job(&clari->export));
	assert_true(export_submission_is_open(&clari->export));
}

static void
is_undecided_where_the_job_is_contested(void **state)
{
	VirtualClari *clari = *state;

	clari->contested = true;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	check_unknown(clari, "jSj");
}

static void
is_undecided_between_two_jobs(void **state)
{
	VirtualClari *clari = *state;

	clari->meanwhile = start_an_equal_job;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	virtual_clari_prepare(clari, GOAL_EXPORT, NULL);
	clari->others_job = NULL;
	clari->meanwhile = NULL;
	virtual_clari_next(clari, REQUEST_JOBS, answer_healthy());
	virtual_clari_next(clari, REQUEST_JOBS, answer_http(200,
														"[{\"jobId\":\"1\",\"module\":\"FORECAST\",\"status\":\"STARTED\",\"fileName\":\"" OUR_FILE "\"},"
														"{\"jobId\":\"2\",\"module\":\"FORECAST\",\"status\":\"STARTED\",\"fileName\":\"" OUR_FILE "\"}]"));
	assert_int_equal(virtual_clari_run(clari), OUTCOME_SUBMISSION_UNKNOWN);
	check_sequence(clari, "jSj");
}

static void
is_undecided_without_a_baseline(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_JOBS, answer_http(200, "<html>"));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	check_unknown(clari, "jSj");
}

/* What it does not tell contradicts nothing. */
static void
adopts_a_job_of_which_clari_does_not_say_of_what(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_JOBS, answer_healthy());
	virtual_clari_next(clari, REQUEST_JOBS, answer_http(200, "[{\"jobId\":\"1\",\"status\":\"STARTED\"}]"));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	virtual_clari_prepare(clari, GOAL_EXPORT, NULL);
	virtual_clari_run(clari);
	assert_true(clari->export.adopted);
	assert_string_equal(clari->export.job_id, "1");
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
}

/* The key may have been changed meanwhile, so it is read anew, for a minute at least. */
static void
is_undecided_without_the_right_to_list_jobs(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_JOBS, answer_healthy());
	virtual_clari_always(clari, REQUEST_JOBS, answer_http(403, ""));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	check_unknown(clari, "jSjjjjjj");
	assert_true(clari->now >= VIRTUAL_START + SECONDS(60));
}

static void
is_undecided_where_the_list_never_comes(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_JOBS, answer_healthy());
	virtual_clari_always(clari, REQUEST_JOBS, answer_failed(DELIVERY_NOT_SENT));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_SUBMISSION_UNKNOWN);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
	assert_int_equal(virtual_clari_count(clari, REQUEST_JOBS), 61);
}

static void
is_undecided_after_endless_429s_for_the_list(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_JOBS, answer_healthy());
	virtual_clari_always(clari, REQUEST_JOBS, answer_rate_limited(0));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_SUBMISSION_UNKNOWN);
	assert_int_equal(virtual_clari_count(clari, REQUEST_JOBS), 61);
}

/* Not a moment before the grace is over, and then at once. */
static void
submits_again_after_the_grace(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 2);
	assert_int_equal(gap(clari, REQUEST_SUBMIT, 1), SECONDS(60));
	assert_false(clari->export.adopted);
	assert_int_equal(clari->n_jobs, 1);
}

/* What went out late may be listed late: the grace counts from the reply's loss. */
static void
counts_the_grace_from_the_loss(void **state)
{
	VirtualClari *clari = *state;
	Answer		lost = answer_failed(DELIVERY_LOST);

	lost.latency = SECONDS(120);
	virtual_clari_next(clari, REQUEST_SUBMIT, lost);
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(gap(clari, REQUEST_SUBMIT, 1), SECONDS(120 + 60));
}

/* A list that took its time shows what was before, when the grace was not over. */
static void
trusts_no_list_asked_for_during_the_grace(void **state)
{
	VirtualClari *clari = *state;
	Answer		slow = answer_healthy();

	slow.latency = SECONDS(100);
	clari->listing_delay = SECONDS(30);
	virtual_clari_next(clari, REQUEST_JOBS, answer_healthy());
	virtual_clari_next(clari, REQUEST_JOBS, slow);
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSjjpr");
	assert_int_equal(gap(clari, REQUEST_JOBS, 2), SECONDS(100));
	assert_true(clari->export.adopted);
}

static void
limit_the_rate_before_the_submission(VirtualClari *clari)
{
	if (clari->n_sent == 1 && clari->now == VIRTUAL_START)
		virtual_clari_limit_rate(clari, SECONDS(300));
}

static void
counts_no_hold_before_the_submission_as_grace(void **state)
{
	VirtualClari *clari = *state;

	clari->meanwhile = limit_the_rate_before_the_submission;
	clari->listing_delay = SECONDS(30);
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(virtual_clari_sent_at(clari, REQUEST_SUBMIT, 0), VIRTUAL_START + SECONDS(300));
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
	assert_true(clari->export.adopted);
}

static void
adopts_the_job_of_the_second_submission(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 2);
	assert_true(clari->export.adopted);
}

/*
 * Clari lists the first job only after the grace, while its queue looks full:
 * the list before the next try is the last chance to see it.
 */
static void
list_the_first_job_late(VirtualClari *clari)
{
	if (virtual_clari_count(clari, REQUEST_SUBMIT) == 2 && clari->jobs[0].listed_from > clari->now)
		clari->jobs[0].listed_from = clari->now;
	free_a_place_in_a_while(clari);
}

static void
name_no_job_late(VirtualClari *clari)
{
	if (virtual_clari_count(clari, REQUEST_SUBMIT) == 2 && clari->n_jobs == 0)
	{
		virtual_clari_add_job(clari, "", "");
		clari->jobs[0].started_at = VIRTUAL_START;
	}
}

static void
adopts_a_nameless_job_before_the_next_try(void **state)
{
	VirtualClari *clari = *state;

	clari->meanwhile = name_no_job_late;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_http(400, BODY_QUOTA_REACHED));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 2);
	assert_true(clari->export.adopted);
}

static void
adopts_a_job_listed_before_the_next_try(void **state)
{
	VirtualClari *clari = *state;

	clari->listing_delay = SECONDS(100000);
	clari->available_concurrent_limit = 0;
	clari->meanwhile = list_the_first_job_late;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_http(400, BODY_QUOTA_REACHED));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 2);
	assert_int_equal(clari->n_jobs, 1);
	assert_true(clari->export.adopted);
	assert_string_equal(clari->export.job_id, clari->jobs[0].job_id);
}

/* The look-ups of the second submission begin with the base delay again. */
static void
looks_up_each_submission_by_the_whole_timetable(void **state)
{
	VirtualClari *clari = *state;
	int			first;

	virtual_clari_always(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_UNAVAILABLE);
	first = virtual_clari_count(clari, REQUEST_JOBS) / 2;
	for (int n = 1; n < first; n++)
		assert_int_equal(gap(clari, REQUEST_JOBS, n), gap(clari, REQUEST_JOBS, first + n));
}

static void
never_submits_a_third_time(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_UNAVAILABLE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 2);
	assert_false(export_submission_is_open(&clari->export));
}

static void
never_submits_a_third_time_after_unreadable_replies(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_SUBMIT, answer_http(200, "OK"));
	run_export(clari, OUTCOME_BAD_RESPONSE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 2);
}

/* ----------
 * Resuming a submission of unknown fate
 * ----------
 */

static void
resume(VirtualClari *clari, bool has_baseline, ExportOutcome expected)
{
	virtual_clari_prepare(clari, GOAL_RESUME_UNKNOWN, NULL);
	clari->export.submitted_at = clari->now;
	clari->export.has_baseline = has_baseline;
	assert_int_equal(virtual_clari_run(clari), expected);
	assert_false(clari->stuck);
}

static void
resumes_with_the_job_it_finds(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	resume(clari, true, OUTCOME_DONE);
	check_sequence(clari, "jppppr");
	assert_string_equal(clari->export.job_id, job_id);
	assert_true(clari->export.adopted);
}

static void
resumes_undecided_without_a_baseline(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_add_job(clari, "FORECAST", OUR_FILE);
	resume(clari, false, OUTCOME_SUBMISSION_UNKNOWN);
	check_sequence(clari, "j");
}

static void
resumes_past_a_job_that_was_excluded(void **state)
{
	VirtualClari *clari = *state;

	clari->others_job = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);
	clari->rules.give_way = true;
	resume(clari, true, OUTCOME_DONE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
	assert_true(virtual_clari_sent_at(clari, REQUEST_SUBMIT, 0) >= VIRTUAL_START + SECONDS(60));
	assert_string_not_equal(clari->export.job_id, clari->others_job);
}

static void
resumes_by_one_submission_at_most(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	resume(clari, true, OUTCOME_UNAVAILABLE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
}

/* The machine adopts no job if it cannot remember those of others. */
static void
adopts_none_where_memory_for_others_is_full(void **state)
{
	VirtualClari *clari = *state;
	char		id[JOB_ID_SIZE];

	virtual_clari_add_job(clari, "FORECAST", OUR_FILE);
	virtual_clari_prepare(clari, GOAL_RESUME_UNKNOWN, NULL);
	clari->export.has_baseline = true;
	for (int i = 0; i < JOB_ID_SET_MAX; i++)
	{
		snprintf(id, sizeof(id), "%d", i);
		assert_true(export_exclude_job(&clari->export, id));
	}
	assert_true(export_exclude_job(&clari->export, "0"));
	assert_false(export_exclude_job(&clari->export, "one more"));
	assert_int_equal(virtual_clari_run(clari), OUTCOME_SUBMISSION_UNKNOWN);
}

/* ----------
 * Giving way: the queue's rule
 * ----------
 */

static void
check_gives_way(VirtualClari *clari, ExportOutcome expected, HoldReason hold, const char *sequence)
{
	clari->rules.give_way = true;
	run_export(clari, expected);
	check_sequence(clari, sequence);
	assert_int_equal(clari->action.hold, hold);
}

static void
gives_way_after_a_429(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_JOBS, answer_rate_limited(SECONDS(7)));
	check_gives_way(clari, OUTCOME_RATE_LIMITED, HOLD_RATE_LIMITED, "j");
	assert_true(clari->action.postponed);
	assert_int_equal(clari->action.retry_after, SECONDS(7));
	assert_int_equal(clari->lane.held_until, VIRTUAL_START + SECONDS(7));
}

/* It has used up a turn for the list, and would do so again and again. */
static void
gives_no_way_after_a_429_of_the_submission_itself(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.give_way = true;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_rate_limited(SECONDS(7)));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSSppppr");
	assert_true(gap(clari, REQUEST_SUBMIT, 1) >= SECONDS(7));
}

static void
gives_way_to_a_full_job_queue(void **state)
{
	VirtualClari *clari = *state;

	clari->available_concurrent_limit = 0;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_http(400, BODY_QUOTA_REACHED));
	check_gives_way(clari, OUTCOME_QUEUE_FULL, HOLD_QUEUE_FULL, "jSl");
	assert_int_equal(clari->lane.submissions_held_until, VIRTUAL_START + SECONDS(5));
}

static void
gives_way_where_the_quota_is_used_up(void **state)
{
	VirtualClari *clari = *state;

	clari->available_monthly_quota = 0;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_http(400, BODY_QUOTA_REACHED));
	check_gives_way(clari, OUTCOME_QUOTA_EXHAUSTED, HOLD_QUOTA, "jSl");
}

static void
gives_way_where_clari_cannot_be_reached(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_NOT_SENT));
	check_gives_way(clari, OUTCOME_UNAVAILABLE, HOLD_UNAVAILABLE, "jS");
}

/* Were it to give way, nobody would count how often its submission was lost. */
static void
submits_once_more_where_a_lost_submission_is_not_found(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.give_way = true;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_UNAVAILABLE);
	check_sequence(clari, "jSjjjjjjjSjjjjjj");
	assert_false(clari->action.postponed);
	assert_int_equal(virtual_clari_sent_at(clari, REQUEST_JOBS, 6), VIRTUAL_START + SECONDS(60));
}

static void
polls_on_after_a_429_when_giving_way(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_STATUS, answer_rate_limited(SECONDS(7)));
	check_gives_way(clari, OUTCOME_DONE, HOLD_NONE, "jSppppr");
}

/* ----------
 * Together with its lane
 * ----------
 */

static void
waits_for_the_place_of_another_export(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_add_other(clari, VIRTUAL_START + SECONDS(1), VIRTUAL_START + SECONDS(30));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(clari->sent[0].sent_at, VIRTUAL_START + SECONDS(30 + 10));
}

static void
waits_for_the_open_submission_of_another_export(void **state)
{
	VirtualClari *clari = *state;

	clari->limits.max_concurrent_exports = 2;
	virtual_clari_add_other(clari, VIRTUAL_START + SECONDS(20), VIRTUAL_START + SECONDS(3000));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(clari->sent[0].sent_at, VIRTUAL_START + SECONDS(20));
}

static void
looks_up_while_its_own_submission_is_open(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	virtual_clari_next(clari, REQUEST_JOBS, answer_healthy());
	virtual_clari_always(clari, REQUEST_JOBS, answer_http(403, ""));
	run_export(clari, OUTCOME_SUBMISSION_UNKNOWN);
	assert_int_equal(clari->lane.open_submissions, 0);
}

static void
gives_back_its_place(void **state)
{
	VirtualClari *clari = *state;

	run_export(clari, OUTCOME_DONE);
	assert_int_equal(clari->lane.exports, 0);
	assert_int_equal(clari->lane.open_submissions, 0);
	assert_int_equal(clari->lane.last_export_end, clari->now);
}

int
main(void)
{
	const struct CMUnitTest export[] = {
		SCENARIO(polls_by_the_reference_timetable),
		SCENARIO(counts_the_wait_from_the_reply),
		SCENARIO(times_out_after_sixty_polls),
		SCENARIO(poll_asks_at_once),
		SCENARIO(poll_times_out_after_sixty_polls),
		SCENARIO(asks_no_more_than_max_attempts_says),
		SCENARIO(exports_a_forecast),
		SCENARIO(exports_with_wrapped_job_objects),
		SCENARIO(exports_activity_on_202),
		SCENARIO(exports_audit_events_on_202),
		SCENARIO(submits_and_no_more),
		SCENARIO(resumes_a_job),
		SCENARIO(asks_for_one_status),
		SCENARIO(asks_for_one_status_whatever_comes_back),
		SCENARIO(fetches_a_result),
		SCENARIO(lists_jobs),
		SCENARIO(starts_from_nothing),
		SCENARIO(takes_a_job_id_of_one_character),
		SCENARIO(asks_for_limits),
		SCENARIO(takes_unreadable_limits_for_a_bad_response),
		SCENARIO(cancels_a_job),
		SCENARIO(tells_the_status_of_a_job_that_ended_before_the_cancel),
		SCENARIO(asks_for_the_status_after_an_unclear_cancel),
		SCENARIO(cancels_again_after_a_lost_reply),
		SCENARIO(cannot_cancel_an_unknown_job),
		SCENARIO(fetches_after_done),
		SCENARIO(fetches_after_completed),
		SCENARIO(ends_after_failed),
		SCENARIO(ends_after_cancelled),
		SCENARIO(ends_after_aborted),
		SCENARIO(polls_on_after_an_unknown_status),
		SCENARIO(poll_tells_any_end),
		SCENARIO(polls_on_after_a_500),
		SCENARIO(polls_on_after_a_503),
		SCENARIO(polls_on_after_a_lost_reply),
		SCENARIO(polls_on_without_a_connection),
		SCENARIO(polls_on_after_a_reply_cut_short),
		SCENARIO(polls_on_after_an_unreadable_reply),
		SCENARIO(ends_unavailable_after_polls_without_a_reply),
		SCENARIO(ends_unavailable_after_polls_with_5xx),
		SCENARIO(ends_with_a_bad_response_after_unreadable_polls),
		SCENARIO(ends_with_a_bad_response_after_polls_cut_short),
		SCENARIO(ends_rate_limited_after_polls_with_429),
		SCENARIO(goes_on_polling_where_trust_is_missing),
		SCENARIO(stops_polling_an_unknown_job),
		SCENARIO(is_refused_an_unknown_forecast),
		SCENARIO(is_refused_a_missing_forecast_id),
		SCENARIO(is_refused_an_unsupported_type),
		SCENARIO(is_refused_a_bad_request),
		SCENARIO(is_refused_with_a_message_alone),
		SCENARIO(is_refused_without_words),
		SCENARIO(is_redirected),
		SCENARIO(is_offered_choices),
		SCENARIO(is_not_authorized_with_a_bad_key),
		SCENARIO(is_not_authorized_without_optin),
		SCENARIO(is_not_authorized_by_403),
		SCENARIO(is_redirected_from_a_status),
		SCENARIO(is_not_authorized_to_see_a_job),
		SCENARIO(exports_without_the_right_to_list_jobs),
		SCENARIO(fetches_again_while_clari_disagrees_with_itself),
		SCENARIO(fetches_again_after_a_single_poll),
		SCENARIO(forgets_an_error_that_passed),
		SCENARIO(keeps_how_the_last_request_ended),
		SCENARIO(gives_up_a_result_that_never_comes),
		SCENARIO(is_refused_the_result_of_a_running_job),
		SCENARIO(fetches_again_after_failures),
		SCENARIO(does_not_fetch_a_result_that_is_too_large_again),
		SCENARIO(polls_again_after_a_status_that_is_too_large),
		SCENARIO(fetches_as_often_after_a_look_up_that_failed),
		SCENARIO(gives_up_fetching_after_sixty_failures),
		SCENARIO(polls_after_exactly_retry_after),
		SCENARIO(polls_no_later_than_retry_after_allows),
		SCENARIO(backs_off_from_the_base_delay_without_retry_after),
		SCENARIO(heeds_a_429_whose_body_is_cut_short),
		SCENARIO(takes_a_429_cut_short_for_no_submission),
		SCENARIO(submits_again_after_exactly_retry_after),
		SCENARIO(submits_again_after_a_429_for_the_list),
		SCENARIO(gives_up_submitting_after_sixty_429s),
		SCENARIO(fetches_again_after_a_429),
		SCENARIO(gives_up_fetching_after_sixty_429s),
		SCENARIO(waits_for_a_429_of_another_request),
		SCENARIO(waits_while_the_job_queue_is_full),
		SCENARIO(gives_up_a_full_job_queue_after_sixty_tries),
		SCENARIO(ends_at_once_where_the_quota_is_used_up),
		SCENARIO(ends_at_once_where_both_are_used_up),
		SCENARIO(takes_the_queue_for_full_where_the_limits_are_unreadable),
		SCENARIO(asks_for_the_limits_again_after_a_429),
		SCENARIO(leaves_the_reserve_of_the_quota),
		SCENARIO(leaves_a_reserve_of_one),
		SCENARIO(submits_above_the_reserve_of_the_quota),
		SCENARIO(submits_again_without_look_up_what_was_not_sent),
		SCENARIO(gives_up_an_unreachable_clari_after_five_tries),
		SCENARIO(gives_up_an_unreachable_list_after_five_tries),
		SCENARIO(submits_without_a_list_that_is_too_large),
		SCENARIO(submits_without_limits_that_are_too_large),
		SCENARIO(does_not_submit_where_trust_is_missing),
		SCENARIO(does_not_submit_again_where_trust_is_missing),
		SCENARIO(adopts_the_job_of_a_lost_submission),
		SCENARIO(adopts_the_job_of_a_reply_cut_short),
		SCENARIO(adopts_the_job_of_a_reply_too_large),
		SCENARIO(adopts_the_job_of_a_500),
		SCENARIO(adopts_the_job_of_a_504),
		SCENARIO(adopts_the_job_of_an_unreadable_reply),
		SCENARIO(adopts_the_job_of_a_reply_without_a_job_id),
		SCENARIO(adopts_an_activity_job),
		SCENARIO(adopts_from_a_list_of_wrapped_jobs),
		SCENARIO(submit_ends_with_the_adopted_job),
		SCENARIO(looks_up_until_the_job_is_listed),
		SCENARIO(looks_up_through_failures),
		SCENARIO(does_not_adopt_a_job_of_the_baseline),
		SCENARIO(passes_over_a_nameless_job_of_the_baseline),
		SCENARIO(counts_failed_look_ups_in_a_row),
		SCENARIO(does_not_adopt_a_job_that_does_not_fit),
		SCENARIO(does_not_adopt_a_job_of_another_request),
		SCENARIO(is_undecided_where_the_job_is_contested),
		SCENARIO(is_undecided_between_two_jobs),
		SCENARIO(is_undecided_without_a_baseline),
		SCENARIO(adopts_a_job_of_which_clari_does_not_say_of_what),
		SCENARIO(is_undecided_without_the_right_to_list_jobs),
		SCENARIO(is_undecided_where_the_list_never_comes),
		SCENARIO(is_undecided_after_endless_429s_for_the_list),
		SCENARIO(submits_again_after_the_grace),
		SCENARIO(counts_the_grace_from_the_loss),
		SCENARIO(trusts_no_list_asked_for_during_the_grace),
		SCENARIO(counts_no_hold_before_the_submission_as_grace),
		SCENARIO(adopts_the_job_of_the_second_submission),
		SCENARIO(adopts_a_nameless_job_before_the_next_try),
		SCENARIO(adopts_a_job_listed_before_the_next_try),
		SCENARIO(looks_up_each_submission_by_the_whole_timetable),
		SCENARIO(never_submits_a_third_time),
		SCENARIO(never_submits_a_third_time_after_unreadable_replies),
		SCENARIO(resumes_with_the_job_it_finds),
		SCENARIO(resumes_undecided_without_a_baseline),
		SCENARIO(resumes_past_a_job_that_was_excluded),
		SCENARIO(resumes_by_one_submission_at_most),
		SCENARIO(adopts_none_where_memory_for_others_is_full),
		SCENARIO(gives_way_after_a_429),
		SCENARIO(gives_no_way_after_a_429_of_the_submission_itself),
		SCENARIO(gives_way_to_a_full_job_queue),
		SCENARIO(gives_way_where_the_quota_is_used_up),
		SCENARIO(gives_way_where_clari_cannot_be_reached),
		SCENARIO(submits_once_more_where_a_lost_submission_is_not_found),
		SCENARIO(polls_on_after_a_429_when_giving_way),
		SCENARIO(waits_for_the_place_of_another_export),
		SCENARIO(waits_for_the_open_submission_of_another_export),
		SCENARIO(looks_up_while_its_own_submission_is_open),
		SCENARIO(gives_back_its_place),
	};

	return cmocka_run_group_tests(export, NULL, NULL);
}
