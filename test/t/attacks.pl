# What a role tries that has nothing but CONNECT, or a little more: on the tables, on the rows of others, on the worker,
# on those who follow a hint, on CREATE EXTENSION, with files, transactions and time-outs. The cases that have a file of
# their own: rights, roles, planted_code, internal_functions, lanes_for_all, queue_bystanders, secret_statements, release.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use POSIX qw(mkfifo);
use Test::More;

use ClariTest;

my $test = ClariTest->new('attacks', superuser => 1, loopback => 1, options => { poll_max_attempts => 100 });
my ($node, $sim, $super) = ($test->node, $test->sim, $test->superuser);

$super->run($_)
  for 'CREATE ROLE etl LOGIN', 'CREATE ROLE mallory LOGIN', 'CREATE ROLE keeper LOGIN',
  'CREATE SCHEMA AUTHORIZATION mallory',
  'GRANT USAGE ON FOREIGN SERVER clari TO etl',
  'GRANT USAGE ON FOREIGN DATA WRAPPER clari_export TO keeper',
  q{CREATE USER MAPPING FOR etl SERVER clari OPTIONS (api_key 'demo-key')};
my ($etl, $mallory, $keeper) = map { $test->new_session(user => $_) } qw(etl mallory keeper);
$super->run('ALTER SERVER clari OPTIONS (ADD max_concurrent_exports \'3\')');
$sim->configure({ organizations => { acme => { concurrent_limit => 100 } } });

my $SECRET = 'secret_forecast';
$sim->configure({ forecasts => [ 'net_arr', $SECRET ] });
my @secret = map { $test->enqueue(session => $etl, forecast_id => $SECRET, time_period => $_) } qw(2026_Q1 2026_Q2);
push @secret, $test->enqueue(session => $etl, forecast_id => $SECRET, run_after => '2999-01-01', dedupe_key => $SECRET);
$test->await_state('done', @secret[ 0, 1 ]);
$super->run('ANALYZE');
my $worker = $test->worker_pid;

# What etl has, to the bit.
sub etl_has
{
	return $etl->value(q{SELECT (SELECT string_agg(md5(r::text), ',' ORDER BY id) FROM clari_export_request r)
		|| (SELECT string_agg(md5(s::text), ',' ORDER BY request_id) FROM clari_export_snapshot s)});
}
my $before = etl_has();

# ----------
# Tables, by a role that is granted nothing
# ----------

# Refused, or passed over with a warning that says why.
sub is_refused
{
	my ($outcome) = @_;
	return $outcome->{sqlstate} =~ /^(?:42501|42809|42704|22023|0A000)$/ if $outcome->{sqlstate};
	return scalar grep { $_->{severity} eq 'WARNING' && $_->{message} =~ /no privileges|permission denied/ } @{ $outcome->{told} };
}

my @relations = split ' ', $super->value(
	q{SELECT string_agg(oid::regclass::text, ' ' ORDER BY oid) FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass
	WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'clari_export') AND relkind IN ('r', 'p')});
