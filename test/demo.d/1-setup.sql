\echo
\echo '1. SETTING UP'
\echo
\echo 'A superuser creates the extension and the server, and lets the role analyst use it with its own API key. For the'
\echo 'real Clari, leave the OPTIONS of the server out and write your own key. The simulated one speaks TLS, too, with a'
\echo 'certificate of an authority of its own, at a name that takes a while to resolve.'
\echo

CREATE EXTENSION clari_export;

CREATE SERVER clari FOREIGN DATA WRAPPER clari_export
    OPTIONS (base_url :'base_url', ca_file :'ca_file', poll_base_delay '500 ms', submit_interval '1 s');

CREATE ROLE analyst LOGIN;
CREATE SCHEMA AUTHORIZATION analyst;
GRANT USAGE ON FOREIGN SERVER clari TO analyst;
CREATE USER MAPPING FOR analyst SERVER clari OPTIONS (api_key 'demo-key');

\echo
\echo 'What the key allows:'
\echo

SET ROLE analyst;
SELECT concurrent_limit, monthly_quota, available_monthly_quota FROM clari_export_limits();
