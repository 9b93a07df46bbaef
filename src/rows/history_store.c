/*
 * history_store.c
 *		The tables of the history: every statement on them.
 *
 * New rows are collected and inserted many at a time; so are the changes of
 * others, at the end. A row is named by its place, which nobody changes
 * meanwhile: who adds a snapshot, or renames a server, has the forecast's lock.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "core/forecast_text.h"
#include "plan.h"
#include "rows/history_store.h"

#define PART_INDEX		"clari_export_history_part_idx"
#define NEW_ROWS		"new_rows"
#define ROWS_AT_ONCE	5000
#define MAX_PARAMETERS	8

/* Places of rows, and perhaps a position for each. */
typedef struct RowList
{
	int			n;
	int			allocated;
	ItemPointerData *rows;
	HistoryPosition *positions;
} RowList;

typedef struct TimeFrame
{
	text	   *period;			/* empty for none */
	text	   *id;
	bool		has_start;
	DateADT		start;
	int			week;			/* -1: has none yet, or several */
} TimeFrame;

typedef struct TimeFrameList
{
	int			n;
	int			allocated;
	TimeFrame  *items;
} TimeFrameList;

struct HistoryStore
{
	const HistorySnapshot *snapshot;
	MemoryContext context;
	Oid			schema;
	Oid			table_id;
	Oid			part_index;
	TupleDesc	description;
	int32		forecast;
	bool		has_later;		/* snapshots of it */

	/* of the series, bounded */
	text	   *forecast_id;
	text	   *scope_id;
	text	   *currency;

	Tuplestorestate *new_rows;
	int			n_new_rows;
	RowList		ended;
	RowList		gone;
	RowList		continued;
	RowList		begun_earlier;
	TimeFrameList time_frames;
};

int
history_position_compare(HistoryPosition a, HistoryPosition b)
{
	if (a.at != b.at)
		return a.at < b.at ? -1 : 1;
	return a.request_id < b.request_id ? -1 : a.request_id > b.request_id;
}

int
history_key_compare(const void *a, const void *b)
{
	const HistoryKey *x = a;
	const HistoryKey *y = b;

	if (x->words[0] != y->words[0])
		return x->words[0] < y->words[0] ? -1 : 1;
	return x->words[1] < y->words[1] ? -1 : x->words[1] > y->words[1];
}

/* ----------
 * Statements
 * ----------
 */

typedef struct Statement
{
	int			n;
	Oid			types[MAX_PARAMETERS];
	Datum		values[MAX_PARAMETERS];
	char		nulls[MAX_PARAMETERS];
} Statement;

static void
add(Statement *statement, Oid type, Datum value)
{
	Assert(statement->n < MAX_PARAMETERS);
	statement->types[statement->n] = type;
	statement->values[statement->n] = value;
	statement->nulls[statement->n++] = ' ';
}

static void
add_text(Statement *statement, text *value)
{
	add(statement, TEXTOID, PointerGetDatum(value));
	if (value == NULL)
		statement->nulls[statement->n - 1] = 'n';
}

/* Every statement's first parameters, as far as it has them. */
static Statement
begin_statement(const HistoryStore *store)
{
	Statement	statement = {0};

	add(&statement, INT4OID, Int32GetDatum(store->forecast));
	return statement;
}

static void
add_position(Statement *statement, const HistoryStore *store)
{
	add(statement, TIMESTAMPTZOID, TimestampTzGetDatum(store->snapshot->exported_at));
	add(statement, INT8OID, Int64GetDatum(store->snapshot->request_id));
}

/* A PlanText in which @ stands for clari_export_history. */
static char *
in_schema(const char *text, const char *schema)
{
	StringInfoData result;

	initStringInfo(&result);
	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c == '@')
			appendStringInfo(&result, "%s.clari_export_history", schema);
		else
			appendStringInfoChar(&result, *c);
	}
	return result.data;
}

/* Execute a statement, prepared under its name, or NULL; returns the number of rows. */
static uint64
execute(const HistoryStore *store, Statement *statement, const char *name, const char *query)
{
	PlannedStatement planned = {name, query, in_schema, store->schema};
	int			result = plan_execute(&planned, statement->n, statement->types, statement->values, statement->nulls);

	if (result < 0)
		elog(ERROR, "clari_export: \"%s\" failed: %s", query, SPI_result_code_string(result));
	return SPI_processed;
}