cmp_ok(scalar @relations, '>=', 2, "tables: @relations");
for my $table (@relations)
{
	for my $mode ('ROW SHARE', 'ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE', 'SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE')
	{
		$mallory->fails("BEGIN; LOCK TABLE $table IN $mode MODE NOWAIT", '42501', "LOCK TABLE $table IN $mode");
		$mallory->run('ROLLBACK');
	}
	my $column = $super->value("SELECT attname FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum = 2");
	for my $statement (
		"DELETE FROM $table", "UPDATE $table SET $column = $column", "TRUNCATE $table", 
		"SELECT * FROM $table FOR UPDATE", "SELECT * FROM $table FOR KEY SHARE", "DROP TABLE $table",
		"ALTER TABLE $table DISABLE ROW LEVEL SECURITY", "ALTER TABLE $table ADD COLUMN x int", "ALTER TABLE $table OWNER TO mallory",
		"CREATE INDEX ON $table ($column)", "CREATE POLICY p ON $table USING (true)", "CREATE RULE r AS ON INSERT TO $table DO NOTHING",
		"CREATE TRIGGER t AFTER INSERT ON $table EXECUTE FUNCTION suppress_redundant_updates_trigger()",
		"CREATE TABLE mallory.child () INHERITS ($table)", "CREATE TABLE mallory.reference (id bigint REFERENCES $table)",
		"CLUSTER $table", "REINDEX TABLE $table", "COMMENT ON TABLE $table IS 'x'", "GRANT SELECT ON $table TO mallory WITH GRANT OPTION",
		"SECURITY LABEL ON TABLE $table IS 'x'", "CREATE STATISTICS mallory.s ON ctid, $column FROM $table",
		"MERGE INTO $table t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
		"WITH d AS (DELETE FROM $table RETURNING 1) SELECT * FROM d", "CREATE PUBLICATION p FOR TABLE $table")
	{
		my $outcome = $mallory->run($statement);
		ok(is_refused($outcome), $statement) or diag explain $outcome;
	}
	for my $copy ("COPY $table FROM STDIN", "COPY $table TO STDOUT", "COPY (SELECT * FROM $table) TO STDOUT")
	{
		my ($status, $out, $error) = $node->psql('postgres', $copy, extra_params => [ '-U', 'mallory' ]);
		is($out, '', "$copy: nothing of others");
		next if $copy =~ / TO /;
		like($error, qr/permission denied|not supported with row-level security/, "$copy: refused");
	}
}
for my $insert (
	q{(forecast_id, requested_by) VALUES ('x', 'etl')}, q{(forecast_id, state) VALUES ('x', 'done')}, q{(id, forecast_id) OVERRIDING SYSTEM VALUE VALUES (1, 'x')},
	q{(forecast_id, job_id) VALUES ('x', 'y')}, q{(forecast_id, created_at) VALUES ('x', now())}, q{(forecast_id, known_job_ids) VALUES ('x', '{a}')},
	q{(forecast_id) VALUES ('x')}, q{(forecast_id, dedupe_key) VALUES ('x', 'y') ON CONFLICT (id) DO UPDATE SET forecast_id = 'z'})
{
	$mallory->fails("INSERT INTO clari_export_request $insert", '42501', "INSERT $insert");
}
$mallory->fails(q{SELECT nextval('clari_export_request_id_seq')}, '42501', 'nextval');
$mallory->fails(q{SELECT * FROM clari_export_request_id_seq}, '42501', 'the sequence');

# ----------
# The rows of others: functions that tell what they see, errors, statistics, plans
# ----------

$mallory->run($_)
  for q{CREATE FUNCTION mallory.tell(text) RETURNS bool COST 0.0000001 LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'told %', $1; RETURN true; END $$},
  q{CREATE FUNCTION mallory.tell2(text, text) RETURNS bool COST 0.0000001 LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'told %', $1; RETURN true; END $$},
  q{CREATE OPERATOR mallory.<<< (LEFTARG = text, RIGHTARG = text, FUNCTION = mallory.tell2, RESTRICT = eqsel)};
my @readable = split ' ', $super->value(
	q{SELECT string_agg(oid::regclass::text, ' ' ORDER BY oid) FROM pg_class WHERE relname LIKE 'clari_export%' AND relkind IN ('r', 'p', 'v')
	AND has_table_privilege('mallory', oid, 'SELECT')});
