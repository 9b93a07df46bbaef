\echo
\echo '3. THE RESULT AS A TABLE'
\echo

SELECT role AS region, user_name AS head,
       sum(value) FILTER (WHERE field_id = 'closed') AS closed,
       sum(value) FILTER (WHERE field_id = 'commit') AS commit,
       sum(value) FILTER (WHERE field_id = 'best_case') AS best_case,
       sum(value) FILTER (WHERE field_id = 'quota') AS quota
FROM forecast, clari_export_rows(result)
WHERE parent_role = 'Worldwide Sales'
GROUP BY region, head ORDER BY commit DESC;
