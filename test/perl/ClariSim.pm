package ClariSim;

=head1 NAME

ClariSim - start, script and question the simulated Clari server from a TAP test

=head1 SYNOPSIS

    use lib "$ENV{PWD}/test/perl";
    use ClariSim;

    my $clari = ClariSim->start(config => { gzip => JSON::PP::false });
    my $base_url = $clari->base_url;                    # http://127.0.0.1:PORT/v4

    $clari->reset({ current_period => '2026_Q2' });
    $clari->jobs({ duration_ms => 200 }, { outcome => 'FAILED' });
    $clari->rules({ match => { method => 'POST' }, do => { status => 429, headers => { 'Retry-After' => 2 } } });
    ...
    my @polls = $clari->log(method => 'GET', path => qr{^/export/jobs/}, key => 'demo-key');
    is($clari->stats->{keys}{'demo-key'}{accepted}, 1);

    my $secure = ClariSim->start(tls => 1);             # https://clari.test:PORT/v4
    my $option = 'ca_file ' . $secure->ca_file;

Settings, rules, job plans and log entries are those of the command test/clari_sim, which documents them.
The server ends with the object, and with the process that started it, however that ends. A failure to
start, to answer or to end in time is an exception.

=cut

use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Spec;
use File::Temp ();
use HTTP::Tiny;
use JSON::PP ();
use POSIX qw(WNOHANG);
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime sleep);

use constant {
	START_SECONDS   => 20,
	CONTROL_SECONDS => 60,
	STOP_SECONDS    => 10,
	WAIT_SECONDS    => 60,
	PAUSE_SECONDS   => 0.005,
};

my $TESTS  = dirname(dirname(abs_path(__FILE__)));
my $SERVER = File::Spec->catfile($TESTS, 'clari_sim');

# What "make stage" has made; see test/stage.
my $STAGE = File::Spec->catfile($ENV{TESTDIR} || dirname($TESTS), 'build', 'stage');
my %CERTIFICATES = (1 => 'server', map { $_ => $_ } qw(wrong_name odd_name));
my @SERVER_FILTERS = qw(key method path job_id);
my $JSON = JSON::PP->new->utf8->canonical->allow_nonref;

=head1 STARTING AND STOPPING

=head2 ClariSim->start(%options)

C<config>: settings over the server's defaults. C<tls>: 1 for a certificate of clari.test, localhost and
127.0.0.1, 'wrong_name' for one of another host, or 'odd_name' for one of no host at all; all are signed by an authority made for the tests. C<log>:
a file that receives every request as a line of JSON. C<python>: the interpreter, default python3.

=cut

sub start
{
	my ($class, %options) = @_;
	my $self = bless { owner => $$, directory => File::Temp->newdir('clari_sim_XXXXXX', TMPDIR => 1) }, $class;
	chmod 0755, $self->{directory};
	$self->{tls} = $options{tls};
	$self->_write_file('config.json', $JSON->encode($options{config} || {}));
	$self->_launch($options{python} || 'python3', $self->_arguments(\%options));
	$self->_await_ports;
	$self->{http} = HTTP::Tiny->new(timeout => CONTROL_SECONDS, keep_alive => 0, proxy => undef, http_proxy => undef);
	return $self;
}

sub _arguments
{
	my ($self, $options) = @_;
	my @arguments = (
		'--exit-with-parent',
		'--config'            => $self->_file('config.json'),
		'--port-file'         => $self->_file('port'),
		'--control-port-file' => $self->_file('control_port'));
	push @arguments, '--log' => $options->{log} if $options->{log};
	return @arguments unless $options->{tls};
	my $certificate = $CERTIFICATES{ $options->{tls} } or croak "tls: 1, 'wrong_name' or 'odd_name', not '$options->{tls}'";
	return @arguments, '--tls-cert' => stage_file("$certificate.pem"), '--tls-key' => stage_file("$certificate.key");
}

# The server's standard input is a pipe of which only this process has the other end.
sub _launch
{
	my ($self, $python, @arguments) = @_;
	pipe(my $input, my $lifeline) or croak "pipe: $!";
	my $pid = fork();
	croak "fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		my $output = $self->_file('output');
		open(STDIN,  '<&', $input)   or POSIX::_exit(126);
		open(STDOUT, '>',  $output)  or POSIX::_exit(126);
		open(STDERR, '>&', \*STDOUT) or POSIX::_exit(126);
		close $lifeline;
		exec($python, $SERVER, @arguments) or POSIX::_exit(127);
	}
	close $input;
	@$self{qw(pid lifeline)} = ($pid, $lifeline);
	return;
}

# The server writes the file of its main port last.
sub _await_ports
{
	my ($self) = @_;
	my $ended;
	_await(START_SECONDS, 'the simulated Clari to start',
		sub { -e $self->_file('port') || ($ended = waitpid($self->{pid}, WNOHANG) != 0) });
	if ($ended)
	{
		delete $self->{pid};
		croak 'the simulated Clari did not start: ' . $self->output;
	}
	$self->{port} = $self->_read_file('port') + 0;
	$self->{control_port} = $self->_read_file('control_port') + 0;
	return;
}

=head2 $clari->stop

Ends the server and waits for that; also done when the object goes away.

=cut

sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid};
	return if !defined $pid || $self->{owner} != $$;
	close delete $self->{lifeline};
	kill 'TERM', $pid;
	local $?;
	return if eval { _await(STOP_SECONDS, 'the end of the simulated Clari', sub { waitpid($pid, WNOHANG) != 0 }) };
	kill 'KILL', $pid;
	waitpid($pid, 0);
	croak $@;
}

