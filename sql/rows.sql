-- The result of a forecast export as rows.
CREATE EXTENSION clari_export;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';

-- Form 1: entries refer to users, fields, periods and frames; weeks come in no order.
CREATE TABLE form_1 (result jsonb);
INSERT INTO form_1 VALUES ('{
	"entries": [
		{"userId": "u1", "fieldId": "commit", "timePeriodId": "2026_Q3", "timeFrameId": "W_02", "forecastValue": 3000190.25,
			"currency": {"code": "USD", "symbol": "$"}, "isUpdated": true, "updatedBy": "u2", "updatedOn": 1784106775642},
		{"userId": "u2", "fieldId": "commit", "timePeriodId": "2026_Q3", "timeFrameId": "W_00", "forecastValue": 0,
			"currency": {"code": "USD", "symbol": "$"}, "isUpdated": false},
		{"userId": "u2", "fieldId": "quota", "timePeriodId": "2026_Q3", "timeFrameId": "W_01", "quotaValue": -1200.50,
			"currency": "EUR"}],
	"users": [
		{"userId": "u1", "name": "Ada Lovelace", "email": "ada@example.com", "crmId": "005A", "scopeId": "1905::MGR",
			"hierarchyId": "1905", "hierarchyName": "EMEA", "parentHierarchyId": "1", "parentHierarchyName": "Worldwide"},
		{"userId": "u2", "name": "Zoë Weber", "email": "zoe@example.com", "crmId": "005B",
			"scopeId": {"type": "REP", "id": "1906"}, "hierarchyId": "1", "hierarchyName": "Worldwide"}],
	"fields": [
		{"fieldId": "commit", "fieldName": "Commit", "fieldType": "FORECAST"},
		{"fieldId": "quota", "fieldName": "Quota", "fieldType": "QUOTA"}],
	"timePeriods": [{"timePeriodId": "2026_Q3", "type": "QUARTER", "label": "Q3 2026", "year": 2026,
		"startDate": "2026-07-01", "endDate": "2026-09-30", "crmId": "026A"}],
	"timeFrames": [
		{"timeFrameId": "W_02", "startDate": "2026-07-15", "endDate": "2026-07-21"},
		{"timeFrameId": "W_00", "startDate": "2026-07-01", "endDate": "2026-07-07"},
		{"timeFrameId": "W_01", "startDate": "2026-07-08", "endDate": "2026-07-14"}]}');
ANALYZE form_1;
\x
SELECT r.* FROM form_1, clari_export_rows(result) AS r;
\x

-- Form 2: the columns of the CSV. Whether a call was updated is a row of its own, and known to the call's row.
CREATE TABLE form_2 (result jsonb);
INSERT INTO form_2 VALUES ('[
	{"User": "Ada Lovelace", "Email": "ada@example.com", "CRM User ID": "005A", "Role": "EMEA", "Parent Role": "Worldwide",
		"Timeframe": "2026_Q3", "Field": "Commit", "Week": 2, "Start Day": "07/15/2026", "End Day": "07/21/2026",
		"Data Type": "Forecast", "Data Value": "$3,000,190.25"},
	{"User": "Ada Lovelace", "Email": "ada@example.com", "CRM User ID": "005A", "Role": "EMEA", "Parent Role": "Worldwide",
		"Timeframe": "2026_Q3", "Field": "Commit", "Week": 2, "Start Day": "07/15/2026", "End Day": "07/21/2026",
		"Data Type": "Forecast Updated", "Data Value": "Yes"},
	{"User": "Zoë Weber", "Email": "zoe@example.com", "CRM User ID": "005B", "Role": "Worldwide", "Parent Role": "",
		"Timeframe": "2026_Q3", "Field": "Commit", "Week": 0, "Start Day": "07/01/2026", "End Day": "07/07/2026",
		"Data Type": "Forecast Updated", "Data Value": "No"},
	{"User": "Zoë Weber", "Email": "zoe@example.com", "CRM User ID": "005B", "Role": "Worldwide", "Parent Role": "",
		"Timeframe": "2026_Q3", "Field": "Commit", "Week": 0, "Start Day": "07/01/2026", "End Day": "07/07/2026",
		"Data Type": "Forecast", "Data Value": "$0.00"},
	{"User": "Zoë Weber", "Email": "zoe@example.com", "CRM User ID": "005B", "Role": "Worldwide", "Parent Role": "",
		"Timeframe": "2026_Q3", "Field": "Quota", "Week": 1, "Start Day": "07/08/2026", "End Day": "07/14/2026",
		"Data Type": "Quota", "Data Value": "(€1,200.50)"}]');
