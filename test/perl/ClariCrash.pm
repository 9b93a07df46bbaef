package ClariCrash;

=head1 NAME

ClariCrash - kill a PostgreSQL server at chosen moments of an export, and count what became of it

=head1 SYNOPSIS

    use ClariCrash;

    my $crash = ClariCrash->new('worker');              # or 'drain': no worker, no preloading
    my @points = $crash->points(\%scenario);            # that this scenario passes
    my @problems = $crash->round(\%scenario, $crash->at_point('before_send_submit', 'process'));
    is_deeply(\@problems, [], 'nothing lost, nothing doubled');

A scenario has C<requests>, each a hash of C<forecast>, C<period> and C<server>; and what the simulated Clari
does: C<config> (its settings), C<rules>; C<errors>: the SQLSTATEs that a request may end in, none by default.

The server is a private copy of PostgreSQL with a copy of the extension built with -DCLARI_FAULT_POINTS.

=cut

use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use JSON::PP ();
use POSIX qw(WNOHANG);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep);

use ClariSim;
use ClariTest;

our @EXPORT_OK = qw(kill_server periods);

use constant {
	FINISH_SECONDS => 60,
	STRIKE_SECONDS => 30,
	START_SECONDS  => 60,
	PAUSE_SECONDS  => 0.01,
};

# In the data directory; see src/fault.c.
use constant STRUCK_FILE => 'clari_export.fault_struck';

# Of both servers. Their keys, demo-key and colleague-key, are two lanes; they belong to the same user of Clari, who sees
# one list of jobs.
my %OPTIONS = (quota_reserve => 0, submission_grace => '300 ms', poll_max_attempts => 500);

my $CHECKOUT = dirname(dirname(dirname(abs_path(__FILE__))));
my $installation;

=head1 SETTING UP

=head2 ClariCrash->new($who)

A server on which a worker exports what is queued, or sessions that call clari_export_drain() on a server that
did not preload the library.

=cut

sub new
{
	my ($class, $who) = @_;
	my $self = bless { who => $who }, $class;
	$self->{test} = ClariTest->new(
		"crash_$who",
		install_path => installation(),
		preload      => $who eq 'worker',
		options      => \%OPTIONS,
		conf         => "restart_after_crash = on\nlog_min_messages = log\n",
		sim          => { config => { known_periods => [ periods() ] } });
	$self->{test}->create_server('clari_colleague', %OPTIONS, api_key => 'colleague-key');
	return $self;
}

sub node { return $_[0]{test}->node }
sub sim  { return $_[0]{test}->sim }

# Enough for every request of a round to have its own.
sub periods
{
	return map { my $year = $_; map { "${year}_Q$_" } 1 .. 4 } 2020 .. 2029;
}

# A copy of PostgreSQL with the fault points, made once.
sub installation
{
	return $installation if $installation;
	my $directory = PostgreSQL::Test::Utils::tempdir('fault_points');
	my ($prefix, $major) = bin_directory() =~ m{^(.*)/lib/postgresql/(\d+)/bin$}
	  or croak 'PostgreSQL is not laid out as Debian does it';
	make_path_for($directory, $prefix, $major);
	build("$directory/source", "$directory/usr/lib/postgresql/$major/bin/pg_config");
	$installation = "$directory/usr/lib/postgresql/$major";
	return $installation;
}

sub bin_directory
{
	my $directory = `pg_config --bindir`;
	chomp $directory;
	return $directory;
}

# PostgreSQL finds its files relative to its binaries, so a copy of its directories is an installation.
sub make_path_for
{
	my ($directory, $prefix, $major) = @_;
	for my $part (qw(lib share))
	{
		run('mkdir', '-p', "$directory/usr/$part/postgresql");
		run('cp', '-a', "$prefix/$part/postgresql/$major", "$directory/usr/$part/postgresql/");
	}
	run('ln', '-s', "$prefix/include", "$directory/usr/include");
	run('mkdir', "$directory/source");
	return;
}

sub build
{
	my ($source, $pg_config) = @_;
	delete local @ENV{qw(MAKEFLAGS MAKELEVEL MAKEOVERRIDES MFLAGS)};
	run('cp', '-r', "$CHECKOUT/src", "$CHECKOUT/Makefile", "$CHECKOUT/clari_export.control", $source);
	run('make', '--silent', '-C', $source, "PG_CONFIG=$pg_config", 'clean');
	run('make', '--silent', '-C', $source, "PG_CONFIG=$pg_config", 'COPT=-DCLARI_FAULT_POINTS', 'STRICT=1', 'install');
	return;
}