cmp_ok(scalar @readable, '>=', 5, "to be read: @readable");
for my $relation (@readable)
{
	for my $condition ('mallory.tell(x::text)', q{x::text OPERATOR(mallory.<<<) 'a'}, q{x::text::int > 0}, q{NOT mallory.tell(x::text)},
		q{(SELECT mallory.tell(x::text))}, q{EXISTS (SELECT FROM generate_series(1, 2) g WHERE mallory.tell(x::text || g))})
	{
		my $outcome = $mallory->run("SELECT count(*) FROM $relation x WHERE $condition");
		is($outcome->{rows} . ($outcome->{message} // '') . join('', map { $_->{message} } @{ $outcome->{told} }), '0', "$relation WHERE $condition");
	}
	is($mallory->value("SELECT count(*) FROM $relation"), 0, "$relation: no row");
	unlike($mallory->run("EXPLAIN (ANALYZE, VERBOSE, COSTS OFF) SELECT * FROM $relation")->{rows}, qr/$SECRET/, "$relation: its plan");
}
for my $column (qw(forecast_id dedupe_key requested_by))
{
	my $outcome = $mallory->run("SELECT count(*) FROM clari_export_request WHERE mallory.tell($column\::text) AND $column\::text OPERATOR(mallory.<<<) '$SECRET'");
	is($outcome->{rows} . join('', map { $_->{message} } @{ $outcome->{told} }), '0', "$column by itself");
}
is($mallory->value(q{SELECT count(*) FROM pg_stats WHERE tablename LIKE 'clari_export%'}), 0, 'no statistics');
$mallory->fails('SELECT * FROM pg_statistic', '42501', 'nor raw ones');
$mallory->run('SET row_security = off');
$mallory->fails("SELECT * FROM $_", '42501', "$_ without row security") for @relations;
$mallory->run('RESET row_security');

# ----------
# Functions, with nothing granted: nothing is sent, nothing is told
# ----------

my $sent = $sim->log;
for my $call (
	q{clari_export('net_arr')}, q{clari_export_activity('{}')}, q{clari_export_audit_events()}, q{clari_export_submit('net_arr')}, q{clari_export_status('x')},
	q{clari_export_poll('x')}, q{clari_export_result('x')}, q{clari_export_cancel('x'::text)}, q{clari_export_all('net_arr', '{2026_Q1}')},
	q{clari_export_jobs()}, q{clari_export_limits()}, q{clari_export_enqueue('net_arr')}, q{clari_export_release()}, q{clari_export_stat_reset()})
{
	$mallory->fails("SELECT * FROM $call", '42501', $call);
}
for my $id (@secret)
{
	$mallory->fails("SELECT clari_export_$_($id)", '42704', "clari_export_$_ of another's request") for qw(wait cancel retry);
	is($mallory->value("SELECT clari_export_delete_$_($id)"), 'f', "clari_export_delete_$_ of another's") for qw(request snapshot);
}
is($mallory->run(q{CALL clari_export_drain(max_runtime => '0')})->{sqlstate}, undef, 'a drain, of nothing');
$super->run('SET ROLE mallory');
$super->fails("SELECT clari_export_wait($secret[0])", '42704', 'a superuser who acts as mallory');
is($super->value('SELECT count(*) FROM clari_export_request'), 0, 'sees what mallory sees');
$super->run('RESET ROLE');
$mallory->run(q{CREATE FUNCTION mallory.lent(id bigint) RETURNS text SECURITY DEFINER LANGUAGE sql AS 'SELECT clari_export_cancel(id)'});
$mallory->run('GRANT USAGE ON SCHEMA mallory TO PUBLIC');
$etl->fails("SELECT mallory.lent($secret[2])", '42704', 'a function of mallory that etl calls has the rights of mallory');
is(scalar $sim->log, $sent, 'nothing was sent');

# ----------
# The worker
# ----------

$super->run('GRANT pg_signal_backend TO mallory');
$mallory->fails("SELECT pg_cancel_backend($worker)", '42501', 'no cancel of the worker');
$mallory->fails("SELECT pg_terminate_backend($worker)", '42501', 'no end of it');
$mallory->fails($_, '42501', $_) for 'DROP EXTENSION clari_export', 'ALTER EXTENSION clari_export SET SCHEMA mallory', 'DROP SERVER clari',
  'ALTER SERVER clari OWNER TO mallory', 'CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION clari_export_follow_server()',
  q{CREATE USER MAPPING FOR etl SERVER clari OPTIONS (api_key 'k')}, 'DROP USER MAPPING FOR etl SERVER clari', 'ALTER TABLE clari_export_stat OWNER TO mallory';
$mallory->fails("SET clari_export.$_", '55P02', "SET clari_export.$_") for q{databases = ''}, q{request_retention = '1 s'}, q{max_memory = '1MB'};
$mallory->run(q{NOTIFY clari_export, '{"request_id": 1, "state": "done"}'});
$mallory->run('LISTEN clari_export');

# ----------
# Transactions that stay open
# ----------

$sim->configure({ job => { statuses => [ [ 0, 'STARTED' ] ] } });
my @open = map { $test->enqueue(session => $etl, time_period => $_) } qw(2026_Q1 2026_Q2);
$test->await_state('running', @open);
$sim->configure({ job => { statuses => undef } });
my $second = $test->new_session(user => 'etl');
$etl->run('BEGIN ISOLATION LEVEL SERIALIZABLE');
$etl->value("SELECT clari_export_cancel($open[0])");
$etl->value(q{SELECT clari_export_enqueue('net_arr', dedupe_key => 'open')});
$test->await_state('done', $test->enqueue(session => $second));
pass('a cancel that is not committed keeps nobody from exporting');
$second->send("SELECT clari_export_cancel($open[0])");
$super->run('SELECT pg_cancel_backend(' . $second->pid . ')') if $test->await('it to wait', sub {
	$super->value('SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = ' . $second->pid) });
is($second->receive->{sqlstate}, '57014', 'who waits for it can be cancelled');
$etl->run('ROLLBACK');
is($etl->value("SELECT state FROM clari_export_request WHERE id = $open[0]"), 'running', 'it goes on after a rollback');
$etl->value("SELECT clari_export_cancel($_)") for @open;

# ----------
# Time-outs at every moment
# ----------

my @many;
for my $milliseconds (1 .. 25)
{
	$etl->run("SET statement_timeout = '$milliseconds ms'");
	for my $statement (
		'CALL clari_export_drain()', q{SELECT clari_export_enqueue('net_arr', '2026_Q1')}, "SELECT clari_export_wait($secret[0])",
		q{SELECT clari_export_status('x')}, q{SELECT count(*) FROM clari_export_forecast}, q{SELECT clari_export_retry(id) FROM clari_export_request WHERE state = 'failed'})
	{
		my $outcome = $etl->run($statement);
		push @many, "$statement: $outcome->{sqlstate}" if $outcome->{sqlstate} && $outcome->{sqlstate} !~ /^(?:57014|RC002)$/;
	}
}
$etl->run('RESET statement_timeout');
is_deeply(\@many, [], 'a time-out is a time-out');
$test->await('the queue to be empty', sub { !$test->requests(q{state <> ALL ('{done,failed,cancelled}') AND run_after < now()}) });
is($super->value(q{SELECT count(*) FROM clari_export_request WHERE state = 'failed'}), 0, 'and no request fails of it');
is($super->value(q{SELECT count(*) - count(DISTINCT job_id) FROM clari_export_request WHERE state = 'done'}), 0, 'or is exported twice');

# ----------
# Key files that are none
# ----------

my $directory = PostgreSQL::Test::Utils::tempdir();
mkfifo("$directory/fifo", 0600) or die "mkfifo: $!";
symlink "$directory/fifo", "$directory/link";
open(my $huge, '>', "$directory/huge") or die "huge: $!";
truncate $huge, 2**40;
close $huge;
open(my $blanks, '>', "$directory/blanks") or die "blanks: $!";
print {$blanks} ' ' x 1_000_000;
close $blanks;
$super->run('CREATE ROLE holder LOGIN; GRANT USAGE ON FOREIGN SERVER clari TO holder');
my $holder = $test->new_session(user => 'holder');
for my $file ("$directory/fifo", "$directory/link", $directory, '/dev/zero', '/dev/tty', "$directory/huge", "$directory/blanks", '/proc/self/mem')
{
	$super->run("DROP USER MAPPING IF EXISTS FOR holder SERVER clari; CREATE USER MAPPING FOR holder SERVER clari OPTIONS (api_key_file '$file')");
	my $outcome = $holder->run(q{SELECT * FROM clari_export_limits()});
	like($outcome->{sqlstate}, qr/^(?:22023|58...|42501|42809)$/, "$file: $outcome->{sqlstate}");
	my $mine = $test->enqueue(session => $holder);
	$test->await_state('done', $test->enqueue(session => $etl));
	pass("$file: the worker serves others");
	$holder->value("SELECT clari_export_cancel($mine)") if $test->request($mine)->{state} eq 'queued';
}

# ----------
# Values of any size
# ----------

for my $argument (
	q{repeat('x', 100000000)}, q{'net_arr', repeat('x', 100000000)}, q{'net_arr', NULL, jsonb_build_object('scopeId', repeat('x', 100000000))},
	q{'net_arr', dedupe_key => (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 10000) i)}, q{'net_arr', kind => repeat('x', 1000000)},
	q{repeat('../', 1000)}, q{'net_arr', NULL, (repeat('[', 1000) || repeat(']', 1000))::jsonb})
{
	my $outcome = $etl->run("SELECT clari_export_enqueue($argument)");
	my $state = $outcome->{sqlstate} // $test->await('its end', sub {
		$super->value("SELECT concat(state, error_code) FROM clari_export_request WHERE id = $outcome->{rows} AND finished_at IS NOT NULL") });
	like($state, qr/^(?:22023|54000|RC002|failed22023|failedRC002)$/, "clari_export_enqueue($argument)") or diag explain $outcome;
}

