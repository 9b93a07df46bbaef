# Requests that somebody's open transaction holds: they wait, and nobody else's.

use strict;
use warnings;

use Test::More;
use ClariTest;

use constant SCHEDULED => 2100;    # more than two looks take on
use constant DUE       => 300;

my $test = ClariTest->new('scheduled');
my ($session, $super) = ($test->session, $test->superuser);
my $other = $test->new_session;

sub insert
{
	my ($n, $run_after) = @_;
	return $session->value('WITH new AS (INSERT INTO clari_export_request (forecast_id, run_after)'
		  . " SELECT 'net_arr', $run_after FROM generate_series(1, $n) RETURNING 1) SELECT count(*) FROM new");
}

# They become due while they are held.
is(insert(SCHEDULED, q{'2999-01-01'}), SCHEDULED, 'many are scheduled');
$super->run(q{UPDATE clari_export_request SET run_after = now() + '2 s'});
$other->run('BEGIN');
is($other->value(q{SELECT count(*) FROM clari_export_request WHERE clari_export_cancel(id) = 'cancelled'}),
	SCHEDULED, 'and cancelled in a transaction that stays open');
my $id = $session->value(
	q{INSERT INTO clari_export_request (forecast_id, run_after) VALUES ('net_arr', clock_timestamp() + '3 s') RETURNING id});
is($test->await_state('done', $id)->{state}, 'done', 'one that is scheduled after them gets its turn');
$other->run('ROLLBACK');
$test->await('them to go on', sub { $super->value(q{SELECT count(*) FROM clari_export_request WHERE state = 'done'}) > 1 });
pass('when the transaction is rolled back, they do, too');

# They are due already.
$super->run(q{ALTER SERVER clari OPTIONS (ADD paused 'true')});
$session->run('SELECT clari_export_cancel(id) FROM clari_export_request WHERE finished_at IS NULL');
is(insert(DUE, 'now()'), DUE, 'many are due');
$other->run('BEGIN');
is($other->value(q{SELECT count(*) FROM clari_export_request WHERE state = 'queued' AND clari_export_cancel(id) = 'cancelled'}),
	DUE, 'and cancelled in such a transaction');
$id = $session->value(
	q{INSERT INTO clari_export_request (forecast_id, run_after) VALUES ('net_arr', clock_timestamp()) RETURNING id});
$super->run(q{ALTER SERVER clari OPTIONS (SET paused 'false')});
is($test->await_state('done', $id)->{state}, 'done', 'one after them gets its turn');
is($super->value(q{SELECT count(*) FROM clari_export_request WHERE state = 'queued'}), DUE, 'and they keep theirs');
$other->run('ROLLBACK');

# The ends of time, while nothing begins, and it is known how long an export takes.
$super->run(q{ALTER SERVER clari OPTIONS (SET paused 'true')});
$super->run(q{INSERT INTO clari_export_duration VALUES ('clari', 'forecast', 'net_arr', '', now(), 20)});
for my $time ('294276-12-31 23:59:59.999999+00', 'infinity', '4713-01-01 00:00:00+00 BC', '-infinity')
{
	$id = $session->value("INSERT INTO clari_export_request (forecast_id, run_after) VALUES ('net_arr', '$time') RETURNING id");
	is($super->value("SELECT count(expected_end) FROM clari_export_progress WHERE request_id = $id"),
		1, "progress shows when one of $time will end, too");
	$session->run("SELECT clari_export_cancel($id)");
}

done_testing();
