/*
 * time_frames.c
 *		Which time frame of a result is which week of which time period.
 *
 * A sweep over the days finds the periods that a time frame has days in: those
 * that hold its first, its middle or its last day. Periods may be nested, as
 * months are in quarters and quarters in years, but not without end: that keeps
 * the work in proportion to the result.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "core/forecast_text.h"
#include "rows/forecast_values.h"
#include "rows/time_frames.h"

#define MOST_NESTED		4		/* periods that hold the same day */
#define PROBES			3		/* days of a time frame that are looked at */

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

/* A time frame, and a period that it has days in. */
typedef struct Overlap
{
	const Span *frame;
	const Span *period;
	int			days;
} Overlap;

struct TimeFrames
{
	Spans		periods;
	Spans		frames;
	Overlap    *overlaps;		/* by the frame's id, then the period's, then days */
	int			n_overlaps;
	int			overlaps_allocated;
};

/* "TF:2022-12-07" */
static bool
read_date_of_id(Slice id, DateADT *date)
{
	static const char prefix[] = "TF:";
	int			length = (int) sizeof(prefix) - 1;
	Slice		rest = {id.text + length, id.length - length};

	return id.text != NULL && id.length > length && memcmp(id.text, prefix, (size_t) length) == 0 &&
		read_date(rest, date);
}