static Datum
column(uint64 row, int number, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, is_null);
}

static text *
text_column(uint64 row, int number)
{
	bool		is_null;
	Datum		value = column(row, number, &is_null);

	return is_null ? NULL : DatumGetTextPCopy(value);
}

static int32
int_column(uint64 row, int number, int32 missing)
{
	bool		is_null;
	Datum		value = column(row, number, &is_null);

	return is_null ? missing : DatumGetInt32(value);
}

static HistoryPosition
position_column(uint64 row, int number)
{
	bool		is_null;
	HistoryPosition position = {
		DatumGetTimestampTz(column(row, number, &is_null)), DatumGetInt64(column(row, number + 1, &is_null))
	};

	return position;
}

/* ----------
 * The forecast
 * ----------
 */

static text *
bounded(const char *value)
{
	return history_bounded_text(cstring_to_text(value));
}

/* One adds a snapshot of a forecast at a time. The lock is not one that users take. */
static void
lock_forecast(const HistoryStore *store)
{
	const HistorySnapshot *snapshot = store->snapshot;
	char	   *name = psprintf("%s %u %s", snapshot->server, snapshot->requested_by, snapshot->forecast_id);
	Oid			table = get_relname_relid("clari_export_history_forecast", store->schema);

	LockDatabaseObject(table, hash_bytes((const unsigned char *) name, (int) strlen(name)), 0, ExclusiveLock);
}

/*
 * The update makes a transaction with an older view of the tables fail, which
 * would not see what others added. A server may have taken over the name of
 * one that was dropped: the last one counts.
 */
static void
find_forecast(HistoryStore *store)
{
	Statement	statement = {0};

	add(&statement, NAMEOID, DirectFunctionCall1(namein, CStringGetDatum(store->snapshot->server)));
	add(&statement, OIDOID, ObjectIdGetDatum(store->snapshot->requested_by));
	add_text(&statement, store->forecast_id);
	if (execute(store, &statement, "history find forecast",
				"UPDATE @_forecast SET changed_at = clock_timestamp() WHERE id ="
				" (SELECT max(id) FROM @_forecast WHERE server = $1 AND requested_by = $2 AND forecast_id = $3)"
				" RETURNING id") == 0)
		execute(store, &statement, "history add forecast",
				"INSERT INTO @_forecast (server, requested_by, forecast_id, changed_at)"
				" VALUES ($1, $2, $3, clock_timestamp()) RETURNING id");
	store->forecast = int_column(0, 1, 0);
}

/* Look behind the snapshot's place. Returns whether the snapshot is there already. */
static bool
has_snapshot(HistoryStore *store)
{
	Statement	statement = begin_statement(store);
	bool		is_null;

	add_position(&statement, store);
	store->has_later = execute(store, &statement, "history place",
							   "SELECT exported_at = $2 AND request_id = $3 FROM @_coverage"
							   " WHERE forecast = $1 AND (exported_at, request_id) >= ($2, $3)"
							   " ORDER BY exported_at, request_id LIMIT 1") > 0;
	return store->has_later && DatumGetBool(column(0, 1, &is_null));
}

static void
find_table(HistoryStore *store, Oid schema)
{
	Relation	table;

	store->schema = schema;
	store->table_id = get_relname_relid("clari_export_history", schema);
	store->part_index = get_relname_relid(PART_INDEX, schema);
	table = table_open(store->table_id, RowExclusiveLock);
	store->description = CreateTupleDescCopy(RelationGetDescr(table));
	table_close(table, NoLock);
}

HistoryStore *
history_store_open(Oid schema, const HistorySnapshot *snapshot)
{
	HistoryStore *store = palloc0(sizeof(HistoryStore));

	store->snapshot = snapshot;
	store->context = CurrentMemoryContext;
	store->forecast_id = bounded(snapshot->forecast_id);
	store->scope_id = bounded(snapshot->scope_id);
	store->currency = bounded(snapshot->currency);
	find_table(store, schema);
	lock_forecast(store);
	find_forecast(store);
	return has_snapshot(store) ? NULL : store;
}

/* ----------
 * Parts
 * ----------
 */

