/*
 * test_export_lost.c
 *		Whose job is it? Lost submissions among the jobs of others.
 */
#include "scenario.h"

#define PLAIN_FILE	"clari_export_net_arr_2026_Q3915_20260407_212737.json"

/* Somebody else's job is started so long after our POST was sent. */
static Duration starts_after;

static VirtualJob *
start_job_of_another(VirtualClari *clari, const char *file_name, Instant started_at)
{
	VirtualJob *job;

	virtual_clari_add_job(clari, "FORECAST", file_name);
	job = &clari->jobs[clari->n_jobs - 1];
	job->started_at = started_at;
	return job;
}

/* Once, and when the POST has been sent. */
static bool
is_time_for_another(const VirtualClari *clari)
{
	return virtual_clari_count(clari, REQUEST_SUBMIT) == 1 && clari->context == NULL;
}

static void
start_an_equal_job(VirtualClari *clari)
{
	if (is_time_for_another(clari))
		clari->context = start_job_of_another(clari, OUR_FILE,
											  virtual_clari_sent_at(clari, REQUEST_SUBMIT, 0) + starts_after);
}

static void
start_a_job_in_euros(VirtualClari *clari)
{
	if (is_time_for_another(clari))
	{
		start_an_equal_job(clari);
		strcpy(clari->jobs[clari->n_jobs - 1].currency, "EUR");
	}
}

/* Our POST never came in, so it is sent a second time, and no other job is taken. */
static void
check_not_taken(VirtualClari *clari)
{
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_DONE);
	assert_false(clari->export.adopted);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 2);
}

static void
check_ours_is_taken(VirtualClari *clari)
{
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run_export(clari, OUTCOME_DONE);
	assert_true(clari->export.adopted);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
	for (int i = 0; i < clari->n_jobs; i++)
		if (clari->jobs[i].ours)
			assert_string_equal(clari->export.job_id, clari->jobs[i].job_id);
}

/* ----------
 * By the currency
 * ----------
 */

static void
does_not_take_a_job_in_another_currency(void **state)
{
	VirtualClari *clari = *state;

	clari->currency = "USD";
	starts_after = MILLISECONDS(1500);
	clari->meanwhile = start_a_job_in_euros;
	check_not_taken(clari);
}

static void
takes_its_own_beside_one_in_another_currency(void **state)
{
	VirtualClari *clari = *state;

	clari->currency = "usd";
	starts_after = MILLISECONDS(1500);
	clari->meanwhile = start_a_job_in_euros;
	check_ours_is_taken(clari);
}

/* ----------
 * By the time
 * ----------
 */

static void
does_not_take_a_job_that_started_later(void **state)
{
	VirtualClari *clari = *state;

	starts_after = SECONDS(5);
	clari->meanwhile = start_an_equal_job;
	check_not_taken(clari);
}

static void
does_not_take_a_job_that_started_before(void **state)
{
	VirtualClari *clari = *state;

	starts_after = -SECONDS(5);
	clari->meanwhile = start_an_equal_job;
	check_not_taken(clari);
}

static void
takes_its_own_beside_one_that_started_later(void **state)
{
	VirtualClari *clari = *state;

	starts_after = SECONDS(5);
	clari->meanwhile = start_an_equal_job;
	check_ours_is_taken(clari);
}

static void
is_undecided_between_two_of_the_same_time(void **state)
{
	VirtualClari *clari = *state;

	starts_after = MILLISECONDS(500);
	clari->meanwhile = start_an_equal_job;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_accepted(answer_failed(DELIVERY_LOST)));
	run_export(clari, OUTCOME_SUBMISSION_UNKNOWN);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
}

/* The POST was under way until its reply was lost, however long that took. */
static void
takes_a_job_of_the_whole_submission(void **state)
{
	VirtualClari *clari = *state;
	Answer		slow = answer_accepted(answer_failed(DELIVERY_LOST));

	slow.latency = SECONDS(120);
	virtual_clari_next(clari, REQUEST_SUBMIT, slow);
	run_export(clari, OUTCOME_DONE);
	assert_true(clari->export.adopted);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
}