ANALYZE form_2;
\x
SELECT r.* FROM form_2, clari_export_rows(result) AS r LIMIT 2;
\x
SELECT week, user_name, parent_role, field_type, value, value_text, is_updated FROM form_2, clari_export_rows(result);

-- A warehouse's flattened forecast is the same out of both.
CREATE VIEW flattened AS
	SELECT form, user_name, user_email, crm_user_id, role, parent_role, time_period, field_name, field_type,
		week, week_start, week_end, value, is_updated
	FROM (SELECT 1, result FROM form_1 UNION ALL SELECT 2, result FROM form_2) AS results (form, result),
		clari_export_rows(result)
	WHERE value IS NOT NULL;
SELECT form, count(*) FROM flattened GROUP BY form ORDER BY form;
SELECT user_name, user_email, crm_user_id, role, parent_role, time_period, field_name, field_type,
	week, week_start, week_end, value, is_updated FROM flattened WHERE form = 1
EXCEPT
SELECT user_name, user_email, crm_user_id, role, parent_role, time_period, field_name, field_type,
	week, week_start, week_end, value, is_updated FROM flattened WHERE form = 2;

-- The rows of a result of these entries and time frames, with two users, a field and dated periods.
CREATE FUNCTION rows_of(entries text, time_frames text DEFAULT '[]',
	time_periods text DEFAULT '[{"timePeriodId": "2026_Q2", "startDate": "2026-04-01", "endDate": "2026-06-30"},
		{"timePeriodId": "2026_Q3", "startDate": "2026-07-01", "endDate": "2026-09-30"}]')
RETURNS TABLE (row_number bigint, time_period text, week int, time_frame_id text, week_start date, week_end date,
	user_id text, user_name text, field_id text, field_type text, value numeric, value_text text, currency text,
	is_updated bool, updated_by text, updated_at timestamptz)
LANGUAGE sql AS $$
	SELECT row_number() OVER (), r.time_period, r.week, r.time_frame_id, r.week_start, r.week_end, r.user_id, r.user_name,
		r.field_id, r.field_type, r.value, r.value_text, r.currency, r.is_updated, r.updated_by, r.updated_at
	FROM clari_export_rows(jsonb_build_object('entries', entries::jsonb, 'timeFrames', time_frames::jsonb,
		'timePeriods', time_periods::jsonb, 'users', '[{"userId": "7", "name": "Ada"}, {"userId": 8, "name": "Bo"}]'::jsonb,
		'fields', '[{"fieldId": "commit", "fieldName": "Commit", "fieldType": "FORECAST"}]'::jsonb)) AS r
$$;

-- The same time frame in two periods is two weeks, each numbered and dated in its own.
SELECT time_period, week, time_frame_id, week_start, week_end
FROM rows_of('[{"timePeriodId": "2026_Q3", "timeFrameId": "W_02"}, {"timePeriodId": "2026_Q2", "timeFrameId": "W_02"},
	{"timePeriodId": "2026_Q3", "timeFrameId": "W_01"}, {"timePeriodId": "2026_Q2", "timeFrameId": "W_13"}]',
	'[{"timeFrameId": "W_02", "startDate": "2026-07-08", "endDate": "2026-07-14"},
	{"timeFrameId": "W_13", "startDate": "2026-06-25", "endDate": "2026-06-30"},
	{"timeFrameId": "W_01", "startDate": "2026-07-01", "endDate": "2026-07-07"},
	{"timeFrameId": "W_02", "startDate": "2026-04-08", "endDate": "2026-04-14"}]');

