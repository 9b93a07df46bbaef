# SIGKILL of the worker, of a backend in clari_export_drain() and of the whole
# server: at every commit and every request of an export, and at random
# moments. Afterwards every request is done or has failed with a true error,
# Clari has accepted one submission for each, and each result is stored once.
#
# CLARI_CRASH_ROUNDS is the number of random moments, CLARI_CRASH_SEED makes
# them others, and with CLARI_CRASH_FULL every fault point strikes each victim.

use strict;
use warnings;

use Test::More;
use ClariCrash;

use constant HOLD_SECONDS => 3;

my $rounds = $ENV{CLARI_CRASH_ROUNDS} // 6;
my $seed   = $ENV{CLARI_CRASH_SEED}   // 1;
my $full   = $ENV{CLARI_CRASH_FULL};

# A job is over soon, but not before the first poll.
my %job = (job => { duration_ms => 15 });

my @requests = ({ forecast => 'net_arr', period => '2026_Q1' }, { forecast => 'renewals', period => '2026_Q2' });

sub post_rule
{
	my (%do) = @_;
	return { match => { method => 'POST' }, do => \%do };
}

# What may come between a request and its result. Each has fault points of its own.
my @scenarios = (
	{ name => 'a plain export' },
	{ name => 'a reply that is lost', rules => [ post_rule(reset => 1, process => JSON::PP::true) ] },
	# With a kill it is the second submission that Clari has not heard of, and so the last.
	{ name => 'a request that is lost', rules => [ post_rule(reset => 1) ], errors => ['RC009'] },
	{
		name  => 'a full job queue',
		rules => [ post_rule(status => 400, body => { code => 'export_monthly_quota_reached', message => 'Reached' }) ],
	},
	{ name => 'a quota reserve', quota_reserve => 5 },
	# Polls are written every two seconds.
	{ name => 'a job that takes its time', requests => [ $requests[0] ], config => { job => { duration_ms => 2500 } } },
	{ name => 'a job that fails', config => { job => { outcome => 'FAILED' } }, errors => ['RC006'] },
	{
		name    => 'a refusal',
		refused => 1,
		rules   => [ { match => { method => 'POST' }, times => -1, do => { status => 400 } } ],
		errors  => ['RC002'],
	},
);

for my $scenario (@scenarios)
{
	$scenario->{requests} ||= \@requests;
	$scenario->{config}   ||= \%job;
}

my %crash  = map { $_ => ClariCrash->new($_) } qw(worker drain);
my @strikes = ([ worker => 'process' ], [ worker => 'server' ], [ drain => 'process' ]);

