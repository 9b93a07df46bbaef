# Code that somebody planted, in the target schema before CREATE EXTENSION or on the queue's tables after it, never
# runs with the rights of the extension's owner.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test  = ClariTest->new('planted_code', superuser => 1, conf => "clari_export.databases = 'postgres,victim'\n");
my $super = $test->superuser;
my $node  = $test->node;
$super->run('CREATE ROLE planter LOGIN');
$super->run('CREATE DATABASE victim');
my $victim = $test->new_session(database => 'victim');
$victim->run('GRANT CREATE ON SCHEMA public TO planter');
$victim->run('ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO planter');
$victim->run('ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC');
$victim->run('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO planter, PUBLIC');
$victim->run('ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO planter');

# ----------
# Operators and functions that fit better than PostgreSQL's own
# ----------

my $planter = $test->new_session(database => 'victim', user => 'planter');
my $planted = $planter->run(q{
DO $plant$
DECLARE
	types text[] := '{text,name,int4,int8,numeric,float8,interval,timestamptz,date,bool,jsonb,regrole,oid,"text[]"}';
	l text;
	r text;
	result text;
	op text;
	fn text;
BEGIN
	FOREACH l IN ARRAY types LOOP
		FOREACH r IN ARRAY types LOOP
			FOR result IN SELECT DISTINCT unnest(ARRAY['bool', l]) LOOP
				EXECUTE format($$CREATE FUNCTION public.%I(%s, %s) RETURNS %s LANGUAGE plpgsql AS
					'BEGIN RAISE EXCEPTION ''planted code ran''; END'$$, 'evil_' || result, l, r, result);
			END LOOP;
			FOREACH op IN ARRAY '{=,<>,<,<=,>,>=,+,-,*,/,||,->,->>,#>,#>>,@>,?,~,~~,%}'::text[] LOOP
				CONTINUE WHEN EXISTS (SELECT FROM pg_operator WHERE oprname = op AND oprnamespace = 'pg_catalog'::regnamespace
					AND oprleft = l::regtype AND oprright = r::regtype);
				EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.%I)', op, l, r,
					'evil_' || CASE WHEN op IN ('=', '<>', '<', '<=', '>', '>=', '@>', '?', '~', '~~') THEN 'bool' ELSE l END);
			END LOOP;
			FOREACH fn IN ARRAY '{rpad,lpad,repeat,date_trunc,now,quote_ident,pg_has_role,format,lower,upper,left,right,split_part,round}'::text[] LOOP
				CONTINUE WHEN EXISTS (SELECT FROM pg_proc WHERE proname = fn AND pronamespace = 'pg_catalog'::regnamespace
					AND pronargs = 2 AND proargtypes[0] = l::regtype AND proargtypes[1] = r::regtype);
				EXECUTE format($$CREATE FUNCTION public.%I(%s, %s) RETURNS text LANGUAGE plpgsql AS
					'BEGIN RAISE EXCEPTION ''planted code ran''; END'$$, fn, l, r);
			END LOOP;
		END LOOP;
	END LOOP;
END
$plant$});
is($planted->{sqlstate}, undef, 'operators and functions are planted') or diag explain $planted;
$planter->run('SET search_path = pg_catalog');
cmp_ok($planter->value(q{SELECT count(*) FROM pg_operator WHERE oprowner = 'planter'::regrole}), '>', 2000, 'many of them');

$planter->run('RESET search_path');

my $installed = $victim->run('CREATE EXTENSION clari_export');
is($installed->{sqlstate}, undef, 'CREATE EXTENSION among them') or diag explain $installed;
$victim->run('SET search_path = pg_catalog');
is( $victim->value(
		q{SELECT string_agg(pg_describe_object(d.classid, d.objid, d.objsubid) || ' uses ' ||
			pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), E'\n')
		FROM pg_depend d
		WHERE (d.refclassid = 'pg_operator'::regclass AND d.refobjid IN (SELECT oid FROM pg_operator WHERE oprowner = 'planter'::regrole)
			OR d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM pg_proc WHERE proowner = 'planter'::regrole))
		AND NOT (d.classid = 'pg_operator'::regclass AND d.objid IN (SELECT oid FROM pg_operator WHERE oprowner = 'planter'::regrole))}),
	'', 'nothing of the extension uses any');
my $foreign = $victim->value(
	q{SELECT string_agg(pg_describe_object(d.classid, d.objid, 0), ', ')
	FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid AND d.refclassid = 'pg_extension'::regclass
	WHERE e.extname = 'clari_export' AND d.deptype = 'e'
	AND (d.classid = 'pg_proc'::regclass AND (SELECT pronamespace FROM pg_proc WHERE oid = d.objid) <> 'public'::regnamespace
		OR d.classid = 'pg_class'::regclass AND (SELECT relnamespace FROM pg_class WHERE oid = d.objid) <> 'public'::regnamespace)});
is($foreign, '', 'all of it is in its schema');

# ----------
# Default privileges
# ----------