sub DESTROY
{
	my ($self) = @_;
	local ($@, $!, $?);
	eval { $self->stop; 1 } or warn $@;
	return;
}

=head1 WHERE IT IS

C<base_url> (for the foreign server; https under the name clari.test with C<tls>), C<host>, C<port>, C<pid>,
C<output> (what it has printed, errors included), C<ca_file> (the authority of its certificate),
C<other_ca_file> (an authority that did not sign it). The name is known to processes that preload
ClariSim::stage_file('slow_names.so').

=cut

sub host          { my ($self) = @_; return $self->{tls} ? 'clari.test' : '127.0.0.1' }
sub port          { my ($self) = @_; return $self->{port} }
sub pid           { my ($self) = @_; return $self->{pid} }
sub output        { my ($self) = @_; return $self->_read_file('output') }
sub ca_file       { return stage_file('ca.pem') }
sub other_ca_file { return stage_file('other_ca.pem') }

sub stage_file
{
	my ($name) = @_;
	my $file = File::Spec->catfile($STAGE, $name);
	croak "$file is missing: make stage" unless -e $file;
	return $file;
}

sub base_url
{
	my ($self) = @_;
	my $scheme = $self->{tls} ? 'https' : 'http';
	return "$scheme://" . $self->host . ":$self->{port}/v4";
}

=head1 SCRIPTING

=over

=item reset(\%settings), configure(\%settings)

=item rules(\%rule, ...), jobs(\%plan, ...)

=item start_job(%job): the id of a job that somebody else started (key, forecast_id, time_period, plan)

=item finish_job($job_id, $status), advance($seconds)

=back

=cut

sub reset      { my ($self, $settings) = @_; return $self->_control(POST => 'reset',     $settings || {}) }
sub configure  { my ($self, $settings) = @_; return $self->_control(POST => 'configure', $settings || {}) }
sub rules      { my ($self, @rules)    = @_; return $self->_control(POST => 'rules',     \@rules) }
sub jobs       { my ($self, @plans)    = @_; return $self->_control(POST => 'jobs',      \@plans) }
sub start_job  { my ($self, %job)      = @_; return $self->_control(POST => 'start_job', \%job)->{jobId} }
sub advance    { my ($self, $seconds)  = @_; return $self->_control(POST => 'advance', { seconds => $seconds + 0 }) }

sub finish_job
{
	my ($self, $job_id, $status) = @_;
	return $self->_control(POST => "finish_job/$job_id", { status => $status || 'DONE' });
}

=head1 QUESTIONS

=over

=item job($job_id), stats

=item log(%filter)

The log entries (in list context; their number otherwise) that the filter lets through: C<since> a number,
C<in_hold> true or false, C<method>, C<path>, C<key>, C<job_id>, C<status>, C<rule>, C<connection> equal to
a value or matching a regular expression.

=item wait_for_log($count, %filter)

The same as soon as there are that many, within C<timeout> seconds (default 60).

=item now

The time on the clock of the log.

=back

=cut

sub job   { my ($self, $job_id) = @_; return $self->_control(GET => "job/$job_id") }
sub stats { my ($self) = @_; return $self->_control(GET => 'stats') }
sub now   { return clock_gettime(CLOCK_MONOTONIC) }

sub log
{
	my ($self, %filter) = @_;
	my %at_server = (since => delete $filter{since} || 0);
	for my $name (grep { defined $filter{$_} && !ref $filter{$_} } @SERVER_FILTERS)
	{
		$at_server{$name} = delete $filter{$name};
	}
	my $query = $self->{http}->www_form_urlencode(\%at_server);
	my @entries = grep { _passes($_, \%filter) } @{ $self->_control(GET => "log?$query") };
	return @entries;
}

sub wait_for_log
{
	my ($self, $count, %filter) = @_;
	my $timeout = delete $filter{timeout} || WAIT_SECONDS;
	my @entries;
	_await($timeout, "$count requests in the log", sub { (@entries = $self->log(%filter)) >= $count });
	return @entries;
}

sub _passes
{
	my ($entry, $filter) = @_;
	for my $name (keys %$filter)
	{
		croak "unknown log filter: $name" unless exists $entry->{$name};
		my ($value, $wanted) = ($entry->{$name}, $filter->{$name});
		return 0 unless
			$name eq 'in_hold' ? !$value == !$wanted
		  : !defined $value || !defined $wanted ? !defined $value && !defined $wanted
		  : ref $wanted eq 'Regexp' ? $value =~ $wanted
		  :                           $value eq $wanted;
	}
	return 1;
}

sub _control
{
	my ($self, $method, $what, $content) = @_;
	my %request = defined $content ? (content => $JSON->encode($content)) : ();
	my $reply = $self->{http}->request($method, "http://127.0.0.1:$self->{control_port}/_sim/$what", \%request);
	croak "clari_sim: $method $what: $reply->{status} $reply->{content}" unless $reply->{success};
	return $JSON->decode($reply->{content});
}

sub _file
{
	my ($self, $name) = @_;
	return File::Spec->catfile($self->{directory}, $name);
}

sub _write_file
{
	my ($self, $name, $content) = @_;
	open(my $file, '>', $self->_file($name)) or croak "$name: $!";
	print {$file} $content;
	close $file or croak "$name: $!";
	return;
}

sub _read_file
{
	my ($self, $name) = @_;
	open(my $file, '<', $self->_file($name)) or croak "$name: $!";
	local $/;
	return scalar <$file>;
}

sub _await
{
	my ($seconds, $what, $condition) = @_;
	my $deadline = now() + $seconds;
	until ($condition->())
	{
		croak "gave up after $seconds s waiting for $what" if now() > $deadline;
		sleep PAUSE_SECONDS;
	}
	return 1;
}

1;
