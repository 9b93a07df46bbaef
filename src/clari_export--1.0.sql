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
	server name DEFAULT 'clari',
	OUT time_period text,
	OUT job_id text,
	OUT status text,
	OUT result jsonb,
	OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'clari_export_all'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_all(text, text[], jsonb, interval, name) IS
'exports a forecast for several time periods, one after the other; a period that fails is a row with its error';

CREATE FUNCTION clari_export_jobs(
	server name DEFAULT 'clari',
	OUT job_id text,
	OUT module text,
	OUT title text,
	OUT status text,
	OUT file_name text,
	OUT file_type text,
	OUT currency text,
	OUT start_time timestamptz,
	OUT end_time timestamptz,
	OUT expired_time timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'clari_export_jobs'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_jobs(name) IS
'lists the export jobs of the API key''s user at Clari';

CREATE FUNCTION clari_export_limits(
	server name DEFAULT 'clari',
	OUT concurrent_limit int,
	OUT available_concurrent_limit int,
	OUT monthly_quota int,
	OUT available_monthly_quota int,
	OUT running_job_ids text[],
	OUT submitted_job_ids text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'clari_export_limits'
LANGUAGE C VOLATILE;

COMMENT ON FUNCTION clari_export_limits(name) IS
'tells the export limits of the API key''s organization and what is left of them';