sub run
{
	my (@command) = @_;
	system(@command) == 0 or croak "@command failed";
	return;
}

=head1 FAULT POINTS

=head2 $crash->points(\%scenario)

The names of the fault points that the scenario's requests pass, without repetition, in order.

=cut

sub points
{
	my ($self, $scenario) = @_;
	my $offset = -s $self->node->logfile;
	$self->_set_fault_point('list');
	$self->_begin($scenario);
	$self->_finish;
	$self->_set_fault_point('');
	my %seen;
	return grep { !$seen{$_}++ } slurp_file($self->node->logfile, $offset) =~ /clari_export: fault point (\w+)/g;
}

=head2 $crash->at_point($point, $victim, $passage)

A strike for round(): a fault point that is armed by the transaction which queues the requests. The victim is
"process" (the worker, or the drain's backend) or "server".

=cut

sub at_point
{
	my ($self, $point, $victim, $passage) = @_;
	my $file = $self->node->data_dir . '/' . STRUCK_FILE;
	return {
		arm => sub {
			append_to_file($file, '');
			$self->_set_fault_point(join ':', $point, $victim, $passage || 1);
		},
		with_insert => "\\! rm $file",
		strike => sub {
			await(STRIKE_SECONDS, "fault point $point to strike", sub { $self->_keep_draining; -e $file });
			$self->_set_fault_point_in_file('');
			$self->_restart_server if $victim eq 'server';
		},
	};
}

=head2 $crash->at_random($victim, $seconds, ...)

Kills the victim so many seconds after the requests were queued, and again after each further time.

=cut

sub at_random
{
	my ($self, $victim, @moments) = @_;
	return {
		arm    => sub { },
		strike => sub {
			for my $moment (@moments)
			{
				sleep $moment;
				$self->_keep_draining;
				$self->_kill($victim);
			}
		},
	};
}

=head2 $crash->when_held($victim, $servers)

Kills the victim as soon as requests of so many servers are held by a 429.

=cut

sub when_held
{
	my ($self, $victim, $servers) = @_;
	return {
		arm    => sub { },
		strike => sub {
			await(
				STRIKE_SECONDS,
				"requests of $servers servers to be held",
				sub {
					$self->_keep_draining;
					my $held = $self->_sql(
						q{SELECT count(DISTINCT server) FROM clari_export_request WHERE hold_reason = 'rate limited'});
					return ($held // 0) == $servers;
				});
			$self->_kill($victim);
		},
	};
}

sub _kill
{
	my ($self, $victim) = @_;
	if ($victim eq 'server')
	{
		kill_server($self->node);
		$self->_restart_server;
		return;
	}
	my $pid = $self->_sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'clari_export worker'
		OR query LIKE 'CALL%drain%' LIMIT 1});
	kill 'KILL', $pid if $pid;
	return;
}

=head2 kill_server($node)

Kills the postmaster and all its children at once.

=cut

sub kill_server
{
	my ($node) = @_;
	my $postmaster = postmaster_of($node);
	kill 'STOP', $postmaster;
	kill 'KILL', $postmaster, children_of($postmaster);
	$node->kill9;
	return;
}

