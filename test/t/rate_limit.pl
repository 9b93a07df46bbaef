# What a 429 does to the requests of an API key: in one session, in all of the
# cluster when the library is preloaded, and in one session without that.

use strict;
use warnings;

use Test::More;
use ClariTest;

use constant FOREVER => -1;
use constant LATE    => 5;

my @situations = (
	{ what => 'the list of jobs',     path => '^/export/jobs$',      headers => { 'Retry-After' => 2 } },
	{ what => 'the submission',       path => '^/export/forecast',   headers => { 'Retry-After' => '2' } },
	{ what => 'a poll',               path => '^/export/jobs/\w+$',  headers => { 'Retry-After' => ' 2 ' } },
	{ what => 'the fetch',            path => 'results$',            headers => { 'Retry-After' => '2.0' } },
	{ what => 'a date',               path => '^/export/forecast',   headers => { 'Retry-After' => { date_in => 2 } } },
	{ what => 'a date for a poll',    path => '^/export/jobs/\w+$',  headers => { 'Retry-After' => { date_in => 2 } } },
	{ what => 'a date of Clari only', path => '^/export/forecast',   headers => { 'Retry-After' => { date_in => 2 } }, dateless => 1 },
	{ what => 'two headers',          path => '^/export/forecast',   headers => { 'Retry-After' => [ 2, 1 ] } },
	{ what => 'a wrong clock',        path => '^/export/forecast',
		headers => { Date => 'Sun, 06 Nov 1994 08:49:37 GMT', 'Retry-After' => 'Sun, 06 Nov 1994 08:49:39 GMT' } });

my %keys = map { ("key-$_" => { organization => 'acme', user => 'u1' }) } 0 .. 20;
my $test = ClariTest->new('rate_limit', sim => { config => { keys => \%keys } });
my $sim  = $test->sim;
my $node = $test->node;

$test->create_server("s$_", api_key => "key-$_") for 0 .. $#situations;

# ----------
# Retry-After: no request earlier than that. All at the same time, each with a key of its own.
# ----------

