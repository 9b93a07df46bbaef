-- What a role needs before anything is sent: a server, USAGE on it, a user mapping.
CREATE EXTENSION clari_export;
CREATE ROLE "regress Clari";
CREATE FOREIGN DATA WRAPPER other;
CREATE SERVER "other server" FOREIGN DATA WRAPPER other;

-- No server
SELECT clari_export('net_arr', '2026_Q3');
\echo :SQLSTATE
SELECT clari_export_activity('{}', server => 'Sales "EMEA"');
SELECT clari_export_audit_events(server => 'emea');
SELECT clari_export_submit('net_arr');
SELECT clari_export_status('1');
SELECT clari_export_poll('1');
SELECT clari_export_result('1');
SELECT clari_export_cancel('1');
SELECT * FROM clari_export_all('net_arr', ARRAY['2026_Q3']);
SELECT * FROM clari_export_jobs();
SELECT * FROM clari_export_limits();

-- A server of another wrapper
SELECT clari_export('net_arr', server => 'other server');
\echo :SQLSTATE

-- No user mapping: that of the superuser and one for PUBLIC come later.
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export;
GRANT USAGE ON FOREIGN SERVER clari TO "regress Clari";
SET ROLE "regress Clari";
SELECT clari_export('net_arr');
\echo :SQLSTATE
RESET ROLE;

-- A mapping is found when an empty job id, which is looked at afterwards, is what is wrong.
CREATE USER MAPPING FOR PUBLIC SERVER clari OPTIONS (api_key 'everybody');
SET ROLE "regress Clari";
SELECT clari_export_status('');
\echo :SQLSTATE
RESET ROLE;
DROP USER MAPPING FOR PUBLIC SERVER clari;
CREATE USER MAPPING FOR "regress Clari" SERVER clari OPTIONS (api_key 'somebody');
SET ROLE "regress Clari";
SELECT clari_export_status('');
RESET ROLE;

-- No USAGE
REVOKE USAGE ON FOREIGN SERVER clari FROM "regress Clari";
SET ROLE "regress Clari";
SELECT clari_export('net_arr');
\echo :SQLSTATE
SELECT clari_export_status('');
SELECT * FROM clari_export_limits();
CREATE SERVER mine FOREIGN DATA WRAPPER clari_export;
\echo :SQLSTATE
RESET ROLE;

-- In a function that runs as its owner, the owner counts.
\set SHOW_CONTEXT never
CREATE FUNCTION status_as_owner() RETURNS jsonb LANGUAGE sql SECURITY DEFINER
    RETURN clari_export_status('');
CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key 'owner');
SET ROLE "regress Clari";
SELECT status_as_owner();
RESET ROLE;
DROP FUNCTION status_as_owner();

SET client_min_messages = warning;
DROP SERVER clari CASCADE;
DROP FOREIGN DATA WRAPPER other CASCADE;
DROP ROLE "regress Clari";
DROP EXTENSION clari_export;