is( $victim->value(
		q{SELECT string_agg(o.name || ': ' || a.grantee::regrole || ' ' || a.privilege_type, ', ')
		FROM (SELECT c.oid::regclass::text AS name, relacl AS acl, relowner AS owner, 'SELECT' AS kept FROM pg_class c
				WHERE relname LIKE 'clari_export%'
			UNION ALL SELECT p.oid::regprocedure::text, proacl, proowner, 'EXECUTE' FROM pg_proc p
				WHERE proname LIKE 'clari_export%') o, aclexplode(o.acl) a
		WHERE a.grantee <> o.owner AND (a.grantee <> 0 OR a.privilege_type <> o.kept)}),
	'', 'default privileges gave nobody anything');
$victim->run('RESET search_path');
$planter->fails('CREATE TRIGGER t AFTER UPDATE ON clari_export_request FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
	'42501', 'no trigger');
$planter->fails('CREATE RULE r AS ON UPDATE TO clari_export_request DO INSTEAD NOTHING', '42501', 'no rule');
$planter->fails('CREATE POLICY p ON clari_export_request USING (true)', '42501', 'no policy');
$planter->fails('CREATE INDEX i ON clari_export_request ((evil_bool(kind, forecast_id)))', '42501', 'no index');
$planter->fails('ALTER TABLE clari_export_request ADD CHECK (true)', '42501', 'no constraint');
$planter->fails('ALTER TABLE clari_export_request ALTER kind SET DEFAULT evil_text(1, 2)', '42501', 'no default');
$planter->fails('BEGIN; LOCK TABLE clari_export_request', '42501', 'no lock');
$planter->run('ROLLBACK');
$planter->fails(q{SELECT setval('clari_export_request_id_seq', 1)}, '42501', 'no sequence');
$planter->fails("SELECT clari_export_stat_reset()", '42501', 'no counters');

# ----------
# It works, with the planted ones in its search path
# ----------

$test->create_server('clari', database => 'victim');
$victim->run('GRANT USAGE ON FOREIGN SERVER clari TO planter');
$victim->run(q{CREATE USER MAPPING FOR planter SERVER clari OPTIONS (api_key 'second-key')});
my $first = $planter->value(q{SELECT clari_export_enqueue('net_arr', '2026_Q1', dedupe_key => 'd', max_age => '1 h')});
is($test->await_state('done', $first, $victim)->{state}, 'done', 'a request is exported');
for my $view (qw(clari_export_progress clari_export_stat clari_export_forecast))
{
	is($victim->run("SELECT count(*) FROM (SELECT * FROM $view OFFSET 0) v")->{sqlstate}, undef, "$view works");
}
is( $victim->run(q{SELECT count(*) FROM clari_export_snapshot a, clari_export_changes(a.result, a.result)})->{sqlstate}, undef,
	'so does clari_export_changes()');

# ----------
# Code on the tables that a DBA let somebody write: a trigger, and what the extension itself writes
# ----------

$super->run('CREATE TABLE ran (who name, what text)');
$super->run('GRANT INSERT ON ran TO PUBLIC');
$super->run('GRANT TRIGGER ON clari_export_request, clari_export_snapshot TO planter');
$super->run('GRANT CREATE ON SCHEMA public TO planter');
my $here = $test->new_session(user => 'planter');
$here->run(q{CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN INSERT INTO public.ran VALUES (current_user, TG_OP || ' ' || TG_TABLE_NAME); RETURN coalesce(NEW, OLD); END $$});
for my $table (qw(clari_export_request clari_export_snapshot))
{
	my $made = $here->run("CREATE TRIGGER planted BEFORE UPDATE OR DELETE ON $table FOR EACH ROW EXECUTE FUNCTION note()");
	is($made->{sqlstate}, undef, "a trigger on $table");
}
$here->run("CREATE TRIGGER planted_too BEFORE INSERT ON clari_export_snapshot FOR EACH ROW EXECUTE FUNCTION note()");
my $done = $test->enqueue;
$test->await_state('done', $done);
$super->run("SELECT clari_export_delete_request($done), clari_export_delete_snapshot($done)");
my $cancelled = $test->enqueue(run_after => '2999-01-01');
$super->run("SELECT clari_export_cancel($cancelled)");
$super->run("CALL clari_export_drain()");
is($super->value(q{SELECT string_agg(DISTINCT who || ': ' || what, ', ') FROM ran}), '', 'is silent while the extension writes');

# ----------
# The schema gets another name, and somebody makes one of the old name
# ----------

$super->run('CREATE DATABASE renamed');
$super->run('GRANT CREATE ON DATABASE renamed TO planter');
my $dba = $test->new_session(database => 'renamed');
$dba->run($_)
  for 'CREATE SCHEMA tools',
  'GRANT USAGE ON SCHEMA tools TO PUBLIC',
  'CREATE EXTENSION clari_export SCHEMA tools',
  'CREATE TABLE public.ran (who name, what text)',
  'GRANT INSERT ON public.ran TO PUBLIC';
