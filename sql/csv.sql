-- The CSV of a forecast as the flat form.
CREATE EXTENSION clari_export;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

CREATE TABLE csv (text text);
INSERT INTO csv VALUES (U&'\FEFFUSER,email,CRM User Id,Role,PARENT ROLE,Timeframe,Field,Week,Start Day,End Day,Data Type,Data Value,Colour' || E'\r\n'
	|| E'"Lovelace, Ada",ada@example.com,005A,"EMEA ""North""",Worldwide,2026_Q3,Commit,2,07/15/2026,07/21/2026,Forecast,"$3,000,190.25",red\r\n'
	|| E'"Lovelace, Ada",ada@example.com,005A,"EMEA ""North""",Worldwide,2026_Q3,Commit,2,07/15/2026,07/21/2026,Forecast Updated,Yes,\r\n'
	|| E'Zoë,,005B,"two\r\nlines",,2026_Q3,Quota,1,07/08/2026,07/14/2026,Quota,"(€1,200.50)",\r\n'
	|| E'\r\n');
SELECT row FROM csv, jsonb_array_elements(clari_export_csv(text)) AS row;
\x
SELECT r.* FROM csv, clari_export_rows(clari_export_csv(text)) AS r LIMIT 1;
\x
SELECT user_name, role, time_period, week, week_start, field_name, field_type, value, value_text, is_updated
FROM csv, clari_export_rows(clari_export_csv(text));

-- Other ends of lines, no end of the last one, a column without a header, a header and nothing else, one column less.
SELECT clari_export_csv(E'Field,,Data Value\nA,x,1\rB,y,\n\nC,"",3');
SELECT clari_export_csv(E'Field,Data Value'), clari_export_csv(E'"field", data value \r\n'), clari_export_csv(NULL);

-- What cannot be read says from which line on.
SELECT clari_export_csv('');
SELECT clari_export_csv(E'\n');
SELECT clari_export_csv('<html>no such page</html>');
SELECT clari_export_csv('{"entries": []}');
SELECT clari_export_csv(E'Name,Amount\nA,1');
SELECT clari_export_csv(E'Field,Data Value,FIELD\nA,1,2');
SELECT clari_export_csv(repeat(',', 100) || 'Field');
SELECT clari_export_csv(E'Field,Data Value\nA,1\n"two\nlines",2\nB');
SELECT clari_export_csv(E'Field,Data Value\nA,1\n\nB,2,3\n');
SELECT clari_export_csv(E'Field,Data Value\nA,1\nB,"2\n3\n');
SELECT clari_export_csv(E'Field,Data Value\nA,1\nB,5"\n');
SELECT clari_export_csv(E'Field,Data Value\nA,"1"2\n');
\set VERBOSITY sqlstate
SELECT clari_export_csv(E'Field,Data Value\nA,"1');
\set VERBOSITY default

-- As many rows as an export has; a cancel is heard.
CREATE TABLE large AS SELECT E'Field,Data Value\n' || string_agg('Commit,"1,' || lpad((n % 1000)::text, 3, '0') || '"', E'\n') AS text
	FROM generate_series(1, 50000) AS n;
SELECT count(*), sum(value) FROM large, clari_export_rows(clari_export_csv(text));
SET statement_timeout = '5 ms';
\set VERBOSITY sqlstate
SELECT count(*) FROM large, clari_export_rows(clari_export_csv(text));
\set VERBOSITY default
RESET statement_timeout;

DROP TABLE csv, large;
DROP EXTENSION clari_export;
