# Every function that a role may execute, with arguments that nobody would give: an error or a result, and no crash.
#
# CLARI_ARGUMENTS_SEED repeats a run, CLARI_ARGUMENTS_CALLS makes more or fewer random calls (1500).

use strict;
use warnings;

use Test::More;

use ClariTest;

my $seed  = $ENV{CLARI_ARGUMENTS_SEED}  || 20261127;
my $calls = $ENV{CLARI_ARGUMENTS_CALLS} || 1500;
srand $seed;
note "CLARI_ARGUMENTS_SEED=$seed CLARI_ARGUMENTS_CALLS=$calls";

my $test  = ClariTest->new('any_arguments');
my $super = $test->superuser;
my $done  = $test->enqueue;
$test->await_state('done', $done);
$super->run('CREATE ROLE intruder LOGIN');

# Of each type what is usual, null, and what is not.
my $nested = q{(repeat('[', 2000) || repeat(']', 2000))};
my $odd    = q{'{"entries": [1, null, {"userId": {"a": 1}, "timePeriodId": [1], "timeFrameId": null, "forecastValue": 1e300,
	"updatedOn": 1e30}], "users": 3, "timePeriods": [{"timePeriodId": "a", "startDate": "9999-99-99"}],
	"timeFrames": [{"timeFrameId": "TF:2022-12-07", "startDate": "2022-12-07", "endDate": "0001-01-01"}]}'};
my %values = (
	text => [
		qw('net_arr' NULL '' '2026_Q3' 'clari' '{}' '../../x' '%s%n'), q{E'\\n\\t'}, q{E'\\x01'}, q{repeat('a', 100000)},
		q{repeat('é', 300)}, q{'5f0000000000000000000000'} ],
	jsonb => [
		qw('{}' NULL '[]' 'null' '1' '"x"'), q{'{"entries": []}'}, $odd, "$nested",
		q{'[{"User": "a", "Data Value": "$1.00", "Week": 99999999999}]'}, q{'{"items": [{"id": 1, "participants": {"a": [null]}}, [], 1]}'},
		q{'{"typesToExport": ["forecast"], "currency": "EUR"}'}, q{'{"exportFormat": "CSV"}'} ],
	bigint   => [ 1, 'NULL', 0, -1, '9223372036854775807', q{'-9223372036854775808'}, $done ],
	integer  => [ 1, 'NULL', 0, -1, 2147483647,            q{'-2147483648'} ],
	boolean  => [qw(true NULL false)],
	interval => [ q{'1 s'}, qw(NULL '0'), q{'-1 s'}, q{'1 month'}, q{'178000000 years'}, q{'-178000000 years'} ],
	name     => [qw('clari' NULL '' 'nobodys')],
	oid      => [qw(1 NULL 0 4294967295)],
	regrole  => [qw('exporter' NULL 0 4294967295)],
	date     => [ q{'2026-07-01'}, qw(NULL 'infinity' '-infinity'), q{'4713-01-01 BC'}, q{'5874897-12-31'} ],
	numeric  => [qw(1 NULL 0 'NaN' 'infinity' 1e1000 -1e-1000)],
	'timestamp with time zone' => [ 'now()', qw(NULL 'infinity' '-infinity'), q{'4713-01-01 BC'}, q{'294276-12-31'} ],
	'text[]'                   => [ q{'{2026_Q3}'}, 'NULL', q{'{}'}, q{'{a,NULL}'}, q{ARRAY[[repeat('a', 1000)]]} ],
	'bigint[]'                 => [ q{'{1}'}, 'NULL', q{'{}'}, q{'{1,NULL}'} ],
	internal                   => ['NULL'],
);

my @functions = map { my ($name, $kind, @types) = split /[|]/; { name => $name, kind => $kind, types => \@types } }
  split /\n/, $super->value(q{
	SELECT string_agg(concat_ws('|', oid::regproc, prokind, array_to_string(proargtypes::regtype[], '|')), E'\n' ORDER BY oid)
	FROM pg_proc WHERE proname LIKE 'clari_export%' AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)});
cmp_ok(scalar @functions, '>', 30, 'there are functions');
my %unknown = map { $_ => 1 } grep { !$values{$_} } map { @{ $_->{types} } } @functions;
is(join(' ', sort keys %unknown), '', 'every type of an argument has values');

sub call
{
	my ($function, @arguments) = @_;
	my $list = join ', ', map { "$arguments[$_]::$function->{types}[$_]" } 0 .. $#arguments;
	return "CALL $function->{name}($list)" if $function->{kind} eq 'p';
	return "SELECT count(x), md5(string_agg(x::text, '')) FROM $function->{name}($list) AS x";
}

# What is usual, but for one argument that is null; and any of all.
my @statements;
for my $function (@functions)
{
	my @usual = map { $values{$_}[0] } @{ $function->{types} };
	push @statements, call($function, @usual[ 0 .. $_ - 1 ], 'NULL', @usual[ $_ + 1 .. $#usual ]) for 0 .. $#usual;
}
for (1 .. $calls)
{
	my $function = $functions[ rand @functions ];
	push @statements, call($function, map { $values{$_}[ rand @{ $values{$_} } ] } @{ $function->{types} });
}

for my $role ('exporter', 'intruder')
{
	my $session = $test->new_session(user => $role);
	my $pid     = $session->pid;
	my %ended;
	$session->run(q{SET statement_timeout = '400ms'});
	for my $statement (@statements)
	{
		my $state = $session->run($statement)->{sqlstate} // 'no error';
		$ended{$state}++;
		fail("$role: $statement: $state") if $state =~ /^(?:XX|58)/;
	}
	note join ', ', map { "$_: $ended{$_}" } sort keys %ended;
	cmp_ok($ended{'no error'}, '>', $calls / 4, "$role: many calls give a result");
	is($session->value('SELECT pg_backend_pid()'), $pid, "$role: one backend through all of them");
}

done_testing();
