\echo
\echo '4. SEVERAL QUARTERS, ONE AFTER THE OTHER'
\echo

SELECT time_period, job_id, status, jsonb_array_length(result -> 'entries') AS entries, error
FROM clari_export_all('net_arr', ARRAY['2026_Q1', '2026_Q2']);