static void
add_span(JsonbContainer *object, void *argument)
{
	Spans	   *spans = argument;
	MemoryContext old_context = MemoryContextSwitchTo(spans->context);
	Span		span = {.id = jsonb_member_scalar(object, spans->id_name)};

	span.has_start = read_date(jsonb_member_scalar(object, "startDate"), &span.start);
	span.has_end = read_date(jsonb_member_scalar(object, "endDate"), &span.end);
	if (!span.has_start)
		span.has_start = read_date_of_id(span.id, &span.start);
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
	CHECK_FOR_INTERRUPTS();
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

/* ----------
 * What overlaps
 * ----------
 */

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

/* A day of a time frame at which to look for periods. */
typedef struct Probe
{
	DateADT		day;
	const Span *frame;
} Probe;

static int
compare_probes(const void *a, const void *b)
{
	DateADT		a_day = ((const Probe *) a)->day;
	DateADT		b_day = ((const Probe *) b)->day;

	CHECK_FOR_INTERRUPTS();
	return (a_day > b_day) - (a_day < b_day);
}

/* Add a probe where the frame has no earlier one on the same day. */
static void
add_probe(Probe *probes, int *n, const Span *frame, DateADT day)
{
	if (*n > 0 && probes[*n - 1].frame == frame && probes[*n - 1].day == day)
		return;
	probes[(*n)++] = (Probe) {day, frame};
}

static DateADT
middle_of(const Span *frame)
{
	return (DateADT) (((int64) frame->start + frame->end) / 2);
}

static Probe *
list_probes(const Spans *frames, int *n)
{
	Probe	   *probes = MemoryContextAllocHuge(CurrentMemoryContext, (Size) frames->n * PROBES * sizeof(Probe));

	*n = 0;
	for (int i = 0; i < frames->n; i++)
	{
		const Span *frame = &frames->items[i];

		if (!is_dated(frame))
			continue;
		add_probe(probes, n, frame, frame->start);
		add_probe(probes, n, frame, middle_of(frame));
		add_probe(probes, n, frame, frame->end);
	}
	qsort(probes, (size_t) *n, sizeof(Probe), compare_probes);
	return probes;
}

static int
compare_starts(const void *a, const void *b)
{
	const Span *a_span = *(const Span *const *) a;
	const Span *b_span = *(const Span *const *) b;

	CHECK_FOR_INTERRUPTS();
	if (a_span->start != b_span->start)
		return a_span->start < b_span->start ? -1 : 1;
	return compare_ids(a_span->id, b_span->id);
}

static const Span **
list_dated_periods(const Spans *periods, int *n)
{
	const Span **list = palloc((Size) (periods->n + 1) * sizeof(Span *));

	*n = 0;
	for (int i = 0; i < periods->n; i++)
		if (is_dated(&periods->items[i]))
			list[(*n)++] = &periods->items[i];
	qsort(list, (size_t) *n, sizeof(Span *), compare_starts);
	return list;
}

/* The periods that hold the day of the sweep. */
typedef struct Open
{
	const Span *periods[MOST_NESTED];
	int			n;
} Open;

static void
close_periods_before(Open *open, DateADT day)
{
	int			kept = 0;

	for (int i = 0; i < open->n; i++)
		if (open->periods[i]->end >= day)
			open->periods[kept++] = open->periods[i];
	open->n = kept;
}

/* Of too many, the one that ends first makes room. */
static void
open_period(Open *open, const Span *period)
{
	int			first = 0;

	if (open->n < MOST_NESTED)
	{
		open->periods[open->n++] = period;
		return;
	}
	for (int i = 1; i < open->n; i++)
		if (open->periods[i]->end < open->periods[first]->end)
			first = i;
	open->periods[first] = period;
}

static int
compare_overlaps(const void *a, const void *b)
{
	const Overlap *a_overlap = a;
	const Overlap *b_overlap = b;
	int			order;

	CHECK_FOR_INTERRUPTS();
	order = compare_ids(a_overlap->frame->id, b_overlap->frame->id);
	if (order == 0)
		order = compare_ids(a_overlap->period->id, b_overlap->period->id);
	if (order == 0)
		order = b_overlap->days - a_overlap->days;
	/* Of time frames that are as much in a period, the first in the result. */
	return order != 0 ? order : (a_overlap->frame > b_overlap->frame) - (a_overlap->frame < b_overlap->frame);
}

static bool
holds(const Span *period, DateADT day)
{
	return period->start <= day && day <= period->end;
}

/* Add an overlap, unless an earlier day of the frame has found it. */
static void
add_overlap(TimeFrames *frames, const Probe *probe, const Span *period)
{
	const Span *frame = probe->frame;

	if ((probe->day > frame->start && holds(period, frame->start)) ||
		(probe->day > middle_of(frame) && holds(period, middle_of(frame))))
		return;
	if (frames->n_overlaps == frames->overlaps_allocated)
	{
		frames->overlaps_allocated = frames->overlaps_allocated * 2 + 16;
		frames->overlaps = frames->overlaps == NULL ?
			palloc((Size) frames->overlaps_allocated * sizeof(Overlap)) :
			repalloc_huge(frames->overlaps, (Size) frames->overlaps_allocated * sizeof(Overlap));
	}
	frames->overlaps[frames->n_overlaps++] = (Overlap) {frame, period, days_within(frame, period)};
}

static void
find_overlaps(TimeFrames *frames)
{
	int			n_probes;
	int			n_periods;
	Probe	   *probes = list_probes(&frames->frames, &n_probes);
	const Span **periods = list_dated_periods(&frames->periods, &n_periods);
	Open		open = {.n = 0};
	int			next = 0;

	for (int i = 0; i < n_probes; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (; next < n_periods && periods[next]->start <= probes[i].day; next++)
		{
			close_periods_before(&open, periods[next]->start);
			open_period(&open, periods[next]);
		}
		close_periods_before(&open, probes[i].day);
		for (int p = 0; p < open.n; p++)
			add_overlap(frames, &probes[i], open.periods[p]);
	}
	if (frames->n_overlaps > 1)
		qsort(frames->overlaps, (size_t) frames->n_overlaps, sizeof(Overlap), compare_overlaps);
	pfree(probes);
	pfree(periods);
}

TimeFrames *
time_frames_read(JsonbContainer *result)
{
	TimeFrames *frames = palloc0(sizeof(TimeFrames));

	read_spans(&frames->periods, result, "timePeriods", "timePeriodId");
	read_spans(&frames->frames, result, "timeFrames", "timeFrameId");
	find_overlaps(frames);
	return frames;
}

/* ----------
 * Weeks
 * ----------
 */

void
time_frames_add_weeks(TimeFrames *frames, Weeks *weeks)
{
	if (frames->periods.n == 1)
		for (int i = 0; i < frames->frames.n; i++)
			weeks_add(weeks, frames->periods.items[0].id, frames->frames.items[i].id);
	else
		for (int i = 0; i < frames->n_overlaps; i++)
		{
			const Overlap *overlap = &frames->overlaps[i];

			CHECK_FOR_INTERRUPTS();
			if (2 * (int64) overlap->days > (int64) overlap->frame->end - overlap->frame->start + 1)
				weeks_add(weeks, overlap->period->id, overlap->frame->id);
		}
}

/* The only time frame with that id; NULL if there are none or several. */
static const Span *
find_only_frame(const Spans *frames, Slice id)
{
	int			low = 0;
	int			high = frames->n;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (compare_ids(frames->items[middle].id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == frames->n || !slice_equal(frames->items[low].id, id) ||
		(low + 1 < frames->n && slice_equal(frames->items[low + 1].id, id)))
		return NULL;
	return &frames->items[low];
}

/* The one with that id that has most days in a period. */
static const Span *
find_frame_in_period(const TimeFrames *frames, const WeekKey *week)
{
	int			low = 0;
	int			high = frames->n_overlaps;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		const Overlap *overlap = &frames->overlaps[middle];
		int			order = compare_ids(overlap->frame->id, week->time_frame);

		if (order == 0)
			order = compare_ids(overlap->period->id, week->period);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == frames->n_overlaps || !slice_equal(frames->overlaps[low].frame->id, week->time_frame) ||
		!slice_equal(frames->overlaps[low].period->id, week->period))
		return NULL;
	return frames->overlaps[low].frame;
}

void
time_frames_date_week(TimeFrames *frames, Week *week)
{
	const Span *frame = find_only_frame(&frames->frames, week->key.time_frame);

	if (frame == NULL)
		frame = find_frame_in_period(frames, &week->key);
	if (frame == NULL)
	{
		week->has_start = read_date_of_id(week->key.time_frame, &week->start);
		return;
	}
	week->has_start = frame->has_start;
	week->has_end = frame->has_end;
	week->start = frame->start;
	week->end = frame->end;
}
