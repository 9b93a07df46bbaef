# When requests go out: the reference client's timetable at a hundredth of its
# delays, the pauses between exports, and the pace. Every delay is compared
# with the simulator's log, where a request may be late but never early.

use strict;
use warnings;

use List::Util qw(min);
use Test::More;
use ClariTest;

my $test    = ClariTest->new('timetable');
my $sim     = $test->sim;
my $session = $test->session;

# Late is what a busy machine makes of it; nothing of ours takes that long.
use constant LATE => 5;

my $STATUS = '^/export/jobs/\w+$';

# The reference client's delays in seconds, scaled: base × 1.5ⁿ, at most max.
sub planned_delays
{
	my ($count, $base, $multiplier, $max) = @_;
	return map { min($base * $multiplier**$_, $max) } 0 .. $count - 1;
}

# The gaps of the log's entries are those planned.
sub gaps_are
{
	my ($entries, $planned, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(scalar @$entries, @$planned + 1, "$what: number of requests");
	for my $n (0 .. $#$entries - 1)
	{
		my $gap = $entries->[ $n + 1 ]{t} - $entries->[$n]{t};
		cmp_ok($gap, '>=', $planned->[$n], sprintf('%s: request %d not before %.2f ms', $what, $n + 1, $planned->[$n] * 1000));
		cmp_ok($gap, '<', $planned->[$n] + LATE, "$what: request @{[$n + 1]} comes");
	}
	return;
}

# The first so many status requests find the job running.
sub polls_find_it_running
{
	my ($count) = @_;
	$sim->rules({ match => { path => $STATUS }, times => $count, do => { body => { status => 'STARTED' } } });
	return;
}

# ----------
# The reference timetable: 5, 5, 7.5, 11.25, ... 60, 60 s
# ----------

$test->create_server('reference', poll_base_delay => '50 ms', poll_multiplier => '1.5', poll_max_delay => '600 ms', poll_max_attempts => 60);
my @reference = planned_delays(10, 0.05, 1.5, 0.6);
is_deeply([ map { sprintf '%.1f', $_ * 100 } @reference ], [qw(5.0 7.5 11.2 16.9 25.3 38.0 57.0 60.0 60.0 60.0)], 'the plan is the reference client\'s');

polls_find_it_running(9);
is($session->value(q{SELECT clari_export('net_arr', '2026_Q2', server => 'reference') ? 'entries'}), 't', 'an export that takes its time');
my @log = $sim->log;
is_deeply(
	[ map { "$_->{method} " . ($_->{path} =~ s/\w{24}/ID/r) } @log ],
	[ 'GET /export/jobs', 'POST /export/forecast/net_arr', ('GET /export/jobs/ID') x 10, 'GET /export/jobs/ID/results' ],
	'its requests, in this order');
gaps_are([ @log[ 1 .. 11 ] ], [ 0.05, @reference[ 0 .. 8 ] ], 'export');

# Against a job that ends by itself.
$sim->reset({ job => { duration_ms => 2000 } });
$session->value(q{SELECT clari_export('net_arr', server => 'reference') IS NOT NULL});
my @polls = $sim->log(path => qr/$STATUS/);
my ($post) = $sim->log(method => 'POST');
cmp_ok(scalar @polls, '<=', 9, 'a job of 2 s takes no more than nine polls');
cmp_ok($polls[-1]{t} - $post->{t}, '>=', 2, 'the last one finds it ended');
cmp_ok($polls[-2]{t} - $post->{t}, '<', 2.6, 'and the last but one did not');

# clari_export_poll asks at once.
my $job = $sim->start_job;
sub poll_log { return $sim->log(path => "/export/jobs/$job") }

for my $case (
	[ "'$job', server => 'reference'", 5, [ @reference[ 0 .. 4 ] ], 'poll' ],
	[ "'$job', base_delay => '20 ms', server => 'reference'", 4, [ planned_delays(4, 0.02, 1.5, 0.6) ], 'poll with a base delay' ],
	[ "'$job', NULL, NULL, '60 ms', 'reference'", 4, [ planned_delays(4, 0.05, 1.5, 0.06) ], 'poll with a longest delay' ])
{
	my ($arguments, $running, $planned, $what) = @$case;
	$sim->reset;
	$job = $sim->start_job;
	$arguments =~ s/'\w{24}'/'$job'/;
	polls_find_it_running($running);
	is($session->value("SELECT clari_export_poll($arguments)->>'status'"), 'DONE', "$what: the terminal status");
	gaps_are([poll_log()], $planned, $what);
}

$sim->reset;
$job = $sim->start_job;
my $asked_at = $sim->now;
is($session->value("SELECT clari_export_poll('$job', base_delay => '1 min', max_delay => '1 min')->>'status'"), 'DONE', 'a job that is over');
cmp_ok($sim->now - $asked_at, '<', LATE, 'poll asks at once, whatever the delays');

# An attempt is one status request, whatever comes back.
$sim->reset;
$job = $sim->start_job;
$sim->rules(
	{ match => { path => $STATUS }, do => { status => 500 } },
	{ match => { path => $STATUS }, do => { status => 502, html => \1 } },
	{ match => { path => $STATUS }, do => { body_text => '{"sta' } },
	{ match => { path => $STATUS }, do => { body => { status => 'STARTED' } } });
is($session->value("SELECT clari_export_poll('$job', 5, server => 'reference')->>'status'"), 'DONE', 'errors that pass are attempts');
gaps_are([poll_log()], [ @reference[ 0 .. 3 ] ], 'poll through errors');

$sim->reset({ job => { statuses => [ [ 0, 'STARTED' ] ] } });
$job = $sim->start_job;
my $error = $session->fails("SELECT clari_export_poll('$job', 3, '10 ms')", 'RC007', 'no more than max_attempts');
is(scalar poll_log(), 3, 'no more requests than max_attempts');
like($error->{message}, qr/3 status requests/, 'the message counts them');

# The defaults: 5 s after a submission, and after the first poll. What is told at DEBUG1 is enough; nobody waits for it.
$test->create_server('defaults', map { $_ => undef } grep { /^poll_/ } keys %ClariTest::FAST_OPTIONS);
my $other = $test->new_session;
$other->run('SET client_min_messages = debug1');

for my $case (
	[ 'after a submission', q{clari_export('net_arr', server => 'defaults')} ],
	[ 'after the first poll', q{clari_export_poll('%s', server => 'defaults')} ])
{
	my ($what, $call) = @$case;
	$sim->reset({ job => { statuses => [ [ 0, 'STARTED' ] ] } });
	$other->send('SELECT ' . sprintf($call, $sim->start_job));
	$other->await_told(qr/next request in [1-9]/);
	$session->run('SELECT pg_cancel_backend(' . $other->pid . ')');
	my $outcome = $other->receive;
	is($outcome->{sqlstate}, '57014', "the defaults, $what: the wait is cancelled");
	my @waits = map { $_->{message} =~ /next request in ([\d.]+) s/ } @{ $outcome->{told} };
	cmp_ok($waits[-1], '<=', 5,   "the defaults, $what: 5 s");
	cmp_ok($waits[-1], '>',  4.5, "the defaults, $what: and no less");
}

# ----------
# Submissions that are held
# ----------

$test->create_server('busy', poll_base_delay => '20 ms', poll_max_delay => '60 ms', poll_max_attempts => 5);
$sim->reset({ organizations => { acme => { concurrent_limit => 0 } } });
$session->fails(q{SELECT clari_export_submit('net_arr', server => 'busy')}, 'RC004', 'a full job queue');
gaps_are([ $sim->log(path => '/admin/limits') ], [ planned_delays(4, 0.02, 1.5, 0.06) ], 'a full job queue');
is(scalar $sim->log(method => 'POST'), 1, 'a full job queue: Clari is asked for its limits, and not with submissions');

$sim->reset;
$sim->rules({ match => { method => 'POST' }, times => -1, do => { status => 429 } });
$session->fails(q{SELECT clari_export_submit('net_arr', server => 'busy')}, 'RC003', 'a submission rate limited');
is(scalar $sim->log(method => 'POST'), 5, 'a submission rate limited: poll_max_attempts');

# ----------
# Pauses between exports
# ----------

# The time between the end of an export and the next submission of its key.
sub pauses
{
	my @results = $sim->log(path => qr/results$/);
	my @posts   = $sim->log(method => 'POST');
	return map { $posts[ $_ + 1 ]{t} - $results[$_]{t} } 0 .. $#posts - 1;
}

sub pauses_are
{
	my ($statement, $planned, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$sim->reset;
	$session->value($statement);
	my @pauses = pauses();
	is(scalar @pauses, 2, "$what: three exports");
	cmp_ok($_, '>=', $planned,        "$what: a pause of $planned s")      for @pauses;
	cmp_ok($_, '<',  $planned + LATE, "$what: a pause of no more or less") for @pauses;
	return;
}

my $PERIODS = q{ARRAY['2026_Q1', '2026_Q2', '2026_Q3']};
$test->create_server('patient', submit_interval => '120 ms', api_key => 'second-key');
pauses_are(q{SELECT count(clari_export('net_arr', server => 'patient')) FROM generate_series(1, 3)}, 0.12, 'submit_interval');
pauses_are("SELECT count(result) FROM clari_export_all('net_arr', $PERIODS, server => 'patient')", 0.12, 'all by submit_interval');
pauses_are("SELECT count(result) FROM clari_export_all('net_arr', $PERIODS, delay_between => '200 ms', server => 'patient')", 0.2, 'all by delay_between');

$sim->reset;
$test->create_server('slow', submit_interval => '1 hour', api_key => 'colleague-key');
is($session->value("SELECT count(result) FROM clari_export_all('net_arr', $PERIODS, delay_between => '0', server => 'slow')"), 3, 'delay_between replaces submit_interval');
is($session->value(q{SELECT count(*) FROM clari_export_jobs('slow')}), 3, 'the pause holds submissions only');

# ----------
# The pace
# ----------

$test->create_server('paced', max_requests_per_second => 20);
$sim->reset;
$job = $sim->start_job;
my $start = $sim->now;
$session->value("SELECT count(clari_export_status('$job', 'paced')) FROM generate_series(1, 25)");
@log = $sim->log;
is(scalar @log, 25, 'a paced lane: all requests');
cmp_ok($log[$_]{t} - $start, '>=', 1, "a paced lane: request $_ in the second second") for 20 .. 24;

done_testing();