/* Its list is short: when one leaves it, an older one comes in at the end. */
static void
cancel_a_known_job(VirtualClari *clari)
{
	if (virtual_clari_count(clari, REQUEST_SUBMIT) == 1)
		clari->jobs[3].listed_from = INSTANT_NEVER;
}

static void
check_short_list(VirtualClari *clari)
{
	for (int i = 0; i < 4; i++)
		start_job_of_another(clari, OUR_FILE, VIRTUAL_START - SECONDS(100) + i);
	clari->newest_listed = 3;
	clari->meanwhile = cancel_a_known_job;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
}

static void
does_not_take_an_older_job_that_slid_into_the_list(void **state)
{
	VirtualClari *clari = *state;

	check_short_list(clari);
	run_export(clari, OUTCOME_DONE);
	assert_false(clari->export.adopted);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 2);
}

/* Without a Date the list before decides alone, here wrongly: the test sees that the time made the difference. */
static void
knows_no_better_without_a_date(void **state)
{
	VirtualClari *clari = *state;

	check_short_list(clari);
	clari->sends_date = false;
	run_export(clari, OUTCOME_DONE);
	assert_true(clari->export.adopted);
	assert_int_equal(clari->export.post_began, 0);
}

static void
takes_a_job_without_a_start_time(void **state)
{
	VirtualClari *clari = *state;

	clari->tells_start_times = false;
	check_ours_is_taken(clari);
}

static void
takes_its_own_without_a_date(void **state)
{
	VirtualClari *clari = *state;

	clari->sends_date = false;
	starts_after = SECONDS(5);
	check_ours_is_taken(clari);
}

/* ----------
 * By Clari's clock
 * ----------
 */

static void
reads_the_time_from_clari_s_clock(void **state)
{
	static const int64_t offsets[] = {
		INT64_C(1775600000000), INT64_C(1775600000999), INT64_C(1775600000500), INT64_C(4102444800000), 2000,
	};

	(void) state;
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
	{
		VirtualClari clari;

		virtual_clari_init(&clari);
		clari.clock_offset = offsets[i];
		starts_after = SECONDS(5);
		clari.meanwhile = start_an_equal_job;
		check_ours_is_taken(&clari);
		virtual_clari_free(&clari);
	}
}

/* A slow list tells little of the clock; a faster one before the POST would tell more. */
static void
takes_its_own_after_a_slow_list(void **state)
{
	VirtualClari *clari = *state;
	Answer		slow = answer_healthy();

	slow.latency = SECONDS(40);
	virtual_clari_next(clari, REQUEST_JOBS, slow);
	check_ours_is_taken(clari);
}

static void
set_the_clock_back(VirtualClari *clari)
{
	if (clari->n_sent == 1 && clari->context == NULL)
	{
		clari->context = clari;
		clari->clock_offset -= 3600000;
	}
}

/* Then the list's Date says nothing of the POST's time: better undecided than another's. */
static void
takes_nothing_of_another_time_when_clari_sets_its_clock(void **state)
{
	VirtualClari *clari = *state;

	clari->meanwhile = set_the_clock_back;
	start_job_of_another(clari, OUR_FILE, VIRTUAL_START - SECONDS(3600));
	check_not_taken(clari);
}

static void
set_the_clock_on(VirtualClari *clari)
{
	if (clari->n_sent == 1 && clari->context == NULL)
	{
		clari->context = clari;
		clari->clock_offset += 3600000;
	}
}

