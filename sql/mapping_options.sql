-- The options of a user mapping: where the API key is. The key is in no message.
CREATE EXTENSION clari_export;
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export;

-- One of the two options
CREATE USER MAPPING FOR CURRENT_USER SERVER clari;
\echo :SQLSTATE
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key 'Secret123', api_key_file '/run/secrets/clari');
\echo :SQLSTATE
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (apikey 'Secret123');
\echo :SQLSTATE
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (base_url 'Secret123');

-- A key that could not be a header's value
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key '');
\echo :SQLSTATE
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key 'Secret 123');
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key E'Secret123\r\nHost: elsewhere');
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key 'Sécret123');
\set ECHO none
SELECT format('CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key %L)', repeat('x', 4097)) \gexec
\set ECHO all
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key_file '');

-- From one to the other
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key 'Secret123');
ALTER USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (SET api_key 'Secret456');
ALTER USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (DROP api_key);
ALTER USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (ADD api_key_file '/run/secrets/clari');
ALTER USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (DROP api_key, ADD api_key_file '/nonexistent/clari.key');
SELECT clari_export('net_arr');
\echo :SQLSTATE
ALTER USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (SET api_key_file '/dev/null');
SELECT clari_export('net_arr');
\echo :SQLSTATE
ALTER USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (SET api_key_file '/tmp');
SELECT clari_export('net_arr');
\echo :SQLSTATE
DROP USER MAPPING FOR CURRENT_USER SERVER clari;

-- Everybody else has a key of their own, but no file of the server, and sees no key of another.
CREATE ROLE regress_clari_user;
GRANT USAGE ON FOREIGN SERVER clari TO regress_clari_user;
CREATE USER MAPPING FOR PUBLIC SERVER clari OPTIONS (api_key 'Secret123');
SET ROLE regress_clari_user;
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key_file '/run/secrets/clari');
\echo :SQLSTATE
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key 'Secret456');
ALTER USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (DROP api_key, ADD api_key_file '/run/secrets/clari');
SELECT usename, umoptions FROM pg_user_mappings ORDER BY usename;
RESET ROLE;

SET client_min_messages = warning;
DROP SERVER clari CASCADE;
DROP ROLE regress_clari_user;
DROP EXTENSION clari_export;
