/*
 * test_lane_rules.c
 *		When a request of one API key may go out.
 */
#include "unit.h"

#include "core/lane_rules.h"
#include "core/retry_after.h"

#define NOW SECONDS(1000000)

static const LaneLimits default_limits = {
	.backoff = {SECONDS(5), 1.5, SECONDS(60)},
	.submit_interval = SECONDS(10),
	.max_requests_per_second = 10,
	.max_concurrent_exports = 1,
};

static void
check_verdict(LaneVerdict verdict, HoldReason reason, Instant until)
{
	assert_string_equal(hold_reason_name(verdict.reason), hold_reason_name(reason));
	assert_int_equal(verdict.until, until);
}

static void
check_request(LaneState *lane, bool submits, Instant now, HoldReason reason, Instant until)
{
	check_verdict(lane_admit_request(lane, &default_limits, submits, NULL, now), reason, until);
}

static void
check_export(LaneState *lane, Instant now, HoldReason reason, Instant until)
{
	check_verdict(lane_export_verdict(lane, &default_limits, default_limits.submit_interval, now), reason, until);
	check_verdict(lane_admit_export(lane, &default_limits, default_limits.submit_interval, now), reason, until);
}

/* ----------
 * Requests per second
 * ----------
 */

/* Send as fast as the lane lets us; no window may hold more than the limit. */
static void
check_rate(int per_second)
{
	LaneLimits	limits = default_limits;
	LaneState	lane = {0};
	Instant		sent[1000];
	Instant		now = NOW;
	int			in_window = per_second < LANE_RECENT_REQUESTS ? per_second : LANE_RECENT_REQUESTS;

	limits.max_requests_per_second = per_second;
	for (int i = 0; i < 1000; i++)
	{
		LaneVerdict verdict = lane_admit_request(&lane, &limits, false, NULL, now);

		if (verdict.reason != HOLD_NONE)
		{
			assert_int_equal(verdict.reason, HOLD_PACE);
			assert_true(verdict.until > now);
			now = verdict.until;
			verdict = lane_admit_request(&lane, &limits, false, NULL, now);
		}
		assert_int_equal(verdict.reason, HOLD_NONE);
		sent[i] = now;
		if (i >= in_window)
			assert_true(sent[i] - sent[i - in_window] >= SECONDS(1) * in_window / per_second);
		now += i % 7 * MILLISECONDS(1);
	}
}

static void
keeps_to_requests_per_second(void **state)
{
	(void) state;
	check_rate(1);
	check_rate(10);
	check_rate(63);
}

static void
keeps_to_more_requests_than_it_remembers(void **state)
{
	(void) state;
	check_rate(64);
	check_rate(65);
	check_rate(1000);
}

static void
lets_a_burst_through_and_then_waits_exactly(void **state)
{
	LaneState	lane = {0};

	(void) state;
	for (int i = 0; i < 10; i++)
		check_request(&lane, false, NOW + i, HOLD_NONE, NOW + i);
	check_request(&lane, false, NOW + 10, HOLD_PACE, NOW + SECONDS(1));
	check_request(&lane, true, NOW + 10, HOLD_PACE, NOW + SECONDS(1));
	check_request(&lane, false, NOW + SECONDS(1) - 1, HOLD_PACE, NOW + SECONDS(1));
	check_request(&lane, false, NOW + SECONDS(1), HOLD_NONE, NOW + SECONDS(1));
	check_request(&lane, false, NOW + SECONDS(1), HOLD_PACE, NOW + SECONDS(1) + 1);
}

static void
does_not_count_what_it_held_back(void **state)
{
	LaneState	lane = {0};

	(void) state;
	for (int i = 0; i < 10; i++)
		check_request(&lane, false, NOW, HOLD_NONE, NOW);
	for (int i = 0; i < 100; i++)
		check_request(&lane, false, NOW + i, HOLD_PACE, NOW + SECONDS(1));
	for (int i = 0; i < 10; i++)
		check_request(&lane, false, NOW + SECONDS(1), HOLD_NONE, NOW + SECONDS(1));
}

