/*
 * contents.c
 *		What a result is about, without its rows: whether it has any, and of
 *		which time period they are.
 *
 * Neither raises an error for any jsonb: the view of the latest good snapshots
 * asks them about whatever was stored.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "core/forecast_text.h"
#include "rows/contents.h"
#include "rows/entries.h"
#include "rows/flat_rows.h"

/* The array whose objects have the rows; NULL if the result is no forecast. */
static JsonbContainer *
array_of_rows(Jsonb *result)
{
	if (JB_ROOT_IS_OBJECT(result))
		return jsonb_member_array(&result->root, ENTRIES);
	return JB_ROOT_IS_SCALAR(result) ? NULL : &result->root;
}

uint32
contents_count(Jsonb *result)
{
	JsonbContainer *array = array_of_rows(result);

	return array == NULL ? 0 : JsonContainerSize(array);
}

PG_FUNCTION_INFO_V1(clari_export_has_rows);

/* clari_export_has_rows(result jsonb) returns bool */
Datum
clari_export_has_rows(PG_FUNCTION_ARGS)
{
	JsonbContainer *array = array_of_rows(PG_GETARG_JSONB_P(0));
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;

	if (array == NULL)
		PG_RETURN_BOOL(false);
	iterator = JsonbIteratorInit(array);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_ELEM && jsonb_is_container(&element) && JsonContainerIsObject(element.val.binary.data))
			PG_RETURN_BOOL(true);
	}
	PG_RETURN_BOOL(false);
}

/* ----------
 * The time period
 * ----------
 */

typedef struct LatestPeriod
{
	MemoryContext context;
	Slice		name;
} LatestPeriod;

static void
keep_latest(Slice period, void *argument)
{
	LatestPeriod *latest = argument;

	if (period.text == NULL || (latest->name.text != NULL &&
								time_frame_compare(period.text, (size_t) period.length,
												   latest->name.text, (size_t) latest->name.length) <= 0))
		return;
	latest->name = slice_copy(latest->context, period);
}

PG_FUNCTION_INFO_V1(clari_export_period_of);

/* clari_export_period_of(result jsonb) returns text: the latest, where there are several. */
Datum
clari_export_period_of(PG_FUNCTION_ARGS)
{
	Jsonb	   *result = PG_GETARG_JSONB_P(0);
	JsonbContainer *array = array_of_rows(result);
	LatestPeriod latest = {.context = CurrentMemoryContext, .name = {NULL, 0}};

	if (array == NULL)
		PG_RETURN_NULL();
	if (JB_ROOT_IS_OBJECT(result))
		entries_visit_periods(&result->root, keep_latest, &latest);
	else
		flat_rows_visit_periods(array, keep_latest, &latest);
	if (latest.name.text == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(slice_to_text(latest.name));
}