sub postmaster_of
{
	my ($node) = @_;
	return (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
}

sub children_of
{
	my ($parent) = @_;
	my @children;
	for my $file (glob '/proc/[0-9]*/stat')
	{
		open(my $stat, '<', $file) or next;
		my $line = <$stat> // '';
		push @children, $1 if $line =~ /^(\d+) \(.*\) \S (\d+)/ && $2 == $parent;
	}
	return @children;
}

# Its processes may take a moment to notice that the postmaster is gone.
sub _restart_server
{
	my ($self) = @_;
	my $directory  = abs_path($self->node->data_dir);
	my $postmaster = postmaster_of($self->node);
	$self->node->kill9;
	await(START_SECONDS, 'the processes of the server to end',
		sub { !kill(0, $postmaster) && !grep { (readlink // '') eq $directory } glob '/proc/[0-9]*/cwd' });
	$self->node->start;
	return;
}

sub _set_fault_point
{
	my ($self, $value) = @_;
	$self->_set_fault_point_in_file($value);
	$self->node->reload;
	await(START_SECONDS, 'the setting',
		sub { ($self->_sql(q{SELECT current_setting('clari_export.fault_point', true)}) // '-') eq $value });
	return;
}

# For a server that is down or about to restart.
sub _set_fault_point_in_file
{
	my ($self, $value) = @_;
	append_to_file($self->node->data_dir . '/postgresql.conf', "clari_export.fault_point = '$value'\n");
	return;
}

=head1 ROUNDS

=head2 $crash->round(\%scenario, $strike)

Queues the requests, strikes, waits until each request is finished, and returns what is wrong then: a list of
sentences.

=cut

sub round
{
	my ($self, $scenario, $strike) = @_;
	$self->_forget;
	$strike->{arm}->();
	$self->_begin($scenario, $strike->{with_insert});
	my $ended = eval { $strike->{strike}->(); $self->_finish; 1 };
	my @problems = $ended ? () : $@;
	$self->_set_fault_point('');
	return (@problems, $self->_problems($scenario));
}

sub _forget
{
	my ($self) = @_;
	$self->_sql('DELETE FROM clari_export_snapshot');
	$self->_sql(q{DELETE FROM clari_export_request WHERE state NOT IN ('queued', 'submitting', 'running')});
	return;
}

sub _begin
{
	my ($self, $scenario, $with_insert) = @_;
	$self->sim->reset($scenario->{config});
	$self->sim->rules(@{ $scenario->{rules} || [] });
	$self->_set_quota_reserve($scenario->{quota_reserve} || 0);
	my $values = join ', ', map { "('$_->{forecast}', '$_->{period}', '" . ($_->{server} || 'clari') . "')" }
	  @{ $scenario->{requests} };
	$self->{insert} = "INSERT INTO clari_export_request (forecast_id, time_period, server) VALUES $values;";
	$self->_sql("BEGIN;\n$self->{insert}\n" . ($with_insert || '') . "\nCOMMIT;", as_role());
	$self->_keep_draining;
	return;
}

sub _set_quota_reserve
{
	my ($self, $reserve) = @_;
	return if $reserve == ($self->{quota_reserve} || 0);
	$self->node->safe_psql('postgres', "ALTER SERVER clari OPTIONS (SET quota_reserve '$reserve')");
	$self->{quota_reserve} = $reserve;
	return;
}

# The process that a strike kills may take the session down before it has committed.
sub _insert_if_missing
{
	my ($self) = @_;
	$self->_sql($self->{insert}, as_role()) if ($self->_sql('SELECT count(*) FROM clari_export_request') // '') eq '0';
	return;
}

# Wait until every request is finished, with a drain running as long as it takes.
sub _finish
{
	my ($self) = @_;
	await(
		FINISH_SECONDS,
		'every request to finish: ' . ($self->_sql(q{SELECT string_agg(state, ',') FROM clari_export_request}) // ''),
		sub {
			$self->_insert_if_missing;
			$self->_keep_draining;
			my $unfinished = $self->_sql(
				q{SELECT count(*) FROM clari_export_request WHERE state IN ('queued', 'submitting', 'running')});
			return defined $unfinished && $unfinished eq '0';
		});
	await(START_SECONDS, 'the drain to end', sub { !$self->_drain_runs });
	return;
}

# Have a session that drains, if nobody else does the work.
sub _keep_draining
{
	my ($self) = @_;
	return if $self->{who} ne 'drain' || $self->_drain_runs;
	$self->{drain} = fork() // croak "fork: $!";
	return if $self->{drain};
	open(STDERR, '>', '/dev/null');
	open(STDOUT, '>', '/dev/null');
	local %ENV = $self->node->_get_env();
	exec 'psql', '--no-psqlrc', '--quiet', @{ as_role() }, '-c', 'CALL clari_export_drain()', $self->node->connstr('postgres')
	  or POSIX::_exit(127);
}

sub _drain_runs
{
	my ($self) = @_;
	return 0 unless $self->{drain};
	return 1 if waitpid($self->{drain}, WNOHANG) == 0;
	delete $self->{drain};
	return 0;
}

# ----------
# What is wrong
# ----------

sub _problems
{
	my ($self, $scenario) = @_;
	my @rows     = $self->_rows;
	my $accepted = $self->_accepted;
	my @problems = (_wrong_endings($scenario, @rows), _wrong_counts($scenario, $accepted, @rows));
	push @problems, _wrong_jobs($accepted, @rows);
	push @problems, @{ $self->_too_many_running };
	push @problems, 'a request is missing' if @rows != @{ $scenario->{requests} };
	return @problems;
}

# Every request with its snapshots.
sub _rows
{
	my ($self) = @_;
	my $json = $self->_sql(
		q{SELECT coalesce(json_agg(r), '[]') FROM (
			SELECT id, forecast_id, time_period, state, job_id, error_code, error_message,
			(SELECT count(*) FROM clari_export_snapshot s WHERE s.request_id = q.id) AS snapshots
			FROM clari_export_request q) r});
	return @{ JSON::PP::decode_json($json) };
}

# The ids of the jobs that Clari accepted, by forecast and period.
sub _accepted
{
	my ($self) = @_;
	my %accepted;
	for my $entry ($self->sim->log(method => 'POST'))
	{
		next unless $entry->{job_id};
		my ($forecast) = $entry->{path} =~ m{^/export/forecast/(\w+)};
		push @{ $accepted{"$forecast $entry->{body}{timePeriod}"} }, $entry->{job_id};
	}
	return \%accepted;
}

sub _wrong_endings
{
	my ($scenario, @rows) = @_;
	my %allowed = map { $_ => 1 } @{ $scenario->{errors} || [] };
	my @problems;
	for my $row (@rows)
	{
		my $name = "request $row->{id} ($row->{forecast_id} $row->{time_period})";
		push @problems, "$name is $row->{state}: $row->{error_code} $row->{error_message}"
		  if $row->{state} ne 'done' && !$allowed{ $row->{error_code} || '' };
		push @problems, "$name, $row->{state}, has $row->{snapshots} snapshots"
		  if $row->{snapshots} != ($row->{state} eq 'done');
	}
	return @problems;
}

# One accepted submission a request; none for one that Clari refused or, to the end, did not hear of. Where a request
# ended in RC011 it may be either.
sub _wrong_counts
{
	my ($scenario, $accepted, @rows) = @_;
	my (%wanted, %unknown, @problems);
	for my $row (@rows)
	{
		my $what = "$row->{forecast_id} $row->{time_period}";
		$wanted{$what} += !$scenario->{refused} && ($row->{error_code} || '') ne 'RC009';
		$unknown{$what} += ($row->{error_code} || '') eq 'RC011';
	}
	for my $what (sort keys %wanted)
	{
		my $count = @{ $accepted->{$what} || [] };
		push @problems, "$what: $count submissions accepted, not $wanted{$what}"
		  if $count > $wanted{$what} || $count < $wanted{$what} - $unknown{$what};
	}
	return @problems;
}

# A request owns a job that was accepted for it, and no two own the same.
sub _wrong_jobs
{
	my ($accepted, @rows) = @_;
	my (%owners, @problems);
	for my $row (grep { $_->{job_id} } @rows)
	{
		my $ids = $accepted->{"$row->{forecast_id} $row->{time_period}"} || [];
		push @problems, "request $row->{id} owns a job of somebody else" unless grep { $_ eq $row->{job_id} } @$ids;
		push @problems, "requests $owners{$row->{job_id}} and $row->{id} own one job" if $owners{ $row->{job_id} };
		$owners{ $row->{job_id} } = $row->{id};
	}
	return @problems;
}

# Lanes run one export at a time.
sub _too_many_running
{
	my ($self) = @_;
	my $keys = $self->sim->stats->{keys};
	return [ map { "$_ had $keys->{$_}{max_running} jobs running" } grep { $keys->{$_}{max_running} > 1 } sort keys %$keys ];
}

# Requests are those of the tests' role, and so are the drains.
sub as_role
{
	return [ '--username' => ClariTest::USER ];
}

# A value, or undef while the server cannot be asked.
sub _sql
{
	my ($self, $sql, $parameters) = @_;
	my ($status, $output) = eval { $self->node->psql('postgres', $sql, extra_params => $parameters || []) };
	return defined $status && $status == 0 ? $output : undef;
}

sub await
{
	my ($seconds, $what, $condition) = @_;
	my $deadline = ClariSim::now() + $seconds;
	until ($condition->())
	{
		croak "gave up after $seconds s waiting for $what" if ClariSim::now() > $deadline;
		sleep PAUSE_SECONDS;
	}
	return;
}

1;
