# clari_export_drain() keeps nothing of the requests that it is done with, and
# sleeps while it waits for a submission after its deadline.

use strict;
use warnings;

use Test::More;
use ClariTest;

use constant MANY => $ENV{CLARI_DRAIN_REQUESTS} // 300;

my $test = ClariTest->new('drain_memory', preload => 0);
my ($sim, $session) = ($test->sim, $test->session);
my $observer = $test->new_session(superuser => 1);

sub proc
{
	my ($file) = @_;
	open my $in, '<', '/proc/' . $session->pid . "/$file" or die "/proc: $!";
	local $/ = undef;
	return scalar <$in>;
}

# Its own memory, shared buffers apart.
sub memory_kb
{
	return proc('status') =~ /^RssAnon:\s+(\d+) kB/m ? $1 : die 'no RssAnon';
}

sub memory_when_done
{
	my ($n) = @_;
	$test->await("$n requests to be done",
		sub { $observer->value(q{SELECT count(*) FROM clari_export_request WHERE state = 'done'}) >= $n });
	return memory_kb;
}

# Of user and system, in hundredths of a second.
sub cpu_ticks
{
	my @fields = split ' ', proc('stat') =~ s/^.*\) //sr;
	return $fields[11] + $fields[12];
}

$session->value(q{SELECT count(clari_export_enqueue('net_arr')) FROM generate_series(1, } . MANY . ')');
$session->send('CALL clari_export_drain()');
my $before = memory_when_done(MANY / 10);
my $after  = memory_when_done(MANY - 10);
is($session->receive->{sqlstate}, undef, 'a drain of ' . MANY . ' requests');
note "memory of the session: $before kB after a tenth of the requests, $after kB near the end";
cmp_ok($after - $before, '<', MANY * 8, 'its memory does not grow with them');

# The POST takes three seconds, and the deadline comes in the first of them.
$sim->rules({ match => { path => '^/export/forecast' }, do => { delay_ms => 3000 } });
my $id = $test->enqueue;
my $ticks = cpu_ticks;
is($session->run(q{CALL clari_export_drain(max_runtime => '500 ms')})->{sqlstate}, undef, 'a deadline within a submission');
is($test->request($id)->{state}, 'running', 'the submission is waited for, and the job is known');
cmp_ok(cpu_ticks() - $ticks, '<', 50, 'asleep');

done_testing();