StoredPart *
history_store_parts(HistoryStore *store, int *n)
{
	Statement	statement = begin_statement(store);
	StoredPart *parts;

	add_text(&statement, store->scope_id);
	add_text(&statement, store->currency);
	*n = (int) execute(store, &statement, "history parts", "SELECT id, time_period, time_frame_id, field_type FROM @_part"
					   " WHERE forecast = $1 AND scope_id = $2 AND currency = $3");
	parts = palloc((Size) (*n + 1) * sizeof(StoredPart));
	for (int i = 0; i < *n; i++)
	{
		parts[i].id = int_column((uint64) i, 1, 0);
		for (int name = 0; name < 3; name++)
			parts[i].names[name] = text_column((uint64) i, 2 + name);
	}
	SPI_freetuptable(SPI_tuptable);
	return parts;
}

int32
history_store_add_part(HistoryStore *store, text *const names[3])
{
	Statement	statement = begin_statement(store);
	int32		id;

	add(&statement, OIDOID, ObjectIdGetDatum(store->snapshot->requested_by));
	add_text(&statement, store->scope_id);
	add_text(&statement, store->currency);
	for (int name = 0; name < 3; name++)
		add_text(&statement, names[name]);
	execute(store, &statement, "history add part",
			"INSERT INTO @_part (forecast, requested_by, scope_id, currency, time_period, time_frame_id, field_type)"
			" VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id");
	id = int_column(0, 1, 0);
	SPI_freetuptable(SPI_tuptable);
	return id;
}

/* ----------
 * Later snapshots
 * ----------
 */

#define LATER " forecast = $1 AND (exported_at, request_id) > ($2, $3)"

bool
history_store_has_later(const HistoryStore *store)
{
	return store->has_later;
}

TruncatedSnapshot *
history_store_truncated(HistoryStore *store, int *n)
{
	Statement	statement = begin_statement(store);
	TruncatedSnapshot *snapshots;

	add_position(&statement, store);
	*n = (int) execute(store, &statement, "history truncated", "SELECT exported_at, request_id, shown FROM @_coverage"
					   " WHERE" LATER " AND shown IS NOT NULL ORDER BY exported_at, request_id");
	snapshots = palloc((Size) (*n + 1) * sizeof(TruncatedSnapshot));
	for (int i = 0; i < *n; i++)
	{
		bool		is_null;
		bytea	   *shown = DatumGetByteaPCopy(column((uint64) i, 3, &is_null));

		snapshots[i].position = position_column((uint64) i, 1);
		snapshots[i].n_keys = (int) (VARSIZE_ANY_EXHDR(shown) / sizeof(HistoryKey));
		snapshots[i].keys = palloc((Size) snapshots[i].n_keys * sizeof(HistoryKey));
		memcpy(snapshots[i].keys, VARDATA_ANY(shown), (Size) snapshots[i].n_keys * sizeof(HistoryKey));
	}
	SPI_freetuptable(SPI_tuptable);
	return snapshots;
}

HistoryPosition
history_store_next(HistoryStore *store, int32 part_id)
{
	Statement	statement = begin_statement(store);
	HistoryPosition next = {DT_NOEND, 0};

	add_position(&statement, store);
	add(&statement, INT4OID, Int32GetDatum(part_id));
	if (execute(store, &statement, "history next", "SELECT exported_at, request_id FROM @_coverage"
				" WHERE" LATER " AND shown IS NULL AND $4 = ANY (parts) ORDER BY exported_at, request_id LIMIT 1") > 0)
		next = position_column(0, 1);
	SPI_freetuptable(SPI_tuptable);
	return next;
}

/* ----------
 * Rows
 * ----------
 */

static void
visit_tuple(const HistoryStore *store, HeapTuple tuple, Datum *values, bool *nulls,
			HistoryVisitor visit, void *argument)
{
	heap_deform_tuple(tuple, store->description, values, nulls);
	visit(&tuple->t_self, values, nulls, argument);
}

