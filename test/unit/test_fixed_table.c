/*
 * test_fixed_table.c
 *		A hash table of a fixed capacity in one piece of memory.
 */
#include "unit.h"

#include "core/fixed_table.h"

#define CAPACITY 50

typedef struct Entry
{
	uint32_t	key[2];
	int64_t		value;
} Entry;

static FixedTable *
new_table(int capacity)
{
	FixedTable *table = malloc(fixed_table_size(capacity, sizeof(Entry)));

	fixed_table_init(table, capacity, sizeof(Entry), sizeof(uint32_t[2]));
	return table;
}

static Entry *
find(FixedTable *table, uint32_t n)
{
	uint32_t	key[2] = {n, 7};

	return fixed_table_find(table, key);
}

static Entry *
add(FixedTable *table, uint32_t n)
{
	uint32_t	key[2] = {n, 7};

	return fixed_table_add(table, key);
}

static int
count_by_walking(FixedTable *table)
{
	int			n = 0;

	for (Entry *entry = NULL; (entry = fixed_table_next(table, entry)) != NULL;)
		n++;
	return n;
}

static void
finds_what_was_added(void **state)
{
	FixedTable *table = new_table(CAPACITY);

	(void) state;
	assert_null(find(table, 1));
	assert_int_equal(count_by_walking(table), 0);
	for (uint32_t n = 0; n < CAPACITY; n++)
		add(table, n)->value = n;
	for (uint32_t n = 0; n < CAPACITY; n++)
		assert_int_equal(find(table, n)->value, n);
	assert_null(find(table, CAPACITY));
	free(table);
}

static void
says_when_it_is_full(void **state)
{
	FixedTable *table = new_table(2);

	(void) state;
	assert_int_equal(fixed_table_capacity(table), 2);
	assert_non_null(add(table, 1));
	assert_non_null(add(table, 2));
	assert_null(add(table, 3));
	fixed_table_remove(table, find(table, 1));
	assert_non_null(add(table, 3));
	assert_null(find(table, 1));
	assert_non_null(find(table, 2));
	free(table);
}

/* Entries come and go; the table agrees with a plain array. */
static void
keeps_entries_where_they_are(void **state)
{
	FixedTable *table = new_table(CAPACITY);
	Entry	   *present[3 * CAPACITY] = {NULL};
	int			count = 0;
	uint32_t	random = 1;

	(void) state;
	for (int i = 0; i < 20000; i++)
	{
		uint32_t	n = (random = random * 1664525 + 1013904223) / 65536 % (3 * CAPACITY);

		assert_ptr_equal(find(table, n), present[n]);
		if (present[n] != NULL)
		{
			assert_int_equal(present[n]->value, n);
			fixed_table_remove(table, present[n]);
			present[n] = NULL;
			count--;
		}
		else if ((present[n] = add(table, n)) != NULL)
		{
			assert_int_equal(present[n]->value, 0);
			present[n]->value = n;
			count++;
		}
		else
			assert_int_equal(count, CAPACITY);
		assert_int_equal(fixed_table_count(table), count);
	}
	assert_int_equal(count_by_walking(table), count);
	free(table);
}

int
main(void)
{
	const struct CMUnitTest fixed_table[] = {
		cmocka_unit_test(finds_what_was_added),
		cmocka_unit_test(says_when_it_is_full),
		cmocka_unit_test(keeps_entries_where_they_are),
	};

	return cmocka_run_group_tests(fixed_table, NULL, NULL);
}