/* ----------
 * Turns
 * ----------
 */

/* One asks a thousand times a second; the others get their turns all the same. */
static void
gives_turns_in_the_order_of_asking(void **state)
{
	LaneLimits	limits = default_limits;
	LaneState	lane = {0};
	LaneTurn	turns[4] = {{0, 0}};
	int			sent[4] = {0};

	(void) state;
	limits.max_requests_per_second = 1;
	for (Instant now = NOW; now < NOW + SECONDS(400); now += MILLISECONDS(1))
		for (int i = 0; i < 4; i++)
			if ((i == 0 || now % MILLISECONDS(20) == 0) &&
				lane_admit_request(&lane, &limits, false, &turns[i], now).reason == HOLD_NONE)
				sent[i]++;
	for (int i = 0; i < 4; i++)
		assert_in_range(sent[i], 90, 110);
	assert_in_range(sent[0] + sent[1] + sent[2] + sent[3], 380, 401);
}

static void
keeps_a_turn_until_its_moment(void **state)
{
	LaneLimits	limits = default_limits;
	LaneState	lane = {0};
	LaneTurn	first = {0, 0};
	LaneTurn	second = {0, 0};

	(void) state;
	limits.max_requests_per_second = 1;
	check_verdict(lane_admit_request(&lane, &limits, false, &first, NOW), HOLD_NONE, NOW);
	check_verdict(lane_admit_request(&lane, &limits, false, &first, NOW), HOLD_PACE, NOW + SECONDS(1));
	check_verdict(lane_admit_request(&lane, &limits, false, &second, NOW), HOLD_PACE, NOW + SECONDS(2));
	check_verdict(lane_admit_request(&lane, &limits, false, &first, NOW), HOLD_PACE, NOW + SECONDS(1));
	check_verdict(lane_admit_request(&lane, &limits, false, &second, NOW + SECONDS(2)), HOLD_NONE, NOW + SECONDS(2));
	check_verdict(lane_admit_request(&lane, &limits, false, &first, NOW + SECONDS(2)), HOLD_PACE, NOW + SECONDS(3));
	check_verdict(lane_admit_request(&lane, &limits, false, &first, NOW + SECONDS(3)), HOLD_NONE, NOW + SECONDS(3));
}

/* After a hold whoever asks first goes first; nobody waits for turns of those who left. */
static void
takes_turns_back_when_a_hold_begins(void **state)
{
	LaneLimits	limits = default_limits;
	LaneState	lane = {0};
	LaneTurn	turns[5] = {{0, 0}};
	Instant		until = NOW + SECONDS(10);

	(void) state;
	limits.max_requests_per_second = 1;
	for (int i = 0; i < 5; i++)
		lane_admit_request(&lane, &limits, false, &turns[i], NOW);
	lane_rate_limited(&lane, &limits, SECONDS(10), 0, NOW);
	check_verdict(lane_admit_request(&lane, &limits, false, &turns[4], NOW), HOLD_RATE_LIMITED, until);
	check_verdict(lane_admit_request(&lane, &limits, false, &turns[4], until), HOLD_NONE, until);
	check_verdict(lane_admit_request(&lane, &limits, false, &turns[1], until), HOLD_PACE, until + SECONDS(1));
}

/* ----------
 * Rate limits
 * ----------
 */

static void
holds_exactly_as_long_as_retry_after(void **state)
{
	LaneState	lane = {0};
	Instant		until = NOW + SECONDS(120);

	(void) state;
	assert_int_equal(lane_rate_limited(&lane, &default_limits, SECONDS(120), UINT32_MAX, NOW), until);
	check_request(&lane, false, NOW, HOLD_RATE_LIMITED, until);
	check_request(&lane, true, until - 1, HOLD_RATE_LIMITED, until);
	check_export(&lane, until - 1, HOLD_RATE_LIMITED, until);
	check_request(&lane, false, until, HOLD_NONE, until);
	check_export(&lane, until, HOLD_NONE, until);
}