-- A week across the border belongs where most of its days are.
SELECT time_period, week, time_frame_id, week_start
FROM rows_of('[{"timePeriodId": "2026_Q2", "timeFrameId": "W_00"}, {"timePeriodId": "2026_Q2", "timeFrameId": "W_13"},
	{"timePeriodId": "2026_Q3", "timeFrameId": "W_00"}]',
	'[{"timeFrameId": "W_00", "startDate": "2026-06-28", "endDate": "2026-07-04"},
	{"timeFrameId": "W_00", "startDate": "2026-03-29", "endDate": "2026-04-04"},
	{"timeFrameId": "W_13", "startDate": "2026-06-21", "endDate": "2026-06-27"}]');

SELECT time_period, week, time_frame_id, week_start
FROM rows_of('[{"timePeriodId": "2026_Q2", "timeFrameId": "W_13"}, {"timePeriodId": "2026_Q3", "timeFrameId": "W_01"}]',
	'[{"timeFrameId": "W_00", "startDate": "2026-06-28", "endDate": "2026-07-04"},
	{"timeFrameId": "W_01", "startDate": "2026-07-05", "endDate": "2026-07-11"},
	{"timeFrameId": "W_13", "startDate": "2026-06-21", "endDate": "2026-06-27"}]');

-- A week without an entry counts; digits in ids count as numbers.
SELECT week, time_frame_id
FROM rows_of('[{"timePeriodId": "2026_Q3", "timeFrameId": "W_10"}, {"timePeriodId": "2026_Q3", "timeFrameId": "W_9"},
	{"timePeriodId": "2026_Q3", "timeFrameId": "W_2"}]',
	'[{"timeFrameId": "W_1"}, {"timeFrameId": "W_3"}]', '[{"timePeriodId": "2026_Q3"}]');

-- Without dates, a time frame is nobody's if two have its id, and everybody's if one has.
SELECT time_period, week, time_frame_id, week_start
FROM rows_of('[{"timePeriodId": "2026_Q2", "timeFrameId": "W_00"}, {"timePeriodId": "2026_Q3", "timeFrameId": "W_00"},
	{"timePeriodId": "2026_Q3", "timeFrameId": "W_01"}]',
	'[{"timeFrameId": "W_00", "startDate": "2026-04-01"}, {"timeFrameId": "W_00", "startDate": "2026-07-01"},
	{"timeFrameId": "W_01", "startDate": "2026-07-08"}]', '[]');

-- Missing references and members are nulls; an id that is a number is found as well.
SELECT row_number, time_period, week, time_frame_id, user_id, user_name, field_id, field_type, value, currency
FROM rows_of('[{"userId": 7, "fieldId": "commit", "timePeriodId": "2026_Q3", "timeFrameId": "W_00", "forecastValue": 1},
	{"userId": "8", "fieldId": "nobody", "timePeriodId": "2025_Q1", "timeFrameId": "W_05", "forecastValue": 2},
	{"userId": "left", "fieldId": null, "timePeriodId": null, "timeFrameId": "W_05", "forecastValue": 3, "currency": {}},
	{"userId": [], "forecastValue": 4, "currency": null},
	{}, null, 5, "entry", []]');

-- Every *Value and *Total is kept: one row each, told apart by the field type; an entry without one has a row, too.
SELECT row_number, field_id, field_type, value, value_text
FROM rows_of('[{"fieldId": "commit", "forecastValue": 1, "quotaValue": 2, "crmTotalValue": 3, "fooBarValue": 4},
	{"fieldId": "commit", "quotaValue": 5}, {"fieldId": "commit", "valueOfThat": 6}, {"fieldId": "commit", "fooBarTotal": 7},
	{"fieldId": "commit", "forecastValue": 8, "aggregationTotal": 9},
	{"fieldId": "commit", "forecastValue": null, "quotaValue": null}]');