sub test_round
{
	my ($who, $scenario, $strike, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_deeply([ $crash{$who}->round($scenario, $strike) ], [], $name);
}

# ----------
# Fault points
# ----------

# In full, every point that a scenario passes strikes each victim; otherwise each point once, the victims in turn.
my %struck;
push @strikes, shift @strikes for 1 .. $seed % @strikes;
for my $scenario (@scenarios)
{
	# Pruning has its own time, whatever the requests.
	my @points = grep { !/_commit_prune$/ } $crash{worker}->points($scenario);
	for my $point ($full ? @points : grep { !$struck{$_} } @points)
	{
		push @strikes, shift @strikes;
		for my $strike ($full ? @strikes : $strikes[0])
		{
			my ($who, $victim) = @$strike;
			test_round($who, $scenario, $crash{$who}->at_point($point, $victim), "$scenario->{name}: $point kills $who $victim");
		}
	}
	$struck{$_} = 1 for @points;
}

my @requests_to_clari = qw(baseline check_quota explain_refusal fetch look_up poll submit);
my @commits           = qw(finish look look_up lost poll result running submitting);
is_deeply(
	[ sort keys %struck ],
	[
		sort((map { ("before_send_$_", "at_reply_$_", "after_reply_$_") } @requests_to_clari),
			map { ("before_commit_$_", "after_commit_$_") } @commits)
	],
	'every request and every commit was struck');

# ----------
# Holds
# ----------

# Retry-After is heeded across a restart, by every request of the key and whichever request was told to wait.
my %told = (
	baseline => [ { path => '/export/jobs$' } ],
	submit   => [ { method => 'POST' } ],
	look_up  => [ { path => '/export/jobs$' }, 1, post_rule(reset => 1, process => JSON::PP::true) ],
	poll     => [ { path => '/export/jobs/\w+$' } ],
	fetch    => [ { path => '/results$' } ]);

# Three requests of the server. The first is told to wait, the second is held too and says so, the third only waits its turn.
sub held_requests
{
	my ($server, $step) = @_;
	my ($match, $skip, @more) = @{ $told{$step} };
	my %of_key = (key => $server eq 'clari' ? 'demo-key' : 'colleague-key');
	my $wait   = { status => 429, headers => { 'Retry-After' => HOLD_SECONDS } };
	$_->{match} = { %{ $_->{match} }, %of_key } for @more;
	return (
		rules => [ @more, { match => { %$match, %of_key }, skip => $skip || 0, do => $wait } ],
		requests => [ map { { forecast => $_, period => '2026_Q1', server => $server } } qw(net_arr renewals services) ]);
}

for my $pair ([ worker => 'baseline', 'poll' ], [ drain => 'submit' ], [ worker => 'fetch', 'look_up' ])
{
	my ($who, @steps) = @$pair;
	my @servers  = qw(clari clari_colleague)[ 0 .. $#steps ];
	my %first    = held_requests(clari => $steps[0]);
	my %second   = @steps > 1 ? held_requests(clari_colleague => $steps[1]) : (rules => [], requests => []);
	my %scenario = (rules => [ @{ $first{rules} }, @{ $second{rules} } ],
		requests => [ @{ $first{requests} }, map { { %$_, period => '2026_Q2' } } @{ $second{requests} } ]);
	my $name = join(' and ', @steps) . " told to wait, $who killed";
	my $sim  = $crash{$who}->sim;
	my $killed = $crash{$who}->when_held('process', scalar @steps);
	test_round($who, \%scenario, $killed, $name);
	is_deeply([ map { "$_->{method} $_->{path}" } $sim->log(in_hold => 1) ], [], "$name: nothing is sent before");
	is($sim->log(status => 429), @steps, "$name: each was told once");
}

# ----------
# Random moments
# ----------

my @faults = (
	post_rule(reset => 1, process => JSON::PP::true),
	post_rule(reset => 1),
	post_rule(status => 500, process => JSON::PP::true),
	post_rule(status => 429, headers => { 'Retry-After' => 1 }),
	post_rule(status => 429),
	post_rule(delay_ms => 100),
	{ match => { path => '/export/jobs$' },  do => { status   => 500 } },
	{ match => { path => '/export/jobs$' },  do => { status   => 429, headers => { 'Retry-After' => 1 } } },
	{ match => { path => '/export/jobs/' },  do => { status   => 429, headers => { 'Retry-After' => 1 } } },
	{ match => { path => '/export/jobs/' },  do => { reset    => 1 } },
	{ match => { path => '/export/jobs/' },  do => { delay_ms => 100 } },
	{ match => { path => '/results$' },      do => { status   => 502 } },
	{ match => { path => '/results$' },      do => { truncate => 100 } });

sub one_of { return $_[ rand @_ ] }

# Requests of both keys, and now and then two for the same forecast and period.
sub random_requests
{
	my @periods  = ClariCrash::periods();
	my @requests = map { { forecast => one_of(qw(net_arr renewals services)), period => $periods[$_], server => one_of(qw(clari clari_colleague)) } } 1 .. 4;
	push @requests, { %{ $requests[0] }, server => one_of(qw(clari clari_colleague)) } if rand() < 0.5;
	return \@requests;
}

# Two exports of the same may be hard to tell apart; and a submission is given up when Clari has twice not heard of it,
# to a request that is lost and to a kill.
sub random_errors
{
	my ($requests, $rules) = @_;
	my $loses = grep { $_->{do}{reset} && !$_->{do}{process} && ($_->{match}{method} // '') eq 'POST' } @$rules;
	return [ @$requests > 4 ? 'RC011' : (), $loses ? 'RC009' : () ];
}

sub random_scenario
{
	my $requests = random_requests();
	my %config   = (job => { duration_ms => int rand 40 }, job_list_delay_ms => one_of(0, 0, 50));
	my @rules    = map { { %{ one_of(@faults) }, skip => int rand 3 } } 1 .. rand 4;
	return { requests => $requests, config => \%config, rules => \@rules, errors => random_errors($requests, \@rules) };
}

for my $round (1 .. $rounds)
{
	srand $seed * 1_000_000 + $round;
	my ($who, $victim) = @{ one_of(@strikes) };
	my $scenario = random_scenario();
	my @moments  = map { rand 0.3 } 1 .. 1 + rand 2;
	my $name     = sprintf 'round %d of seed %d: %s %s killed after %s s', $round, $seed, $who, $victim,
	  join ' and ', map { sprintf '%.3f', $_ } @moments;
	test_round($who, $scenario, $crash{$who}->at_random($victim, @moments), $name) or note explain $scenario;
}

done_testing();
