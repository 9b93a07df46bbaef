# What one role leaves open, odd or in great numbers holds up nobody else.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test = ClariTest->new('queue_bystanders', superuser => 1, options => { poll_max_attempts => 100_000 });
my ($sim, $super) = ($test->sim, $test->superuser);
$super->run($_)
  for 'CREATE ROLE idler LOGIN',
  'GRANT USAGE ON FOREIGN SERVER clari TO idler',
  q{CREATE USER MAPPING FOR idler SERVER clari OPTIONS (api_key 'demo-key')};
my $idler = $test->new_session(user => 'idler');

# A cancel in a transaction that stays open, of a queued and of a running request of the same key.
my $queued = $test->enqueue(session => $idler, run_after => '2999-01-01', priority => 9);
$sim->reset({ job => { statuses => [ [ 0, 'STARTED' ] ] } });
my $running = $test->enqueue(session => $idler);
my $job     = $test->await_state('running', $running)->{job_id};
$idler->run('BEGIN');
is($idler->value("SELECT clari_export_cancel($queued)"),  'cancelled', 'a queued request is cancelled, and not committed');
is($idler->value("SELECT clari_export_cancel($running)"), 'cancelled', 'and a running one');
$sim->configure({ job => { statuses => undef } });
$test->await_state('done', map { $test->enqueue(time_period => $_) } qw(2026_Q1 2026_Q2));
pass('others of the same key are exported meanwhile');
is($test->request($queued)->{state}, 'queued', 'nothing of it is seen yet');
$idler->run('COMMIT');
is($test->await_state('cancelled', $queued, $running)->{state}, 'cancelled', 'the commit ends both');

# Rows that came by replication, or with triggers off: found, and those that make no sense fail alone.
$super->run('SET session_replication_role = replica');
my %odd = map { $_->[0] => $super->value("INSERT INTO clari_export_request ($_->[1]) VALUES ($_->[2]) RETURNING id") }
  [ kind      => q{kind, forecast_id},         q{'nonsense', 'net_arr'} ],
  [ forecast  => q{kind},                      q{'forecast'} ],
  [ options   => q{forecast_id, options},      q{'net_arr', '[1]'} ],
  [ server    => q{forecast_id, server},       q{'net_arr', 'nowhere'} ],
  [ role      => q{forecast_id, requested_by}, q{'net_arr', 4000000000::oid} ],
  [ long      => q{forecast_id},               q{repeat('x', 100000)} ],
  [ known     => q{forecast_id, state, submitted_at, known_job_ids},
		q{'net_arr', 'submitting', now() - interval '1 h', ARRAY['a', NULL, 'b']} ];
$super->fails(q{INSERT INTO clari_export_request (forecast_id, state) VALUES ('net_arr', 'running')}, '23514',
	'a running request without a job');
my $good = $test->enqueue(time_period => '2026_Q1');
$super->run('RESET session_replication_role');
my $after = $test->enqueue(time_period => '2026_Q2');
$test->await_state('done', $good, $after);
pass('the good ones are exported');
$test->await_state('failed', $odd{$_}), pass("odd $_: fails alone") for qw(kind forecast options server role long);
like($test->await_state('done|failed', $odd{known})->{state}, qr/done|failed/, 'a list with a null in it stops nobody');

done_testing();