-- Texts that are numbers, and texts that are not.
SELECT value, value_text, currency
FROM rows_of('[{"aValue": "$3,000,190.00"}, {"aValue": "(1,200.50)"}, {"aValue": "-€7"}, {"aValue": "45%"},
	{"aValue": "CHF 1,200.50"}, {"aValue": "5 USD", "currency": {"code": "EUR"}}, {"aValue": "1.234,5"}, {"aValue": "No"},
	{"aValue": ""}, {"aValue": true}, {"aValue": {"amount": 5}}, {"aValue": [1, 2]}, {"aValue": 12345678901234567890.0123456789}]');

-- Who adjusted is told of the adjustment, and who updated of the rest.
SELECT field_type, value, is_updated, updated_by, updated_at
FROM rows_of('[{"forecastValue": 1, "adjustmentValue": 2, "isUpdated": true, "updatedBy": "7", "updatedOn": 1784106775642,
		"adjustedBy": "8", "adjustedOn": 1784106775643},
	{"adjustmentValue": 3, "updatedBy": "7", "updatedOn": 1784106775642}]');

-- What other countries write, where it can mean one thing only.
SELECT value_text, value, currency
FROM rows_of('[{"aValue": "1''234.50"}, {"aValue": "1’234.50"}, {"aValue": "CHF 1''234''567"}, {"aValue": "1.234,50"},
	{"aValue": "1.234.567"}, {"aValue": "1.234.567,8 EUR"}, {"aValue": "1 234,50 €"}, {"aValue": "12,34,567.00"},
	{"aValue": "1,234"}, {"aValue": "1.234"}, {"aValue": "1,23"}, {"aValue": "1 234"}, {"aValue": "1,234.567,8"},
	{"aValue": "1''23"}, {"aValue": "N/A"}]');

-- Numbers that are written in a few bytes and mean millions are no ids and no times, and stay values.
SELECT user_id, time_frame_id, updated_at, length(value::text)
FROM rows_of('[{"userId": 1e131000, "timeFrameId": 1e131000, "updatedOn": 1e131000, "aValue": 1e1000}]');

-- Time frames that are a date.
SELECT week, time_frame_id, week_start, week_end
FROM rows_of('[{"timePeriodId": "2026_Q3", "timeFrameId": "TF:2026-07-12"}, {"timePeriodId": "2026_Q3", "timeFrameId": "TF:2026-07-05"},
	{"timePeriodId": "2026_Q3", "timeFrameId": "TF:soon"}]',
	'[{"timeFrameId": "TF:2026-07-05", "endDate": "2026-07-11"}]');

-- Months and their quarter in one result: a week is in one of the months and in the quarter.
SELECT time_period, week, time_frame_id, week_start
FROM rows_of('[{"timePeriodId": "2026_Q3", "timeFrameId": "W_05"}, {"timePeriodId": "July FY 2026", "timeFrameId": "W_02"},
	{"timePeriodId": "August FY 2026", "timeFrameId": "W_05"}]',
	'[{"timeFrameId": "W_01", "startDate": "2026-07-05", "endDate": "2026-07-11"},
	{"timeFrameId": "W_02", "startDate": "2026-07-12", "endDate": "2026-07-18"},
	{"timeFrameId": "W_05", "startDate": "2026-08-02", "endDate": "2026-08-08"}]',
	'[{"timePeriodId": "2026_Q3", "startDate": "2026-07-01", "endDate": "2026-09-30"},
	{"timePeriodId": "July FY 2026", "startDate": "2026-07-01", "endDate": "2026-07-31"},
	{"timePeriodId": "August FY 2026", "startDate": "2026-08-01", "endDate": "2026-08-31"}]');

-- Form 2 in other spellings: headers, quarters, what is not there.
SELECT time_period, week, user_name, user_email, crm_user_id, role, week_start, field_name, field_type, value, value_text, is_updated
FROM clari_export_rows('[
	{"USER": "Ada", "email": "N/A", "Crm User Id": " ", "ROLE": "EMEA", "timeframe": "FY27 Q2", "FIELD": "Churn & Downsell", "week": "0",
		"START DAY": "07/01/2026", "data type": "forecast", "DATA VALUE": "$1"},
	{"User": "Ada", "Role": "EMEA", "Timeframe": "2027-q2", "Field": "Churn & Downsell", "Week": 0, "Data Type": "forecast updated", "Data Value": "yes"},
	{"User": "Ada", "Role": "EMEA", "Timeframe": "Q2 FY2027", "Field": "Commit", "Week": 1, "Data Type": "Forecast", "Data Value": "N/A"},
	{"User": "Ada", "Role": "EMEA", "Timeframe": "July FY 2023", "Field": "Commit", "Week": 1, "Data Type": "Forecast", "Data Value": " "}]');

