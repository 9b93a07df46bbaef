# A database, a role and a server have settings of their own, and a database is
# renamed, moved and copied: exports go on.

use strict;
use warnings;

use Test::More;
use ClariTest;

use constant ENDLESS => { statuses => [ [ 0, 'STARTED' ] ] };

# A worker that came back more slowly each time would need 16 s at the last.
use constant {
	DDL_TIMES   => 5,
	SOON        => 8,
	ALLOWED     => 5,
};

my $test = ClariTest->new(
	'database_habits',
	options => { poll_max_attempts => 100_000 },
	conf    => q{
		clari_export.databases = 'postgres, busy'
		max_worker_processes = 16
	});
my ($node, $sim, $session, $dba) = ($test->node, $test->sim, $test->session, $test->superuser);

# ----------
# Settings
# ----------

# What would disturb an export, and what an export is to run with all the same. PostgreSQL 19 has no other string literals.
my @settings = (
	[ default_transaction_read_only   => 'on',           transaction_read_only   => 'off' ],
	[ default_transaction_isolation   => 'serializable', transaction_isolation   => 'read committed' ],
	[ default_transaction_deferrable  => 'on',           transaction_deferrable  => 'off' ],
	[ statement_timeout               => '1ms',          statement_timeout       => '0' ],
	[ lock_timeout                    => '1ms',          lock_timeout            => '0' ],
	[ idle_in_transaction_session_timeout => '1ms',      idle_in_transaction_session_timeout => '0' ],
	[ idle_session_timeout            => '1ms',          idle_session_timeout    => '0' ],
	[ transaction_timeout             => '1ms',          transaction_timeout     => '0' ],
	[ jit                             => 'on',           jit                     => 'off' ],
	[ session_replication_role        => 'local',        session_replication_role => 'replica' ],
	[ search_path                     => 'nowhere',      search_path             => 'pg_catalog, pg_temp' ],
	[ enable_indexscan                => 'off',          enable_indexscan        => 'on' ],
	[ row_security                    => 'off' ],
	[ DateStyle                       => 'SQL, DMY' ],
	[ IntervalStyle                   => 'sql_standard' ],
	[ TimeZone                        => 'Asia/Kathmandu' ],
	[ bytea_output                    => 'escape' ],
	[ extra_float_digits              => '-15' ],
	[ quote_all_identifiers           => 'on' ],
	[ transform_null_equals           => 'on' ],
	[ array_nulls                     => 'off' ],
	$dba->value('SHOW server_version_num') < 190000 ? [ standard_conforming_strings => 'off' ] : (),
	[ client_encoding                 => 'LATIN1' ],
	[ synchronous_commit              => 'off' ],
	[ constraint_exclusion            => 'on' ]);
@settings = grep { $dba->value("SELECT count(*) FROM pg_settings WHERE lower(name) = lower('$_->[0]')") } @settings;
my @observed = grep { defined $_->[2] } @settings;

# These sessions keep their own.
for my $kept ($session, $dba)
{
	$kept->run("SET $_->[0] = DEFAULT; SELECT set_config('$_->[0]', current_setting('$_->[0]'), false)") for @settings;
}

# A trigger of the tables' owner sees what our writes run with.
$dba->run(q{CREATE TABLE public.observed (name text, value text)});
$dba->run(q{
	CREATE FUNCTION public.observe() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO public.observed
		SELECT name, current_setting(name) FROM unnest(ARRAY[} . join(', ', map { "'$_->[2]'" } @observed) . q{]) name;
		RETURN NEW;
	END $$;
	CREATE TRIGGER observe BEFORE UPDATE ON clari_export_request FOR EACH ROW EXECUTE FUNCTION public.observe();
	ALTER TABLE clari_export_request ENABLE ALWAYS TRIGGER observe;});

# Replaces the worker, which takes on what is set for its database and role.
sub new_worker
{
	my $old = $test->worker_pid;
	$dba->run("SELECT pg_terminate_backend($old)");
	return $test->await('another worker', sub { my $new = $test->worker_pid; $new != $old && $new });
}

my $owner = $dba->value('SELECT current_user');
my %ways = (
	'ALTER DATABASE' => [ 'ALTER DATABASE postgres SET %s = %s', 'ALTER DATABASE postgres RESET ALL' ],
	'ALTER ROLE'     => [ qq{ALTER ROLE "$owner" SET %s = %s},   qq{ALTER ROLE "$owner" RESET ALL} ],
	'ALTER SYSTEM'   => [ 'ALTER SYSTEM SET %s = %s',            'ALTER SYSTEM RESET ALL' ]);
