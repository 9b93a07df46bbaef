/*
 * test_forecast_text.c
 *		The texts in a forecast's result.
 */
#include "unit.h"

#include <locale.h>

#include "core/forecast_text.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof((array)[0])))

typedef struct AmountCase
{
	const char *text;
	const char *number;
	const char *currency;
} AmountCase;

static void
check_amounts(const AmountCase *cases, int n)
{
	for (int i = 0; i < n; i++)
	{
		Amount		amount;

		if (!amount_read(cases[i].text, strlen(cases[i].text), &amount))
			fail_msg("\"%s\" is not read as an amount", cases[i].text);
		assert_string_equal(amount.number, cases[i].number);
		assert_string_equal(amount.currency, cases[i].currency);
	}
}

static const AmountCase amounts[] = {
	{"$3,000,190.00", "3000190.00", ""},
	{"(1,200.50)", "-1200.50", ""},
	{"($1,200.50)", "-1200.50", ""},
	{"$(1,200.50)", "-1200.50", ""},
	{"-$1,200.50", "-1200.50", ""},
	{"$-1,200.50", "-1200.50", ""},
	{"+7", "7", ""},
	{"45%", "45", ""},
	{"-4.5 %", "-4.5", ""},
	{"(45%)", "-45", ""},
	{"0", "0", ""},
	{"0.00", "0.00", ""},
	{"$.50", "0.50", ""},
	{"-.5", "-0.5", ""},
	{"007", "007", ""},
	{"1234567.891", "1234567.891", ""},
	{"999,999", "999999", ""},
	{"  12  ", "12", ""},
	{"\xE2\x82\xAC" "1,234.50", "1234.50", ""},	/* euro */
	{"1,234.50 \xE2\x82\xAC", "1234.50", ""},
	{"\xC2\xA3" "5", "5", ""},	/* pound */
	{"\xC2\xA5" "150,000", "150000", ""},	/* yen */
	{"\xE2\x82\xB9" "5", "5", ""},	/* rupee */
	{"US$5", "5", ""},
	{"A$ 5", "5", ""},
	{"CHF 1,200.50", "1200.50", "CHF"},
	{"CHF\xC2\xA0" "1,200.50", "1200.50", "CHF"},
	{"-CHF\xE2\x80\xAF" "1", "-1", "CHF"},
	{"1,200.50 USD", "1200.50", "USD"},
	{"(1,200.50 USD)", "-1200.50", "USD"},
	{"1'234.50", "1234.50", ""},
	{"CHF 1'234'567.50", "1234567.50", "CHF"},
	{"1\xE2\x80\x99" "234", "1234", ""},	/* right quotation mark */
	{"1.234,50", "1234.50", ""},
	{"-1.234.567,5 \xE2\x82\xAC", "-1234567.5", ""},
	{"1.234,567", "1234.567", ""},
	{"1.234.567", "1234567", ""},
	{"1 234,50", "1234.50", ""},
	{"1 234 567.5", "1234567.5", ""},
	{"1\xC2\xA0" "234", "1234", ""},
	{"1\xE2\x80\xAF" "234,50 \xE2\x82\xAC", "1234.50", ""},
	{"\xE2\x82\xB9" "12,34,567.00", "1234567.00", ""},	/* lakhs */
	{"12,34,567", "1234567", ""},
};

static void
reads_amounts(void **state)
{
	(void) state;
	check_amounts(amounts, COUNT(amounts));
}

static void
reads_amounts_the_same_in_every_locale(void **state)
{
	(void) state;
	for (int i = 0; i < COUNT(unit_locales); i++)
		if (setlocale(LC_ALL, unit_locales[i]) != NULL)
			check_amounts(amounts, COUNT(amounts));
	setlocale(LC_ALL, "C");
}

static void
leaves_what_is_not_clearly_an_amount(void **state)
{
	static const char *const texts[] = {
		"", " ", "No", "Yes", "N/A", "-", "+", "$", "%", "()", "(", ".", ",", "1.", "1,", ",1", "1'23", "1.23,4", "0.123,4", "1.2345,6",
		"12.34.567", "1,234.567.8", "1'234,567,8", "1 234", "12 34 567", "1  234,5", "0'123", "1'234 567", ".5.5", "1,234,56.7",
		"1,23", "12,34", "1234,567", "0,123", "1,234,56", "1,,234", "1,2345", "1.5.5", "1 234", "1e5", "0x10",
		"Infinity", "NaN", "(5", "5)", "(-5)", "-(5)", "--5", "-+5", "5-", "$$5", "$5$", "$5%", "5%%", "%5", "USD5",
		"5USD", "USD 5 USD", "USD", "usd 5", "Q3", "W_01", "2026_Q3", "07/01/2026", "2026-07-01", "5 apples",
		"apples 5", "5m", "$3.0M", "\xE2\x82\x9F" "5", "\xE2\x83\x90" "5", "\xE2\x82", "5\xC2",
	};

	(void) state;
	for (int i = 0; i < COUNT(texts); i++)
	{
		Amount		amount;

		if (amount_read(texts[i], strlen(texts[i]), &amount))
			fail_msg("\"%s\" is read as %s", texts[i], amount.number);
	}
}

