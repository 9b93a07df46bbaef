# CALL clari_export_drain(): the worker's work in a session, without preloading
# and with it.

use strict;
use warnings;

use Test::More;
use ClariTest;

use constant ENDLESS => { statuses => [ [ 0, 'STARTED' ] ] };

my $test = ClariTest->new('queue_drain', preload => 0, options => { poll_max_attempts => 100_000 });
my ($node, $sim, $session) = ($test->node, $test->sim, $test->session);
my $other = $test->new_session;

sub submissions
{
	return $sim->log(method => 'POST', path => qr{^/export/(?!jobs/)}, @_);
}

sub states
{
	return join ' ', map { $test->request($_)->{state} } @_;
}

sub drain
{
	my ($arguments, $in) = @_;
	my $outcome = ($in || $session)->run('CALL clari_export_drain(' . ($arguments // '') . ')');
	is($outcome->{sqlstate}, undef, 'drain ' . ($arguments // '')) or diag explain $outcome;
	return;
}

# ----------
# What it does and when it returns
# ----------

drain;
my @requests = map { $test->enqueue } 1 .. 3;
my $later = $test->enqueue(run_after => '2999-01-01');
drain;
is(states(@requests, $later), 'done done done queued', 'it works through all that is due');
is(scalar submissions, 3, 'with one submission each');
is($session->value("SELECT clari_export_wait($requests[0]) ? 'entries'"), 't', 'the result is there');

my $noticed = $other->run("SELECT clari_export_wait($later, '10 ms')");
like($noticed->{told}[0]{hint}, qr/CALL public\.clari_export_drain/, 'who waits without a worker is told of it');

@requests = map { $test->enqueue } 1 .. 3;
drain('max_requests => 2');
is(states(@requests), 'done done queued', 'max_requests limits how many');
$sim->rules({ match => { method => 'POST' }, do => { status => 429, headers => { 'Retry-After' => 1 } } });
drain('max_requests => 1');
is(states(@requests), 'done done done', 'a hold does not count, and is waited for');

$sim->reset({ job => ENDLESS });
my $running = $test->enqueue;
$test->await('max_runtime to end a drain while its job goes on',
	sub { drain(q{max_runtime => '300 ms'}); return states($running) eq 'running' });
$sim->finish_job($test->request($running)->{job_id});
drain;
is(states($running), 'done', 'and is found again by the next one');
is(scalar submissions, 1, 'without another submission');

$sim->reset;
my $soon = $session->value(
	q{INSERT INTO clari_export_request (forecast_id, run_after) VALUES ('net_arr', clock_timestamp() + '1 s') RETURNING id});
drain(q{max_runtime => '1 hour', max_requests => 1});
is(states($soon), 'done', 'it waits for what is due within max_runtime');

$test->create_server('second', api_key => 'second-key');
my @two = ($test->enqueue, $test->enqueue(server => 'second'));
drain(q{server => 'second'});
is(states(@two), 'queued done', 'server limits where');
drain;
is(states(@two), 'done done', 'without it, everywhere');

$test->superuser->run(q{ALTER SERVER clari OPTIONS (ADD paused 'true')});
my $paused = $test->enqueue;
drain;
is($test->request($paused)->{hold_reason}, 'paused', 'it does not wait for a paused server');
$test->superuser->run(q{ALTER SERVER clari OPTIONS (DROP paused)});
$sim->reset({ organizations => { acme => { concurrent_limit => 3, monthly_quota => 0, org_id => 2915 } } });
drain;
is($test->request($paused)->{hold_reason}, 'monthly quota used up', 'nor for another month');
$sim->reset;
$session->value("SELECT clari_export_cancel($paused)");

# What becomes due later is waited for in no lane.
$sim->reset;
my $in_an_hour = $session->value(
	q{INSERT INTO clari_export_request (forecast_id, run_after) VALUES ('net_arr', clock_timestamp() + '50 min') RETURNING id});
my $at_once = $test->enqueue;
$other->send(q{CALL clari_export_drain(max_runtime => '1 hour')});
$test->await_state('done', $at_once);
my $meanwhile = $test->enqueue;
$test->await('its lane', sub { drain; return states($meanwhile) eq 'done' });
is(scalar $test->superuser->value('SELECT count(*) FROM pg_stat_activity WHERE state = \'active\' AND pid = ' . $other->pid), 1,
	'a drain with nothing due lets go of its lane');
$session->run('SELECT pg_cancel_backend(' . $other->pid . ')');
is($other->receive->{sqlstate}, '57014', 'while it waits for what is');
$session->value("SELECT clari_export_cancel($in_an_hour)");

# ----------
# Where it may be called
# ----------

$session->run('BEGIN');
$session->fails('CALL clari_export_drain()', '2D000', 'drain in a transaction block');
$session->run('ROLLBACK');
$session->run(q{DO 'BEGIN CALL clari_export_drain(); END'});
is($session->run('SELECT 1')->{rows}, 1, 'the session goes on after a drain in a DO block');

# Cancelled while it waits: the session and the request go on.
$sim->reset({ job => ENDLESS });
my $interrupted = $test->enqueue;
$other->send('CALL clari_export_drain()');
$sim->wait_for_log(1, method => 'POST');
$test->await_state('running', $interrupted);
$session->run('SELECT pg_cancel_backend(' . $other->pid . ')');
is($other->receive->{sqlstate}, '57014', 'a drain is cancelled');
$sim->finish_job($test->request($interrupted)->{job_id});
drain(undef, $other);
is(states($interrupted), 'done', 'the same session drains again');
is($other->run('SHOW search_path')->{rows}, '"$user", public', 'and its settings are as they were');

# Cancelled while it writes, in a subtransaction of its own.
$sim->reset;
$test->superuser->run(<<'SQL');
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.pg_sleep(60); RETURN NEW; END';
CREATE TRIGGER dawdle BEFORE UPDATE ON clari_export_request FOR EACH ROW
	WHEN (NEW.state = 'done') EXECUTE FUNCTION dawdle();
ALTER TABLE clari_export_request ENABLE ALWAYS TRIGGER dawdle;
SQL
my $written = $test->enqueue;
$other->send('CALL clari_export_drain()');
$test->await_activity($other->pid, q{wait_event = 'PgSleep'});
$session->run('SELECT pg_cancel_backend(' . $other->pid . ')');
is($other->receive->{sqlstate}, '57014', 'a drain is cancelled while it writes');
is($other->run('SELECT 1')->{rows}, 1, 'its session is not left in a transaction that failed');
$test->superuser->run('DROP FUNCTION dawdle() CASCADE');
drain(undef, $other);
is(states($written), 'done', 'and drains again');

# ----------
# Two at once
# ----------

# The first is in the middle of an export; the second must not touch its lane, whose rows look abandoned.
sub two_at_once
{
	my ($name) = @_;
	$sim->reset({ job => ENDLESS });
	my @both = map { $test->enqueue } 1 .. 2;
	$other->send('CALL clari_export_drain()');
	my $job_id = $test->await_state('running', $both[0])->{job_id};
	my $before = scalar submissions;
	drain;
	is(states(@both), 'running queued', "$name: a second drain leaves the lane to the first");
	is(scalar submissions, $before, 'and submits nothing');
	my $elsewhere = $test->enqueue(server => 'second');
	$sim->jobs({ statuses => [ [ 0, 'DONE' ] ] });
	drain;
	is(states($elsewhere), 'done', 'but works in another lane');
	$sim->finish_job($job_id);
	$sim->finish_job($test->await_state('running', $both[1])->{job_id});
	is($other->receive->{sqlstate}, undef, 'the first one finishes');
	is(states(@both), 'done done', 'its requests');
	is($sim->stats->{keys}{'demo-key'}{accepted}, 2, 'each submitted once');
	return;
}
two_at_once('without preloading');

# Both at the same moment, over and over.
$sim->reset;
my @many = map { $test->enqueue } 1 .. 10;
$other->send('CALL clari_export_drain()');
drain;
is($other->receive->{sqlstate}, undef, 'two drains at once');
drain;
is(join(' ', map { $_->{state} } $test->requests('id >= ' . $many[0])), join(' ', ('done') x 10), 'together do all');
is($sim->stats->{keys}{'demo-key'}{accepted}, 10, 'nothing twice');

# ----------
# Who calls it
# ----------

$test->superuser->run(
	q{CREATE ROLE analyst LOGIN;
	  GRANT USAGE ON FOREIGN SERVER clari, second TO analyst;
	  CREATE USER MAPPING FOR analyst SERVER second OPTIONS (api_key 'demo-key')});
my $analyst = $test->new_session(user => 'analyst');
my $own     = $test->enqueue(server => 'second', session => $analyst);
my $theirs  = $test->enqueue(server => 'second');
drain(undef, $analyst);
is(states($own, $theirs), 'done queued', "a role's drain works on its own requests");
drain(undef, $test->superuser);
is(states($theirs), 'done', "a superuser's on all");

# Nothing of the caller's is called, whatever its search_path.
$test->superuser->run(
	q{CREATE SCHEMA shadow;
	  GRANT USAGE ON SCHEMA shadow TO PUBLIC;
	  CREATE TABLE shadow.called (what text);
	  CREATE TABLE shadow.clari_export_request AS SELECT * FROM public.clari_export_request;
	  CREATE TABLE shadow.clari_export_snapshot AS SELECT * FROM public.clari_export_snapshot;
	  CREATE FUNCTION shadow.evil(text) RETURNS void LANGUAGE sql AS 'INSERT INTO shadow.called VALUES ($1)';
	  CREATE FUNCTION shadow.now() RETURNS timestamptz LANGUAGE sql AS
		$$SELECT shadow.evil('now'); SELECT pg_catalog.now()$$;
	  CREATE FUNCTION shadow.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
		$$SELECT shadow.evil('clock_timestamp'); SELECT pg_catalog.now()$$;
	  CREATE FUNCTION shadow.pg_notify(text, text) RETURNS void LANGUAGE sql AS $$SELECT shadow.evil('pg_notify')$$;
	  CREATE FUNCTION shadow.json_build_object(VARIADIC "any") RETURNS json LANGUAGE internal AS 'json_build_object';
	  CREATE FUNCTION shadow.equal(text, text) RETURNS bool LANGUAGE sql AS $$SELECT shadow.evil('='); SELECT false$$;
	  CREATE FUNCTION shadow.equal(bigint, bigint) RETURNS bool LANGUAGE sql AS $$SELECT shadow.evil('='); SELECT false$$;
	  CREATE FUNCTION shadow.equal(name, name) RETURNS bool LANGUAGE sql AS $$SELECT shadow.evil('='); SELECT false$$;
	  CREATE OPERATOR shadow.= (LEFTARG = text, RIGHTARG = text, FUNCTION = shadow.equal);
	  CREATE OPERATOR shadow.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = shadow.equal);
	  CREATE OPERATOR shadow.= (LEFTARG = name, RIGHTARG = name, FUNCTION = shadow.equal);
	  CREATE DOMAIN shadow.text AS pg_catalog.int4;
	  GRANT INSERT ON shadow.called TO PUBLIC});
$session->run('SET search_path = shadow, pg_catalog, public');
my $shadowed = $session->value(
	q{INSERT INTO public.clari_export_request (forecast_id, time_period) VALUES ('net_arr', '2026_Q1') RETURNING id});
drain;
my $enqueued = $session->run(q{SELECT public.clari_export_enqueue('net_arr', dedupe_key => 'shadowed')});
is($enqueued->{sqlstate}, undef, 'enqueue under a search_path that shadows everything') or diag explain $enqueued;
drain;
$session->run('RESET search_path');
is(states($shadowed, $enqueued->{rows}), 'done done', 'drain under a search_path that shadows everything');
is($test->superuser->value('SELECT count(*) FROM shadow.called'), 0, 'calls nothing of it');

# ----------
# A role that was dropped
# ----------

$test->superuser->run($_) for 'CREATE ROLE leaver LOGIN', 'GRANT USAGE ON FOREIGN SERVER clari TO leaver';
my $leaver = $test->new_session(user => 'leaver');
my $left   = $test->enqueue(session => $leaver, run_after => '2999-01-01');
$leaver->quit;
$test->superuser->run($_) for 'DROP OWNED BY leaver', 'DROP ROLE leaver';
drain;
is($test->superuser->value("SELECT requested_by, state, error_code FROM clari_export_request WHERE id = $left"), '-|failed|42704',
	'a drain leaves its requests to nobody');

# ----------
# Retention
# ----------

$node->append_conf('postgresql.conf', "clari_export.request_retention = '1 ms'");
$node->reload;
$test->await('the setting', sub { $session->value('SHOW clari_export.request_retention') eq '1 ms' });
$analyst->run('SELECT 1');
drain(undef, $test->superuser);
is(scalar($test->requests('finished_at IS NOT NULL')), 0, 'a drain removes what is kept no longer');
is(states($later), 'queued', 'and nothing else');
$node->append_conf('postgresql.conf', "clari_export.request_retention = '90 days'");

# ----------
# With preloading
# ----------

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'clari_export'\nclari_export.databases = ''");
$node->restart;
$test->quit_sessions;
$session = $test->session;
$other = $test->new_session;
two_at_once('preloaded');

# A drain beside a worker.
$node->append_conf('postgresql.conf', "clari_export.databases = 'postgres'");
$node->reload;
$test->worker_pid;
$sim->reset({ job => ENDLESS });
my $workers = $test->enqueue;
my $job = $test->await_state('running', $workers)->{job_id};
drain;
is(states($workers), 'running', 'a drain leaves a lane to the worker');
$sim->finish_job($job);
$test->await_state('done', $workers);
$sim->reset;
@many = map { $test->enqueue } 1 .. 10;
drain;
$test->await_state('done', @many);
is($sim->stats->{keys}{'demo-key'}{accepted}, 10, 'a drain and the worker do nothing twice');

done_testing();
