# A dump keeps requests and snapshots, and a restored queue works, when somebody has said that it is the one to go on;
# until then a copy of a database works on none of the requests that came with it.

use strict;
use warnings;

use Test::More;
use ClariTest;

use constant ENDLESS => { statuses => [ [ 0, 'STARTED' ] ] };

my $test = ClariTest->new(
	'queue_restore',
	options => { poll_max_attempts => 100_000 },
	conf    => "max_worker_processes = 16\n");
my ($node, $sim, $session) = ($test->node, $test->sim, $test->session);

my $requests  = q{SELECT md5(string_agg(r::text, ' ' ORDER BY id)) FROM clari_export_request r};
my $snapshots = q{SELECT md5(string_agg(s::text, ' ' ORDER BY request_id)) FROM clari_export_snapshot s};
my $dump      = $node->basedir . '/dump.sql';

# One request in each state, of two roles.
$test->superuser->run(
	q{CREATE ROLE analyst LOGIN;
	  GRANT USAGE ON FOREIGN SERVER clari TO analyst;
	  CREATE USER MAPPING FOR analyst SERVER clari OPTIONS (api_key 'second-key')});
my $analyst = $test->new_session(user => 'analyst');
$sim->jobs({}, { outcome => 'FAILED' });
$test->await_state('done',   $test->enqueue(time_period => '2026_Q1'));
$test->await_state('failed', $test->enqueue);
$test->await_state('done',   $test->enqueue(session => $analyst));
my $far = $test->enqueue(run_after => '2999-01-01', options => '{"currency": "EUR"}', priority => 3, dedupe_key => 'far');
is($session->value('SELECT clari_export_cancel(' . $test->enqueue(run_after => '2999-01-01') . ')'), 'cancelled',
	'a cancelled one');
$sim->reset({ job => ENDLESS });
my $running = $test->enqueue;
my $job     = $test->await_state('running', $running)->{job_id};
$test->superuser->run(q{ALTER SERVER clari OPTIONS (ADD paused 'true')});
my $queued = $test->enqueue;
$test->await('the hold', sub { $test->requests(q{hold_reason = 'paused'}) });

# The worker must not write while the two are compared.
$node->append_conf('postgresql.conf', "clari_export.databases = ''");
$node->reload;
$test->await('the end of the worker',
	sub { !$test->superuser->value(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'clari_export worker'}) });

$node->command_ok([ 'pg_dump', '--file', $dump, 'postgres' ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--file', $dump, 'restored' ],
	'it is restored into a fresh database');
my $restored = $test->new_session(database => 'restored');
my $restorer = $test->new_session(database => 'restored', superuser => 1);
is($restorer->value($requests),  $test->superuser->value($requests),  'with all requests');
is($restorer->value($snapshots), $test->superuser->value($snapshots), 'and all snapshots');
is($restorer->value('SELECT count(*) FROM clari_export_snapshot'), 2, 'of which there are two');
is($restorer->value('SELECT count(DISTINCT state) FROM clari_export_request'), 5, 'in five states');

# Its worker leaves what came with it alone: what is due fails, and says why.
my $taken_over = q{SELECT string_agg(clari_export_retry(id), ' ' ORDER BY id) FROM clari_export_request
	WHERE made_in <> clari_export_this_database() AND (state IN ('queued', 'submitting', 'running') OR error_message ~ 'another database')};
my $asked = ($sim->log)[-1]{n};
$node->append_conf('postgresql.conf', "clari_export.databases = 'restored'");
$node->reload;
$test->await_state('failed', $running, $restored);
$restorer->run(q{ALTER SERVER clari OPTIONS (DROP paused)});
my $copied = $test->await_state('failed', $queued, $restored);
is($copied->{error_code}, 'RC011', 'a copy of a request fails');
like($copied->{error_message}, qr/another database/, 'because it is one');
like($copied->{error_hint}, qr/^If only this one goes on with it: SELECT public\.clari_export_retry\(${queued}::bigint\);$/, 'with what to do');
is($test->request($far, $restored)->{state}, 'queued', 'one for later waits for its time');
my $own = $test->enqueue(session => $restored);
$test->await('a new request to be submitted', sub { $test->request($own, $restored)->{state} eq 'running' });
is(scalar $sim->log(since => $asked, method => 'POST'), 1, 'which is all that is');
is(scalar $sim->log(since => $asked, path => qr{/export/jobs/$job}), 0, 'nor does it ask for the job of the running one');
is($restored->value("SELECT clari_export_cancel($own)"), 'cancelled', 'it is cancelled');
$restorer->run(q{ALTER SERVER clari OPTIONS (ADD paused 'true')});

# Somebody says that this is the one.
is($restorer->value($taken_over), 'queued running queued', 'all of them go on from where they stood');
$sim->finish_job($job);
my $done = $test->await_state('done', $running, $restored);
is($done->{job_id}, $job, 'the running request goes on with its job');
$restorer->run(q{ALTER SERVER clari OPTIONS (DROP paused)});
$sim->finish_job($test->await_state('running', $queued, $restored)->{job_id});
$test->await_state('done', $queued, $restored);
pass('the queued one is exported');
is($sim->stats->{keys}{'demo-key'}{accepted}, 3, 'each was submitted once');
is($test->request($far, $restored)->{state}, 'queued', 'the one for later waits');
is($restored->value(q{SELECT clari_export_enqueue('net_arr', dedupe_key => 'far')}), $far, 'and keeps its dedupe_key');
my $new = $test->enqueue(session => $restored);
cmp_ok($new, '>', $queued, 'a new request has a new id');
$sim->finish_job($test->await_state('running', $new, $restored)->{job_id});
$test->await_state('done', $new, $restored);

# What was granted is still granted, and no more.
my $restored_analyst = $test->new_session(database => 'restored', user => 'analyst');
is($restored_analyst->value('SELECT count(*) FROM clari_export_request'), 1, 'row security is restored');
$restored_analyst->fails(q{INSERT INTO clari_export_request (forecast_id, state) VALUES ('net_arr', 'done')},
	'42501', 'so are the privileges');
$restored_analyst->fails("SELECT clari_export_cancel($far)", '42704', "another role's request");

# A copy of the files is one, too, without any worker; what becomes of one that was there alone is no copy.
my $drain = sub
{
	my ($database, @before) = @_;
	my $session = $test->new_session(database => $database, superuser => 1);
	$session->run($_) for @before, 'CALL clari_export_drain()';
	my $request = $test->request($far, $session);
	$session->quit;
	return join ' ', grep { defined } @$request{qw(state error_code hold_reason)};
};
my @due = "UPDATE clari_export_request SET run_after = now(), ready = true WHERE id = $far";
my @pause = q{ALTER SERVER clari OPTIONS (ADD paused 'true')};
$node->append_conf('postgresql.conf', "clari_export.databases = ''");
$node->reload;
$test->await('the end of the worker',
	sub { !$test->superuser->value(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'clari_export worker'}) });
$_->quit for $restored, $restorer, $restored_analyst;
$test->superuser->run('CREATE DATABASE twin TEMPLATE restored');
is($drain->('twin', @due), 'failed RC011', 'a template\'s requests are not those of the copy');
is($drain->('restored', @due, @pause), 'queued paused', 'but its own');
$test->superuser->run($_) for 'DROP DATABASE twin', 'CREATE DATABASE twin TEMPLATE restored', 'DROP DATABASE restored WITH (FORCE)';
is($drain->('twin'), 'queued paused', 'and of the one that is left');

done_testing();