static void
refuses_a_number_that_is_too_long(void **state)
{
	char		digits[AMOUNT_NUMBER_SIZE + 1];
	Amount		amount;

	(void) state;
	memset(digits, '7', sizeof(digits));
	assert_true(amount_read(digits, AMOUNT_NUMBER_SIZE - 1, &amount));
	assert_int_equal(strlen(amount.number), AMOUNT_NUMBER_SIZE - 1);
	assert_false(amount_read(digits, AMOUNT_NUMBER_SIZE, &amount));
	digits[0] = '-';
	assert_true(amount_read(digits, AMOUNT_NUMBER_SIZE - 1, &amount));
	digits[AMOUNT_NUMBER_SIZE - 2] = '.';
	assert_true(amount_read(digits, AMOUNT_NUMBER_SIZE - 3, &amount));
	assert_false(amount_read(digits, AMOUNT_NUMBER_SIZE + 1, &amount));
	digits[0] = '.';
	assert_false(amount_read(digits, AMOUNT_NUMBER_SIZE, &amount));
}

static void
reads_no_amount_past_its_length(void **state)
{
	Amount		amount;

	(void) state;
	assert_true(amount_read("1,234,567 apples", 5, &amount));
	assert_string_equal(amount.number, "1234");
	assert_false(amount_read("1,234", 4, &amount));
	assert_false(amount_read("USD 5", 2, &amount));
}

static void
check_day(const char *text, int year, int month, int day)
{
	Day			read;

	if (!day_read(text, strlen(text), &read))
		fail_msg("\"%s\" is not read as a day", text);
	assert_int_equal(read.year, year);
	assert_int_equal(read.month, month);
	assert_int_equal(read.day, day);
}

static void
reads_days(void **state)
{
	(void) state;
	check_day("07/01/2026", 2026, 7, 1);
	check_day("7/1/2026", 2026, 7, 1);
	check_day("12/31/9999", 9999, 12, 31);
	check_day("02/29/2024", 2024, 2, 29);
	check_day("02/29/2000", 2000, 2, 29);
	check_day("2026-07-01", 2026, 7, 1);
	check_day("2026-07-01T00:00:00.000Z", 2026, 7, 1);
	check_day("2026-07-01 09:00", 2026, 7, 1);
}

static void
refuses_what_is_no_day(void **state)
{
	static const char *const texts[] = {
		"", "soon", "02/30/2026", "02/29/2026", "02/29/2100", "13/01/2026", "00/01/2026", "01/00/2026", "01/32/2026",
		"04/31/2026", "07/01/26", "07/01/0000", "07-01-2026", "07/01/2026 ", "07/01/20261", "2026-7-1", "2026/07/01",
		"2026-07-011", "2026-07-01x", "001/01/2026", "1/1", "/1/2026", "2026-07",
	};
	Day			day;

	(void) state;
	for (int i = 0; i < COUNT(texts); i++)
		if (day_read(texts[i], strlen(texts[i]), &day))
			fail_msg("\"%s\" is read as a day", texts[i]);
	assert_false(day_read("07/01/2026", 9, &day));
}

static void
check_milliseconds(const char *text, int64_t expected)
{
	int64_t		microseconds;

	if (!milliseconds_read(text, strlen(text), &microseconds))
		fail_msg("\"%s\" is not read as milliseconds", text);
	assert_true(microseconds == expected);
}

static void
reads_milliseconds_exactly(void **state)
{
	(void) state;
	check_milliseconds("0", 0);
	check_milliseconds("1782864123456", INT64_C(1782864123456000));
	check_milliseconds("1782864123456.7", INT64_C(1782864123456700));
	check_milliseconds("1782864123456.7899", INT64_C(1782864123456789));
	check_milliseconds("-1", -1000);
	check_milliseconds("-0.5", -500);
	check_milliseconds("999999999999999", INT64_C(999999999999999000));
}