# ----------
# Servers of one's own: what a base_url reaches
# ----------

$sent = $sim->log;
my $port = $sim->port;
for my $url (
	"http://127.0.0.1:$port/_sim/stats#", "http://127.0.0.1:$port/_sim/stats?", "http://127.0.0.1:$port/v4/../_sim/stats#", "http://127.0.0.1:$port/%5fsim/",
	"http://127.0.0.1:$port\@clari.test/v4", "http://user\@127.0.0.1:$port/v4", "http://127.1:$port/v4", "http://2130706433:$port/v4", "http://0:$port/v4",
	"http://[::ffff:127.0.0.1]:$port/v4", "http://localhost.:$port/v4", "file:///etc/passwd", "gopher://127.0.0.1:$port/", "unix:/tmp/x", "http://127.0.0.1:$port\\v4",
	"https://127.0.0.1:$port/v4\nX: y", "HTTP://clari.test:$port/v4", 'https://')
{
	is($keeper->run("CREATE SERVER own FOREIGN DATA WRAPPER clari_export OPTIONS (base_url '$url')")->{sqlstate}, '22023', $url =~ s/\n/\\n/r);
}
$keeper->fails("CREATE SERVER own FOREIGN DATA WRAPPER clari_export OPTIONS (base_url 'http://127.0.0.1:$port/v4', proxy 'http://127.0.0.1:$port')", '22023', 'a proxy for a key in clear');
is(scalar $sim->log, $sent, 'nothing was sent there');

