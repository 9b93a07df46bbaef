\echo
\echo '2. AN EXPORT AND ITS PROGRESS'
\echo
\echo 'One statement submits a job, polls it with growing delays and fetches the result. Clari answers one'
\echo 'of the polls with "429 Too Many Requests" and "Retry-After: 3": for three seconds nothing is sent, then it'
\echo 'goes on. The messages at DEBUG are only shown on request.'
\echo

CREATE TABLE forecast (result jsonb);

SET client_min_messages = debug1;

INSERT INTO forecast
    SELECT clari_export('net_arr', '2026_Q3', '{"typesToExport": ["forecast", "quota"]}');

RESET client_min_messages;
