/*
 * test_json_index.c
 *		Where the arrays and objects of a JSON text end, and what they count.
 */
#include "unit.h"

#include <string.h>

#include "core/json_index.h"

#define MOST	16

/* Read a text and index it; returns how many containers it has. */
static size_t
index_of(const char *text, JsonExtent *extents)
{
	Json		json;
	size_t		n;

	assert_true(json_read(text, strlen(text), &json));
	n = json_count_containers(json);
	assert_true(n <= MOST);
	json_index(json, extents);
	return n;
}

static void
check_extent(const JsonExtent *extent, size_t end, uint32_t next, uint32_t count)
{
	assert_int_equal(extent->end, end);
	assert_int_equal(extent->next, next);
	assert_int_equal(extent->count, count);
}

static void
has_nothing_of_a_scalar(void **state)
{
	JsonExtent	extents[MOST];

	(void) state;
	assert_int_equal(index_of("17", extents), 0);
	assert_int_equal(index_of("\"[{\\\"[\"", extents), 0);
}

static void
counts_elements_and_members(void **state)
{
	JsonExtent	extents[MOST];

	(void) state;
	assert_int_equal(index_of("[1, \"a,b\", null]", extents), 1);
	check_extent(&extents[0], 16, 1, 3);
	assert_int_equal(index_of("{\"a\":1,\"]\":2}", extents), 1);
	check_extent(&extents[0], 13, 1, 2);
	assert_int_equal(index_of("[ \n]", extents), 1);
	check_extent(&extents[0], 4, 1, 0);
}

static void
tells_where_each_ends(void **state)
{
	JsonExtent	extents[MOST];

	(void) state;
	assert_int_equal(index_of("[[],{\"a\":[1]},[[2,3]]]", extents), 6);
	check_extent(&extents[0], 22, 6, 3);
	check_extent(&extents[1], 3, 2, 0);
	check_extent(&extents[2], 13, 4, 1);
	check_extent(&extents[3], 12, 4, 1);
	check_extent(&extents[4], 21, 6, 1);
	check_extent(&extents[5], 20, 6, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_nothing_of_a_scalar),
		cmocka_unit_test(counts_elements_and_members),
		cmocka_unit_test(tells_where_each_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
