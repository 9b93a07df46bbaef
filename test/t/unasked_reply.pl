# A gateway that gives up idle connections says so with a 408 that nobody asked for: it is no answer to the next request.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Test::More;
use ClariTest;

use constant BODY => '{"jobId": "6073683781a6da229df71e00", "status": "DONE"}';

# Answers one request a connection; told so, gives the connection up before anything is asked again.
sub serve
{
	my ($listener, $counter, $go) = @_;
	while (my $client = $listener->accept)
	{
		my $request = '';
		while ($request !~ /\r\n\r\n/) { last unless sysread($client, $request, 4096, length $request) }
		syswrite($counter, 'x');
		syswrite($client, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " . length(BODY) . "\r\n\r\n" . BODY);
		sysread($go, my $word, 1);
		syswrite($client, "HTTP/1.0 408 Request Time-out\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
		shutdown($client, 1);
		syswrite($counter, '.');
	}
}

my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "cannot listen: $!";
pipe(my $count, my $counter) or die "cannot make a pipe: $!";
pipe(my $go,    my $goer)    or die "cannot make a pipe: $!";
my $pid = fork;
if (!$pid)
{
	$SIG{TERM} = 'DEFAULT';
	serve($listener, $counter, $go);
	POSIX::_exit(0);
}
END { local $?; kill 'TERM', $pid if $pid }
close $counter;

my $test = ClariTest->new('unasked_reply', superuser => 1, loopback => 1);
$test->set_options('clari', base_url => 'http://127.0.0.1:' . $listener->sockport, poll_max_attempts => 1);
my $session = $test->session;

for (1 .. 5)
{
	is($session->value(q{SELECT clari_export_poll('6073683781a6da229df71e00') ->> 'status'}), 'DONE', "request $_");
	sysread($count, my $answered, 1);
	is($answered, 'x', 'it was answered');
	syswrite($goer, 'x');
	sysread($count, my $given_up, 1);
	is($given_up, '.', 'and its connection given up');
}

$test->node->stop;
done_testing;