static void
goes_on_at_once_after_retry_after_zero(void **state)
{
	LaneState	lane = {0};

	(void) state;
	assert_int_equal(lane_rate_limited(&lane, &default_limits, 0, UINT32_MAX, NOW), NOW);
	check_request(&lane, false, NOW, HOLD_NONE, NOW);
}

static void
takes_more_than_a_day_for_a_day(void **state)
{
	Duration	waits[] = {SECONDS(86400), SECONDS(86401), SECONDS(9999999999), DURATION_MAX};
	Instant		until = NOW + SECONDS(86400);

	(void) state;
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
	{
		LaneState	lane = {0};
		LaneState	restored = {0};

		assert_int_equal(lane_rate_limited(&lane, &default_limits, waits[i], 0, NOW), until);
		check_request(&lane, false, until - 1, HOLD_RATE_LIMITED, until);
		check_request(&lane, false, until, HOLD_NONE, until);
		lane_hold_until(&restored, NOW + waits[i], NOW);
		check_request(&restored, false, until - 1, HOLD_RATE_LIMITED, until);
	}
}

static void
lifts_every_hold(void **state)
{
	LaneState	lane = {0};

	(void) state;
	lane_rate_limited(&lane, &default_limits, SECONDS(120), 0, NOW);
	lane_hold_submissions(&lane, &default_limits, HOLD_QUOTA, 0, NOW);
	assert_int_equal(lane_held_until(&lane), NOW + SECONDS(120));
	lane_lift_holds(&lane);
	check_request(&lane, true, NOW, HOLD_NONE, NOW);
	check_request(&lane, true, NOW + 1, HOLD_NONE, NOW + 1);
	check_export(&lane, NOW, HOLD_NONE, NOW);
}

static void
keeps_the_longest_of_several_holds(void **state)
{
	LaneState	lane = {0};

	(void) state;
	lane_rate_limited(&lane, &default_limits, SECONDS(120), 0, NOW);
	assert_int_equal(lane_rate_limited(&lane, &default_limits, SECONDS(2), 0, NOW), NOW + SECONDS(120));
	assert_int_equal(lane_rate_limited(&lane, &default_limits, SECONDS(200), 0, NOW), NOW + SECONDS(200));
}

static void
backs_off_where_clari_names_no_time(void **state)
{
	LaneState	lane = {0};
	Instant		now = NOW;

	(void) state;
	for (int n = 0; n < 60; n++)
	{
		Instant		until = lane_rate_limited(&lane, &default_limits, RETRY_AFTER_NONE, 0, now);

		assert_int_equal(until - now, backoff_delay(&default_limits.backoff, n));
		check_request(&lane, false, until - 1, HOLD_RATE_LIMITED, until);
		check_request(&lane, false, until, HOLD_NONE, until);
		now = until;
	}
}

static void
spreads_the_backoff_by_jitter(void **state)
{
	LaneState	lane = {0};

	(void) state;
	assert_int_equal(lane_rate_limited(&lane, &default_limits, RETRY_AFTER_NONE, UINT32_MAX, NOW),
					 NOW + MILLISECONDS(6250));
}

static void
restarts_the_backoff_after_an_answer(void **state)
{
	LaneState	lane = {0};
	Instant		until = NOW;

	(void) state;
	for (int n = 0; n < 5; n++)
		until = lane_rate_limited(&lane, &default_limits, RETRY_AFTER_NONE, 0, until);
	lane_answered(&lane, until);
	assert_int_equal(lane_rate_limited(&lane, &default_limits, RETRY_AFTER_NONE, 0, until), until + SECONDS(5));
}

/* An answer that was under way does not lift what a 429 said meanwhile. */
static void
keeps_the_hold_after_an_answer(void **state)
{
	LaneState	lane = {0};

	(void) state;
	lane_rate_limited(&lane, &default_limits, SECONDS(120), 0, NOW);
	lane_answered(&lane, NOW);
	check_request(&lane, false, NOW + 1, HOLD_RATE_LIMITED, NOW + SECONDS(120));
}

