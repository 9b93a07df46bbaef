/*
 * queue.c
 *		Every SQL statement on the request table, and nowhere else.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "queue/home.h"
#include "queue/owners.h"
#include "queue/queue.h"
#include "queue/snapshots.h"
#include "queue/transaction.h"
#include "value.h"

#define NOTIFY_CHANNEL	"clari_export"

/*
 * A condition on the state of requests that are sought by their ids. Written as
 * it comes, it would imply the condition of an index of all those in such a
 * state, which a plan made while they are few would go through.
 */
#define IN_STATE(states)	"CASE WHEN state IN (" states ") THEN true END"

/* ----------
 * Looking
 * ----------
 */

#define N_REQUEST_COLUMNS 21
#define REQUEST_COLUMNS \
	"id, kind, forecast_id, time_period, options, server, requested_by, state, job_id, polls," \
	" next_poll_at, known_job_ids, error_code, error_message, error_hint, hold_reason," \
	" submitted_at IS NOT NULL, posted_at, lost_submissions, retried, made_in"

/* Somebody may have written a null into the array: it is no job. */
static void
read_known_jobs(Request *request, uint64 row, int number)
{
	bool		is_null;
	Datum		array = query_column(row, number, &is_null);
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

	request->id = DatumGetInt64(query_column(row, 1, &is_null));
	request->kind = query_text_column(row, 2);
	request->forecast_id = query_text_column(row, 3);
	request->time_period = query_text_column(row, 4);
	request->options = query_text_column(row, 5);
	request->server = query_text_column(row, 6);
	request->requested_by = DatumGetObjectId(query_column(row, 7, &is_null));
	request->state = query_text_column(row, 8);
	request->job_id = query_text_column(row, 9);
	request->polls = DatumGetInt32(query_column(row, 10, &is_null));
	request->next_poll_at = query_time_column(row, 11, DT_NOBEGIN);
	read_known_jobs(request, row, 12);
	request->error_code = query_text_column(row, 13);
	request->error_message = query_text_column(row, 14);
	request->error_hint = query_text_column(row, 15);
	request->hold_reason = query_text_column(row, 16);
	request->was_submitted = DatumGetBool(query_column(row, 17, &is_null));
	request->posted_at = query_time_column(row, 18, DT_NOBEGIN);
	request->lost_submissions = DatumGetInt32(query_column(row, 19, &is_null));
	request->retried = DatumGetBool(query_column(row, 20, &is_null));
	request->made_in = query_text_column(row, 21);
	return request;
}

/* Of the queued requests few are held, and the index has them by that time. */
TimestampTz
queue_rate_limited_until(const RequestOwner *owner)
{
	SqlQuery	query = {0};

	query_add_text(&query, owner->server);
	query_add_role(&query, owner->role);
	query_add_text(&query, hold_reason_name(HOLD_RATE_LIMITED));
	queue_execute(&query, "rate limited until",
			"SELECT greatest("
			"(SELECT held_until FROM @request@"
			"  WHERE state = 'queued' AND hold_reason = $3"
			"  AND server = $1 AND requested_by = $2 AND held_until > now()"
			"  ORDER BY held_until DESC LIMIT 1),"
			" (SELECT max(next_poll_at) FROM @request@"
			"  WHERE state IN ('submitting', 'running') AND hold_reason = $3"
			"  AND server = $1 AND requested_by = $2))");
	return query_time_column(0, 1, DT_NOBEGIN);
}

Request *
queue_find(int64 id, bool *inserted_here)
{
	SqlQuery	query = {0};
	bool		is_null;

	query_add_id(&query, id);
	if (queue_execute(&query, "find", "SELECT " REQUEST_COLUMNS ", xmin FROM @request@ WHERE id = $1") == 0)
		return NULL;
	*inserted_here = TransactionIdIsCurrentTransactionId(DatumGetTransactionId(query_column(0, N_REQUEST_COLUMNS + 1, &is_null)));
	return read_request(0);
}

void
queue_exclude_owned_jobs(int64 id, Export *export)
{
	SqlQuery	query = {0};
	uint64		n;

	query_add_id(&query, id);
	n = queue_execute(&query, "exclude owned jobs",
				"SELECT other.job_id FROM @request@ mine, @request@ other"
				" WHERE mine.id = $1 AND other.id <> mine.id AND other.job_id IS NOT NULL"
				" AND other.submitted_at >= mine.submitted_at - interval '1 day'");
	for (uint64 row = 0; row < n; row++)
		export_exclude_job(export, query_text_column(row, 1));
}

