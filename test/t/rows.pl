# Results as rows: random ones against a plain SQL join, and both forms against each other.
#
# CLARI_ROWS_SEED repeats a run, CLARI_ROWS_RESULTS makes more or fewer results.

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use ClariTest;
use ForecastModel;

my $seed  = $ENV{CLARI_ROWS_SEED}    || time;
my $count = $ENV{CLARI_ROWS_RESULTS} || 300;
srand $seed;
note "CLARI_ROWS_SEED=$seed";

my $test    = ClariTest->new('rows');
my $sim     = $test->sim;
my $session = $test->session;
$test->superuser->run('GRANT pg_read_server_files TO exporter; GRANT EXECUTE ON FUNCTION pg_read_file(text) TO exporter');
my $json    = JSON::PP->new->ascii;

# What a warehouse keeps of a forecast.
my $flattened = 'user_name, user_email, crm_user_id, role, parent_role, time_period, field_name, field_type, '
  . 'week, week_start, week_end, value, is_updated';

# How often two lists of queries differ, per result; both select id and whatever else.
sub differences
{
	my ($a, $b) = @_;
	my $outcome = $session->run(
		qq{SELECT string_agg(DISTINCT id::text, ' ') FROM (
			($a EXCEPT ALL $b) UNION ALL ($b EXCEPT ALL $a)) AS differing});
	die $outcome->{message} if $outcome->{sqlstate};
	return $outcome->{rows};
}