-- Epoch milliseconds are exact; what is no time is null.
SELECT is_updated, updated_by, updated_at
FROM rows_of('[{"isUpdated": true, "updatedBy": "7", "updatedOn": 1784106775642}, {"isUpdated": "Yes", "updatedBy": 7, "updatedOn": "1784106775643"},
	{"isUpdated": "maybe", "updatedOn": 0}, {"isUpdated": false, "updatedOn": -1}, {"updatedOn": 1784106775642.5},
	{"updatedOn": 1e300}, {"updatedOn": 999999999999999}, {"updatedOn": "soon"}, {"updatedOn": null}]');

-- Of two users with the same id the first one counts; unusable dates are null.
SELECT user_name, week_start, week_end
FROM clari_export_rows('{"users": [{"userId": "1", "name": "first"}, {"userId": "1", "name": "second"}],
	"timeFrames": [{"timeFrameId": "W_00", "startDate": "07/01/2026", "endDate": "2026-02-30"}],
	"entries": [{"userId": "1", "timeFrameId": "W_00"}]}');

-- Form 2 with odd cells: a week as text, no dates, an empty cell, an update without its call, a call that is a text.
SELECT time_period, week, time_frame_id, week_start, user_name, field_name, field_type, value, value_text, currency, is_updated
FROM clari_export_rows('[{"Timeframe": "2026_Q3", "Week": "10", "User": "A", "Field": "Commit", "Data Type": "Forecast", "Data Value": 5},
	{"Timeframe": "2026_Q3", "Week": "9", "User": "A", "Field": "Commit", "Data Type": "CRM Total", "Data Value": "USD 5.5"},
	{"Timeframe": "2026_Q2", "Week": "9", "User": "A", "Field": "Commit", "Data Type": "Forecast", "Data Value": ""},
	{"Timeframe": "2026_Q2", "Week": "9", "User": "A", "Field": "Commit", "Data Type": "forecast_updated", "Data Value": "maybe"},
	{"Timeframe": "2026_Q2", "Week": "9", "User": "B", "Field": "Commit", "Data Type": "Forecast Updated", "Data Value": "No"},
	{"Timeframe": "2026_Q2", "Week": "9", "User": "C", "Field": "Signed", "Data Type": "Forecast", "Data Value": "Yes"},
	{"Week": "", "Start Day": "13/01/2026", "Colour": "red"}, {}, null, []]');

-- Nothing to show.
SELECT * FROM clari_export_rows('[]');
SELECT count(*) FROM clari_export_rows('{"entries": [], "users": [{"userId": "1"}]}');
SELECT count(*) FROM clari_export_rows('{"entries": [1, null, []], "users": 5}');
SELECT count(*) FROM clari_export_rows(NULL);

-- Not a result.
SELECT * FROM clari_export_rows('{}');
SELECT count(*) FROM clari_export_rows('{"entries": {"userId": "1"}, "users": 5}');
SELECT count(*) FROM clari_export_rows('{"activities": [{"activityId": "1"}]}');
SELECT * FROM clari_export_rows('null');
SELECT * FROM clari_export_rows('"2026_Q3"');
SELECT * FROM clari_export_rows('5');
SELECT * FROM clari_export_rows('true');
\set VERBOSITY sqlstate
SELECT * FROM clari_export_rows('null');
\set VERBOSITY default

-- In the select list, and far more rows than work_mem holds.
SET work_mem = '64kB';
SELECT (clari_export_rows(result)).value FROM form_1;
SELECT count(*), sum(value), count(DISTINCT week) FROM clari_export_rows((
	SELECT jsonb_build_object('entries', jsonb_agg(jsonb_build_object('timeFrameId', 'W_' || n % 13, 'forecastValue', n)))
	FROM generate_series(1, 20000) AS n));
