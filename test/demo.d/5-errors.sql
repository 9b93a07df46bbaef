\echo
\echo '5. ERRORS SAY WHAT TO DO'
\echo
\set ON_ERROR_STOP off

SELECT clari_export('net_ar', '2026_Q3');

\echo SQLSTATE :SQLSTATE
\echo
\echo 'Clari exports the current quarter when it does not know the one asked for. That does not pass unnoticed:'
\echo

SELECT clari_export('net_arr', '2026_Q5');

\echo SQLSTATE :SQLSTATE
