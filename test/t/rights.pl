# Whose a request and its snapshot are: a member of the role that made it, a reader of all data, a superuser, anybody
# else; and what becomes of them when the role is renamed, dropped, made anew, dumped and restored.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use ClariTest;

# What is running stays so until it is cancelled, however slow the machine is.
my $test = ClariTest->new('rights', superuser => 1, options => { poll_max_attempts => 100_000 });
my ($node, $sim, $super) = ($test->node, $test->sim, $test->superuser);

$super->run($_)
  for 'CREATE ROLE etl LOGIN',
  'CREATE ROLE analyst LOGIN IN ROLE etl',
  'CREATE ROLE stranger LOGIN',
  'CREATE ROLE auditor LOGIN IN ROLE pg_read_all_data',
  'CREATE ROLE waiting LOGIN NOINHERIT IN ROLE etl',
  'GRANT USAGE ON FOREIGN SERVER clari TO etl, stranger',
  q{CREATE USER MAPPING FOR etl SERVER clari OPTIONS (api_key 'demo-key')},
  q{CREATE USER MAPPING FOR stranger SERVER clari OPTIONS (api_key 'second-key')};
my %as = map { $_ => $test->new_session(user => $_) } qw(etl analyst stranger auditor waiting);

my $seen = 'SELECT count(*) FROM clari_export_request';
my $kept = 'SELECT count(*) FROM clari_export_snapshot';

