# A reply that comes drop by drop does not last for ever: a result may take an hour as long as bytes arrive, anything
# else request_timeout. The clock of this server runs so fast that an hour passes in two seconds.

use strict;
use warnings;

use Test::More;

use ClariSim;
use ClariTest;

use constant { FAST => 1800, FOREVER => -1 };

$ENV{CLARI_CLOCK_RATE} = FAST;
$ENV{LD_PRELOAD} .= ':' . ClariSim::stage_file('fast_clock.so');

my $test = ClariTest->new('drip', loopback => 1, options => { request_timeout => '10 min', poll_max_attempts => 2 });
my ($sim, $session) = ($test->sim, $test->session);

# How many of the extension's seconds a call takes.
sub seconds
{
	my ($sql) = @_;
	my $before = ClariSim::now();
	my $outcome = $session->run($sql);
	return ($outcome, FAST * (ClariSim::now() - $before));
}

sub drip { my ($path, @raw) = @_; $sim->rules({ match => { path => $path }, times => FOREVER, do => { raw => \@raw, drip_ms => 20 } }); return; }

my $job = $sim->start_job(key => 'demo-key');
drip('/results$', "HTTP/1.1 200 OK\r\n\r\n", [ ' ', 100_000 ]);
my ($outcome, $seconds) = seconds("SELECT clari_export_result('$job')");
is($outcome->{sqlstate}, 'RC008', 'a result that drips for ever') or diag explain $outcome;
like($outcome->{detail}, qr/no reply within 3600\.000 s/, 'it has an hour');
cmp_ok($seconds, '>=', 2 * 3600, 'each time');

$sim->reset;
$job = $sim->start_job(key => 'demo-key');
drip('/results$', "HTTP/1.1 200 OK\r\n\r\n", [ ' ', 60 ], '{"entries": []}');
($outcome, $seconds) = seconds("SELECT clari_export_result('$job') ? 'entries'");
is($outcome->{rows}, 't', 'one that comes to its end') or diag explain $outcome;
cmp_ok($seconds, '>', 1200, 'may take longer than request_timeout');

for my $raw ([ "HTTP/1.1 200 OK\r\n\r\n", [ ' ', 100_000 ] ], [ "HTTP/1.1 200 OK\r\n", [ "X: y\r\n", 100_000 ] ], [ 'HTTP/1.1 200 O', [ 'K', 100_000 ] ])
{
	$sim->reset;
	drip('/jobs/x$', @$raw);
	($outcome, $seconds) = seconds(q{SELECT clari_export_status('x')});
	like($outcome->{detail}, qr/no reply within 600\.000 s/, 'a status that drips has request_timeout');
	cmp_ok($seconds, '>=', 600, 'and no less');
}

done_testing();
