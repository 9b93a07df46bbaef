# Names that lead nowhere, asked for again and again by one session and by one worker: each attempt is one like the
# first, and what comes after them to a name that leads somewhere does not know of them.

use strict;
use warnings;

use IO::Socket::INET;
use Test::More;
use ClariTest;

# Connections to it are refused: it is bound, so nobody else gets it, and does not listen.
my $deaf = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp') or die "cannot bind: $!";

my $test = ClariTest->new('unreachable');
my ($sim, $session) = ($test->sim, $test->session);
my $worker = $test->worker_pid;
my %nowhere = (
	'a name that does not exist'           => 'missing.test',
	'a name server that does not answer'   => 'silent.test',
	'a port where nobody listens'          => 'clari.test:' . $deaf->sockport);

my $n = 0;
for my $what (sort keys %nowhere)
{
	my $server = 'nowhere' . ++$n;
	$test->create_server($server, base_url => "https://$nowhere{$what}/v4", connect_timeout => '50 ms', request_timeout => '1 s');
	for my $time (1 .. 3)
	{
		my $error = $session->fails("SELECT clari_export_limits('$server')", 'RC009', "$what, time $time");
		like($error->{detail}, qr/resolv|time|connect/i, "$what, time $time: DETAIL says why");
	}

	my $id = $test->enqueue(server => $server);
	my %held;
	$test->await(
		'a request to be held time after time',
		sub {
			my $request = $test->request($id);
			$held{ $request->{held_until} }++ if ($request->{hold_reason} // '') eq 'Clari unavailable';
			return keys %held == 3 || $request->{state} eq 'failed';
		});
	is(scalar keys %held, 3, "$what: the queue waits and tries again");
	is($session->value("SELECT clari_export_cancel($id)"), 'cancelled', "$what: it is not stopped by it");

	is($session->value('SELECT count(*) FROM clari_export_limits()'), 1, "after $what: a function");
	is($test->await_state('done', $test->enqueue)->{error_code}, undef, "after $what: the queue");
}
is($test->worker_pid, $worker, 'all by the same worker');

done_testing;
