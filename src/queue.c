/*
 * queue.c
 *		Every SQL statement on the request table, and nowhere else.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "queue.h"
#include "value.h"

#define MAX_PARAMETERS	8
#define NOTIFY_CHANNEL	"clari_export"

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
add_parameter(Statement *statement, Oid type, Datum value, bool is_null)
{
	Assert(statement->n < MAX_PARAMETERS);
	statement->types[statement->n] = type;
	statement->values[statement->n] = value;
	statement->nulls[statement->n] = is_null ? 'n' : ' ';
	statement->n++;
}

static void
add_text(Statement *statement, const char *text)
{
	add_parameter(statement, TEXTOID, text != NULL ? CStringGetTextDatum(text) : (Datum) 0, text == NULL);
}

static void
add_id(Statement *statement, int64 id)
{
	add_parameter(statement, INT8OID, Int64GetDatum(id), false);
}

/* InvalidOid becomes null. */
static void
add_role(Statement *statement, Oid role)
{
	add_parameter(statement, OIDOID, ObjectIdGetDatum(role), !OidIsValid(role));
}

static void
add_time(Statement *statement, TimestampTz time)
{
	add_parameter(statement, TIMESTAMPTZOID, TimestampTzGetDatum(time), TIMESTAMP_NOT_FINITE(time));
}

/* Milliseconds since 1970; 0, or what no timestamp can be, becomes null. */
static void
add_milliseconds(Statement *statement, int64 milliseconds)
{
	TimestampTz epoch = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	TimestampTz time = DT_NOBEGIN;

	if (milliseconds <= 0 || pg_mul_s64_overflow(milliseconds, 1000, &time) || !IS_VALID_TIMESTAMP(time - epoch))
		add_time(statement, DT_NOBEGIN);
	else
		add_time(statement, time - epoch);
}

/*
 * Execute a query in which @request@ and @snapshot@ stand for the tables, and
 * @schema@ for where they are.
 * Returns the number of rows, which are in SPI_tuptable.
 */
static uint64
execute(Statement *statement, const char *query)
{
	MemoryContext context = CurrentMemoryContext;
	StringInfoData text;
	int			result;

	initStringInfo(&text);
	for (const char *c = query; *c != '\0'; c++)
	{
		if (strncmp(c, "@request@", 9) == 0)
			appendStringInfo(&text, "%s.clari_export_request", queue_schema());
		else if (strncmp(c, "@snapshot@", 10) == 0)
			appendStringInfo(&text, "%s.clari_export_snapshot", queue_schema());
		else if (strncmp(c, "@schema@", 8) == 0)
			appendStringInfoString(&text, queue_schema());
		else
		{
			appendStringInfoChar(&text, *c);
			continue;
		}
		c = strchr(c + 1, '@');
	}
	result = SPI_execute_with_args(text.data, statement->n, statement->types, statement->values,
								   statement->nulls, false, 0);
	if (result < 0)
		elog(ERROR, "clari_export: \"%s\" failed: %s", text.data, SPI_result_code_string(result));
	MemoryContextSwitchTo(context);
	pfree(text.data);
	return SPI_processed;
}

static Datum
column(uint64 row, int number, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, is_null);
}

/* A column as text; NULL where it is null. */
static char *
text_column(uint64 row, int number)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number);
}

static TimestampTz
time_column(uint64 row, int number, TimestampTz missing)
{
	bool		is_null;
	Datum		value = column(row, number, &is_null);

	return is_null ? missing : DatumGetTimestampTz(value);
}

/* ----------
 * Looking
 * ----------
 */

#define N_REQUEST_COLUMNS 20
#define REQUEST_COLUMNS \
	"id, kind, forecast_id, time_period, options, server, requested_by, state, job_id, polls," \
	" next_poll_at, known_job_ids, error_code, error_message, error_hint, hold_reason," \
	" submitted_at IS NOT NULL, posted_at, lost_submissions, retried"