/* Between the limits and the list: the newer Date counts. */
static void
believes_the_newest_date_when_clari_sets_its_clock(void **state)
{
	void		(*const changes[]) (VirtualClari *) = {set_the_clock_back, set_the_clock_on};

	(void) state;
	for (int i = 0; i < 2; i++)
	{
		VirtualClari clari;

		virtual_clari_init(&clari);
		clari.rules.quota_reserve = 1;
		clari.meanwhile = changes[i];
		check_ours_is_taken(&clari);
		virtual_clari_free(&clari);
	}
}

/* Every reply tells the clock more closely than a second, whatever a Date cuts off. */
static void
narrows_the_clock_by_each_date(void **state)
{
	static const int64_t cut_off[] = {23, 977};

	(void) state;
	for (size_t i = 0; i < sizeof(cut_off) / sizeof(cut_off[0]); i++)
	{
		VirtualClari clari;

		virtual_clari_init(&clari);
		clari.clock_offset = INT64_C(1775600000000) + cut_off[i];
		clari.job_duration = SECONDS(200);
		run_export(&clari, OUTCOME_DONE);
		assert_true(clari.export.knows_clock);
		assert_in_range(clari.clock_offset - clari.export.clock_least, 0, 500);
		assert_in_range(clari.export.clock_most - clari.clock_offset, 0, 500);
		virtual_clari_free(&clari);
	}
}

/* ----------
 * By the file name
 * ----------
 */

static void
start_a_plainly_named_job(VirtualClari *clari)
{
	if (is_time_for_another(clari))
		clari->context = start_job_of_another(clari, PLAIN_FILE, virtual_clari_sent_at(clari, REQUEST_SUBMIT, 0));
}

static void
takes_a_job_whose_name_does_not_say_forecast(void **state)
{
	VirtualClari *clari = *state;

	clari->meanwhile = start_a_plainly_named_job;
	virtual_clari_next(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_DONE);
	check_sequence(clari, "jSjppppr");
	assert_true(clari->export.adopted);
}

static void
does_not_take_one_of_another_quarter(void **state)
{
	VirtualClari *clari = *state;

	clari->time_period = "2026_Q2";
	clari->meanwhile = start_a_plainly_named_job;
	check_not_taken(clari);
}

/* ----------
 * Twice lost
 * ----------
 */

/* The first job is listed only after the second was lost, too: both are of the same time. */
static void
list_all_after_the_second(VirtualClari *clari)
{
	if (virtual_clari_count(clari, REQUEST_SUBMIT) == 2)
		for (int i = 0; i < clari->n_jobs; i++)
			clari->jobs[i].listed_from = clari->now;
}

static void
is_undecided_between_its_own_two(void **state)
{
	VirtualClari *clari = *state;

	clari->listing_delay = SECONDS(100000);
	clari->meanwhile = list_all_after_the_second;
	virtual_clari_always(clari, REQUEST_SUBMIT, answer_accepted(answer_http(502, "")));
	run_export(clari, OUTCOME_SUBMISSION_UNKNOWN);
	assert_int_equal(clari->n_jobs, 2);
}

/* What was in the first list is still not ours when the second one leaves it out. */
static void
hide_the_known_job_for_a_while(VirtualClari *clari)
{
	int			lists = virtual_clari_count(clari, REQUEST_JOBS);

	clari->jobs[0].listed_from = lists >= 1 && virtual_clari_count(clari, REQUEST_SUBMIT) == 1 ?
		INSTANT_NEVER : VIRTUAL_START;
}

static void
knows_what_was_known_before_the_first(void **state)
{
	VirtualClari *clari = *state;

	clari->sends_date = false;
	start_job_of_another(clari, OUR_FILE, VIRTUAL_START - 1);
	clari->meanwhile = hide_the_known_job_for_a_while;
	virtual_clari_always(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_UNAVAILABLE);
	assert_false(clari->export.adopted);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 2);
}