/* ----------
 * Enqueueing
 * ----------
 */

#define UNFINISHED	"'queued', 'submitting', 'running'"

static void
add_wanted(SqlQuery *query, Oid type, NullableDatum value)
{
	query_add(query, type, value.value, value.isnull);
}

/* The id that a statement gives, or 0. */
static int64
id_of_first(uint64 n)
{
	bool		is_null;

	return n > 0 ? DatumGetInt64(query_column(0, 1, &is_null)) : 0;
}

int64
queue_find_fresh(const WantedExport *wanted, Oid role)
{
	SqlQuery	query = {0};

	query_add_role(&query, role);
	add_wanted(&query, NAMEOID, wanted->server);
	add_wanted(&query, TEXTOID, wanted->kind);
	add_wanted(&query, TEXTOID, wanted->forecast_id);
	add_wanted(&query, TEXTOID, wanted->time_period);
	add_wanted(&query, JSONBOID, wanted->options);
	add_wanted(&query, INTERVALOID, wanted->max_age);
	return id_of_first(queue_execute(&query, "find fresh",
			"SELECT r.id FROM @request@ r"
			" WHERE r.requested_by = $1 AND r.state = 'done' AND r.server = $2 AND r.kind = $3"
			" AND r.forecast_id IS NOT DISTINCT FROM $4 AND r.time_period IS NOT DISTINCT FROM $5"
			" AND r.options = coalesce($6, '{}') AND r.finished_at >= clock_timestamp() - $7"
			" AND EXISTS (SELECT FROM @snapshot@ s"
			"  WHERE s.request_id = r.id AND s.exported_at >= clock_timestamp() - $7)"
			" ORDER BY r.finished_at DESC LIMIT 1"));
}

int64
queue_find_waiting(const WantedExport *wanted, Oid role)
{
	SqlQuery	query = {0};

	query_add_role(&query, role);
	add_wanted(&query, TEXTOID, wanted->dedupe_key);
	return id_of_first(queue_execute(&query, "find waiting",
			"SELECT id FROM @request@"
			" WHERE requested_by = $1 AND dedupe_key = $2 AND state IN (" UNFINISHED ")"));
}

int64
queue_insert(const WantedExport *wanted)
{
	SqlQuery	query = {0};

	add_wanted(&query, TEXTOID, wanted->kind);
	add_wanted(&query, TEXTOID, wanted->forecast_id);
	add_wanted(&query, TEXTOID, wanted->time_period);
	add_wanted(&query, JSONBOID, wanted->options);
	add_wanted(&query, NAMEOID, wanted->server);
	add_wanted(&query, INT4OID, wanted->priority);
	add_wanted(&query, TIMESTAMPTZOID, wanted->run_after);
	add_wanted(&query, TEXTOID, wanted->dedupe_key);
	return id_of_first(queue_execute(&query, "insert",
			"INSERT INTO @request@"
			" (kind, forecast_id, time_period, options, server, priority, run_after, dedupe_key)"
			" VALUES ($1, $2, $3, coalesce($4, '{}'), $5, $6, coalesce($7, now()), $8)"
			" ON CONFLICT (requested_by, dedupe_key)"
			"  WHERE state IN (" UNFINISHED ") AND dedupe_key IS NOT NULL"
			" DO NOTHING RETURNING id"));
}

/* ----------
 * Changing
 * ----------
 */

/* Add those whose rows the last statement has returned. */
static void
add_owners(List **owners, uint64 n)
{
	const RequestOwner *last = NULL;
	bool		is_null;

	for (uint64 row = 0; row < n; row++)
	{
		RequestOwner owner = {query_text_column(row, 1), DatumGetObjectId(query_column(row, 2, &is_null))};

		if (last != NULL && last->role == owner.role && strcmp(last->server, owner.server) == 0)
			continue;
		last = memcpy(palloc(sizeof(owner)), &owner, sizeof(owner));
		*owners = lappend(*owners, unconstify(RequestOwner *, last));
	}
}