/* Somebody may have written a null into the array: it is no job. */
static void
read_known_jobs(Request *request, uint64 row, int number)
{
	bool		is_null;
	Datum		array = column(row, number, &is_null);
	Datum	   *ids;
	bool	   *nulls;
	int			n;

	request->n_known_jobs = -1;
	if (is_null)
		return;
	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &ids, &nulls, &n);
	request->known_jobs = palloc((Size) Max(n, 1) * sizeof(char *));
	request->n_known_jobs = 0;
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			request->known_jobs[request->n_known_jobs++] = TextDatumGetCString(ids[i]);
}

static Request *
read_request(uint64 row)
{
	Request    *request = palloc0(sizeof(Request));
	bool		is_null;

	request->id = DatumGetInt64(column(row, 1, &is_null));
	request->kind = text_column(row, 2);
	request->forecast_id = text_column(row, 3);
	request->time_period = text_column(row, 4);
	request->options = text_column(row, 5);
	request->server = text_column(row, 6);
	request->requested_by = DatumGetObjectId(column(row, 7, &is_null));
	request->state = text_column(row, 8);
	request->job_id = text_column(row, 9);
	request->polls = DatumGetInt32(column(row, 10, &is_null));
	request->next_poll_at = time_column(row, 11, DT_NOBEGIN);
	read_known_jobs(request, row, 12);
	request->error_code = text_column(row, 13);
	request->error_message = text_column(row, 14);
	request->error_hint = text_column(row, 15);
	request->hold_reason = text_column(row, 16);
	request->was_submitted = DatumGetBool(column(row, 17, &is_null));
	request->posted_at = time_column(row, 18, DT_NOBEGIN);
	request->lost_submissions = DatumGetInt32(column(row, 19, &is_null));
	request->retried = DatumGetBool(column(row, 20, &is_null));
	return request;
}

/* Of the queued requests few are held, and the index has them by that time. */
TimestampTz
queue_rate_limited_until(const RequestOwner *owner)
{
	Statement	statement = {0};

	add_text(&statement, owner->server);
	add_role(&statement, owner->role);
	add_text(&statement, hold_reason_name(HOLD_RATE_LIMITED));
	execute(&statement,
			"SELECT greatest("
			"(SELECT held_until FROM @request@"
			"  WHERE state = 'queued' AND hold_reason = $3"
			"  AND server = $1 AND requested_by = $2 AND held_until > now()"
			"  ORDER BY held_until DESC LIMIT 1),"
			" (SELECT max(next_poll_at) FROM @request@"
			"  WHERE state IN ('submitting', 'running') AND hold_reason = $3"
			"  AND server = $1 AND requested_by = $2))");
	return time_column(0, 1, DT_NOBEGIN);
}

Request *
queue_find(int64 id, bool *inserted_here)
{
	Statement	statement = {0};
	bool		is_null;

	add_id(&statement, id);
	if (execute(&statement, "SELECT " REQUEST_COLUMNS ", xmin FROM @request@ WHERE id = $1") == 0)
		return NULL;
	*inserted_here = TransactionIdIsCurrentTransactionId(DatumGetTransactionId(column(0, N_REQUEST_COLUMNS + 1, &is_null)));
	return read_request(0);
}

Jsonb *
queue_snapshot(int64 id)
{
	Statement	statement = {0};
	bool		is_null;
	Datum		result;

	add_id(&statement, id);
	if (execute(&statement, "SELECT result FROM @snapshot@ WHERE request_id = $1"
				" ORDER BY exported_at DESC LIMIT 1") == 0)
		return NULL;
	result = column(0, 1, &is_null);
	return is_null ? NULL : DatumGetJsonbPCopy(result);
}

