\echo
\echo '3. THE RESULT AS A TABLE'
\echo
\echo 'The entries of the result refer to its users and fields; plain SQL joins them.'
\echo

SELECT u ->> 'hierarchyName' AS region, u ->> 'name' AS head,
       sum(amount) FILTER (WHERE field = 'closed') AS closed,
       sum(amount) FILTER (WHERE field = 'commit') AS commit,
       sum(amount) FILTER (WHERE field = 'best_case') AS best_case,
       sum(amount) FILTER (WHERE field = 'quota') AS quota
FROM forecast,
     jsonb_array_elements(result -> 'users') AS u,
     jsonb_array_elements(result -> 'entries') AS e,
     LATERAL (SELECT e ->> 'fieldId', coalesce(e -> 'forecastValue', e -> 'quotaValue')::numeric) AS v (field, amount)
WHERE e -> 'userId' = u -> 'userId' AND u ->> 'parentHierarchyName' = 'Worldwide Sales'
GROUP BY region, head ORDER BY commit DESC;
