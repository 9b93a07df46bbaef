/*
 * test_export_passing.c
 *		Replies that may be others in a moment: what they end, and what they do not.
 */
#include "scenario.h"

#define UNKNOWN_JOB		"{\"code\":\"invalid_jobId\",\"message\":\"m\"}"
#define DAY				SECONDS(86400)

/* ----------
 * A known job
 * ----------
 */

typedef struct Passing
{
	const char *what;
	Answer		answer;
} Passing;

/* Everything that says nothing about the job. */
static int
passing_replies(Passing *out)
{
	int			n = 0;

	out[n++] = (Passing) {"not sent", answer_failed(DELIVERY_NOT_SENT)};
	out[n++] = (Passing) {"lost", answer_failed(DELIVERY_LOST)};
	out[n++] = (Passing) {"cut short", answer_failed(DELIVERY_CUT_SHORT)};
	out[n++] = (Passing) {"not trusted", answer_failed(DELIVERY_NOT_TRUSTED)};
	out[n++] = (Passing) {"202", answer_http(202, "{\"message\":\"being prepared\"}")};
	out[n++] = (Passing) {"204", answer_http(204, "")};
	out[n++] = (Passing) {"empty", answer_http(200, "")};
	out[n++] = (Passing) {"401", answer_http(401, "")};
	out[n++] = (Passing) {"403", answer_http(403, "<html>")};
	out[n++] = (Passing) {"404", answer_http(404, "<html>Not Found</html>")};
	out[n++] = (Passing) {"404 with words", answer_http(404, "{\"message\":\"no Route matched\"}")};
	out[n++] = (Passing) {"408", answer_http(408, "")};
	out[n++] = (Passing) {"425", answer_http(425, "")};
	out[n++] = (Passing) {"429", answer_rate_limited(RETRY_AFTER_NONE)};
	out[n++] = (Passing) {"500", answer_http(500, "{\"code\":\"SWW\"}")};
	out[n++] = (Passing) {"502", answer_http(502, "")};
	out[n++] = (Passing) {"503", answer_http(503, "")};
	out[n++] = (Passing) {"504", answer_http(504, "<html>")};
	return n;
}

#define MAX_PASSING 32

/* Twice in a row, and the third brings what was asked for. */
static void
check_passes(RequestKind kind)
{
	Passing		passing[MAX_PASSING];
	int			n = passing_replies(passing);

	for (int i = 0; i < n; i++)
	{
		VirtualClari clari;

		print_message("# %s\n", passing[i].what);
		virtual_clari_init(&clari);
		virtual_clari_next(&clari, kind, passing[i].answer);
		virtual_clari_next(&clari, kind, passing[i].answer);
		run_export(&clari, OUTCOME_DONE);
		assert_int_equal(virtual_clari_count(&clari, REQUEST_SUBMIT), 1);
		assert_int_equal(gap(&clari, kind, 1), SECONDS(5));
		assert_int_equal(gap(&clari, kind, 2), MILLISECONDS(7500));
		virtual_clari_free(&clari);
	}
}

static void
polls_on_whatever_passes(void **state)
{
	(void) state;
	check_passes(REQUEST_STATUS);
}

static void
fetches_again_whatever_passes(void **state)
{
	(void) state;
	check_passes(REQUEST_RESULT);
}

/* What never passes ends it after the attempts, and the job is kept. */
static void
check_ends(RequestKind kind)
{
	Passing		passing[MAX_PASSING];
	int			n = passing_replies(passing);

	for (int i = 0; i < n; i++)
	{
		VirtualClari clari;

		print_message("# %s\n", passing[i].what);
		virtual_clari_init(&clari);
		clari.rules.max_attempts = 6;
		virtual_clari_always(&clari, kind, passing[i].answer);
		virtual_clari_prepare(&clari, GOAL_EXPORT, NULL);
		assert_int_not_equal(virtual_clari_run(&clari), OUTCOME_DONE);
		assert_int_equal(virtual_clari_count(&clari, kind), 6);
		assert_true(export_may_have_job(&clari.export));
		virtual_clari_free(&clari);
	}
}

static void
polls_no_more_than_the_attempts(void **state)
{
	(void) state;
	check_ends(REQUEST_STATUS);
}

