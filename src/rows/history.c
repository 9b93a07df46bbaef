/*
 * history.c
 *		What a snapshot shows, in the history of its forecast.
 *
 * A value's rows follow each other along the order of the snapshots. A new
 * snapshot finds at most one row of each value that is valid at its place, and
 * what it shows holds until the next snapshot that says something of the value:
 * one that covers the value's part or, if it was truncated, shows it. So a row
 * that shows something else ends here, and goes on from that next one if it was
 * valid beyond; and a row that begins there with what is shown here begins
 * here. Where nothing comes later, which is nearly always, a change ends one row
 * and begins another.
 *
 * Rows that would begin and end at the same time are left out: what Clari
 * showed last at a time is what holds from then on.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "rows/contents.h"
#include "rows/history.h"
#include "rows/history_store.h"
#include "rows/rows.h"

#define FIRST_SIZE	64

static const HistoryPosition after_all = {DT_NOEND, 0};

/* A time frame and a field type of the snapshot's series. */
typedef struct Part
{
	StoredPart	stored;
	bool		covered;		/* the snapshot has a value of it */
	HistoryPosition next;		/* the next snapshot that covers it */
} Part;

typedef struct PartNames
{
	Slice		time_period;
	Slice		time_frame;
	Slice		field_type;
} PartNames;

typedef struct PartByNames
{
	PartNames	names;
	uint32		hash;
	char		status;
	Part	   *part;
} PartByNames;

/* What a snapshot that is not the last one has to know of a value besides. */
typedef struct Later
{
	HistoryPosition next;		/* the next snapshot that says something of it */
	HistoryPosition end;		/* of the row that is valid */
	bool		has_row;		/* one begins with the next snapshot */
	ItemPointerData row;
	uint64		content;
} Later;

/* A value of a covered part. */
typedef struct Version
{
	HistoryKey	key;
	uint64		content;		/* of the row that is valid */
	Later	   *later;			/* NULL where nothing comes later */
	ItemPointerData row;
	bool		is_valid;		/* there is a row that is valid at the snapshot's place */
	bool		began_now;		/* which begins at the snapshot's time */
	bool		shown;			/* the snapshot has the value */
	char		status;
} Version;

static uint32
hash_slice(Slice slice)
{
	return slice.text == NULL ? 0 : slice_hash(slice);
}

static uint32
hash_names(PartNames names)
{
	return hash_slice(names.time_period) * 31 + hash_slice(names.time_frame) * 7 + hash_slice(names.field_type);
}

static bool
same_names(PartNames a, PartNames b)
{
	return slice_equal(a.time_frame, b.time_frame) && slice_equal(a.field_type, b.field_type) &&
		slice_equal(a.time_period, b.time_period);
}

#define SH_PREFIX parts
#define SH_ELEMENT_TYPE PartByNames
#define SH_KEY_TYPE PartNames
#define SH_KEY names
#define SH_HASH_KEY(table, key) hash_names(key)
#define SH_EQUAL(table, a, b) same_names(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, element) (element)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define SH_PREFIX versions
#define SH_ELEMENT_TYPE Version
#define SH_KEY_TYPE HistoryKey
#define SH_KEY key
#define SH_HASH_KEY(table, key) ((uint32) (key).words[0])
#define SH_EQUAL(table, a, b) ((a).words[0] == (b).words[0] && (a).words[1] == (b).words[1])
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct History
{
	const HistorySnapshot *snapshot;
	HistoryStore *store;
	HistoryPosition position;	/* the snapshot's */
	bool		has_later;
	TruncatedSnapshot *truncated;	/* later ones, in order */
	int			n_truncated;
	parts_hash *parts;
	versions_hash *versions;
	List	   *covered;		/* Part */
	text	   *time_period;	/* of rows that name none */
	MemoryContext context;

	/* the row at hand */
	Datum		values[HISTORY_COLUMNS];
	bool		nulls[HISTORY_COLUMNS];
} History;

/* ----------
 * What comes later
 * ----------
 */

static bool
shows(const TruncatedSnapshot *snapshot, const HistoryKey *key)
{
	return bsearch(key, snapshot->keys, (size_t) snapshot->n_keys, sizeof(HistoryKey), history_key_compare) != NULL;
}

/* The next snapshot that says something of a value. */
static HistoryPosition
next_of(const History *history, const Part *part, const HistoryKey *key)
{
	for (int i = 0; i < history->n_truncated; i++)
	{
		const TruncatedSnapshot *truncated = &history->truncated[i];

		if (history_position_compare(truncated->position, part->next) > 0)
			break;
		if (shows(truncated, key))
			return truncated->position;
	}
	return part->next;
}

/* ----------
 * The rows that there are
 * ----------
 */

static Version *
find_version(History *history, const Part *part, HistoryKey key)
{
	bool		found;
	Version    *version = versions_insert(history->versions, key, &found);

	if (found)
		return version;
	version->is_valid = version->began_now = version->shown = false;
	version->later = NULL;
	if (history->has_later)
	{
		version->later = MemoryContextAllocZero(history->context, sizeof(Later));
		version->later->next = next_of(history, part, &key);
	}
	return version;
}