int
queue_make_ready(List *ids, List **owners)
{
	SqlQuery	query = {0};
	Datum	   *values = palloc((Size) list_length(ids) * sizeof(Datum));
	ListCell   *cell;
	int			n = 0;
	uint64		n_ready;

	foreach(cell, ids)
		values[n++] = Int64GetDatum(*(int64 *) lfirst(cell));
	query_add_array(&query, INT8ARRAYOID, INT8OID, values, NULL, n);
	n_ready = queue_execute(&query, "make ready",
							"UPDATE @request@ SET ready = true WHERE id IN ("
							" SELECT id FROM @request@ WHERE id = ANY ($1) AND " IN_STATE("'queued'")
							" FOR UPDATE SKIP LOCKED) RETURNING server, requested_by");
	add_owners(owners, n_ready);
	return n - (int) n_ready;
}

/* The states (a list of SQL literals) that request $1 is expected in, and the statement that updates it then. */
#define UPDATE_IN(states, assignments) \
	states, \
	"UPDATE @request@ SET " assignments " WHERE id = (" \
	"SELECT id FROM @request@ WHERE id = $1 AND " IN_STATE(states) " FOR UPDATE SKIP LOCKED)"

/* Execute an UPDATE_IN() of these states. */
static QueueUpdate
update(SqlQuery *query, const char *name, const char *states, const char *text)
{
	SqlQuery	look = {0};

	if (queue_execute(query, name, text) > 0)
		return QUEUE_UPDATED;

	query_add(&look, INT8OID, query->values[0], false);
	if (queue_execute(&look, "state", "SELECT quote_literal(state) FROM @request@ WHERE id = $1") == 0)
		return QUEUE_MOVED_ON;
	return strstr(states, query_text_column(0, 1)) != NULL ? QUEUE_LOCKED : QUEUE_MOVED_ON;
}

/* Nothing holds the request. */
#define NO_HOLD	" hold_reason = NULL, held_until = NULL, error_message = NULL"

/* Perhaps for the time between two requests to Clari. */
#define HELD_BETWEEN_REQUESTS(reason, until) \
	" hold_reason = " reason ", held_until = CASE WHEN " reason " IS NOT NULL THEN " until " END," \
	" error_message = NULL"

/* Tell those who listen of a request that has come to its end. */
static void
notify(int64 id, const char *state)
{
	char		news[64];

	snprintf(news, sizeof(news), "{\"request_id\" : " INT64_FORMAT ", \"state\" : \"%s\"}", id, state);
	Async_Notify(NOTIFY_CHANNEL, news);
}

/* As update(), for the end of a request, which has that state then. */
static QueueUpdate
update_finally(SqlQuery *query, const char *name, const char *state, const char *states, const char *text)
{
	QueueUpdate result = update(query, name, states, text);

	if (result == QUEUE_UPDATED)
		notify(DatumGetInt64(query->values[0]), state);
	return result;
}

QueueUpdate
queue_submitting(int64 id, const Export *export)
{
	SqlQuery	query = {0};
	const JobIdSet *known = &export->others_jobs;
	Datum	   *ids = palloc(Max(known->n, 1) * sizeof(Datum));

	for (size_t i = 0; i < known->n; i++)
		ids[i] = CStringGetTextDatum(known->ids[i]);
	query_add_id(&query, id);
	if (export->has_baseline)
		query_add_array(&query, TEXTARRAYOID, TEXTOID, ids, NULL, (int) known->n);
	else
		query_add_varlena(&query, TEXTARRAYOID, NULL);
	query_add_milliseconds(&query, export->post_began);
	query_add_int(&query, export->lost_submissions);
	return update(&query, "submitting", UPDATE_IN("'queued', 'submitting'",
				  "state = 'submitting', submitted_at = clock_timestamp(), known_job_ids = $2,"
				  " posted_at = $3, lost_submissions = $4, next_poll_at = NULL," NO_HOLD));
}

QueueUpdate
queue_running(int64 id, const Export *export, TimestampTz next_poll_at)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	query_add_text(&query, export->job_id);
	query_add_time(&query, next_poll_at);
	return update(&query, "running", UPDATE_IN("'submitting'",
				  "state = 'running', job_id = $2, next_poll_at = $3, polls = 0, known_job_ids = NULL,"
				  " posted_at = NULL," NO_HOLD));
}

/* By Clari's clock; DT_NOBEGIN where that is not known. */
static TimestampTz
start_of_job(const Export *export)
{
	return time_from_clari(export->has_job ? export->job.start_time : 0);
}

static TimestampTz
end_of_job(const Export *export)
{
	return time_from_clari(export->has_job ? export->job.end_time : 0);
}

