/*
 * test_polling.c
 *		When to ask for a job the next time, going by what earlier ones took.
 */
#include "unit.h"

#include <math.h>

#include "core/polling.h"

static const Backoff reference = {SECONDS(5), 1.5, SECONDS(60)};
static uint64_t random_state = UINT64_C(88172645463325252);

/* A number between 0 and 1, neither included. */
static double
draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return ((double) (random_state >> 11) + 0.5) / 9007199254740992.0;
}

static Duration
draw_lognormal(Duration median, double sigma)
{
	double		normal = sqrt(-2 * log(draw())) * cos(2 * acos(-1) * draw());

	return (Duration) ((double) median * exp(sigma * normal));
}

static void
draw_many(Duration *durations, int n, Duration median, double sigma)
{
	for (int i = 0; i < n; i++)
		durations[i] = draw_lognormal(median, sigma);
}

/* Plan from n exports around a median. */
static PollingPlan
plan_for(int n, Duration median, double sigma)
{
	Duration	durations[POLLING_HISTORY];
	PollingPlan plan;

	draw_many(durations, n, median, sigma);
	polling_plan(&plan, &reference, durations, n);
	return plan;
}

/* How late the end is found; counts the polls. */
static Duration
follow(const PollingPlan *plan, Duration duration, int *polls)
{
	Duration	time = 0;

	for (int n = 0; time < duration; n++)
	{
		time += polling_delay(plan, n, time);
		(*polls)++;
	}
	return time - duration;
}

static Duration
median_end(const PollingPlan *plan, Duration elapsed)
{
	Duration	end = -1;

	assert_true(polling_expected_end(plan, 0.5, elapsed, &end));
	return end;
}

static void
is_the_backoff_before_three_exports_are_known(void **state)
{
	Duration	end;

	(void) state;
	for (int known = 0; known < POLLING_LEAST_HISTORY; known++)
	{
		PollingPlan plan = plan_for(known, SECONDS(45), 0.8);

		for (int n = 0; n < 20; n++)
			assert_int_equal(polling_delay(&plan, n, SECONDS(n)), backoff_delay(&reference, n));
		assert_false(polling_expected_end(&plan, 0.5, 0, &end));
	}
}

static void
finds_the_end_sooner_with_no_more_polls(void **state)
{
	Duration	late = 0;
	Duration	late_by_backoff = 0;
	int			polls = 0;
	int			polls_by_backoff = 0;

	(void) state;
	for (int i = 0; i < 2000; i++)
	{
		PollingPlan plan = plan_for(10, SECONDS(45), 0.8);
		PollingPlan backoff = plan_for(0, 0, 0);
		Duration	duration = draw_lognormal(SECONDS(45), 0.8);

		late += follow(&plan, duration, &polls);
		late_by_backoff += follow(&backoff, duration, &polls_by_backoff);
	}
	assert_true(polls <= polls_by_backoff);
	assert_true((double) late <= 0.55 * (double) late_by_backoff);
}

static void
asks_seldom_before_any_job_has_ended(void **state)
{
	Duration	durations[20];
	PollingPlan plan;

	(void) state;
	draw_many(durations, 20, SECONDS(600), 0.1);
	polling_plan(&plan, &reference, durations, 20);
	assert_int_equal(polling_delay(&plan, 0, 0), SECONDS(60));
	assert_true(polling_delay(&plan, 5, SECONDS(600)) < SECONDS(60));
}

static void
keeps_within_floor_and_cap(void **state)
{
	(void) state;
	for (int i = 0; i < 500; i++)
	{
		PollingPlan plan = plan_for(3 + i % 48, SECONDS(1) << i % 14, 0.1 * (i % 30));

		for (Duration elapsed = 0; elapsed < SECONDS(100000); elapsed = elapsed * 2 + SECONDS(1))
			assert_in_range(polling_delay(&plan, i % 4, elapsed), SECONDS(5), SECONDS(60));
	}
}

static void
gaps_grow_with_the_time_in_the_tail(void **state)
{
	PollingPlan plan = plan_for(50, SECONDS(20), 0.3);
	Duration	time = 0;
	Duration	last = 0;

	(void) state;
	assert_true(polling_expected_end(&plan, 0.99, 0, &time));
	for (int n = 10; n < 30; n++)
	{
		Duration	gap = polling_delay(&plan, n, time);

		assert_true(gap >= last);
		time += gap;
		last = gap;
	}
	assert_int_equal(last, SECONDS(60));
}

