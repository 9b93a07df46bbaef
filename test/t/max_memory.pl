# clari_export.max_memory: many results at a time take no more memory than a few; who waits for room goes on as soon as
# there is some, and its wait counts against no time-out.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use ClariTest;

use constant {
	LANES       => 16,
	RESULT_SIZE => 8_000_000,
	FOREVER     => -1,
};

my @keys = map { "key$_" } 1 .. LANES;
my $test = ClariTest->new(
	'max_memory',
	loopback => 1,
	conf     => "clari_export.max_memory = '16MB'\nshared_buffers = '16MB'\n",
	options  => { request_timeout => '60 s', poll_max_attempts => 100_000 },
	sim      => {
		config => {
			gzip          => \0,
			keys          => { map { $_ => { organization => 'acme', user => $_ } } 'demo-key', @keys },
			organizations => { acme => { concurrent_limit => 100 } }
		}
	});
my ($sim, $session, $super) = ($test->sim, $test->session, $test->superuser);
$test->create_server($_, api_key => $_, request_timeout => '300 ms', poll_max_attempts => 100_000) for @keys;

my $file = PostgreSQL::Test::Utils::tempdir() . '/result.json';
PostgreSQL::Test::Utils::append_to_file($file, '{"entries": [], "padding": "' . 'x' x RESULT_SIZE . '"}');
my $results = { path => '/results$' };

# The peak of the worker's own memory since the last call, in MB.
sub peak
{
	my ($pid) = @_;
	my $status = PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status");
	my ($peak) = $status =~ /^VmHWM:\s+(\d+) kB/m or die 'no VmHWM';
	if (open(my $refs, '>', "/proc/$pid/clear_refs"))
	{
		print {$refs} "5\n";
		close $refs;
	}
	return $peak / 1024;
}

sub set_max_memory
{
	my ($value) = @_;
	$super->run("ALTER SYSTEM SET clari_export.max_memory = '$value'");
	$super->run('SELECT pg_reload_conf()');
	return;
}

# The most result requests that were under way at the same time.
sub most_at_once
{
	my @events = sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] }
	  map { ([ $_->{t}, 1 ], [ $_->{t_end}, -1 ]) } $sim->log(path => qr/results$/);
	my ($now, $most) = (0, 0);
	for my $event (@events)
	{
		$now += $event->[1];
		$most = $now if $now > $most;
	}
	return $most;
}

sub enqueue_on { my @servers = @_; return map { $test->enqueue(server => $_) } @servers }

is($super->value('SHOW clari_export.max_memory'), '16MB', 'a setting');
$super->fails(q{SET clari_export.max_memory = '1GB'}, '55P02', 'of postgresql.conf');

# ----------
# Transfers that grow beyond the bound pause
# ----------

my $worker = $test->worker_pid;
$sim->configure({ job => { result_file => $file } });
$test->await_state('done', enqueue_on('key1'));
peak($worker);
$sim->reset({ job => { result_file => $file } });
$sim->rules({ match => $results, times => FOREVER, do => { delay_ms => 200 } });
$test->await_state('done', enqueue_on(@keys));
my $bounded = peak($worker);
note sprintf 'peak of the worker with %d results of %d MB in 16 MB: %.0f MB', LANES, RESULT_SIZE / 1e6, $bounded;
cmp_ok($bounded, '<', 100, 'many results take no more memory than a few');
cmp_ok(most_at_once(), '>', 1, 'though they arrive side by side');
is(scalar $sim->log(path => qr/results$/), LANES, 'each was asked for once');

# ----------
# Results that have no room are not asked for
# ----------

set_max_memory('8MB');
$sim->reset({ job => { result_file => $file } });
$sim->rules({ match => $results, times => FOREVER, do => { delay_ms => 50 } });
$test->await_state('done', enqueue_on(@keys[ 0 .. 7 ]));
is(most_at_once(), 1, 'as many results are asked for as have room');