$sim->configure({ organizations => { acme => { concurrent_limit => 100 } } });
my @sessions = map { $test->new_session } @situations;
for my $n (0 .. $#situations)
{
	my $situation = $situations[$n];
	$sim->rules({
		match => { key => "key-$n", path => $situation->{path} },
		do    => {
			status  => 429,
			headers => $situation->{headers},
			$situation->{dateless} ? (drop_headers => ['Date']) : ()
		} });
	$sessions[$n]->send("SELECT clari_export('net_arr', server => 's$n') ? 'entries'");
}

for my $n (0 .. $#situations)
{
	my ($what, $dateless) = @{ $situations[$n] }{qw(what dateless)};
	my $outcome = $sessions[$n]->receive;
	is($outcome->{rows}, 't', "$what: the export ends well");
	like($outcome->{told}[0]{message}, qr/^waiting 2 s: rate limited by Clari$/, "$what: it is told");
	is($outcome->{told}[0]{severity}, 'NOTICE', "$what: at NOTICE");

	my @log = $sim->log(key => "key-$n");
	my ($limited) = grep { $_->{status} == 429 } @log;
	my ($next) = grep { $_->{n} > $limited->{n} } @log;
	my $gap = $next->{t} - $limited->{t};
	cmp_ok($gap, '>=', 2, "$what: the next request comes not before 2 s") unless $dateless;
	cmp_ok($gap, '<', 2 + LATE, "$what: it comes");
	note sprintf '%s: %.1f ms after the moment', $what, ($gap - 2) * 1000;
	my $counts = $sim->stats->{keys}{"key-$n"};
	is($counts->{in_hold}, 0, "$what: no request inside the hold");
	is($counts->{accepted}, 1, "$what: one submission");
	is($counts->{rate_limited}, 1, "$what: one 429");
}
$_->quit for @sessions;

# ----------
# No Retry-After, or none that can be read: the backoff starts at the base delay
# ----------

# One server each; the lane of its key has not seen a 429 yet.
my @vague = (undef, 'soon', '1m0s', '-5', '');
for my $n (0 .. $#vague)
{
	$test->create_server("vague$n", api_key => 'key-' . (10 + $n), poll_base_delay => '300 ms', poll_max_delay => '1 s');
}
@sessions = map { $test->new_session } @vague;
for my $n (0 .. $#vague)
{
	$sim->rules({
		match => { method => 'POST', key => 'key-' . (10 + $n) },
		times => 2,
		do    => { status => 429, html => \1, defined $vague[$n] ? (headers => { 'Retry-After' => $vague[$n] }) : () } });
	$sessions[$n]->send("SELECT clari_export('net_arr', server => 'vague$n') ? 'entries'");
}
for my $n (0 .. $#vague)
{
	my $what = defined $vague[$n] ? "Retry-After \"$vague[$n]\"" : 'no Retry-After';
	is($sessions[$n]->receive->{rows}, 't', "$what: the export ends well");
	my @log     = $sim->log(key => 'key-' . (10 + $n));
	my @limited = grep { $_->{status} == 429 } @log;
	my @after   = map { my $n = $_->{n}; (grep { $_->{n} > $n } @log)[0] } @limited;
	is(scalar @limited, 2, "$what: two 429s");
	cmp_ok($after[0]{t} - $limited[0]{t}, '>=', 0.3, "$what: at least the base delay");
	cmp_ok($after[1]{t} - $limited[1]{t}, '>=', 0.3, "$what: and again, an answer was between");
	cmp_ok($after[$_]{t} - $limited[$_]{t}, '<', 0.375 + LATE, "$what: with a jitter of a quarter") for 0, 1;
}
$_->quit for @sessions;

# 429s in a row: the delays grow.
my $session = $test->session;
$sim->rules({ match => { key => 'key-15' }, times => 4, do => { status => 429 } });
$test->create_server('row', api_key => 'key-15', poll_base_delay => '50 ms', poll_max_delay => '120 ms');
is($session->value(q{SELECT count(*) >= 0 FROM clari_export_jobs('row')}), 't', 'four 429s in a row pass');
my @log = $sim->log(key => 'key-15');
for my $n (0 .. 3)
{
	my $planned = (0.05, 0.075, 0.1125, 0.12)[$n];
	cmp_ok($log[ $n + 1 ]{t} - $log[$n]{t}, '>=', $planned, "a row of 429s: delay $n is at least $planned s");
}

# By default the base delay is 5 s. Nobody waits for it: what is told is enough.
$test->create_server('slow', api_key => 'key-16', map { $_ => undef } grep { /^poll_/ } keys %ClariTest::FAST_OPTIONS);
$sim->rules({ match => { key => 'key-16' }, do => { status => 429 } });
my $other = $test->new_session;
$other->send(q{SELECT clari_export('net_arr', server => 'slow')});
$other->await_told(qr/waiting/);
$session->run('SELECT pg_cancel_backend(' . $other->pid . ')');
my $outcome = $other->receive;
like($outcome->{told}[0]{message}, qr/^waiting [567] s: rate limited by Clari$/, 'the default base delay, with jitter');
is($outcome->{sqlstate}, '57014', 'and its wait can be cancelled');

# ----------
# Preloaded: all sessions of the cluster share the lane, in all databases
# ----------

$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
$test->install('elsewhere');
$test->create_server('clari', database => 'elsewhere', api_key => 'key-17');
$test->create_server('shared',  api_key => 'key-17');
$test->create_server('free', api_key => 'key-18');
my $elsewhere = $test->new_session(database => 'elsewhere');

my $job = $sim->start_job(key => 'key-17');
$sim->rules({ match => { key => 'key-17' }, do => { status => 429, headers => { 'Retry-After' => 2 } } });
my $refused = $session->fails("SELECT clari_export_status('$job', 'shared')", 'RC003', 'status does not wait');
like($refused->{detail}, qr/Job $job/, 'its DETAIL names the job');
$elsewhere->send("SELECT clari_export_status('$job')->>'status'");
$other->send("SELECT clari_export('net_arr', server => 'shared') ? 'entries'");
is($session->value(q{SELECT clari_export('net_arr', server => 'free') ? 'entries'}), 't', 'another key is free');
my ($free_last) = reverse $sim->log(key => 'key-18');
is($elsewhere->receive->{rows}, 'DONE', 'a session in another database gets its answer');
is($other->receive->{rows}, 't', 'and so does one in this database');
@log = $sim->log(key => 'key-17');
my ($limited, @next) = @log;
is($limited->{status}, 429, 'the 429 came first');
cmp_ok($_->{t} - $limited->{t}, '>=', 2, "$_->{method} $_->{path}: not before 2 s") for @next;
is($sim->stats->{keys}{'key-17'}{in_hold}, 0, 'no request inside the hold');
cmp_ok($free_last->{t} - $limited->{t}, '<', $next[0]{t} - $limited->{t}, 'the other key did not wait');

# More than a day is a day; the process does not sleep through it.
$sim->rules({ match => { key => 'key-19' }, do => { status => 429, headers => { 'Retry-After' => '9999999999' } } });
$test->create_server('never', api_key => 'key-19');
$session->fails(q{SELECT clari_export_status('x', 'never')}, 'RC003', 'a Retry-After of centuries');
$other->send(q{SELECT clari_export_status('x', 'never')});
$other->await_told(qr/waiting/);
$session->run('SELECT pg_cancel_backend(' . $other->pid . ')');
$outcome = $other->receive;
like($outcome->{told}[0]{message}, qr/^waiting 86[34]\d\d s: rate limited/, 'another session knows of it: a day');
is($outcome->{sqlstate}, '57014', 'and can be cancelled');
is(scalar $sim->log(key => 'key-19'), 1, 'nothing is sent meanwhile');

# ----------
# One export at a time
# ----------

$sim->reset({ job => { duration_ms => 20 } });
my @three = ($session, $other, $test->new_session);
$_->send(q{SELECT clari_export('net_arr') ? 'entries'}) for @three;
is($_->receive->{rows}, 't', 'one of three exports at once ends well') for @three;
is($sim->stats->{keys}{'demo-key'}{max_running}, 1, 'they ran one after the other');

$test->set_options('clari', poll_max_attempts => 1000);
$test->create_server('two', api_key => 'second-key', max_concurrent_exports => 2, poll_max_attempts => 1000);
$sim->reset({ job => { duration_ms => 3_600_000 }, organizations => { globex => { concurrent_limit => 10 } } });
$_->send(q{SELECT clari_export('net_arr', server => 'two') ? 'entries'}) for @three;
my @posts = $sim->wait_for_log(2, method => 'POST', status => 200);
my ($held) = $test->await('the third to be told', sub
	{
		grep { $_->{psql}{run}->pump_nb; $_->{psql}{stderr} =~ /another export of this API key is running/ } @three;
	});
ok($held, 'max_concurrent_exports: the third is held, and told so');
is(scalar $sim->log(method => 'POST'), 2, 'two run at the same time');
$sim->finish_job($posts[0]{job_id});
@posts = $sim->wait_for_log(3, method => 'POST', status => 200);
$sim->finish_job($_->{job_id}) for @posts[ 1, 2 ];
is($_->receive->{rows}, 't', 'one of two and a third ends well') for @three;
is($sim->stats->{keys}{'second-key'}{max_running}, 2, 'no more than two at once');

# A session that is cancelled or killed gives its place back.
$sim->reset({ job => { duration_ms => 3_600_000 } });
$other->send(q{SELECT clari_export('net_arr')});
$sim->wait_for_log(1, method => 'POST', status => 200);
$session->run('SELECT pg_cancel_backend(' . $other->pid . ')');
is($other->receive->{sqlstate}, '57014', 'an export is cancelled');
my $doomed = $test->new_session;
$doomed->send(q{SELECT clari_export('net_arr')});
$sim->wait_for_log(2, method => 'POST', status => 200);
$session->run('SELECT pg_terminate_backend(' . $doomed->pid . ')');
is($doomed->receive_end->{sqlstate}, '57P01', 'and the session of another is ended');
$sim->configure({ job => { duration_ms => 0 } });
is($session->value(q{SELECT clari_export('net_arr') ? 'entries'}), 't', 'their places are free again');

# ----------
# Without preloading
# ----------

my $alone = ClariTest->new('alone', preload => 0);
$sim = $alone->sim;
my ($one, $two) = ($alone->session, $alone->new_session);
$job = $sim->start_job;
$sim->rules({ do => { status => 429, headers => { 'Retry-After' => 1 } } });
$one->send(q{SELECT clari_export('net_arr') ? 'entries'});
$sim->wait_for_log(1, status => 429);
is($two->value("SELECT clari_export_status('$job')->>'status'"), 'DONE', 'without preloading another session works');
is($one->receive->{rows}, 't', 'without preloading the session that was rate limited ends well');
my ($first, $second, $third) = $sim->log;
cmp_ok($third->{t} - $first->{t}, '>=', 1, 'without preloading a lane is the session\'s own');

done_testing();
