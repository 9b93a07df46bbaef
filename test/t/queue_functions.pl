# clari_export_enqueue, _wait, _cancel and _retry of a request, what is told at
# its end, and how long it is kept.

use strict;
use warnings;

use JSON::PP ();
use Test::More;
use ClariTest;

use constant ENDLESS => { statuses => [ [ 0, 'STARTED' ] ] };

my $test = ClariTest->new('queue_functions', options => { poll_max_attempts => 100_000 });
my ($node, $sim, $session) = ($test->node, $test->sim, $test->session);
my $other = $test->new_session;

sub submissions
{
	return $sim->log(method => 'POST', path => qr{^/export/(?!jobs/)});
}

sub cancels
{
	return $sim->log(method => 'PATCH', @_);
}

sub job_of
{
	my ($id) = @_;
	return $test->await_state('running', $id)->{job_id};
}

sub enqueue
{
	my ($arguments) = @_;
	return $session->value("SELECT clari_export_enqueue($arguments)");
}

# Waits until the session waits in a function of the queue.
sub await_wait
{
	my ($waiting) = @_;
	$test->await_activity($waiting->pid, q{state = 'active' AND wait_event IS NOT NULL});
	return;
}

# A request that failed as the rules say.
sub failed_request
{
	my ($code, @rules) = @_;
	$sim->rules(@rules);
	my $id = $test->enqueue;
	is($test->await_state('failed', $id)->{error_code}, $code, "a request fails with $code");
	return $id;
}

# ----------
# clari_export_wait
# ----------

my $id = enqueue(q{'net_arr', '2026_Q2'});
ok($session->value("SELECT clari_export_wait($id)"), 'wait returns something');
is($session->value("SELECT clari_export_wait($id) = (SELECT result FROM clari_export_snapshot WHERE request_id = $id)"),
	't', 'which is the snapshot');
is($session->value("SELECT clari_export_wait($id) ? 'entries'"), 't', 'again, when it is done');
my $snapshot = $session->value(
	"SELECT concat_ws(' ', server, kind, forecast_id, time_period, truncated, requested_by = current_user::text::regrole, exported_at <= now())
	 FROM clari_export_snapshot WHERE request_id = $id");
is($snapshot, 'clari forecast net_arr 2026_Q2 f t t', 'the snapshot says of what it is');

# What was asked for as CSV is stored in the flat form, and the current quarter under its name, in the history too.
$id = enqueue(q{'net_arr', options => '{"exportFormat": "CSV", "typesToExport": ["forecast"]}'});
is($session->value("SELECT jsonb_typeof(clari_export_wait($id))"), 'array', 'an export as CSV is an array of rows');
is($session->value("SELECT time_period FROM clari_export_snapshot WHERE request_id = $id"), '2026_Q3', 'the current quarter has its name');
is($session->value("SELECT string_agg(DISTINCT time_period, ' ') FROM clari_export_history WHERE request_id = $id"), '2026_Q3', 'and a history');

$sim->reset({ job => ENDLESS });
my $running = enqueue(q{'net_arr'});
my $job     = job_of($running);
my $timeout = $session->fails("SELECT clari_export_wait($running, '20 ms')", 'RC007', 'a wait that takes too long');
like($timeout->{detail}, qr/running/,                             'which tells the state');
like($timeout->{hint},   qr/SELECT public\.clari_export_wait\(${running}::bigint\)/, 'and how to go on');
$session->fails("SELECT clari_export_wait($running, '0')", 'RC007', 'a wait that does not wait');
$session->run(q{SET statement_timeout = '50 ms'});
$session->fails("SELECT clari_export_wait($running, '$_')", '57014', "a wait for $_") for '300000 years', '178956970 years';
$session->run('RESET statement_timeout');
$session->fails('SELECT clari_export_wait(0)',             '42704', 'no such request');
$other->send("SELECT clari_export_wait($running) ? 'entries'");
await_wait($other);
$sim->finish_job($job);
is($other->receive->{rows}, 't', 'a session that waits is woken');

for my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	$session->run("BEGIN ISOLATION LEVEL $level");
	$session->fails("SELECT clari_export_wait($running)", '25001', "a wait in $level");
	$session->run('ROLLBACK');
}
$session->run('BEGIN');
my $uncommitted = enqueue(q{'net_arr'});
$session->fails("SELECT clari_export_wait($uncommitted)", '25001', 'a wait for what is not committed');
$session->run('ROLLBACK');