static void
add_job_times(SqlQuery *query, const Export *export)
{
	query_add_time(query, start_of_job(export));
	query_add_time(query, end_of_job(export));
}

QueueUpdate
queue_looked_up(int64 id, TimestampTz next_poll_at, const char *hold_reason)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	query_add_time(&query, next_poll_at);
	query_add_text(&query, hold_reason);
	return update(&query, "looked up", UPDATE_IN("'submitting'",
				  "next_poll_at = $2," HELD_BETWEEN_REQUESTS("$3", "$2")));
}

QueueUpdate
queue_polled(int64 id, const Export *export, TimestampTz next_poll_at, const char *hold_reason)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	query_add_int(&query, export->polls);
	query_add_time(&query, next_poll_at);
	add_job_times(&query, export);
	query_add_text(&query, hold_reason);
	return update(&query, "polled", UPDATE_IN("'running'",
				  "polls = $2, next_poll_at = $3, server_start_time = $4, server_end_time = $5,"
				  HELD_BETWEEN_REQUESTS("$6", "$3")));
}

static void
add_times(SqlQuery *query, const TimestampTz *times, int n)
{
	Datum	   *values = palloc((Size) n * sizeof(Datum));
	bool	   *nulls = palloc((Size) n * sizeof(bool));

	for (int i = 0; i < n; i++)
	{
		values[i] = TimestampTzGetDatum(times[i]);
		nulls[i] = TIMESTAMP_NOT_FINITE(times[i]);
	}
	query_add_array(query, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID, values, nulls, n);
}

/* The ids that the last statement has returned are those of polls that are written. */
static void
note_updated(QueuePoll *polls, int n, uint64 n_updated)
{
	bool		is_null;
	int			i = 0;

	/* Nearly always all, in the order in which they were given. */
	for (uint64 row = 0; row < n_updated; row++)
	{
		int64		id = DatumGetInt64(query_column(row, 1, &is_null));

		for (int looked_at = 0; looked_at < n && polls[i].id != id; looked_at++)
			i = (i + 1) % n;
		polls[i].updated = true;
	}
}

void
queue_polled_together(QueuePoll *polls, int n)
{
	SqlQuery	query = {0};
	Datum	   *ids = palloc((Size) n * sizeof(Datum));
	Datum	   *counts = palloc((Size) n * sizeof(Datum));
	TimestampTz *next = palloc((Size) n * sizeof(TimestampTz));
	TimestampTz *starts = palloc((Size) n * sizeof(TimestampTz));
	TimestampTz *ends = palloc((Size) n * sizeof(TimestampTz));

	for (int i = 0; i < n; i++)
	{
		polls[i].updated = false;
		ids[i] = Int64GetDatum(polls[i].id);
		counts[i] = Int32GetDatum(polls[i].export->polls);
		next[i] = polls[i].next_poll_at;
		starts[i] = start_of_job(polls[i].export);
		ends[i] = end_of_job(polls[i].export);
	}
	query_add_array(&query, INT8ARRAYOID, INT8OID, ids, NULL, n);
	query_add_array(&query, INT4ARRAYOID, INT4OID, counts, NULL, n);
	add_times(&query, next, n);
	add_times(&query, starts, n);
	add_times(&query, ends, n);
	note_updated(polls, n,
				 queue_execute(&query, "polled together",
							   "WITH free AS MATERIALIZED ("
							   " SELECT id FROM @request@ WHERE id = ANY ($1) AND " IN_STATE("'running'") " FOR UPDATE SKIP LOCKED)"
							   " UPDATE @request@ r SET polls = p.polls, next_poll_at = p.next_poll_at,"
							   " server_start_time = p.server_start_time, server_end_time = p.server_end_time"
							   " FROM free, unnest($1, $2, $3, $4, $5)"
							   " AS p (id, polls, next_poll_at, server_start_time, server_end_time)"
							   " WHERE p.id = free.id AND r.id = free.id RETURNING r.id"));
}

QueueUpdate
queue_hold(int64 id, const char *reason, TimestampTz until)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	query_add_text(&query, reason);
	query_add_time(&query, until);
	return update(&query, "hold", UPDATE_IN("'queued'", "hold_reason = $2, held_until = $3, error_message = NULL"));
}

