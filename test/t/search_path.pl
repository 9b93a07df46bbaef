# The functions are as good under a search_path that shadows everything.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test    = ClariTest->new('search_path', superuser => 1);
my $sim     = $test->sim;
my $session = $test->session;

# Everything that a careless function might mean to find in pg_catalog or in its own schema. Each of these tells on
# whoever uses it.
$session->run(q{
CREATE SCHEMA evil;
CREATE TABLE evil.trap (what text);
CREATE FUNCTION evil.spring(what text) RETURNS void LANGUAGE sql AS 'INSERT INTO evil.trap VALUES (what)';
GRANT ALL ON SCHEMA evil TO PUBLIC;
GRANT ALL ON evil.trap TO PUBLIC;});

my @shadowed = (
	'now() RETURNS timestamptz', 'clock_timestamp() RETURNS timestamptz', 'length(text) RETURNS int',
	'lower(text) RETURNS text', 'format(text, VARIADIC text[]) RETURNS text', 'quote_ident(text) RETURNS text',
	'concat(VARIADIC text[]) RETURNS text', 'coalesce_text(text, text) RETURNS text',
	'jsonb_typeof(pg_catalog.jsonb) RETURNS text', 'jsonb_object_keys(pg_catalog.jsonb) RETURNS SETOF text',
	'jsonb_array_elements(pg_catalog.jsonb) RETURNS SETOF pg_catalog.jsonb', 'to_jsonb(anyelement) RETURNS pg_catalog.jsonb',
	'jsonb(text) RETURNS pg_catalog.jsonb', 'to_timestamp(double precision) RETURNS timestamptz', 'make_interval(int) RETURNS pg_catalog.interval',
	'unnest(text[]) RETURNS SETOF text', 'has_server_privilege(text, text) RETURNS boolean',
	'pg_notify(text, text) RETURNS void', 'textcat(text, text) RETURNS text', 'texteq(text, text) RETURNS boolean',
	'clari_export_fdw_validator(text[], oid) RETURNS void', 'clari_export(text, text, pg_catalog.jsonb, name) RETURNS pg_catalog.jsonb',
	'clari_export_status(text, name) RETURNS pg_catalog.jsonb', 'clari_export_poll(text, int, pg_catalog.interval, pg_catalog.interval, name) RETURNS pg_catalog.jsonb',
	'clari_export_result(text, name) RETURNS pg_catalog.jsonb');
for my $function (@shadowed)
{
	my ($name) = $function =~ /^(\w+)/;
	my $return = $function =~ /RETURNS (?:SETOF|void)/ ? 'RETURN' : 'RETURN NULL';
	$session->value(qq{CREATE FUNCTION evil.$function LANGUAGE plpgsql AS
		\$\$ BEGIN PERFORM evil.spring('function $name'); $return; END \$\$});
}
for my $operator ([ '=', 'text', 'boolean' ], [ '||', 'text', 'text' ], [ '->', 'pg_catalog.jsonb', 'pg_catalog.jsonb' ],
	[ '->>', 'pg_catalog.jsonb', 'text' ], [ '<', 'timestamptz', 'boolean' ], [ '+', 'timestamptz', 'timestamptz' ])
{
	my ($name, $left, $result) = @$operator;
	my $right    = $left eq 'pg_catalog.jsonb' ? 'text' : $left;
	my $function = 'evil.operate_' . unpack 'H*', $name;
	$session->value(qq{CREATE FUNCTION $function(a $left, b $right) RETURNS $result LANGUAGE plpgsql AS
			\$\$ BEGIN PERFORM evil.spring('operator $name'); RETURN NULL; END \$\$;
		CREATE OPERATOR evil.$name (FUNCTION = $function, LEFTARG = $left, RIGHTARG = $right)});
}
$session->value(qq{CREATE TABLE evil.$_ (clari_export text)})
  for qw(pg_class pg_proc pg_foreign_server pg_user_mapping pg_user_mappings pg_roles clari_export_request clari_export_snapshot);
$session->value(qq{CREATE DOMAIN evil.$_ AS pg_catalog.text CHECK (false)}) for qw(jsonb interval timestamptz name text);

$session->value(q{CREATE ROLE ada; GRANT USAGE ON FOREIGN SERVER clari TO ada;
	CREATE USER MAPPING FOR ada SERVER clari OPTIONS (api_key 'demo-key')});

# Under each of these the functions do what they do.
my @paths = ('evil, pg_catalog, public', 'evil, pg_catalog', q{''}, 'pg_temp, evil', 'nowhere');
for my $path (@paths)
{
	for my $role ('', 'ada')
	{
		my $what = "search_path $path" . ($role ? ' of another role' : '');
		$sim->reset;
		my $job = $sim->start_job;
		$session->value("SET search_path = $path");
		$session->value("SET ROLE $role") if $role;
		my %calls = (
			q{pg_catalog.jsonb_typeof(public.clari_export('net_arr', '2026_Q2'))}    => 'object',
			q{pg_catalog.jsonb_typeof(public.clari_export_activity('{"activityTypes": ["MEETING"]}'))} => 'object',
			q{pg_catalog.jsonb_typeof(public.clari_export_audit_events())}           => 'object',
			q{pg_catalog.length(public.clari_export_submit('net_arr'))}              => 24,
			"public.clari_export_status('$job') OPERATOR(pg_catalog.->>) 'status'"   => 'DONE',
			"public.clari_export_poll('$job', 3, '1 ms', '5 ms') OPERATOR(pg_catalog.->>) 'status'" => 'DONE',
			"pg_catalog.jsonb_typeof(public.clari_export_result('$job'))"            => 'object',
			"public.clari_export_cancel('$job'::pg_catalog.text)"                    => 'DONE',
			q{pg_catalog.count(*) FROM public.clari_export_all('net_arr', '{2026_Q1}') a WHERE a.error IS NULL} => 1,
			q{monthly_quota FROM public.clari_export_limits()}                       => 1000);
		for my $call (sort keys %calls)
		{
			my $outcome = $session->run("SELECT $call");
			is($outcome->{rows}, $calls{$call}, "$what: $call") or diag explain $outcome;
		}
		is($session->value('SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 0 FROM public.clari_export_jobs()'), 't', "$what: jobs");
		$session->fails(q{SELECT public.clari_export('net_arr', '2031_Q1')}, 'RC010', "$what: an error");
		$session->value('RESET ROLE; RESET search_path');
	}
}

# The options of a server are read in the same way.
$session->value(q{SET search_path = evil, pg_catalog, public});
is( $session->run(q{ALTER SERVER clari OPTIONS (SET poll_base_delay '5 milliseconds', ADD max_result_size '1GB')})->{sqlstate}, undef, 'options under a search_path that shadows the types');
$session->fails(q{ALTER SERVER clari OPTIONS (SET poll_base_delay 'soon')}, '22023', 'and they are checked');
$session->value('RESET search_path');
is($session->value(q{SELECT string_agg(DISTINCT what, ', ') FROM evil.trap}), '', 'nothing went into the trap');

# The trap is a good one.
$session->run('SET search_path = evil, pg_catalog, public');
$session->run(q{SELECT length('x'::pg_catalog.text), 'a'::pg_catalog.text = 'b'::pg_catalog.text});
$session->value('RESET search_path');
is($session->value(q{SELECT string_agg(DISTINCT what, ', ' ORDER BY what) FROM evil.trap}), 'function length, operator =', 'but others do');

done_testing();
