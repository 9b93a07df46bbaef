# A standby is promoted after the primary was killed, with a request in each
# state: every one is done, Clari has accepted one submission for each, and
# each result is stored once. The worker starts at the promotion, not before.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use Test::More;
use ClariCrash;
use ClariTest;

# A lane for each state, so that all of them can be waited for side by side.
my @states = qw(queued unsent accepted running fetching);
my %period = map { $states[$_] => "2025_Q$_" } 1 .. 4;
$period{queued} = '2026_Q1';
my %keys = map { ("key-$_" => { organization => 'acme', user => "user-$_" }) } @states;

# synchronous_commit is for the users' transactions; a submission waits for the standby all the same.
my $test = ClariTest->new(
	'primary',
	streaming => 1,
	conf      => "synchronous_standby_names = 'standby'\nsynchronous_commit = local\n",
	sim       => { config => { keys => \%keys, organizations => { acme => { concurrent_limit => 50 } } } });
my $sim     = $test->sim;
my $primary = $test->node;
$test->create_server($_, api_key => "key-$_", submission_grace => '500 ms', poll_max_attempts => 100000) for @states;

$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->append_conf('postgresql.conf', "synchronous_standby_names = ''\n");

sub enqueue
{
	my ($server) = @_;
	return $test->session->value("SELECT clari_export_enqueue('net_arr', '$period{$server}', server => '$server')");
}

sub workers
{
	my ($node) = @_;
	return $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'clari_export%'});
}

# What the requests of a server have come to, as the node sees it.
sub states_of
{
	my ($node, $server) = @_;
	return $node->safe_psql('postgres',
		"SELECT string_agg(state, ',' ORDER BY id) FROM clari_export_request WHERE server = '$server'");
}

sub posts
{
	my ($server) = @_;
	return $sim->log(method => 'POST', key => "key-$server");
}

sub accepted
{
	my ($server) = @_;
	return grep { defined } map { $_->{job_id} } posts($server);
}

# ----------
# Before a submission goes out, the standby knows of it
# ----------

my $first = enqueue('queued');
$test->await('the worker to wait for the standby',
	sub { $test->superuser->value(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'clari_export worker' AND wait_event = 'SyncRep'}) });
is(scalar posts('queued'), 0, 'nothing is submitted that the standby does not know of');
$standby->start;
$test->await('the first request', sub { states_of($primary, 'queued') eq 'done' });
is(scalar accepted('queued'), 1, 'it is submitted when the standby has caught up');
is(workers($standby), 0, 'no worker runs on the standby');

# ----------
# A request in each state
# ----------

# Jobs do not end by themselves. The first in lane "queued" keeps the second waiting.
$sim->configure({ job => { statuses => [ [ 0, 'STARTED' ] ] } });
$sim->rules(
	{ match => { method => 'POST',      key => 'key-unsent' },   do => { hang => \1 } },
	{ match => { method => 'POST',      key => 'key-accepted' }, do => { hang => \1, process => \1 } },
	{ match => { path   => '/results$', key => 'key-fetching' }, do => { hang => \1 } });
my %wanted = (queued => 'done,running,queued', unsent => 'submitting', accepted => 'submitting', running => 'running', fetching => 'running');
enqueue($_) for 'queued', @states;
$sim->wait_for_log(1, path => qr{^/export/jobs/\w+$}, key => 'key-fetching');
$sim->finish_job(accepted('fetching'));

$test->await("the standby to see $_ as $wanted{$_}", sub { states_of($standby, $_) eq $wanted{$_} }) for @states;
$sim->wait_for_log(1, method => 'POST', key => "key-$_") for @states;
$sim->wait_for_log(1, path => qr{/results$}, key => 'key-fetching');
is(workers($standby), 0, 'still no worker runs on the standby');

# ----------
# The promotion
# ----------

ClariCrash::kill_server($primary);
my $before = ($sim->log)[-1]{n};
$standby->promote;
$sim->configure({ job => { statuses => [ [ 0, 'DONE' ] ] } });
my @unfinished = (map({ (accepted($_))[-1] } qw(queued running)), accepted('accepted'));
$sim->finish_job($_) for @unfinished;

$test->await('every request to finish',
	sub { !$standby->safe_psql('postgres', q{SELECT count(*) FROM clari_export_request WHERE state IN ('queued', 'submitting', 'running')}) });
is(workers($standby), 2, 'the launcher and the worker run');
cmp_ok(scalar $sim->log(since => $before), '>', 0, 'they have asked Clari');

my %requests = (%{ { map { $_ => 1 } @states } }, queued => 3);
for my $state (@states)
{
	is(states_of($standby, $state), join(',', ('done') x $requests{$state}), "$state: done");
	is(scalar accepted($state), $requests{$state}, "$state: one accepted submission a request");
	is( $standby->safe_psql('postgres', qq{
			SELECT string_agg(r.job_id, ' ' ORDER BY r.id) FROM clari_export_request r
			JOIN clari_export_snapshot s ON s.request_id = r.id WHERE r.server = '$state'}),
		join(' ', accepted($state)),
		"$state: one snapshot a request, of its own job");
}
is(scalar posts('unsent'),   2, 'unsent: submitted again');
is(scalar posts('accepted'), 1, 'accepted: adopted');

done_testing();
