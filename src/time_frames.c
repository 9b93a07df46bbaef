/*
 * time_frames.c
 *		Which time frame of a result is which week of which time period.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "core/forecast_text.h"
#include "forecast_values.h"
#include "time_frames.h"

/* A time period or a time frame. */
typedef struct Span
{
	Slice		id;
	bool		has_start;
	bool		has_end;
	DateADT		start;
	DateADT		end;			/* included */
} Span;

typedef struct Spans
{
	MemoryContext context;
	const char *id_name;
	Span	   *items;			/* by id; in the array's order before that */
	int			n;
	int			allocated;
} Spans;

struct TimeFrames
{
	Spans		periods;
	Spans		frames;
};

static void
add_span(JsonbContainer *object, void *argument)
{
	Spans	   *spans = argument;
	MemoryContext old_context = MemoryContextSwitchTo(spans->context);
	Span		span = {.id = jsonb_member_scalar(object, spans->id_name)};

	span.has_start = read_date(jsonb_member_scalar(object, "startDate"), &span.start);
	span.has_end = read_date(jsonb_member_scalar(object, "endDate"), &span.end);
	if (span.id.text != NULL)
	{
		if (spans->n == spans->allocated)
		{
			spans->allocated = spans->allocated == 0 ? 16 : spans->allocated * 2;
			spans->items = spans->items == NULL ?
				palloc((Size) spans->allocated * sizeof(Span)) :
				repalloc_huge(spans->items, (Size) spans->allocated * sizeof(Span));
		}
		spans->items[spans->n++] = span;
	}
	MemoryContextSwitchTo(old_context);
}

static int
compare_ids(Slice a, Slice b)
{
	return time_frame_compare(a.text, (size_t) a.length, b.text, (size_t) b.length);
}

static int
compare_spans(const void *a, const void *b)
{
	return compare_ids(((const Span *) a)->id, ((const Span *) b)->id);
}

static void
read_spans(Spans *spans, JsonbContainer *result, const char *array_name, const char *id_name)
{
	JsonbContainer *array = jsonb_member_array(result, array_name);

	spans->context = CurrentMemoryContext;
	spans->id_name = id_name;
	if (array != NULL)
		jsonb_visit_objects(array, add_span, spans);
	if (spans->n > 1)
		qsort(spans->items, (size_t) spans->n, sizeof(Span), compare_spans);
}

TimeFrames *
time_frames_read(JsonbContainer *result)
{
	TimeFrames *frames = palloc0(sizeof(TimeFrames));

	read_spans(&frames->periods, result, "timePeriods", "timePeriodId");
	read_spans(&frames->frames, result, "timeFrames", "timeFrameId");
	return frames;
}

/* Those with that id stand side by side: returns the first, and their number. */
static const Span *
find_spans(const Spans *spans, Slice id, int *n)
{
	int			low = 0;
	int			high = spans->n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (compare_ids(spans->items[middle].id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (*n = 0; low + *n < spans->n && slice_equal(spans->items[low + *n].id, id); (*n)++)
		;
	return spans->items + low;
}

static bool
is_dated(const Span *span)
{
	return span->has_start && span->has_end && span->start <= span->end;
}

/* How many days of a dated time frame are in a dated period. */
static int
days_within(const Span *frame, const Span *period)
{
	int64		from = Max(frame->start, period->start);
	int64		to = Min(frame->end, period->end);

	return (int) Max(to - from + 1, 0);
}

static bool
is_mostly_within(const Span *frame, const Span *period)
{
	return is_dated(frame) && is_dated(period) &&
		2 * (int64) days_within(frame, period) > (int64) frame->end - frame->start + 1;
}

void
time_frames_add_weeks(TimeFrames *frames, Weeks *weeks)
{
	const Spans *periods = &frames->periods;

	for (int p = 0; p < periods->n; p++)
		for (int f = 0; f < frames->frames.n; f++)
		{
			const Span *frame = &frames->frames.items[f];

			CHECK_FOR_INTERRUPTS();
			if (periods->n == 1 || is_mostly_within(frame, &periods->items[p]))
				weeks_add(weeks, periods->items[p].id, frame->id);
		}
}

/* Of several time frames with the same id, the one that is most in a period. */
static const Span *
choose_frame(const Span *candidates, int n, const Span *period)
{
	const Span *chosen = NULL;
	int			most_days = 0;

	for (int i = 0; i < n; i++)
	{
		int			days = is_dated(&candidates[i]) ? days_within(&candidates[i], period) : 0;

		CHECK_FOR_INTERRUPTS();
		if (days > most_days)
		{
			chosen = &candidates[i];
			most_days = days;
		}
	}
	return chosen;
}

void
time_frames_date_week(TimeFrames *frames, Week *week)
{
	int			n_candidates;
	int			n_periods;
	const Span *candidates = find_spans(&frames->frames, week->key.time_frame, &n_candidates);
	const Span *period = find_spans(&frames->periods, week->key.period, &n_periods);
	const Span *frame = NULL;

	if (n_candidates == 1)
		frame = candidates;
	else if (n_candidates > 1 && n_periods > 0 && is_dated(period))
		frame = choose_frame(candidates, n_candidates, period);
	if (frame == NULL)
		return;

	week->has_start = frame->has_start;
	week->has_end = frame->has_end;
	week->start = frame->start;
	week->end = frame->end;
}