static void
takes_one_step_for_several_429s_together(void **state)
{
	LaneState	lane = {0};

	(void) state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(lane_rate_limited(&lane, &default_limits, RETRY_AFTER_NONE, 0, NOW + i), NOW + SECONDS(5));
	assert_int_equal(lane_rate_limited(&lane, &default_limits, RETRY_AFTER_NONE, 0, NOW + SECONDS(5)),
					 NOW + MILLISECONDS(12500));
}

/* ----------
 * Submissions
 * ----------
 */

static void
holds_submissions_and_nothing_else(void **state)
{
	LaneState	lane = {0};
	Instant		until = NOW + SECONDS(5);

	(void) state;
	assert_int_equal(lane_hold_submissions(&lane, &default_limits, HOLD_QUEUE_FULL, 0, NOW), until);
	check_request(&lane, false, NOW, HOLD_NONE, NOW);
	check_request(&lane, true, NOW, HOLD_QUEUE_FULL, until);
	check_request(&lane, true, until - 1, HOLD_QUEUE_FULL, until);
	check_export(&lane, until - 1, HOLD_QUEUE_FULL, until);
	check_request(&lane, true, until, HOLD_NONE, until);
	check_export(&lane, until, HOLD_NONE, until);
}

static void
tells_why_submissions_are_held(void **state)
{
	LaneState	lane = {0};

	(void) state;
	lane_hold_submissions(&lane, &default_limits, HOLD_QUOTA, 0, NOW);
	check_request(&lane, true, NOW, HOLD_QUOTA, NOW + SECONDS(5));
	lane_hold_submissions(&lane, &default_limits, HOLD_UNAVAILABLE, 0, NOW);
	check_request(&lane, true, NOW, HOLD_UNAVAILABLE, NOW + MILLISECONDS(7500));
}

static void
backs_off_refused_submissions(void **state)
{
	LaneState	lane = {0};
	Instant		now = NOW;

	(void) state;
	for (int n = 0; n < 60; n++)
	{
		Instant		until = lane_hold_submissions(&lane, &default_limits, HOLD_QUEUE_FULL, 0, now);

		assert_int_equal(until - now, backoff_delay(&default_limits.backoff, n));
		now = until;
	}
	assert_in_range(lane_hold_submissions(&lane, &default_limits, HOLD_QUEUE_FULL, UINT32_MAX, now) - now,
					SECONDS(60), SECONDS(60));
}

static void
lifts_the_hold_when_clari_accepts(void **state)
{
	LaneState	lane = {0};

	(void) state;
	lane_hold_submissions(&lane, &default_limits, HOLD_QUEUE_FULL, 0, NOW);
	lane_hold_submissions(&lane, &default_limits, HOLD_QUEUE_FULL, 0, NOW);
	lane_submission_accepted(&lane);
	check_request(&lane, true, NOW, HOLD_NONE, NOW);
	assert_int_equal(lane_hold_submissions(&lane, &default_limits, HOLD_QUEUE_FULL, 0, NOW), NOW + SECONDS(5));
}

static void
does_not_lift_a_rate_limit_when_clari_accepts(void **state)
{
	LaneState	lane = {0};

	(void) state;
	lane_rate_limited(&lane, &default_limits, SECONDS(120), 0, NOW);
	lane_submission_accepted(&lane);
	check_request(&lane, true, NOW, HOLD_RATE_LIMITED, NOW + SECONDS(120));
}

/* ----------
 * Places
 * ----------
 */

static void
lets_one_export_in_at_a_time(void **state)
{
	LaneState	lane = {0};

	(void) state;
	check_export(&lane, NOW, HOLD_NONE, NOW);
	lane_submission_settled(&lane);
	check_export(&lane, NOW, HOLD_LANE_IN_USE, INSTANT_NEVER);
	lane_leave(&lane, false, NOW);
	check_export(&lane, NOW, HOLD_NONE, NOW);
}