static void
is_the_same_at_any_scale(void **state)
{
	Duration	durations[10];
	Duration	scaled[10];
	Backoff		scaled_backoff = {MILLISECONDS(50), 1.5, MILLISECONDS(600)};
	PollingPlan plan;
	PollingPlan scaled_plan;

	(void) state;
	draw_many(durations, 10, SECONDS(45), 0.8);
	for (int i = 0; i < 10; i++)
		scaled[i] = durations[i] / 100;
	polling_plan(&plan, &reference, durations, 10);
	polling_plan(&scaled_plan, &scaled_backoff, scaled, 10);
	for (int i = 0; i < 200; i++)
	{
		double		delay = (double) polling_delay(&plan, i, SECONDS(i));
		double		scaled_delay = (double) polling_delay(&scaled_plan, i, SECONDS(i) / 100);

		assert_true(fabs(scaled_delay * 100 / delay - 1) < 0.02);
	}
}

/* Fifty exports at one pace, and then a few at another. */
static PollingPlan
plan_after_change(Duration before, Duration after, int n)
{
	Duration	durations[POLLING_HISTORY];
	PollingPlan plan;

	draw_many(durations, n, after, 0.2);
	draw_many(durations + n, POLLING_HISTORY - n, before, 0.2);
	polling_plan(&plan, &reference, durations, POLLING_HISTORY);
	return plan;
}

static void
notices_another_pace_within_a_few_exports(void **state)
{
	(void) state;
	for (int i = 0; i < 100; i++)
	{
		PollingPlan slower = plan_after_change(SECONDS(45), SECONDS(135), 5);
		PollingPlan faster = plan_after_change(SECONDS(45), SECONDS(15), 5);

		assert_true(median_end(&slower, 0) > SECONDS(90));
		assert_true(median_end(&faster, 0) < SECONDS(25));
	}
}

static void
one_odd_export_is_no_other_pace(void **state)
{
	Duration	durations[POLLING_HISTORY];
	PollingPlan plan;

	(void) state;
	for (int i = 0; i < 100; i++)
	{
		draw_many(durations, POLLING_HISTORY, SECONDS(45), 0.5);
		durations[0] = SECONDS(135);
		polling_plan(&plan, &reference, durations, POLLING_HISTORY);
		assert_true(median_end(&plan, 0) < SECONDS(70));
	}
}

static void
expects_the_end_where_earlier_ones_were(void **state)
{
	PollingPlan plan = plan_for(50, SECONDS(45), 0.3);
	Duration	sooner;
	Duration	later;

	(void) state;
	assert_in_range(median_end(&plan, 0), SECONDS(38), SECONDS(53));
	assert_true(polling_expected_end(&plan, 0.05, 0, &sooner));
	assert_true(polling_expected_end(&plan, 0.95, 0, &later));
	assert_true(sooner < median_end(&plan, 0) && median_end(&plan, 0) < later);
}

static void
the_expected_end_is_never_over(void **state)
{
	PollingPlan plan = plan_for(10, SECONDS(45), 0.8);
	Duration	last = 0;

	(void) state;
	for (Duration elapsed = 0; elapsed < SECONDS(100000); elapsed = elapsed * 2 + SECONDS(1))
	{
		Duration	end = median_end(&plan, elapsed);

		assert_true(end >= elapsed && end >= last);
		last = end;
	}
}

static void
survives_any_duration(void **state)
{
	static const Duration odd[] = {0, -1, INT64_MIN, INT64_MAX, 1, DURATION_MAX, SECONDS(45)};
	static const Backoff backoffs[] = {
		{SECONDS(5), 1.5, SECONDS(60)}, {MILLISECONDS(1), 1, SECONDS(86400)}, {SECONDS(5), 100, SECONDS(2)},
	};
	Duration	durations[POLLING_HISTORY];
	Duration	end;
	PollingPlan plan;

	(void) state;
	for (int i = 0; i < 3000; i++)
	{
		const Backoff *backoff = &backoffs[i % 3];
		int			n = 3 + i % 60;

		for (int j = 0; j < n && j < POLLING_HISTORY; j++)
			durations[j] = odd[(int) (draw() * (i % 7 + 1))];
		polling_plan(&plan, backoff, durations, n);
		for (int j = 0; j < 7; j++)
		{
			assert_in_range(polling_delay(&plan, j, odd[j]), instant_earlier(backoff->base, backoff->max),
							backoff->max);
			assert_true(polling_expected_end(&plan, 0.9, odd[j], &end));
			assert_true(end >= odd[j]);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_the_backoff_before_three_exports_are_known),
		cmocka_unit_test(finds_the_end_sooner_with_no_more_polls),
		cmocka_unit_test(asks_seldom_before_any_job_has_ended),
		cmocka_unit_test(keeps_within_floor_and_cap),
		cmocka_unit_test(gaps_grow_with_the_time_in_the_tail),
		cmocka_unit_test(is_the_same_at_any_scale),
		cmocka_unit_test(notices_another_pace_within_a_few_exports),
		cmocka_unit_test(one_odd_export_is_no_other_pace),
		cmocka_unit_test(expects_the_end_where_earlier_ones_were),
		cmocka_unit_test(the_expected_end_is_never_over),
		cmocka_unit_test(survives_any_duration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