sub are_same
{
	my ($a, $b, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(differences($a, $b), '', $name) or diag "CLARI_ROWS_SEED=$seed CLARI_ROWS_RESULTS=$count";
	return;
}

# ----------
# Random results
# ----------

# The forecasts go through a file: a line each, with both forms where both hold the same.
sub load_forecasts
{
	my $path = $test->node->basedir . '/forecasts';
	open my $file, '>', $path or die "$path: $!";
	for my $id (1 .. $count)
	{
		my $forecast = ForecastModel->new(complete => $id % 2);
		my $line     = $json->encode([ $forecast->arrays, $id % 2 ? $forecast->rows : undef ]);
		print {$file} "$line\n";
	}
	close $file or die "$path: $!";
	$session->run(
		qq{CREATE TABLE forecast AS
			SELECT id, line::jsonb -> 0 AS form_1, nullif(line::jsonb -> 1, 'null') AS form_2
			FROM string_to_table(rtrim(pg_read_file('$path'), E'\\n'), E'\\n') WITH ORDINALITY AS lines (line, id);
		ANALYZE forecast;});
	return;
}

# The join that one would write without the function.
sub create_join
{
	$session->run(<<'END');
CREATE FUNCTION rows_by_join(result jsonb)
RETURNS TABLE (time_period text, week int, time_frame_id text, week_start date, week_end date,
	user_id text, user_name text, user_email text, crm_user_id text, role text, parent_role text,
	field_id text, field_name text, field_type text, value numeric, value_text text, currency text,
	is_updated bool, updated_by text, updated_at timestamptz, role_id text, parent_role_id text, scope_id text)
LANGUAGE sql AS $$
WITH entry AS (
	SELECT e, e ->> 'timePeriodId' AS period, e ->> 'timeFrameId' AS frame
	FROM jsonb_array_elements(result -> 'entries') AS e
), frame AS (
	SELECT p."timePeriodId" AS period, f."timeFrameId" AS frame, f."startDate", f."endDate"
	FROM jsonb_to_recordset(result -> 'timeFrames') AS f ("timeFrameId" text, "startDate" date, "endDate" date)
	JOIN jsonb_to_recordset(result -> 'timePeriods') AS p ("timePeriodId" text, "startDate" date, "endDate" date)
		ON f."startDate" BETWEEN p."startDate" AND p."endDate"
), week AS (
	SELECT period, frame, dense_rank() OVER (PARTITION BY period ORDER BY frame COLLATE "C") - 1 AS week
	FROM (SELECT period, frame FROM frame UNION SELECT period, frame FROM entry) AS frames
	WHERE frame IS NOT NULL
), value AS (
	SELECT e.*, key, v, v #>> '{}' AS text, count(*) OVER (PARTITION BY e.*) > 1 AS is_one_of_several
	FROM entry AS e LEFT JOIN jsonb_each(e) AS members (key, v) ON key LIKE '%Value' OR key LIKE '%Total'
), number AS (
	SELECT value.*, upper(regexp_replace(regexp_replace(key, 'Value$', ''), '([a-z])([A-Z])', '\1_\2', 'g')) AS type_of_key,
		is_adjusted, (e ->> CASE WHEN is_adjusted THEN 'adjustedOn' ELSE 'updatedOn' END)::bigint AS updated_on,
		CASE WHEN jsonb_typeof(v) = 'number' OR text ~ '^\(?-?\$?\d{1,3}(,\d{3})*(\.\d+)?%?\)?$'
		THEN translate(text, '()$,%', '-')::numeric END AS number
	FROM value, LATERAL (SELECT coalesce(key = 'adjustmentValue', false) AND (e ? 'adjustedBy' OR e ? 'adjustedOn') AS is_adjusted) AS a
)
SELECT period, week.week, number.frame, frame."startDate", frame."endDate",
	e ->> 'userId', u.name, u.email, u."crmId", u."hierarchyName", u."parentHierarchyName",
	e ->> 'fieldId', f."fieldName",
	CASE WHEN key <> 'forecastValue' AND (is_one_of_several OR (f."fieldType" = 'FORECAST' AND type_of_key
			IN ('QUOTA', 'ADJUSTMENT', 'AGGREGATION_TOTAL', 'CRM_TOTAL', 'CRM_CLOSED')))
		THEN type_of_key ELSE f."fieldType" END,
	number, CASE WHEN jsonb_typeof(v) <> 'number' THEN text END,
	CASE jsonb_typeof(e -> 'currency') WHEN 'object' THEN e -> 'currency' ->> 'code' ELSE e ->> 'currency' END,
	(e ->> 'isUpdated')::bool,
	CASE WHEN is_adjusted THEN e ->> 'adjustedBy' ELSE e ->> 'updatedBy' END,
	to_timestamp(updated_on / 1000) + updated_on % 1000 * interval '1 millisecond',
	u."hierarchyId", u."parentHierarchyId", u."scopeId"
FROM number
LEFT JOIN week USING (period, frame)
LEFT JOIN frame USING (period, frame)
LEFT JOIN jsonb_to_recordset(result -> 'users') AS u ("userId" text, name text, email text, "crmId" text,
	"hierarchyName" text, "parentHierarchyName" text, "hierarchyId" text, "parentHierarchyId" text, "scopeId" text)
	ON u."userId" = e ->> 'userId'
LEFT JOIN jsonb_to_recordset(result -> 'fields') AS f ("fieldId" text, "fieldName" text, "fieldType" text)
	ON f."fieldId" = e ->> 'fieldId'
$$;
END
	return;
}

load_forecasts();
create_join();

is($session->value('SELECT count(*) FROM forecast'), $count, "$count random results (CLARI_ROWS_SEED=$seed)");
cmp_ok(
	$session->value('SELECT count(*) FROM forecast, clari_export_rows(form_1) WHERE value IS NOT NULL'),
	'>', 10 * $count, 'with many values');
are_same(
	'SELECT id, r.* FROM forecast, rows_by_join(form_1) AS r',
	'SELECT id, r.* FROM forecast, clari_export_rows(form_1) AS r',
	'a plain SQL join gives the same rows');
are_same(
	"SELECT id, $flattened FROM forecast, clari_export_rows(form_1) WHERE form_2 IS NOT NULL",
	"SELECT id, $flattened FROM forecast, clari_export_rows(form_2) WHERE value IS NOT NULL",
	'both forms of a forecast give the same values');
is( $session->value(
		q{WITH pair AS (
			SELECT lag(form_1) OVER (ORDER BY id) AS before, form_1 AS after FROM forecast WHERE form_2 IS NOT NULL)
		SELECT count(*) FROM pair,
			LATERAL (SELECT count(*) FILTER (WHERE change = 'added') - count(*) FILTER (WHERE change = 'removed') AS more
				FROM clari_export_changes(before, after)) AS changes
		WHERE more <> (SELECT count(*) FROM clari_export_rows(after)) - (SELECT count(*) FROM clari_export_rows(before))}),
	0,
	'changes between results add up');

# ----------
# From Clari
# ----------

# The latest result of a forecast in each form, in a table.
sub export_both_forms
{
	my ($options, $settings) = @_;
	$sim->reset($settings);
	$sim->jobs({ form => 1 }, { form => 2 });
	my $export = "SELECT clari_export('net_arr', '2026_Q3', '$options')";
	$session->run("DROP TABLE IF EXISTS exported; CREATE TABLE exported (form int, result jsonb);
		INSERT INTO exported VALUES (1, ($export)), (2, ($export)); ANALYZE exported");
	return;
}

sub form
{
	my ($form) = @_;
	return "SELECT form - $form AS id, $flattened FROM exported, clari_export_rows(result) "
	  . "WHERE form = $form AND value IS NOT NULL";
}

for my $first_week_number (0, 1)
{
	export_both_forms('{"includeHistorical": true}', { current_week => 12, first_week_number => $first_week_number });
	is( $session->value("SELECT count(*) || ' ' || count(DISTINCT user_email) || ' ' || min(week) || ' ' || max(week)
			FROM (" . form(1) . ') AS rows'),
		'2028 52 0 12', "Clari's week $first_week_number is the first: a quarter of 13 weeks, from 0");
	are_same(form(1), form(2), 'both forms give the same values');
}

export_both_forms('{"currency": "EUR"}', {});
are_same(form(1), form(2), 'both forms give the same values of the current week, in another currency');
is($session->value('SELECT count(*) FROM exported, clari_export_rows(result) WHERE week = 0'),
	$session->value('SELECT count(*) FROM exported, clari_export_rows(result)'), 'a week alone is the first');

export_both_forms('{"typesToExport": ["forecast", "quota", "adjustment", "crm_total", "crm_closed"]}', {});
are_same(form(1), form(2), 'both forms give the same values of every type');
is( $session->value(
		q{SELECT string_agg(DISTINCT field_type, ' ' ORDER BY field_type) FROM exported, clari_export_rows(result)}),
	'ADJUSTMENT CRM_CLOSED CRM_TOTAL FORECAST QUOTA',
	'under the same names');

# ----------
# Other encodings
# ----------

for my $encoding (qw(LATIN1 SQL_ASCII))
{
	my $database = lc $encoding;
	$test->node->safe_psql('postgres', "CREATE DATABASE $database ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$test->install($database);
	my $other = $test->new_session(database => $database);
	is($other->value(q{SELECT value FROM clari_export_rows('{"entries": [{"aValue": "£1,200.50"}]}')}),
		'1200.50', "the sign of the pound is known in $encoding");
	$other->quit;
}

my $ascii = $test->new_session(database => 'sql_ascii');
is( $ascii->value(
		q{SELECT value IS NULL AND octet_length(value_text) = 2
		FROM clari_export_rows(convert_from('\x7b22656e7472696573223a5b7b226156616c7565223a22e935227d5d7d', 'SQL_ASCII')::jsonb)}),
	't', 'a text that is not UTF-8 stays a text');

# ----------
# Interrupts
# ----------

$session->run(
	q{CREATE TABLE large (result jsonb);
	ALTER TABLE large ALTER result SET STORAGE EXTERNAL;
	INSERT INTO large SELECT jsonb_build_object('entries', jsonb_agg(jsonb_build_object(
		'userId', n % 100, 'timeFrameId', 'W_' || n % 13, 'forecastValue', n))) FROM generate_series(1, 300000) AS n});
my $count_rows = 'SELECT count(*) FROM large, clari_export_rows(result)';
my $started    = ClariSim::now();
is($session->value($count_rows), 300000, 'a large result');
my $whole = ClariSim::now() - $started;

$session->run(q{SET statement_timeout = '50 ms'});
$started = ClariSim::now();
$session->fails($count_rows, '57014', 'it can be cancelled');
cmp_ok(ClariSim::now() - $started, '<', 0.6 * $whole, 'while it is read');

done_testing();