void
queue_exclude_owned_jobs(int64 id, Export *export)
{
	Statement	statement = {0};
	uint64		n;

	add_id(&statement, id);
	n = execute(&statement,
				"SELECT other.job_id FROM @request@ mine, @request@ other"
				" WHERE mine.id = $1 AND other.id <> mine.id AND other.job_id IS NOT NULL"
				" AND other.submitted_at >= mine.submitted_at - interval '1 day'");
	for (uint64 row = 0; row < n; row++)
		export_exclude_job(export, text_column(row, 1));
}

/* ----------
 * Changing
 * ----------
 */

int
queue_make_ready(List *ids)
{
	Statement	statement = {0};
	Datum	   *values = palloc((Size) list_length(ids) * sizeof(Datum));
	ListCell   *cell;
	int			n = 0;

	foreach(cell, ids)
		values[n++] = Int64GetDatum(*(int64 *) lfirst(cell));
	add_parameter(&statement, INT8ARRAYOID,
				  PointerGetDatum(construct_array(values, n, INT8OID, sizeof(int64),
												  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)), false);
	return n - (int) execute(&statement,
							 "UPDATE @request@ SET ready = true WHERE id IN ("
							 " SELECT id FROM @request@ WHERE id = ANY ($1) AND state = 'queued'"
							 " FOR UPDATE SKIP LOCKED)");
}

/*
 * Execute an update of request $1 that is expected in one of some states
 * (a list of SQL literals).
 */
static QueueUpdate
update(Statement *statement, const char *states, const char *assignments)
{
	char	   *query = psprintf("UPDATE @request@ SET %s WHERE id = ("
								 "SELECT id FROM @request@ WHERE id = $1 AND state IN (%s)"
								 " FOR UPDATE SKIP LOCKED)", assignments, states);
	Statement	look = {0};

	if (execute(statement, query) > 0)
		return QUEUE_UPDATED;

	query = psprintf("SELECT FROM @request@ WHERE id = $1 AND state IN (%s)", states);
	add_parameter(&look, INT8OID, statement->values[0], false);
	return execute(&look, query) > 0 ? QUEUE_LOCKED : QUEUE_MOVED_ON;
}

#define UNFINISHED	"'queued', 'submitting', 'running'"

/* Nothing holds the request. */
#define NO_HOLD	" hold_reason = NULL, held_until = NULL, error_message = NULL"

/* Perhaps for the time between two requests to Clari. */
#define HELD_BETWEEN_REQUESTS(reason, until) \
	" hold_reason = " reason ", held_until = CASE WHEN " reason " IS NOT NULL THEN " until " END," \
	" error_message = NULL"

/* Tell those who listen; the update has returned what they are told. */
static void
notify(int64 id)
{
	Statement	statement = {0};

	add_id(&statement, id);
	execute(&statement,
			"SELECT pg_notify('" NOTIFY_CHANNEL "', json_build_object('request_id', id, 'state', state)::text)"
			" FROM @request@ WHERE id = $1");
}

/* As update(), for the end of a request. */
static QueueUpdate
update_finally(Statement *statement, const char *states, const char *assignments)
{
	QueueUpdate result = update(statement, states, assignments);

	if (result == QUEUE_UPDATED)
		notify(DatumGetInt64(statement->values[0]));
	return result;
}

QueueUpdate
queue_submitting(int64 id, const Export *export)
{
	Statement	statement = {0};
	const JobIdSet *known = &export->others_jobs;
	Datum	   *ids = palloc(Max(known->n, 1) * sizeof(Datum));

	for (size_t i = 0; i < known->n; i++)
		ids[i] = CStringGetTextDatum(known->ids[i]);
	add_id(&statement, id);
	add_parameter(&statement, TEXTARRAYOID,
				  PointerGetDatum(construct_array(ids, (int) known->n, TEXTOID, -1, false, TYPALIGN_INT)),
				  !export->has_baseline);
	add_milliseconds(&statement, export->post_began);
	add_parameter(&statement, INT4OID, Int32GetDatum(export->lost_submissions), false);
	return update(&statement, "'queued', 'submitting'",
				  "state = 'submitting', submitted_at = clock_timestamp(), known_job_ids = $2,"
				  " posted_at = $3, lost_submissions = $4, next_poll_at = NULL," NO_HOLD);
}