static void
fetches_no_more_than_the_attempts(void **state)
{
	(void) state;
	check_ends(REQUEST_RESULT);
}

static void
takes_a_404_with_a_code_for_clari_s_own(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_STATUS, answer_http(404, "{\"code\":\"no_such_job\"}"));
	run_export(clari, OUTCOME_BAD_REQUEST);
	check_sequence(clari, "jSp");
}

static void
takes_a_redirect_for_an_end(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_STATUS, answer_http(302, ""));
	run_export(clari, OUTCOME_BAD_REQUEST);
	check_sequence(clari, "jSp");
}

/* A job that somebody names may be anything: the first 404 is as likely a wrong base_url. */
static void
does_not_wait_for_a_job_that_was_never_seen(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_STATUS, answer_http(404, ""));
	run(clari, GOAL_POLL, "1", OUTCOME_BAD_REQUEST);
	check_sequence(clari, "p");
}

static void
waits_for_a_job_that_was_seen(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	virtual_clari_next(clari, REQUEST_STATUS, answer_healthy());
	virtual_clari_next(clari, REQUEST_STATUS, answer_http(404, ""));
	virtual_clari_next(clari, REQUEST_STATUS, answer_http(401, ""));
	run(clari, GOAL_POLL, job_id, OUTCOME_DONE);
	check_sequence(clari, "pppp");
}

/* ----------
 * A job that Clari does not know yet
 * ----------
 */

static void
forget_the_job(VirtualClari *clari, int polls)
{
	for (int i = 0; i < polls; i++)
		virtual_clari_next(clari, REQUEST_STATUS, answer_http(400, UNKNOWN_JOB));
}

/* Polls come 5, 10, 17.5, 28.75 and 45.6 s after the submission: the next is beyond the grace. */
static void
polls_a_job_that_is_not_known_yet(void **state)
{
	VirtualClari *clari = *state;

	forget_the_job(clari, 5);
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSppppppr");
}

static void
gives_up_a_job_that_is_not_known_after_the_grace(void **state)
{
	VirtualClari *clari = *state;

	forget_the_job(clari, 7);
	run_export(clari, OUTCOME_BAD_REQUEST);
	check_sequence(clari, "jSpppppp");
	assert_string_equal(clari->export.error.code, "invalid_jobId");
	assert_true(clari->now >= VIRTUAL_START + SECONDS(60));
}

static void
resume_job(VirtualClari *clari, bool doubts_job, ExportOutcome expected)
{
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	virtual_clari_prepare(clari, GOAL_RESUME_JOB, job_id);
	clari->export.submitted_at = clari->now;
	clari->export.doubts_job = doubts_job;
	assert_int_equal(virtual_clari_run(clari), expected);
}

static void
grants_a_resumed_job_the_grace(void **state)
{
	VirtualClari *clari = *state;

	forget_the_job(clari, 2);
	resume_job(clari, false, OUTCOME_DONE);
}

/* It was asked for long after the submission: Clari's word is the last one. */
static void
grants_a_job_that_was_given_up_no_grace(void **state)
{
	VirtualClari *clari = *state;

	forget_the_job(clari, 1);
	resume_job(clari, true, OUTCOME_BAD_REQUEST);
	check_sequence(clari, "p");
}

static void
polls_a_job_that_was_given_up_through_what_passes(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_STATUS, answer_http(404, ""));
	virtual_clari_next(clari, REQUEST_STATUS, answer_http(401, ""));
	virtual_clari_next(clari, REQUEST_STATUS, answer_http(502, ""));
	resume_job(clari, true, OUTCOME_DONE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 0);
}

/* ----------
 * Results
 * ----------
 */

static Answer
read_as(ResultReading reading)
{
	Answer		answer = answer_http(200, "{\"some\":\"thing\"}");

	answer.reading = reading;
	return answer;
}

static void
fetches_again_what_is_not_readable(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_RESULT, read_as(RESULT_UNREADABLE));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSpppprr");
	assert_int_equal(gap(clari, REQUEST_RESULT, 1), SECONDS(5));
}

static void
takes_a_good_result(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_RESULT, read_as(RESULT_GOOD));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSppppr");
}