# What each role sees of one done request.
my $done = $test->enqueue(session => $as{etl}, time_period => '2026_Q1');
$test->await_state('done', $done);
my %sees = (etl => 1, analyst => 1, auditor => 1, stranger => 0, waiting => 0);
for my $role (sort keys %sees)
{
	is($as{$role}->value($seen), $sees{$role}, "$role sees $sees{$role} requests");
	is($as{$role}->value($kept), $sees{$role}, "$role sees $sees{$role} snapshots");
	is($as{$role}->value('SELECT count(*) > 0 FROM clari_export_forecast'),
		$sees{$role} ? 't' : 'f', "$role: the same through the view");
	if ($sees{$role})
	{
		ok($as{$role}->value("SELECT clari_export_wait($done)"), "$role: the result");
	}
	else
	{
		$as{$role}->fails("SELECT clari_export_wait($done)", '42704', "$role: no result");
	}
}
is($super->value($seen), 1, 'the superuser sees it');
my $plan = $as{analyst}->value("EXPLAIN $seen");
unlike($plan, qr/Filter: .*pg_has_role\(.*requested_by/, 'membership is not asked for each row');
like($plan, qr/hashed SubPlan/, 'but once a query');

# What each may do.
for my $role (qw(stranger auditor waiting))
{
	$as{$role}->fails("SELECT clari_export_$_($done)", '42704', "$role: $_") for qw(cancel retry);
	is($as{$role}->value("SELECT clari_export_delete_$_($done)"), 'f', "$role deletes no $_") for qw(request snapshot);
}
$as{$_}->fails("DELETE FROM clari_export_request", '42501', "$_ deletes no row") for sort keys %as;
$as{$_}->fails("BEGIN; LOCK TABLE clari_export_request IN SHARE MODE; ROLLBACK", '42501', "$_ locks no table"),
  $as{$_}->run('ROLLBACK')
  for sort keys %as;
is($as{analyst}->value("SELECT clari_export_delete_snapshot($done), clari_export_delete_snapshot($done)"),
	't|f', 'a member deletes the snapshot');
is($as{analyst}->value("SELECT clari_export_delete_request($done), clari_export_delete_request($done)"),
	't|f', 'and the request');

# A member's cancel is made at Clari with the key of the role that made the request.
$sim->reset({ job => { statuses => [ [ 0, 'STARTED' ] ] } });
my $running = $test->enqueue(session => $as{etl});
my $job     = $test->await_state('running', $running)->{job_id};
$as{analyst}->fails("SELECT clari_export_delete_request($running)", '55000', 'what is not finished stays');
$as{stranger}->fails("SELECT clari_export_cancel($running)", '42704', 'a stranger cancels nothing');
is($as{analyst}->value("SELECT clari_export_cancel($running)"), 'cancelled', 'a member cancels');

# An insert needs USAGE of the role that inserts, a member's too, and of a definer.
$as{auditor}->fails(q{INSERT INTO clari_export_request (forecast_id) VALUES ('net_arr')}, '42501', 'without USAGE');
$as{analyst}->run('SET ROLE etl');
ok($as{analyst}->value(q{INSERT INTO clari_export_request (forecast_id, run_after) VALUES ('net_arr', '2999-01-01')
	RETURNING id}), 'as the role itself');
$as{analyst}->run('RESET ROLE');
is($as{analyst}->value(q{SELECT requested_by FROM clari_export_request WHERE state = 'queued'}), 'etl', "it is that role's");
$as{stranger}->fails(q{INSERT INTO clari_export_request (forecast_id, requested_by) VALUES ('net_arr', 'etl')},
	'42501', "nobody requests in another's name");

# One that is young enough is not paid for twice.
$sim->reset;
my $fresh = q{SELECT clari_export_enqueue('net_arr', '2026_Q2', '{"currency": "EUR"}', max_age => '1 h')};
my $first = $as{etl}->value($fresh);
isnt($as{etl}->value($fresh), $first, 'what is not done is not given back');
$test->await_state('done', $first);
ok($as{etl}->value("SELECT ($fresh) >= $first"), 'an export that is young enough is given back');
my $count = $as{etl}->value($seen);
$as{etl}->value($fresh);
is($as{etl}->value($seen), $count, 'and nothing is queued');
isnt($as{stranger}->value($fresh), $first, "not another role's");
for my $other (q{'net_arr', '2026_Q3', '{"currency": "EUR"}'}, q{'renewals', '2026_Q2', '{"currency": "EUR"}'}, q{'net_arr', '2026_Q2', '{"currency": "USD"}'},
	q{'net_arr', NULL, '{"currency": "EUR"}'})
{
	ok($as{etl}->value("SELECT clari_export_enqueue($other, max_age => '1 h') > $first + 1"), "not for $other");
}
ok($as{etl}->value(q{SELECT clari_export_enqueue('net_arr', '2026_Q2', '{"currency": "EUR"}', max_age => '0')} . " > $first + 1"), 'nor an older one');
$test->await('the queue to be worked through', sub { !$test->requests(q{state <> ALL ('{done,failed,cancelled}') AND run_after < now()}) });

# The server's new name is that of its requests; the snapshot of the quarter that was current says which.
my $current = $as{etl}->value(q{SELECT clari_export_enqueue('net_arr')});
$test->await_state('done', $current);
like($as{etl}->value("SELECT time_period FROM clari_export_snapshot WHERE request_id = $current"),
	qr/^\d{4}_Q[1-4]$/, 'the quarter that was current has a name');
is($as{etl}->value("SELECT options = '{}' AND job_id = (SELECT job_id FROM clari_export_request WHERE id = $current)
	FROM clari_export_snapshot WHERE request_id = $current"), 't', 'options and job');
$super->run('ALTER SERVER clari RENAME TO sales');
is($super->value(q{SELECT count(*) FROM clari_export_request WHERE server <> 'sales'}), 0, 'requests follow their server');
is($super->value(q{SELECT count(*) FROM clari_export_snapshot WHERE server <> 'sales'}), 0, 'and snapshots');
my $later = $as{etl}->value(q{SELECT min(id) FROM clari_export_request WHERE state = 'queued'});
is($as{analyst}->value("SELECT clari_export_cancel($later)"), 'cancelled', 'which can be cancelled');
$test->await_state('done', $test->enqueue(session => $as{etl}, server => 'sales'));
pass('and exported');

# A rename of the role changes nothing.
my $all = $as{etl}->value($seen);
$super->run('ALTER ROLE etl RENAME TO loader');
is($as{analyst}->value($seen), $all, 'after a rename a member sees the same');
is($test->new_session(user => 'loader')->value($seen), $all, 'and the role');
is($super->value(q{SELECT string_agg(DISTINCT requested_by::text, ' ') FROM clari_export_request
	WHERE requested_by <> 'stranger'::regrole}), 'loader', 'it is shown by its new name');

# A restored dump has the same owners.
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '--file', $dump, 'postgres' ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--file', $dump, 'restored' ], 'restored');
is($test->new_session(database => 'restored', user => 'analyst')->value($seen), $all, 'its member sees the same there');
is($test->new_session(database => 'restored', user => 'auditor')->value($seen),
	$super->value($seen), 'who reads all does so');
my $privileges = q{SELECT string_agg(concat_ws(' ', a.attname, a.attacl), ';' ORDER BY attnum) || c.relacl::text
	FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE attrelid = 'clari_export_request'::regclass AND attacl IS NOT NULL GROUP BY c.relacl::text};
is($node->safe_psql('restored', $privileges), $super->value($privileges), 'with the same privileges');
$node->safe_psql('postgres', 'DROP DATABASE restored WITH (FORCE)');

# The role is dropped: its rows are the superuser's, what it queued fails alone, and a namesake inherits nothing.
my $orphan = $as{etl}->value(q{SELECT clari_export_enqueue('net_arr', run_after => '2999-01-01', server => 'sales')});
my $snapshots = $as{etl}->value($kept);
$as{$_}->quit for qw(etl);
$super->run('DROP OWNED BY loader');
$super->run('DROP USER MAPPING IF EXISTS FOR loader SERVER sales');
my $number = $super->value(q{SELECT 'loader'::regrole::oid});
my %rows = map { $_ => $super->value("SELECT count(*) FROM $_ WHERE requested_by = $number") }
  qw(clari_export_request clari_export_snapshot clari_export_history clari_export_history_forecast clari_export_history_part);
cmp_ok($rows{$_}, '>', 0, "the role has rows in $_") for sort keys %rows;
my $elsewhere = $test->new_session(database => 'template1', superuser => 1);
is($elsewhere->run('DROP ROLE loader')->{sqlstate}, undef, 'a role with requests can be dropped, from another database, too');
$elsewhere->quit;
is($as{analyst}->value($seen), 0, 'its former member sees nothing');

# Nothing has its number when it is dumped, which may be somebody's elsewhere.
my $gone = $test->await_state('failed', $orphan);
is($gone->{error_code}, '42704', 'a request whose role is gone fails');
like($gone->{error_message}, qr/role that made the request/, 'and says why');
for my $table (sort keys %rows)
{
	$test->await("$table to be nobody's", sub { $super->value("SELECT count(*) FROM $table WHERE requested_by = 0") >= $rows{$table} });
	is($super->value("SELECT count(*) FROM $table WHERE requested_by = $number"), 0, "$table has nothing of it");
}
$node->command_ok([ 'pg_dump', '--file', $dump, '--data-only', '--table', 'clari_export_*', 'postgres' ], 'pg_dump');
unlike(slurp_file($dump), qr/(?:^|\t)$number(?:\t|$)/m, 'a dump does not have the number');
like(slurp_file($dump), qr/\t-\t/, 'but nobody');
$super->run($_)
  for 'CREATE ROLE loader LOGIN', 'CREATE ROLE etl LOGIN', 'GRANT USAGE ON FOREIGN SERVER sales TO PUBLIC',
  q{CREATE USER MAPPING FOR PUBLIC SERVER sales OPTIONS (api_key 'colleague-key')};
for my $namesake (qw(loader etl))
{
	my $session = $test->new_session(user => $namesake);
	is($session->value($seen), 0, "a new $namesake sees no request");
	is($session->value($kept), 0, 'nor snapshot');
	$session->fails("SELECT clari_export_cancel($orphan)", '42704', 'and cancels none');
}
is(scalar $sim->log(method => 'POST', key => 'colleague-key'), 0, "and is not made with PUBLIC's key");
is($super->value("SELECT clari_export_delete_request($orphan)"), 't', 'a superuser deletes it');

# A server that is dropped: its requests fail alone.
my $lost = $as{stranger}->value(q{SELECT clari_export_enqueue('net_arr', run_after => now() + '1 h', server => 'sales')});
$super->run('DROP SERVER sales CASCADE');
$super->run("UPDATE clari_export_request SET run_after = now() WHERE id = $lost");
$test->create_server('other');
is($test->await_state('failed', $lost)->{error_code}, '42704', 'a request whose server is gone fails');

done_testing();
