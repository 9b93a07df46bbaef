\echo
\echo '1. SETTING UP'
\echo
\echo 'Four statements lead from nothing to a forecast; here are three. For the real Clari, leave the OPTIONS of'
\echo 'the server out and write your own API key.'
\echo

CREATE EXTENSION clari_export;

CREATE SERVER clari FOREIGN DATA WRAPPER clari_export
    OPTIONS (base_url :'base_url', poll_base_delay '500 ms', submit_interval '1 s');

CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key 'demo-key');

\echo
\echo 'What the key allows:'
\echo

SELECT concurrent_limit, monthly_quota, available_monthly_quota FROM clari_export_limits();
