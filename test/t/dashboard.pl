# dashboard.pl - every query of the Grafana dashboard runs, and finds what there is to find
#
# The one macro of Grafana in them is replaced as Grafana replaces it.

use strict;
use warnings;

use File::Basename qw(dirname);
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use ClariTest;

my $test    = ClariTest->new('dashboard');
my $session = $test->session;

sub dashboard
{
	my $file = dirname(__FILE__) . '/../../grafana/clari_export.json';
	return decode_json(slurp_file($file));
}

# The queries by the titles of their panels.
sub queries
{
	my %queries;
	for my $panel (@{ dashboard()->{panels} })
	{
		for my $target (@{ $panel->{targets} })
		{
			my $sql = $target->{rawSql};
			$sql =~ s/\$__timeFilter\(([^)]*)\)/$1 BETWEEN now() - interval '1 day' AND now()/g;
			$queries{ $panel->{title} } = $sql;
		}
	}
	return %queries;
}

sub count_rows
{
	my ($sql) = @_;
	return $session->run("SELECT count(*) FROM ($sql) AS q")->{rows};
}

# One request that is done, one that failed, and one that waits.
$session->run(q{
	INSERT INTO clari_export_request (forecast_id, time_period, options)
	VALUES ('net_arr', '2026_Q3', '{"includeHistorical": true, "typesToExport": ["forecast", "quota"]}')});
$session->run(q{INSERT INTO clari_export_request (forecast_id) VALUES ('no_such_forecast')});
$session->run(q{INSERT INTO clari_export_request (forecast_id, run_after) VALUES ('net_arr', 'tomorrow')});
$session->run(q{SELECT clari_export_wait(id) IS NULL FROM clari_export_request WHERE id = 1});
$session->fails(q{SELECT clari_export_wait(id) FROM clari_export_request WHERE id = 2},
	'RC002', 'one request fails');

# Clari has told its limits, and the same forecast was exported eight days ago, with commits that were 1,000 higher.
$session->run('SELECT count(*) FROM clari_export_limits()');
$session->run(q{SELECT clari_export_import(result, 'net_arr', now() - interval '8 days', '2026_Q3') FROM (
	SELECT jsonb_set(result, '{entries}', (SELECT jsonb_agg(CASE WHEN e ->> 'fieldId' = 'commit'
		THEN jsonb_set(e, '{forecastValue}', to_jsonb((e ->> 'forecastValue')::int + 1000)) ELSE e END)
		FROM jsonb_array_elements(result -> 'entries') AS e)) AS result
	FROM clari_export_snapshot) AS s});

my %queries  = queries();
my %expected = (
	'Unfinished requests'              => 1,
	'Exports since the counters began' => 1,
	'Rate limits'                      => 1,
	'Progress'                         => 1,
	'How long exports take'            => 1,
	'Failed requests'                  => 1,
	'The call over time'               => 4,
	'Commit by region, week over week' => 27,
	'Quota left'                       => 1,
	'Pacing'                           => 9,
	'Attainment'                       => 3,
	'Movement since last week'         => 3,
);

is_deeply([ sort keys %queries ], [ sort keys %expected ], 'the dashboard has its panels');
is(count_rows($queries{$_}), $expected{$_}, "rows of \"$_\"") for sort keys %expected;

is($session->run($queries{'Unfinished requests'})->{rows}, '1|0|0', 'one request is queued');
is($session->run($queries{'Exports since the counters began'})->{rows}, '1|1|0', 'one export is done, one failed');
like($session->run($queries{'Failed requests'})->{rows}, qr/RC002/, 'a failed request has its SQLSTATE');

is($session->value(qq{SELECT string_agg(DISTINCT moved::text, ' ') FROM ($queries{'Movement since last week'}) AS q}), '-1000',
	'each region has moved');

done_testing();
