# An export that an error ended goes on nowhere, though a cursor or a
# transaction that failed keeps its memory: it sends nothing more, and its lane
# is free at once.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test = ClariTest->new('abandoned');
my ($sim, $session) = ($test->sim, $test->session);
my $other = $test->new_session;
$test->set_options('clari', poll_max_attempts => 100_000);
$session->run(q{SET client_min_messages = warning});

# A job's list that never comes, once: nothing is submitted yet.
sub hang_before_submission
{
	$sim->reset;
	$sim->rules({ match => { path => '^/export/jobs$' }, times => 1, do => { hang => \1 } });
	return;
}

# A job that never ends: the export has the place of its lane.
sub hang_after_submission
{
	$sim->reset({ job => { statuses => [ [ 0, 'STARTED' ] ] } });
	return;
}

sub check_lane_is_free
{
	my ($posts, $name) = @_;
	$sim->configure({ job => { statuses => undef, duration_ms => 0 } });
	is($other->value(q{SELECT clari_export('net_arr') ? 'entries'}), 't', "$name: another session exports");
	$session->run('SELECT count(*) FROM clari_export_jobs()') for 1 .. 3;
	is(scalar $sim->log(method => 'POST'), $posts, "$name: nothing more is submitted");
	return;
}

for my $case ([ \&hang_before_submission, 1, 'before the submission' ], [ \&hang_after_submission, 2, 'after it' ])
{
	my ($hang, $posts, $name) = @$case;

	$hang->();
	$session->run('BEGIN');
	$session->run(q{DECLARE export CURSOR FOR SELECT clari_export('net_arr', '2026_Q3')});
	$session->run(q{SAVEPOINT begun; SET LOCAL statement_timeout = '300 ms'});
	$session->fails('FETCH export', '57014', "a cursor's export times out $name");
	$session->run('ROLLBACK TO begun; SET LOCAL statement_timeout = 0');
	check_lane_is_free($posts, "a cursor, $name");
	$session->run('ROLLBACK');

	$hang->();
	$session->run(q{BEGIN; SET LOCAL statement_timeout = '300 ms'});
	$session->fails(q{SELECT clari_export('net_arr', '2026_Q3')}, '57014', "an export times out $name");
	check_lane_is_free($posts, "a transaction that failed, $name");
	$session->run('ROLLBACK');
}

done_testing();