static void
lets_as_many_exports_in_as_there_are_places(void **state)
{
	LaneLimits	limits = default_limits;
	LaneState	lane = {0};

	(void) state;
	limits.max_concurrent_exports = 3;
	for (int i = 0; i < 3; i++)
	{
		check_verdict(lane_admit_export(&lane, &limits, 0, NOW), HOLD_NONE, NOW);
		lane_submission_settled(&lane);
	}
	check_verdict(lane_admit_export(&lane, &limits, 0, NOW), HOLD_LANE_IN_USE, INSTANT_NEVER);
	lane_leave(&lane, false, NOW);
	check_verdict(lane_admit_export(&lane, &limits, 0, NOW), HOLD_NONE, NOW);
}

static void
waits_for_an_open_submission(void **state)
{
	LaneLimits	limits = default_limits;
	LaneState	lane = {0};

	(void) state;
	limits.max_concurrent_exports = 2;
	check_verdict(lane_admit_export(&lane, &limits, 0, NOW), HOLD_NONE, NOW);
	check_verdict(lane_admit_export(&lane, &limits, 0, NOW), HOLD_UNKNOWN_SUBMISSION, INSTANT_NEVER);
	check_request(&lane, false, NOW, HOLD_NONE, NOW);
	lane_submission_settled(&lane);
	check_verdict(lane_admit_export(&lane, &limits, 0, NOW), HOLD_NONE, NOW);
}

static void
takes_in_every_export_that_is_at_clari(void **state)
{
	LaneState	lane = {0};

	(void) state;
	lane_join(&lane, false);
	lane_join(&lane, true);
	check_export(&lane, NOW, HOLD_LANE_IN_USE, INSTANT_NEVER);
	lane_leave(&lane, false, NOW);
	lane_leave(&lane, false, NOW);
	check_export(&lane, NOW, HOLD_UNKNOWN_SUBMISSION, INSTANT_NEVER);
	lane_submission_settled(&lane);
	check_export(&lane, NOW, HOLD_NONE, NOW);
}

static void
looks_without_taking_a_place(void **state)
{
	LaneState	lane = {0};

	(void) state;
	for (int i = 0; i < 3; i++)
		check_verdict(lane_export_verdict(&lane, &default_limits, 0, NOW), HOLD_NONE, NOW);
	assert_int_equal(lane.exports, 0);
	assert_int_equal(lane.open_submissions, 0);
}

static void
pauses_after_an_export_ended(void **state)
{
	LaneState	lane = {0};

	(void) state;
	lane_join(&lane, false);
	lane_leave(&lane, true, NOW);
	check_export(&lane, NOW, HOLD_INTERVAL, NOW + SECONDS(10));
	check_export(&lane, NOW + SECONDS(10) - 1, HOLD_INTERVAL, NOW + SECONDS(10));
	check_request(&lane, false, NOW, HOLD_NONE, NOW);
	check_export(&lane, NOW + SECONDS(10), HOLD_NONE, NOW + SECONDS(10));
}

static void
takes_another_interval_where_it_is_given(void **state)
{
	LaneState	lane = {0};

	(void) state;
	lane_join(&lane, false);
	lane_leave(&lane, true, NOW);
	check_verdict(lane_export_verdict(&lane, &default_limits, 0, NOW), HOLD_NONE, NOW);
	check_verdict(lane_export_verdict(&lane, &default_limits, SECONDS(30), NOW), HOLD_INTERVAL, NOW + SECONDS(30));
}

/* Also at the moment zero: the lane remembers that there was an export. */
static void
makes_no_pause_before_the_first_export(void **state)
{
	LaneState	lane = {0};

	(void) state;
	check_verdict(lane_export_verdict(&lane, &default_limits, SECONDS(10), 0), HOLD_NONE, 0);
	lane_join(&lane, false);
	lane_leave(&lane, true, 0);
	check_verdict(lane_export_verdict(&lane, &default_limits, SECONDS(10), 0), HOLD_INTERVAL, SECONDS(10));
}

