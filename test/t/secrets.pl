# The API key is nowhere to be seen: not in the server's log at debug5, not in
# an error, not in a view, not in pg_stat_activity; whatever goes wrong.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use ClariTest;

use constant KEY     => 'S3cr3t-0f-th3-wh0l3-t3am';
use constant OTHER   => 'An0th3r-s3cr3t-w1th0ut-use';
use constant FOREVER => -1;

my $test = ClariTest->new(
	'secrets',
	superuser => 1,
	options => { request_timeout => '60 ms', max_result_size => '64kB', poll_max_attempts => 2 },
	sim     => { config => { keys => { KEY, { organization => 'acme', user => 'u1' } } } },
	conf    => qq{
log_statement = none
log_min_messages = debug5
log_error_verbosity = verbose
log_min_error_statement = error
log_connections = on
});
my ($node, $sim, $session) = ($test->node, $test->sim, $test->session);
my @told;

# Whether one of the secrets is in the text.
sub has_secret
{
	my ($text) = @_;
	return grep { index($text, $_) >= 0 } @_[ 1 .. $#_ ], KEY, OTHER;
}

# Run it, and keep all that the client is told.
sub run
{
	my ($sql, $who) = @_;
	my $outcome = ($who || $session)->run($sql);
	push @told, map { my $entry = $_; map { "$_: $entry->{$_}" } keys %$entry } @{ $outcome->{told} };
	push @told, $outcome->{rows};
	return $outcome;
}

# ----------
# Statements that hold a key
# ----------

my $watcher = $test->new_session;
my $shown   = 'SELECT query FROM pg_stat_activity WHERE pid = ' . $session->pid;

$session->run('DROP USER MAPPING FOR CURRENT_USER SERVER clari');
$session->run('CREATE ROLE ada LOGIN; GRANT USAGE ON FOREIGN SERVER clari TO ada; GRANT pg_read_all_stats TO ada');
my $ada = $test->new_session(user => 'ada');

# While it runs: the other session holds the same mapping, and has not committed.
my $create = sprintf q{CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key '%s')}, KEY;
my $rival = $test->new_session;
$rival->run('BEGIN');
$rival->run($create =~ s/${\KEY}/${\OTHER}/r);
$session->send($create);
$test->await('the statement to wait', sub { $watcher->value('SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = ' . $session->pid) });
like($watcher->value($shown), qr/text hidden/, 'CREATE USER MAPPING while it runs');
unlike($ada->value($shown), qr/S3cr3t/, 'nor does another role see it');
$rival->run('ROLLBACK');
$test->await('the statement to end', sub { $watcher->value("$shown AND state = 'idle'") });
like($watcher->value($shown), qr/text hidden/, 'CREATE USER MAPPING after it');
is($session->receive->{sqlstate}, undef, 'CREATE USER MAPPING');

for my $case (
	[ sprintf(q{ALTER USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (SET api_key '%s')}, KEY), undef, 'ALTER USER MAPPING' ],
	[ sprintf(q{DO $$ BEGIN EXECUTE 'ALTER USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (SET api_key ''%s'')'; END $$}, KEY), undef, 'ALTER USER MAPPING in a block' ],
	[ sprintf(q{CREATE USER MAPPING FOR ada SERVER clari OPTIONS (api_key '%s x')}, OTHER), '22023', 'a key with a space' ],
	[ sprintf(q{CREATE USER MAPPING FOR ada SERVER clari OPTIONS (api_key '%s', nonsense 'x')}, OTHER), 'HV00D', 'an option that does not exist' ],
	[ sprintf(q{CREATE USER MAPPING FOR ada SERVER clari OPTIONS (key '%s')}, OTHER), 'HV00D', 'a key under another name' ],
	[ sprintf(q{CREATE USER MAPPING FOR ada SERVER clari OPTIONS (api_key '%s', api_key_file '/x')}, OTHER), 'HV002', 'a key too many' ],
	[ sprintf(q{CREATE USER MAPPING FOR ada SERVER clari OPTIONS (api_key_file '%s')}, '/nowhere/' . OTHER), undef, 'a key file' ])
{
	my ($statement, $sqlstate, $what) = @$case;
	is(run($statement)->{sqlstate}, $sqlstate, $what) or diag explain $told[-1];
	ok(!has_secret($watcher->value($shown)), "$what: pg_stat_activity");
}
is(run(q{SELECT clari_export('net_arr')}, $ada)->{sqlstate}, '58P01', 'a key file that does not exist');
$session->run('DROP USER MAPPING FOR ada SERVER clari');

# ----------
# Views
# ----------

