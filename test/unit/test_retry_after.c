/*
 * test_retry_after.c
 *		The Retry-After header in all its forms.
 *
 * Of several headers the longest wait counts; that is the affair of http.c,
 * which reads each with retry_after_read().
 */
#include "unit.h"

#include <locale.h>

#include "core/retry_after.h"

#define FORTY_DIGITS	"1234567890123456789012345678901234567890"
#define TWO_TO_THE_64TH "18446744073709551616"
#define SUN_06_NOV_1994 SECONDS(784111777)	/* 08:49:37 GMT */
#define YEAR_9999		SECONDS(INT64_C(253402300799))	/* its last second */

/* Our own clock when a reply comes, ten seconds before the date above. */
#define OUR_NOW			(SUN_06_NOV_1994 - SECONDS(10))

typedef struct Vector
{
	const char *value;			/* of Retry-After */
	const char *date;			/* of the reply's Date header, or NULL */
	Duration	wait;
} Vector;

#define NUMBERS \
	{"0", NULL, 0}, \
	{"120", NULL, SECONDS(120)}, \
	{"1.5", NULL, MILLISECONDS(1500)}, \
	{"-5", NULL, RETRY_AFTER_NONE}, \
	{"+5", NULL, SECONDS(5)}, \
	{" 7 ", NULL, SECONDS(7)}, \
	{"\t7\t", NULL, SECONDS(7)}, \
	{"007", NULL, SECONDS(7)}, \
	{"0.0000019", NULL, 1}, \
	{"9999999999", NULL, SECONDS(INT64_C(9999999999))}, \
	{FORTY_DIGITS, NULL, DURATION_MAX}, \
	{FORTY_DIGITS "." FORTY_DIGITS, NULL, DURATION_MAX}, \
	{TWO_TO_THE_64TH, NULL, DURATION_MAX}, \
	{"315576000000", NULL, DURATION_MAX}, \
	{"315576000000.9", NULL, DURATION_MAX}

#define NOT_A_TIME \
	{"1m0s", NULL, RETRY_AFTER_NONE}, \
	{"soon", NULL, RETRY_AFTER_NONE}, \
	{"", NULL, RETRY_AFTER_NONE}, \
	{"  ", NULL, RETRY_AFTER_NONE}, \
	{"+", NULL, RETRY_AFTER_NONE}, \
	{"++5", NULL, RETRY_AFTER_NONE}, \
	{"5.", NULL, RETRY_AFTER_NONE}, \
	{".5", NULL, RETRY_AFTER_NONE}, \
	{"1,5", NULL, RETRY_AFTER_NONE}, \
	{"1.5.5", NULL, RETRY_AFTER_NONE}, \
	{"1e3", NULL, RETRY_AFTER_NONE}, \
	{"0x10", NULL, RETRY_AFTER_NONE}, \
	{"5 s", NULL, RETRY_AFTER_NONE}, \
	{"inf", NULL, RETRY_AFTER_NONE}

/* The same moment in the three forms of RFC 9110; and what is none of them. */
#define DATES \
	{"Sun, 06 Nov 1994 08:49:37 GMT", NULL, SECONDS(10)}, \
	{"Sunday, 06-Nov-94 08:49:37 GMT", NULL, SECONDS(10)}, \
	{"Sun Nov  6 08:49:37 1994", NULL, SECONDS(10)}, \
	{" Sun, 06 Nov 1994 08:49:37 GMT ", NULL, SECONDS(10)}, \
	{"Sun, 06 Nov 1994 08:49:27 GMT", NULL, 0}, \
	{"Sun, 06 Nov 1994 08:49:26 GMT", NULL, 0}, \
	{"Thu, 01 Jan 1970 00:00:00 GMT", NULL, 0}, \
	{"Fri, 31 Dec 9999 23:59:59 GMT", NULL, YEAR_9999 - OUR_NOW}

#define DATES_AGAINST_DATE \
	{"Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:07 GMT", SECONDS(30)}, \
	{"Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:07 GMT", SECONDS(30)}, \
	{"Sun Nov  6 08:49:37 1994", "Sunday, 06-Nov-94 08:49:07 GMT", SECONDS(30)}, \
	{"Sun, 06 Nov 1994 08:49:37 GMT", "Sun Nov  6 08:49:07 1994", SECONDS(30)}, \
	{"Sun, 06 Nov 1994 08:49:37 GMT", "Tue, 08 Nov 1994 08:49:37 GMT", 0}, \
	{"Thu, 01 Jan 1970 00:00:00 GMT", "Sun, 06 Nov 1994 08:49:07 GMT", 0}, \
	{"Fri, 31 Dec 9999 23:59:59 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", YEAR_9999 - SUN_06_NOV_1994}, \
	{"Sun, 06 Nov 1994 08:49:37 GMT", "yesterday", SECONDS(10)}, \
	{"Sun, 06 Nov 1994 08:49:37 GMT", "", SECONDS(10)}, \
	{"120", "Sun, 06 Nov 1994 08:49:07 GMT", SECONDS(120)}, \
	{"soon", "Sun, 06 Nov 1994 08:49:07 GMT", RETRY_AFTER_NONE}