# ----------
# Functions that fit a hint's statement better than ours
# ----------

$super->run('GRANT CREATE ON SCHEMA public TO mallory');
for my $signature (
	(map {; "clari_export_$_(unknown_text text, VARIADIC name[])", "clari_export_$_(varchar)", "clari_export_$_(int)", "clari_export_$_(bigint, VARIADIC int[])" }
		(qw(cancel poll result status jobs limits wait rows time_periods))), 'clari_export(text)', 'clari_export(varchar)')
{
	$mallory->run("CREATE FUNCTION public.$signature RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'planted'; END \$\$");
}
$mallory->run("CREATE PROCEDURE public.clari_export_drain() LANGUAGE plpgsql AS \$\$ BEGIN RAISE 'planted'; END \$\$");
$mallory->run('CREATE TEMPORARY TABLE clari_export_request (id int)');
cmp_ok($super->value(q{SELECT count(*) FROM pg_proc WHERE proowner = 'mallory'::regrole}), '>', 20, 'functions are planted');
$sim->configure({ job => { statuses => [ [ 0, 'STARTED' ] ] } });
$super->run(q{ALTER SERVER clari OPTIONS (SET poll_max_attempts '2')});
my $unfinished = $test->enqueue(session => $etl, run_after => '2999-01-01');
my %hints = map { $_ => $etl->run($_)->{hint} // 'none' } (
	q{SELECT clari_export('net_arr', '2026_Q1', '{}', 'clari')}, "SELECT clari_export_delete_request($unfinished)", 'SELECT clari_export_wait(123456789, NULL::interval)',
	"SELECT clari_export_wait($unfinished, '1 ms'::interval)", q{SELECT clari_export_time_periods('2026_Q2'::text, '2026_Q1'::text)},
	q{SELECT clari_export_poll('...'::text, 1, NULL, NULL, 'clari'::name)}, q{SELECT clari_export_status('$(x)'::text, 'clari'::name)},
	q{BEGIN; CALL clari_export_drain(1, NULL, NULL)});
