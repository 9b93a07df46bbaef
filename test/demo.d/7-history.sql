\echo
\echo '7. COMMIT BY REGION, WEEK OVER WEEK (millions)'
\echo

SELECT role AS region, week, round(value / 1e6, 1) AS commit
FROM clari_export_forecast
WHERE time_period = '2026_Q3' AND field_id = 'commit' AND parent_role = 'Worldwide Sales'
ORDER BY role, week
\crosstabview region week commit

\echo
\echo 'Commit (#) and best case (+) of all regions against the quota (|):'
\echo

WITH call AS (
    SELECT week,
           sum(value) FILTER (WHERE field_id = 'commit') AS commit,
           sum(value) FILTER (WHERE field_id = 'best_case') AS best_case,
           sum(value) FILTER (WHERE field_id = 'quota') AS quota
    FROM clari_export_forecast
    WHERE time_period = '2026_Q3' AND parent_role IS NULL
    GROUP BY week
), bar AS (
    SELECT *, (60 * commit / max(best_case) OVER ())::int AS n_commit,
           (60 * best_case / max(best_case) OVER ())::int AS n_best_case,
           (60 * quota / max(best_case) OVER ())::int AS n_quota
    FROM call
)
SELECT week, to_char(commit / 1e6, '990.0') AS commit, to_char(best_case / 1e6, '990.0') AS best,
       overlay(rpad(repeat('#', n_commit) || repeat('+', n_best_case - n_commit), 60)
               PLACING '|' FROM n_quota FOR 1) AS "0 ... best case"
FROM bar ORDER BY week;
