# Somebody sets the server's clock back: what was written by the old time delays nothing.

use strict;
use warnings;

use PostgreSQL::Test::Utils ();
use Test::More;
use ClariSim;
use ClariTest;

use constant { HOUR => 3600, ENDLESS => { statuses => [ [ 0, 'STARTED' ] ] } };

my $clock = PostgreSQL::Test::Utils::tempdir . "/clock_offset";
my $offset = 0;

sub set_back
{
	my ($seconds) = @_;
	$offset -= $seconds;
	open my $file, '+<', $clock or die "$clock: $!";
	syswrite($file, pack('q', $offset)) == 8 or die "$clock: $!";
	close $file;
	return;
}

open my $file, '>', $clock or die "$clock: $!";
print $file pack('q', 0);
close $file;
$ENV{CLARI_CLOCK_OFFSET} = $clock;
$ENV{LD_PRELOAD} .= ':' . ClariSim::stage_file('set_clock.so');

my $test = ClariTest->new('clock_set_back', options => { poll_max_attempts => 100_000, max_concurrent_exports => 9 });
my ($sim, $session, $dba) = ($test->sim, $test->session, $test->superuser);

sub now { return $session->value('SELECT extract(epoch FROM clock_timestamp())::bigint') }

my $before = now();
set_back(HOUR);
cmp_ok(now(), '<', $before - HOUR / 2, 'the clock is set back');

# ----------
# Requests that wait
# ----------

$dba->run(q{ALTER SERVER clari OPTIONS (ADD paused 'true')});
my $waiting = $test->enqueue;
$test->await('the hold', sub { $test->requests(q{hold_reason = 'paused'}) });
set_back(HOUR);
$dba->run(q{ALTER SERVER clari OPTIONS (DROP paused)});
$test->await_state('done', $waiting);
pass('a request that is due stays due');

$dba->run(q{
	CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$;
	CREATE TRIGGER refuse BEFORE UPDATE ON clari_export_request FOR EACH ROW
	WHEN (NEW.state = 'submitting') EXECUTE FUNCTION public.refuse();
	ALTER TABLE clari_export_request ENABLE ALWAYS TRIGGER refuse;});
my $delayed = $test->enqueue;
$test->await('the hold', sub { $test->requests(q{hold_reason = 'database error'}) });
set_back(HOUR);
$dba->run('DROP TRIGGER refuse ON clari_export_request');
$test->await_state('done', $delayed);
pass('one that an error of the database delayed is tried again');

# One that somebody holds locked when its time comes, passed by for one that comes after it.
my $soon   = q{clock_timestamp() + '200 ms'};
my $insert = "INSERT INTO clari_export_request (forecast_id, run_after) VALUES ('net_arr', $soon) RETURNING id";
my $holder = $test->new_session(superuser => 1);
my $locked = $session->value($insert);
$holder->run("BEGIN; SELECT FROM clari_export_request WHERE id = $locked FOR UPDATE");
$test->await_state('done', $session->value($insert));
set_back(HOUR);
$test->await_state('done', $session->value($insert));
pass('one whose time comes by the new clock is found');
$holder->run('ROLLBACK');

# ----------
# Jobs that run
# ----------

sub polls { return scalar $sim->log(method => 'GET', path => qr{^/export/jobs/\w+$}) }

sub goes_on
{
	my ($name) = @_;
	my $so_far = polls();
	$test->await('more polls', sub { polls() > $so_far + 1 });
	pass($name);
	return;
}

$sim->reset({ job => ENDLESS });
my $running = $test->enqueue;
$test->await_state('running', $running);
set_back(HOUR);
goes_on('a running job is polled');
my $worker = $test->worker_pid;
$dba->run("SELECT pg_terminate_backend($worker)");
$test->await('its end', sub { !$dba->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $worker") });
set_back(HOUR);
goes_on('and by another worker, which has the time of the next poll from the row');
$sim->finish_job($test->request($running)->{job_id});
$test->await_state('done', $running);
is($sim->stats->{keys}{'demo-key'}{accepted}, 1, 'nothing was submitted twice');

done_testing();
