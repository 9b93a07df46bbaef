# Adaptive polling: durations are learned by the queue and by the functions that wait, outlive requests and restarts,
# and place the polls of later exports.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $STATUS = qr{^/export/jobs/\w+$};

my $test = ClariTest->new('polling', options => { poll_max_attempts => 1000, poll_max_delay => '10 s' });
my ($node, $sim, $session, $super) = ($test->node, $test->sim, $test->session, $test->superuser);

$test->create_server('plain', polling => 'backoff', poll_max_attempts => 1000, poll_max_delay => '10 s');

sub jobs_take
{
	my ($milliseconds) = @_;
	$sim->reset({ job => { duration_ms => $milliseconds } });
	return;
}

sub known
{
	my ($condition) = @_;
	return $super->value("SELECT count(*) FROM clari_export_duration WHERE $condition");
}

# As if so many exports of a size had taken so long.
sub teach
{
	my ($count, $milliseconds, %of) = @_;
	%of = (server => 'clari', forecast => 'net_arr', size => '', %of);
	$super->run(
		"INSERT INTO clari_export_duration SELECT '$of{server}', 'forecast', '$of{forecast}', '$of{size}',"
		. " now() - n * interval '1 day', $milliseconds FROM generate_series(1, $count) n");
	return;
}

sub export_waiting
{
	my ($forecast, $options, $server) = @_;
	my $before = $sim->log(path => $STATUS);
	$session->value("SELECT clari_export('$forecast', '2026_Q2', '$options', '$server') IS NOT NULL");
	return $sim->log(path => $STATUS) - $before;
}

sub export_queued
{
	my ($forecast, $options, $server) = @_;
	return $test->await_state('done', $test->enqueue(forecast_id => $forecast, options => $options, server => $server))->{polls};
}

# ----------
# Learning
# ----------

jobs_take(20);
export_queued('net_arr', '{}', 'clari');
is(known(q{kind = 'forecast' AND forecast_id = 'net_arr' AND size = '' AND server = 'clari'}), 1, 'the queue learns');
is(known('milliseconds BETWEEN 1 AND 10000'), 1, 'how long the job took');
export_waiting('net_arr', '{}', 'clari');
is(known(q{forecast_id = 'net_arr' AND size = ''}), 2, 'so does a function that waits');
export_waiting('net_arr', '{"includeHistorical": true, "typesToExport": ["forecast", "quota"], "currency": "EUR"}', 'clari');
is(known(q{forecast_id = 'net_arr' AND size = 'historical 2'}), 1, 'of another size apart');
export_queued('net_arr', '{"scopeId": "1905::MGR"}', 'clari');
is(known(q{size = 'scoped'}), 1, 'and of a scope');
is($super->value(q{SELECT clari_export_size('{"scopeId": null, "typesToExport": {}, "includeHistorical": [true]}')}),
	'scoped', 'options of any type have a size');

$session->run(q{BEGIN READ ONLY});
is($session->value(q{SELECT clari_export('net_arr', '2026_Q2') ? 'entries'}), 't', 'an export in a read-only transaction');
$session->run('COMMIT');
is(known(q{forecast_id = 'net_arr' AND size = ''}), 2, 'is not learned from');

my $open = $test->new_session;
$open->run('BEGIN');
$open->run(q{SELECT clari_export('net_arr', '2026_Q2') IS NOT NULL});
cmp_ok(export_queued('net_arr', '{}', 'clari'), '>', 0, 'whoever has noted one holds nobody up');
$open->run('ROLLBACK');
is(known(q{forecast_id = 'net_arr' AND size = ''}), 3, 'and notes nothing if it rolls back');

$session->fails('SELECT * FROM clari_export_duration', '42501', 'users do not read it');

# ----------
# It is kept, and not too much of it
# ----------

teach(60, 300, forecast => 'renewals');
export_queued('renewals', '{}', 'clari');
$node->reload;
$test->await('too many to be forgotten', sub { known(q{forecast_id = 'renewals'}) <= 50 });
is(known(q{forecast_id = 'renewals'}), 50, 'the latest 50 are kept');
is(known(q{forecast_id = 'renewals' AND milliseconds <> 300}), 1, 'the last one among them');

$super->run("SELECT clari_export_delete_request(id) FROM clari_export_request WHERE forecast_id = 'renewals'");
$super->run('ALTER SERVER plain RENAME TO simple');
$test->quit_sessions;
$node->restart;
($session, $super) = ($test->session, $test->superuser);
is(known(q{forecast_id = 'renewals'}), 50, 'they outlive requests and restarts');

# ----------
# Polling by it
# ----------

# After 1 s each, a job of 60 ms is over before the first poll; the backoff asks after 5, 12, 24, 41, 66 ms.
for my $export (\&export_waiting, \&export_queued)
{
	my $way = $export == \&export_waiting ? 'a function' : 'the queue';

	jobs_take(60);
	$super->run('DELETE FROM clari_export_duration');
	teach(2, 1000);
	cmp_ok($export->('net_arr', '{}', 'clari'), '>', 1, "$way knows two exports: the backoff");
	$super->run('DELETE FROM clari_export_duration');
	teach(10, 1000);
	teach(10, 1000, server => 'simple');
	is($export->('net_arr', '{}', 'clari'), 1, "$way knows ten: it asks when the job is likely done");
	cmp_ok($export->('services', '{}', 'clari'), '>', 1, "$way does not know those of another forecast");
	cmp_ok($export->('net_arr', '{"includeHistorical": true}', 'clari'), '>', 1, "$way, nor of another size");
	cmp_ok($export->('net_arr', '{}', 'simple'), '>', 1, "$way uses none with polling = backoff");
}

# ----------
# When it will be done
# ----------

$super->run('DELETE FROM clari_export_duration');
teach(20, 600_000);
$sim->reset({ job => { statuses => [ [ 0, 'STARTED' ] ] } });
my $request = $test->enqueue;
$test->await_state('running', $request);
my $queued = $test->enqueue;
my $shown = "FROM clari_export_progress p JOIN clari_export_request r ON r.id = p.request_id WHERE r.id";
is($session->value("SELECT p.expected_end - r.submitted_at BETWEEN '9 min' AND '11 min' $shown = $request"), 't', 'progress shows when it will be done');
is($session->value("SELECT p.expected_end - now() > '9 min' $shown = $queued"), 't', 'and when one that waits will be');
is($session->value("SELECT clari_export_expected_duration('clari', 'forecast', 'net_arr', '{}', '1 hour') >= '1 hour'"), 't', 'never before now');
$super->run('CREATE ROLE stranger');
$super->run('SET ROLE stranger');
is($super->value("SELECT clari_export_expected_duration('clari', 'forecast', 'net_arr', '{}', '0') IS NULL"), 't', 'who may not use the server learns nothing');

done_testing;
