# Lanes of the queue: one for each API key, whoever uses it: sessions,
# databases, roles and servers. What the simulated Clari saw decides.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test = ClariTest->new(
	'queue_lanes',
	conf => "clari_export.databases = 'postgres, second'\nmax_worker_processes = 16\n");
my ($node, $sim, $session) = ($test->node, $test->sim, $test->session);

# A job that runs until it is told to end.
use constant ENDLESS => { statuses => [ [ 0, 'STARTED' ] ] };

# The clocks of the log and of the server tick alike, but are not read at once.
use constant CLOCK_READING => 0.001;

sub submissions
{
	return $sim->log(method => 'POST', path => qr{^/export/(?!jobs/)}, @_);
}

sub wait_for_submissions
{
	my ($count, %filter) = @_;
	return $sim->wait_for_log($count, method => 'POST', path => qr{^/export/(?!jobs/)}, %filter);
}

# The job ids of these requests, as soon as Clari has them.
sub job_ids
{
	return map { $test->await_state('running', $_)->{job_id} } @_;
}

sub max_running
{
	my ($key) = @_;
	return $sim->stats->{keys}{ $key || 'demo-key' }{max_running};
}

# ----------
# Two databases and a session with one key
# ----------

$node->safe_psql('postgres', 'CREATE DATABASE second');
$test->install('second');
$test->create_server('clari', database => 'second');
my $second = $test->new_session(database => 'second');
my $caller = $test->new_session;
$test->worker_pid('second');

$sim->reset({ job => { duration_ms => 30 } });
$sim->rules(
	{ match => { method => 'POST', path => '^/export/forecast' }, skip => 3, do => { status => 429, headers => { 'Retry-After' => 1 } } });
$caller->send(
	q{SELECT count(clari_export('net_arr', period)) FROM unnest(ARRAY['2026_Q1', '2026_Q2', '2025_Q1', '2025_Q2']) period});
my @first  = map { $test->enqueue(time_period => "2025_Q$_") } 1 .. 4;
my @second = map { $test->enqueue(time_period => "2026_Q$_", session => $second) } 1 .. 4;
$test->await_state('done', @first);
$test->await_state('done', @second, $second);
my $called = $caller->receive;
is($called->{rows}, 4, 'a session exports beside the workers of two databases') or diag explain $called;

my $counts = $sim->stats->{keys}{'demo-key'};
is($counts->{accepted},     12, 'every export was submitted once');
is($counts->{max_running},  1,  'with one key, one export runs at a time');
is($counts->{rate_limited}, 1,  'one request met a 429');
is($counts->{in_hold},      0,  'and nobody sent a request before the hold had ended');

# ----------
# max_concurrent_exports
# ----------

$sim->reset({ job => ENDLESS });
$test->set_options('clari', 'poll_max_attempts' => 100_000);
$test->superuser->run(q{ALTER SERVER clari OPTIONS (ADD max_concurrent_exports '3')});
my @many = map { $test->enqueue } 1 .. 5;
my @running = job_ids(@many[ 0 .. 2 ]);
is(max_running, 3, 'max_concurrent_exports = 3 runs three');
is($test->request($many[3])->{state}, 'queued', 'and not four');
$sim->finish_job($running[1]);
$test->await_state('done', $many[1]);
my ($fourth) = job_ids($many[3]);
$sim->finish_job($_) for $running[0], $running[2], $fourth;
$sim->finish_job(job_ids($many[4]));
$test->await_state('done', @many);
is(max_running, 3, 'a place that becomes free is taken, by one');
is(scalar submissions, 5, 'each was submitted once');
$test->superuser->run(q{ALTER SERVER clari OPTIONS (DROP max_concurrent_exports)});

# ----------
# Roles and servers with the same key
# ----------

$test->superuser->run(
	q{CREATE ROLE analyst LOGIN;
	  GRANT USAGE ON FOREIGN SERVER clari TO analyst;
	  CREATE USER MAPPING FOR analyst SERVER clari OPTIONS (api_key 'demo-key')});
$test->create_server('same_key');
my $analyst = $test->new_session(user => 'analyst');

$sim->reset({ job => { duration_ms => 20 } });
my @shared = map { ($test->enqueue, $test->enqueue(session => $analyst), $test->enqueue(server => 'same_key')) } 1 .. 3;
$test->await_state('done', @shared);
is(max_running, 1, 'two mappings and two servers with one key are one lane');

