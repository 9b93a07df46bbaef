# What holds a request: a 429, a full job queue, a used-up quota, a Clari that
# is away. The request says what for and until when, jobs that run are polled
# all the time, and the queue goes on by itself.

use strict;
use warnings;

use Test::More;
use ClariTest;

use constant ENDLESS => { statuses => [ [ 0, 'STARTED' ] ] };
use constant CLOCK_READING => 0.001;

my $test = ClariTest->new(
	'queue_holds',
	options => {
		poll_base_delay        => '100 ms',
		poll_max_delay         => '100 ms',
		poll_max_attempts      => 100_000,
		max_concurrent_exports => 3,
	});
my ($node, $sim, $session) = ($test->node, $test->sim, $test->session);

sub organization
{
	my ($limit, $quota) = @_;
	return { organizations => { acme => { concurrent_limit => $limit, monthly_quota => $quota, org_id => 2915 } } };
}

sub submissions
{
	return $sim->log(method => 'POST', path => qr{^/export/(?!jobs/)}, @_);
}

sub polls_of
{
	my ($job_id, @filter) = @_;
	return $sim->log(method => 'GET', path => "/export/jobs/$job_id", @filter);
}

# Waits until the request says that it is held for that reason, and until when.
sub await_hold
{
	my ($id, $reason) = @_;
	return $test->await(
		"request $id to be held: $reason",
		sub {
			my $request = $test->request($id);
			return ($request->{hold_reason} // '') eq $reason ? $request : undef;
		});
}

# Until when a held request says to wait, in seconds from now.
sub hold_left
{
	my ($id) = @_;
	return $session->value("SELECT extract(epoch FROM held_until - clock_timestamp()) FROM clari_export_request WHERE id = $id");
}

sub ends_without_a_trace
{
	my ($id, $name) = @_;
	my $request = $test->await_state('done', $id);
	is($request->{hold_reason}, undef, "$name: it goes on by itself, and nothing says that it was held");
	return;
}

# ----------
# 429
# ----------

$sim->reset;
$sim->rules({ match => { method => 'POST' }, do => { status => 429, headers => { 'Retry-After' => 2 } } });
my $limited = $test->enqueue;
is(await_hold($limited, 'rate limited')->{state}, 'queued', 'a 429 puts a request back into the queue');
my $left = hold_left($limited);
cmp_ok($left, '<=', 2, 'until the time that Clari names');
my $behind = $test->enqueue;
ends_without_a_trace($_, '429 with Retry-After') for $limited, $behind;
my ($refused, $accepted) = submissions;
cmp_ok($accepted->{t} - $refused->{t_end}, '>=', 2 - CLOCK_READING, 'and not before');
is($sim->stats->{keys}{'demo-key'}{in_hold}, 0, 'no request of any kind meanwhile');

# Without a time: the backoff, which has jitter.
$sim->reset;
$sim->rules({ match => { method => 'POST' }, times => 3, do => { status => 429 } });
my $backoff = $test->enqueue;
ends_without_a_trace($backoff, '429 without Retry-After');
is(scalar submissions, 4, 'as often as Clari says no');

# Even the very long ones.
$sim->reset;
$sim->rules({ match => { method => 'POST' }, do => { status => 429, headers => { 'Retry-After' => 3600 } } });
$test->create_server('long_hold', api_key => 'second-key');
my $long = $test->enqueue(server => 'long_hold');
await_hold($long, 'rate limited');
cmp_ok(hold_left($long), '>', 3000, 'a long hold is told in held_until');
is($session->value("SELECT clari_export_cancel($long)"), 'cancelled', 'and its request can be cancelled');

# What the 429s taught the lane is not the next test's matter.
$test->superuser->value('SELECT clari_export_release()');

# ----------
# The job queue is full
# ----------

$sim->reset({ %{ organization(1, 1000) }, job => ENDLESS });
my $colleague = $sim->start_job(key => 'colleague-key', plan => ENDLESS);
my $full = $test->enqueue;
is(await_hold($full, 'job queue full')->{state}, 'queued', 'a full job queue puts a request back into the queue');
cmp_ok(scalar $sim->log(path => '/admin/limits'), '>=', 1, 'Clari was asked what is full');
$sim->finish_job($colleague);
my $job = $test->await_state('running', $full)->{job_id};
pass('a place becomes free: it goes on by itself');

# The other request's job is polled while this one is held.
my $second = $test->enqueue;
await_hold($second, 'job queue full');
my $so_far = polls_of($job);
$test->await('polls during the hold', sub { polls_of($job) >= $so_far + 3 });
is(await_hold($second, 'job queue full')->{state}, 'queued', 'a running job is polled while submissions are held');
$sim->finish_job($job);
$sim->finish_job($test->await_state('running', $second)->{job_id});
ends_without_a_trace($_, 'job queue full') for $full, $second;
is($sim->stats->{keys}{'demo-key'}{accepted}, 2, 'each was accepted once');

# What ends a hold may be that the request waits for no more than its turn. This key's organization has one place.
$test->create_server('turns', api_key => 'second-key', max_concurrent_exports => 2, poll_max_attempts => 100_000);
$test->superuser->value(q{SELECT clari_export_release('long_hold')});
$sim->reset({ job => ENDLESS });
my $first = $test->await_state('running', $test->enqueue(server => 'turns'));
my $next  = $test->enqueue(server => 'turns');
await_hold($next, 'job queue full');
$test->set_options('turns', max_concurrent_exports => 1);
$test->await('the end of the hold', sub { my $request = $test->request($next); $request->{state} eq 'queued' && !defined $request->{hold_reason} });
pass("a hold's reason goes when the hold does, and not with the turn");
$sim->finish_job($first->{job_id});
$sim->finish_job($test->await_state('running', $next)->{job_id});
$test->await_state('done', $next);

# ----------
# The monthly quota
# ----------

$sim->reset({ %{ organization(3, 1) }, job => ENDLESS });
my $last = $test->enqueue;
$job = $test->await_state('running', $last)->{job_id};
my $too_many = $test->enqueue;
is(await_hold($too_many, 'monthly quota used up')->{state}, 'queued', 'a used-up quota puts a request back into the queue');
$so_far = polls_of($job);
$test->await('polls during the hold', sub { polls_of($job) >= $so_far + 3 });
is(await_hold($too_many, 'monthly quota used up')->{state}, 'queued', 'a running job is polled meanwhile');
$sim->finish_job($job);
$test->await_state('done', $last);
$sim->configure({ job => { statuses => undef } });
$sim->advance(31 * 86400);
ends_without_a_trace($too_many, 'after a month');

# A refusal is a clear no, even while Clari is asked which of both it is.
$sim->reset(organization(3, 0));
$sim->rules({ match => { path => '^/admin/limits' }, do => { hang => \1 } });
my $asking = $test->enqueue;
is(await_hold($asking, 'job queue full')->{state}, 'queued', 'a submission that was refused is under way no more');
is(scalar $sim->log(path => '/admin/limits', t_end => undef), 1, 'before it is known what for');
is($session->value("SELECT clari_export_cancel($asking)"), 'cancelled', 'and can be cancelled');

# ----------
# Clari is away
# ----------

# Its port, and nobody there.
my $away = ClariSim->start;
my $address = $away->base_url;
$away->stop;
$sim->reset;
$test->set_options('clari', base_url => $address);
my $unreachable = $test->enqueue;
is(await_hold($unreachable, 'Clari unavailable')->{state}, 'queued', 'without Clari a request stays in the queue');
cmp_ok($session->value("SELECT held_until > created_at AND run_after = created_at FROM clari_export_request WHERE id = $unreachable"), 'eq', 't',
	'until a later time, and run_after is as it was');
$test->set_options('clari', base_url => $sim->base_url);
ends_without_a_trace($unreachable, 'Clari unavailable');

# Every request is answered with an error for a while.
$sim->reset({ job => ENDLESS });
my $through = $test->enqueue;
$job = $test->await_state('running', $through)->{job_id};
$sim->rules({ match => { method => 'GET', path => '^/export/jobs$' }, times => 2, do => { status => 503 } },
	{ match => { method => 'GET', path => '^/export/jobs/\w+$' }, times => 3, do => { close => \1 } });
my $later = $test->enqueue;
$sim->finish_job($test->await_state('running', $later)->{job_id});
$sim->finish_job($job);
ends_without_a_trace($_, 'errors of the network and of Clari') for $through, $later;
is($sim->stats->{keys}{'demo-key'}{accepted}, 2, 'each was accepted once');

done_testing();