/* A condition on a column; without a value, that it has none. */
static void
init_key(ScanKey key, const HistoryStore *store, HistoryColumn column, StrategyNumber strategy, Oid function, Datum value)
{
	int			flags = value == (Datum) 0 ? SK_ISNULL | SK_SEARCHNULL : 0;
	Oid			collation = TupleDescAttr(store->description, column)->attcollation;

	ScanKeyEntryInitialize(key, flags, (AttrNumber) (column + 1), flags == 0 ? strategy : InvalidStrategy,
						   InvalidOid, collation, flags == 0 ? function : InvalidOid, value);
}

/* Half a million rows are read where a query would take longer to hand them over than this takes for all. */
void
history_store_visit(HistoryStore *store, const StoredPart *part, HistoryVisitor visit, void *argument)
{
	Datum	   *values = palloc((Size) store->description->natts * sizeof(Datum));
	bool	   *nulls = palloc((Size) store->description->natts * sizeof(bool));
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "clari_export history row",
													  ALLOCSET_SMALL_SIZES);
	Relation	table = table_open(store->table_id, AccessShareLock);
	ScanKeyData keys[4];
	SysScanDesc scan;
	HeapTuple	tuple;

	init_key(&keys[0], store, HISTORY_TIME_PERIOD, BTEqualStrategyNumber, F_TEXTEQ, PointerGetDatum(part->names[0]));
	init_key(&keys[1], store, HISTORY_TIME_FRAME_ID, BTEqualStrategyNumber, F_TEXTEQ, PointerGetDatum(part->names[1]));
	init_key(&keys[2], store, HISTORY_PART_ID, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(part->id));
	ScanKeyInit(&keys[3], HISTORY_VALID_TO + 1, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE,
				TimestampTzGetDatum(store->snapshot->exported_at));
	PushActiveSnapshot(GetTransactionSnapshot());
	scan = systable_beginscan(table, store->part_index, true, GetActiveSnapshot(), lengthof(keys), keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		MemoryContext old_context = MemoryContextSwitchTo(row_context);

		CHECK_FOR_INTERRUPTS();
		visit_tuple(store, tuple, values, nulls, visit, argument);
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(row_context);
	}
	systable_endscan(scan);
	PopActiveSnapshot();
	table_close(table, AccessShareLock);
	MemoryContextDelete(row_context);
}

