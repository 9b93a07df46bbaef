-- Names of fiscal quarters.
CREATE EXTENSION clari_export;

-- Calendar years.
SELECT to_char(day, 'YYYY-MM-DD') AS day, clari_export_time_period(day)
FROM unnest(ARRAY['2026-01-01', '2026-03-31', '2026-04-01', '2026-06-30', '2026-07-01', '2026-09-30', '2026-10-01',
	'2026-12-31', '2024-02-29', '0001-01-01', '9999-12-31']::date[]) AS day;

-- Fiscal years that begin in February, July, October and December.
SELECT to_char(day, 'YYYY-MM-DD') AS day,
	clari_export_time_period(day, 2) AS february, clari_export_time_period(day, 7) AS july,
	clari_export_time_period(day, 10) AS october, clari_export_time_period(day, 12) AS december
FROM unnest(ARRAY['2026-01-31', '2026-02-01', '2026-04-30', '2026-05-01', '2026-06-30', '2026-07-01', '2026-09-30',
	'2026-10-01', '2026-11-30', '2026-12-01', '2026-12-31', '2027-01-31']::date[]) AS day;

-- Whatever the first month, a day is in the quarter that it has when the calendar is moved to end with the fiscal year.
SELECT first_month, min(clari_export_time_period(day::date, first_month)) AS first,
	max(clari_export_time_period(day::date, first_month)) AS last,
	count(*) FILTER (WHERE clari_export_time_period(day::date, first_month)
		<> to_char(shifted, 'YYYY"_Q"Q')) AS wrong
FROM generate_series(1, 12) AS first_month,
	generate_series('2024-01-01'::timestamp, '2027-12-31', '1 day') AS day,
	LATERAL (SELECT date_trunc('month', day) + make_interval(months => (13 - first_month) % 12) AS shifted) AS calendar
GROUP BY first_month ORDER BY first_month;

-- The default is today, in a calendar year.
SELECT clari_export_time_period() = clari_export_time_period(current_date, 1) AS today;
SELECT clari_export_time_period(first_month => 4) = clari_export_time_period(current_date, 4) AS today;

SELECT clari_export_time_period(NULL) IS NULL AS null_for_null;
SELECT clari_export_time_period('2026-07-01', 0);
SELECT clari_export_time_period('2026-07-01', 13);
SELECT clari_export_time_period('infinity');
SELECT clari_export_time_period('-infinity');
SELECT clari_export_time_period('0001-12-31 BC');
SELECT clari_export_time_period('9999-12-31', 2);
SELECT clari_export_time_period('10000-01-01');

-- For backfills.
SELECT * FROM clari_export_time_periods('2025_Q3', '2026_Q2');
SELECT clari_export_time_periods('2026_Q1', '2026_Q1');
SELECT count(*) FROM clari_export_time_periods('0001_Q1', '9999_Q4');
SELECT array_agg(period) FROM clari_export_time_periods('2025_Q4', '2026_Q1') AS period;
SELECT count(*) FROM clari_export_time_periods(NULL, '2026_Q1');
SELECT clari_export_time_periods('2026_Q2', '2025_Q3');
SELECT clari_export_time_periods('2026_Q5', '2027_Q1');
SELECT clari_export_time_periods('2026_Q1', '2026-Q2');
SELECT clari_export_time_periods('2026_q1', '2026_Q2');
SELECT clari_export_time_periods('2026_Q1', '2026_Q2 ');
SELECT clari_export_time_periods('', '2026_Q2');
SELECT clari_export_time_periods('0000_Q4', '0001_Q1');

\set VERBOSITY sqlstate
SELECT clari_export_time_period('2026-07-01', 0);
SELECT clari_export_time_period('infinity');
SELECT clari_export_time_periods('2026_Q2', '2025_Q3');
SELECT clari_export_time_periods('soon', '2025_Q3');
\set VERBOSITY default

-- What the planner may rely on.
SELECT proname, provolatile, proparallel, proisstrict
FROM pg_proc WHERE proname LIKE 'clari_export_time_period%' ORDER BY proname COLLATE "C";

DROP EXTENSION clari_export;
