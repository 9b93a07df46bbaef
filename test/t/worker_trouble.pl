# A worker in trouble comes back after 1 s, 2 s, 4 s ... 60 s, and the log says why once a minute at most; a worker that
# nobody wakes looks at its queue once a minute. The clock of this server, and its sleeps, are so fast that a minute
# takes 1.5 s.

use strict;
use warnings;

use PostgreSQL::Test::Utils ();
use Test::More;
use ClariSim;
use ClariTest;

use constant { FAST => 40, RESTARTS => 6, MINUTE => 60, CLOCK_READING => 0.002 };

$ENV{CLARI_CLOCK_RATE} = $ENV{CLARI_SLEEP_RATE} = FAST;
$ENV{LD_PRELOAD} .= ':' . ClariSim::stage_file('fast_clock.so');

my $test = ClariTest->new(
	'worker_trouble',
	loopback => 1,
	conf     => "log_line_prefix = '%n %b: '\nlog_min_messages = debug1\nautovacuum = off\n",
	options  => { connect_timeout => '30 min', request_timeout => '30 min', submission_grace => '10 min', poll_max_attempts => 100_000 });
my ($node, $sim, $dba) = ($test->node, $test->sim, $test->superuser);

# ----------
# Nobody wakes it
# ----------

$test->await_state('done', $test->enqueue);
my $worker = $test->worker_pid;
$dba->run('SET session_replication_role = replica');
my $silent = $dba->value(q{INSERT INTO clari_export_request (forecast_id, requested_by) VALUES ('net_arr', 'exporter'::regrole) RETURNING id});
$dba->run('RESET session_replication_role');
$test->await_state('done', $silent);
pass('a row that came with triggers off is found');
is($test->worker_pid, $worker, 'by the worker that was there');

# ----------
# Trouble
# ----------

# Without this index no look at the queue succeeds.
my $index = 'clari_export_request_due_idx';
my $log_position = -s $node->logfile;
$dba->run("ALTER INDEX $index RENAME TO elsewhere");
my $waiting = $test->enqueue;

# When the log says something, in seconds of this server's clock.
sub times_of
{
	my ($pattern) = @_;
	return map { FAST * $_ } PostgreSQL::Test::Utils::slurp_file($node->logfile, $log_position) =~ /^([\d.]+) [^\n]*$pattern/mg;
}

my $starting = 'starting background worker process "clari_export worker';
$test->await('workers', sub { my @n = times_of($starting); @n >= RESTARTS });
my @started = times_of($starting);
my $least = 1;
for my $i (1 .. RESTARTS - 1)
{
	cmp_ok($started[$i] - $started[ $i - 1 ] + FAST * CLOCK_READING, '>=', $least, "restart $i comes after $least s");
	$least *= 2;
}
my @said = times_of('the worker for database "postgres" ends: ');
cmp_ok(scalar @said, '>=', 1, 'the log says why');
is(scalar(grep { $said[$_] - $said[ $_ - 1 ] + FAST * CLOCK_READING < MINUTE } 1 .. $#said), 0, 'once a minute at most');
is(scalar(() = times_of('LOG: [^\n]* exited with')), 0, 'and nothing else of it');

$dba->run("ALTER INDEX elsewhere RENAME TO $index");
$test->await_state('done', $waiting);
is(scalar($sim->log(method => 'POST')), 3, 'afterwards it goes on');

done_testing();