typedef struct PartVisit
{
	History    *history;
	const Part *part;
} PartVisit;

static HistoryPosition
start_of(const Datum *values)
{
	HistoryPosition start = {
		DatumGetTimestampTz(values[HISTORY_VALID_FROM]), DatumGetInt64(values[HISTORY_REQUEST_ID])
	};

	return start;
}

static HistoryPosition
end_of(const Datum *values, const bool *nulls)
{
	HistoryPosition end = {DatumGetTimestampTz(values[HISTORY_VALID_TO]), 0};

	if (!nulls[HISTORY_CLOSED_BY])
		end.request_id = DatumGetInt64(values[HISTORY_CLOSED_BY]);
	return end;
}

/* A row is the one that is valid at the snapshot's place, or begins with the next, or does not matter. */
static void
note_row(ItemPointer row, const Datum *values, const bool *nulls, void *argument)
{
	PartVisit  *visit = argument;
	History    *history = visit->history;
	HistoryPosition start = start_of(values);
	HistoryPosition end = end_of(values, nulls);
	bool		is_valid = history_position_compare(start, history->position) < 0;
	Version    *version;

	if (history_position_compare(end, history->position) <= 0)
		return;
	version = find_version(history, visit->part, history_values_key(values, nulls, visit->part->stored.id));
	if (is_valid)
	{
		version->is_valid = true;
		version->began_now = start.at == history->position.at;
		version->row = *row;
		version->content = history_values_content(values, nulls);
		if (version->later != NULL)
			version->later->end = end;
	}
	else if (version->later != NULL && history_position_compare(start, version->later->next) == 0)
	{
		version->later->has_row = true;
		version->later->row = *row;
		version->later->content = history_values_content(values, nulls);
	}
}

/* ----------
 * Parts
 * ----------
 */

static Slice
slice_of(const text *text)
{
	Slice		slice = {text != NULL ? VARDATA_ANY(text) : NULL, text != NULL ? (int) VARSIZE_ANY_EXHDR(text) : 0};

	return slice;
}

static PartNames
slices_of(text *const names[3])
{
	PartNames	slices = {slice_of(names[0]), slice_of(names[1]), slice_of(names[2])};

	return slices;
}

static Part *
remember_part(History *history, int32 id, text *const names[3])
{
	MemoryContext old_context = MemoryContextSwitchTo(history->context);
	Part	   *part = palloc0(sizeof(Part));
	bool		found;

	part->stored.id = id;
	part->next = after_all;
	for (int i = 0; i < 3; i++)
		if (names[i] != NULL)
			part->stored.names[i] = DatumGetTextPCopy(PointerGetDatum(names[i]));
	parts_insert(history->parts, slices_of(part->stored.names), &found)->part = part;
	MemoryContextSwitchTo(old_context);
	return part;
}

static void
read_parts(History *history)
{
	int			n;
	StoredPart *stored = history_store_parts(history->store, &n);

	for (int i = 0; i < n; i++)
		remember_part(history, stored[i].id, stored[i].names);
}

static text *
text_or_null(const History *history, HistoryColumn column)
{
	return history->nulls[column] ? NULL : DatumGetTextPP(history->values[column]);
}

/* The snapshot has a first value of a part: read the part's rows. */
static void
cover(History *history, Part *part)
{
	PartVisit	visit = {history, part};
	MemoryContext old_context = MemoryContextSwitchTo(history->context);

	part->covered = true;
	history->covered = lappend(history->covered, part);
	if (history->has_later)
		part->next = history_store_next(history->store, part->stored.id);
	MemoryContextSwitchTo(old_context);
	history_store_visit(history->store, &part->stored, note_row, &visit);
}

static void
see_week_of_part(History *history, const PartNames *names)
{
	DateADT		start = 0;

	if (!history->nulls[HISTORY_WEEK_START])
		start = DatumGetDateADT(history->values[HISTORY_WEEK_START]);
	history_store_see_time_frame(history->store, names->time_period, names->time_frame,
								 history->nulls[HISTORY_WEEK_START] ? NULL : &start);
}

/* The part of the row at hand. */
static Part *
part_of_row(History *history)
{
	text	   *texts[3] = {
		text_or_null(history, HISTORY_TIME_PERIOD), text_or_null(history, HISTORY_TIME_FRAME_ID),
		text_or_null(history, HISTORY_FIELD_TYPE)
	};
	PartNames	names = slices_of(texts);
	PartByNames *entry = parts_lookup(history->parts, names);
	Part	   *part = entry != NULL ? entry->part :
		remember_part(history, history_store_add_part(history->store, texts), texts);

	if (!part->covered)
	{
		see_week_of_part(history, &names);
		cover(history, part);
	}
	return part;
}

/* ----------
 * Changes
 * ----------
 */

