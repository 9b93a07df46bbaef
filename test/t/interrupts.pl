# A cancel, a statement timeout, the end of a session and a fast shutdown, each
# during every kind of wait: it ends at once, with PostgreSQL's own SQLSTATE.
# The time that takes is measured, until the session is ready again or gone,
# and noted.

use strict;
use warnings;

use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::Local qw(timegm);
use ClariTest;

use constant LATE       => 5;         # seconds; the aim is a tenth of one
use constant TIMEOUT_MS => 500;
use constant SLOW_NAME  => 'silent.test';

# It accepts a connection, and never says a word.
my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64, Proto => 'tcp') or die "cannot listen: $!";

my @names = qw(reply submission result retry poll lane);
my $test = ClariTest->new(
	'interrupts',
	sim => {
		config => {
			keys          => { map { ("$_-key" => { organization => 'acme', user => 'u1' }) } @names },
			organizations => { acme => { concurrent_limit => 1000 } },
		}
	});
my ($node, $sim, $session) = ($test->node, $test->sim, $test->session);
my %patient = (connect_timeout => '1 min', request_timeout => '1 min');

$test->create_server($_, api_key => "$_-key", %patient, poll_base_delay => '10 ms') for @names;
$test->create_server('dns', base_url => 'https://' . SLOW_NAME . '/v4', %patient);
$test->create_server('tls', base_url => 'https://127.0.0.1:' . $silent->sockport . '/v4', %patient);
$test->set_options($_, poll_base_delay => '1 h', poll_max_delay => '1 h') for qw(poll lane);

$sim->rules(
	{ match => { key => 'reply-key', path => '^/export/jobs/\w+$' }, times => -1, do => { hang => \1 } },
	{ match => { key => 'submission-key', method => 'POST' }, times => -1, do => { hang => \1 } },
	{ match => { key => 'result-key', path => 'results$' }, times => -1, do => { hang_after_bytes => 100 } },
	{ match => { key => 'retry-key' }, times => -1, do => { status => 429, headers => { 'Retry-After' => 3600 } } });

# Somebody has the only place in the lane all the time.
my $holder = $test->new_session;
$holder->run('SET client_min_messages = debug1');
$holder->send(q{SELECT clari_export('net_arr', server => 'lane')});
$holder->await_told(qr/next request in [1-9]/);

# How it is known that a session is in the wait; the job is known then, a submission under way, or neither.
my %waits = (
	dns        => { what => 'a slow DNS answer', begun => \&is_waiting },
	tls        => { what => 'a TLS handshake',   begun => \&is_waiting },
	submission => { what => 'a reply to the submission', begun => request_of(method => 'POST'), after => 'submission' },
	reply      => { what => 'a reply to a poll', begun => request_of(path => qr{^/export/jobs/\w+$}), after => 'job' },
	result     => { what => 'the rest of a result', begun => request_of(path => qr{results$}), after => 'job' },
	retry      => { what => 'a long Retry-After', begun => told(qr/waiting \d{4} s: rate limited/) },
	poll       => { what => 'the next poll', begun => told(qr/next request in [1-9]/), after => 'job' },
	lane       => { what => 'the lane', begun => told(qr/another export of this API key is running/) });

sub is_waiting
{
	my ($waiting) = @_;
	$test->await_activity($waiting->pid, q{wait_event_type = 'Extension'});
	return;
}

sub told
{
	my ($pattern) = @_;
	return sub { $_[0]->await_told($pattern) };
}

# A request since the statement was sent.
sub request_of
{
	my %filter = @_;
	return sub
	{
		my ($waiting, $server, $since) = @_;
		$sim->wait_for_log(1, since => $since, key => "$server-key", %filter);
		is_waiting($waiting);
	};
}

# Let a new session wait.
sub waiting_session
{
	my ($server, @settings) = @_;
	my $waiting = $test->new_session;
	$waiting->run("SET client_min_messages = debug1; SET application_name = '$server'");
	$waiting->run($_) for @settings;
	my $since = $sim->log;
	$waiting->send("SELECT clari_export('net_arr', server => '$server')");
	$waits{$server}{begun}->($waiting, $server, $since);
	return $waiting;
}

