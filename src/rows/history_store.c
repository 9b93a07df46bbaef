/*
 * history_store.c
 *		The tables of the history: every statement on them, but for the weeks.
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
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "query.h"
#include "rows/history_store.h"
#include "rows/history_weeks.h"

#define PART_INDEX		"clari_export_history_part_idx"
#define NEW_ROWS		"new_rows"
#define ROWS_AT_ONCE	5000

#define VALUES			"@schema@.clari_export_history"
#define FORECASTS		"@schema@.clari_export_history_forecast"
#define COVERAGE		"@schema@.clari_export_history_coverage"

/* Places of rows, and perhaps a position for each. */
typedef struct RowList
{
	int			n;
	int			allocated;
	ItemPointerData *rows;
	HistoryPosition *positions;
} RowList;

struct HistoryStore
{
	const HistorySnapshot *snapshot;
	MemoryContext context;
	Oid			table_id;
	Oid			part_index;
	TupleDesc	description;
	HistorySeries series;
	text	   *forecast_id;	/* bounded */
	bool		has_later;		/* snapshots of the forecast */

	Tuplestorestate *new_rows;
	int			n_new_rows;
	RowList		ended;
	RowList		gone;
	RowList		continued;
	RowList		begun_earlier;
	HistoryTimeFrames time_frames;
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

/* Every statement's first parameters, as far as it has them. */
static SqlQuery
begin_query(const HistoryStore *store)
{
	SqlQuery	query = {0};

	query_add_int(&query, store->series.forecast);
	return query;
}

static void
add_position(SqlQuery *query, const HistoryStore *store)
{
	query_add_time(query, store->snapshot->exported_at);
	query_add_id(query, store->snapshot->request_id);
}

static void
add_text(SqlQuery *query, const text *value)
{
	query_add_varlena(query, TEXTOID, value);
}

static uint64
execute(const HistoryStore *store, SqlQuery *query, const char *name, const char *text)
{
	return query_execute(store->series.schema, query, name, text);
}

static HistoryPosition
position_column(uint64 row, int number)
{
	bool		is_null;
	HistoryPosition position = {
		DatumGetTimestampTz(query_column(row, number, &is_null)), DatumGetInt64(query_column(row, number + 1, &is_null))
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
	Oid			table = get_relname_relid("clari_export_history_forecast", store->series.schema);

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
	SqlQuery	query = {0};

	query_add(&query, NAMEOID, DirectFunctionCall1(namein, CStringGetDatum(store->snapshot->server)), false);
	query_add_role(&query, store->series.requested_by);
	add_text(&query, store->forecast_id);
	if (execute(store, &query, "history find forecast",
				"UPDATE " FORECASTS " SET changed_at = clock_timestamp() WHERE id ="
				" (SELECT max(id) FROM " FORECASTS " WHERE server = $1 AND requested_by = $2 AND forecast_id = $3)"
				" RETURNING id") == 0)
		execute(store, &query, "history add forecast",
				"INSERT INTO " FORECASTS " (server, requested_by, forecast_id, changed_at)"
				" VALUES ($1, $2, $3, clock_timestamp()) RETURNING id");
	store->series.forecast = query_int_column(0, 1, 0);
}

/* Look behind the snapshot's place. Returns whether the snapshot is there already. */
static bool
has_snapshot(HistoryStore *store)
{
	SqlQuery	query = begin_query(store);
	bool		is_null;

	add_position(&query, store);
	store->has_later = execute(store, &query, "history place",
							   "SELECT exported_at = $2 AND request_id = $3 FROM " COVERAGE
							   " WHERE forecast = $1 AND (exported_at, request_id) >= ($2, $3)"
							   " ORDER BY exported_at, request_id LIMIT 1") > 0;
	return store->has_later && DatumGetBool(query_column(0, 1, &is_null));
}

static void
find_table(HistoryStore *store, Oid schema)
{
	Relation	table;

	store->series.schema = schema;
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
	store->series.requested_by = snapshot->requested_by;
	store->series.scope_id = bounded(snapshot->scope_id);
	store->series.currency = bounded(snapshot->currency);
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
	SqlQuery	query = begin_query(store);
	StoredPart *parts;

	add_text(&query, store->series.scope_id);
	add_text(&query, store->series.currency);
	*n = (int) execute(store, &query, "history parts",
					   "SELECT id, time_period, time_frame_id, field_type FROM " HISTORY_PARTS
					   " WHERE forecast = $1 AND scope_id = $2 AND currency = $3");
	parts = palloc((Size) (*n + 1) * sizeof(StoredPart));
	for (int i = 0; i < *n; i++)
	{
		parts[i].id = query_int_column((uint64) i, 1, 0);
		for (int name = 0; name < 3; name++)
			parts[i].names[name] = query_text_copy((uint64) i, 2 + name);
	}
	SPI_freetuptable(SPI_tuptable);
	return parts;
}

int32
history_store_add_part(HistoryStore *store, text *const names[3])
{
	SqlQuery	query = begin_query(store);
	int32		id;

	query_add_role(&query, store->series.requested_by);
	add_text(&query, store->series.scope_id);
	add_text(&query, store->series.currency);
	for (int name = 0; name < 3; name++)
		add_text(&query, names[name]);
	execute(store, &query, "history add part",
			"INSERT INTO " HISTORY_PARTS " (forecast, requested_by, scope_id, currency, time_period, time_frame_id, field_type)"
			" VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id");
	id = query_int_column(0, 1, 0);
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
	SqlQuery	query = begin_query(store);
	TruncatedSnapshot *snapshots;

	add_position(&query, store);
	*n = (int) execute(store, &query, "history truncated", "SELECT exported_at, request_id, shown FROM " COVERAGE
					   " WHERE" LATER " AND shown IS NOT NULL ORDER BY exported_at, request_id");
	snapshots = palloc((Size) (*n + 1) * sizeof(TruncatedSnapshot));
	for (int i = 0; i < *n; i++)
	{
		bool		is_null;
		bytea	   *shown = DatumGetByteaPCopy(query_column((uint64) i, 3, &is_null));

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
	SqlQuery	query = begin_query(store);
	HistoryPosition next = {DT_NOEND, 0};

	add_position(&query, store);
	query_add_int(&query, part_id);
	if (execute(store, &query, "history next", "SELECT exported_at, request_id FROM " COVERAGE
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

/* SPI keeps what it registers in the current context, which for a row is gone with it. */
static void
insert_new_rows(HistoryStore *store)
{
	MemoryContext old_context = MemoryContextSwitchTo(store->context);
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));
	SqlQuery	query = {0};

	relation->md.name = NEW_ROWS;
	relation->md.tupdesc = store->description;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = store->n_new_rows;
	relation->reldata = store->new_rows;
	if (SPI_register_relation(relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation failed");
	execute(store, &query, NULL, "INSERT INTO " VALUES " SELECT * FROM " NEW_ROWS);
	SPI_unregister_relation(NEW_ROWS);
	tuplestore_end(store->new_rows);
	store->n_new_rows = 0;
	MemoryContextSwitchTo(old_context);
}

static void
set_series(const HistoryStore *store, Datum *values, bool *nulls, NameData *server)
{
	namestrcpy(server, store->snapshot->server);
	values[HISTORY_SERVER] = NameGetDatum(server);
	values[HISTORY_REQUESTED_BY] = ObjectIdGetDatum(store->snapshot->requested_by);
	values[HISTORY_FORECAST_ID] = PointerGetDatum(store->forecast_id);
	values[HISTORY_SCOPE_ID] = PointerGetDatum(store->series.scope_id);
	values[HISTORY_CURRENCY] = PointerGetDatum(store->series.currency);
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

void
history_store_see_time_frame(HistoryStore *store, Slice period, Slice time_frame, const DateADT *start)
{
	MemoryContext old_context = MemoryContextSwitchTo(store->context);

	history_weeks_see(&store->time_frames, period, time_frame, start);
	MemoryContextSwitchTo(old_context);
}

/* ----------
 * The end
 * ----------
 */

/* As parameters: the rows' places, and their positions where that is asked for. */
static void
add_rows(SqlQuery *query, const RowList *list, bool with_positions)
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
	query_add_array(query, TIDARRAYOID, TIDOID, rows, NULL, list->n);
	if (!with_positions)
		return;
	query_add_array(query, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID, times, NULL, list->n);
	query_add_array(query, INT8ARRAYOID, INT8OID, ids, NULL, list->n);
}

/* Execute a statement on rows: $1 and $2 are the snapshot's position, $3 the rows. */
static void
change_rows(const HistoryStore *store, const RowList *list, const char *name, const char *text)
{
	SqlQuery	query = {0};

	if (list->n == 0)
		return;
	add_position(&query, store);
	add_rows(&query, list, false);
	execute(store, &query, name, text);
}

#define SHOWN_COLUMNS \
	"server, requested_by, forecast_id, scope_id, currency, time_period, time_frame_id, user_id, field_id, field_type," \
	" week_start, week_end, user_name, user_email, crm_user_id, role, role_id, parent_role, parent_role_id, field_name," \
	" value, value_text, value_currency, is_updated, updated_by, updated_at"

/* What goes on later is a copy of what ends now, so it comes first. */
static void
write_changes(HistoryStore *store)
{
	SqlQuery	query = {0};

	if (store->n_new_rows > 0)
		insert_new_rows(store);
	if (store->continued.n > 0)
	{
		add_rows(&query, &store->continued, true);
		execute(store, &query, "history continue rows",
				"INSERT INTO " VALUES " (" SHOWN_COLUMNS ", valid_from, valid_to, request_id, closed_by, part_id)"
				" SELECT " SHOWN_COLUMNS ", c.at, h.valid_to, c.by, h.closed_by, h.part_id"
				" FROM " VALUES " h, unnest($1, $2, $3) AS c (place, at, by) WHERE h.ctid = c.place");
	}
	change_rows(store, &store->ended, "history end rows",
				"UPDATE " VALUES " h SET valid_to = $1, closed_by = $2 FROM unnest($3) AS c (place) WHERE h.ctid = c.place");
	change_rows(store, &store->gone, "history remove rows",
				"DELETE FROM " VALUES " h USING unnest($3) AS c (place) WHERE h.ctid = c.place");
	change_rows(store, &store->begun_earlier, "history begin rows earlier",
				"UPDATE " VALUES " h SET valid_from = $1, request_id = $2 FROM unnest($3) AS c (place) WHERE h.ctid = c.place");
}

static void
write_coverage(const HistoryStore *store, const int32 *parts, int n_parts, const HistoryKey *keys, int n_keys)
{
	SqlQuery	query = begin_query(store);
	Datum	   *ids = palloc((Size) n_parts * sizeof(Datum));
	Size		size = (Size) n_keys * sizeof(HistoryKey);

	for (int i = 0; i < n_parts; i++)
		ids[i] = Int32GetDatum(parts[i]);
	add_position(&query, store);
	query_add_array(&query, INT4ARRAYOID, INT4OID, ids, NULL, n_parts);
	query_add_varlena(&query, BYTEAOID, keys != NULL ? cstring_to_text_with_len((const char *) keys, (int) size) : NULL);
	execute(store, &query, "history write coverage",
			"INSERT INTO " COVERAGE " (forecast, exported_at, request_id, parts, shown) VALUES ($1, $2, $3, $4, $5)");
}

void
history_store_finish(HistoryStore *store, const int32 *parts, int n_parts, const HistoryKey *keys, int n_keys)
{
	write_changes(store);
	write_coverage(store, parts, n_parts, keys, n_keys);
	history_weeks_write(&store->series, &store->time_frames);
}