static void
insert_new_rows(HistoryStore *store)
{
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));
	Statement	statement = {0};

	if (store->n_new_rows == 0)
		return;
	relation->md.name = NEW_ROWS;
	relation->md.tupdesc = store->description;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = store->n_new_rows;
	relation->reldata = store->new_rows;
	if (SPI_register_relation(relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation failed");
	execute(store, &statement, NULL, "INSERT INTO @ SELECT * FROM " NEW_ROWS);
	SPI_unregister_relation(NEW_ROWS);
	tuplestore_end(store->new_rows);
	store->n_new_rows = 0;
}

static void
set_series(const HistoryStore *store, Datum *values, bool *nulls, NameData *server)
{
	namestrcpy(server, store->snapshot->server);
	values[HISTORY_SERVER] = NameGetDatum(server);
	values[HISTORY_REQUESTED_BY] = ObjectIdGetDatum(store->snapshot->requested_by);
	values[HISTORY_FORECAST_ID] = PointerGetDatum(store->forecast_id);
	values[HISTORY_SCOPE_ID] = PointerGetDatum(store->scope_id);
	values[HISTORY_CURRENCY] = PointerGetDatum(store->currency);
	for (int i = HISTORY_SERVER; i <= HISTORY_CURRENCY; i++)
		nulls[i] = false;
}

void
history_store_insert(HistoryStore *store, Datum *values, bool *nulls)
{
	NameData	server;

	if (store->n_new_rows == 0)
	{
		MemoryContext old_context = MemoryContextSwitchTo(store->context);

		store->new_rows = tuplestore_begin_heap(false, false, work_mem);
		MemoryContextSwitchTo(old_context);
	}
	set_series(store, values, nulls, &server);
	tuplestore_putvalues(store->new_rows, store->description, values, nulls);
	if (++store->n_new_rows == ROWS_AT_ONCE)
		insert_new_rows(store);
}

static void
add_row(HistoryStore *store, RowList *list, ItemPointer row, HistoryPosition position)
{
	if (list->n == list->allocated)
	{
		list->allocated = list->allocated * 2 + 64;
		list->rows = list->rows == NULL ?
			MemoryContextAlloc(store->context, (Size) list->allocated * sizeof(ItemPointerData)) :
			repalloc_huge(list->rows, (Size) list->allocated * sizeof(ItemPointerData));
		list->positions = list->positions == NULL ?
			MemoryContextAlloc(store->context, (Size) list->allocated * sizeof(HistoryPosition)) :
			repalloc_huge(list->positions, (Size) list->allocated * sizeof(HistoryPosition));
	}
	list->rows[list->n] = *row;
	list->positions[list->n++] = position;
}

void
history_store_end_row(HistoryStore *store, ItemPointer row, bool began_now)
{
	HistoryPosition nowhere = {0, 0};

	add_row(store, began_now ? &store->gone : &store->ended, row, nowhere);
}

void
history_store_begin_earlier(HistoryStore *store, ItemPointer row)
{
	HistoryPosition nowhere = {0, 0};

	add_row(store, &store->begun_earlier, row, nowhere);
}

void
history_store_continue(HistoryStore *store, ItemPointer row, HistoryPosition from)
{
	add_row(store, &store->continued, row, from);
}

/* ----------
 * Time frames
 * ----------
 */

static TimeFrame *
add_time_frame(TimeFrameList *list)
{
	if (list->n == list->allocated)
	{
		list->allocated = list->allocated * 2 + 64;
		list->items = list->items == NULL ? palloc((Size) list->allocated * sizeof(TimeFrame)) :
			repalloc_huge(list->items, (Size) list->allocated * sizeof(TimeFrame));
	}
	return &list->items[list->n++];
}

void
history_store_see_time_frame(HistoryStore *store, Slice period, Slice time_frame, const DateADT *start)
{
	MemoryContext old_context = MemoryContextSwitchTo(store->context);
	TimeFrame  *frame;

	if (time_frame.text != NULL)
	{
		frame = add_time_frame(&store->time_frames);
		frame->period = history_bounded_text(period.text != NULL ? slice_to_text(period) : cstring_to_text(""));
		frame->id = history_bounded_text(slice_to_text(time_frame));
		frame->has_start = start != NULL;
		frame->start = start != NULL ? *start : 0;
	}
	MemoryContextSwitchTo(old_context);
}

static Datum
array_of(Datum *values, bool *nulls, int n, Oid type)
{
	int16		length;
	bool		by_value;
	char		alignment;

	get_typlenbyvalalign(type, &length, &by_value, &alignment);
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &(int) {1}, type, length, by_value, alignment));
}

/* As the parameters after the first: periods, ids, and starts or weeks. */
static void
add_time_frames(Statement *statement, const TimeFrame *frames, int n, bool with_weeks)
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
	add(statement, TEXTARRAYOID, array_of(periods, NULL, n, TEXTOID));
	add(statement, TEXTARRAYOID, array_of(ids, NULL, n, TEXTOID));
	if (with_weeks)
		add(statement, INT4ARRAYOID, array_of(numbers, nulls, n, INT4OID));
	else
		add(statement, DATEARRAYOID, array_of(numbers, nulls, n, DATEOID));
}

/* Time frames in which nobody has a value count as weeks, too. */
static void
write_time_frames(HistoryStore *store)
{
	Statement	statement = begin_statement(store);

	add_time_frames(&statement, store->time_frames.items, store->time_frames.n, false);
	add(&statement, OIDOID, ObjectIdGetDatum(store->snapshot->requested_by));
	add_text(&statement, store->scope_id);
	add_text(&statement, store->currency);
	execute(store, &statement, "history add time frames",
			"INSERT INTO @_part (forecast, requested_by, scope_id, currency, time_period, time_frame_id)"
			" SELECT DISTINCT $1, $5::regrole, $6, $7, nullif(f.period, ''), f.id"
			" FROM unnest($2, $3) AS f (period, id)"
			" WHERE NOT EXISTS (SELECT FROM @_part p WHERE p.forecast = $1 AND p.time_frame_id = f.id"
			"  AND coalesce(p.time_period, '') = f.period)");
	execute(store, &statement, "history write week starts",
			"UPDATE @_part p SET week_start = f.start"
			" FROM (SELECT period, id, min(start) AS start FROM unnest($2, $3, $4) AS f (period, id, start)"
			"  GROUP BY period, id) f"
			" WHERE p.forecast = $1 AND p.time_frame_id = f.id AND coalesce(p.time_period, '') = f.period"
			" AND f.start < coalesce(p.week_start, 'infinity')");
}