# Each by the limits of its own server.
$test->create_server('patient', submit_interval => '1 hour');
my $patient = $test->enqueue(server => 'patient');
$test->await_state('done', map { $test->enqueue(priority => 9) } 1 .. 2);
is($test->request($patient)->{state}, 'queued', "a server's submit_interval holds its own requests and no other server's");
$session->value("SELECT clari_export_cancel($patient)");

# ----------
# Order
# ----------

$sim->reset;
$test->superuser->run(q{ALTER SERVER clari OPTIONS (ADD paused 'true')});
my @in_order = (
	[ 5,  '2002-01-01', '2025_Q4' ],
	[ 0,  '2001-01-01', '2025_Q3' ],
	[ 0,  '2001-01-02', '2025_Q2' ],
	[ 0,  '2001-01-02', '2025_Q1' ],
	[ -1, '2000-01-01', '2026_Q1' ]);
my %id;
for my $i (2, 4, 3, 0, 1)
{
	my ($priority, $run_after, $period) = @{ $in_order[$i] };
	$id{$period} = $test->enqueue(time_period => $period, priority => $priority, run_after => $run_after);
}
$test->await('a request to be held', sub { $test->requests(q{hold_reason = 'paused'}) });
is(scalar submissions, 0, 'a paused server submits nothing, and a request says so');
$test->superuser->run(q{ALTER SERVER clari OPTIONS (SET paused 'false')});
$test->await_state('done', values %id);
is_deeply(
	[ map { $_->{body}{timePeriod} } submissions ],
	[ map { $_->[2] } @in_order ],
	'requests go by priority, then run_after, then id');
is(scalar($test->requests('hold_reason IS NOT NULL')), 0, 'nothing says it is held any more');

# ----------
# paused
# ----------

