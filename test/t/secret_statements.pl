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
	[ sprintf(q{DO $$ BEGIN EXECUTE '%s'; END $$}, $create =~ s/'/''/gr),             '42710', 'EXECUTE in a block' ],
	[ sprintf(q{DO $$ BEGIN PERFORM 1/0; EXECUTE '%s'; END $$}, $create =~ s/'/''/gr), '22012', 'another error in such a block' ])
{
	my ($statement, $sqlstate, $what) = @$case;
	is($session->run($statement)->{sqlstate}, $sqlstate, $what);
	unlike($watcher->value($shown), qr/${\KEY}/, "$what: pg_stat_activity");
}
$session->run(q{SELECT 'this is still logged'});

my $log = slurp_file($node->logfile);
like($log, qr/statement: SELECT 'this is still logged'/, 'other statements are logged');
like($log, qr/text hidden/, 'hidden ones say so');
my @leaks = grep { index($_, KEY) >= 0 } split /\n/, $log;
is(scalar @leaks, 0, 'the key is not in the log') or diag join "\n", @leaks;

$node->stop;
done_testing;
