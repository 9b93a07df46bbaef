/*
 * history_weeks.c
 *		The weeks of a history's time periods: what snapshots say of time frames, numbered.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "core/forecast_text.h"
#include "query.h"
#include "rows/history_values.h"
#include "rows/history_weeks.h"

static HistoryTimeFrame *
add_time_frame(HistoryTimeFrames *list)
{
	if (list->n == list->allocated)
	{
		list->allocated = list->allocated * 2 + 64;
		list->items = list->items == NULL ? palloc((Size) list->allocated * sizeof(HistoryTimeFrame)) :
			repalloc_huge(list->items, (Size) list->allocated * sizeof(HistoryTimeFrame));
	}
	return &list->items[list->n++];
}

void
history_weeks_see(HistoryTimeFrames *seen, Slice period, Slice time_frame, const DateADT *start)
{
	HistoryTimeFrame *frame;

	if (time_frame.text == NULL)
		return;
	frame = add_time_frame(seen);
	frame->period = history_bounded_text(period.text != NULL ? slice_to_text(period) : cstring_to_text(""));
	frame->id = history_bounded_text(slice_to_text(time_frame));
	frame->has_start = start != NULL;
	frame->start = start != NULL ? *start : 0;
}

/* ----------
 * The table
 * ----------
 */

/* Every statement's first parameter. */
static SqlQuery
begin_query(const HistorySeries *series)
{
	SqlQuery	query = {0};

	query_add_int(&query, series->forecast);
	return query;
}

/* As the parameters after the first: periods, ids, and starts or weeks. */
static void
add_time_frames(SqlQuery *query, const HistoryTimeFrame *frames, int n, bool with_weeks)
{
	Size		size = (Size) (n + 1) * sizeof(Datum);
	Datum	   *periods = palloc(size);
	Datum	   *ids = palloc(size);
	Datum	   *numbers = palloc(size);
	bool	   *nulls = palloc0((Size) n + 1);

	for (int i = 0; i < n; i++)
	{
		periods[i] = PointerGetDatum(frames[i].period);
		ids[i] = PointerGetDatum(frames[i].id);
		numbers[i] = with_weeks ? Int32GetDatum(frames[i].week) : DateADTGetDatum(frames[i].start);
		nulls[i] = !with_weeks && !frames[i].has_start;
	}
	query_add_array(query, TEXTARRAYOID, TEXTOID, periods, NULL, n);
	query_add_array(query, TEXTARRAYOID, TEXTOID, ids, NULL, n);
	if (with_weeks)
		query_add_array(query, INT4ARRAYOID, INT4OID, numbers, nulls, n);
	else
		query_add_array(query, DATEARRAYOID, DATEOID, numbers, nulls, n);
}

/* Time frames in which nobody has a value count as weeks, too. */
static void
write_time_frames(const HistorySeries *series, const HistoryTimeFrames *seen)
{
	SqlQuery	query = begin_query(series);

	add_time_frames(&query, seen->items, seen->n, false);
	query_add_role(&query, series->requested_by);
	query_add_varlena(&query, TEXTOID, series->scope_id);
	query_add_varlena(&query, TEXTOID, series->currency);
	query_execute(series->schema, &query, "history add time frames",
			"INSERT INTO " HISTORY_PARTS " (forecast, requested_by, scope_id, currency, time_period, time_frame_id)"
			" SELECT DISTINCT $1, $5::regrole, $6, $7, nullif(f.period, ''), f.id"
			" FROM unnest($2, $3) AS f (period, id)"
			" WHERE NOT EXISTS (SELECT FROM " HISTORY_PARTS " p WHERE p.forecast = $1 AND p.time_frame_id = f.id"
			"  AND coalesce(p.time_period, '') = f.period)");
	query_execute(series->schema, &query, "history write week starts",
			"UPDATE " HISTORY_PARTS " p SET week_start = f.start"
			" FROM (SELECT period, id, min(start) AS start FROM unnest($2, $3, $4) AS f (period, id, start)"
			"  GROUP BY period, id) f"
			" WHERE p.forecast = $1 AND p.time_frame_id = f.id AND coalesce(p.time_period, '') = f.period"
			" AND f.start < coalesce(p.week_start, 'infinity')");
}

