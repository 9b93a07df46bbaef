/*
 * test_backoff.c
 *		How long to wait after the n-th try.
 */
#include "unit.h"

#include <limits.h>

#include "core/backoff.h"

/* Clari's reference client: 5 s, half as much more each time, at most 60 s. */
static const Backoff reference = {SECONDS(5), 1.5, SECONDS(60)};

static void
follows_the_reference_timetable(void **state)
{
	static const Duration waits[] = {
		5000000, 7500000, 11250000, 16875000, 25312500, 37968750, 56953125, 60000000, 60000000,
	};

	(void) state;
	for (int n = 0; n < (int) (sizeof(waits) / sizeof(waits[0])); n++)
		assert_int_equal(backoff_delay(&reference, n), waits[n]);
}

static void
stays_at_its_maximum(void **state)
{
	(void) state;
	for (int n = 7; n < 60; n++)
		assert_int_equal(backoff_delay(&reference, n), SECONDS(60));
	assert_int_equal(backoff_delay(&reference, INT_MAX), SECONDS(60));
}

static void
does_not_grow_with_a_multiplier_of_one(void **state)
{
	Backoff		constant = {SECONDS(5), 1, SECONDS(60)};

	(void) state;
	assert_int_equal(backoff_delay(&constant, 0), SECONDS(5));
	assert_int_equal(backoff_delay(&constant, 59), SECONDS(5));
	assert_int_equal(backoff_delay(&constant, INT_MAX), SECONDS(5));
}

static void
is_cut_at_a_maximum_below_its_base(void **state)
{
	Backoff		cut = {SECONDS(5), 1.5, SECONDS(2)};

	(void) state;
	assert_int_equal(backoff_delay(&cut, 0), SECONDS(2));
	assert_int_equal(backoff_delay_with_jitter(&cut, 0, UINT32_MAX), SECONDS(2));
}

static void
keeps_the_shape_in_milliseconds(void **state)
{
	Backoff		scaled = {MILLISECONDS(5), 1.5, MILLISECONDS(60)};

	(void) state;
	for (int n = 0; n < 12; n++)
		assert_in_range(backoff_delay(&reference, n) - backoff_delay(&scaled, n) * 1000, 0, 999);
}

static void
survives_the_largest_options(void **state)
{
	Backoff		steep = {SECONDS(86400), 100, SECONDS(86400)};
	Backoff		endless = {SECONDS(86400), 100, DURATION_MAX};

	(void) state;
	assert_int_equal(backoff_delay(&steep, 99999), SECONDS(86400));
	assert_int_equal(backoff_delay(&endless, 99999), DURATION_MAX);
}

static void
has_no_jitter_at_random_zero(void **state)
{
	(void) state;
	for (int n = 0; n < 60; n++)
		assert_int_equal(backoff_delay_with_jitter(&reference, n, 0), backoff_delay(&reference, n));
}

static void
has_jitter_of_at_most_a_quarter(void **state)
{
	(void) state;
	assert_int_equal(backoff_delay_with_jitter(&reference, 0, UINT32_MAX), 6250000);
	assert_in_range(backoff_delay_with_jitter(&reference, 0, UINT32_MAX / 2), 5624000, 5626000);
	assert_int_equal(backoff_delay_with_jitter(&reference, 1, UINT32_MAX), 9375000);
}

static void
never_exceeds_its_maximum_by_jitter(void **state)
{
	(void) state;
	for (int n = 0; n < 60; n++)
		for (uint64_t random = 0; random <= UINT32_MAX; random += UINT32_MAX / 16)
			assert_in_range(backoff_delay_with_jitter(&reference, n, (uint32_t) random),
							backoff_delay(&reference, n), SECONDS(60));
}

int
main(void)
{
	const struct CMUnitTest backoff[] = {
		cmocka_unit_test(follows_the_reference_timetable),
		cmocka_unit_test(stays_at_its_maximum),
		cmocka_unit_test(does_not_grow_with_a_multiplier_of_one),
		cmocka_unit_test(is_cut_at_a_maximum_below_its_base),
		cmocka_unit_test(keeps_the_shape_in_milliseconds),
		cmocka_unit_test(survives_the_largest_options),
		cmocka_unit_test(has_no_jitter_at_random_zero),
		cmocka_unit_test(has_jitter_of_at_most_a_quarter),
		cmocka_unit_test(never_exceeds_its_maximum_by_jitter),
	};

	return cmocka_run_group_tests(backoff, NULL, NULL);
}