$etl->run('ROLLBACK');
for my $call (sort keys %hints)
{
	my @statements = $hints{$call} =~ /((?:SELECT|CALL) [^;]*;)/g;
	push @statements, "SELECT $1" if !@statements && $hints{$call} =~ /: (\S+\(.*\))\./;
	ok(scalar @statements, "$call: its hint has a statement") or diag $hints{$call};
	for my $statement (@statements)
	{
		like($statement, qr/ public\.clari_export/, "$statement says whose it is");
		next if $statement =~ /clari_export_(?:drain|wait)/;
		unlike($etl->run($statement)->{message} // '', qr/planted|is not unique/, $statement);
	}
}
$sim->configure({ job => { statuses => undef } });

# ----------
# A schema that somebody prepared for CREATE EXTENSION
# ----------

$super->run('CREATE DATABASE prepared');
my $there = $test->new_session(database => 'prepared');
$there->run('CREATE SCHEMA target; GRANT ALL ON SCHEMA target TO mallory');
my $planter = $test->new_session(database => 'prepared', user => 'mallory');
for my $case (
	[ 'TABLE target.clari_export_request (id int)',                      'TABLE' ],
	[ 'VIEW target.clari_export_progress AS SELECT 1',                   'VIEW' ],
	[ 'SEQUENCE target.clari_export_request_id_seq',                     'SEQUENCE' ],
	[ 'TYPE target.clari_export_snapshot AS (id int)',                   'TYPE' ],
	[ q{FUNCTION target.clari_export_rows(jsonb) RETURNS int LANGUAGE sql AS 'SELECT 1'},          'FUNCTION' ],
	[ q{FUNCTION target.clari_export_has_rows(jsonb) RETURNS bool LANGUAGE sql AS 'SELECT true'},  'FUNCTION' ],
	[ q{FUNCTION target.clari_export_cancel(bigint) RETURNS text LANGUAGE sql AS 'SELECT ''x'''}, 'FUNCTION' ],
	[ q{PROCEDURE target.clari_export_drain(int, interval, name) LANGUAGE sql AS 'SELECT 1'},      'PROCEDURE' ],
	[ (map {; "DOMAIN target.$_ AS int" } 'jsonb'), 'DOMAIN', 'ours' ],
	[ (map {; "DOMAIN target.$_ AS int" } 'name'),  'DOMAIN', 'ours' ],
	[ 'TABLE target.pg_class (oid int)',           'TABLE',  'ours' ],
	[ q{FUNCTION target.pg_extension_config_dump(regclass, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'planted'; END $$}, 'FUNCTION', 'ours' ])
{
	my ($object, $kind, $expected) = @$case;
	my ($name) = $object =~ /^\w+ ([\w.]+(?:\([^)]*\))?)/;
	is($planter->run("CREATE $object")->{sqlstate}, undef, "planted: $name");
	my $created = $there->run('CREATE EXTENSION clari_export SCHEMA target');
	if ($expected)
	{
		is($created->{sqlstate}, undef, "$name is not taken for ours") or diag explain $created;
		is($there->value(q{SELECT count(*) FROM pg_depend d, pg_shdepend s WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
			AND s.classid = d.classid AND s.objid = d.objid AND s.refobjid = 'mallory'::regrole AND s.deptype = 'o'}), 0, "$name: nothing of the extension is mallory's");
		$there->run('DROP EXTENSION clari_export');
	}
	else
	{
		isnt($created->{sqlstate}, undef, "$name: not taken over");
		is($there->value(q{SELECT count(*) FROM pg_extension WHERE extname = 'clari_export'}), 0, "$name: and no extension");
	}
	is($planter->run("DROP $kind $name" . ($kind eq 'TABLE' ? ' CASCADE' : ''))->{sqlstate}, undef, "$name goes");
}

is(etl_has() =~ /^\Q@{[ substr $before, 0, 32 ]}/ ? 1 : 0, 1, 'what etl had is as it was');
is($test->worker_pid, $worker, 'the worker is the same process');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP/, 'nothing crashed');

done_testing();
