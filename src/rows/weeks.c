/*
 * weeks.c
 *		The weeks of a result's time periods.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "core/forecast_text.h"
#include "rows/weeks.h"

#define FIRST_SIZE	64

static uint32
week_hash(WeekKey key)
{
	return hash_combine(slice_hash(key.period), slice_hash(key.time_frame));
}

static bool
week_equal(WeekKey a, WeekKey b)
{
	return slice_equal(a.time_frame, b.time_frame) && slice_equal(a.period, b.period);
}

#define SH_PREFIX week_table
#define SH_ELEMENT_TYPE Week
#define SH_KEY_TYPE WeekKey
#define SH_KEY key
#define SH_HASH_KEY(table, key) week_hash(key)
#define SH_EQUAL(table, a, b) week_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, element) (element)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct Weeks
{
	MemoryContext context;
	week_table_hash *table;
};

Weeks *
weeks_make(void)
{
	Weeks	   *weeks = palloc(sizeof(Weeks));

	weeks->context = CurrentMemoryContext;
	weeks->table = week_table_create(CurrentMemoryContext, FIRST_SIZE, NULL);
	return weeks;
}

/* Entries without a period have the weeks of a period without a name. */
static WeekKey
make_key(Slice period, Slice time_frame)
{
	WeekKey		key = {period, time_frame};

	if (period.text == NULL)
		key.period.text = "";
	return key;
}

void
weeks_add(Weeks *weeks, Slice period, Slice time_frame)
{
	WeekKey		key = make_key(period, time_frame);
	Week	   *week;
	bool		found;

	if (time_frame.text == NULL)
		return;
	week = week_table_insert(weeks->table, key, &found);
	if (found)
		return;
	/* The caller's text may be gone after its entry. */
	week->key.period = slice_copy(weeks->context, key.period);
	week->key.time_frame = slice_copy(weeks->context, key.time_frame);
	week->number = 0;
	week->has_start = week->has_end = false;
}

static int
compare_periods(Slice a, Slice b)
{
	return time_frame_compare(a.text, (size_t) a.length, b.text, (size_t) b.length);
}

static int
compare_weeks(const void *a, const void *b)
{
	const WeekKey *a_key = &(*(Week *const *) a)->key;
	const WeekKey *b_key = &(*(Week *const *) b)->key;
	int			order = compare_periods(a_key->period, b_key->period);

	CHECK_FOR_INTERRUPTS();
	return order != 0 ? order :
		time_frame_compare(a_key->time_frame.text, (size_t) a_key->time_frame.length,
						   b_key->time_frame.text, (size_t) b_key->time_frame.length);
}

static Week **
list_weeks(Weeks *weeks, int *n)
{
	Week	  **list = palloc((weeks->table->members + 1) * sizeof(Week *));
	week_table_iterator iterator;
	Week	   *week;

	*n = 0;
	week_table_start_iterate(weeks->table, &iterator);
	while ((week = week_table_iterate(weeks->table, &iterator)) != NULL)
		list[(*n)++] = week;
	return list;
}

Week **
weeks_number(Weeks *weeks, int *n)
{
	Week	  **list = list_weeks(weeks, n);

	qsort(list, (size_t) *n, sizeof(Week *), compare_weeks);
	for (int i = 1; i < *n; i++)
		list[i]->number = slice_equal(list[i]->key.period, list[i - 1]->key.period) ? list[i - 1]->number + 1 : 0;
	return list;
}

const Week *
weeks_find(Weeks *weeks, Slice period, Slice time_frame)
{
	if (time_frame.text == NULL)
		return NULL;
	return week_table_lookup(weeks->table, make_key(period, time_frame));
}