$sim->reset;
for my $failure (
	[ RC001 => { do => { status => 401 } } ],
	[ RC002 => { match => { method => 'POST' }, do => { status => 400, body => { code => 'bad', message => 'no such thing' } } } ])
{
	my ($code, $rule) = @$failure;
	my $failed  = failed_request($code, $rule);
	my $request = $test->request($failed);
	my $raised  = $session->fails("SELECT clari_export_wait($failed)", $code, 'a wait for a failed request');
	is($raised->{message}, $request->{error_message}, 'with its message');
	is($raised->{hint},    $request->{error_hint},    'and its hint');
}
$sim->jobs({ outcome => 'FAILED' });
my $job_failed = $test->enqueue;
$session->fails("SELECT clari_export_wait($job_failed)", 'RC006', 'a wait for a job that fails');

$session->run("SELECT clari_export_delete_snapshot($id)");
$session->fails("SELECT clari_export_wait($id)", 'P0002', 'a wait for a result that was deleted');

# ----------
# clari_export_cancel, in every state
# ----------

$test->superuser->run(q{ALTER SERVER clari OPTIONS (ADD paused 'true')});
my $queued = $test->enqueue;
is($session->value("SELECT clari_export_cancel($queued)"), 'cancelled', 'a queued request is cancelled');
is($test->request($queued)->{state}, 'cancelled', 'it stays so');
$test->superuser->run(q{ALTER SERVER clari OPTIONS (DROP paused)});
is(scalar cancels, 0, 'Clari has nothing to do with it');
$session->fails("SELECT clari_export_wait($queued)", 'RC006', 'a wait for a cancelled request');

# The job ends at Clari at once, and the worker asks for it all the time: what it sees must not be a failure.
for my $round (1 .. 5)
{
	$sim->reset({ job => ENDLESS });
	$sim->rules({ match => { method => 'PATCH' }, do => { delay_ms => 100 } });
	my $cancelled = $test->enqueue;
	my $next      = $test->enqueue;
	my $job_id    = job_of($cancelled);
	is($session->value("SELECT clari_export_cancel($cancelled)"), 'cancelled', 'a running request is cancelled');
	is($test->request($cancelled)->{state}, 'cancelled', 'and stays so');
	is(scalar cancels(job_id => $job_id), 1, 'at Clari, too');
	isnt($sim->job($job_id)->{job}{status}, 'STARTED', 'where the job has ended');
	$sim->finish_job(job_of($next));
	$test->await_state('done', $next);
}

# One that waits gets to know.
$sim->reset({ job => ENDLESS });
$running = $test->enqueue;
$job     = job_of($running);
$other->send("SELECT clari_export_wait($running)");
await_wait($other);
$session->run("SELECT clari_export_cancel($running)");
is($other->receive->{sqlstate}, 'RC006', 'who waits for a request that is cancelled gets an error');

# While the submission is on its way.
$sim->reset({ job => ENDLESS });
$sim->rules({ match => { method => 'POST' }, do => { delay_ms => 700 } });
my $submitting = $test->enqueue;
$sim->wait_for_log(1, method => 'POST');
is($test->request($submitting)->{state}, 'submitting', 'a request is being submitted');
is($session->value("SELECT clari_export_cancel($submitting)"), 'cancelled', 'it is cancelled');
is(scalar cancels, 1, 'at Clari, once that has the job');