QueueUpdate
queue_running(int64 id, const Export *export, TimestampTz next_poll_at)
{
	Statement	statement = {0};

	add_id(&statement, id);
	add_text(&statement, export->job_id);
	add_time(&statement, next_poll_at);
	return update(&statement, "'submitting'",
				  "state = 'running', job_id = $2, next_poll_at = $3, polls = 0, known_job_ids = NULL,"
				  " posted_at = NULL," NO_HOLD);
}

static void
add_job_times(Statement *statement, const Export *export)
{
	add_time(statement, time_from_clari(export->has_job ? export->job.start_time : 0));
	add_time(statement, time_from_clari(export->has_job ? export->job.end_time : 0));
}

QueueUpdate
queue_looked_up(int64 id, TimestampTz next_poll_at, const char *hold_reason)
{
	Statement	statement = {0};

	add_id(&statement, id);
	add_time(&statement, next_poll_at);
	add_text(&statement, hold_reason);
	return update(&statement, "'submitting'",
				  "next_poll_at = $2," HELD_BETWEEN_REQUESTS("$3", "$2"));
}

QueueUpdate
queue_polled(int64 id, const Export *export, TimestampTz next_poll_at, const char *hold_reason)
{
	Statement	statement = {0};

	add_id(&statement, id);
	add_parameter(&statement, INT4OID, Int32GetDatum(export->polls), false);
	add_time(&statement, next_poll_at);
	add_job_times(&statement, export);
	add_text(&statement, hold_reason);
	return update(&statement, "'running'",
				  "polls = $2, next_poll_at = $3, server_start_time = $4, server_end_time = $5,"
				  HELD_BETWEEN_REQUESTS("$6", "$3"));
}

QueueUpdate
queue_hold(int64 id, const char *reason, TimestampTz until)
{
	Statement	statement = {0};

	add_id(&statement, id);
	add_text(&statement, reason);
	add_time(&statement, until);
	return update(&statement, "'queued'", "hold_reason = $2, held_until = $3, error_message = NULL");
}

/* What was known before a submission that was lost is needed for the next one, too. */
QueueUpdate
queue_put_back(int64 id, const Export *export, const char *reason, TimestampTz until)
{
	Statement	statement = {0};

	add_id(&statement, id);
	add_text(&statement, reason);
	add_time(&statement, until);
	add_parameter(&statement, INT4OID, Int32GetDatum(export->lost_submissions), false);
	return update(&statement, "'queued', 'submitting'",
				  "state = 'queued', hold_reason = $2, held_until = $3, error_message = NULL,"
				  " submitted_at = NULL, next_poll_at = NULL, lost_submissions = $4,"
				  " posted_at = CASE WHEN $4 > 0 THEN posted_at END,"
				  " known_job_ids = CASE WHEN $4 > 0 THEN known_job_ids END");
}

/* Few are held, and the index has them by their owner. */
void
queue_lift_holds(const RequestOwner *owner)
{
	Statement	statement = {0};

	add_text(&statement, owner->server);
	add_role(&statement, owner->role);
	add_text(&statement, hold_reason_name(HOLD_DATABASE_ERROR));
	execute(&statement,
			"UPDATE @request@ SET" NO_HOLD
			" WHERE id IN (SELECT id FROM @request@"
			"  WHERE state = 'queued' AND hold_reason IS NOT NULL AND server = $1 AND requested_by = $2"
			"  AND (hold_reason <> $3 OR held_until <= now())"
			"  FOR UPDATE SKIP LOCKED)");
}

