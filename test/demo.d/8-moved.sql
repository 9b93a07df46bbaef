\echo
\echo '8. HOW IT MOVED'
\echo
\echo 'Three snapshots, a week apart, as they come about in three weeks: here they are made of the one above, and imported. In'
\echo 'the last one somebody has left, and the head of APAC has changed a call of the week before.'
\echo

SELECT 'week ' || n AS snapshot, clari_export_import(jsonb_set(result, '{entries}', (
        SELECT jsonb_agg(CASE WHEN n = 8 AND e ->> 'userId' = head.user_id AND e ->> 'fieldId' = 'commit' AND e ->> 'timeFrameId' = 'W_07'
            THEN jsonb_set(e, '{forecastValue}', to_jsonb((e ->> 'forecastValue')::int - 250000)) ELSE e END)
        FROM jsonb_array_elements(result -> 'entries') AS e
        WHERE e ->> 'timeFrameId' <= 'W_0' || n AND NOT (n = 8 AND e ->> 'userId' = leaver.user_id))),
    'net_arr weekly', now() - (8 - n) * interval '7 days', '2026_Q3') AS request_id
FROM clari_export_snapshot AS s, generate_series(6, 8) AS n,
    (SELECT user_id FROM clari_export_call WHERE role = 'APAC' LIMIT 1) AS head,
    (SELECT min(user_id) AS user_id FROM clari_export_call WHERE parent_role = 'EMEA North Team 1') AS leaver
WHERE s.forecast_id = 'net_arr' AND s.time_period = '2026_Q3' AND s.options ? 'includeHistorical'
ORDER BY n;

\echo
\echo 'What moved since last week, of what was known then:'
\echo

SELECT t.user_name, t.role, t.week, t.value AS then, n.value AS now,
       CASE WHEN n.value IS NULL THEN 'left' ELSE to_char(n.value - t.value, 'FMSG999,999,999') END AS moved
FROM clari_export_as_of(now() - interval '7 days') AS t
LEFT JOIN clari_export_as_of(now()) AS n USING (forecast_id, time_period, time_frame_id, user_id, field_id, field_type)
WHERE forecast_id = 'net_arr weekly' AND field_id = 'commit' AND t.week = 7 AND t.value IS DISTINCT FROM n.value
ORDER BY n.value;

\echo
\echo 'The call of each region on each of the three days (one # is 100,000):'
\echo

SELECT day::date, role AS region, to_char(value / 1e6, '90.0') AS commit, repeat('#', (value / 100000)::int) AS "0 ..."
FROM generate_series(now() - interval '14 days', now(), '7 days') AS day,
    LATERAL (
        SELECT DISTINCT ON (role) role, value FROM clari_export_as_of(day)
        WHERE forecast_id = 'net_arr weekly' AND field_id = 'commit' AND parent_role = 'Worldwide Sales'
        ORDER BY role, week DESC) AS call
ORDER BY region, day;