# A job that is over is not cancelled; the worker does not know yet.
$sim->reset({ job => ENDLESS });
$sim->rules({ match => { method => 'GET', path => '^/export/jobs/\w+$' }, do => { hang => \1 } });
my $late = $test->enqueue;
$job = job_of($late);
$sim->wait_for_log(1, method => 'GET', path => qr{^/export/jobs/\w+$});
$sim->finish_job($job);
is($session->value("SELECT clari_export_cancel($late)"), 'running', 'a request whose job is done is not cancelled');
$test->await_state('done', $late);
is($session->value("SELECT clari_export_cancel($late)"),       'done',   'nor one that is done');
is($session->value("SELECT clari_export_cancel($job_failed)"), 'failed', 'nor one that failed');
is(scalar cancels, 1, 'of which Clari hears nothing');

# An error on the way leaves it as it was.
$sim->reset({ job => ENDLESS });
$running = $test->enqueue;
$job     = job_of($running);
$sim->rules({ match => { method => 'PATCH' }, do => { status => 403 } });
$session->fails("SELECT clari_export_cancel($running)", 'RC001', 'a cancellation that Clari refuses');
is($test->request($running)->{state}, 'running', 'leaves the request as it is');
$sim->finish_job($job);
$test->await_state('done', $running);

# ----------
# clari_export_retry
# ----------

sub retry_is
{
	my ($failed, $state, $accepted, $name) = @_;
	is($session->value("SELECT clari_export_retry($failed)"), $state, "$name: retry makes it $state");
	my $request = $test->await_state('done', $failed);
	is($request->{error_code} // $request->{error_message} // $request->{error_hint}, undef, 'and forgets the error');
	is($sim->stats->{keys}{'demo-key'}{accepted}, $accepted, "Clari accepted $accepted");
	return;
}

$session->fails("SELECT clari_export_retry($running)", '55000', 'retry of a request that has not failed');

$sim->reset;
retry_is(failed_request('RC001', { match => { method => 'POST' }, do => { status => 401 } }), 'queued', 1, 'a refused key');

$sim->reset;
$sim->jobs({ outcome => 'FAILED' });
retry_is(failed_request('RC006'), 'queued', 2, 'a job that failed');

$sim->reset;
retry_is(
	failed_request('RC008', { match => { path => '/results$' }, do => { body_text => '{"entries": "' . '\u0000"}' } }),
	'running', 1, 'a result that cannot be stored');

$sim->reset({ job => ENDLESS });
$test->set_options('clari', poll_max_attempts => 2);
my $impatient = failed_request('RC007');
$test->set_options('clari', poll_max_attempts => 100_000);
$sim->finish_job($test->request($impatient)->{job_id});
retry_is($impatient, 'running', 1, 'a job that took too long');

# Clari has accepted, but the answer was not awaited because the mapping was dropped.
$sim->reset;
$sim->rules({ match => { method => 'POST' }, do => { hang => \1, process => \1 } });
my $orphan = $test->enqueue;
$sim->wait_for_log(1, method => 'POST');
$session->run('DROP USER MAPPING FOR CURRENT_USER SERVER clari');
is($test->await_state('failed', $orphan)->{error_code}, '42704', 'a request fails while it is submitted');
$session->run(q{CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key 'demo-key')});
retry_is($orphan, 'submitting', 1, 'a submission that may have arrived');

# The key of a failed request may be taken by then.
$test->superuser->run(q{ALTER SERVER clari OPTIONS (ADD paused 'true')});
my $first = $test->enqueue(dedupe_key => 'daily', run_after => 'now');
$test->superuser->run("UPDATE clari_export_request SET state = 'failed', finished_at = now() WHERE id = $first");
$test->enqueue(dedupe_key => 'daily');
$session->fails("SELECT clari_export_retry($first)", '23505', 'retry of a request whose dedupe_key is taken');
$test->superuser->run(q{ALTER SERVER clari OPTIONS (DROP paused)});
$test->await_state('done', map { $_->{id} } $test->requests(q{dedupe_key = 'daily' AND state <> 'failed'}));

