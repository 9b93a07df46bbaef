# The history of random snapshots, in any order of arrival, against a plain recomputation from all of them.
#
# CLARI_HISTORY_SEED repeats a run, CLARI_HISTORY_SERIES makes more or fewer series (1000).

use strict;
use warnings;

use JSON::PP ();
use List::Util qw(shuffle);
use POSIX qw(strftime);
use Test::More;
use Time::Local qw(timegm);

use ClariTest;

use constant DAY => 86400;

my $seed   = $ENV{CLARI_HISTORY_SEED}   || 20261126;
my $series = $ENV{CLARI_HISTORY_SERIES} || 1000;
srand $seed;
note "CLARI_HISTORY_SEED=$seed CLARI_HISTORY_SERIES=$series";

my $test  = ClariTest->new('history_random', superuser => 1, preload => 0);
my $super = $test->superuser;
my $json  = JSON::PP->new->ascii->canonical;
$super->run('CREATE ROLE one; CREATE ROLE two');

# ----------
# A forecast that changes from snapshot to snapshot
# ----------

my @PERIODS = ([ '2026_Q2', timegm(0, 0, 0, 1, 3, 126) ], [ '2026_Q3', timegm(0, 0, 0, 1, 6, 126) ]);
my @TYPES   = ([ forecastValue => 'FORECAST', 'Forecast' ], [ quotaValue => 'QUOTA', 'Quota' ]);

sub chance { return rand() < $_[0] }
sub choose { return $_[ int rand @_ ] }
sub text_or_none { return chance(0.2) ? undef : $_[0] }

# A key text that no index would take, the same each time.
sub long_text { return join '', map { chr 97 + ($_ * 7919 % 26) } 1 .. 3000 + $_[0] }

sub person
{
	my ($n) = @_;
	return {
		id    => "31000$n:R" . int rand 2,
		name  => text_or_none("Person $n"),
		email => text_or_none("person$n\@example.com"),
		crm   => text_or_none("0055f$n"),
		role  => text_or_none('Role ' . int rand 3),
		there => 1 };
}

sub forecast
{
	my %forecast = (
		dated   => chance(0.8),
		people  => [ map { person($_) } 1 .. 1 + int rand 3 ],
		fields  => [ map { chance(0.03) ? long_text($_) : "fc_$_" } 1 .. 1 + int rand 2 ],
		periods => [ chance(0.3) ? @PERIODS : choose(@PERIODS) ],
		weeks   => [ sort { $a <=> $b } (shuffle 0 .. 12)[ 0 .. int rand 3 ] ],
		types   => [ chance(0.5) ? @TYPES : $TYPES[0] ],
		unit    => 'USD',
		values  => {});
	return \%forecast;
}

# What happens between two snapshots.
sub change
{
	my ($forecast) = @_;
	$_->{there} = !$_->{there} for grep { chance(0.15) } @{ $forecast->{people} };
	for my $person (grep { chance(0.1) } @{ $forecast->{people} })
	{
		my ($n) = $person->{id} =~ /^31000(\d)/;
		%$person = (%{ person($n) }, there => $person->{there});
	}
	$forecast->{unit} = choose('USD', 'EUR') if chance(0.1);
	$forecast->{weeks} = [ sort { $a <=> $b } (shuffle 0 .. 12)[ 0 .. int rand 3 ] ] if chance(0.1);
	delete $forecast->{values}{$_} for grep { chance(0.2) } sort keys %{ $forecast->{values} };
	return;
}

# Few values, so that what comes back is often what was there before; a number may be written in two ways.
sub value
{
	my ($forecast, @key) = @_;
	my $value = $forecast->{values}{"@key"} //= { number => choose(100, 200, 300), on => choose(1782864000000, 1782950400000) };
	return $value;
}

sub cells
{
	my ($forecast, %only) = @_;
	my @cells;
	for my $period (@{ $forecast->{periods} })
	{
		next if $only{period} && $only{period} ne $period->[0];
		for my $week (@{ $forecast->{weeks} })
		{
			next if defined $only{week} && $only{week} != $week;
			for my $person (grep { $_->{there} } @{ $forecast->{people} })
			{
				for my $field (@{ $forecast->{fields} })
				{
					push @cells, map { { period => $period, week => $week, person => $person, field => $field, type => $_ } }
					  grep { !$only{type} || $only{type} eq $_->[1] } @{ $forecast->{types} };
				}
			}
		}
	}
	return @cells;
}

sub start { my ($cell) = @_; return $cell->{period}[1] + 7 * DAY * $cell->{week} }

