-- The options of a server.
CREATE EXTENSION clari_export;

CREATE SERVER clari FOREIGN DATA WRAPPER clari_export;
ALTER SERVER clari OPTIONS (
    base_url 'https://clari.example.com/v4', ca_file '/etc/ssl/ca.pem', proxy 'http://proxy.example.com:3128',
    connect_timeout '1 ms', request_timeout '1 day',
    poll_base_delay '500 ms', poll_multiplier '1', poll_max_delay '00:01:30', poll_max_attempts '100000',
    polling 'backoff', submit_interval '0', max_requests_per_second '5', max_concurrent_exports '3',
    submission_grace '2 minutes', quota_reserve '20', paused 'on', history 'off', max_result_size '1GB');
SELECT unnest(srvoptions) FROM pg_foreign_server WHERE srvname = 'clari';
ALTER SERVER clari OPTIONS (SET polling 'adaptive', SET paused 'false', DROP ca_file);
ALTER SERVER clari OPTIONS (SET poll_multiplier '0.9');
DROP SERVER clari;

-- An unknown option, one of the mapping, and a wrapper that has none
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (base_uri 'https://api.clari.com/v4');
\echo :SQLSTATE
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (api_key 'not-here');
ALTER FOREIGN DATA WRAPPER clari_export OPTIONS (ADD base_url 'https://api.clari.com/v4');

-- Intervals
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (connect_timeout 'soon');
\echo :SQLSTATE
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (connect_timeout '');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (connect_timeout '0');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (request_timeout '999 us');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (poll_base_delay '-5 s');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (poll_max_delay '1 day 1 us');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (submit_interval '1 month');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (submission_grace 'infinity');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (submission_grace '170000000 years');

-- Numbers
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (poll_multiplier '101');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (poll_multiplier 'NaN');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (poll_max_attempts '0');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (poll_max_attempts 'many');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (max_requests_per_second '10000000000');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (max_concurrent_exports '-1');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (quota_reserve '1000001');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (max_result_size '100B');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (max_result_size '2GB');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (max_result_size '512 MiB');

-- Words
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (polling 'sometimes');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (paused 'perhaps');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (history 'sometimes');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (proxy '');

-- The API key travels encrypted, or not beyond this machine.
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (base_url 'http://api.clari.com/v4');
\echo :SQLSTATE
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (base_url 'http://localhost.example.com');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (base_url 'http://127.0.0.1.example.com');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (base_url 'http://localhost@example.com');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (base_url 'ftp://localhost/v4');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (base_url 'https://api.clari.com/v4?key=1');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (base_url 'api.clari.com/v4');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (base_url '');
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (base_url 'http://localhost:8080/v4');
ALTER SERVER clari OPTIONS (SET base_url 'http://127.0.0.1:8080/v4');
ALTER SERVER clari OPTIONS (SET base_url 'http://[::1]:8080/v4/');

-- Nothing in it ends the path that a request appends to it.
ALTER SERVER clari OPTIONS (SET base_url 'http://127.0.0.1:8080/admin/shutdown#');
ALTER SERVER clari OPTIONS (SET base_url 'http://127.0.0.1:8080/admin/shutdown?');
ALTER SERVER clari OPTIONS (SET base_url 'http://127.0.0.1:8080/v4%23');
ALTER SERVER clari OPTIONS (SET base_url 'http://127.1/v4');
ALTER SERVER clari OPTIONS (SET base_url E'https://api.clari.com/v4\r\nX: y');

-- Nor does the key go to a proxy unencrypted.
ALTER SERVER clari OPTIONS (ADD proxy 'http://127.0.0.1:3128');
\echo :SQLSTATE
ALTER SERVER clari OPTIONS (SET base_url 'https://localhost:8080/v4', ADD proxy 'http://127.0.0.1:3128');
ALTER SERVER clari OPTIONS (SET base_url 'http://localhost:8080/v4');
DROP SERVER clari;
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (proxy 'http://127.0.0.1:3128', base_url 'http://localhost:8080/v4');

-- A file that the server reads is named by a superuser.
CREATE ROLE regress_clari_owner;
GRANT USAGE ON FOREIGN DATA WRAPPER clari_export TO regress_clari_owner;
GRANT CREATE ON DATABASE :DBNAME TO regress_clari_owner;
SET ROLE regress_clari_owner;
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (ca_file '/etc/ssl/ca.pem');
\echo :SQLSTATE
CREATE SERVER clari FOREIGN DATA WRAPPER clari_export OPTIONS (base_url 'https://clari.example.com/v4');
RESET ROLE;

DROP SERVER clari;
DROP OWNED BY regress_clari_owner;
DROP ROLE regress_clari_owner;
DROP EXTENSION clari_export;