static void
refuses_what_are_no_milliseconds(void **state)
{
	static const char *const texts[] = {
		"", "-", "soon", "1e12", " 1", "1 ", "1000000000000000", "+1", ".5", "1,000", "2026-07-01",
	};
	int64_t		microseconds;

	(void) state;
	for (int i = 0; i < COUNT(texts); i++)
		if (milliseconds_read(texts[i], strlen(texts[i]), &microseconds))
			fail_msg("\"%s\" is read as milliseconds", texts[i]);
}

static void
reads_answers(void **state)
{
	static const char *const yes[] = {"Yes", "yes", "YES", "true", "True"};
	static const char *const no[] = {"No", "no", "NO", "false", "False"};
	static const char *const neither[] = {"", "Y", "N", "Yes ", "maybe", "1", "truely"};
	bool		answer;

	(void) state;
	for (int i = 0; i < COUNT(yes); i++)
		assert_true(answer_read(yes[i], strlen(yes[i]), &answer) && answer);
	for (int i = 0; i < COUNT(no); i++)
		assert_true(answer_read(no[i], strlen(no[i]), &answer) && !answer);
	for (int i = 0; i < COUNT(neither); i++)
		assert_false(answer_read(neither[i], strlen(neither[i]), &answer));
}

static int
compare(const char *a, const char *b)
{
	int			order = time_frame_compare(a, strlen(a), b, strlen(b));

	return order < 0 ? -1 : order > 0;
}

static void
orders_time_frames_by_their_numbers(void **state)
{
	static const char *const in_order[] = {
		"", "0", "1", "2", "02", "9", "10", "99999999999999999999", "100000000000000000000",
		"W", "W_", "W_00", "W_01", "W_1", "W_2", "W_09", "W_9", "W_10", "W_10a", "W_10b", "W_11", "X_1",
	};

	(void) state;
	for (int a = 0; a < COUNT(in_order); a++)
		for (int b = 0; b < COUNT(in_order); b++)
		{
			bool		same_number = (a == 3 && b == 4) || (a == 4 && b == 3);
			int			expected = same_number ? (a == 3 ? 1 : -1) : (a > b) - (a < b);

			if (compare(in_order[a], in_order[b]) != expected)
				fail_msg("\"%s\" against \"%s\"", in_order[a], in_order[b]);
		}
}

static void
check_type(const char *text, const char *expected)
{
	char		type[FIELD_TYPE_SIZE];

	assert_int_equal(field_type_write(text, strlen(text), type), strlen(expected));
	assert_string_equal(type, expected);
}

static void
names_field_types_alike_in_both_forms(void **state)
{
	(void) state;
	check_type("forecastValue", "FORECAST");
	check_type("Forecast", "FORECAST");
	check_type("Forecast Value", "FORECAST");
	check_type("FORECAST", "FORECAST");
	check_type("Forecast Updated", "FORECAST_UPDATED");
	check_type("quotaValue", "QUOTA");
	check_type("crmTotalValue", "CRM_TOTAL");
	check_type("CRM Total", "CRM_TOTAL");
	check_type("crm_total", "CRM_TOTAL");
	check_type("CRM-Closed", "CRM_CLOSED");
	check_type("Value", "VALUE");
	check_type("", "");
}

static void
cuts_a_field_type_that_is_too_long(void **state)
{
	char		text[2 * FIELD_TYPE_SIZE];
	char		type[FIELD_TYPE_SIZE];

	(void) state;
	for (int i = 0; i < (int) sizeof(text); i++)
		text[i] = i % 2 == 0 ? 'x' : 'Y';
	for (size_t length = 0; length <= sizeof(text); length++)
	{
		size_t		written = field_type_write(text, length, type);

		assert_true(written < FIELD_TYPE_SIZE);
		assert_int_equal(strlen(type), written);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_amounts),
		cmocka_unit_test(reads_amounts_the_same_in_every_locale),
		cmocka_unit_test(leaves_what_is_not_clearly_an_amount),
		cmocka_unit_test(refuses_a_number_that_is_too_long),
		cmocka_unit_test(reads_no_amount_past_its_length),
		cmocka_unit_test(reads_days),
		cmocka_unit_test(refuses_what_is_no_day),
		cmocka_unit_test(reads_milliseconds_exactly),
		cmocka_unit_test(refuses_what_are_no_milliseconds),
		cmocka_unit_test(reads_answers),
		cmocka_unit_test(orders_time_frames_by_their_numbers),
		cmocka_unit_test(names_field_types_alike_in_both_forms),
		cmocka_unit_test(cuts_a_field_type_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
