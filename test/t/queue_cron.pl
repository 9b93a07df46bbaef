# pg_cron, the real one: it schedules enqueues for the worker, and drains where
# clari_export is not preloaded.
#
# The jobs are scheduled for @reboot, which every version of pg_cron knows, and
# the start of the server is the moment. Seconds came with version 1.5.

use strict;
use warnings;

use Test::More;
use ClariTest;

plan skip_all => 'pg_cron is not installed' unless pg_cron_is_installed();

sub pg_cron_is_installed
{
	chomp(my $directory = `pg_config --sharedir`);
	return -e "$directory/extension/pg_cron.control";
}

my $conf = q{
	shared_preload_libraries = 'pg_cron, clari_export'
	cron.database_name = 'postgres'
	cron.use_background_workers = on
	max_worker_processes = 16
};

sub restart
{
	my ($test) = @_;
	$test->quit_sessions;
	$test->node->restart;
	return;
}

# What has become of the last run of a scheduled job.
sub await_run
{
	my ($test, $job) = @_;
	return $test->await(
		'the scheduled job to run',
		sub {
			my $run = $test->superuser->value(
				"SELECT status || ': ' || return_message FROM cron.job_run_details
				 WHERE jobid = $job AND status IN ('succeeded', 'failed') ORDER BY runid DESC LIMIT 1");
			return length $run ? $run : undef;
		});
}

# ----------
# Enqueues, which the worker works on
# ----------

my $test = ClariTest->new('queue_cron', conf => $conf);
$test->superuser->run('CREATE EXTENSION pg_cron; GRANT USAGE ON SCHEMA cron TO exporter');
my $job = $test->session->value(
	q{SELECT cron.schedule('clari', '@reboot',
	  $$SELECT clari_export_enqueue('net_arr', '2026_Q2', dedupe_key => 'net_arr daily')$$)});
is($test->session->value('SELECT count(*) FROM clari_export_request'), 0, 'nothing is queued before its time');

restart($test);
like(await_run($test, $job), qr/^succeeded/, 'pg_cron runs the scheduled enqueue');
my ($request) = $test->requests('true');
is($request->{dedupe_key}, 'net_arr daily', 'it queued a request');
$test->await_state('done', $request->{id});
is($test->session->value('SELECT count(*) FROM clari_export_snapshot'), 1, 'which the worker exported');

restart($test);
$test->await('another request', sub { $test->requests('true') == 2 });
$test->await_state('done', map { $_->{id} } $test->requests('true'));
is(scalar $test->sim->log(method => 'POST'), 2, 'and again the next time');

# A role's schedule queues for that role.
$test->session->run(q{SELECT cron.unschedule('clari')});
$test->superuser->run(
	q{CREATE ROLE analyst LOGIN;
	  GRANT USAGE ON SCHEMA cron TO analyst;
	  GRANT USAGE ON FOREIGN SERVER clari TO analyst;
	  CREATE USER MAPPING FOR analyst SERVER clari OPTIONS (api_key 'demo-key')});
my $analyst = $test->new_session(user => 'analyst');
$job = $analyst->value(q{SELECT cron.schedule('clari', '@reboot', $$SELECT clari_export_enqueue('renewals')$$)});
$analyst->quit;
restart($test);
like(await_run($test, $job), qr/^succeeded/, "a role's scheduled enqueue");
my ($own) = $test->requests(q{requested_by = 'analyst'::regrole});
is($test->await_state('done', $own->{id})->{forecast_id}, 'renewals', 'is a request of that role');
$test->quit_sessions;
$test->node->stop('fast');

# ----------
# Drains, without clari_export preloaded
# ----------

my $plain = ClariTest->new('queue_cron_drain', conf => $conf =~ s/, clari_export'/'/r);
$plain->superuser->run('CREATE EXTENSION pg_cron; GRANT USAGE ON SCHEMA cron TO exporter');
is($plain->superuser->value('SHOW shared_preload_libraries'), 'pg_cron', 'clari_export is not preloaded');
$job = $plain->session->value(
	q{SELECT cron.schedule('clari drain', '@reboot', $$CALL clari_export_drain(max_runtime => '1 hour', max_requests => 3)$$)});
my @requests = map { $plain->enqueue } 1 .. 3;
is(scalar $plain->sim->log, 0, 'nobody works on the queue');
restart($plain);
like(await_run($plain, $job), qr/^succeeded/, 'pg_cron runs the scheduled drain');
$plain->await_state('done', @requests);
is($plain->session->value('SELECT count(*) FROM clari_export_snapshot'), 3, 'which exported all that was queued');
is($plain->sim->stats->{keys}{'demo-key'}{accepted}, 3, 'with one submission each');

done_testing();