RESET work_mem;

-- What was added, removed and changed between two results; the same result is no change.
SELECT count(*) FROM form_1, clari_export_changes(result, result);
SELECT count(*) FROM form_2, clari_export_changes(result, result);
\x
SELECT c.* FROM form_1, clari_export_changes(result, jsonb_set(result, '{entries}', '[
	{"userId": "u2", "fieldId": "quota", "timePeriodId": "2026_Q3", "timeFrameId": "W_01", "quotaValue": -1200.5, "currency": "USD"},
	{"userId": "u1", "fieldId": "commit", "timePeriodId": "2026_Q3", "timeFrameId": "W_02", "forecastValue": 2500000,
		"currency": {"code": "USD"}, "isUpdated": true, "updatedBy": "u1", "updatedOn": 1784206775642},
	{"userId": "u1", "fieldId": "commit", "timePeriodId": "2026_Q3", "timeFrameId": "W_01", "forecastValue": 7,
		"currency": {"code": "USD"}}]')) AS c
ORDER BY change, week;
\x
SELECT change, user_name, field_type, before_value, after_value, difference, before_text, after_text
FROM form_2, clari_export_changes(result,
	jsonb_set(jsonb_set(result, '{0,Data Value}', '"$3,000,190.250"'), '{1,Data Value}', '"No"')) AS c;
SELECT change, count(*), sum(difference) FROM form_1, clari_export_changes(NULL, result) GROUP BY change;
SELECT change, count(*), sum(difference) FROM form_1, clari_export_changes(result, NULL) GROUP BY change;
SELECT change, before_text, after_text, difference
FROM clari_export_changes('{"entries": [{"aValue": "No"}]}', '{"entries": [{"aValue": "Yes"}]}');
-- A user's id that holds the role: who moves to another role keeps the call, and who has two roles is in both of them.
SELECT change, user_id, role, before_value, after_value
FROM (VALUES ('[{"userId": "1:A", "forecastValue": 5}, {"userId": "2:A", "forecastValue": 7}, {"userId": "2:B", "forecastValue": 8},
		{"userId": "3", "forecastValue": 9}]',
	'[{"userId": "1:B", "forecastValue": 6}, {"userId": "2:A", "forecastValue": 7}, {"userId": "4", "forecastValue": 9}]')) AS v (before, after),
	clari_export_changes(jsonb_build_object('entries', before::jsonb, 'users', (SELECT jsonb_agg(u) FROM (VALUES
		('1:A', 'a', 'A'), ('1:B', 'a', 'B'), ('2:A', 'b', 'A'), ('2:B', 'b', 'B'), ('3', 'c', 'A'), ('4', 'c', 'B')) AS u ("userId", "crmId", "hierarchyName"))),
		jsonb_build_object('entries', after::jsonb, 'users', (SELECT jsonb_agg(u) FROM (VALUES
		('1:A', 'a', 'A'), ('1:B', 'a', 'B'), ('2:A', 'b', 'A'), ('2:B', 'b', 'B'), ('3', 'c', 'A'), ('4', 'c', 'B')) AS u ("userId", "crmId", "hierarchyName")))) AS c
ORDER BY change, user_id;

-- Of entries alike each has its own counterpart.
SELECT before, change, before_value, after_value
FROM (VALUES ('[{"aValue": 1}, {"aValue": 2}, {"aValue": 2}, {"aValue": "N/A"}, {"aValue": null}]')) AS v (before),
	unnest(ARRAY[before, '[{"aValue": 2}, {"aValue": 1}, {"aValue": 3}, {"aValue": "N/A"}]']) AS after,
	clari_export_changes(jsonb_build_object('entries', before::jsonb), jsonb_build_object('entries', after::jsonb)) AS c;
SELECT count(*) FROM clari_export_changes(NULL, NULL);
SELECT * FROM clari_export_changes('{}', '5');