#define NOT_A_DATE \
	{"Sun, 06 Nov 1994 08:49:37", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 06 Nov 1994 08:49:37 PST", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 06 Nov 1994 08:49:37 GMT+1", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 06 Nov 1994 08:49 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 00 Nov 1994 08:49:37 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 32 Nov 1994 08:49:37 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 06 Nix 1994 08:49:37 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 06 anF 1994 08:49:37 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 06 No 1994 08:49:37 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 06 Nove 1994 08:49:37 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sund, 06 Nov 1994 08:49:37 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sund Nov  6 08:49:37 1994", NULL, RETRY_AFTER_NONE}, \
	{"Wednesdays, 06-Nov-94 08:49:37 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 06 Nov 1994 24:49:37 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 06 Nov 1994 08:60:37 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 06 Nov 1994 08:49:61 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sun, 06 Nov 1994 -8:49:37 GMT", NULL, RETRY_AFTER_NONE}, \
	{"So, 06. November 1994 08:49:37 GMT", NULL, RETRY_AFTER_NONE}, \
	{"Sun Nov  6 08:49:37 1994 GMT", NULL, RETRY_AFTER_NONE}, \
	{"1994-11-06T08:49:37Z", NULL, RETRY_AFTER_NONE}

static const Vector all_vectors[] = {NUMBERS, NOT_A_TIME, DATES, DATES_AGAINST_DATE, NOT_A_DATE};

static void
check_vector(const Vector *vector)
{
	Duration	wait = retry_after_read(vector->value, vector->date, OUR_NOW);

	if (wait != vector->wait)
		fail_msg("Retry-After \"%s\", Date \"%s\": %lld us instead of %lld us", vector->value,
				 vector->date != NULL ? vector->date : "none", (long long) wait, (long long) vector->wait);
}

static void
reads_vector(void **state)
{
	check_vector(*state);
}

/* A test of its own for each value that craft asks for. */
#define VECTOR(name, value, date, wait) \
	{name, reads_vector, NULL, NULL, &(Vector) {value, date, wait}}

/* PostgreSQL runs in whatever locale its database has. */
static void
reads_the_same_in_every_locale(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(unit_locales) / sizeof(unit_locales[0]); i++)
	{
		if (setlocale(LC_ALL, unit_locales[i]) == NULL)
			continue;
		for (size_t j = 0; j < sizeof(all_vectors) / sizeof(all_vectors[0]); j++)
			check_vector(&all_vectors[j]);
		setlocale(LC_ALL, "C");
	}
}

static void
places_two_digit_years_within_fifty_years(void **state)
{
	Instant		in_2026 = SECONDS(1790000000);
	Instant		time;

	(void) state;
	assert_true(http_date_read("Tuesday, 06-Nov-76 08:49:37 GMT", in_2026, &time));
	assert_int_equal(time, SECONDS(INT64_C(3371878177)));	/* 2076 */
	assert_true(http_date_read("Saturday, 06-Nov-77 08:49:37 GMT", in_2026, &time));
	assert_int_equal(time, SECONDS(INT64_C(247654177)));	/* 1977 */
	assert_true(http_date_read("Friday, 06-Nov-26 08:49:37 GMT", in_2026, &time));
	assert_int_equal(time, SECONDS(INT64_C(1793954977)));	/* 2026 */
}

static void
knows_leap_years(void **state)
{
	Instant		february;
	Instant		march;

	(void) state;
	assert_true(http_date_read("Thu, 29 Feb 2024 00:00:00 GMT", 0, &february));
	assert_true(http_date_read("Fri, 01 Mar 2024 00:00:00 GMT", 0, &march));
	assert_int_equal(march - february, SECONDS(86400));
	assert_true(http_date_read("Sun, 28 Feb 2100 00:00:00 GMT", 0, &february));
	assert_true(http_date_read("Mon, 01 Mar 2100 00:00:00 GMT", 0, &march));
	assert_int_equal(march - february, SECONDS(86400));
	assert_true(http_date_read("Tue, 29 Feb 2000 00:00:00 GMT", 0, &february));
	assert_int_equal(february, SECONDS(951782400));
}

