# The worker: what wakes it, what it holds while it waits, and what it survives.

use strict;
use warnings;

use Test::More;
use ClariTest;

use constant ENDLESS => { statuses => [ [ 0, 'STARTED' ] ] };
use constant IDLE_SECONDS => 3;

# A worker that is not woken looks at its queue after a minute.
use constant WOKEN_SECONDS => 40;

my $test = ClariTest->new(
	'queue_worker',
	options => { poll_max_attempts => 100_000, poll_max_delay => '200 ms' },
	conf    => q{
		shared_preload_libraries = 'clari_export, pg_stat_statements'
		clari_export.databases = 'postgres, late'
		max_worker_processes = 16
		max_prepared_transactions = 5
		restart_after_crash = on
		autovacuum = off
	});
my ($node, $sim, $session) = ($test->node, $test->sim, $test->session);

sub submissions
{
	return $sim->log(method => 'POST', path => qr{^/export/(?!jobs/)});
}

# The job of a request, as soon as it runs.
sub job_of
{
	my ($id, $in) = @_;
	return $test->await_state('running', $id, $in || ())->{job_id};
}

sub done_soon
{
	my ($id, $name) = @_;
	my $start = ClariSim::now();
	$test->await_state('done', $id);
	cmp_ok(ClariSim::now() - $start, '<', WOKEN_SECONDS, $name);
	return;
}

sub failed_with
{
	my ($id, $code, $message, $name) = @_;
	my $request = $test->await_state('failed', $id);
	is($request->{error_code}, $code, "$name: $code");
	like($request->{error_message}, $message, "$name: says why");
	return;
}

sub activity
{
	my ($pid, $columns) = @_;
	return $test->superuser->value("SELECT $columns FROM pg_stat_activity WHERE pid = $pid");
}

# ----------
# What wakes it
# ----------

my $worker = $test->worker_pid;
done_soon($test->enqueue, 'the commit of an insert wakes it');

$sim->reset;
$session->run(
	q{BEGIN; INSERT INTO clari_export_request (forecast_id) VALUES ('net_arr'); PREPARE TRANSACTION 'queued'});
is($session->value('SELECT count(*) FROM pg_prepared_xacts'), 1, 'an insert is prepared');
is(scalar submissions, 0, 'nothing is submitted before it commits');
$session->run(q{COMMIT PREPARED 'queued'});
my ($prepared) = $test->requests(q{id = (SELECT max(id) FROM clari_export_request)});
done_soon($prepared->{id}, 'the commit of a prepared transaction wakes it');

my $later = $session->value(
	q{INSERT INTO clari_export_request (forecast_id, run_after) VALUES ('net_arr', now() + '1.5 s') RETURNING id});
done_soon($later, 'a request is run when its time has come');
is($session->value("SELECT submitted_at >= run_after FROM clari_export_request WHERE id = $later"), 't', 'and not before');

$test->superuser->run(q{ALTER SERVER clari OPTIONS (ADD paused 'true')});
my $paused = $test->enqueue;
$test->await('the hold', sub { $test->requests(q{hold_reason = 'paused'}) });
$test->superuser->run(q{ALTER SERVER clari OPTIONS (SET paused 'false')});
done_soon($paused, 'the change of a server wakes it');

# ----------
# What it shows and holds
# ----------

is(activity($worker, q{state || ': ' || query}), 'idle: waiting for requests', 'pg_stat_activity shows that it waits');

# Clari takes its time: for the list of jobs, the submission, a status, the result.
for my $slow ([ GET => '^/export/jobs$' ], [ POST => '^/export/forecast' ], [ GET => '^/export/jobs/\w+$' ], [ GET => '/results$' ])
{
	my ($method, $path) = @$slow;
	$sim->reset({});
	$sim->rules({ match => { method => $method, path => $path }, do => { delay_ms => 400 } });
	my $id = $test->enqueue;
	my ($asked) = $sim->wait_for_log(1, method => $method, path => qr{$path});
	my $doing = q{concat_ws(' ', state, query, xact_start, backend_xid, backend_xmin)};
	$test->await('the worker to say so', sub { activity($worker, $doing) =~ /^active/ });
	is(activity($worker, $doing), 'active working on 1 request', "slow $method $path: it works, with no transaction");
	is($test->superuser->value("SELECT count(*) FROM pg_locks WHERE pid = $worker"), 0, 'and no lock');
	is(scalar($sim->log(n => $asked->{n}, t_end => undef)), 1, 'while Clari has not answered');
	$test->await_state('done', $id);
}