-- Of each series of exports the latest good snapshot that one may see.
CREATE ROLE regress_clari_a;
CREATE ROLE regress_clari_b;
INSERT INTO clari_export_snapshot
	(request_id, server, kind, options, forecast_id, time_period, exported_at, truncated, result, requested_by)
SELECT id, server, kind, options::jsonb, forecast, period, exported_at, truncated,
	CASE form WHEN 1 THEN jsonb_build_object(
		'timePeriods', jsonb_build_array(jsonb_build_object('timePeriodId', of_period)),
		'entries', jsonb_build_array(jsonb_build_object('timePeriodId', of_period, 'forecastValue', id)))
	WHEN 2 THEN jsonb_build_array(jsonb_build_object('TimeFrame', of_period, 'Data Value', id))
	ELSE of_period::jsonb END,
	requested_by::regrole
FROM (VALUES
	(1, 'clari', 'forecast', 'net_arr', '2026_Q2', '{}', '2026-06-01'::timestamptz, false, 1, '2026_Q2', 'regress_clari_a'),
	(2, 'clari', 'forecast', 'net_arr', '2026_Q2', '{}', '2026-06-08', false, 1, '2026_Q2', 'regress_clari_a'),
	(3, 'clari', 'forecast', 'net_arr', NULL, '{}', '2026-06-15', false, 1, '2026_Q2', 'regress_clari_a'),
	(4, 'clari', 'forecast', 'net_arr', NULL, '{}', '2026-07-06', false, 2, 'FY26 Q3', 'regress_clari_a'),
	(5, 'clari', 'forecast', 'net_arr', '2026_Q3', '{}', '2026-07-05', false, 1, '2026_Q3', 'regress_clari_a'),
	(6, 'clari', 'forecast', 'renewals', '2026_Q3', '{}', '2026-07-06', false, 1, '2026_Q3', 'regress_clari_a'),
	(7, 'clari', 'forecast', 'renewals', '2026_Q3', '{}', '2026-07-06', false, 1, '2026_Q3', 'regress_clari_a'),
	(8, 'clari', 'activity', NULL, NULL, '{}', '2026-07-06', false, 1, '2026_Q3', 'regress_clari_a'),
	(9, 'clari', 'forecast', 'net_arr', '2026_Q3', '{}', '2026-07-07', false, 1, '2026_Q3', 'regress_clari_b'),
	-- another organization, a part, another currency
	(10, 'other', 'forecast', 'net_arr', '2026_Q2', '{}', '2026-07-08', false, 1, '2026_Q2', 'regress_clari_a'),
	(11, 'clari', 'forecast', 'net_arr', '2026_Q2', '{"scopeId": "1::MGR"}', '2026-07-08', false, 1, '2026_Q2', 'regress_clari_a'),
	(12, 'clari', 'forecast', 'net_arr', '2026_Q2', '{"currency": "EUR"}', '2026-07-08', false, 1, '2026_Q2', 'regress_clari_a'),
	-- cut short, with and without a whole one before it
	(13, 'clari', 'forecast', 'net_arr', '2026_Q2', '{}', '2026-07-08', true, 1, '2026_Q2', 'regress_clari_a'),
	(14, 'clari', 'forecast', 'net_arr', '2026_Q1', '{}', '2026-07-08', true, 1, '2026_Q1', 'regress_clari_a'),
	-- nothing in them, or nothing that is a forecast
	(15, 'clari', 'forecast', 'net_arr', '2026_Q2', '{}', '2026-07-08', false, 3, '{"entries": []}', 'regress_clari_a'),
	(16, 'clari', 'forecast', 'net_arr', '2026_Q2', '{}', '2026-07-08', false, 3, '[]', 'regress_clari_a'),
	(17, 'clari', 'forecast', 'net_arr', '2026_Q2', '{}', '2026-07-08', false, 3, '{}', 'regress_clari_a'),
	(18, 'clari', 'forecast', 'net_arr', '2026_Q2', '{}', '2026-07-08', false, 3, '{"entries": {"forecastValue": 1}}', 'regress_clari_a'),
	(19, 'clari', 'forecast', 'net_arr', '2026_Q2', '{}', '2026-07-08', false, 3, '[1, null, "a", []]', 'regress_clari_a'),
	(20, 'clari', 'forecast', 'net_arr', '2026_Q2', '{}', '2026-07-08', false, 3, '"a"', 'regress_clari_a'),
	(21, 'clari', 'forecast', 'net_arr', NULL, '{}', '2026-07-08', false, 3, 'null', 'regress_clari_a'),
	(22, 'clari', 'forecast', 'net_arr', NULL, '{}', '2026-07-08', false, 3, '{"activities": [{"activityId": 1}]}', 'regress_clari_a'))
	AS snapshots (id, server, kind, forecast, period, options, exported_at, truncated, form, of_period, requested_by);