sub form_1
{
	my ($forecast, @cells) = @_;
	my (%frames, @entries);
	for my $cell (@cells)
	{
		my $person = $cell->{person};
		my $value  = value($forecast, $cell->{period}[0], $cell->{week}, $person->{id}, $cell->{field}, $cell->{type}[1]);
		push @entries,
		  {
			userId           => $person->{id},
			fieldId          => $cell->{field} . ($cell->{type}[1] eq 'QUOTA' ? '_q' : ''),
			timePeriodId     => $cell->{period}[0],
			timeFrameId      => sprintf('W_%02d', $cell->{week}),
			$cell->{type}[0] => $value->{number},
			currency         => { code => $forecast->{unit} },
			updatedOn        => $value->{on} };
		push @entries, { %{ $entries[-1] }, $cell->{type}[0] => 999 } if chance(0.02);
	}
	# Weeks that nobody has a value in are listed, too.
	my @listed = map { my $period = $_; map { { period => $period, week => $_ } } @{ $forecast->{weeks} }, 12 } @{ $forecast->{periods} };
	$frames{ sprintf '%s W_%02d', $_->{period}[0], $_->{week} } = $_ for @listed;
	return {
		entries     => [ shuffle @entries ],
		timePeriods => [ map { { timePeriodId => $_->[0], startDate => strftime('%F', gmtime $_->[1]), endDate => strftime('%F', gmtime $_->[1] + 90 * DAY) } } @{ $forecast->{periods} } ],
		timeFrames  => $forecast->{dated}
		? [ map { { timeFrameId => sprintf('W_%02d', $_->{week}), startDate => strftime('%F', gmtime start($_)), endDate => strftime('%F', gmtime start($_) + 6 * DAY) } } values %frames ]
		: [],
		users  => [ map { { userId => $_->{id}, name => $_->{name}, email => $_->{email}, crmId => $_->{crm}, hierarchyName => $_->{role} } } @{ $forecast->{people} } ],
		fields => [ map { { fieldId => $_, fieldName => "Field $_", fieldType => 'FORECAST' }, { fieldId => "${_}_q", fieldName => "Field $_", fieldType => 'QUOTA' } } @{ $forecast->{fields} } ] };
}

sub form_2
{
	my ($forecast, @cells) = @_;
	return [ map {
			my $person = $_->{person};
			my $value  = value($forecast, $_->{period}[0], $_->{week}, $person->{id}, $_->{field}, $_->{type}[1]);
			{
				User => $person->{name}, Email => $person->{email}, 'CRM User ID' => $person->{crm}, Role => $person->{role},
				Timeframe => $_->{period}[0], Field => $_->{field}, Week => "$_->{week}",
				'Start Day' => strftime('%m/%d/%Y', gmtime start($_)), 'End Day' => strftime('%m/%d/%Y', gmtime start($_) + 6 * DAY),
				'Data Type' => $_->{type}[2], 'Data Value' => '$' . $value->{number} . choose('', '.00') }
		} shuffle @cells ];
}

sub result
{
	my ($forecast, $previous) = @_;
	return $previous if $previous && chance(0.1);
	my %only;
	$only{week}   = choose(@{ $forecast->{weeks} })       if chance(0.2);
	$only{type}   = choose(@{ $forecast->{types} })->[1]  if chance(0.2);
	$only{period} = choose(@{ $forecast->{periods} })->[0] if chance(0.2);
	my @cells = chance(0.07) ? () : cells($forecast, %only);
	return $forecast->{dated} && chance(0.2) ? form_2($forecast, @cells) : form_1($forecast, @cells);
}

# ----------
# Snapshots
# ----------

my $id = 0;
my @lines;
for my $n (1 .. $series)
{
	my $forecast = forecast();
	my ($at, $previous) = (timegm(0, 0, 0, 1, 6, 126));
	for (1 .. 3 + int rand 6)
	{
		$at += DAY unless chance(0.2);
		my $result    = result($forecast, $previous);
		my $truncated = chance(0.15);
		if ($truncated)
		{
			my $cells = ref $result eq 'HASH' ? $result->{entries} : $result;
			my @left  = grep { chance(0.6) } @$cells;
			$result = ref $result eq 'HASH' ? { %$result, entries => \@left } : \@left;
		}
		push @lines, {
			id => ++$id, at => strftime('%FT%TZ', gmtime $at), role => choose('one', 'two'), forecast => 'forecast ' . int(($n + 1) / 2),
			options => $n % 2 ? {} : { currency => 'EUR', scopeId => '1905::MGR' }, truncated => $truncated ? 1 : 0, result => $result };
		$lines[-1]{role} = 'one' if chance(0.8);
		$previous = $result;
		change($forecast);
	}
}
# Requests finish in an order of their own: where two snapshots have the same time, the later request may come first.
my $path = $test->node->basedir . '/snapshots';
open my $file, '>', $path or die "$path: $!";
print {$file} $json->encode($_) . "\n" for @lines;
close $file or die "$path: $!";
$super->run(
	qq{CREATE TABLE line AS
		SELECT (l ->> 'id')::bigint AS id, (l ->> 'at')::timestamptz AS at, (l ->> 'role')::regrole AS role, l ->> 'forecast' AS forecast,
			l -> 'options' AS options, l ->> 'truncated' = '1' AS truncated, l -> 'result' AS result, random() AS place
		FROM string_to_table(rtrim(pg_read_file('$path'), E'\\n'), E'\\n') AS lines (line), CAST(line AS jsonb) AS l;
	SELECT setseed(0.5); UPDATE line SET place = random(); ANALYZE line;
	INSERT INTO clari_export_snapshot (request_id, server, kind, forecast_id, options, requested_by, exported_at, truncated, result)
		SELECT id, 'clari', 'forecast', forecast, options, role, at, truncated, result FROM line});