static void
check_no_result(VirtualClari *clari, ResultReading reading)
{
	virtual_clari_next(clari, REQUEST_RESULT, read_as(reading));
	run_export(clari, OUTCOME_BAD_RESPONSE);
	check_sequence(clari, "jSppppr");
	assert_int_equal(clari->export.reading, reading);
	assert_true(export_may_have_job(&clari->export));
}

static void
does_not_fetch_what_is_no_result_again(void **state)
{
	check_no_result(*state, RESULT_WRONG_SHAPE);
}

static void
does_not_fetch_what_cannot_be_stored_again(void **state)
{
	check_no_result(*state, RESULT_NOT_STORABLE);
}

/* ----------
 * A key that is refused
 * ----------
 */

static int	reloads;

static void
count_reloads(VirtualClari *clari)
{
	reloads += clari->action.reload_account;
}

static void
has_the_key_read_anew_after_each_refusal(void **state)
{
	VirtualClari *clari = *state;

	reloads = 0;
	clari->meanwhile = count_reloads;
	virtual_clari_next(clari, REQUEST_STATUS, answer_http(401, ""));
	virtual_clari_next(clari, REQUEST_STATUS, answer_http(403, ""));
	virtual_clari_next(clari, REQUEST_RESULT, answer_http(401, ""));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(reloads, 3);
}

/* Polls come 0, 5, 12.5, 23.75, 40.6 and 65.9 s after the first refusal. */
static void
gives_up_a_key_after_a_minute(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_STATUS, answer_http(401, ""));
	run_export(clari, OUTCOME_NOT_AUTHORIZED);
	check_sequence(clari, "jSpppppp");
	assert_false(clari->action.reload_account);
}

/* With the attempts used up there is nothing to read it for. */
static void
reads_no_key_anew_at_the_end(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.max_attempts = 2;
	virtual_clari_always(clari, REQUEST_STATUS, answer_http(401, ""));
	run_export(clari, OUTCOME_NOT_AUTHORIZED);
	check_sequence(clari, "jSpp");
	assert_false(clari->action.reload_account);
}

/* However long they take, one or two are no proof. */
static void
gives_up_a_key_after_three_refusals_at_the_earliest(void **state)
{
	VirtualClari *clari = *state;
	Answer		slow = answer_http(401, "");

	slow.latency = SECONDS(50);
	virtual_clari_always(clari, REQUEST_STATUS, slow);
	run_export(clari, OUTCOME_NOT_AUTHORIZED);
	check_sequence(clari, "jSppp");
}

static void
counts_refusals_of_a_key_in_a_row(void **state)
{
	VirtualClari *clari = *state;

	clari->job_duration = SECONDS(10000);
	clari->rules.max_attempts = 30;
	for (int i = 0; i < 10; i++)
	{
		virtual_clari_next(clari, REQUEST_STATUS, answer_http(401, ""));
		virtual_clari_next(clari, REQUEST_STATUS, answer_http(401, ""));
		virtual_clari_next(clari, REQUEST_STATUS, answer_healthy());
	}
	run_export(clari, OUTCOME_POLL_TIMEOUT);
	assert_int_equal(virtual_clari_count(clari, REQUEST_STATUS), 30);
}

static void
gives_up_a_key_at_once_where_no_job_is_at_stake(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_always(clari, REQUEST_JOBS, answer_http(401, ""));
	run_export(clari, OUTCOME_NOT_AUTHORIZED);
	check_sequence(clari, "j");
	assert_false(clari->action.reload_account);
}

static void
has_the_key_read_anew_while_it_looks_up(void **state)
{
	VirtualClari *clari = *state;

	reloads = 0;
	clari->meanwhile = count_reloads;
	virtual_clari_next(clari, REQUEST_JOBS, answer_healthy());
	virtual_clari_next(clari, REQUEST_JOBS, answer_http(401, ""));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(reloads, 1);
	assert_true(clari->export.adopted);
}

/* ----------
 * Before there is a job
 * ----------
 */

/* Whether the submission came in is as open as after a time-out. */
static void
looks_up_a_submission_that_was_answered_408(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_http(408, "")));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSjppppr");
	assert_true(clari->export.adopted);
}

static void
submits_again_after_a_425(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_http(425, ""));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSjSppppr");
	assert_int_equal(clari->export.lost_submissions, 0);
}

static void
asks_for_the_list_again_after_a_408(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_JOBS, answer_http(408, ""));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jjSppppr");
	assert_true(clari->export.has_baseline);
}

