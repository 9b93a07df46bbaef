-- Arguments that are wrong whatever Clari may say: nothing is sent.
CREATE EXTENSION clari_export;
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export;
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key 'some-key');

-- Null
SELECT clari_export(NULL);
\echo :SQLSTATE
SELECT clari_export('net_arr', server => NULL);
\echo :SQLSTATE
SELECT clari_export_submit(NULL);
SELECT clari_export_submit('net_arr', server => NULL);
SELECT clari_export_activity('{}', server => NULL);
SELECT clari_export_audit_events(server => NULL);
SELECT clari_export_status(NULL);
SELECT clari_export_status('1', NULL);
SELECT clari_export_poll(NULL);
SELECT clari_export_poll('1', server => NULL);
SELECT clari_export_result(NULL);
SELECT clari_export_result('1', NULL);
SELECT clari_export_cancel(NULL);
SELECT clari_export_cancel('1', NULL);
SELECT * FROM clari_export_all(NULL, ARRAY['2026_Q3']);
SELECT * FROM clari_export_all('net_arr', NULL);
\echo :SQLSTATE
SELECT * FROM clari_export_all('net_arr', ARRAY['2026_Q3'], server => NULL);
SELECT * FROM clari_export_jobs(NULL);
SELECT * FROM clari_export_limits(NULL);

-- Ids
SELECT clari_export('');
\echo :SQLSTATE
SELECT clari_export(repeat('x', 1000));
SELECT clari_export('net_arr', '');
\echo :SQLSTATE
SELECT clari_export_submit('net_arr', repeat('x', 1000));
SELECT clari_export_status('');
\echo :SQLSTATE
SELECT clari_export_poll(repeat('x', 1000));
SELECT clari_export_result('');
SELECT clari_export_cancel('');
SELECT * FROM clari_export_all('net_arr', ARRAY['']);

-- Options
SELECT clari_export('net_arr', '2026_Q3', '[]');
\echo :SQLSTATE
SELECT clari_export_activity('"MEETING"');
SELECT clari_export_audit_events('null');
SELECT clari_export('net_arr', '2026_Q3', '{"exportFormat": "XLSX"}');
\echo :SQLSTATE
SELECT clari_export_activity('{"exportFormat": null}');
SELECT clari_export('net_arr', '2026_Q3', '{"timePeriod": "2026_Q2"}');
\echo :SQLSTATE
SELECT clari_export_submit('net_arr', '2026_Q3', '{"timePeriod": 3}');
SELECT * FROM clari_export_all('net_arr', ARRAY['2026_Q2', '2026_Q3'], '{"timePeriod": "2026_Q2"}');
SELECT clari_export('net_arr', '2026_Q3', jsonb_build_object('scopeId', repeat('x', 100000)));
\echo :SQLSTATE

-- Attempts and delays
SELECT clari_export_poll('1', max_attempts => 0);
\echo :SQLSTATE
SELECT clari_export_poll('1', base_delay => '-1 ms');
\echo :SQLSTATE
SELECT clari_export_poll('1', max_delay => '1 day 1 ms');
SELECT * FROM clari_export_all('net_arr', ARRAY['2026_Q3'], delay_between => '-1 s');

-- No period is no row.
SELECT * FROM clari_export_all('net_arr', '{}');

SET client_min_messages = warning;
DROP SERVER clari CASCADE;
DROP EXTENSION clari_export;
