/*
 * test_period.c
 *		Clari's time periods: fiscal quarters, written like "2026_Q3".
 */
#include "unit.h"

#include "core/period.h"

static void
check_month(int year, int month, int first_month, const char *expected)
{
	char		text[PERIOD_TEXT_SIZE];

	period_write(period_of_month(year, month, first_month), text);
	assert_string_equal(text, expected);
}

static void
finds_the_quarter_of_a_calendar_year(void **state)
{
	(void) state;
	check_month(2026, 1, 1, "2026_Q1");
	check_month(2026, 3, 1, "2026_Q1");
	check_month(2026, 4, 1, "2026_Q2");
	check_month(2026, 9, 1, "2026_Q3");
	check_month(2026, 12, 1, "2026_Q4");
}

static void
names_a_fiscal_year_after_its_end(void **state)
{
	(void) state;
	check_month(2026, 1, 2, "2026_Q4");
	check_month(2026, 2, 2, "2027_Q1");
	check_month(2026, 5, 2, "2027_Q2");
	check_month(2026, 12, 2, "2027_Q4");
	check_month(2026, 11, 12, "2026_Q4");
	check_month(2026, 12, 12, "2027_Q1");
}

static void
has_three_months_in_every_quarter(void **state)
{
	(void) state;
	for (int first_month = 1; first_month <= 12; first_month++)
	{
		int			months[5] = {0};

		for (int month = 1; month <= 12; month++)
			months[period_of_month(2026, month, first_month).quarter]++;
		for (int quarter = 1; quarter <= 4; quarter++)
			assert_int_equal(months[quarter], 3);
	}
}

static void
reads_what_it_writes(void **state)
{
	static const char *const texts[] = {"0001_Q1", "2026_Q2", "2026_Q3", "9999_Q4"};

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		char		text[PERIOD_TEXT_SIZE];
		Period		period;

		assert_true(period_read(texts[i], strlen(texts[i]), &period));
		period_write(period, text);
		assert_string_equal(text, texts[i]);
	}
}

static void
refuses_what_is_no_period(void **state)
{
	static const char *const texts[] = {
		"", "2026", "2026_Q", "2026_Q0", "2026_Q5", "2026_q3", "2026-Q3", "0000_Q1", "x026_Q3", "202x_Q3",
		"2026_Q33", " 2026_Q3", "26_Q3", "+026_Q3",
	};
	Period		period;

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (period_read(texts[i], strlen(texts[i]), &period))
			fail_msg("taken for a period: %s", texts[i]);
}

static void
reads_quarters_as_people_write_them(void **state)
{
	static const char *const second[] = {
		"2027_Q2", "2027-Q2", "2027 Q2", "2027Q2", "2027_q2", "FY27 Q2", "fy27 q2", "FY2027 Q2", "FY 27 Q2", "FY27-Q2",
		"Q2 FY27", "Q2 2027", "Q2-FY2027",
	};
	static const char *const none[] = {
		"", "FY27", "27 Q2", "Q2 27", "FY27 Q5", "FY27 Q0", "FY027 Q2", "20270 Q2", "2027 Q22", "2027 Q2 ", "July FY 2023",
		"0000_Q1", "2027_", "F27 Q2", "Q2", "FY", "2027 W2",
	};
	Period		period;

	(void) state;
	for (size_t i = 0; i < sizeof(second) / sizeof(second[0]); i++)
	{
		if (!period_read_any(second[i], strlen(second[i]), &period))
			fail_msg("not taken for a quarter: %s", second[i]);
		assert_int_equal(period.year * 10 + period.quarter, 20272);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (period_read_any(none[i], strlen(none[i]), &period))
			fail_msg("taken for a quarter: %s", none[i]);
	assert_false(period_read_any("FY27 Q2", 6, &period));
}

/* A slice of a longer text, without a NUL at its end. */
static void
reads_no_further_than_its_length(void **state)
{
	char	   *text = malloc(PERIOD_TEXT_SIZE - 1);
	Period		period;

	(void) state;
	memcpy(text, "2026_Q3", PERIOD_TEXT_SIZE - 1);
	assert_true(period_read(text, PERIOD_TEXT_SIZE - 1, &period));
	assert_int_equal(period.year, 2026);
	assert_int_equal(period.quarter, 3);
	free(text);
}

static void
counts_on_over_the_year(void **state)
{
	Period		period = {2026, 3};

	(void) state;
	period = period_next(period);
	assert_int_equal(period.year * 10 + period.quarter, 20264);
	period = period_next(period);
	assert_int_equal(period.year * 10 + period.quarter, 20271);
}

static void
compares_years_before_quarters(void **state)
{
	Period		a = {2026, 4};
	Period		b = {2027, 1};
	Period		c = {2027, 2};

	(void) state;
	assert_true(period_compare(a, b) < 0);
	assert_true(period_compare(c, b) > 0);
	assert_int_equal(period_compare(b, b), 0);
}

int
main(void)
{
	const struct CMUnitTest period[] = {
		cmocka_unit_test(finds_the_quarter_of_a_calendar_year),
		cmocka_unit_test(names_a_fiscal_year_after_its_end),
		cmocka_unit_test(has_three_months_in_every_quarter),
		cmocka_unit_test(reads_what_it_writes),
		cmocka_unit_test(refuses_what_is_no_period),
		cmocka_unit_test(reads_quarters_as_people_write_them),
		cmocka_unit_test(reads_no_further_than_its_length),
		cmocka_unit_test(counts_on_over_the_year),
		cmocka_unit_test(compares_years_before_quarters),
	};

	return cmocka_run_group_tests(period, NULL, NULL);
}