$test->superuser->run('CREATE EXTENSION pg_stat_statements');
my $statements = q{SELECT coalesce(sum(calls), 0) FROM pg_stat_statements
	WHERE query ~ 'clari_export|pg_extension' AND query !~ 'pg_stat_statements' AND query !~ 'json_agg|INSERT INTO'};
$test->superuser->run('SELECT pg_stat_statements_reset()');
$test->await_state('done', $test->enqueue);
$test->await('the worker to be idle', sub { activity($worker, 'state') eq 'idle' });
cmp_ok($test->superuser->value($statements), '>', 0, 'pg_stat_statements sees the statements of a worker');
my $switches = context_switches($worker);
$test->superuser->run('SELECT pg_stat_statements_reset()');
$session->run('SELECT pg_sleep(' . IDLE_SECONDS . ')');
is($test->superuser->value($statements), 0, 'an idle worker executes none');
note(sprintf 'an idle worker: %d context switches in %d s', context_switches($worker) - $switches, IDLE_SECONDS);

sub context_switches
{
	my ($pid) = @_;
	my $sum = 0;
	open my $status, '<', "/proc/$pid/status" or return 0;
	while (my $line = <$status>)
	{
		$sum += $1 if $line =~ /^(?:non)?voluntary_ctxt_switches:\s+(\d+)/;
	}
	return $sum;
}

# ----------
# One bad request does not stop the rest
# ----------

# A server that everybody may use, with another key.
$test->create_server('public_server', api_key => 'second-key', poll_max_attempts => 100_000);
$test->superuser->run(
	q{CREATE USER MAPPING FOR PUBLIC SERVER public_server OPTIONS (api_key 'second-key');
	  GRANT USAGE ON FOREIGN SERVER public_server TO PUBLIC});

# Two requests of the kind that loses something: one runs, one waits. A good one runs in another lane.
sub lose
{
	my ($name, $message, %what) = @_;
	$sim->reset({ job => ENDLESS });
	$test->superuser->run($what{before}) if $what{before};
	my $user    = $what{user} ? $test->new_session(user => $what{user}) : $session;
	my $running = $test->enqueue(session => $user, server => $what{server});
	job_of($running);
	my $waiting = $test->enqueue(session => $user, server => $what{server});
	my $good    = $test->enqueue;
	my $job     = job_of($good);
	$user->quit if $what{user};
	my $start   = ClariSim::now();
	my $dropped = $test->superuser->run($what{drop});
	is($dropped->{sqlstate}, undef, "$name is dropped while the queue works") or diag explain $dropped;
	failed_with($running, '42704', $message, "$name, running");
	failed_with($waiting, '42704', $message, "$name, queued");
	cmp_ok(ClariSim::now() - $start, '<', WOKEN_SECONDS, 'as soon as it is dropped');
	is($test->request($good)->{state}, 'running', 'the others go on');
	$sim->finish_job($job);
	$test->await_state('done', $good);
	return;
}

lose(
	'a role', qr/role that made the request does not exist/,
	before => 'CREATE ROLE leaver LOGIN',
	user   => 'leaver',
	server => 'public_server',
	drop   => 'DROP ROLE leaver');
lose(
	'a mapping', qr/user mapping for role "member" on server "public_server" does not exist/,
	before => q{CREATE ROLE member LOGIN; DROP USER MAPPING FOR PUBLIC SERVER public_server;
		CREATE USER MAPPING FOR member SERVER public_server OPTIONS (api_key 'second-key')},
	user   => 'member',
	server => 'public_server',
	drop   => 'DROP USER MAPPING FOR member SERVER public_server');
lose(
	'a server', qr/server "public_server" does not exist/,
	server => 'public_server',
	drop   => 'DROP SERVER public_server CASCADE');

$sim->reset;
my $holder = $test->new_session(superuser => 1);
$test->superuser->run(q{ALTER SERVER clari OPTIONS (SET paused 'true')});
my ($locked, $free) = map { $test->enqueue } 1 .. 2;
$holder->run("BEGIN; SELECT id FROM clari_export_request WHERE id = $locked FOR UPDATE");
$test->superuser->run(q{ALTER SERVER clari OPTIONS (SET paused 'false')});
$test->await_state('done', $free);
is($test->request($locked)->{state}, 'queued', 'a row that somebody locks waits alone');
$holder->run('COMMIT');
$test->await_state('done', $locked);
$holder->quit;

# ----------
# Databases
# ----------