static void
looks_up_again_after_a_404(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_JOBS, answer_healthy());
	virtual_clari_next(clari, REQUEST_JOBS, answer_http(404, ""));
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run_export(clari, OUTCOME_DONE);
	assert_true(clari->export.adopted);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
}

/* ----------
 * Retry-After
 * ----------
 */

static Answer
answer_later(int http_status, Duration retry_after)
{
	Answer		answer = answer_http(http_status, "");

	answer.retry_after = retry_after;
	return answer;
}

static void
polls_after_the_retry_after_of_a_503(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_STATUS, answer_later(503, SECONDS(90)));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(gap(clari, REQUEST_STATUS, 1), SECONDS(90));
}

static void
fetches_after_the_retry_after_of_a_202(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_RESULT, answer_later(202, SECONDS(1)));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(gap(clari, REQUEST_RESULT, 1), SECONDS(1));
}

/* It was for that request: the lane goes on. */
static void
holds_nobody_else_after_a_503(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_STATUS, answer_later(503, SECONDS(90)));
	run_export(clari, OUTCOME_DONE);
	assert_true(clari->lane.held_until < VIRTUAL_START);
}

static void
heeds_no_retry_after_of_another_status(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_STATUS, answer_later(500, SECONDS(90)));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(gap(clari, REQUEST_STATUS, 1), SECONDS(5));
}

static void
lists_again_after_the_retry_after_of_a_503(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.give_way = true;
	virtual_clari_next(clari, REQUEST_JOBS, answer_later(503, SECONDS(90)));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jjSppppr");
	assert_int_equal(gap(clari, REQUEST_JOBS, 1), SECONDS(90));
}

static void
lists_again_after_the_retry_after_of_a_202(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_JOBS, answer_later(202, SECONDS(3)));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jjSppppr");
	assert_int_equal(gap(clari, REQUEST_JOBS, 1), SECONDS(3));
	assert_true(clari->export.has_baseline);
}

/* The look-up is another request, and the next submission is that one again. */
static void
submits_again_after_the_retry_after_of_a_503(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_next(clari, REQUEST_SUBMIT, answer_later(503, SECONDS(200)));
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(gap(clari, REQUEST_JOBS, 1), 0);
	assert_int_equal(gap(clari, REQUEST_SUBMIT, 1), SECONDS(200));
}

static bool wait_was_cut;

static void
note_a_cut_wait(VirtualClari *clari)
{
	wait_was_cut |= clari->action.wait_was_cut;
}

static void
check_longest_wait(VirtualClari *clari, Answer answer, bool is_cut)
{
	wait_was_cut = false;
	clari->meanwhile = note_a_cut_wait;
	virtual_clari_next(clari, REQUEST_STATUS, answer);
	run_export(clari, OUTCOME_DONE);
	assert_int_equal(gap(clari, REQUEST_STATUS, 1), DAY);
	assert_int_equal(wait_was_cut, is_cut);
}

static void
waits_a_whole_day(void **state)
{
	check_longest_wait(*state, answer_later(503, DAY), false);
}

static void
cuts_a_longer_wait_to_a_day(void **state)
{
	check_longest_wait(*state, answer_later(503, DAY + 1), true);
}

static void
cuts_the_longest_wait_to_a_day(void **state)
{
	check_longest_wait(*state, answer_later(202, DURATION_MAX), true);
}

/* Clari's word of 10,000 years holds the lane for a day. */
static void
cuts_a_hold_of_the_lane_to_a_day(void **state)
{
	VirtualClari *clari = *state;
	Answer		limited = answer_rate_limited(DURATION_MAX);

	clari->rules.max_attempts = 1;
	virtual_clari_next(clari, REQUEST_STATUS, limited);
	run_export(clari, OUTCOME_RATE_LIMITED);
	assert_int_equal(clari->action.retry_after, DAY);
	assert_true(clari->action.wait_was_cut);
}

/* ----------
 * One request a second
 * ----------
 */

static Instant last_token;

/* A gateway that admits one request a second, and none before it is over. */
static Answer
admit_one_a_second(VirtualClari *clari, RequestKind kind)
{
	(void) kind;
	if (clari->now - last_token < SECONDS(1))
		return answer_rate_limited(RETRY_AFTER_NONE);
	last_token = clari->now;
	return answer_healthy();
}

