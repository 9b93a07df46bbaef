-- The request table: columns, who may write what, what an insert and a delete are checked for. Nobody works on the
-- queue here.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS clari_export;
CREATE ROLE regress_clari_user;
CREATE ROLE regress_clari_other;
CREATE SERVER regress_clari FOREIGN DATA WRAPPER clari_export OPTIONS (base_url 'http://127.0.0.1:9/v4');
CREATE SERVER regress_private FOREIGN DATA WRAPPER clari_export OPTIONS (base_url 'http://127.0.0.1:9/v4');
GRANT USAGE ON FOREIGN SERVER regress_clari TO regress_clari_user, regress_clari_other;

-- Columns and defaults.
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity AS identity,
	pg_get_expr(d.adbin, d.adrelid) AS "default"
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = 'clari_export_request'::regclass AND a.attnum > 0 AND a.attname NOT IN ('known_job_ids', 'posted_at', 'lost_submissions', 'retried', 'ready', 'made_in')
ORDER BY a.attnum;
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_attribute a
WHERE a.attrelid = 'clari_export_snapshot'::regclass AND a.attnum > 0
ORDER BY a.attnum;

-- PUBLIC writes the first group of columns, and nothing else.
SELECT string_agg(a.attname, ' ' ORDER BY a.attnum)
	FILTER (WHERE has_column_privilege('public', a.attrelid, a.attnum, 'INSERT')) AS insertable,
	string_agg(a.attname, ' ' ORDER BY a.attnum)
	FILTER (WHERE has_column_privilege('public', a.attrelid, a.attnum, 'UPDATE')) AS updatable,
	string_agg(a.attname, ' ' ORDER BY a.attnum)
	FILTER (WHERE has_column_privilege('public', a.attrelid, a.attnum, 'REFERENCES')) AS referable
FROM pg_attribute a
WHERE a.attrelid = 'clari_export_request'::regclass AND a.attnum > 0;
SELECT c.relname, privilege,
	has_table_privilege('public', c.oid, privilege) AS has_it, c.relrowsecurity AS row_security
FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
WHERE c.oid IN ('clari_export_request'::regclass, 'clari_export_snapshot'::regclass)
ORDER BY 1, 2;

-- Everything of the queue has a comment.
SELECT c.relname, a.attname FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relname IN ('clari_export_request', 'clari_export_snapshot')
	AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL);

SET ROLE regress_clari_user;

-- An insert is checked.
INSERT INTO clari_export_request (forecast_id, server) VALUES ('net_arr', 'regress_clari')
RETURNING kind, time_period, options, priority, run_after = now() AS due_now, dedupe_key, requested_by, state,
	hold_reason, job_id, polls;
DO $$
DECLARE
	insert_list text;
	message text;
	detail text;
	hint text;
