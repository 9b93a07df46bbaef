# A statement that holds an API key is hidden, however it fails, while the server logs every statement.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use ClariTest;

use constant KEY => 'N0t-f0r-th3-l0g';

my $test = ClariTest->new(
	'secret_statements',
	superuser => 1,
	conf      => qq{
log_statement = all
log_min_duration_statement = 0
log_min_error_statement = debug5
log_min_messages = notice
log_error_verbosity = verbose
track_activity_query_size = 8192
});
my ($node, $session) = ($test->node, $test->session);
my $watcher = $test->new_session;
my $shown   = 'SELECT query FROM pg_stat_activity WHERE pid = ' . $session->pid;
my $options = sprintf q{OPTIONS (api_key '%s')}, KEY;
my $create  = "CREATE USER MAPPING FOR CURRENT_USER SERVER clari $options";

$session->run('DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER clari');
for my $case (
	[ $create,                                                                        undef,   'a mapping' ],
	[ $create,                                                                        '42710', 'a mapping that exists' ],
	[ $create =~ s/FOR/IF NOT EXISTS FOR/r,                                           undef,   'IF NOT EXISTS' ],
	[ $create =~ s/clari /nowhere /r,                                                 '42704', 'a server that does not exist' ],
	[ "ALTER USER MAPPING FOR PUBLIC SERVER clari $options",                          '42704', 'a mapping that does not exist' ],
	[ "CREATE USER MAPING FOR CURRENT_USER SERVER clari $options",                    '42601', 'a syntax error' ],
	[ "$create BUT NOT YET",                                                          '42601', 'a syntax error at its end' ],
	[ sprintf(q{CREATE USER MAPPING FOR PUBLIC SERVER clari OPTIONS (key '%s')}, KEY), 'HV00D', 'an option that does not exist' ],
	[ "SELECT 1/0; $create",                                                          '22012', 'a statement before it' ],
	[ sprintf(q{CREATE USER MAPPING FOR PUBLIC SERVER clari OPTIONS (api_key %s)}, KEY), '42601', 'a key without quotes' ],
	[ sprintf(q{CREATE USER MAPPING FOR PUBLIC SERVER clari OPTIONS (api_key "%s")}, KEY), '42601', 'a key in double quotes' ],
	[ sprintf(q{CREATE USER MAPPING FOR PUBLIC SERVER clari OPTIONS (api_key $$%s$$)}, KEY), undef, 'a key in dollars' ],
	[ sprintf(q{CREATE USER MAPPING FOR PUBLIC SERVER clari OPTIONS (api_key %s)}, KEY =~ s/-/_/gr x 5), '42601', 'one as long as no name is' ],
	[ "CREATE SERVER wrong FOREIGN DATA WRAPPER clari_export $options",               'HV00D', 'a key among the options of a server' ],
	[ "ALTER SERVER clari $options",                                                  'HV00D', 'or of one that exists' ],
	[ "ALTER SERVER clari OPTIONS (ADD token '" . KEY . "')",                          'HV00D', 'an option like it' ],
	[ "ALTER FOREIGN DATA WRAPPER clari_export $options",                             'HV00D', 'of the wrapper' ],
	[ "CREATE FOREIGN TABLE pg_temp.foreign (a int) SERVER clari $options",           'HV00D', 'of a table' ],
	[ "IMPORT FOREIGN SCHEMA a FROM SERVER clari INTO public $options",               '55000', 'of an import' ],
	[ sprintf(q{DO $$ BEGIN RAISE LOG 'as text: %s'; END $$}, $create =~ s/'/''/gr),   undef,   'in a message' ],
	[ sprintf(q{CREATE FUNCTION pg_temp.set_key() RETURNS void LANGUAGE plpgsql AS $$ BEGIN %s; END $$}, $create), undef, 'a function that holds it' ],
	[ 'SELECT pg_temp.set_key()',                                                     '42710', 'a call of that' ],
	[ sprintf(q{DO $$ BEGIN EXECUTE '%s'; END $$}, $create =~ s/'/''/gr),             '42710', 'EXECUTE in a block' ],
	[ sprintf(q{DO $$ BEGIN PERFORM 1/0; EXECUTE '%s'; END $$}, $create =~ s/'/''/gr), '22012', 'another error in such a block' ])
{
	my ($statement, $sqlstate, $what) = @$case;
	is($session->run($statement)->{sqlstate}, $sqlstate, $what);
	unlike($watcher->value($shown), qr/${\KEY}/, "$what: pg_stat_activity");
}
$node->command_fails([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', "$create BUT '" . KEY ], 'a quote that does not end');
append_to_file($node->basedir . '/extended.sql', "$create;\n");
for my $mode (qw(extended prepared))
{
	$node->command_fails([ qw(pgbench -n -t 1 -M), $mode, '-f', $node->basedir . '/extended.sql', $node->connstr('postgres') ], "the $mode protocol");
}

# The key is an argument of a function of the user's. That it was called is logged before anybody knows what it does;
# its errors do not repeat it.
$session->run(q{SET log_statement = none; SET log_min_duration_statement = -1; SET log_parameter_max_length_on_error = 100;
	CREATE FUNCTION pg_temp.set_to(key text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key %L)', key); END $$});
for my $key (KEY, KEY . "'")
{
	my $literal = $key =~ s/'/''/gr;
	ok($session->run("SELECT pg_temp.set_to('$literal')")->{sqlstate}, "an argument, $key");
	ok($session->run("PREPARE set_to(text) AS SELECT pg_temp.set_to(\$1); EXECUTE set_to('$literal')")->{sqlstate}, "a parameter, $key");
	$session->run('DEALLOCATE ALL');
}
$session->run('RESET log_statement; RESET log_min_duration_statement');

# One string of several statements: the key is hidden before its statement is reached, and the others stay.
my $alter = "ALTER USER MAPPING FOR CURRENT_USER SERVER clari " . $options =~ s/api_key/SET api_key/r;
$session->run("SELECT 1\\; $create\\; SELECT 2");
$session->run("PREPARE several AS SELECT 1\\; $alter");
$session->run('EXECUTE several');
$session->run("LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SELECT 1\\; $alter; SET auto_explain.log_min_duration = -1");
$session->run(qq{SELECT set_config('clari.seen', query, false) FROM pg_stat_activity WHERE pid = pg_backend_pid()\\; $alter});
like($session->value(q{SELECT current_setting('clari.seen')}), qr/\Q@{[ $alter =~ s!'.*'!'***'!r ]}\E/, 'a later statement in pg_stat_activity');
$session->run(sprintf q{DO $$ BEGIN EXECUTE format('ALTER USER MAPPING FOR PUBLIC SERVER clari OPTIONS (SET api_key %%L)', '%s'); END $$}, KEY);
$session->run(sprintf q{COMMENT ON SERVER clari IS 'CREATE USER MAPPING FOR PUBLIC SERVER clari OPTIONS (api_key ''%s'')'}, KEY);
$session->run(sprintf q{SELECT 1 /* OPTIONS (api_key '%s') */}, KEY);

# Nobody hides what he does by a word, a quote or a comment: it is in the log as it came.
my @audited = (
	q{SELECT 'some value', count(*) /* api_key */ FROM pg_class},
	q{SELECT 'another' FROM pg_class /* pg_class api_key */ WHERE oid = 1},
	q{SELECT 'user mapping options api_key', query_to_xml('SELECT 1', true, false, '') -- OPTIONS (api_key},
	q{SELECT /* it's /* a */ CREATE USER MAPPING FOR u SERVER s OPTIONS (k $x$ */ 'after a comment'},
	q{SELECT user mapping, options FROM (SELECT 'an alias' AS options) s},
	q{DO $$ BEGIN /* it's an api_key */ EXECUTE 'SELECT 1 /* api_key */'; END $$},
	q{SELECT 1/0 AS "options' user mapping", 'in an error' FROM pg_attribute /* pg_attribute is no api_key */});
# In a comment, the word after it is hidden, which nobody executes; where else it stands, it stays.
$session->run('SELECT 1/0 FROM pg_statistic /* api_key pg_statistic */');
$session->run($_) for @audited;
like($watcher->value($shown), qr/^\Q$audited[-1]\E/, 'and in pg_stat_activity');
$session->run(q{SELECT 'this is still logged'});

my $log = slurp_file($node->logfile);
like($log, qr/statement: SELECT 'this is still logged'/, 'other statements are logged');
like($log, qr/statement: \Q@{[ $create =~ s!'.*'!'***'!r ]}\E/, 'and those with a key, without it');
like($log, qr/Query Text: SELECT 1; ALTER USER MAPPING/, 'also by auto_explain');
like($log, qr/statement: \Q$_\E/, "logged: $_") for @audited;
like($log, qr/STATEMENT:  \Q$audited[-1]\E/, 'also where it is told of an error');
like($log, qr!without its values: SELECT 1/0 FROM pg_statistic /\* api_key \*\*\* \*/!, 'in a comment, what is called a key');
my $part  = substr(KEY, 0, 3);
my @leaks = grep { /\Q$part\E/i } split /\n/, $log;
is(scalar @leaks, 0, 'the key is not in the log, nor a part of it') or diag join "\n", @leaks;

$node->stop;
done_testing;
