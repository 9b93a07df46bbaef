# Connections that are never answered, of one role, leave some to the others.

use strict;
use warnings;

use IO::Socket::INET;
use Test::More;
use ClariTest;

use constant SERVERS => 80;    # more than a process of this server may have descriptors for

# It accepts a connection, and never says a word.
my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 2 * SERVERS, Proto => 'tcp') or die "cannot listen: $!";

my $test = ClariTest->new('connections', conf => "max_files_per_process = 250\n");
my ($session, $super) = ($test->session, $test->superuser);
my %endless = (connect_timeout => '1 h', request_timeout => '1 h', base_url => 'http://127.0.0.1:' . $silent->sockport . '/v4');

$super->run('CREATE ROLE greedy LOGIN; GRANT USAGE ON FOREIGN DATA WRAPPER clari_export TO greedy');
my $greedy = $test->new_session(user => 'greedy');
my $options = join ', ', map { "$_ '$endless{$_}'" } sort keys %endless;
$greedy->run("CREATE SERVER silent$_ FOREIGN DATA WRAPPER clari_export OPTIONS ($options);"
	  . " CREATE USER MAPPING FOR greedy SERVER silent$_ OPTIONS (api_key 'key-$_')")
  for 1 .. SERVERS;
is($greedy->value("INSERT INTO clari_export_request (forecast_id, server) SELECT 'net_arr', 'silent' || n FROM generate_series(1, ${\SERVERS}) n"
	  . ' RETURNING 1'), join("\n", (1) x SERVERS), 'a role asks many hosts that never answer');
my $worker = $test->worker_pid('postgres');
sub connections
{
	my $to = sprintf ':%04X', $silent->sockport;
	open my $table, '<', "/proc/$worker/net/tcp" or die "cannot read it: $!";
	return scalar grep { (split)[2] =~ /$to$/ && (split)[3] eq '01' } <$table>;
}
$test->await('its connections', sub { connections() > 5 });

is($test->await_state('done', $test->enqueue)->{state}, 'done', "another role's export goes through");
cmp_ok(connections(), '<', SERVERS, 'it does not have all that it would like');
is($greedy->value(q{SELECT count(*) FROM clari_export_request WHERE state = 'queued' OR state = 'submitting'}),
	SERVERS, 'nor does it lose anything');
$greedy->run('SELECT clari_export_cancel(id) FROM clari_export_request');
$test->await('its requests to go', sub { $super->value(q{SELECT count(*) FROM clari_export_request WHERE state = 'cancelled'}) == SERVERS });

done_testing();