/* However slow the list and however often it answers 502: two jobs, and no third. */
static void
submits_twice_at_most_behind_a_502_and_a_slow_list(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.give_way = true;
	clari->rules.submission_grace = MILLISECONDS(200);
	clari->listing_delay = SECONDS(100000);
	virtual_clari_always(clari, REQUEST_SUBMIT, answer_accepted(answer_http(502, "")));
	run_export(clari, OUTCOME_UNAVAILABLE);
	assert_int_equal(clari->n_jobs, 2);
	assert_false(clari->action.postponed);
}

/* ----------
 * Across processes: the row has what is given
 * ----------
 */

static void
resume(VirtualClari *clari, Instant post_began, ExportOutcome expected)
{
	virtual_clari_prepare(clari, GOAL_RESUME_UNKNOWN, NULL);
	clari->export.submitted_at = clari->now;
	clari->export.has_baseline = true;
	clari->export.post_began = virtual_clari_time(clari, post_began);
	assert_int_equal(virtual_clari_run(clari), expected);
}

/* The server was down for an hour, and a colleague went on. */
static void
resumes_with_the_job_of_its_own_time(void **state)
{
	VirtualClari *clari = *state;
	VirtualJob *ours;

	clari->rules.request_timeout = SECONDS(120);
	start_job_of_another(clari, OUR_FILE, VIRTUAL_START - SECONDS(3700));
	ours = start_job_of_another(clari, OUR_FILE, VIRTUAL_START - SECONDS(3590));
	start_job_of_another(clari, OUR_FILE, VIRTUAL_START - SECONDS(3000));
	resume(clari, VIRTUAL_START - SECONDS(3600), OUTCOME_DONE);
	assert_true(clari->export.adopted);
	assert_string_equal(clari->export.job_id, ours->job_id);
}

static void
resumes_without_a_job_of_its_own_time(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.request_timeout = SECONDS(120);
	start_job_of_another(clari, OUR_FILE, VIRTUAL_START - SECONDS(3700));
	start_job_of_another(clari, OUR_FILE, VIRTUAL_START - SECONDS(3000));
	resume(clari, VIRTUAL_START - SECONDS(3600), OUTCOME_DONE);
	assert_false(clari->export.adopted);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
}

/* It was the second one that was under way: nothing more is submitted. */
static void
resumes_the_second_submission_without_a_third(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_prepare(clari, GOAL_RESUME_UNKNOWN, NULL);
	clari->export.submitted_at = clari->now;
	clari->export.has_baseline = true;
	clari->export.lost_submissions = 1;
	assert_int_equal(virtual_clari_run(clari), OUTCOME_UNAVAILABLE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 0);
}

/* Held between the two, it looks for the first one's job before it sends the second. */
static void
goes_on_after_a_hold_with_what_was_lost(void **state)
{
	VirtualClari *clari = *state;
	const char *job_id = virtual_clari_add_job(clari, "FORECAST", OUR_FILE);

	virtual_clari_prepare(clari, GOAL_EXPORT, NULL);
	clari->export.has_baseline = true;
	clari->export.lost_submissions = 1;
	clari->export.post_began = virtual_clari_time(clari, VIRTUAL_START - SECONDS(60));
	assert_int_equal(virtual_clari_run(clari), OUTCOME_DONE);
	check_sequence(clari, "jppppr");
	assert_true(clari->export.adopted);
	assert_string_equal(clari->export.job_id, job_id);
}