static void
reads_a_leap_second(void **state)
{
	Instant		time;

	(void) state;
	assert_true(http_date_read("Sat, 31 Dec 2016 23:59:60 GMT", 0, &time));
	assert_int_equal(time, SECONDS(1483228800));
}

/* Days counted one by one, against every month of four hundred years. */
static void
counts_the_days_of_every_month(void **state)
{
	static const char *const names[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
	};
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t		days = 0;

	(void) state;
	for (int year = 1970; year < 2370; year++)
	{
		bool		leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

		for (int month = 0; month < 12; month++)
		{
			char		text[64];
			Instant		time;

			snprintf(text, sizeof(text), "Sun, 01 %s %d 00:00:00 GMT", names[month], year);
			assert_true(http_date_read(text, 0, &time));
			assert_int_equal(time, SECONDS(days * 86400));
			days += lengths[month] + (month == 1 && leap ? 1 : 0);
		}
	}
}

/* A due time of any header, added to any moment of our time, is a moment. */
static void
never_overflows_a_due_time(void **state)
{
	(void) state;
	assert_true(INSTANT_NEVER - DURATION_MAX > SECONDS(INT64_C(253402300799)));
	assert_true(retry_after_read(FORTY_DIGITS, NULL, OUR_NOW) < INSTANT_NEVER - OUR_NOW);
}

int
main(void)
{
	const struct CMUnitTest retry_after[] = {
		VECTOR("zero", "0", NULL, 0),
		VECTOR("seconds", "120", NULL, SECONDS(120)),
		VECTOR("a_fraction", "1.5", NULL, MILLISECONDS(1500)),
		VECTOR("a_negative_number_is_none", "-5", NULL, RETRY_AFTER_NONE),
		VECTOR("a_plus_sign", "+5", NULL, SECONDS(5)),
		VECTOR("blanks_around", " 7 ", NULL, SECONDS(7)),
		VECTOR("ten_digits", "9999999999", NULL, SECONDS(INT64_C(9999999999))),
		VECTOR("forty_digits_saturate", FORTY_DIGITS, NULL, DURATION_MAX),
		VECTOR("a_duration_with_units_is_none", "1m0s", NULL, RETRY_AFTER_NONE),
		VECTOR("a_word_is_none", "soon", NULL, RETRY_AFTER_NONE),
		VECTOR("an_empty_value_is_none", "", NULL, RETRY_AFTER_NONE),
		VECTOR("imf_fixdate", "Sun, 06 Nov 1994 08:49:37 GMT", NULL, SECONDS(10)),
		VECTOR("rfc_850_date", "Sunday, 06-Nov-94 08:49:37 GMT", NULL, SECONDS(10)),
		VECTOR("asctime_date", "Sun Nov  6 08:49:37 1994", NULL, SECONDS(10)),
		VECTOR("a_past_date_is_no_wait", "Sat, 05 Nov 1994 08:49:37 GMT", NULL, 0),
		VECTOR("the_year_9999", "Fri, 31 Dec 9999 23:59:59 GMT", NULL, YEAR_9999 - OUR_NOW),
		VECTOR("imf_fixdate_against_date", "Sun, 06 Nov 1994 08:49:37 GMT",
			   "Sun, 06 Nov 1994 08:49:07 GMT", SECONDS(30)),
		VECTOR("rfc_850_date_against_date", "Sunday, 06-Nov-94 08:49:37 GMT",
			   "Sun, 06 Nov 1994 08:49:07 GMT", SECONDS(30)),
		VECTOR("asctime_date_against_date", "Sun Nov  6 08:49:37 1994",
			   "Sun, 06 Nov 1994 08:49:07 GMT", SECONDS(30)),
		VECTOR("a_date_before_date_is_no_wait", "Sun, 06 Nov 1994 08:49:37 GMT",
			   "Tue, 08 Nov 1994 08:49:37 GMT", 0),
		VECTOR("an_unreadable_date_header_is_ignored", "Sun, 06 Nov 1994 08:49:37 GMT",
			   "yesterday", SECONDS(10)),
		VECTOR("seconds_ignore_the_date_header", "120", "Sun, 06 Nov 1994 08:49:07 GMT", SECONDS(120)),
		cmocka_unit_test(reads_the_same_in_every_locale),
		cmocka_unit_test(places_two_digit_years_within_fifty_years),
		cmocka_unit_test(knows_leap_years),
		cmocka_unit_test(reads_a_leap_second),
		cmocka_unit_test(counts_the_days_of_every_month),
		cmocka_unit_test(never_overflows_a_due_time),
	};

	return cmocka_run_group_tests(retry_after, NULL, NULL);
}