# The moment, in seconds, of the last line of the server's log that matches.
sub logged_at
{
	my ($pattern) = @_;
	my ($line) = reverse grep { $_ =~ $pattern } split /\n/, PostgreSQL::Test::Utils::slurp_file($node->logfile);
	die "not in the log: $pattern" unless $line && $line =~ /^(\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+\.\d+)/;
	return timegm(0, $5, $4, $3, $2 - 1, $1) + $6;
}

# SQLSTATE, DETAIL and HINT, and how long it took.
sub check
{
	my ($server, $outcome, $sqlstate, $how, $latency) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $what  = "$how, waiting for $waits{$server}{what}";
	my $after = $waits{$server}{after} || '';
	my ($detail, $hint) = map { defined $_ ? $_ : '' } @$outcome{qw(detail hint)};
	is($outcome->{sqlstate}, $sqlstate, "$what: $sqlstate") or diag explain $outcome;
	if ($after eq 'job')
	{
		like($detail, qr/^Job \w{24} of server "$server" was submitted\.$/, "$what: the job in DETAIL");
		my ($job) = $detail =~ /(\w{24})/;
		like($hint, qr/public\.clari_export_result\('$job'::text, server => '$server'::name\)/, "$what: how to go on in HINT");
	}
	elsif ($after eq 'submission')
	{
		like($detail, qr/submission on server "$server" was under way/, "$what: the submission in DETAIL");
		like($hint, qr/public\.clari_export_jobs\('$server'::name\)/, "$what: where to look in HINT");
	}
	else
	{
		is("$detail$hint", '', "$what: nothing was submitted, nothing to say");
	}
	note sprintf '%s: %.0f ms', $what, $latency * 1000;
	cmp_ok($latency, '<', LATE, "$what: at once");
	return;
}

for my $server (sort keys %waits)
{
	my $waiting = waiting_session($server);
	my $pid     = $waiting->pid;
	my $begun = $sim->now;
	$session->run("SELECT pg_cancel_backend($pid)");
	check($server, $waiting->receive, '57014', 'cancel', $sim->now - $begun);
	is($waiting->value('SELECT count(*) FROM clari_export_limits()'), 1, 'the session works') if $server eq 'poll';

	# The same session, in a transaction that lives on.
	$waiting->run('BEGIN; SAVEPOINT s');
	$waiting->run('SET LOCAL statement_timeout = ' . TIMEOUT_MS);
	$begun = $sim->now;
	my $outcome = $waiting->run("SELECT clari_export('net_arr', server => '$server')");
	check($server, $outcome, '57014', 'statement_timeout', $sim->now - $begun - TIMEOUT_MS / 1000);
	like($outcome->{message}, qr/statement timeout/, 'it is the statement timeout');
	is($waiting->run('ROLLBACK TO s')->{sqlstate}, undef, 'the transaction lives on');
	$waiting->quit;

	$waiting = waiting_session($server);
	$pid = $waiting->pid;
	$begun = $sim->now;
	$session->run("SELECT pg_terminate_backend($pid)");
	check($server, $waiting->receive_end, '57P01', 'the end of the session', $sim->now - $begun);
}

# Caught in PL/pgSQL, as any other error.
my $caught = $test->new_session;
$caught->run('SET statement_timeout = ' . TIMEOUT_MS);
is( $caught->value(q{DO $$ BEGIN PERFORM clari_export('net_arr', server => 'retry'); EXCEPTION WHEN query_canceled THEN RAISE NOTICE 'caught'; END $$}), '', 'a block catches the cancel');
is($caught->value(q{SELECT count(*) FROM clari_export_limits()}), 1, 'and the session works');

# A fast shutdown ends all of them.
my %waiting = map { ($_ => waiting_session($_)) } sort keys %waits;
$_->quit for $session, $caught;
$node->stop('fast');
my $shutdown = logged_at(qr/received fast shutdown request/);
for my $server (sort keys %waiting)
{
	my $pid = $waiting{$server}->pid;
	check($server, $waiting{$server}->receive_end, '57P01', 'fast shutdown', logged_at(qr/\[$pid\] .*FATAL:  terminating/) - $shutdown);
}
my $ended = logged_at(qr/database system is shut down/) - $shutdown;
note sprintf 'the fast shutdown took %.0f ms', $ended * 1000;
cmp_ok($ended, '<', 2 * LATE, 'the fast shutdown waits for none of them');

done_testing();