static void
loses_the_second_after_a_hold_for_good(void **state)
{
	VirtualClari *clari = *state;

	virtual_clari_prepare(clari, GOAL_EXPORT, NULL);
	clari->export.has_baseline = true;
	clari->export.lost_submissions = 1;
	clari->rules.give_way = true;
	virtual_clari_always(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	assert_int_equal(virtual_clari_run(clari), OUTCOME_UNAVAILABLE);
	assert_int_equal(virtual_clari_count(clari, REQUEST_SUBMIT), 1);
}

/* The window begins with the first submission, whatever came after it. */
static void
keeps_when_the_first_began(void **state)
{
	VirtualClari *clari = *state;
	int64_t		began;

	virtual_clari_always(clari, REQUEST_SUBMIT, answer_failed(DELIVERY_LOST));
	run_export(clari, OUTCOME_UNAVAILABLE);
	began = virtual_clari_time(clari, virtual_clari_sent_at(clari, REQUEST_SUBMIT, 0));
	assert_true(clari->export.post_began <= began && began - clari->export.post_began < 1000);
}

/* ----------
 * After a full job queue
 * ----------
 */

static void
asks_for_a_place_before_it_submits(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.give_way = true;
	clari->available_concurrent_limit = 0;
	virtual_clari_prepare(clari, GOAL_EXPORT, NULL);
	clari->export.asks_limits = true;
	assert_int_equal(virtual_clari_run(clari), OUTCOME_QUEUE_FULL);
	check_sequence(clari, "l");
	assert_true(clari->action.postponed);
	assert_int_equal(clari->action.hold, HOLD_QUEUE_FULL);
}

static void
submits_where_there_is_a_place(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.give_way = true;
	virtual_clari_prepare(clari, GOAL_EXPORT, NULL);
	clari->export.asks_limits = true;
	assert_int_equal(virtual_clari_run(clari), OUTCOME_DONE);
	check_sequence(clari, "ljSppppr");
}

static void
does_not_submit_with_the_quota_used_up(void **state)
{
	VirtualClari *clari = *state;

	clari->rules.give_way = true;
	clari->available_monthly_quota = 0;
	virtual_clari_prepare(clari, GOAL_EXPORT, NULL);
	clari->export.asks_limits = true;
	assert_int_equal(virtual_clari_run(clari), OUTCOME_QUOTA_EXHAUSTED);
	check_sequence(clari, "l");
	assert_int_equal(clari->action.hold, HOLD_QUOTA);
}

int
main(void)
{
	const struct CMUnitTest lost[] = {
		SCENARIO(does_not_take_a_job_in_another_currency),
		SCENARIO(takes_its_own_beside_one_in_another_currency),
		SCENARIO(does_not_take_a_job_that_started_later),
		SCENARIO(does_not_take_a_job_that_started_before),
		SCENARIO(takes_its_own_beside_one_that_started_later),
		SCENARIO(is_undecided_between_two_of_the_same_time),
		SCENARIO(takes_a_job_of_the_whole_submission),
		SCENARIO(does_not_take_an_older_job_that_slid_into_the_list),
		SCENARIO(knows_no_better_without_a_date),
		SCENARIO(takes_a_job_without_a_start_time),
		SCENARIO(takes_its_own_without_a_date),
		SCENARIO(reads_the_time_from_clari_s_clock),
		SCENARIO(takes_its_own_after_a_slow_list),
		SCENARIO(takes_nothing_of_another_time_when_clari_sets_its_clock),
		SCENARIO(believes_the_newest_date_when_clari_sets_its_clock),
		SCENARIO(narrows_the_clock_by_each_date),
		SCENARIO(takes_a_job_whose_name_does_not_say_forecast),
		SCENARIO(does_not_take_one_of_another_quarter),
		SCENARIO(is_undecided_between_its_own_two),
		SCENARIO(knows_what_was_known_before_the_first),
		SCENARIO(submits_twice_at_most_behind_a_502_and_a_slow_list),
		SCENARIO(resumes_with_the_job_of_its_own_time),
		SCENARIO(resumes_without_a_job_of_its_own_time),
		SCENARIO(resumes_the_second_submission_without_a_third),
		SCENARIO(goes_on_after_a_hold_with_what_was_lost),
		SCENARIO(loses_the_second_after_a_hold_for_good),
		SCENARIO(keeps_when_the_first_began),
		SCENARIO(asks_for_a_place_before_it_submits),
		SCENARIO(submits_where_there_is_a_place),
		SCENARIO(does_not_submit_with_the_quota_used_up),
	};

	return cmocka_run_group_tests(lost, NULL, NULL);
}