/* All that are known of the periods that the snapshot speaks of. */
static TimeFrameList
read_time_frames(HistoryStore *store)
{
	Statement	statement = begin_statement(store);
	TimeFrameList list = {0};
	uint64		n;

	add_time_frames(&statement, store->time_frames.items, store->time_frames.n, false);
	n = execute(store, &statement, "history read time frames",
				"SELECT coalesce(time_period, ''), time_frame_id, min(week_start),"
				" CASE WHEN min(week) = max(week) AND count(week) = count(*) THEN min(week) END"
				" FROM @_part WHERE forecast = $1 AND time_frame_id IS NOT NULL"
				" AND coalesce(time_period, '') = ANY ($2)"
				" GROUP BY coalesce(time_period, ''), time_frame_id");
	for (uint64 row = 0; row < n; row++)
	{
		TimeFrame  *frame = add_time_frame(&list);
		bool		is_null;

		frame->period = text_column(row, 1);
		frame->id = text_column(row, 2);
		frame->start = DatumGetDateADT(column(row, 3, &is_null));
		frame->has_start = !is_null;
		frame->week = int_column(row, 4, -1);
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
	const TimeFrame *x = a;
	const TimeFrame *y = b;
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
	return compare_texts(((const TimeFrame *) a)->id, ((const TimeFrame *) b)->id);
}

/*
 * Number the weeks of one period and keep those whose number is new. Both of
 * Clari's forms name the same week differently: where all have a first day,
 * it is the week's.
 */
static void
number_weeks(TimeFrame *frames, int n, TimeFrameList *renumbered)
{
	bool		by_start = frames[0].has_start;
	int			week = 0;

	if (!by_start)
		qsort(frames, (size_t) n, sizeof(TimeFrame), compare_time_frame_ids);
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
	int			order = compare_texts(((const TimeFrame *) a)->period, ((const TimeFrame *) b)->period);

	return order != 0 ? order : compare_time_frame_ids(a, b);
}

/* Whether the snapshot has a time frame, or an earlier first day of one, that is not known yet. */
static bool
tells_more(HistoryStore *store)
{
	TimeFrameList known = read_time_frames(store);

	if (known.n == 0)
		return true;
	qsort(known.items, (size_t) known.n, sizeof(TimeFrame), compare_names);
	for (int i = 0; i < store->time_frames.n; i++)
	{
		const TimeFrame *shown = &store->time_frames.items[i];
		const TimeFrame *same = bsearch(shown, known.items, (size_t) known.n, sizeof(TimeFrame), compare_names);

		if (same == NULL || same->week < 0 ||
			(shown->has_start && (!same->has_start || shown->start < same->start)))
			return true;
	}
	return false;
}

static void
write_weeks(HistoryStore *store)
{
	TimeFrameList list = read_time_frames(store);
	TimeFrameList renumbered = {0};
	Statement	statement = begin_statement(store);

	if (list.n > 1)
		qsort(list.items, (size_t) list.n, sizeof(TimeFrame), compare_time_frames);
	for (int first = 0, i = 1; i <= list.n; i++)
	{
		if (i < list.n && compare_texts(list.items[first].period, list.items[i].period) == 0)
			continue;
		number_weeks(&list.items[first], i - first, &renumbered);
		first = i;
	}
	if (renumbered.n == 0)
		return;
	add_time_frames(&statement, renumbered.items, renumbered.n, true);
	execute(store, &statement, "history write weeks",
			"UPDATE @_part p SET week = f.week FROM unnest($2, $3, $4) AS f (period, id, week)"
			" WHERE p.forecast = $1 AND p.time_frame_id = f.id AND coalesce(p.time_period, '') = f.period"
			" AND p.week IS DISTINCT FROM f.week");
}

/* ----------
 * The end
 * ----------
 */

/* As parameters: the rows' places, and their positions where that is asked for. */
static void
add_rows(Statement *statement, const RowList *list, bool with_positions)
{
	Size		size = (Size) list->n * sizeof(Datum);
	Datum	   *rows = MemoryContextAllocHuge(CurrentMemoryContext, size);
	Datum	   *times = with_positions ? MemoryContextAllocHuge(CurrentMemoryContext, size) : NULL;
	Datum	   *ids = with_positions ? MemoryContextAllocHuge(CurrentMemoryContext, size) : NULL;

	for (int i = 0; i < list->n; i++)
	{
		rows[i] = PointerGetDatum(&list->rows[i]);
		if (!with_positions)
			continue;
		times[i] = TimestampTzGetDatum(list->positions[i].at);
		ids[i] = Int64GetDatum(list->positions[i].request_id);
	}
	add(statement, TIDARRAYOID, array_of(rows, NULL, list->n, TIDOID));
	if (!with_positions)
		return;
	add(statement, TIMESTAMPTZARRAYOID, array_of(times, NULL, list->n, TIMESTAMPTZOID));
	add(statement, INT8ARRAYOID, array_of(ids, NULL, list->n, INT8OID));
}

/* Execute a statement on rows: $1 and $2 are the snapshot's position, $3 the rows. */
static void
change_rows(const HistoryStore *store, const RowList *list, const char *name, const char *query)
{
	Statement	statement = {0};

	if (list->n == 0)
		return;
	add_position(&statement, store);
	add_rows(&statement, list, false);
	execute(store, &statement, name, query);
}

#define SHOWN_COLUMNS \
	"server, requested_by, forecast_id, scope_id, currency, time_period, time_frame_id, user_id, field_id, field_type," \
	" week_start, week_end, user_name, user_email, crm_user_id, role, role_id, parent_role, parent_role_id, field_name," \
	" value, value_text, value_currency, is_updated, updated_by, updated_at"

/* What goes on later is a copy of what ends now, so it comes first. */
static void
write_changes(HistoryStore *store)
{
	Statement	statement = {0};

	insert_new_rows(store);
	if (store->continued.n > 0)
	{
		add_rows(&statement, &store->continued, true);
		execute(store, &statement, "history continue rows",
				"INSERT INTO @ (" SHOWN_COLUMNS ", valid_from, valid_to, request_id, closed_by, part_id)"
				" SELECT " SHOWN_COLUMNS ", c.at, h.valid_to, c.by, h.closed_by, h.part_id"
				" FROM @ h, unnest($1, $2, $3) AS c (place, at, by) WHERE h.ctid = c.place");
	}
	change_rows(store, &store->ended, "history end rows",
				"UPDATE @ h SET valid_to = $1, closed_by = $2 FROM unnest($3) AS c (place) WHERE h.ctid = c.place");
	change_rows(store, &store->gone, "history remove rows",
				"DELETE FROM @ h USING unnest($3) AS c (place) WHERE h.ctid = c.place");
	change_rows(store, &store->begun_earlier, "history begin rows earlier",
				"UPDATE @ h SET valid_from = $1, request_id = $2 FROM unnest($3) AS c (place) WHERE h.ctid = c.place");
}

static void
write_coverage(const HistoryStore *store, const int32 *parts, int n_parts, const HistoryKey *keys, int n_keys)
{
	Statement	statement = begin_statement(store);
	Datum	   *ids = palloc((Size) n_parts * sizeof(Datum));
	Size		size = (Size) n_keys * sizeof(HistoryKey);

	for (int i = 0; i < n_parts; i++)
		ids[i] = Int32GetDatum(parts[i]);
	add_position(&statement, store);
	add(&statement, INT4ARRAYOID, array_of(ids, NULL, n_parts, INT4OID));
	add(&statement, BYTEAOID, PointerGetDatum(cstring_to_text_with_len((const char *) keys, (int) size)));
	if (keys == NULL)
		statement.nulls[statement.n - 1] = 'n';
	execute(store, &statement, "history write coverage",
			"INSERT INTO @_coverage (forecast, exported_at, request_id, parts, shown) VALUES ($1, $2, $3, $4, $5)");
}

void
history_store_finish(HistoryStore *store, const int32 *parts, int n_parts, const HistoryKey *keys, int n_keys)
{
	write_changes(store);
	write_coverage(store, parts, n_parts, keys, n_keys);
	if (store->time_frames.n > 0 && tells_more(store))
	{
		write_time_frames(store);
		write_weeks(store);
	}
}
