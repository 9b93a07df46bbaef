# pg_upgrade keeps requests, snapshots and whose they are, a dropped role's too.

use strict;
use warnings;

use Test::More;
use PostgreSQL::Test::Utils;
use ClariTest;

my $test = ClariTest->new('upgrade_old', superuser => 1, preload => 0);
my ($old, $super) = ($test->node, $test->superuser);
$super->run($_)
  for 'CREATE ROLE gone LOGIN',
  'CREATE ROLE etl LOGIN',
  'CREATE ROLE analyst LOGIN IN ROLE etl',
  'GRANT USAGE ON FOREIGN SERVER clari TO etl, gone',
  q{CREATE USER MAPPING FOR etl SERVER clari OPTIONS (api_key 'demo-key')};
my $etl = $test->new_session(user => 'etl');
$etl->run(q{INSERT INTO clari_export_request (forecast_id, time_period) VALUES ('net_arr', '2026_Q1')});
$etl->run('CALL clari_export_drain()');
$etl->run(q{INSERT INTO clari_export_request (forecast_id, run_after) VALUES ('net_arr', '2999-01-01')});
$test->new_session(user => 'gone')->run(q{INSERT INTO clari_export_request (forecast_id) VALUES ('net_arr')});
$super->run('DROP OWNED BY gone');
$super->run('DROP ROLE gone');

# As an older version made them.
$super->run(q{UPDATE clari_export_request SET made_in = regexp_replace(made_in, '\d+$', '14')});
my $requests  = q{SELECT md5(string_agg(r::text || requested_by::oid, ' ' ORDER BY id)) FROM clari_export_request r};
my $snapshots = q{SELECT md5(string_agg(s::text || requested_by::oid, ' ' ORDER BY request_id)) FROM clari_export_snapshot s};
my @before    = map { $super->value($_) } $requests, $snapshots;
is($super->value(q{SELECT string_agg(state, ' ' ORDER BY id) FROM clari_export_request}), 'done queued queued', 'three requests');
$test->quit_sessions;
$old->stop;

my $new = PostgreSQL::Test::Cluster->new('upgrade_new');
$new->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
my $bin = $old->config_data('--bindir');
chdir $new->basedir;
command_ok(
	[
		'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bin, '-B', $bin, '-s', $new->host,
		'-p', $old->port, '-P', $new->port
	],
	'pg_upgrade');
$new->append_conf('postgresql.conf', "shared_preload_libraries = 'clari_export'\nclari_export.databases = ''\n");
$new->start;
is($new->safe_psql('postgres', $requests),  $before[0], 'the requests are the same, and of the same roles');
is($new->safe_psql('postgres', $snapshots), $before[1], 'so are the snapshots');
my $analyst = ClariTest::Session->new($new, user => 'analyst');
is($analyst->value('SELECT count(*) FROM clari_export_request'), 2, 'a member sees those of the role');
is($analyst->value('SELECT count(*) FROM clari_export_snapshot'), 1, 'and its snapshot');
$analyst->fails('DELETE FROM clari_export_request', '42501', 'and may no more than before');
$new->safe_psql('postgres', 'CREATE ROLE gone LOGIN');
is(ClariTest::Session->new($new, user => 'gone')->value('SELECT count(*) FROM clari_export_request'), 0,
	'a namesake of a dropped role inherits nothing');

# They go on, as no copy's do.
my $scheduled = q{SELECT state FROM clari_export_request WHERE run_after > now() + interval '1 day'};
my $due       = q{UPDATE clari_export_request SET run_after = now() - interval '1 min', ready = true WHERE run_after > now()};
$new->safe_psql('postgres', q{ALTER SERVER clari OPTIONS (ADD paused 'true')});
$new->safe_psql('postgres', 'CALL clari_export_drain()');
is($new->safe_psql('postgres', $scheduled), 'queued', 'what is scheduled waits');
$new->safe_psql('postgres', $due);
$new->safe_psql('postgres', 'CALL clari_export_drain()');
is($new->safe_psql('postgres', q{SELECT hold_reason FROM clari_export_request WHERE state = 'queued'}), 'paused', 'and takes its turn');
$new->safe_psql('postgres', q{UPDATE clari_export_request SET made_in = regexp_replace(clari_export_this_database(), '^\d+', '1')});
$new->safe_psql('postgres', q{ALTER SERVER clari OPTIONS (DROP paused)});
$new->safe_psql('postgres', 'CALL clari_export_drain()');
is($new->safe_psql('postgres', q{SELECT error_code FROM clari_export_request WHERE error_message ~ 'another database'}), 'RC011',
	'another server of the same version has a copy');

done_testing();