void
queue_release(const char *server)
{
	Statement	statement = {0};

	add_text(&statement, server);
	execute(&statement,
			"UPDATE @request@ SET" NO_HOLD
			" WHERE id IN (SELECT id FROM @request@"
			"  WHERE state IN (" UNFINISHED ") AND hold_reason IS NOT NULL AND server = $1"
			"  FOR UPDATE SKIP LOCKED)");
}

QueueUpdate
queue_delay(int64 id, TimestampTz until, const char *error_message)
{
	Statement	statement = {0};

	add_id(&statement, id);
	add_time(&statement, until);
	add_text(&statement, error_message);
	add_text(&statement, hold_reason_name(HOLD_DATABASE_ERROR));
	return update(&statement, UNFINISHED,
				  "hold_reason = $4, held_until = $2, error_message = $3");
}

static void
insert_snapshot(int64 id, const Export *export, Jsonb *result)
{
	Statement	statement = {0};

	add_id(&statement, id);
	add_parameter(&statement, BOOLOID, BoolGetDatum(export->has_job && export->job.truncated), false);
	add_parameter(&statement, JSONBOID, JsonbPGetDatum(result), false);
	execute(&statement,
			"INSERT INTO @snapshot@ (request_id, server, kind, forecast_id, time_period, options, job_id,"
			" requested_by, exported_at, truncated, result)"
			" SELECT id, server, kind, forecast_id,"
			" coalesce(time_period, options ->> 'timePeriod', @schema@.clari_export_period_of($3)),"
			" options, job_id, requested_by, clock_timestamp(), $2, $3"
			" FROM @request@ WHERE id = $1");
}

QueueUpdate
queue_done(int64 id, const Export *export, Jsonb *result)
{
	Statement	statement = {0};
	QueueUpdate done;

	add_id(&statement, id);
	add_parameter(&statement, INT4OID, Int32GetDatum(export->polls), false);
	add_job_times(&statement, export);
	done = update_finally(&statement, "'running'",
						  "state = 'done', finished_at = clock_timestamp(), polls = $2, next_poll_at = NULL,"
						  NO_HOLD ","
						  " server_start_time = coalesce($3, server_start_time),"
						  " server_end_time = coalesce($4, server_end_time)");
	if (done == QUEUE_UPDATED)
		insert_snapshot(id, export, result);
	return done;
}

#define FAIL_WITH(code, message, hint) \
	"state = 'failed', finished_at = clock_timestamp(), next_poll_at = NULL," \
	" hold_reason = NULL, held_until = NULL," \
	" error_code = " code ", error_message = " message ", error_hint = " hint

static void
add_failure(Statement *statement, const Failure *failure)
{
	add_text(statement, unpack_sql_state(failure->sqlstate));
	add_text(statement, failure->detail != NULL ?
			 psprintf("%s: %s", failure->message, failure->detail) : failure->message);
	add_text(statement, failure->hint);
}

QueueUpdate
queue_fail(int64 id, const Export *export, const Failure *failure)
{
	Statement	statement = {0};

	add_id(&statement, id);
	add_failure(&statement, failure);
	add_text(&statement, export != NULL && export_may_have_job(export) ? export->job_id : NULL);
	return update_finally(&statement, UNFINISHED,
						  FAIL_WITH("$2", "$3", "$4") ", job_id = coalesce(job_id, $5)");
}

void
queue_fail_owner(const RequestOwner *owner, const Failure *failure)
{
	Statement	statement = {0};

	add_text(&statement, owner->server);
	add_role(&statement, owner->role);
	add_failure(&statement, failure);
	execute(&statement,
			"WITH failed AS ("
			" UPDATE @request@ SET " FAIL_WITH("$3", "$4", "$5")
			" WHERE id IN (SELECT id FROM @request@ WHERE state IN (" UNFINISHED ")"
			"  AND server = $1 AND requested_by = $2 AND run_after <= now()"
			"  FOR UPDATE SKIP LOCKED)"
			" RETURNING id, state)"
			" SELECT pg_notify('" NOTIFY_CHANNEL "', json_build_object('request_id', id, 'state', state)::text)"
			" FROM failed");
}