$test->create_server('clari', database => 'renamed');
$dba->run('GRANT USAGE ON FOREIGN SERVER clari TO planter');
my ($intruder, $kept, $new) = map { $test->new_session(database => 'renamed', user => 'planter') } 1 .. 3;

is( $dba->value(q{SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'
	WHERE d.classid = 'pg_proc'::regclass AND (prosrc || coalesce(proconfig::text, '')) LIKE '%tools%'}),
	'', 'no body has its name as text');

# A session keeps plans, and may have read the name before it changed.
my $enqueue = q{clari_export_enqueue('net_arr', run_after => '2999-01-01', dedupe_key => 'k', max_age => '1 h')};
my $import  = sub { sprintf q{clari_export_import('%s', 'net_arr', '2026-01-%02d')},
	'{"entries": [{"fieldId": "f", "forecastValue": 1, "timePeriodId": "2026_Q1", "timeFrameId": "w", "userId": "u"}]}', $_[0] };
is($kept->run("SELECT tools.$enqueue, tools." . $import->(1))->{sqlstate}, undef, 'plans are kept');
$intruder->run('BEGIN');
is($intruder->run('SELECT tools.' . $import->(2))->{sqlstate}, undef, 'a transaction holds the history of a forecast');
$_->send('SELECT tools.' . $import->(2 + $_->pid % 20)) for $kept, $new;
$test->await_activity($_->pid, q{wait_event_type = 'Lock'}) for $kept, $new;
$dba->run('ALTER SCHEMA tools RENAME TO moved');
my $fake = $test->new_session(database => 'renamed', user => 'planter')->run(q{
DO $plant$
DECLARE
	t text;
	columns text;
BEGIN
	CREATE SCHEMA tools;
	GRANT USAGE ON SCHEMA tools TO PUBLIC;
	CREATE FUNCTION tools.note() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO public.ran VALUES (current_user, TG_OP || ' ' || TG_TABLE_NAME); RETURN NEW; END $$;
	FOR t, columns IN SELECT relname, string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod), ', ')
		FROM pg_class JOIN pg_attribute a ON attrelid = pg_class.oid AND attnum > 0
		WHERE relnamespace = 'moved'::regnamespace AND relkind = 'r' GROUP BY 1
	LOOP
		EXECUTE format('CREATE TABLE tools.%I (%s)', t, columns);
		EXECUTE format('CREATE TRIGGER planted BEFORE INSERT OR UPDATE OR DELETE ON tools.%I EXECUTE FUNCTION tools.note()', t);
		EXECUTE format('ALTER TABLE tools.%I ENABLE ALWAYS TRIGGER planted', t);
		EXECUTE format('GRANT ALL ON tools.%I TO PUBLIC', t);
	END LOOP;
END
$plant$});
is($fake->{sqlstate}, undef, 'all tables are planted under the old name') or diag explain $fake;
$intruder->run('COMMIT');
is($_->receive->{sqlstate}, undef, 'who waited goes on') for $kept, $new;
is($_->run("SELECT moved.$enqueue")->{sqlstate}, undef, 'enqueues') for $dba, $kept, $new;
is($dba->value(q{SELECT string_agg(DISTINCT who || ': ' || what, ', ') FROM ran}), '', 'and nothing of it ran');
is($dba->value('SELECT count(*), count(*) FILTER (WHERE finished_at IS NULL) FROM moved.clari_export_request'), '6|2',
	'all of it went to the tables under their new name');
is($dba->value('SELECT count(*) FROM moved.clari_export_history_coverage'), 4, 'the history, too');

# A dump has them there.
my $dump = $node->basedir . '/renamed.sql';
$node->command_ok([ 'pg_dump', '--file', $dump, 'renamed' ], 'pg_dump');
$super->run('CREATE DATABASE again');
$node->command_ok([ 'psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--file', $dump, 'again' ], 'restored');
is($test->new_session(database => 'again')->value('SELECT count(*) FROM moved.clari_export_request'), 6, 'in the same schema');

# ----------
# In a schema of somebody else, with a name that needs quotes
# ----------

$super->run('CREATE DATABASE elsewhere');
my $elsewhere = $test->new_session(database => 'elsewhere');
$elsewhere->run('CREATE SCHEMA "Odd one" AUTHORIZATION planter');
my $created = $elsewhere->run('CREATE EXTENSION clari_export SCHEMA "Odd one"');
is($created->{sqlstate}, undef, 'CREATE EXTENSION in an odd schema') or diag explain $created;
$test->new_session(database => 'elsewhere', user => 'planter')
  ->fails('ALTER TABLE "Odd one".clari_export_request DISABLE ROW LEVEL SECURITY', '42501', 'whose owner does not own the tables');
$elsewhere->run('DROP EXTENSION clari_export');
$test->new_session(database => 'elsewhere', user => 'planter')->run('CREATE TABLE "Odd one".clari_export_request (id int)');
isnt($elsewhere->run('CREATE EXTENSION clari_export SCHEMA "Odd one"')->{sqlstate}, undef, 'a table of that name is not taken over');

done_testing();