SET ROLE regress_clari_a;
SELECT request_id, server, forecast_id, options, exported_at, truncated, time_period, value
FROM clari_export_forecast ORDER BY request_id;
SET ROLE regress_clari_b;
SELECT request_id, forecast_id, exported_at, truncated, time_period, value FROM clari_export_forecast ORDER BY request_id;
RESET ROLE;
SELECT count(*), count(DISTINCT requested_by) FROM clari_export_forecast;

-- The results are not read to find them, however few there are.
EXPLAIN (COSTS OFF) SELECT request_id FROM clari_export_snapshot WHERE kind = 'forecast' AND clari_export_has_rows(result);

-- The period of a result: the one that it knows, else the latest of its rows.
SELECT result, clari_export_period_of(result::jsonb), clari_export_has_rows(result::jsonb)
FROM (VALUES ('{"timePeriods": [{"timePeriodId": "2026_Q2"}], "entries": []}'),
	('{"timePeriods": [{"timePeriodId": 20262}], "entries": [{"timePeriodId": "2026_Q3"}]}'),
	('{"timePeriods": [{"timePeriodId": "2026_Q1"}, {"timePeriodId": "2026_Q2"}, {"timePeriodId": "2026_Q3"}],
		"entries": [{"timePeriodId": "2026_Q1"}, {"timePeriodId": "2026_Q2"}, {}, {"timePeriodId": "2026_Q1"}]}'),
	('{"entries": [{"timePeriodId": "2026_Q3"}, {"timePeriodId": "2025_Q4"}]}'),
	('{"entries": [{}, 1], "timePeriods": 5}'),
	('[{"TIMEFRAME": "FY27 Q1"}, {"Timeframe": "FY26 Q4"}]'),
	('[{"Timeframe": "July FY 2026"}]'),
	('[{"Week": 1}, 5]'), ('[]'), ('{}'), ('null'), ('"2026_Q3"')) AS results (result);

-- Safe under any search_path.
CREATE SCHEMA trap;
CREATE FUNCTION trap.clari_export_rows(jsonb) RETURNS TABLE (value numeric) LANGUAGE sql AS 'SELECT 666.0';
CREATE FUNCTION trap.coalesce_text(text, text) RETURNS bool LANGUAGE sql AS 'SELECT 1 / 0 = 1';
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.coalesce_text);
SET search_path = trap, pg_catalog;
SELECT count(*) FROM public.form_1, public.clari_export_changes(result, result);
SELECT count(*) FROM public.clari_export_forecast;
SET search_path = '';
SELECT count(*) FROM public.form_1, public.clari_export_changes(result, result);
RESET search_path;

-- What the planner may rely on.
SELECT proname, provolatile, proparallel, proisstrict
FROM pg_proc WHERE proname IN ('clari_export_rows', 'clari_export_changes') AND pronamespace = 'public'::regnamespace
ORDER BY proname COLLATE "C";

DELETE FROM clari_export_snapshot;
SET client_min_messages = warning;
DROP SCHEMA trap CASCADE;
RESET client_min_messages;
DROP VIEW flattened;
DROP FUNCTION rows_of(text, text, text);
DROP TABLE form_1, form_2;
DROP EXTENSION clari_export;
DROP ROLE regress_clari_a, regress_clari_b;
