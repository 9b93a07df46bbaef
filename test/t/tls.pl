# TLS: whom the functions trust, and that a redirect never gets the key.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $wrong = ClariSim->start(tls => 'wrong_name');

# A proxy in the server's environment is not the user's: it is not asked.
my @proxies = qw(http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY);
local @ENV{@proxies} = ('http://127.0.0.1:1') x @proxies;
my $test = ClariTest->new('tls');
my ($sim, $session) = ($test->sim, $test->session);

delete @ENV{@proxies};

# ----------
# A good certificate
# ----------

is($session->value(q{SELECT clari_export('net_arr', '2026_Q2') ? 'entries'}), 't', 'a certificate of the authority in ca_file');
is($session->value(q{SELECT count(*) FROM generate_series(1, 20), LATERAL clari_export_limits()}), 20, 'many requests');
cmp_ok($sim->stats->{connections}, '<=', 3, 'the connection is kept');
$test->create_server('by_address', base_url => 'https://127.0.0.1:' . $sim->port . '/v4', ca_file => $sim->ca_file);
is($session->value(q{SELECT count(*) FROM clari_export_limits('by_address')}), 1, 'a certificate of the address');

# ----------
# Certificates that are not good: an error at once, and no request
# ----------

my %refused = (
	'an unknown authority' => { base_url => $sim->base_url, ca_file => undef },
	'another authority'    => { base_url => $sim->base_url, ca_file => $sim->other_ca_file },
	'another name'         => { base_url => $wrong->base_url, ca_file => $wrong->ca_file },
	'another address'      => { base_url => 'https://127.0.0.1:' . $wrong->port . '/v4', ca_file => $wrong->ca_file },
	'a missing ca_file'    => { base_url => $sim->base_url, ca_file => '/nowhere/ca.pem' });
my $job = $sim->start_job;
my @calls = (
	q{clari_export('net_arr', server => '%s')}, q{clari_export_activity('{}', '%s')}, q{clari_export_audit_events(server => '%s')},
	q{clari_export_submit('net_arr', server => '%s')}, qq{clari_export_status('$job', '%s')}, qq{clari_export_poll('$job', server => '%s')},
	qq{clari_export_result('$job', '%s')}, qq{clari_export_cancel('$job'::text, '%s')}, q{clari_export_jobs('%s')}, q{clari_export_limits('%s')});

my $before = [ map { scalar $_->log } $sim, $wrong ];
my $n = 0;
$session->run(q{SET statement_timeout = '5 s'});
for my $what (sort keys %refused)
{
	my $server = 'refused' . $n++;
	$test->create_server($server, %{ $refused{$what} }, poll_base_delay => '1 min', poll_max_delay => '1 min');
	for my $call (@calls)
	{
		# A second try would come after a minute, too late.
		my $error = $session->fails('SELECT * FROM ' . sprintf($call, $server), 'RC009', "$what, " . sprintf($call, $server));
		like($error->{detail}, qr/certificate|SSL|CA/i, "$what: the reason in DETAIL");
		like($error->{hint}, qr/ca_file/, "$what: HINT");
	}
}
$session->run('RESET statement_timeout');
is_deeply([ map { scalar $_->log } $sim, $wrong ], $before, 'not one request was sent');

# Trust is the server's own: nothing carries over from one to the other, whatever connections are kept.
is($session->value(q{SELECT count(*) FROM clari_export_limits()}), 1, 'the trusted server works');
$session->fails(q{SELECT * FROM clari_export_limits('refused2')}, 'RC009', 'a kept connection is not used by a server that does not trust it');
$test->set_options('clari', ca_file => $sim->other_ca_file);
$session->fails(q{SELECT * FROM clari_export_limits()}, 'RC009', 'a new ca_file is used at once');
$test->set_options('clari', ca_file => $sim->ca_file);
is($session->value(q{SELECT count(*) FROM clari_export_limits()}), 1, 'and so is the old one again');

# A server that speaks no TLS, and TLS where none is expected (one without a kept connection, which libcurl may use).
my $plain = ClariSim->start;
$test->create_server('plain', base_url => 'https://127.0.0.1:' . $plain->port . '/v4', poll_max_attempts => 2);
$session->fails(q{SELECT * FROM clari_export_limits('plain')}, 'RC009', 'a server without TLS');
$test->create_server('reverse', base_url => 'http://127.0.0.1:' . $wrong->port . '/v4', poll_max_attempts => 2);
my $reverse = $session->run(q{SELECT * FROM clari_export_limits('reverse')});
like($reverse->{sqlstate}, qr/^RC00[289]$/, 'a server with TLS where none is expected');

# What a certificate says is shown as text, whole characters of it, and a dump of it can be restored.
my $odd = ClariSim->start(tls => 'odd_name');
$test->create_server('odd', base_url => $odd->base_url, ca_file => $odd->ca_file, poll_max_attempts => 1);
my $odd_error = $session->fails(q{SELECT * FROM clari_export_limits('odd')}, 'RC009', 'a certificate of an odd name');
like($odd_error->{detail}, qr/name/, 'an odd name: the reason in DETAIL');
unlike($odd_error->{detail}, qr/[\x00-\x1F\x7F]/, 'an odd name: no control characters');

# ----------
# Redirects
# ----------

my $elsewhere = ClariSim->start;
$sim->reset;
$job = $sim->start_job;
for my $status (301, 302, 303, 307, 308)
{
	for my $target ($elsewhere->base_url . '/export/jobs', $sim->base_url . '/admin/limits', '/v4/admin/limits')
	{
		$sim->reset;
		$sim->start_job;
		$sim->rules({ times => -1, do => { redirect => $target, status => $status } });
		for my $call (@calls)
		{
			my $statement = sprintf $call, 'clari';
			my $error = $session->fails("SELECT * FROM $statement", 'RC002', "a redirect by $status, $statement");
			like($error->{hint}, qr/Redirects are not followed/, "a redirect by $status, $statement: HINT");
		}
		is(scalar $sim->log(rule => undef), 0, "a redirect by $status to $target: not followed");
	}
}
is($elsewhere->stats->{connections}, 0, 'nobody else was asked');

# ----------
# Plain HTTP is for a loopback host; a proxy is one of the server's options
# ----------

for my $url (qw(http://example.com/v4 http://127.0.0.1.example.com ftp://localhost/ file:///etc/passwd https://user:word@localhost/ https://localhost/?x=1 localhost))
{
	my $error = $test->superuser->fails("ALTER SERVER clari OPTIONS (SET base_url '$url')", '22023', "base_url $url");
	like($error->{detail}, qr/./, "base_url $url: DETAIL");
}

$test->create_server('by_proxy', ca_file => $sim->ca_file, base_url => $sim->base_url, proxy => 'http://127.0.0.1:1', poll_max_attempts => 2);
$session->fails(q{SELECT * FROM clari_export_limits('by_proxy')}, 'RC009', 'the option proxy is used');

done_testing();