$sim->reset({ job => ENDLESS });
my $started = $test->enqueue;
my ($job_id) = job_ids($started);
$test->superuser->run(q{ALTER SERVER clari OPTIONS (SET paused 'true')});
my $waiting = $test->enqueue(priority => 9);
my $other = $test->enqueue(server => 'same_key');
$sim->finish_job($job_id);
$test->await_state('done', $started);
pass('a job that was running finishes while the server is paused');
my ($others_job) = job_ids($other);
$sim->finish_job($others_job);
$test->await_state('done', $other);
pass('another server with the same key goes on');
$test->await('the hold', sub { ($test->request($waiting)->{hold_reason} // '') eq 'paused' });
is(scalar submissions, 2, 'the paused one submitted nothing');
$test->superuser->run(q{ALTER SERVER clari OPTIONS (SET paused 'false')});
$sim->finish_job(job_ids($waiting));
$test->await_state('done', $waiting);
$test->superuser->run(q{ALTER SERVER clari OPTIONS (DROP paused)});

# ----------
# submit_interval
# ----------

$sim->reset;
$test->set_options('clari', submit_interval => '700 ms');
$test->await_state('done', map { $test->enqueue } 1 .. 3);
$test->set_options('clari', submit_interval => '0');
my @submitted = submissions;
my @fetched = $sim->log(method => 'GET', path => qr{/results$});
is(scalar @fetched, 3, 'three results were fetched');
for my $i (1, 2)
{
	my $pause = $submitted[$i]{t} - $fetched[ $i - 1 ]{t_end};
	cmp_ok($pause, '>=', 0.7 - CLOCK_READING, "submit_interval lies between export $i and the next submission");
}

# ----------
# quota_reserve
# ----------

$sim->reset({ organizations => { acme => { concurrent_limit => 3, monthly_quota => 10, org_id => 2915 } } });
$test->superuser->run(q{ALTER SERVER clari OPTIONS (ADD quota_reserve '8')});
my @within = map { $test->enqueue } 1 .. 2;
$test->await_state('done', @within);
my $beyond = $test->enqueue;
$test->await('the hold', sub { ($test->request($beyond)->{hold_reason} // '') eq 'monthly quota used up' });
is(scalar submissions, 2, 'the queue leaves quota_reserve of the quota alone');
is($session->value(q{SELECT (monthly_quota, available_monthly_quota, quota_reserve, available_to_queue, submitted_since,
	said_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp(), next_free_at = (SELECT min(submitted_at) FROM clari_export_request
	WHERE job_id IS NOT NULL AND state <> 'cancelled') + interval '30 days') FROM clari_export_quota WHERE server = 'clari'}),
	'(10,8,8,0,0,t,t)', 'clari_export_quota has what Clari said last');
is($session->value(q{SELECT clari_export('net_arr') ? 'entries'}), 't', 'which a person can use');
$test->superuser->run(q{ALTER SERVER clari OPTIONS (DROP quota_reserve)});
$sim->configure({ organizations => { acme => { concurrent_limit => 3, monthly_quota => 1000, org_id => 2915 } } });
$test->await_state('done', $beyond);

# ----------
# A backend that ends
# ----------

$sim->reset({ job => ENDLESS });
$caller->send(q{SELECT clari_export('net_arr')});
my ($held) = wait_for_submissions(1);
$sim->wait_for_log(1, method => 'GET', path => qr{^/export/jobs/\w+});
my $next = $test->enqueue;
$session->run(q{SELECT clari_export_limits()});
is($test->request($next)->{state}, 'queued', 'a session that exports holds the place');
$test->superuser->run('SELECT pg_terminate_backend(' . $caller->pid . ')');
is(scalar(job_ids($next)), 1, 'and gives it back when it ends');
$sim->finish_job(job_ids($next));
$test->await_state('done', $next);

# ----------
# Lanes run side by side
# ----------

my @keys = map { "key-$_" } 1 .. 4;
$sim->reset(
	{
		job           => ENDLESS,
		organizations => { map { ("org-$_" => { concurrent_limit => 1, monthly_quota => 100, org_id => 1 }) } @keys },
		keys => { map { ($_ => { organization => "org-$_", user => "user of $_", forecasts => undef }) } @keys },
	});
$test->create_server("server_$_", api_key => "key-$_") for 1 .. 4;
$test->set_options("server_$_", poll_max_attempts => 100_000) for 1 .. 4;
my @side_by_side;
$session->run('BEGIN');
for my $key (1 .. 4)
{
	push @side_by_side, map { $test->enqueue(server => "server_$key") } 1 .. 3;
}
$session->run('COMMIT');
my $finished = 0;
while ($finished < @side_by_side)
{
	my @active = $test->await(
		'every lane to have a running job',
		sub {
			my @found = $test->requests(q{state = 'running'});
			return @found == 4 ? \@found : undef;
		});
	$sim->finish_job($_->{job_id}) for @{ $active[0] };
	$test->await_state('done', map { $_->{id} } @{ $active[0] });
	$finished += 4;
}
my $stats = $sim->stats->{keys};
is_deeply([ map { $stats->{$_}{max_running} } @keys ], [ 1, 1, 1, 1 ], 'four keys: four lanes, one export in each');
is_deeply([ map { $stats->{$_}{accepted} } @keys ],    [ 3, 3, 3, 3 ], 'which take turns with nobody');

# ----------
# More keys than lanes
# ----------

use constant MANY_KEYS => 130;

@keys = map { "many-$_" } 1 .. MANY_KEYS;
$sim->reset(
	{
		organizations => { many => { concurrent_limit => MANY_KEYS, monthly_quota => 1000, org_id => 1 } },
		keys          => { map { ($_ => { organization => 'many', user => "user of $_", forecasts => undef }) } @keys },
	});
my %options  = ($test->where_clari_is, poll_base_delay => '10 ms');
my $list     = join ', ', map { "$_ ''$options{$_}''" } sort keys %options;
$test->superuser->run(
	qq{DO \$\$
	BEGIN
		FOR n IN 1 .. @{[MANY_KEYS]} LOOP
			EXECUTE format('CREATE SERVER many_%s FOREIGN DATA WRAPPER clari_export OPTIONS ($list)', n);
			EXECUTE format('CREATE USER MAPPING FOR exporter SERVER many_%s OPTIONS (api_key ''many-%s'')', n, n);
			EXECUTE format('GRANT USAGE ON FOREIGN SERVER many_%s TO exporter', n);
		END LOOP;
	END
	\$\$});
$session->run(
	qq{INSERT INTO clari_export_request (forecast_id, server)
	   SELECT 'net_arr', 'many_' || n FROM generate_series(1, @{[MANY_KEYS]}) n});
$test->await_state('done', map { $_->{id} } $test->requests(q{server LIKE 'many_%'}));
$stats = $sim->stats->{keys};
is(scalar(grep { $stats->{$_}{accepted} == 1 } @keys), MANY_KEYS, 'more keys than there are lanes take turns');

done_testing();