bool
queue_lock_to_cancel(int64 id)
{
	Statement	statement = {0};

	add_id(&statement, id);
	return execute(&statement, "SELECT FROM @request@ WHERE id = $1 AND state IN ('queued', 'running')"
				   " FOR UPDATE") > 0;
}

QueueUpdate
queue_cancel(int64 id)
{
	Statement	statement = {0};

	add_id(&statement, id);
	return update_finally(&statement, UNFINISHED,
						  "state = 'cancelled', finished_at = clock_timestamp(), next_poll_at = NULL," NO_HOLD);
}

QueueUpdate
queue_retry(int64 id, const char *state, bool keeps_job)
{
	Statement	statement = {0};

	add_id(&statement, id);
	add_text(&statement, state);
	add_parameter(&statement, BOOLOID, BoolGetDatum(keeps_job), false);
	return update(&statement, "'failed'",
				  "state = $2, job_id = CASE WHEN $3 THEN job_id END, retried = $3, polls = 0, next_poll_at = NULL,"
				  " submitted_at = CASE WHEN $2 <> 'queued' THEN submitted_at END,"
				  " lost_submissions = CASE WHEN $2 = 'queued' THEN 0 ELSE lost_submissions END,"
				  " known_job_ids = CASE WHEN $2 <> 'queued' THEN known_job_ids END,"
				  " finished_at = NULL, error_code = NULL, error_message = NULL, error_hint = NULL");
}

Oid
queue_snapshot_owner(int64 id)
{
	Statement	statement = {0};
	bool		is_null;

	add_id(&statement, id);
	if (execute(&statement, "SELECT requested_by FROM @snapshot@ WHERE request_id = $1") == 0)
		return InvalidOid;
	return DatumGetObjectId(column(0, 1, &is_null));
}

bool
queue_delete_request(int64 id)
{
	Statement	statement = {0};

	add_id(&statement, id);
	return execute(&statement, "DELETE FROM @request@ WHERE id = $1 AND state NOT IN (" UNFINISHED ")") > 0;
}

bool
queue_delete_snapshot(int64 id)
{
	Statement	statement = {0};

	add_id(&statement, id);
	return execute(&statement, "DELETE FROM @snapshot@ WHERE request_id = $1") > 0;
}

void
queue_rename_server(const char *old_name, const char *new_name)
{
	Statement	statement = {0};

	add_text(&statement, old_name);
	add_text(&statement, new_name);
	execute(&statement, "UPDATE @request@ SET server = $2 WHERE server = $1");
	execute(&statement, "UPDATE @snapshot@ SET server = $2 WHERE server = $1");
}

/* Rows that somebody holds locked wait for the next time. */
static void
prune(const QueueScope *scope, Duration retention, const char *query)
{
	Statement	statement = {0};

	add_time(&statement, GetCurrentTimestamp() - retention);
	add_text(&statement, scope->server);
	add_role(&statement, scope->role);
	execute(&statement, query);
}

void
queue_prune_requests(const QueueScope *scope, Duration retention)
{
	prune(scope, retention,
		  "DELETE FROM @request@ WHERE id IN (SELECT id FROM @request@ WHERE finished_at < $1"
		  "  AND ($2 IS NULL OR server = $2) AND ($3 IS NULL OR requested_by = $3)"
		  "  FOR UPDATE SKIP LOCKED)");
}

void
queue_prune_snapshots(const QueueScope *scope, Duration retention)
{
	prune(scope, retention,
		  "DELETE FROM @snapshot@ WHERE request_id IN (SELECT request_id FROM @snapshot@ WHERE exported_at < $1"
		  "  AND ($2 IS NULL OR server = $2) AND ($3 IS NULL OR requested_by = $3)"
		  "  FOR UPDATE SKIP LOCKED)");
}
