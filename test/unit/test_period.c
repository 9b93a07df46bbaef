/*
 * test_period.c
 *		Fiscal quarters: their names, their order, and the months in them.
 */
#include "unit.h"

#include "core/period.h"

static const char *
name(Period period)
{
	static char text[PERIOD_TEXT_SIZE];

	period_write(period, text);
	return text;
}

static bool
is_period(const char *text)
{
	Period		period;

	return period_read(text, strlen(text), &period);
}

static void
follows_the_calendar_where_the_fiscal_year_does(void **state)
{
	(void) state;
	assert_string_equal(name(period_of_month(2026, 1, 1)), "2026_Q1");
	assert_string_equal(name(period_of_month(2026, 3, 1)), "2026_Q1");
	assert_string_equal(name(period_of_month(2026, 4, 1)), "2026_Q2");
	assert_string_equal(name(period_of_month(2026, 9, 1)), "2026_Q3");
	assert_string_equal(name(period_of_month(2026, 12, 1)), "2026_Q4");
}

static void
names_a_fiscal_year_after_the_year_it_ends_in(void **state)
{
	(void) state;
	assert_string_equal(name(period_of_month(2026, 1, 2)), "2026_Q4");
	assert_string_equal(name(period_of_month(2026, 2, 2)), "2027_Q1");
	assert_string_equal(name(period_of_month(2027, 1, 2)), "2027_Q4");
	assert_string_equal(name(period_of_month(2026, 11, 12)), "2026_Q4");
	assert_string_equal(name(period_of_month(2026, 12, 12)), "2027_Q1");
}

/* Month by month, a quarter lasts three months and the next one follows. */
static void
has_no_gap_between_quarters(void **state)
{
	(void) state;
	for (int first_month = 1; first_month <= 12; first_month++)
	{
		Period		expected = period_of_month(2020, first_month, first_month);

		assert_int_equal(expected.quarter, 1);
		for (int month = 0; month < 48; month++)
		{
			int			calendar_month = first_month - 1 + month;
			Period		period = period_of_month(2020 + calendar_month / 12, calendar_month % 12 + 1,
												 first_month);

			if (month > 0 && month % 3 == 0)
				expected = period_next(expected);
			assert_int_equal(period_compare(period, expected), 0);
		}
	}
}

static void
reads_what_it_writes(void **state)
{
	Period		period = {1, 1};
	int			n = 0;

	(void) state;
	for (; period.year <= PERIOD_LAST_YEAR; period = period_next(period), n++)
	{
		Period		again;

		assert_true(period_read(name(period), PERIOD_TEXT_SIZE - 1, &again));
		assert_int_equal(period_compare(period, again), 0);
	}
	assert_int_equal(n, 4 * PERIOD_LAST_YEAR);
}

static void
reads_no_more_than_the_given_length(void **state)
{
	Period		period;

	(void) state;
	assert_true(period_read("2026_Q3 and more", 7, &period));
	assert_false(period_read("2026_Q3", 6, &period));
}

static void
refuses_what_is_no_period(void **state)
{
	static const char *const texts[] = {
		"", "2026", "2026_Q", "2026_Q0", "2026_Q5", "2026-Q3", "2026_q3", "2026Q3", "26_Q3", "02026_Q3",
		"2026_Q3 ", " 2026_Q3", "2026_Q33", "0000_Q1", "2o26_Q1", "-026_Q1", "2026_3Q", "Q3_2026",
	};

	(void) state;
	for (int i = 0; i < (int) (sizeof(texts) / sizeof(texts[0])); i++)
		assert_false(is_period(texts[i]));
}

static void
compares_by_year_then_quarter(void **state)
{
	(void) state;
	assert_true(period_compare((Period) {2025, 4}, (Period) {2026, 1}) < 0);
	assert_true(period_compare((Period) {2026, 1}, (Period) {2025, 4}) > 0);
	assert_true(period_compare((Period) {2026, 1}, (Period) {2026, 2}) < 0);
	assert_int_equal(period_compare((Period) {2026, 3}, (Period) {2026, 3}), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_calendar_where_the_fiscal_year_does),
		cmocka_unit_test(names_a_fiscal_year_after_the_year_it_ends_in),
		cmocka_unit_test(has_no_gap_between_quarters),
		cmocka_unit_test(reads_what_it_writes),
		cmocka_unit_test(reads_no_more_than_the_given_length),
		cmocka_unit_test(refuses_what_is_no_period),
		cmocka_unit_test(compares_by_year_then_quarter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