/* What was known before a submission that was lost is needed for the next one, too. */
QueueUpdate
queue_put_back(int64 id, const Export *export, const char *reason, TimestampTz until)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	query_add_text(&query, reason);
	query_add_time(&query, until);
	query_add_int(&query, export->lost_submissions);
	return update(&query, "put back", UPDATE_IN("'queued', 'submitting'",
				  "state = 'queued', hold_reason = $2, held_until = $3, error_message = NULL,"
				  " submitted_at = NULL, next_poll_at = NULL, lost_submissions = $4,"
				  " posted_at = CASE WHEN $4 > 0 THEN posted_at END,"
				  " known_job_ids = CASE WHEN $4 > 0 THEN known_job_ids END"));
}

/* Few are held, and the index has them by their owner. */
void
queue_lift_holds(const RequestOwner *owner)
{
	SqlQuery	query = {0};

	query_add_text(&query, owner->server);
	query_add_role(&query, owner->role);
	query_add_text(&query, hold_reason_name(HOLD_DATABASE_ERROR));
	queue_execute(&query, "lift holds",
			"UPDATE @request@ SET" NO_HOLD
			" WHERE id IN (SELECT id FROM @request@"
			"  WHERE state = 'queued' AND hold_reason IS NOT NULL AND server = $1 AND requested_by = $2"
			"  AND (hold_reason <> $3 OR held_until <= now())"
			"  FOR UPDATE SKIP LOCKED)");
}

void
queue_release(const char *server)
{
	SqlQuery	query = {0};

	query_add_text(&query, server);
	queue_execute(&query, "release",
			"UPDATE @request@ SET" NO_HOLD
			" WHERE id IN (SELECT id FROM @request@"
			"  WHERE state IN (" UNFINISHED ") AND hold_reason IS NOT NULL AND server = $1"
			"  FOR UPDATE SKIP LOCKED)");
}

QueueUpdate
queue_delay(int64 id, TimestampTz until, const char *error_message)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	query_add_time(&query, until);
	query_add_text(&query, error_message);
	query_add_text(&query, hold_reason_name(HOLD_DATABASE_ERROR));
	return update(&query, "delay", UPDATE_IN(UNFINISHED,
				  "hold_reason = $4, held_until = $2, error_message = $3"));
}

QueueUpdate
queue_done(int64 id, const Export *export, Jsonb *result)
{
	SqlQuery	query = {0};
	QueueUpdate done;

	query_add_id(&query, id);
	query_add_int(&query, export->polls);
	add_job_times(&query, export);
	done = update_finally(&query, "done", "done", UPDATE_IN("'running'",
						  "state = 'done', finished_at = clock_timestamp(), polls = $2, next_poll_at = NULL,"
						  NO_HOLD ","
						  " server_start_time = coalesce($3, server_start_time),"
						  " server_end_time = coalesce($4, server_end_time)"));
	if (done == QUEUE_UPDATED)
		snapshot_insert(id, export, result);
	return done;
}

int64
queue_import(const char *server, Oid role, const char *forecast_id, const char *time_period,
			 TimestampTz exported_at, Jsonb *result)
{
	SqlQuery	query = {0};
	bool		is_null;
	int64		id;

	query_add_text(&query, server);
	query_add_role(&query, role);
	query_add_text(&query, forecast_id);
	query_add_text(&query, time_period);
	queue_execute(&query, "import request",
			"INSERT INTO @request@ (kind, server, requested_by, forecast_id, time_period, state, finished_at)"
			" VALUES ('forecast', $1, $2, $3, $4, 'done', clock_timestamp()) RETURNING id");
	id = DatumGetInt64(query_column(0, 1, &is_null));
	snapshot_import(id, exported_at, result);
	notify(id, "done");
	return id;
}

#define FAIL_WITH(code, message, hint) \
	"state = 'failed', finished_at = clock_timestamp(), next_poll_at = NULL," \
	" hold_reason = NULL, held_until = NULL," \
	" error_code = " code ", error_message = " message ", error_hint = " hint

static void
add_failure(SqlQuery *query, const Failure *failure)
{
	query_add_text(query, unpack_sql_state(failure->sqlstate));
	query_add_text(query, failure->detail != NULL ?
			 psprintf("%s: %s", failure->message, failure->detail) : failure->message);
	query_add_text(query, failure->hint);
}

