/*
 * test_moment.c
 *		Moments as Clari writes them.
 */
#include "unit.h"

#include "core/moment.h"

#define SECOND	INT64_C(1000000)
#define NONE	INT64_MIN

static const struct
{
	const char *text;
	int64_t		microseconds;
}			moments[] =
{
	{"0", 0},
	{"1784106775642", INT64_C(1784106775642000)},
	{"-1", -1000},
	{"1970-01-01", 0},
	{"1970-01-01T00:00:01Z", SECOND},
	{"1970-01-01 00:00:01z", SECOND},
	{"1970-01-01T01:00+01:00", 0},
	{"1970-01-01T01:00+0100", 0},
	{"1970-01-01T01:00 +01", 0},
	{"1969-12-31T19:00-05:00", 0},
	{"1969-12-31T23:59:59.5", -SECOND / 2},
	{"2026-07-15T09:12:55.642Z", INT64_C(1784106775642000)},
	{"2026-07-15T09:12:55,642", INT64_C(1784106775642000)},
	{"2026-07-15T09:12:55.6421239Z", INT64_C(1784106775642123)},
	{"2000-02-29", INT64_C(951782400) * SECOND},
	{"2100-03-01", INT64_C(4107542400) * SECOND},
	{"0001-01-01", -INT64_C(62135596800) * SECOND},
	{"9999-12-31T23:59:60Z", INT64_C(253402300800) * SECOND},
	{"", NONE},
	{"soon", NONE},
	{"2026-02-29", NONE},
	{"2026-7-15", NONE},
	{"07/15/2026", NONE},
	{"2026-07-15T", NONE},
	{"2026-07-15T9:12", NONE},
	{"2026-07-15T24:00", NONE},
	{"2026-07-15T09:60", NONE},
	{"2026-07-15T09:12:61", NONE},
	{"2026-07-15T09:12Z+01", NONE},
	{"2026-07-15T09:12+1", NONE},
	{"2026-07-15T09:12+16:00", NONE},
	{"2026-07-15T09:12:55.642Zulu", NONE},
};

static void
reads_moments(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++)
	{
		size_t		length = strlen(moments[i].text);
		char	   *copy = malloc(length + 1);
		int64_t		microseconds = NONE;

		/* Without a zero behind it, so that valgrind sees a step too far. */
		assert_non_null(copy);
		memcpy(copy, moments[i].text, length);
		if (moment_read(copy, length, &microseconds) != (moments[i].microseconds != NONE))
			fail_msg("\"%s\"", moments[i].text);
		if (moments[i].microseconds != NONE && microseconds != moments[i].microseconds)
			fail_msg("\"%s\" is %lld", moments[i].text, (long long) microseconds);
		free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_moments),
	};

	return cmocka_run_group_tests_name("moment", tests, NULL, NULL);
}