/* All that are known of the periods that the snapshot speaks of. */
static HistoryTimeFrames
read_time_frames(const HistorySeries *series, const HistoryTimeFrames *seen)
{
	SqlQuery	query = begin_query(series);
	HistoryTimeFrames list = {0};
	uint64		n;

	add_time_frames(&query, seen->items, seen->n, false);
	n = query_execute(series->schema, &query, "history read time frames",
				"SELECT coalesce(time_period, ''), time_frame_id, min(week_start),"
				" CASE WHEN min(week) = max(week) AND count(week) = count(*) THEN min(week) END"
				" FROM " HISTORY_PARTS " WHERE forecast = $1 AND time_frame_id IS NOT NULL"
				" AND coalesce(time_period, '') = ANY ($2)"
				" GROUP BY coalesce(time_period, ''), time_frame_id");
	for (uint64 row = 0; row < n; row++)
	{
		HistoryTimeFrame *frame = add_time_frame(&list);
		bool		is_null;

		frame->period = query_text_copy(row, 1);
		frame->id = query_text_copy(row, 2);
		frame->start = DatumGetDateADT(query_column(row, 3, &is_null));
		frame->has_start = !is_null;
		frame->week = query_int_column(row, 4, -1);
	}
	SPI_freetuptable(SPI_tuptable);
	return list;
}

static int
compare_texts(text *a, text *b)
{
	return time_frame_compare(VARDATA_ANY(a), VARSIZE_ANY_EXHDR(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b));
}

/* By period; those without a first day before those with one, so that the first of a period tells. */
static int
compare_time_frames(const void *a, const void *b)
{
	const HistoryTimeFrame *x = a;
	const HistoryTimeFrame *y = b;
	int			order = compare_texts(x->period, y->period);

	CHECK_FOR_INTERRUPTS();
	if (order == 0)
		order = (int) x->has_start - (int) y->has_start;
	if (order == 0 && x->has_start)
		order = x->start < y->start ? -1 : x->start > y->start;
	return order != 0 ? order : compare_texts(x->id, y->id);
}

static int
compare_time_frame_ids(const void *a, const void *b)
{
	CHECK_FOR_INTERRUPTS();
	return compare_texts(((const HistoryTimeFrame *) a)->id, ((const HistoryTimeFrame *) b)->id);
}

/*
 * Number the weeks of one period and keep those whose number is new. Both of
 * Clari's forms name the same week differently: where all have a first day,
 * it is the week's.
 */
static void
number_weeks(HistoryTimeFrame *frames, int n, HistoryTimeFrames *renumbered)
{
	bool		by_start = frames[0].has_start;
	int			week = 0;

	if (!by_start)
		qsort(frames, (size_t) n, sizeof(HistoryTimeFrame), compare_time_frame_ids);
	for (int i = 0; i < n; i++)
	{
		if (i > 0 && !(by_start && frames[i].start == frames[i - 1].start))
			week++;
		if (frames[i].week == week)
			continue;
		frames[i].week = week;
		*add_time_frame(renumbered) = frames[i];
	}
}

static int
compare_names(const void *a, const void *b)
{
	int			order = compare_texts(((const HistoryTimeFrame *) a)->period, ((const HistoryTimeFrame *) b)->period);

	return order != 0 ? order : compare_time_frame_ids(a, b);
}

/* Whether the snapshot has a time frame, or an earlier first day of one, that is not known yet. */
static bool
tells_more(const HistorySeries *series, const HistoryTimeFrames *seen)
{
	HistoryTimeFrames known = read_time_frames(series, seen);

	if (known.n == 0)
		return true;
	qsort(known.items, (size_t) known.n, sizeof(HistoryTimeFrame), compare_names);
	for (int i = 0; i < seen->n; i++)
	{
		const HistoryTimeFrame *shown = &seen->items[i];
		const HistoryTimeFrame *same = bsearch(shown, known.items, (size_t) known.n,
											   sizeof(HistoryTimeFrame), compare_names);

		if (same == NULL || same->week < 0 ||
			(shown->has_start && (!same->has_start || shown->start < same->start)))
			return true;
	}
	return false;
}

static void
write_weeks(const HistorySeries *series, const HistoryTimeFrames *seen)
{
	HistoryTimeFrames list = read_time_frames(series, seen);
	HistoryTimeFrames renumbered = {0};
	SqlQuery	query = begin_query(series);

	if (list.n > 1)
		qsort(list.items, (size_t) list.n, sizeof(HistoryTimeFrame), compare_time_frames);
	for (int first = 0, i = 1; i <= list.n; i++)
	{
		if (i < list.n && compare_texts(list.items[first].period, list.items[i].period) == 0)
			continue;
		number_weeks(&list.items[first], i - first, &renumbered);
		first = i;
	}
	if (renumbered.n == 0)
		return;
	add_time_frames(&query, renumbered.items, renumbered.n, true);
	query_execute(series->schema, &query, "history write weeks",
			"UPDATE " HISTORY_PARTS " p SET week = f.week FROM unnest($2, $3, $4) AS f (period, id, week)"
			" WHERE p.forecast = $1 AND p.time_frame_id = f.id AND coalesce(p.time_period, '') = f.period"
			" AND p.week IS DISTINCT FROM f.week");
}

void
history_weeks_write(const HistorySeries *series, const HistoryTimeFrames *seen)
{
	if (seen->n == 0 || !tells_more(series, seen))
		return;
	write_time_frames(series, seen);
	write_weeks(series, seen);
}
