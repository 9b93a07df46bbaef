# An API key is replaced while exports run: the mapping, or its file, is read anew when Clari refuses the old one, and a
# job is given up only after a minute of refusals. The clock of this server runs so fast that a minute takes 0.6 s.

use strict;
use warnings;

use PostgreSQL::Test::Utils ();
use Test::More;
use ClariSim;
use ClariTest;

use constant { FAST => 100, MINUTE => 60, CLOCK_READING => 0.001, ENDLESS => { statuses => [ [ 0, 'STARTED' ] ] } };

$ENV{CLARI_CLOCK_RATE} = FAST;
$ENV{LD_PRELOAD} .= ':' . ClariSim::stage_file('fast_clock.so');

my $test = ClariTest->new(
	'rotated_key',
	loopback => 1,
	options  => {
		connect_timeout   => '30 min',
		request_timeout   => '30 min',
		poll_base_delay   => '20 ms',
		poll_max_delay    => '50 ms',
		poll_max_attempts => 100_000,
	});
my ($sim, $session, $dba) = ($test->sim, $test->session, $test->superuser);

my $file = PostgreSQL::Test::Utils::tempdir() . '/clari.key';
sub write_key
{
	my ($key) = @_;
	open my $to, '>', $file or die "$file: $!";
	print $to "$key\n";
	close $to;
	return;
}

# Whose keys Clari knows: all are one user's.
sub only_valid
{
	my ($key) = @_;
	$sim->configure({ keys => { map { $_ => $_ eq $key ? { organization => 'acme', user => 'u1' } : undef } qw(demo-key new-key) } });
	return;
}

sub polls { return $sim->log(method => 'GET', path => qr{^/export/jobs/\w+$}, @_) }

sub start_over
{
	$sim->reset({ job => ENDLESS });
	only_valid('demo-key');
	return;
}

my %rotation = (
	'the mapping' => {
		old => sub { $dba->run(q{ALTER USER MAPPING FOR exporter SERVER clari OPTIONS (SET api_key 'demo-key')}) },
		new => sub { $dba->run(q{ALTER USER MAPPING FOR exporter SERVER clari OPTIONS (SET api_key 'new-key')}) },
	},
	'its file' => {
		old => sub {
			write_key('demo-key');
			$dba->run(qq{DROP USER MAPPING FOR exporter SERVER clari;
				CREATE USER MAPPING FOR exporter SERVER clari OPTIONS (api_key_file '$file')});
		},
		new => sub { write_key('new-key') },
	});

# Start, replace the key, withdraw the old one, and see the job's end by the new one.
sub rotate
{
	my ($name, $rotation, $start, $finish) = @_;
	start_over();
	$rotation->{old}->();
	my $export = $start->();
	my ($poll) = $sim->wait_for_log(1, method => 'GET', path => qr{^/export/jobs/\w+$});
	$rotation->{new}->();
	only_valid('new-key');
	$sim->wait_for_log(1, method => 'GET', path => qr{^/export/jobs/\w+$}, key => 'new-key', status => 200);
	$sim->finish_job($poll->{path} =~ s{.*/}{}r);
	$finish->($export);
	is(scalar(polls(status => 401)), 1, "$name: one refusal is enough to have it read anew");
	is(scalar($sim->log(method => 'POST')), 1, "$name: nothing is submitted twice");
	return;
}

for my $what ('the mapping', 'its file')
{
	rotate(
		"a request, $what", $rotation{$what},
		sub { return $test->enqueue },
		sub { is($test->await_state('done', $_[0])->{error_code}, undef, "a request, $what: goes on") });
	rotate(
		"a function, $what", $rotation{$what},
		sub { $session->send(q{SELECT clari_export('net_arr') ? 'entries'}) },
		sub { is($session->receive->{rows}, 't', "a function, $what: goes on") });
}

# Nobody replaces it.
start_over();
$rotation{'its file'}{old}->();
my $lost = $test->enqueue;
$test->await_state('running', $lost);
only_valid('new-key');
my $failed = $test->await_state('failed', $lost);
is($failed->{error_code}, 'RC001', 'a key that is refused all the time ends the request');
isnt($failed->{job_id}, undef, 'which keeps its job');
my @refused = polls(status => 401);
cmp_ok(scalar @refused, '>=', 3, 'after three refusals');
cmp_ok(FAST * ($refused[-1]{t_end} - $refused[0]{t} + CLOCK_READING), '>=', MINUTE, 'and a minute');
is(scalar(grep { $_->{n} > $refused[0]{n} && $_->{status} == 200 } polls()), 0, 'in a row');
write_key('new-key');
is($session->value("SELECT clari_export_retry($lost)"), 'running', 'a retry goes on with it');
$sim->finish_job($failed->{job_id});
$test->await_state('done', $lost);
is(scalar($sim->log(method => 'POST')), 1, 'and submits nothing');

done_testing();