# ----------
# Who waits with a dedupe_key
# ----------

$sim->reset({ job => ENDLESS });
my $daily = enqueue(q{'net_arr', dedupe_key => 'daily'});
$job = job_of($daily);
is(enqueue(q{'net_arr', dedupe_key => 'daily'}), $daily, 'a running request has its key');
$sim->finish_job($job);
$test->await_state('done', $daily);
$sim->reset;
my $next_day = enqueue(q{'net_arr', dedupe_key => 'daily'});
isnt($next_day, $daily, 'a finished one gives it back');
$test->await_state('done', $next_day);

# Two sessions at once.
$session->run('BEGIN');
my $won = enqueue(q{'net_arr', dedupe_key => 'race'});
$other->send(q{SELECT clari_export_enqueue('net_arr', dedupe_key => 'race')});
$test->await('the other session to wait',
	sub { $test->superuser->value('SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = ' . $other->pid) });
$session->run('COMMIT');
my $lost = $other->receive->{rows};
ok($lost == $won || $test->request($won)->{state} eq 'done', 'of two sessions one waits for the other');
$test->await_state('done', $won, $lost);

# ----------
# NOTIFY
# ----------

$other->run('LISTEN clari_export');
$sim->reset;
$sim->jobs({}, { outcome => 'FAILED' });
my %end = (
	$test->enqueue(time_period => '2026_Q1')  => 'done',
	$test->enqueue(forecast_id => 'renewals') => 'failed');
$test->await_state('done|failed', keys %end);
$sim->configure({ job => ENDLESS });
my $cancelled = $test->enqueue(time_period => '2026_Q2');
job_of($cancelled);
$session->run("SELECT clari_export_cancel($cancelled)");
$end{$cancelled} = 'cancelled';
my %told;
my $output = '';
$test->await(
	'three notifications',
	sub {
		$output .= $other->value('SELECT NULL WHERE false') . "\n";
		return 3 == (() = $output =~ /Asynchronous notification/g);
	});
while ($output =~ /Asynchronous notification "clari_export" with payload "(\{.*?\})" received/g)
{
	my $payload = JSON::PP->new->decode($1);
	is_deeply([ sort keys %$payload ], [qw(request_id state)], 'a notification has these keys');
	$told{ $payload->{request_id} } = $payload->{state};
}
is_deeply(\%told, \%end, 'each end of a request is told');
$other->run('UNLISTEN *');

# ----------
# Retention
# ----------

$sim->reset({ job => ENDLESS });
$running = $test->enqueue;
$job     = job_of($running);
my $finished  = $session->value('SELECT count(*) FROM clari_export_request WHERE finished_at IS NOT NULL');
my $snapshots = $session->value('SELECT count(*) FROM clari_export_snapshot');
cmp_ok($finished, '>', 0, 'finished requests are kept');
$node->append_conf('postgresql.conf', "clari_export.request_retention = '1 ms'");
$node->reload;
$test->await('the finished requests to go', sub { !$test->requests('finished_at IS NOT NULL') });
is(scalar($test->requests("id = $running")), 1, 'clari_export.request_retention removes finished requests only');
is($session->value('SELECT count(*) FROM clari_export_snapshot'), $snapshots, 'and no snapshots');
$node->append_conf('postgresql.conf', 'clari_export.request_retention = 0');
$node->reload;
$sim->finish_job($job);
$test->await_state('done', $running);
my $worker = $test->worker_pid;
$test->superuser->run("SELECT pg_terminate_backend($worker)");
$test->await('another worker', sub { $test->worker_pid != $worker });
$sim->reset;
$test->await_state('done', $test->enqueue);
is($test->request($running)->{state}, 'done', '0 keeps them');

done_testing();
