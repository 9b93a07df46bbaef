/* clari_export 1.0: installed with CREATE EXTENSION clari_export */

\echo Use "CREATE EXTENSION clari_export" to load this file. \quit

/* ----------
 * Accounts: a foreign server and a user mapping, as dblink and postgres_fdw do
 * ----------
 */

CREATE FUNCTION clari_export_fdw_validator(options text[], catalog oid)
RETURNS void
AS 'MODULE_PATHNAME', 'clari_export_fdw_validator'
LANGUAGE C STRICT;

COMMENT ON FUNCTION clari_export_fdw_validator(text[], oid) IS
'checks the options of a Clari server or user mapping';
REVOKE EXECUTE ON FUNCTION clari_export_fdw_validator(text[], oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER clari_export
	VALIDATOR clari_export_fdw_validator;

COMMENT ON FOREIGN DATA WRAPPER clari_export IS
'Clari accounts: CREATE SERVER clari FOREIGN DATA WRAPPER clari_export; CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key ''...'');';

/* ----------
 * Functions that wait for Clari
 * ----------
 */

CREATE FUNCTION clari_export(
	forecast_id text,
	time_period text DEFAULT NULL,
	options jsonb DEFAULT '{}',
	server name DEFAULT 'clari')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'clari_export'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export(text, text, jsonb, name) IS
'exports a forecast from Clari and returns its result: submits a job, polls it with backoff, fetches it';

CREATE FUNCTION clari_export_activity(
	options jsonb,
	server name DEFAULT 'clari')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'clari_export_activity'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_activity(jsonb, name) IS
'exports activities from Clari and returns the result';

CREATE FUNCTION clari_export_audit_events(
	options jsonb DEFAULT '{}',
	server name DEFAULT 'clari')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'clari_export_audit_events'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_audit_events(jsonb, name) IS
'exports audit events from Clari and returns the result';

CREATE FUNCTION clari_export_submit(
	forecast_id text,
	time_period text DEFAULT NULL,
	options jsonb DEFAULT '{}',
	server name DEFAULT 'clari')
RETURNS text
AS 'MODULE_PATHNAME', 'clari_export_submit'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_submit(text, text, jsonb, name) IS
'submits an export job to Clari and returns its job id without waiting for it';

CREATE FUNCTION clari_export_status(
	job_id text,
	server name DEFAULT 'clari')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'clari_export_status'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_status(text, name) IS
'asks Clari once for a job and returns the job object';

CREATE FUNCTION clari_export_poll(
	job_id text,
	max_attempts int DEFAULT NULL,
	base_delay interval DEFAULT NULL,
	max_delay interval DEFAULT NULL,
	server name DEFAULT 'clari')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'clari_export_poll'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_poll(text, int, interval, interval, name) IS
'polls a job with backoff until it ends and returns the job object';

CREATE FUNCTION clari_export_result(
	job_id text,
	server name DEFAULT 'clari')
RETURNS jsonb
AS 'MODULE_PATHNAME', 'clari_export_result'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_result(text, name) IS
'fetches the result of a job that is done';

CREATE FUNCTION clari_export_cancel(
	job_id text,
	server name DEFAULT 'clari')
RETURNS text
AS 'MODULE_PATHNAME', 'clari_export_cancel_job'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_cancel(text, name) IS
'cancels a job at Clari and returns its status afterwards';

CREATE FUNCTION clari_export_all(
	forecast_id text,
	time_periods text[],
	options jsonb DEFAULT '{}',
	delay_between interval DEFAULT NULL,
	server name DEFAULT 'clari')
RETURNS TABLE (
	time_period text,
	job_id text,
	status text,
	result jsonb,
	error text)
AS 'MODULE_PATHNAME', 'clari_export_all'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_all(text, text[], jsonb, interval, name) IS
'exports a forecast for several time periods, one after the other; a period that fails is a row with its error';

CREATE FUNCTION clari_export_jobs(
	server name DEFAULT 'clari')
RETURNS TABLE (
	job_id text,
	module text,
	title text,
	status text,
	file_name text,
	file_type text,
	currency text,
	start_time timestamptz,
	end_time timestamptz,
	expired_time timestamptz)
AS 'MODULE_PATHNAME', 'clari_export_jobs'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_jobs(name) IS
'lists the export jobs of the API key''s user at Clari';

CREATE FUNCTION clari_export_limits(
	server name DEFAULT 'clari')
RETURNS TABLE (
	concurrent_limit int,
	available_concurrent_limit int,
	monthly_quota int,
	available_monthly_quota int,
	running_job_ids text[],
	submitted_job_ids text[])
AS 'MODULE_PATHNAME', 'clari_export_limits'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_limits(name) IS
'tells the export limits of the API key''s organization and what is left of them';

/* ----------
 * The request queue
 * ----------
 */

CREATE FUNCTION clari_export_this_database()
RETURNS text
AS 'MODULE_PATHNAME', 'clari_export_this_database'
LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION clari_export_this_database() IS
'this database, as made_in names it: system identifier, OID and major version';

CREATE TABLE clari_export_request (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind text NOT NULL DEFAULT 'forecast',
	forecast_id text,
	time_period text,
	options jsonb NOT NULL DEFAULT '{}',
	server name NOT NULL DEFAULT 'clari',
	priority int NOT NULL DEFAULT 0,
	run_after timestamptz NOT NULL DEFAULT now(),
	dedupe_key text,
	requested_by regrole NOT NULL DEFAULT pg_catalog.quote_ident(CURRENT_USER::text)::regrole,
	created_at timestamptz NOT NULL DEFAULT now(),
	state text NOT NULL DEFAULT 'queued'
		CHECK (state IN ('queued', 'submitting', 'running', 'done', 'failed', 'cancelled')),
	hold_reason text,
	held_until timestamptz,
	job_id text,
	submitted_at timestamptz,
	finished_at timestamptz,
	polls int NOT NULL DEFAULT 0,
	next_poll_at timestamptz,
	server_start_time timestamptz,
	server_end_time timestamptz,
	error_code text,
	error_message text,
	error_hint text,
	known_job_ids text[],
	posted_at timestamptz,
	lost_submissions int NOT NULL DEFAULT 0,
	ready bool NOT NULL DEFAULT false,
	retried bool NOT NULL DEFAULT false,
	made_in text NOT NULL DEFAULT clari_export_this_database(),
	CHECK (state <> 'running' OR job_id IS NOT NULL)
);

COMMENT ON TABLE clari_export_request IS
'exports to be made, one a row: insert one, and a worker or clari_export_drain() makes it; its result goes to clari_export_snapshot';
COMMENT ON SEQUENCE clari_export_request_id_seq IS 'numbers the requests';
COMMENT ON COLUMN clari_export_request.id IS 'identifies the request';
COMMENT ON COLUMN clari_export_request.kind IS 'forecast, activity or audit_events';
COMMENT ON COLUMN clari_export_request.forecast_id IS 'Clari''s id of the forecast';
COMMENT ON COLUMN clari_export_request.time_period IS 'such as 2026_Q3; null for the current quarter';
COMMENT ON COLUMN clari_export_request.options IS 'the other parameters of the export, in Clari''s own names';
COMMENT ON COLUMN clari_export_request.server IS 'the foreign server; the user mapping is that of requested_by';
COMMENT ON COLUMN clari_export_request.priority IS 'higher goes first';
COMMENT ON COLUMN clari_export_request.run_after IS 'not before';
COMMENT ON COLUMN clari_export_request.dedupe_key IS 'unique among the unfinished requests of a role';
COMMENT ON COLUMN clari_export_request.requested_by IS 'the role that inserted it';
COMMENT ON COLUMN clari_export_request.created_at IS 'when it was inserted';
COMMENT ON COLUMN clari_export_request.state IS 'queued, submitting, running, done, failed or cancelled';
COMMENT ON COLUMN clari_export_request.hold_reason IS 'why a queued request waits, other than for its turn; also of an unfinished one that Clari told to wait';
COMMENT ON COLUMN clari_export_request.held_until IS 'until when, where that is known';
COMMENT ON COLUMN clari_export_request.job_id IS 'Clari''s id of the job';
COMMENT ON COLUMN clari_export_request.submitted_at IS 'when the submission was about to be sent';
COMMENT ON COLUMN clari_export_request.finished_at IS 'when it was done, failed or was cancelled';
COMMENT ON COLUMN clari_export_request.polls IS 'status requests so far';
COMMENT ON COLUMN clari_export_request.next_poll_at IS 'when the next request for it to Clari is due, once it is submitted';
COMMENT ON COLUMN clari_export_request.server_start_time IS 'when the job started, by Clari''s clock';
COMMENT ON COLUMN clari_export_request.server_end_time IS 'when the job ended, by Clari''s clock';
COMMENT ON COLUMN clari_export_request.error_code IS 'SQLSTATE of a failed request';
COMMENT ON COLUMN clari_export_request.error_message IS 'what went wrong';
COMMENT ON COLUMN clari_export_request.error_hint IS 'what to do about it';
COMMENT ON COLUMN clari_export_request.known_job_ids IS
'jobs that were there before the submission, to tell its own if the reply is lost';
COMMENT ON COLUMN clari_export_request.posted_at IS
'when the submission began, by Clari''s clock, for the same purpose';
COMMENT ON COLUMN clari_export_request.ready IS 'run_after has come, so that it may be next';
COMMENT ON COLUMN clari_export_request.lost_submissions IS
'submissions whose reply was lost, before the one that is under way: after the second one nothing more is submitted';
COMMENT ON COLUMN clari_export_request.retried IS
'the job was given up before: if Clari does not know it now, it is lost';

COMMENT ON COLUMN clari_export_request.made_in IS
'the database that works on it, which a copy of that one does not';

-- Claims walk these indexes (src/claim.c): an owner's first ready request, and what becomes ready next.
CREATE INDEX clari_export_request_claim_idx ON clari_export_request
	(server, requested_by, priority DESC, run_after, id) WHERE state = 'queued' AND ready;
CREATE INDEX clari_export_request_due_idx ON clari_export_request
	(run_after, id) WHERE state = 'queued' AND NOT ready;
CREATE INDEX clari_export_request_held_idx ON clari_export_request
	(server, requested_by, held_until) WHERE state = 'queued' AND hold_reason IS NOT NULL;
CREATE INDEX clari_export_request_held_until_idx ON clari_export_request
	(held_until) WHERE state = 'queued' AND held_until IS NOT NULL;
CREATE INDEX clari_export_request_active_idx ON clari_export_request
	(server, requested_by) WHERE state IN ('submitting', 'running');
CREATE UNIQUE INDEX clari_export_request_dedupe_key_idx ON clari_export_request
	(requested_by, dedupe_key) WHERE state IN ('queued', 'submitting', 'running') AND dedupe_key IS NOT NULL;
CREATE INDEX clari_export_request_job_idx ON clari_export_request
	(submitted_at) WHERE job_id IS NOT NULL;
CREATE INDEX clari_export_request_finished_idx ON clari_export_request
	(finished_at) WHERE finished_at IS NOT NULL;

-- Whose they are, to find those of roles that were dropped. An expression, so that no other statement's plan goes by it: a
-- role may have all rows.
CREATE INDEX clari_export_request_owner_idx ON clari_export_request
	(pg_catalog.oidlarger(requested_by, 0::pg_catalog.oid));

CREATE TABLE clari_export_snapshot (
	request_id bigint PRIMARY KEY,
	server name NOT NULL,
	kind text NOT NULL,
	forecast_id text,
	time_period text,
	options jsonb NOT NULL,
	job_id text,
	requested_by regrole NOT NULL,
	exported_at timestamptz NOT NULL,
	truncated bool NOT NULL,
	result jsonb NOT NULL
);

COMMENT ON TABLE clari_export_snapshot IS
'the results of finished exports, kept until they are deleted: a forecast export cannot be repeated later';
COMMENT ON COLUMN clari_export_snapshot.request_id IS 'the request it is the result of';
COMMENT ON COLUMN clari_export_snapshot.server IS 'the foreign server it came from';
COMMENT ON COLUMN clari_export_snapshot.kind IS 'forecast, activity or audit_events';
COMMENT ON COLUMN clari_export_snapshot.forecast_id IS 'Clari''s id of the forecast';
COMMENT ON COLUMN clari_export_snapshot.time_period IS 'as requested, or as the result says where the request named none';
COMMENT ON COLUMN clari_export_snapshot.options IS 'the other parameters of the export, in Clari''s own names';
COMMENT ON COLUMN clari_export_snapshot.job_id IS 'Clari''s id of the job';
COMMENT ON COLUMN clari_export_snapshot.exported_at IS 'when the result was stored';
COMMENT ON COLUMN clari_export_snapshot.truncated IS 'Clari left out cells or rows';
COMMENT ON COLUMN clari_export_snapshot.result IS 'as Clari sent it; see clari_export_rows()';
COMMENT ON COLUMN clari_export_snapshot.requested_by IS 'the role that requested it';

-- What a result is about, asked once when it is stored: read out of all results it would take as long as exporting them.
-- Neither function raises an error, whatever the result is.
CREATE FUNCTION clari_export_has_rows(result jsonb)
RETURNS bool
AS 'MODULE_PATHNAME', 'clari_export_has_rows'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION clari_export_has_rows(jsonb) IS
'whether clari_export_rows() gives rows of a result: it is a forecast''s, and not an empty one';

CREATE FUNCTION clari_export_period_of(result jsonb)
RETURNS text
AS 'MODULE_PATHNAME', 'clari_export_period_of'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION clari_export_period_of(jsonb) IS
'the time period of a forecast''s result, the latest of several; null where it does not say';

CREATE INDEX clari_export_snapshot_owner_idx ON clari_export_snapshot
	(pg_catalog.oidlarger(requested_by, 0::pg_catalog.oid));

-- The view clari_export_forecast finds the snapshots that have rows here, without reading them.
CREATE INDEX clari_export_snapshot_forecast_idx ON clari_export_snapshot
	(server, requested_by, forecast_id, time_period, exported_at DESC)
	WHERE kind = 'forecast' AND clari_export_has_rows(result);

-- How long Clari's jobs took: polls go by it. The latest 50 of each kind of export are kept. What the body of
-- clari_export_size() calls is immutable, so the planner puts it in the function's place.
SET LOCAL search_path = pg_catalog, pg_temp;
CREATE FUNCTION @extschema@.clari_export_size(options jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT btrim(
		CASE WHEN $1 -> 'includeHistorical' = 'true' THEN 'historical ' ELSE '' END ||
		CASE WHEN $1 ? 'scopeId' THEN 'scoped ' ELSE '' END ||
		CASE WHEN jsonb_typeof($1 -> 'typesToExport') = 'array'
			THEN jsonb_array_length($1 -> 'typesToExport')::text ELSE '' END);
END;
SET LOCAL search_path = @extschema@, pg_temp;
COMMENT ON FUNCTION clari_export_size(jsonb) IS
'what of an export''s options makes its job long or short';

CREATE TABLE clari_export_duration (
	server name NOT NULL,
	kind text NOT NULL,
	forecast_id text NOT NULL,
	size text NOT NULL,
	ended_at timestamptz NOT NULL,
	milliseconds bigint NOT NULL
);
CREATE INDEX clari_export_duration_idx ON clari_export_duration (server, kind, forecast_id, size, ended_at);
COMMENT ON TABLE clari_export_duration IS 'how long the latest jobs took, by Clari''s clock';
COMMENT ON COLUMN clari_export_duration.server IS 'the foreign server';
COMMENT ON COLUMN clari_export_duration.kind IS 'forecast, activity or audit_events';
COMMENT ON COLUMN clari_export_duration.forecast_id IS 'Clari''s id of the forecast; empty for the other kinds';
COMMENT ON COLUMN clari_export_duration.size IS 'clari_export_size() of the options';
COMMENT ON COLUMN clari_export_duration.ended_at IS 'when the job ended';
COMMENT ON COLUMN clari_export_duration.milliseconds IS 'from its start to its end';
REVOKE ALL ON clari_export_duration FROM PUBLIC;
SELECT pg_catalog.pg_extension_config_dump('clari_export_duration', '');

CREATE FUNCTION clari_export_expected_duration(
	server name,
	kind text,
	forecast_id text,
	options jsonb,
	elapsed interval)
RETURNS interval
AS 'MODULE_PATHNAME', 'clari_export_expected_duration'
LANGUAGE C STABLE;
COMMENT ON FUNCTION clari_export_expected_duration(name, text, text, jsonb, interval) IS
'how long half of such exports'' jobs take at most, of those that run for elapsed already; null where none was done or the role may not use the server';

-- A request and its result belong to the role that made it, as a table to its
-- owner: whoever has that role's rights sees them, and so does who may read
-- everything. Both questions are asked once a query, not once a row. Nobody
-- changes a row but through functions, and nobody deletes one: a role that
-- may, may also LOCK TABLE.
ALTER TABLE clari_export_request ENABLE ROW LEVEL SECURITY;
ALTER TABLE clari_export_snapshot ENABLE ROW LEVEL SECURITY;

SET LOCAL search_path = pg_catalog, pg_temp;
CREATE POLICY clari_export_request_read ON @extschema@.clari_export_request FOR SELECT
	USING (requested_by IN (
			SELECT r.oid FROM pg_roles r WHERE pg_has_role(r.oid, 'USAGE'))
		OR (SELECT pg_has_role('pg_read_all_data', 'USAGE')));
CREATE POLICY clari_export_request_insert ON @extschema@.clari_export_request FOR INSERT
	WITH CHECK (requested_by = quote_ident(CURRENT_USER)::regrole);
CREATE POLICY clari_export_snapshot_read ON @extschema@.clari_export_snapshot FOR SELECT
	USING (requested_by IN (
			SELECT r.oid FROM pg_roles r WHERE pg_has_role(r.oid, 'USAGE'))
		OR (SELECT pg_has_role('pg_read_all_data', 'USAGE')));
SET LOCAL search_path = @extschema@, pg_temp;
COMMENT ON POLICY clari_export_request_read ON clari_export_request IS
'a role reads the requests of the roles whose rights it has';
COMMENT ON POLICY clari_export_request_insert ON clari_export_request IS 'a role requests in its own name';
COMMENT ON POLICY clari_export_snapshot_read ON clari_export_snapshot IS
'a role reads the results of the roles whose rights it has';

GRANT SELECT ON clari_export_request, clari_export_snapshot TO PUBLIC;

-- A dump keeps both.
SELECT pg_catalog.pg_extension_config_dump('clari_export_request', '');
SELECT pg_catalog.pg_extension_config_dump('clari_export_request_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('clari_export_snapshot', '');

CREATE FUNCTION clari_export_check_request() RETURNS trigger
AS 'MODULE_PATHNAME', 'clari_export_check_request' LANGUAGE C;
CREATE FUNCTION clari_export_wake_worker() RETURNS trigger
AS 'MODULE_PATHNAME', 'clari_export_wake_worker' LANGUAGE C;
CREATE FUNCTION clari_export_keep_unfinished() RETURNS trigger
AS 'MODULE_PATHNAME', 'clari_export_keep_unfinished' LANGUAGE C;
COMMENT ON FUNCTION clari_export_check_request() IS 'refuses requests that could never be exported';
COMMENT ON FUNCTION clari_export_wake_worker() IS 'wakes the worker when the insert commits';
COMMENT ON FUNCTION clari_export_keep_unfinished() IS 'refuses to delete unfinished requests';

-- A row that was not created just now comes out of a dump, and was checked.
CREATE TRIGGER check_request BEFORE INSERT ON clari_export_request
	FOR EACH ROW WHEN (NEW.state = 'queued' AND NEW.created_at = now())
	EXECUTE FUNCTION clari_export_check_request();
CREATE TRIGGER wake_worker AFTER INSERT ON clari_export_request
	FOR EACH STATEMENT EXECUTE FUNCTION clari_export_wake_worker();
CREATE TRIGGER keep_unfinished BEFORE DELETE ON clari_export_request
	FOR EACH ROW EXECUTE FUNCTION clari_export_keep_unfinished();
REVOKE EXECUTE ON FUNCTION clari_export_check_request(), clari_export_wake_worker(), clari_export_keep_unfinished()
	FROM PUBLIC;
COMMENT ON TRIGGER check_request ON clari_export_request IS 'refuses requests that could never be exported';
COMMENT ON TRIGGER wake_worker ON clari_export_request IS 'wakes the worker when the insert commits';
COMMENT ON TRIGGER keep_unfinished ON clari_export_request IS 'unfinished requests are cancelled, not deleted';

-- The name of a server is that of its requests, which outlive it.
CREATE FUNCTION clari_export_follow_server() RETURNS event_trigger
AS 'MODULE_PATHNAME', 'clari_export_follow_server' LANGUAGE C;
REVOKE EXECUTE ON FUNCTION clari_export_follow_server() FROM PUBLIC;
COMMENT ON FUNCTION clari_export_follow_server() IS
'takes requests, snapshots and history along when their server is renamed, and keeps a new server from a name that others'' have';
CREATE EVENT TRIGGER clari_export_follow_server ON ddl_command_end WHEN TAG IN ('CREATE SERVER', 'ALTER SERVER')
	EXECUTE FUNCTION clari_export_follow_server();
COMMENT ON EVENT TRIGGER clari_export_follow_server IS
'takes requests, snapshots and history along when their server is renamed, and keeps a new server from a name that others'' have';

CREATE FUNCTION clari_export_enqueue(
	forecast_id text,
	time_period text DEFAULT NULL,
	options jsonb DEFAULT '{}',
	kind text DEFAULT 'forecast',
	server name DEFAULT 'clari',
	priority int DEFAULT 0,
	run_after timestamptz DEFAULT now(),
	dedupe_key text DEFAULT NULL,
	max_age interval DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'clari_export_enqueue'
LANGUAGE C VOLATILE CALLED ON NULL INPUT
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION clari_export_enqueue(text, text, jsonb, text, name, int, timestamptz, text, interval) IS
'queues an export and returns its request id; with a dedupe_key that is waiting or running already, or with one done within max_age, that request''s id';

CREATE FUNCTION clari_export_wait(
	request_id bigint,
	timeout interval DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'clari_export_wait'
LANGUAGE C VOLATILE CALLED ON NULL INPUT;

COMMENT ON FUNCTION clari_export_wait(bigint, interval) IS
'waits for a queued export and returns its result, or raises its error';

CREATE FUNCTION clari_export_cancel(request_id bigint)
RETURNS text
AS 'MODULE_PATHNAME', 'clari_export_cancel_request'
LANGUAGE C VOLATILE STRICT;

COMMENT ON FUNCTION clari_export_cancel(bigint) IS
'cancels a queued or running request, at Clari too, and returns its state afterwards';

CREATE FUNCTION clari_export_retry(request_id bigint)
RETURNS text
AS 'MODULE_PATHNAME', 'clari_export_retry'
LANGUAGE C VOLATILE STRICT;

COMMENT ON FUNCTION clari_export_retry(bigint) IS
'lets a failed request go on and returns its state afterwards; a job that can still be fetched is not submitted again';

CREATE FUNCTION clari_export_delete_request(request_id bigint)
RETURNS bool
AS 'MODULE_PATHNAME', 'clari_export_delete_request'
LANGUAGE C VOLATILE STRICT;

COMMENT ON FUNCTION clari_export_delete_request(bigint) IS
'deletes a finished request, and not its snapshot; returns whether there was one';

CREATE FUNCTION clari_export_delete_snapshot(request_id bigint)
RETURNS bool
AS 'MODULE_PATHNAME', 'clari_export_delete_snapshot'
LANGUAGE C VOLATILE STRICT;

COMMENT ON FUNCTION clari_export_delete_snapshot(bigint) IS
'deletes the snapshot of a request; returns whether there was one';

CREATE PROCEDURE clari_export_drain(
	max_requests int DEFAULT NULL,
	max_runtime interval DEFAULT NULL,
	server name DEFAULT NULL)
AS 'MODULE_PATHNAME', 'clari_export_drain'
LANGUAGE C;

COMMENT ON PROCEDURE clari_export_drain(int, interval, name) IS
'works through the queue in this session, committing as it goes, until nothing is due';

/* ----------
 * Rows
 * ----------
 */

-- One row for each *Value and *Total of an entry, or one without a value where
-- there is none. Where an entry has several, forecastValue has the field's own
-- type and the others have the type in their key: QUOTA for quotaValue. A text
-- that is a number or an amount of money is in value too; value_text has every
-- text. Weeks count from 0 in the order of the time frames of their period.
-- scope_id is what the scopeId of another export may be.
CREATE FUNCTION clari_export_rows(
	result jsonb,
	OUT time_period text,
	OUT week int,
	OUT time_frame_id text,
	OUT week_start date,
	OUT week_end date,
	OUT user_id text,
	OUT user_name text,
	OUT user_email text,
	OUT crm_user_id text,
	OUT role text,
	OUT parent_role text,
	OUT field_id text,
	OUT field_name text,
	OUT field_type text,
	OUT value numeric,
	OUT value_text text,
	OUT currency text,
	OUT is_updated bool,
	OUT updated_by text,
	OUT updated_at timestamptz,
	OUT role_id text,
	OUT parent_role_id text,
	OUT scope_id text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'clari_export_rows'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 20000;

COMMENT ON FUNCTION clari_export_rows(jsonb) IS
'turns the result of a forecast export, in either of Clari''s forms, into rows: one for each value of an entry';

-- One row an object of Clari's list; of several with the same natural key (an activity's id; an event's moment, name,
-- parameters, actors, session and correlation id) the first one. An element of an array that is an object is its JSON.
CREATE FUNCTION clari_export_activity_rows(
	result jsonb,
	OUT activity_id text,
	OUT activity_type text,
	OUT subject text,
	OUT activity_at timestamptz,
	OUT owner_id text,
	OUT organiser_id text,
	OUT participants text[],
	OUT accounts text[],
	OUT opportunities text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'clari_export_activity_rows'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 1000;

COMMENT ON FUNCTION clari_export_activity_rows(jsonb) IS
'turns the result of an activity export into rows: one for each activity';

CREATE FUNCTION clari_export_audit_rows(
	result jsonb,
	OUT event_at timestamptz,
	OUT event text,
	OUT event_parameters jsonb,
	OUT actor_id text,
	OUT actor_name text,
	OUT actor_email text,
	OUT impersonating_actor_id text,
	OUT session_id text,
	OUT session_type text,
	OUT correlation_id text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'clari_export_audit_rows'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 1000;

COMMENT ON FUNCTION clari_export_audit_rows(jsonb) IS
'turns the result of an export of audit events into rows: one for each event';

CREATE FUNCTION clari_export_csv(csv text)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'clari_export_csv'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;

COMMENT ON FUNCTION clari_export_csv(text) IS
'turns the CSV of a forecast export into the flat form that clari_export_rows() and clari_export_import() take';

CREATE FUNCTION clari_export_time_period(
	day date DEFAULT CURRENT_DATE,
	first_month int DEFAULT 1)
RETURNS text
AS 'MODULE_PATHNAME', 'clari_export_time_period'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION clari_export_time_period(date, int) IS
'names the fiscal quarter of a day, like 2026_Q3; a fiscal year begins with first_month and is named after the calendar year it ends in';

CREATE FUNCTION clari_export_time_periods(
	first text,
	last text)
RETURNS SETOF text
AS 'MODULE_PATHNAME', 'clari_export_time_periods'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION clari_export_time_periods(text, text) IS
'lists the quarters from the first to the last, like 2025_Q3 to 2026_Q2';

/* ----------
 * History: what each value was, and when
 * ----------
 */

-- One row for each value and the time during which Clari showed it, written with the snapshot that shows a change
-- (src/history.c).
CREATE TABLE clari_export_history (
	server name NOT NULL,
	requested_by regrole NOT NULL,
	forecast_id text NOT NULL,
	scope_id text NOT NULL,
	currency text NOT NULL,
	time_period text,
	time_frame_id text,
	user_id text,
	field_id text,
	field_type text,
	week_start date,
	week_end date,
	user_name text,
	user_email text,
	crm_user_id text,
	role text,
	role_id text,
	parent_role text,
	parent_role_id text,
	field_name text,
	value numeric,
	value_text text,
	value_currency text,
	is_updated bool,
	updated_by text,
	updated_at timestamptz,
	valid_from timestamptz NOT NULL,
	valid_to timestamptz NOT NULL,
	request_id bigint NOT NULL,
	closed_by bigint,
	part_id int NOT NULL
);
-- Two in a hundred values change a day: what is closed makes room for what is begun.
ALTER TABLE clari_export_history SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.02);

COMMENT ON TABLE clari_export_history IS
'how the values of forecasts moved: one row for each value and the time during which Clari showed it, kept whatever becomes of the snapshots';
COMMENT ON COLUMN clari_export_history.server IS 'the foreign server it came from';
COMMENT ON COLUMN clari_export_history.requested_by IS 'the role that exported it';
COMMENT ON COLUMN clari_export_history.forecast_id IS 'Clari''s id of the forecast';
COMMENT ON COLUMN clari_export_history.scope_id IS 'the scopeId that was asked for; empty for none';
COMMENT ON COLUMN clari_export_history.currency IS 'the currency that was asked for; empty for none';
COMMENT ON COLUMN clari_export_history.time_period IS 'such as 2026_Q3';
COMMENT ON COLUMN clari_export_history.time_frame_id IS 'Clari''s id of the week';
COMMENT ON COLUMN clari_export_history.user_id IS 'Clari''s id of the person in a role; without one the CRM''s, else the email or the name, and the role';
COMMENT ON COLUMN clari_export_history.field_id IS 'Clari''s id of the field; without one its name';
COMMENT ON COLUMN clari_export_history.field_type IS 'FORECAST, QUOTA, ADJUSTMENT, …';
COMMENT ON COLUMN clari_export_history.week_start IS 'first day of the week';
COMMENT ON COLUMN clari_export_history.week_end IS 'last day of the week';
COMMENT ON COLUMN clari_export_history.user_name IS 'the person''s name';
COMMENT ON COLUMN clari_export_history.user_email IS 'the person''s email';
COMMENT ON COLUMN clari_export_history.crm_user_id IS 'the person''s id in the CRM, the same in every role';
COMMENT ON COLUMN clari_export_history.role IS 'the person''s role in the hierarchy';
COMMENT ON COLUMN clari_export_history.role_id IS 'Clari''s id of the role';
COMMENT ON COLUMN clari_export_history.parent_role IS 'the role above';
COMMENT ON COLUMN clari_export_history.parent_role_id IS 'Clari''s id of the role above';
COMMENT ON COLUMN clari_export_history.field_name IS 'the field''s name';
COMMENT ON COLUMN clari_export_history.value IS 'the value, where it is a number';
COMMENT ON COLUMN clari_export_history.value_text IS 'the value, where it is a text';
COMMENT ON COLUMN clari_export_history.value_currency IS 'the currency that Clari showed with it';
COMMENT ON COLUMN clari_export_history.is_updated IS 'whether somebody has updated it';
COMMENT ON COLUMN clari_export_history.updated_by IS 'who did';
COMMENT ON COLUMN clari_export_history.updated_at IS 'when';
COMMENT ON COLUMN clari_export_history.valid_from IS 'when the snapshot that first showed it was exported';
COMMENT ON COLUMN clari_export_history.valid_to IS 'when the one that showed something else was, or did not have it; infinity: still so';
COMMENT ON COLUMN clari_export_history.request_id IS 'the request whose snapshot first showed it';
COMMENT ON COLUMN clari_export_history.closed_by IS 'the request whose snapshot showed something else, or did not have it';
COMMENT ON COLUMN clari_export_history.part_id IS 'the row of clari_export_history_part that it belongs to';

-- What was valid at a time, of a period or a week; one field, by week; and what a snapshot is compared with, part by
-- part (src/history_store.c). A snapshot of half a million values goes into each index, so there are few.
CREATE INDEX clari_export_history_part_idx ON clari_export_history
	(time_period, time_frame_id, part_id, field_id, valid_to);
-- One person.
CREATE INDEX clari_export_history_user_idx ON clari_export_history (user_id);

-- A role's exports of one forecast from one server. The lock on it, and what is known of it besides the values.
CREATE TABLE clari_export_history_forecast (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	server name NOT NULL,
	requested_by regrole NOT NULL,
	forecast_id text NOT NULL,
	changed_at timestamptz NOT NULL
);
CREATE INDEX clari_export_history_forecast_idx ON clari_export_history_forecast (server, requested_by, forecast_id);
COMMENT ON TABLE clari_export_history_forecast IS 'what there is a history of';
COMMENT ON SEQUENCE clari_export_history_forecast_id_seq IS 'numbers the forecasts that have a history';
COMMENT ON COLUMN clari_export_history_forecast.id IS 'identifies it';
COMMENT ON COLUMN clari_export_history_forecast.server IS 'the foreign server it comes from';
COMMENT ON COLUMN clari_export_history_forecast.requested_by IS 'the role that exports it';
COMMENT ON COLUMN clari_export_history_forecast.forecast_id IS 'Clari''s id of the forecast';
COMMENT ON COLUMN clari_export_history_forecast.changed_at IS 'when a snapshot was added last';

CREATE TABLE clari_export_history_part (
	id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	forecast int NOT NULL,
	requested_by regrole NOT NULL,
	scope_id text NOT NULL,
	currency text NOT NULL,
	time_period text,
	time_frame_id text,
	field_type text,
	week_start date,
	week int
);
CREATE INDEX clari_export_history_part_forecast_idx ON clari_export_history_part (forecast, time_period);
COMMENT ON TABLE clari_export_history_part IS
'the time frames and field types that snapshots have spoken of, with the number of the week: a snapshot covers some of them';
COMMENT ON SEQUENCE clari_export_history_part_id_seq IS 'numbers the parts';
COMMENT ON COLUMN clari_export_history_part.id IS 'identifies the part';
COMMENT ON COLUMN clari_export_history_part.forecast IS 'the row of clari_export_history_forecast that it belongs to';
COMMENT ON COLUMN clari_export_history_part.requested_by IS 'the role that exported it';
COMMENT ON COLUMN clari_export_history_part.scope_id IS 'the scopeId that was asked for; empty for none';
COMMENT ON COLUMN clari_export_history_part.currency IS 'the currency that was asked for; empty for none';
COMMENT ON COLUMN clari_export_history_part.time_period IS 'such as 2026_Q3';
COMMENT ON COLUMN clari_export_history_part.time_frame_id IS 'Clari''s id of the week';
COMMENT ON COLUMN clari_export_history_part.field_type IS 'FORECAST, QUOTA, ADJUSTMENT, …; null for a week that nobody had a value in';
COMMENT ON COLUMN clari_export_history_part.week_start IS 'the earliest first day that a snapshot gave the week';
COMMENT ON COLUMN clari_export_history_part.week IS 'the number of the week in its period, from 0 over all that were ever seen';

CREATE TABLE clari_export_history_coverage (
	forecast int NOT NULL,
	exported_at timestamptz NOT NULL,
	request_id bigint NOT NULL,
	parts int[] NOT NULL,
	shown bytea,
	PRIMARY KEY (forecast, exported_at, request_id)
);
COMMENT ON TABLE clari_export_history_coverage IS
'which snapshot spoke of which parts: what came before a snapshot that is added late is known from it';
COMMENT ON COLUMN clari_export_history_coverage.forecast IS 'the row of clari_export_history_forecast';
COMMENT ON COLUMN clari_export_history_coverage.exported_at IS 'when the snapshot was exported';
COMMENT ON COLUMN clari_export_history_coverage.request_id IS 'the request whose snapshot it is';
COMMENT ON COLUMN clari_export_history_coverage.parts IS 'the parts that it has values of';
COMMENT ON COLUMN clari_export_history_coverage.shown IS 'of a truncated one, which says nothing of what it lacks, hashes of what it has';

ALTER TABLE clari_export_history ENABLE ROW LEVEL SECURITY;
ALTER TABLE clari_export_history_forecast ENABLE ROW LEVEL SECURITY;
ALTER TABLE clari_export_history_part ENABLE ROW LEVEL SECURITY;
ALTER TABLE clari_export_history_coverage ENABLE ROW LEVEL SECURITY;

SET LOCAL search_path = pg_catalog, pg_temp;
CREATE POLICY clari_export_history_read ON @extschema@.clari_export_history FOR SELECT
	USING (requested_by IN (
			SELECT r.oid FROM pg_roles r WHERE pg_has_role(r.oid, 'USAGE'))
		OR (SELECT pg_has_role('pg_read_all_data', 'USAGE')));
CREATE POLICY clari_export_history_part_read ON @extschema@.clari_export_history_part FOR SELECT
	USING (requested_by IN (
			SELECT r.oid FROM pg_roles r WHERE pg_has_role(r.oid, 'USAGE'))
		OR (SELECT pg_has_role('pg_read_all_data', 'USAGE')));
SET LOCAL search_path = @extschema@, pg_temp;
COMMENT ON POLICY clari_export_history_read ON clari_export_history IS
'a role reads the history of what the roles exported whose rights it has';
COMMENT ON POLICY clari_export_history_part_read ON clari_export_history_part IS
'a role reads the weeks of what the roles exported whose rights it has';

GRANT SELECT ON clari_export_history, clari_export_history_part TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('clari_export_history', '');
SELECT pg_catalog.pg_extension_config_dump('clari_export_history_forecast', '');
SELECT pg_catalog.pg_extension_config_dump('clari_export_history_forecast_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('clari_export_history_part', '');
SELECT pg_catalog.pg_extension_config_dump('clari_export_history_part_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('clari_export_history_coverage', '');

CREATE FUNCTION clari_export_import(
	result jsonb,
	forecast_id text,
	exported_at timestamptz,
	time_period text DEFAULT NULL,
	server name DEFAULT 'clari')
RETURNS bigint
AS 'MODULE_PATHNAME', 'clari_export_import'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_import(jsonb, text, timestamptz, text, name) IS
'adds the result of a forecast export from elsewhere as a snapshot, to the history too, and returns the id of its request';

CREATE FUNCTION clari_export_add_to_history(request_id bigint)
RETURNS bool
AS 'MODULE_PATHNAME', 'clari_export_add_to_history'
LANGUAGE C VOLATILE STRICT;

COMMENT ON FUNCTION clari_export_add_to_history(bigint) IS
'adds the snapshot of a request to the history, where that was not done when it was stored; returns whether there was anything to add';

-- The join names more than the part's id, so that a condition on the week leads into the index.
SET LOCAL search_path = pg_catalog, pg_temp;
CREATE FUNCTION @extschema@.clari_export_as_of(
	at timestamptz,
	OUT server name,
	OUT requested_by regrole,
	OUT forecast_id text,
	OUT scope_id text,
	OUT currency text,
	OUT time_period text,
	OUT week int,
	OUT time_frame_id text,
	OUT user_id text,
	OUT field_id text,
	OUT field_type text,
	OUT week_start date,
	OUT week_end date,
	OUT user_name text,
	OUT user_email text,
	OUT crm_user_id text,
	OUT role text,
	OUT role_id text,
	OUT parent_role text,
	OUT parent_role_id text,
	OUT field_name text,
	OUT value numeric,
	OUT value_text text,
	OUT value_currency text,
	OUT is_updated bool,
	OUT updated_by text,
	OUT updated_at timestamptz,
	OUT valid_from timestamptz,
	OUT valid_to timestamptz,
	OUT request_id bigint)
RETURNS SETOF record
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20000
BEGIN ATOMIC
	SELECT h.server, h.requested_by, h.forecast_id, h.scope_id, h.currency, h.time_period, p.week, h.time_frame_id,
		h.user_id, h.field_id, h.field_type, h.week_start, h.week_end, h.user_name, h.user_email, h.crm_user_id,
		h.role, h.role_id, h.parent_role, h.parent_role_id, h.field_name, h.value, h.value_text, h.value_currency,
		h.is_updated, h.updated_by, h.updated_at, h.valid_from, h.valid_to, h.request_id
	FROM @extschema@.clari_export_history AS h
	LEFT JOIN @extschema@.clari_export_history_part AS p
		ON p.id = h.part_id AND p.time_period = h.time_period AND p.time_frame_id = h.time_frame_id
	WHERE h.valid_from <= at AND h.valid_to > at;
END;

COMMENT ON FUNCTION @extschema@.clari_export_as_of(timestamptz) IS
'the rows of clari_export_history that were valid at a time, with the number of their week';

CREATE VIEW @extschema@.clari_export_call WITH (security_invoker = true) AS
SELECT DISTINCT ON (h.server, h.requested_by, h.forecast_id, h.scope_id, h.currency, h.time_period, h.user_id,
		h.field_id, h.field_type)
	h.server, h.requested_by, h.forecast_id, h.scope_id, h.currency, h.time_period, p.week, h.time_frame_id,
	h.user_id, h.field_id, h.field_type, h.week_start, h.week_end, h.user_name, h.user_email, h.crm_user_id,
	h.role, h.role_id, h.parent_role, h.parent_role_id, h.field_name, h.value, h.value_text, h.value_currency,
	h.is_updated, h.updated_by, h.updated_at, h.valid_from, h.valid_to, h.request_id
FROM @extschema@.clari_export_history AS h
LEFT JOIN @extschema@.clari_export_history_part AS p
	ON p.id = h.part_id AND p.time_period = h.time_period AND p.time_frame_id = h.time_frame_id
WHERE h.valid_to = 'infinity' AND h.value IS NOT NULL
ORDER BY h.server, h.requested_by, h.forecast_id, h.scope_id, h.currency, h.time_period, h.user_id,
	h.field_id, h.field_type, p.week DESC NULLS LAST, h.week_start DESC NULLS LAST, h.time_frame_id DESC;

COMMENT ON VIEW @extschema@.clari_export_call IS
'each person''s current call: of what the history has as valid now, the latest week that has a value, for each field and type';
GRANT SELECT ON @extschema@.clari_export_call TO PUBLIC;
SET LOCAL search_path = @extschema@, pg_temp;

/* ----------
 * Sight: what the queue and the servers are doing
 * ----------
 */

-- Expressions are read with nothing but PostgreSQL's own in the search path: an
-- operator of somebody's in our schema may fit their types better.
SET LOCAL search_path = pg_catalog, pg_temp;
CREATE VIEW @extschema@.clari_export_progress WITH (security_invoker = true) AS
SELECT
	p.id AS request_id,
	p.kind,
	p.forecast_id,
	p.time_period,
	p.server,
	p.requested_by,
	p.state,
	p.waiting_for,
	p.elapsed,
	p.polls,
	p.next_poll_at,
	p.expected_end,
	CASE
		WHEN p.state = 'queued' THEN '[....................]'
		WHEN p.typical IS NULL THEN '[        ?           ]'
		ELSE '[' || rpad(repeat('#', (p.share * 20)::int), 20, '.') || '] '
			|| lpad((p.share * 100)::int::text, 3) || ' %'
	END AS progress
FROM (
	SELECT
		r.*,
		CASE r.state
			WHEN 'submitting' THEN 'Clari to accept the job'
			WHEN 'running' THEN 'Clari to finish job ' || r.job_id
			ELSE coalesce(r.hold_reason,
				CASE WHEN r.run_after > now() THEN 'its time to run' ELSE 'its turn' END)
		END AS waiting_for,
		date_trunc('second', clock_timestamp() - coalesce(r.submitted_at, r.created_at)) AS elapsed,
		CASE
			WHEN r.state = 'queued' AND r.run_after > now() + interval '1000 years' THEN r.run_after
			WHEN r.state = 'queued' THEN greatest(now(), r.run_after) + t.typical * r.turn
			ELSE greatest(now(), r.submitted_at + t.typical)
		END AS expected_end,
		t.typical,
		least(0.99, extract(epoch FROM clock_timestamp() - r.submitted_at)
			/ nullif(extract(epoch FROM t.typical), 0)) AS share
	FROM (
		SELECT *, row_number() OVER (
			PARTITION BY server, requested_by, state = 'queued'
			ORDER BY priority DESC, run_after, id) AS turn
		FROM @extschema@.clari_export_request
		WHERE state IN ('queued', 'submitting', 'running')
	) r
	CROSS JOIN LATERAL (
		SELECT @extschema@.clari_export_expected_duration(r.server, r.kind, r.forecast_id, r.options,
			coalesce(clock_timestamp() - r.submitted_at, '0')) AS typical
	) t
) p;

COMMENT ON VIEW @extschema@.clari_export_progress IS
'unfinished requests: what each waits for, for how long, and when its job will have ended, going by what the latest exports of its forecast took';
GRANT SELECT ON @extschema@.clari_export_progress TO PUBLIC;
SET LOCAL search_path = @extschema@, pg_temp;

CREATE FUNCTION clari_export_release(server name DEFAULT 'clari')
RETURNS text
AS 'MODULE_PATHNAME', 'clari_export_release'
LANGUAGE C VOLATILE STRICT;

COMMENT ON FUNCTION clari_export_release(name) IS
'lifts what holds the API keys used for a server, and says what that was; for the server''s owner and superusers';

CREATE FUNCTION clari_export_stat_counters(
	OUT server name,
	OUT requests bigint,
	OUT polls bigint,
	OUT http_429 bigint,
	OUT seconds_held float8,
	OUT submissions bigint,
	OUT adoptions bigint,
	OUT bytes bigint,
	OUT done bigint,
	OUT not_authorized bigint,
	OUT bad_request bigint,
	OUT rate_limited bigint,
	OUT queue_full bigint,
	OUT quota_exhausted bigint,
	OUT job_failed bigint,
	OUT poll_timeout bigint,
	OUT bad_response bigint,
	OUT unavailable bigint,
	OUT wrong_period bigint,
	OUT submission_unknown bigint,
	OUT other_error bigint,
	OUT stats_since timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'clari_export_stat_counters'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_stat_counters() IS 'behind the view clari_export_stat';

CREATE VIEW clari_export_stat AS SELECT * FROM clari_export_stat_counters();

COMMENT ON VIEW clari_export_stat IS
'for each server: requests, polls, 429s, seconds held, submissions, adoptions, bytes, and how exports ended; since the server started, or in this session without preloading';
GRANT SELECT ON clari_export_stat TO PUBLIC;

CREATE FUNCTION clari_export_stat_reset()
RETURNS void
AS 'MODULE_PATHNAME', 'clari_export_stat_reset'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_stat_reset() IS 'resets the counters of this database''s servers';
REVOKE EXECUTE ON FUNCTION clari_export_stat_reset() FROM PUBLIC;

CREATE FUNCTION clari_export_known_limits(
	OUT server name,
	OUT said_at timestamptz,
	OUT concurrent_limit int,
	OUT available_concurrent_limit int,
	OUT monthly_quota int,
	OUT available_monthly_quota int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'clari_export_known_limits'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_known_limits() IS 'behind the view clari_export_quota';

-- The quota counts a rolling 30 days: a place frees when the oldest submission of these turns 30 days. A submission
-- that was cancelled does not count; those of others are not known here.
SET LOCAL search_path = pg_catalog, pg_temp;
CREATE VIEW @extschema@.clari_export_quota WITH (security_invoker = true) AS
SELECT
	l.server,
	l.said_at,
	l.concurrent_limit,
	l.available_concurrent_limit,
	l.monthly_quota,
	l.available_monthly_quota,
	o.reserve AS quota_reserve,
	greatest(l.available_monthly_quota - o.reserve, 0) AS available_to_queue,
	r.since AS submitted_since,
	r.oldest + interval '30 days' AS next_free_at
FROM @extschema@.clari_export_known_limits() AS l
CROSS JOIN LATERAL (
	SELECT coalesce(max(p.option_value)::int, 0) AS reserve
	FROM pg_foreign_server AS s, pg_options_to_table(s.srvoptions) AS p
	WHERE s.srvname = l.server AND p.option_name = 'quota_reserve') AS o
CROSS JOIN LATERAL (
	SELECT min(q.submitted_at) AS oldest, count(*) FILTER (WHERE q.submitted_at > l.said_at) AS since
	FROM @extschema@.clari_export_request AS q
	WHERE q.job_id IS NOT NULL AND q.submitted_at > now() - interval '30 days'
		AND q.server = l.server AND q.state <> 'cancelled') AS r;
SET LOCAL search_path = @extschema@, pg_temp;

COMMENT ON VIEW clari_export_quota IS
'for each server: what Clari said last of its limits, and when; what it leaves to the queue, how many jobs of the requests that the role sees were submitted since, and when the next of their places frees';
GRANT SELECT ON clari_export_quota TO PUBLIC;

-- An entry is the same in both results if its period, time frame, user, field
-- and field type are. Where Clari's form 2 lacks a user's id, CRM id (or email,
-- or name) and role stand in for it. Of what has no counterpart then, entries
-- of the same person in another role are the same: the user's id holds the
-- role there, and the CRM id does not. Entries alike are paired one by one.
SET LOCAL search_path = pg_catalog, pg_temp;
CREATE FUNCTION @extschema@.clari_export_changes(
	before jsonb,
	after jsonb,
	OUT change text,
	OUT time_period text,
	OUT week int,
	OUT time_frame_id text,
	OUT week_start date,
	OUT user_id text,
	OUT user_name text,
	OUT role text,
	OUT field_id text,
	OUT field_name text,
	OUT field_type text,
	OUT before_value numeric,
	OUT after_value numeric,
	OUT difference numeric,
	OUT before_text text,
	OUT after_text text,
	OUT before_currency text,
	OUT after_currency text,
	OUT updated_by text,
	OUT updated_at timestamptz)
RETURNS SETOF record
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH entry AS (
		SELECT e.*, row_number() OVER (PARTITION BY e.side, (e.person || e.what) COLLATE "C"
			ORDER BY e.value, e.value_text COLLATE "C") AS nth
		FROM (
			SELECT r.*, 0 AS side, chr(31) || coalesce(r.time_period, '') || chr(31) || coalesce(r.time_frame_id, '')
					|| chr(31) || coalesce(r.field_id, r.field_name, '') || chr(31) || coalesce(r.field_type, '') AS what,
				coalesce(r.user_id,
					coalesce(r.crm_user_id, r.user_email, r.user_name, '') || ' ' || coalesce(r.role, '')) AS person,
				CASE WHEN strpos(r.user_id, ':') > 0 THEN r.crm_user_id END AS crm_person
			FROM @extschema@.clari_export_rows(before) AS r
			UNION ALL
			SELECT r.*, 1 AS side, chr(31) || coalesce(r.time_period, '') || chr(31) || coalesce(r.time_frame_id, '')
					|| chr(31) || coalesce(r.field_id, r.field_name, '') || chr(31) || coalesce(r.field_type, '') AS what,
				coalesce(r.user_id,
					coalesce(r.crm_user_id, r.user_email, r.user_name, '') || ' ' || coalesce(r.role, '')) AS person,
				CASE WHEN strpos(r.user_id, ':') > 0 THEN r.crm_user_id END AS crm_person
			FROM @extschema@.clari_export_rows(after) AS r) AS e),
	known AS (
		SELECT e.*, CASE WHEN e.crm_person IS NULL
				OR count(*) OVER (PARTITION BY e.nth, (e.person || e.what) COLLATE "C") = 2
			THEN 'u' || e.person ELSE 'c' || e.crm_person END || e.what AS entry
		FROM entry AS e),
	numbered AS (
		SELECT k.*, row_number() OVER (PARTITION BY k.side, k.entry COLLATE "C"
			ORDER BY k.nth, k.person COLLATE "C", k.value) AS number
		FROM known AS k)
	SELECT
		CASE WHEN b.side = 0 AND a.side = 1 THEN 'changed' WHEN a.side = 1 THEN 'added' ELSE 'removed' END,
		coalesce(a.time_period, b.time_period),
		coalesce(a.week, b.week),
		coalesce(a.time_frame_id, b.time_frame_id),
		coalesce(a.week_start, b.week_start),
		coalesce(a.user_id, b.user_id),
		coalesce(a.user_name, b.user_name),
		coalesce(a.role, b.role),
		coalesce(a.field_id, b.field_id),
		coalesce(a.field_name, b.field_name),
		coalesce(a.field_type, b.field_type),
		b.value,
		a.value,
		CASE WHEN a.value IS NOT NULL OR b.value IS NOT NULL
			THEN coalesce(a.value, 0) - coalesce(b.value, 0) END,
		b.value_text,
		a.value_text,
		b.currency,
		a.currency,
		a.updated_by,
		a.updated_at
	FROM (SELECT * FROM numbered WHERE side = 0) AS b
	FULL JOIN (SELECT * FROM numbered WHERE side = 1) AS a ON a.entry = b.entry AND a.number = b.number
	WHERE a.side IS NULL OR b.side IS NULL
		OR a.value IS DISTINCT FROM b.value
		OR a.currency IS DISTINCT FROM b.currency
		OR (a.value IS NULL AND a.value_text IS DISTINCT FROM b.value_text);
END;
SET LOCAL search_path = @extschema@, pg_temp;

COMMENT ON FUNCTION clari_export_changes(jsonb, jsonb) IS
'compares two results of the same forecast: entries added, removed and changed, with the value and who updated it';

-- Of each series of snapshots the latest one that has rows, a whole one before one that Clari cut short.
SET LOCAL search_path = pg_catalog, pg_temp;
CREATE VIEW @extschema@.clari_export_forecast WITH (security_invoker = true) AS
SELECT s.request_id, s.forecast_id, s.exported_at, s.truncated, r.*, s.server, s.requested_by, s.options
FROM (
	SELECT DISTINCT ON (c.server, c.requested_by, c.forecast_id, c.period, c.scope_id, c.currency)
		c.request_id, c.server, c.requested_by, c.forecast_id, c.exported_at, c.truncated, c.options, c.result
	FROM (
		SELECT *,
			coalesce(time_period, @extschema@.clari_export_period_of(result)) AS period,
			options ->> 'scopeId' AS scope_id,
			options ->> 'currency' AS currency
		FROM @extschema@.clari_export_snapshot
		WHERE kind = 'forecast' AND @extschema@.clari_export_has_rows(result)) AS c
	ORDER BY c.server, c.requested_by, c.forecast_id, c.period, c.scope_id, c.currency,
		c.truncated, c.exported_at DESC, c.request_id DESC) AS s,
	@extschema@.clari_export_rows(s.result) AS r;
SET LOCAL search_path = @extschema@, pg_temp;

GRANT SELECT ON clari_export_forecast TO PUBLIC;

COMMENT ON VIEW clari_export_forecast IS
'rows of the latest good snapshot of each server, role, forecast, time period, scope and currency that the role may see';
COMMENT ON COLUMN clari_export_forecast.request_id IS 'the request whose snapshot it is';
COMMENT ON COLUMN clari_export_forecast.exported_at IS 'when the snapshot was stored';
COMMENT ON COLUMN clari_export_forecast.truncated IS 'Clari left out cells or rows of it, and there is no whole one';
COMMENT ON COLUMN clari_export_forecast.options IS 'what was asked for, with the scope and the currency of the export';

/* ----------
 * Who may do what
 * ----------
 */

-- Default privileges may have granted anything to anybody. What PUBLIC keeps
-- is SELECT, and EXECUTE where it was not revoked above.
SET LOCAL search_path = pg_catalog, pg_temp;
DO $$
DECLARE
	taken text;
BEGIN
	FOR taken IN
		SELECT format('REVOKE %s ON %s FROM %s', a.privilege_type, o.name,
			CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
		FROM (
			SELECT c.relowner AS owner, c.relacl AS acl,
				CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass AS name,
				CASE c.relkind WHEN 'S' THEN '' ELSE 'SELECT' END AS kept
			FROM pg_class c
			JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
			JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
			WHERE d.deptype = 'e' AND e.extname = 'clari_export'
			UNION ALL
			SELECT p.proowner, p.proacl, 'ROUTINE ' || p.oid::regprocedure, 'EXECUTE'
			FROM pg_proc p
			JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
			JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
			WHERE d.deptype = 'e' AND e.extname = 'clari_export') o,
			aclexplode(o.acl) a
		WHERE a.grantee <> o.owner AND (a.grantee <> 0 OR a.privilege_type <> o.kept)
	LOOP
		EXECUTE taken;
	END LOOP;
END
$$;

GRANT INSERT (kind, forecast_id, time_period, options, server, priority, run_after, dedupe_key)
	ON @extschema@.clari_export_request TO PUBLIC;
