\echo
\echo '6. THE QUEUE: INSERT A ROW, WALK AWAY, FIND A SNAPSHOT'
\echo
\echo 'A background worker exports what is inserted, one after the other, and would go on after a crash.'
\echo

INSERT INTO clari_export_request (forecast_id, time_period, options)
    SELECT 'net_arr', quarter, '{"typesToExport": ["forecast", "quota"], "includeHistorical": true}'
    FROM clari_export_time_periods('2026_Q2', '2026_Q3') AS quarter;

SELECT request_id, time_period, state, waiting_for FROM clari_export_progress;

SELECT time_period, length(clari_export_wait(id, timeout => '30 s')::text) AS result_size FROM clari_export_request;

SELECT id, time_period, state, polls, date_trunc('milliseconds', finished_at - submitted_at) AS took
FROM clari_export_request ORDER BY id;