# The oldest one's result begins, and then hangs. The rest has no room, or room for a part.
sub hang_first
{
	my ($bytes, @keys) = @_;
	$sim->reset({ job => { result_file => $file, statuses => [ [ 0, 'STARTED' ] ] } });
	$sim->rules(
		{ match => { %$results, key => 'demo-key' }, do => { oversize => RESULT_SIZE, hang_after_bytes => $bytes } },
		{ match => { method => 'GET', path => '/jobs/\w+$' }, times => FOREVER, do => { body => { status => 'DONE' } } });
	my $first = $test->enqueue;
	$sim->wait_for_log(1, path => qr/results$/, key => 'demo-key');
	my @others = enqueue_on(@keys);
	$sim->wait_for_log(@others + 1, method => 'GET', path => qr{/jobs/\w+$}, status => 200);
	return ($first, @others);
}

# Something of Clari's that takes a second.
sub second_passes
{
	$sim->rules({ match => { path => '/admin/limits' }, do => { delay_ms => 1000 } });
	$session->value('SELECT monthly_quota FROM clari_export_limits()');
	return;
}

# Let these have their results as soon as they ask.
sub finish_jobs
{
	$sim->finish_job($test->await_state('running', $_)->{job_id}) for @_;
	return;
}

sub results_of_others { return scalar $sim->log(path => qr/results$/, key => qr/^key/, status => 200) }

my ($first, @others) = hang_first(5_000_000, @keys[ 0 .. 3 ]);
second_passes();
is(results_of_others(), 0, 'who has no room waits');
finish_jobs(@others[ 1 .. 3 ]);
is($session->value("SELECT clari_export_cancel($others[0])"), 'cancelled', 'one that waits is cancelled');
is($session->value("SELECT clari_export_cancel($first)"), 'cancelled', 'so is the oldest');
$test->await_state('done', @others[ 1 .. 3 ]);
is(results_of_others(), 3, 'and the rest goes on');

# Paused in the middle, for longer than its time-out. Each has the least share; there is room for both, and for nothing more.
set_max_memory('9MB');
($first, my $paused) = hang_first(1_000_000, $keys[0]);
finish_jobs($paused);
$sim->wait_for_log(1, path => qr/results$/, key => qr/^key/, status => 200);
second_passes();
is($test->request($paused)->{state}, 'running', 'what has room for a part waits in the middle');
$session->value("SELECT clari_export_cancel($first)");
$test->await_state('done', $paused);
is(results_of_others(), 1, 'goes on from there, and the pause counts against no time-out');

# A transaction that keeps a result from being stored keeps nobody else's from being fetched.
set_max_memory('8MB');
$sim->reset({ job => { result_file => $file, statuses => [ [ 0, 'STARTED' ] ] } });
$first = $test->enqueue;
my $job   = $test->await_state('running', $first)->{job_id};
my $owner = $test->new_session(superuser => 1);
$owner->run("BEGIN; SELECT FROM clari_export_request WHERE id = $first FOR UPDATE");
$sim->finish_job($job);
$sim->wait_for_log(1, path => qr/results$/, status => 200);
$sim->configure({ job => { statuses => undef } });
$test->await_state('done', enqueue_on(@keys[ 0 .. 2 ]));
is($test->request($first)->{state}, 'running', 'a result whose row is locked makes room for others');
$owner->run('ROLLBACK');
is($test->await_state('done', $first)->{job_id}, $job, 'and is fetched again when it can be stored');
is(scalar $sim->log(path => qr/results$/, key => 'demo-key'), 2, 'once');

# More room by a reload.
set_max_memory('8MB');
($first, @others) = hang_first(5_000_000, @keys[ 0 .. 3 ]);
is(results_of_others(), 0, 'no room again');
finish_jobs(@others);
set_max_memory('1GB');
$test->await_state('done', @others);
is($test->request($first)->{state}, 'running', 'a reload makes room, whatever the oldest does');
$session->value("SELECT clari_export_cancel($first)");

# The server stops while results wait.
set_max_memory('8MB');
($first, @others) = hang_first(5_000_000, @keys[ 0 .. 3 ]);
finish_jobs(@others);
is($test->worker_pid, $worker, 'all of it in one worker');
$test->quit_sessions;
$test->node->stop('fast');
$sim->finish_job($_) for grep { defined } map { $_->{job_id} } $sim->log(method => 'POST', key => 'demo-key');
$test->node->start;
$test->await_state('done', $first, @others);
pass('results that wait keep no server from stopping');

done_testing();