static void
is_idle_only_when_forgetting_loses_nothing(void **state)
{
	LaneState	lane = {0};

	(void) state;
	assert_true(lane_is_idle(&lane, NOW));
	lane_join(&lane, true);
	assert_false(lane_is_idle(&lane, NOW));
	lane_leave(&lane, false, NOW);
	assert_false(lane_is_idle(&lane, NOW));
	lane_submission_settled(&lane);
	assert_true(lane_is_idle(&lane, NOW));
	lane_rate_limited(&lane, &default_limits, SECONDS(5), 0, NOW);
	assert_false(lane_is_idle(&lane, NOW + SECONDS(5) - 1));
	assert_true(lane_is_idle(&lane, NOW + SECONDS(5)));
	lane_hold_submissions(&lane, &default_limits, HOLD_QUOTA, 0, NOW + SECONDS(5));
	assert_false(lane_is_idle(&lane, NOW + SECONDS(10) - 1));
	assert_true(lane_is_idle(&lane, NOW + SECONDS(10)));
}

static void
names_every_reason(void **state)
{
	(void) state;
	for (HoldReason reason = HOLD_NONE; reason <= HOLD_PAUSED; reason++)
		assert_string_not_equal(hold_reason_name(reason), "unknown");
	assert_string_equal(hold_reason_name(HOLD_RATE_LIMITED), "rate limited");
	assert_string_equal(hold_reason_name(HOLD_QUEUE_FULL), "job queue full");
	assert_string_equal(hold_reason_name(HOLD_QUOTA), "monthly quota used up");
	assert_string_equal(hold_reason_name(HOLD_PAUSED), "paused");
}

int
main(void)
{
	const struct CMUnitTest lane_rules[] = {
		cmocka_unit_test(keeps_to_requests_per_second),
		cmocka_unit_test(keeps_to_more_requests_than_it_remembers),
		cmocka_unit_test(lets_a_burst_through_and_then_waits_exactly),
		cmocka_unit_test(does_not_count_what_it_held_back),
		cmocka_unit_test(gives_turns_in_the_order_of_asking),
		cmocka_unit_test(keeps_a_turn_until_its_moment),
		cmocka_unit_test(takes_turns_back_when_a_hold_begins),
		cmocka_unit_test(holds_exactly_as_long_as_retry_after),
		cmocka_unit_test(goes_on_at_once_after_retry_after_zero),
		cmocka_unit_test(takes_more_than_a_day_for_a_day),
		cmocka_unit_test(lifts_every_hold),
		cmocka_unit_test(keeps_the_longest_of_several_holds),
		cmocka_unit_test(backs_off_where_clari_names_no_time),
		cmocka_unit_test(spreads_the_backoff_by_jitter),
		cmocka_unit_test(restarts_the_backoff_after_an_answer),
		cmocka_unit_test(keeps_the_hold_after_an_answer),
		cmocka_unit_test(takes_one_step_for_several_429s_together),
		cmocka_unit_test(holds_submissions_and_nothing_else),
		cmocka_unit_test(tells_why_submissions_are_held),
		cmocka_unit_test(backs_off_refused_submissions),
		cmocka_unit_test(lifts_the_hold_when_clari_accepts),
		cmocka_unit_test(does_not_lift_a_rate_limit_when_clari_accepts),
		cmocka_unit_test(lets_one_export_in_at_a_time),
		cmocka_unit_test(lets_as_many_exports_in_as_there_are_places),
		cmocka_unit_test(waits_for_an_open_submission),
		cmocka_unit_test(takes_in_every_export_that_is_at_clari),
		cmocka_unit_test(looks_without_taking_a_place),
		cmocka_unit_test(pauses_after_an_export_ended),
		cmocka_unit_test(takes_another_interval_where_it_is_given),
		cmocka_unit_test(makes_no_pause_before_the_first_export),
		cmocka_unit_test(is_idle_only_when_forgetting_loses_nothing),
		cmocka_unit_test(names_every_reason),
	};

	return cmocka_run_group_tests(lane_rules, NULL, NULL);
}