BEGIN
	FOREACH insert_list IN ARRAY ARRAY[
		'(kind, forecast_id, server) VALUES (''forecasts'', ''net_arr'', ''regress_clari'')',
		'(kind, forecast_id, server) VALUES (NULL, ''net_arr'', ''regress_clari'')',
		'(server) VALUES (''regress_clari'')',
		'(forecast_id, server) VALUES ('''', ''regress_clari'')',
		'(forecast_id, server) VALUES (repeat(''x'', 5000), ''regress_clari'')',
		'(kind, forecast_id, server) VALUES (''activity'', ''net_arr'', ''regress_clari'')',
		'(kind, time_period, server) VALUES (''audit_events'', ''2026_Q1'', ''regress_clari'')',
		'(forecast_id, options, server) VALUES (''net_arr'', ''[]'', ''regress_clari'')',
		'(forecast_id, options, server) VALUES (''net_arr'', ''"text"'', ''regress_clari'')',
		'(forecast_id, options, server) VALUES (''net_arr'', ''null'', ''regress_clari'')',
		'(forecast_id, options, server) VALUES (''net_arr'', NULL, ''regress_clari'')',
		'(forecast_id, options, server) VALUES (''net_arr'', ''{"exportFormat": "XLSX"}'', ''regress_clari'')',
		'(forecast_id, time_period, options, server)'
		' VALUES (''net_arr'', ''2026_Q1'', ''{"timePeriod": "2026_Q2"}'', ''regress_clari'')',
		'(forecast_id, server) VALUES (''net_arr'', ''no_such_server'')',
		'(forecast_id) VALUES (''net_arr'')',
		'(forecast_id, server) VALUES (''net_arr'', ''regress_private'')',
		'(forecast_id, server, run_after) VALUES (''net_arr'', ''regress_clari'', NULL)',
		'(forecast_id, server, priority) VALUES (''net_arr'', ''regress_clari'', NULL)',
		'(forecast_id, server, state) VALUES (''net_arr'', ''regress_clari'', ''done'')',
		'(forecast_id, server, created_at) VALUES (''net_arr'', ''regress_clari'', now() - interval ''1 day'')',
		'(forecast_id, server, requested_by) VALUES (''net_arr'', ''regress_clari'', ''regress_clari_other'')',
		'(id, forecast_id, server) OVERRIDING SYSTEM VALUE VALUES (1, ''net_arr'', ''regress_clari'')']
	LOOP
		BEGIN
			EXECUTE 'INSERT INTO clari_export_request ' || insert_list;
			RAISE EXCEPTION 'accepted: %', insert_list;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
			RAISE INFO E'%\n  % %\n  % %', insert_list, SQLSTATE, message,
				CASE WHEN detail LIKE 'Failing row%' THEN '' ELSE detail END, hint;
		END;
	END LOOP;
END
$$;

-- An unfinished request is not deleted, a finished one is; nothing is updated.
SELECT id AS first FROM clari_export_request \gset
DO $$
DECLARE
	hint text;
BEGIN
	PERFORM clari_export_delete_request(id) FROM clari_export_request;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RAISE INFO '% % / %', SQLSTATE, regexp_replace(SQLERRM, '\d+', 'N'), regexp_replace(hint, '\d+', 'N');
END
$$;
UPDATE clari_export_request SET state = 'done';
UPDATE clari_export_request SET requested_by = 'regress_clari_other';
TRUNCATE clari_export_request;
INSERT INTO clari_export_snapshot (request_id, server, kind, options, requested_by, exported_at, truncated, result)
VALUES (:first, 'regress_clari', 'forecast', '{}', 'regress_clari_user', now(), false, '{}');
SELECT clari_export_cancel(:first);
SELECT clari_export_delete_request(:first), clari_export_delete_request(:first) AS again;
DELETE FROM clari_export_request;
BEGIN;
LOCK TABLE clari_export_request IN ROW SHARE MODE;
ROLLBACK;

-- dedupe_key is unique among the unfinished requests of a role.
INSERT INTO clari_export_request (forecast_id, server, dedupe_key) VALUES ('net_arr', 'regress_clari', 'daily');
\set VERBOSITY sqlstate
INSERT INTO clari_export_request (forecast_id, server, dedupe_key) VALUES ('net_arr', 'regress_clari', 'daily');
\set VERBOSITY default
SELECT id AS daily FROM clari_export_request \gset
SELECT clari_export_enqueue('renewals', server => 'regress_clari', dedupe_key => 'daily') = :daily AS same_id;
SELECT clari_export_enqueue('net_arr', server => 'regress_clari', dedupe_key => 'weekly') <> :daily AS another_id;
SELECT clari_export_enqueue('net_arr', server => 'regress_clari') <> clari_export_enqueue('net_arr', server => 'regress_clari')
	AS without_a_key;
SELECT clari_export_cancel(:daily);
SELECT clari_export_enqueue('net_arr', server => 'regress_clari', dedupe_key => 'daily') <> :daily AS free_again;

-- clari_export_enqueue() sets what it is given.
SELECT clari_export_enqueue('renewals', '2026_Q2', '{"currency": "EUR"}', 'forecast', 'regress_clari', 7,
	'2999-01-01 00:00:00+00', 'far') AS far \gset
SELECT forecast_id, time_period, options, kind, server, priority, run_after AT TIME ZONE 'UTC' AS run_after, dedupe_key
FROM clari_export_request WHERE id = :far;
SELECT clari_export_enqueue(NULL, NULL, '{"dateFrom": "2026-01-01T00:00:00Z"}', 'audit_events', 'regress_clari') > 0 AS audit;
\set VERBOSITY sqlstate
SELECT clari_export_enqueue('net_arr', server => 'no_such_server');
SELECT clari_export_enqueue('net_arr', server => 'regress_private');
SELECT clari_export_enqueue('net_arr', options => '[]', server => 'regress_clari');
\set VERBOSITY default

-- Another role sees, cancels, retries, waits for and deletes none of them, and its keys are its own.
SET ROLE regress_clari_other;
SELECT count(*) FROM clari_export_request;
SELECT clari_export_delete_request(:daily);
\set VERBOSITY sqlstate
SELECT clari_export_cancel(:far);
SELECT clari_export_retry(:far);
SELECT clari_export_wait(:far, '0');
SELECT clari_export_cancel(-1);
\set VERBOSITY default
SELECT clari_export_enqueue('net_arr', server => 'regress_clari', dedupe_key => 'daily') > 0 AS own_key;
SELECT requested_by, count(*) FROM clari_export_request GROUP BY 1;
RESET ROLE;
SELECT requested_by, count(*) FROM clari_export_request GROUP BY 1 ORDER BY requested_by::text;

-- Not even with more privileges than PUBLIC's does a role act for another: row security has the last word.
GRANT INSERT, UPDATE ON clari_export_request, clari_export_snapshot TO regress_clari_user;
SET ROLE regress_clari_user;
INSERT INTO clari_export_request (forecast_id, server, requested_by)
VALUES ('net_arr', 'regress_clari', 'regress_clari_other');
UPDATE clari_export_request SET requested_by = 'regress_clari_other';
UPDATE clari_export_request SET priority = 1 WHERE requested_by = 'regress_clari_other'::regrole;
INSERT INTO clari_export_snapshot (request_id, server, kind, options, requested_by, exported_at, truncated, result)
VALUES (1, 'regress_clari', 'forecast', '{}', 'regress_clari_other', now(), false, '{}');
RESET ROLE;
REVOKE INSERT, UPDATE ON clari_export_request, clari_export_snapshot FROM regress_clari_user;

-- Snapshots are their owner's as well.
INSERT INTO clari_export_snapshot (request_id, server, kind, options, requested_by, exported_at, truncated, result)
VALUES (1, 'regress_clari', 'forecast', '{}', 'regress_clari_user', now(), false, '{}');
SET ROLE regress_clari_other;
SELECT count(*) FROM clari_export_snapshot;
SELECT clari_export_delete_snapshot(1);
SET ROLE regress_clari_user;
SELECT count(*) FROM clari_export_snapshot;
SELECT clari_export_delete_snapshot(1), clari_export_delete_snapshot(1) AS again;
RESET ROLE;
SELECT count(*) FROM clari_export_snapshot;

-- A definer's function queues for its owner, whoever calls it.
CREATE FUNCTION regress_queue() RETURNS regrole LANGUAGE sql SECURITY DEFINER
AS $$ INSERT INTO clari_export_request (forecast_id, server) VALUES ('net_arr', 'regress_clari') RETURNING requested_by $$;
ALTER FUNCTION regress_queue() OWNER TO regress_clari_user;
SET ROLE regress_clari_other;
SELECT regress_queue();
RESET ROLE;

-- Functions that take null.
SELECT clari_export_wait(NULL) IS NULL AS wait, clari_export_cancel(NULL::bigint) IS NULL AS cancel,
	clari_export_retry(NULL) IS NULL AS retry;

-- Drain: only as a statement of its own.
\set VERBOSITY sqlstate
BEGIN;
CALL clari_export_drain();
ROLLBACK;
CREATE FUNCTION regress_drain() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL clari_export_drain(); END $$;
SELECT regress_drain();
DROP FUNCTION regress_drain();
CALL clari_export_drain(max_requests => 0);
CALL clari_export_drain(max_runtime => '-1 s');

DROP FUNCTION regress_queue();
DROP EXTENSION clari_export CASCADE;
DROP ROLE regress_clari_user, regress_clari_other;