# In the order of place; all but a few are deleted as soon as they are in.
sub add
{
	my ($from, $to) = @_;
	my $added = 0;
	for (my $next = $from; $next < $to; $next = $from)
	{
		$from = $next + 0.05;
		$added += $super->value("SELECT count(*) FILTER (WHERE clari_export_add_to_history(id)) FROM
			(SELECT id FROM line WHERE place >= $next AND place < $from ORDER BY place OFFSET 0) AS l");
	}
	return $added;
}
my $first = add(0, 0.6);
$super->run('DELETE FROM clari_export_snapshot s USING line l WHERE l.id = s.request_id AND place < 0.5');
cmp_ok($first + add(0.6, 1), '==', $id, "$id snapshots of $series series, shuffled");

# ----------
# The recomputation
# ----------

$super->run(<<'END');
CREATE TABLE shown AS
SELECT DISTINCT ON (l.id, r.time_period, r.time_frame_id, k.person, k.field, r.field_type)
	l.role, l.forecast, coalesce(l.options ->> 'scopeId', '') AS scope, coalesce(l.options ->> 'currency', '') AS unit,
	r.time_period, r.time_frame_id, k.person, k.field, r.field_type, l.at, l.id,
	ROW(r.week_start, r.week_end, r.user_name, r.user_email, r.crm_user_id, r.role, r.role_id, r.parent_role, r.parent_role_id,
		r.field_name, trim_scale(r.value), r.value_text, r.currency, r.is_updated, r.updated_by, r.updated_at)::text AS content,
	r.value
FROM line l, clari_export_rows(l.result) WITH ORDINALITY AS r
	(time_period, week, time_frame_id, week_start, week_end, user_id, user_name, user_email, crm_user_id, role, parent_role,
	field_id, field_name, field_type, value, value_text, currency, is_updated, updated_by, updated_at, role_id, parent_role_id,
	scope_id, n),
	LATERAL (SELECT coalesce(r.user_id, concat_ws(':', coalesce(r.crm_user_id, r.user_email, r.user_name, ''), r.role)) AS person,
		coalesce(r.field_id, r.field_name) AS field) AS k
ORDER BY l.id, r.time_period, r.time_frame_id, k.person, k.field, r.field_type, r.n;
ANALYZE shown;

CREATE TABLE recomputed AS
WITH part AS (
	SELECT DISTINCT role, forecast, scope, unit, time_period, time_frame_id, field_type, at, id FROM shown
), key AS (
	SELECT DISTINCT role, forecast, scope, unit, time_period, time_frame_id, person, field, field_type FROM shown
), seen AS (
	-- what each snapshot says of each value: its content, or that it is not there
	SELECT key.*, part.at, part.id, shown.content
	FROM key
	JOIN part USING (role, forecast, scope, unit, time_period, time_frame_id, field_type)
	JOIN line ON line.id = part.id
	LEFT JOIN shown ON shown.id = part.id AND (shown.time_period, shown.time_frame_id, shown.person, shown.field, shown.field_type)
		= (key.time_period, key.time_frame_id, key.person, key.field, key.field_type)
	WHERE shown.id IS NOT NULL OR NOT line.truncated
), step AS (
	SELECT *, lag(content) OVER w IS DISTINCT FROM content AS is_new FROM seen
	WINDOW w AS (PARTITION BY role, forecast, scope, unit, time_period, time_frame_id, person, field, field_type ORDER BY at, id)
), run AS (
	SELECT *, lead(at, 1, 'infinity') OVER w AS until FROM step WHERE is_new
	WINDOW w AS (PARTITION BY role, forecast, scope, unit, time_period, time_frame_id, person, field, field_type ORDER BY at, id)
)
SELECT role, forecast, scope, unit, time_period, time_frame_id, person, field, field_type, content, at, until, id
FROM run WHERE content IS NOT NULL AND at < until;

CREATE VIEW kept AS
SELECT requested_by, forecast_id, scope_id, currency, time_period, time_frame_id, user_id, field_id, field_type,
	ROW(week_start, week_end, user_name, user_email, crm_user_id, role, role_id, parent_role, parent_role_id,
		field_name, trim_scale(value), value_text, value_currency, is_updated, updated_by, updated_at)::text AS content,
	valid_from, valid_to, request_id
FROM clari_export_history;
END

my $want = "SELECT role, forecast, scope, unit, time_period, time_frame_id, nullif(person, ''), CASE WHEN length(field) > 256 THEN left(field, 200) ELSE field END, field_type, content, at, until, id FROM recomputed";
my $have = 'SELECT requested_by, forecast_id, scope_id, currency, time_period, time_frame_id, user_id, CASE WHEN length(field_id) >= 240 THEN left(field_id, 200) ELSE field_id END, field_type, content, valid_from, valid_to, request_id FROM kept';
sub differing
{
	my ($a, $b) = @_;
	return $super->value("SELECT coalesce(string_agg(left(d::text, 300), E'\\n'), '') FROM (SELECT * FROM ($a EXCEPT ALL $b) x LIMIT 5) d");
}
my $rows = $super->value('SELECT count(*) FROM recomputed');
cmp_ok($rows, '>', 10 * $series, "a history of $rows rows");
cmp_ok($super->value(q{SELECT count(*) FROM recomputed WHERE until < 'infinity'}), '>', $rows / 10, 'many of which have ended');
is(differing($want, $have), '', 'nothing is missing that a recomputation gives');
is(differing($have, $want), '', 'and nothing else is there');

is(add(0.5, 1), 0, 'a snapshot that is added again');
is(differing($have, $want), '', 'changes nothing');

# Everybody's values as of a moment, and week by week.
is( $super->value(
		q{SELECT count(*) FROM (SELECT DISTINCT at + d * interval '12 h' AS at FROM line, generate_series(-1, 1) AS d) AS moment
		WHERE (SELECT count(*) FROM clari_export_as_of(moment.at))
			<> (SELECT count(*) FROM recomputed r WHERE r.at <= moment.at AND r.until > moment.at)}),
	0, 'as of any moment: what was valid then');
is( $super->value(
		q{WITH frame AS (
			SELECT l.role, l.forecast, r.time_period, r.time_frame_id, r.week_start
			FROM line l, clari_export_rows(l.result) r
			UNION ALL
			SELECT l.role, l.forecast, p."timePeriodId", f."timeFrameId", f."startDate"
			FROM line l, jsonb_to_recordset(result -> 'timePeriods') AS p ("timePeriodId" text, "startDate" date, "endDate" date),
				jsonb_to_recordset(result -> 'timeFrames') AS f ("timeFrameId" text, "startDate" date)
			WHERE f."startDate" BETWEEN p."startDate" AND p."endDate" AND jsonb_typeof(result) = 'object'
		), known AS (
			SELECT role, forecast, time_period, time_frame_id, min(week_start) AS start FROM frame GROUP BY 1, 2, 3, 4
		), numbered AS (
			SELECT *, CASE WHEN bool_and(start IS NOT NULL) OVER (PARTITION BY role, forecast, time_period)
				THEN dense_rank() OVER (PARTITION BY role, forecast, time_period ORDER BY start)
				ELSE dense_rank() OVER (PARTITION BY role, forecast, time_period ORDER BY time_frame_id ~ '^W', lpad(ltrim(time_frame_id, 'W_'), 2, '0'))
			END - 1 AS week
			FROM known
		)
		SELECT count(*) FROM clari_export_as_of('2100-01-01') h
		LEFT JOIN numbered n ON (n.role, n.forecast, n.time_period, n.time_frame_id) = (h.requested_by, h.forecast_id, h.time_period, h.time_frame_id)
		WHERE n.week IS DISTINCT FROM h.week}),
	0, 'weeks count from 0 over all that were ever seen');
is( $super->value(
		q{SELECT count(*) FROM (
			SELECT c.*, max(a.week) OVER (PARTITION BY a.server, a.requested_by, a.forecast_id, a.scope_id, a.currency, a.time_period,
				a.user_id, a.field_id, a.field_type) AS latest
			FROM clari_export_as_of('2100-01-01') a
			JOIN clari_export_call c USING (server, requested_by, forecast_id, scope_id, currency, time_period, user_id, field_id, field_type)
			WHERE a.value IS NOT NULL) x WHERE week <> latest}),
	0, 'a call is of the latest week');

done_testing();