QueueUpdate
queue_fail(int64 id, const Export *export, const Failure *failure)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	add_failure(&query, failure);
	query_add_text(&query, export != NULL && export_may_have_job(export) ? export->job_id : NULL);
	query_add_int(&query, export != NULL ? export->polls : 0);
	query_add_time(&query, export != NULL ? start_of_job(export) : DT_NOBEGIN);
	query_add_time(&query, export != NULL ? end_of_job(export) : DT_NOBEGIN);
	return update_finally(&query, "fail", "failed", UPDATE_IN(UNFINISHED,
						  FAIL_WITH("$2", "$3", "$4") ", job_id = coalesce(job_id, $5), polls = greatest(polls, $6),"
						  " server_start_time = coalesce($7, server_start_time),"
						  " server_end_time = coalesce($8, server_end_time)"));
}

void
queue_fail_owner(const RequestOwner *owner, const Failure *failure)
{
	SqlQuery	query = {0};

	query_add_text(&query, owner->server);
	query_add(&query, OIDOID, ObjectIdGetDatum(owner->role), false);
	add_failure(&query, failure);
	queue_execute(&query, "fail owner",
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
	SqlQuery	query = {0};

	query_add_id(&query, id);
	return queue_execute(&query, "lock to cancel", "SELECT FROM @request@ WHERE id = $1 AND " IN_STATE("'queued', 'running'")
				   " FOR UPDATE") > 0;
}

QueueUpdate
queue_cancel(int64 id)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	return update_finally(&query, "cancel", "cancelled", UPDATE_IN(UNFINISHED,
						  "state = 'cancelled', finished_at = clock_timestamp(), next_poll_at = NULL," NO_HOLD));
}

QueueUpdate
queue_retry(int64 id, const char *state, bool keeps_job)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	query_add_text(&query, state);
	query_add_bool(&query, keeps_job);
	query_add_text(&query, home_here());
	return update(&query, "retry", UPDATE_IN("'failed'",
				  "state = $2, job_id = CASE WHEN $3 THEN job_id END, retried = $3, polls = 0, next_poll_at = NULL,"
				  " submitted_at = CASE WHEN $2 <> 'queued' THEN submitted_at END,"
				  " lost_submissions = CASE WHEN $2 = 'queued' THEN 0 ELSE lost_submissions END,"
				  " known_job_ids = CASE WHEN $2 <> 'queued' THEN known_job_ids END,"
				  " made_in = $4, finished_at = NULL, error_code = NULL, error_message = NULL, error_hint = NULL"));
}

QueueUpdate
queue_take_over(int64 id)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	query_add_text(&query, home_here());
	return update(&query, "take over", UPDATE_IN(UNFINISHED, "made_in = $2"));
}

Datum
queue_lock_finished(int64 id)
{
	SqlQuery	query = {0};

	query_add_id(&query, id);
	queue_execute(&query, "lock finished",
			"SELECT coalesce(array_agg(id), '{}') FROM (SELECT id FROM @request@"
			"  WHERE id = $1 AND state NOT IN (" UNFINISHED ") FOR UPDATE) finished");
	return query_only_value();
}

Datum
queue_lock_old(const QueueScope *scope, Duration retention)
{
	SqlQuery	query = {0};

	query_add_time(&query, GetCurrentTimestamp() - retention);
	query_add_text(&query, scope->server);
	query_add_role(&query, scope->role);
	queue_execute(&query, "lock old",
			"SELECT coalesce(array_agg(id), '{}') FROM (SELECT id FROM @request@ WHERE finished_at < $1"
			"  AND ($2 IS NULL OR server = $2) AND ($3 IS NULL OR requested_by = $3)"
			"  FOR UPDATE SKIP LOCKED) old");
	return query_only_value();
}

uint64
queue_delete(Datum ids)
{
	SqlQuery	query = {0};

	query_add(&query, INT8ARRAYOID, ids, false);
	return queue_execute(&query, "delete", "DELETE FROM @request@ WHERE id = ANY($1)");
}

void
queue_fail_role(Oid role, const Failure *failure)
{
	SqlQuery	query = {0};

	query_add_role(&query, role);
	add_failure(&query, failure);
	queue_execute(&query, "fail role",
			"WITH failed AS ("
			" UPDATE @request@ SET " FAIL_WITH("$2", "$3", "$4")
			" WHERE " OWNER_OF_ROW " = $1 AND " IN_STATE(UNFINISHED) " RETURNING id, state)"
			" SELECT pg_notify('" NOTIFY_CHANNEL "', json_build_object('request_id', id, 'state', state)::text)"
			" FROM failed");
}