for my $query (
	q{SELECT coalesce(umoptions::text, 'hidden') FROM pg_user_mappings},
	q{SELECT coalesce(option_value, 'hidden') FROM information_schema.user_mapping_options})
{
	my ($view) = $query =~ /FROM (\S+)/;
	is($ada->value($query), 'hidden', "$view hides the key from another role");
	ok(has_secret($session->value($query)), "$view shows it to its owner");
}
$ada->fails('SELECT * FROM pg_user_mapping', '42501', 'pg_user_mapping');

# ----------
# All functions, all errors; also those in which Clari repeats the key
# ----------

my $job = $sim->start_job(key => KEY);
my @calls = (
	q{SELECT clari_export('net_arr', '2026_Q2') IS NOT NULL}, q{SELECT clari_export_activity('{}') IS NOT NULL},
	q{SELECT clari_export_audit_events() IS NOT NULL}, q{SELECT clari_export_submit('net_arr')},
	"SELECT clari_export_status('$job')", "SELECT clari_export_poll('$job')",
	"SELECT clari_export_result('$job') IS NOT NULL", "SELECT clari_export_cancel('$job')",
	q{SELECT * FROM clari_export_all('net_arr', '{2026_Q1}')}, q{SELECT * FROM clari_export_jobs()},
	q{SELECT * FROM clari_export_limits()});
my @faults = (
	(map { { status => $_ } } 400, 401, 403, 404, 429, 500, 503),
	{ status => 401, body => { message => 'Invalid API key ' . KEY } },
	{ status => 400, body => { code => KEY, message => 'apikey: ' . KEY . ', apikey: ' . KEY } },
	{ status => 500, body => { errors => [ { code => 'x', message => KEY } ] } },
	{ body_text => KEY },
	{ body_text => '{"status": ' . KEY },
	{ status => 302, headers => { Location => 'http://127.0.0.1:1/' . KEY } },
	{ status => 200, headers => { 'Content-Encoding' => KEY } },
	{ reset => \1 }, { close => \1 }, { hang => \1 }, { truncate => 3 }, { html => \1 }, { empty => \1 },
	{ gzip_bomb => 1_000_000 }, { content_encoding_lie => \1 });

$session->run('SET client_min_messages = debug5; SET lc_messages = \'C\'');
run($_) for @calls;
ok(scalar $sim->log(key => KEY, status => 200), 'the key is good');
my $errors = 0;
for my $fault (@faults)
{
	$sim->reset;
	$job = $sim->start_job(key => KEY);
	$sim->rules({ times => FOREVER, do => $fault });
	for my $call (@calls)
	{
		my $outcome = run($call =~ s/'\w{24}'/'$job'/r);
		$errors++ if $outcome->{sqlstate};
	}
}
is($errors, @faults * (@calls - 1), 'every function but clari_export_all fails in all of these');

# Clari is not there at all, and is not what it says.
$test->set_options('clari', base_url => 'https://127.0.0.1:1/v4');
run($_) for @calls;
$test->set_options('clari', base_url => 'http://127.0.0.1:' . $sim->port . '/v4');
run($_) for @calls;
$test->set_options('clari', base_url => $sim->base_url);

# An interrupt.
$sim->reset;
$sim->rules({ times => FOREVER, do => { hang => \1 } });
$test->set_options('clari', request_timeout => '1 min');
$session->send($calls[0]);
$sim->wait_for_log(1);
ok(!has_secret($watcher->value($shown)), 'pg_stat_activity while a function waits');
$watcher->run('SELECT pg_cancel_backend(' . $session->pid . ')');
my $outcome = $session->receive;
is($outcome->{sqlstate}, '57014', 'a cancel');
push @told, map { values %$_ } @{ $outcome->{told} };

# ----------
# What was told and what was logged
# ----------

my @leaks = grep { has_secret($_) } @told;
cmp_ok(scalar @told, '>', 1000, 'clients were told a lot');
is(scalar @leaks, 0, 'no client was told the key') or diag join "\n", @leaks[ 0 .. ($#leaks < 9 ? $#leaks : 9) ];

$node->stop('fast');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
like($log, qr{DEBUG:  00000: clari_export: GET /export/jobs: HTTP 200}, 'the log has our own debug messages');
like($log, qr/DEBUG:  00000: StartTransaction/, 'and PostgreSQL\'s at debug5');
@leaks = grep { has_secret($_) } split /\n/, $log;
is(scalar @leaks, 0, 'the key is not in the log') or diag join "\n", @leaks[ 0 .. ($#leaks < 9 ? $#leaks : 9) ];

done_testing();