static void
check_behind_a_gateway(VirtualClari *clari, bool give_way, bool asks_limits)
{
	last_token = 0;
	clari->rules.give_way = give_way;
	clari->rules.quota_reserve = asks_limits;
	clari->choose_answer = admit_one_a_second;

	/* Giving way it ends, and begins anew when the hold is over. */
	for (int i = 0; i < 20; i++)
	{
		export_free(&clari->export);
		virtual_clari_prepare(clari, GOAL_EXPORT, NULL);
		virtual_clari_run(clari);
		if (!clari->action.postponed)
			break;
		clari->now = clari->lane.held_until;
	}
	assert_int_equal(clari->export.outcome, OUTCOME_DONE);
	assert_int_equal(clari->n_jobs, 1);
	assert_true(clari->n_sent < 16);
}

static void
ends_behind_a_gateway_of_one_request_a_second(void **state)
{
	check_behind_a_gateway(*state, false, false);
}

static void
ends_behind_a_gateway_giving_way(void **state)
{
	check_behind_a_gateway(*state, true, false);
}

static void
ends_behind_a_gateway_asking_for_limits(void **state)
{
	check_behind_a_gateway(*state, true, true);
}

int
main(void)
{
	const struct CMUnitTest passing[] = {
		cmocka_unit_test(polls_on_whatever_passes),
		cmocka_unit_test(fetches_again_whatever_passes),
		cmocka_unit_test(polls_no_more_than_the_attempts),
		cmocka_unit_test(fetches_no_more_than_the_attempts),
		SCENARIO(takes_a_404_with_a_code_for_clari_s_own),
		SCENARIO(takes_a_redirect_for_an_end),
		SCENARIO(does_not_wait_for_a_job_that_was_never_seen),
		SCENARIO(waits_for_a_job_that_was_seen),
		SCENARIO(polls_a_job_that_is_not_known_yet),
		SCENARIO(gives_up_a_job_that_is_not_known_after_the_grace),
		SCENARIO(grants_a_resumed_job_the_grace),
		SCENARIO(grants_a_job_that_was_given_up_no_grace),
		SCENARIO(polls_a_job_that_was_given_up_through_what_passes),
		SCENARIO(fetches_again_what_is_not_readable),
		SCENARIO(takes_a_good_result),
		SCENARIO(does_not_fetch_what_is_no_result_again),
		SCENARIO(does_not_fetch_what_cannot_be_stored_again),
		SCENARIO(has_the_key_read_anew_after_each_refusal),
		SCENARIO(gives_up_a_key_after_a_minute),
		SCENARIO(gives_up_a_key_after_three_refusals_at_the_earliest),
		SCENARIO(reads_no_key_anew_at_the_end),
		SCENARIO(counts_refusals_of_a_key_in_a_row),
		SCENARIO(gives_up_a_key_at_once_where_no_job_is_at_stake),
		SCENARIO(has_the_key_read_anew_while_it_looks_up),
		SCENARIO(looks_up_a_submission_that_was_answered_408),
		SCENARIO(submits_again_after_a_425),
		SCENARIO(asks_for_the_list_again_after_a_408),
		SCENARIO(looks_up_again_after_a_404),
		SCENARIO(polls_after_the_retry_after_of_a_503),
		SCENARIO(fetches_after_the_retry_after_of_a_202),
		SCENARIO(holds_nobody_else_after_a_503),
		SCENARIO(heeds_no_retry_after_of_another_status),
		SCENARIO(lists_again_after_the_retry_after_of_a_503),
		SCENARIO(lists_again_after_the_retry_after_of_a_202),
		SCENARIO(submits_again_after_the_retry_after_of_a_503),
		SCENARIO(waits_a_whole_day),
		SCENARIO(cuts_a_longer_wait_to_a_day),
		SCENARIO(cuts_the_longest_wait_to_a_day),
		SCENARIO(cuts_a_hold_of_the_lane_to_a_day),
		SCENARIO(ends_behind_a_gateway_of_one_request_a_second),
		SCENARIO(ends_behind_a_gateway_giving_way),
		SCENARIO(ends_behind_a_gateway_asking_for_limits),
	};

	return cmocka_run_group_tests(passing, NULL, NULL);
}
