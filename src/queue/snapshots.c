/*
 * snapshots.c
 *		Every SQL statement on the snapshot table, and nowhere else.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "queue/snapshots.h"
#include "queue/transaction.h"

/* Characters of a period that a result names: an index holds no more of them. */
#define LONGEST_PERIOD	"256"

void
snapshot_insert(int64 id, const Export *export, Jsonb *result)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	query_add_bool(&query, export->has_job && export->job.truncated);
	query_add(&query, JSONBOID, JsonbPGetDatum(result), false);
	queue_execute(&query, "insert snapshot",
			"INSERT INTO @snapshot@ (request_id, server, kind, forecast_id, time_period, options, job_id,"
			" requested_by, exported_at, truncated, result)"
			" SELECT id, server, kind, forecast_id,"
			" left(coalesce(time_period, options ->> 'timePeriod', @schema@.clari_export_period_of($3)), " LONGEST_PERIOD "),"
			" options, job_id, requested_by, clock_timestamp(), $2, $3"
			" FROM @request@ WHERE id = $1");
}

void
snapshot_import(int64 id, TimestampTz exported_at, Jsonb *result)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	query_add_time(&query, exported_at);
	query_add(&query, JSONBOID, JsonbPGetDatum(result), false);
	queue_execute(&query, "import snapshot",
			"INSERT INTO @snapshot@ (request_id, server, kind, forecast_id, time_period, options,"
			" requested_by, exported_at, truncated, result)"
			" SELECT id, server, kind, forecast_id,"
			" left(coalesce(time_period, @schema@.clari_export_period_of($3)), " LONGEST_PERIOD "),"
			" '{}', requested_by, $2, false, $3"
			" FROM @request@ WHERE id = $1");
}

Jsonb *
snapshot_result(int64 id)
{
	SqlQuery	query = {0};
	bool		is_null;
	Datum		result;

	query_add_id(&query, id);
	if (queue_execute(&query, "snapshot", "SELECT result FROM @snapshot@ WHERE request_id = $1"
				" ORDER BY exported_at DESC LIMIT 1") == 0)
		return NULL;
	result = query_column(0, 1, &is_null);
	return is_null ? NULL : DatumGetJsonbPCopy(result);
}

bool
snapshot_describe(int64 id, HistorySnapshot *snapshot)
{
	SqlQuery	query = {0};
	bool		is_null;

	query_add_id(&query, id);
	if (queue_execute(&query, "describe snapshot",
			"SELECT server, requested_by, forecast_id, coalesce(options ->> 'scopeId', ''),"
			" coalesce(options ->> 'currency', ''), time_period, exported_at, truncated"
			" FROM @snapshot@ WHERE request_id = $1 AND kind = 'forecast'") == 0)
		return false;
	*snapshot = (HistorySnapshot) {
		.request_id = id,
		.server = query_text_column(0, 1),
		.requested_by = DatumGetObjectId(query_column(0, 2, &is_null)),
		.forecast_id = query_text_column(0, 3),
		.scope_id = query_text_column(0, 4),
		.currency = query_text_column(0, 5),
		.time_period = query_text_column(0, 6),
		.exported_at = query_time_column(0, 7, 0),
		.truncated = DatumGetBool(query_column(0, 8, &is_null)),
	};
	return true;
}

Oid
snapshot_owner(int64 id)
{
	SqlQuery	query = {0};
	bool		is_null;

	query_add_id(&query, id);
	if (queue_execute(&query, "snapshot owner", "SELECT requested_by FROM @snapshot@ WHERE request_id = $1") == 0)
		return InvalidOid;
	return DatumGetObjectId(query_column(0, 1, &is_null));
}

Datum
snapshot_lock(int64 id)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	queue_execute(&query, "lock snapshot",
			"SELECT coalesce(array_agg(request_id), '{}') FROM (SELECT request_id FROM @snapshot@"
			"  WHERE request_id = $1 FOR UPDATE) snapshot");
	return query_only_value();
}

Datum
snapshots_lock_old(const QueueScope *scope, Duration retention)
{
	SqlQuery	query = {0};

	query_add_time(&query, GetCurrentTimestamp() - retention);
	query_add_text(&query, scope->server);
	query_add_role(&query, scope->role);
	queue_execute(&query, "lock old snapshots",
			"SELECT coalesce(array_agg(request_id), '{}') FROM (SELECT request_id FROM @snapshot@"
			"  WHERE exported_at < $1 AND ($2 IS NULL OR server = $2) AND ($3 IS NULL OR requested_by = $3)"
			"  FOR UPDATE SKIP LOCKED) old");
	return query_only_value();
}

uint64
snapshots_delete(Datum ids)
{
	SqlQuery	query = {0};

	query_add(&query, INT8ARRAYOID, ids, false);
	return queue_execute(&query, "delete snapshots", "DELETE FROM @snapshot@ WHERE request_id = ANY($1)");
}