for my $way (sort keys %ways)
{
	my ($set, $reset) = @{ $ways{$way} };
	for my $setting (@settings)
	{
		my $value = $setting->[1] =~ /^[\w, ]+$/ && $setting->[0] eq 'DateStyle' ? $setting->[1] : "'$setting->[1]'";
		my $done = $dba->run(sprintf $set, $setting->[0], $value);
		is($done->{sqlstate}, undef, "$way: $setting->[0]") or diag explain $done;
	}
	$dba->run('SELECT pg_reload_conf()');
	my $worker = new_worker();
	$dba->run('TRUNCATE public.observed');
	$sim->reset;
	my @requests = map { $test->enqueue(time_period => $_) } qw(2026_Q1 2026_Q2);
	$test->await_state('done', @requests);
	is($sim->stats->{keys}{'demo-key'}{accepted}, 2, "$way: exports are done, each submitted once");
	is($test->worker_pid, $worker, "$way: by the worker that took them on");
	my %seen = split /[|\n]/, $dba->value('SELECT DISTINCT name, value FROM public.observed ORDER BY 1, 2 DESC');
	is_deeply(\%seen, { map { $_->[2] => $_->[3] } @observed }, "$way: with settings of their own");
	$dba->run($reset);
	$dba->run('SELECT pg_reload_conf()');
}
$dba->run('DROP TRIGGER observe ON clari_export_request');

# ----------
# A database to itself
# ----------

$node->safe_psql('postgres', 'CREATE DATABASE busy');
$test->worker_pid('busy');
$test->install('busy');
$test->create_server('clari', database => 'busy', api_key => 'second-key', poll_max_attempts => 100_000);
$sim->reset({ job => ENDLESS });

# A psql that connects for one statement: these commands bear no other connection.
sub in_busy { return $node->safe_psql('busy', @_) }

my $request = in_busy(q{SET ROLE exporter; SELECT clari_export_enqueue('net_arr')});
$sim->wait_for_log(1, method => 'GET', path => qr{^/export/jobs/\w+$}, key => 'second-key');

sub polls { return scalar $sim->log(method => 'GET', path => qr{^/export/jobs/\w+$}, key => 'second-key') }

# While the worker polls; afterwards it polls again.
sub passes
{
	my ($statement) = @_;
	my $done = $dba->run($statement);
	is($done->{sqlstate}, undef, "$statement, while an export runs") or diag explain $done;
	return;
}

sub goes_on
{
	my ($name) = @_;
	my $before = polls();
	$test->await('more polls', sub { polls() > $before });
	pass("$name: the worker goes on");
	return;
}

$dba->run('SET allow_in_place_tablespaces = on');
$dba->run(q{CREATE TABLESPACE elsewhere LOCATION ''});
passes('ALTER DATABASE busy SET TABLESPACE elsewhere');
goes_on('another tablespace');
passes('ALTER DATABASE busy SET TABLESPACE pg_default');
goes_on('and back');
passes('CREATE DATABASE copy TEMPLATE busy');
goes_on('a copy');
passes('ALTER DATABASE busy RENAME TO renamed');
passes('ALTER DATABASE renamed RENAME TO busy');
goes_on('a name and the old one');

# Whoever makes room is no worker in trouble, however often it does.
my $came_back;
for my $time (1 .. DDL_TIMES)
{
	my $old  = $test->worker_pid('busy');
	passes('ALTER DATABASE busy SET TABLESPACE ' . ($time % 2 ? 'elsewhere' : 'pg_default'));
	my $ended = $dba->value('SELECT extract(epoch FROM clock_timestamp())');
	my $new   = $test->await('another worker', sub { my $pid = $test->worker_pid('busy'); $pid != $old && $pid });
	$came_back = $dba->value("SELECT extract(epoch FROM backend_start) - $ended FROM pg_stat_activity WHERE pid = $new");
}
cmp_ok($came_back, '<', SOON, 'a worker that made room many times comes back as soon as after the first');
goes_on('afterwards');

# ----------
# ALLOW_CONNECTIONS
# ----------

my $old = $test->worker_pid('busy');
passes('ALTER DATABASE busy ALLOW_CONNECTIONS false');
$dba->run("SELECT pg_terminate_backend($old)");
$test->await('its end', sub { !$dba->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $old") });
my $before = polls();
$dba->run('SELECT pg_sleep(2)');
is(polls(), $before, 'without connections no worker starts');
my $allowed = $dba->value('SELECT extract(epoch FROM clock_timestamp())');
passes('ALTER DATABASE busy ALLOW_CONNECTIONS true');
my $new = $test->worker_pid('busy');
cmp_ok($dba->value("SELECT extract(epoch FROM backend_start) - $allowed FROM pg_stat_activity WHERE pid = $new"),
	'<', ALLOWED, 'it starts as soon as connections are allowed');
goes_on('afterwards');

# ----------
# ALTER SERVER
# ----------

my $queued = in_busy(q{SET ROLE exporter; SELECT clari_export_enqueue('net_arr', '2026_Q1')});
in_busy('ALTER SERVER clari RENAME TO sales');
goes_on('another name of the server');
$sim->jobs({ statuses => [ [ 0, 'DONE' ] ] });
$sim->finish_job(in_busy("SELECT job_id FROM clari_export_request WHERE id = $request"));
$test->await('both requests', sub { in_busy(q{SELECT count(*) FROM clari_export_request WHERE state = 'done'}) == 2 });
is(in_busy('SELECT DISTINCT server FROM clari_export_request'), 'sales', 'requests go with their server');
is($sim->stats->{keys}{'second-key'}{accepted}, 2, 'and are submitted once, whatever was done to the database');

passes('DROP DATABASE busy');

done_testing;