# One that does not exist when the server starts.
$node->safe_psql('postgres', 'CREATE DATABASE late');
$test->worker_pid('late');
pass('a database that is created gets its worker');
my $late = $test->new_session(database => 'late');
my $late_owner = $test->new_session(database => 'late', superuser => 1);
$test->install('late');
$test->create_server('clari', database => 'late', poll_max_attempts => 100_000);
$test->await_state('done', $test->enqueue(session => $late), $late);
pass('which takes up work when the extension is created');

$node->safe_psql('postgres', 'CREATE DATABASE added');
$test->install('added');
$test->create_server('clari', database => 'added');
my $added = $test->new_session(database => 'added');
my $early = $test->enqueue(session => $added);
$node->append_conf('postgresql.conf', "clari_export.databases = 'postgres, late, added'");
$node->reload;
$test->await_state('done', $early, $added);
pass('a reload adds a database');
$node->append_conf('postgresql.conf', "clari_export.databases = 'postgres, late'");
$node->reload;
$test->await('the end of its worker',
	sub { !$test->superuser->value(q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'added' AND backend_type ~ 'clari'}) });
pass('and removes it');
is($test->worker_pid, $worker, 'the other worker stays');

# ----------
# The extension
# ----------

$sim->reset({ job => ENDLESS });
my $lost = $test->enqueue(session => $late);
my $lost_job = job_of($lost, $late);
my $late_worker = $test->worker_pid('late');
is($late_owner->run('ALTER EXTENSION clari_export UPDATE')->{sqlstate}, undef, 'ALTER EXTENSION while a request runs');
$late_owner->run('BEGIN; DROP EXTENSION clari_export CASCADE');
$test->await('the worker to wait for it',
	sub { $test->superuser->value("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $late_worker") });
is($late_owner->run('COMMIT')->{sqlstate}, undef, 'DROP EXTENSION while a request runs');
$test->install('late');
$test->create_server('clari', database => 'late');
$sim->reset;
my $again = $test->enqueue(session => $late);
$test->await_state('done', $again, $late);
is($again, 1, 'CREATE EXTENSION again: a new queue');
is(scalar($sim->log(job_id => $lost_job)), 0, 'in which nothing is left of the old one');
is($test->worker_pid('late'), $late_worker, 'the worker is the same all the time');

# ----------
# DROP DATABASE
# ----------

$sim->reset({ job => ENDLESS });
$sim->rules({ match => { method => 'GET', path => '^/export/jobs/' }, times => -1, do => { hang => \1 } });
$test->enqueue(session => $late);
$sim->wait_for_log(1, method => 'GET', path => qr{^/export/jobs/});
$_->quit for $late, $late_owner;
my $start = ClariSim::now();
my $dropped = $test->superuser->run('DROP DATABASE late');
is($dropped->{sqlstate}, undef, 'DROP DATABASE passes while an export runs') or diag explain $dropped;
note(sprintf 'DROP DATABASE: %.3f s', ClariSim::now() - $start);

# ----------
# The crash of another backend
# ----------

$sim->reset({ job => ENDLESS });
my $survivor = $test->enqueue;
my $job = job_of($survivor);
my $queued = $test->enqueue;
my $victim = $test->new_session;
kill 'KILL', $victim->pid;
$test->await('the crash', sub { $node->psql('postgres', 'SELECT 1') != 0 || $session->run('SELECT 1')->{sqlstate} });
$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'the server did not come back';
$test->quit_sessions;
$session = $test->session;
$sim->finish_job($job);
$sim->finish_job(job_of($queued));
$test->await_state('done', $survivor, $queued);
is(scalar submissions, 2, 'after the crash of a backend the queue goes on, and submits nothing twice');
isnt($test->worker_pid, $worker, 'with another worker');

# ----------
# Fast shutdown
# ----------

$test->set_options('clari', request_timeout => '10 min');
for my $slow ([ POST => '^/export/forecast' ], [ GET => '^/export/jobs/\w+$' ])
{
	my ($method, $path) = @$slow;
	$sim->reset;
	$sim->rules({ match => { method => $method, path => $path }, do => { hang => \1, process => \1 } });
	my $id = $test->enqueue;
	$sim->wait_for_log(1, method => $method, path => qr{$path});
	my $begin = ClariSim::now();
	$node->stop('fast');
	my $seconds = ClariSim::now() - $begin;
	cmp_ok($seconds, '<', 10, "a fast shutdown does not wait for Clari to answer $method");
	note(sprintf 'fast shutdown while Clari hangs: %.3f s', $seconds);
	$node->start;
	$test->quit_sessions;
$session = $test->session;
	$test->await_state('done', $id);
	is(scalar submissions, 1, 'and the export is finished after the start, with one submission');
}

done_testing();