/* The row that is valid ends with the snapshot; what it shows may come back with the next. */
static void
end_version(History *history, Version *version)
{
	const Later *later = version->later;

	if (later != NULL && history_position_compare(later->end, later->next) > 0 && later->end.at > later->next.at)
		history_store_continue(history->store, &version->row, later->next);
	history_store_end_row(history->store, &version->row, version->began_now);
}

/* The row at hand is valid from the snapshot to the next one. */
static void
begin_version(History *history, const Part *part, const Version *version, uint64 content)
{
	HistoryPosition next = version->later != NULL ? version->later->next : after_all;
	Datum	   *values = history->values;

	if (version->later != NULL && version->later->has_row && version->later->content == content)
	{
		history_store_begin_earlier(history->store, &version->later->row);
		return;
	}
	if (next.at == history->position.at)
		return;
	values[HISTORY_VALID_FROM] = TimestampTzGetDatum(history->position.at);
	values[HISTORY_VALID_TO] = TimestampTzGetDatum(next.at);
	values[HISTORY_REQUEST_ID] = Int64GetDatum(history->position.request_id);
	values[HISTORY_CLOSED_BY] = Int64GetDatum(next.request_id);
	values[HISTORY_PART_ID] = Int32GetDatum(part->stored.id);
	for (int i = HISTORY_VALID_FROM; i <= HISTORY_PART_ID; i++)
		history->nulls[i] = false;
	history->nulls[HISTORY_CLOSED_BY] = next.at == DT_NOEND;
	history_store_insert(history->store, values, history->nulls);
}

/* A row of the result; of several with the same key the first one counts. */
static void
take_row(Row *row)
{
	History    *history = row->argument;
	const Part *part;
	Version    *version;
	uint64		content;

	history_values_set(history->values, history->nulls, row, history->time_period);
	part = part_of_row(history);
	version = find_version(history, part, history_values_key(history->values, history->nulls, part->stored.id));
	if (version->shown)
		return;
	version->shown = true;
	content = history_values_content(history->values, history->nulls);
	if (version->is_valid && version->content == content)
		return;
	if (version->is_valid)
		end_version(history, version);
	begin_version(history, part, version, content);
}

static void
take_time_frame(Row *row, Slice period, Slice time_frame, const DateADT *start)
{
	History    *history = row->argument;

	if (period.length == 0)
		period = slice_of(history->time_period);
	history_store_see_time_frame(history->store, period, time_frame, start);
}

/* What the snapshot does not show of the parts that it covers has ended. */
static void
end_what_is_missing(History *history)
{
	versions_iterator iterator;
	Version    *version;

	versions_start_iterate(history->versions, &iterator);
	while ((version = versions_iterate(history->versions, &iterator)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (version->is_valid && !version->shown)
			end_version(history, version);
	}
}

/* ----------
 * A whole snapshot
 * ----------
 */

static HistoryKey *
list_shown(History *history, int *n)
{
	HistoryKey *keys = MemoryContextAllocHuge(CurrentMemoryContext,
											  (history->versions->members + 1) * sizeof(HistoryKey));
	versions_iterator iterator;
	Version    *version;

	*n = 0;
	versions_start_iterate(history->versions, &iterator);
	while ((version = versions_iterate(history->versions, &iterator)) != NULL)
		if (version->shown)
			keys[(*n)++] = version->key;
	qsort(keys, (size_t) *n, sizeof(HistoryKey), history_key_compare);
	return keys;
}

static void
finish(History *history)
{
	int32	   *ids = palloc((Size) (list_length(history->covered) + 1) * sizeof(int32));
	HistoryKey *keys = NULL;
	int			n_keys = 0;
	int			n = 0;
	ListCell   *cell;

	foreach(cell, history->covered)
		ids[n++] = ((Part *) lfirst(cell))->stored.id;
	if (history->snapshot->truncated)
		keys = list_shown(history, &n_keys);
	else
		end_what_is_missing(history);
	history_store_finish(history->store, ids, n, keys, n_keys);
}

static void
prepare(History *history)
{
	history->context = CurrentMemoryContext;
	history->has_later = history_store_has_later(history->store);
	if (history->has_later)
		history->truncated = history_store_truncated(history->store, &history->n_truncated);
	history->parts = parts_create(CurrentMemoryContext, FIRST_SIZE, NULL);
	history->versions = versions_create(CurrentMemoryContext, Max(FIRST_SIZE, contents_count(history->snapshot->result)), NULL);
	if (history->snapshot->time_period != NULL)
		history->time_period = history_bounded_text(cstring_to_text(history->snapshot->time_period));
	read_parts(history);
}

bool
history_add(Oid schema, const HistorySnapshot *snapshot)
{
	History		history = {
		.snapshot = snapshot,
		.position = {snapshot->exported_at, snapshot->request_id},
	};
	Row			row = {.put = take_row,.see_time_frame = take_time_frame,.argument = &history};

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	history.store = history_store_open(schema, snapshot);
	if (history.store != NULL)
	{
		prepare(&history);
		rows_put(&row, snapshot->result);
		finish(&history);
	}
	SPI_finish();
	return history.store != NULL;
}
