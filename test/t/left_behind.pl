# Two databases with one API key after a crash: what one left behind is looked
# up before the other submits, so that neither takes the other's job for its own.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test = ClariTest->new(
	'left_behind',
	conf    => "clari_export.databases = 'postgres, second'\nmax_worker_processes = 16\nmax_prepared_transactions = 2\n",
	options => { poll_max_attempts => 1000 });
my ($node, $sim) = ($test->node, $test->sim);

$node->safe_psql('postgres', 'CREATE DATABASE second');
$test->install('second');
$test->create_server('clari', database => 'second', poll_max_attempts => 1000);
my $second = $test->new_session(database => 'second');
$test->worker_pid('second');

# Clari accepts the submission of the first, and its reply is lost with the server.
$sim->rules({ match => { method => 'POST' }, do => { hang => \1, process => \1 } });
my $lost = $test->enqueue;
my ($post) = $sim->wait_for_log(1, method => 'POST');
my $waiting = $test->enqueue(session => $second);

# A lock that outlives the crash keeps the first database's worker from its table, for now.
$test->superuser->run(q{BEGIN; LOCK TABLE clari_export_request; PREPARE TRANSACTION 'slow'});
$node->stop('immediate');
$test->quit_sessions;
$node->start;
$second = $test->new_session(database => 'second');
$test->await_activity($test->worker_pid, q{wait_event_type = 'Lock'});
$test->await_activity($test->worker_pid('second'), q{wait_event_type = 'Extension'});
is($test->request($waiting, $second)->{state}, 'queued', 'the second database waits for the first');
is(scalar $sim->log(method => 'POST'), 1, 'and has submitted nothing');
$node->safe_psql('postgres', q{COMMIT PREPARED 'slow'});

my $found = $test->await_state('done', $lost);
is($found->{job_id}, $post->{job_id}, 'the first database finds its job');
my $own = $test->await_state('done', $waiting, $second);
isnt($own->{job_id}, $post->{job_id}, 'the second has a job of its own');
my @posts = $sim->log(method => 'POST');
is(scalar @posts, 2, 'each was submitted once');
my ($look_up) = grep { $_->{n} > $post->{n} } $sim->log(method => 'GET', path => '/export/jobs');
cmp_ok($look_up->{n}, '<', $posts[1]{n}, 'the look-up came before the next submission');

# A database whose worker does not come holds nobody up for long.
$test->superuser->run(q{BEGIN; LOCK TABLE clari_export_request; PREPARE TRANSACTION 'for ever'});
$node->stop('immediate');
$test->quit_sessions;
$node->start;
$second = $test->new_session(database => 'second');
$test->await_state('done', $test->enqueue(session => $second), $second);
pass('a worker that does not get to its table holds the other database up for a bounded time');
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'for ever'});

done_testing();
