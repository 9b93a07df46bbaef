/*
 * test_room.c
 *		Room for results: how much memory each takes, and who has to wait.
 */
#include "unit.h"

#include "core/room.h"

#define LEAST ROOM_LEAST_SHARE

static void
test_first_passes_whatever_the_limit(void **state)
{
	Room		room = {.limit = 1};
	Share		only;

	(void) state;
	assert_true(room_admits(&room));
	share_open(&only, &room);
	assert_true(share_may_grow(&only));
	assert_true(share_grow(&only, 100 * LEAST));
	assert_int_equal(room.used, 100 * LEAST);
	share_close(&only);
	assert_int_equal(room.used, 0);
}

static void
test_others_wait(void **state)
{
	Room		room = {.limit = 4 * LEAST};
	Share		oldest;
	Share		second;

	(void) state;
	share_open(&oldest, &room);
	share_open(&second, &room);
	assert_true(share_grow(&oldest, 2 * LEAST));
	assert_true(share_grow(&second, 2 * LEAST));
	assert_false(share_may_grow(&second));
	assert_false(share_grow(&second, 2 * LEAST + 1));
	assert_false(room_admits(&room));
	assert_true(share_grow(&oldest, 3 * LEAST));
	assert_int_equal(room.used, 5 * LEAST);

	/* The next one is the oldest when the first is gone. */
	assert_false(room_has_news(&room));
	share_close(&oldest);
	assert_true(room_has_news(&room));
	assert_true(share_grow(&second, 50 * LEAST));
	share_close(&second);
	assert_true(room_admits(&room));
}

/* What arrives counts as much as may have been unpacked of it. */
static void
test_least_share(void **state)
{
	Room		room = {.limit = 2 * LEAST};
	Share		shares[2];

	(void) state;
	share_open(&shares[0], &room);
	assert_true(share_grow(&shares[0], 1));
	assert_int_equal(room.used, LEAST);
	assert_true(room_admits(&room));
	share_open(&shares[1], &room);
	assert_false(room_admits(&room));

	/* Settled, it counts as it is, less or more. */
	share_settle(&shares[0], 10);
	assert_int_equal(room.used, LEAST + 10);
	assert_true(room_has_news(&room));
	assert_false(room_admits(&room));
	share_settle(&shares[0], 5 * LEAST);
	assert_false(room_has_news(&room));
	share_close(&shares[1]);
	share_close(&shares[0]);
	assert_int_equal(room.used, 0);
}

/* Who was refused is told once that there is more room, and not before. */
static void
test_news(void **state)
{
	Room		room = {.limit = LEAST};
	Share		oldest;

	(void) state;
	share_open(&oldest, &room);
	share_close(&oldest);
	assert_false(room_has_news(&room));
	share_open(&oldest, &room);
	assert_false(room_is_wanted(&room));
	assert_false(room_admits(&room));
	assert_true(room_is_wanted(&room));
	assert_false(room_has_news(&room));
	room_set_limit(&room, LEAST);
	assert_false(room_has_news(&room));
	room_set_limit(&room, 2 * LEAST);
	assert_true(room_has_news(&room));
	assert_false(room_is_wanted(&room));
	assert_false(room_has_news(&room));
	assert_true(room_admits(&room));
	room_set_limit(&room, LEAST);
	assert_false(room_admits(&room));
	assert_false(room_has_news(&room));
}

static void
test_close_in_any_order(void **state)
{
	static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	(void) state;
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
	{
		Room		room = {.limit = LEAST};
		Share		shares[3];

		for (int n = 0; n < 3; n++)
			share_open(&shares[n], &room);
		for (int n = 0; n < 3; n++)
		{
			share_close(&shares[orders[i][n]]);
			share_close(&shares[orders[i][n]]);
			assert_int_equal(room.used, (size_t) (2 - n) * LEAST);
		}
		assert_null(room.oldest);
		assert_null(room.youngest);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_passes_whatever_the_limit),
		cmocka_unit_test(test_others_wait),
		cmocka_unit_test(test_least_share),
		cmocka_unit_test(test_news),
		cmocka_unit_test(test_close_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
