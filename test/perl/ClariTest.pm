package ClariTest;

=head1 NAME

ClariTest - a PostgreSQL server, a simulated Clari, and what goes on between them

=head1 SYNOPSIS

    use ClariTest;

    my $test = ClariTest->new('functions', options => { request_timeout => '200 ms' });
    my ($node, $sim, $session) = ($test->node, $test->sim, $test->session);

    my $outcome = $session->run(q{SELECT clari_export('net_arr')});
    is($outcome->{rows}, '...');

    $sim->rules({ do => { status => 401 } });
    my $error = $session->fails(q{SELECT clari_export('net_arr')}, 'RC001', 'a refused key');
    like($error->{hint}, qr/ALTER USER MAPPING/);

    my $other = $test->new_session;
    $other->send(q{SELECT clari_export('net_arr')});
    $sim->wait_for_log(1, method => 'POST');
    $test->superuser->run('SELECT pg_cancel_backend(' . $other->pid . ')');
    is($other->receive->{sqlstate}, '57014');

=cut

use strict;
use warnings;

use Carp qw(croak);
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use ClariSim;

# Every process that a test starts knows the slow names.
$ENV{LD_PRELOAD} = ClariSim::stage_file('slow_names.so');

use constant {
	USER            => 'exporter',
	WAIT_SECONDS    => 60,
	SESSION_SECONDS => 60,
	PAUSE_SECONDS   => 0.005,
};

# So fast that a test need not wait, and slow enough for an order to show.
our %FAST_OPTIONS = (
	connect_timeout         => '5 s',
	request_timeout         => '5 s',
	poll_base_delay         => '5 ms',
	poll_max_delay          => '15 ms',
	poll_max_attempts       => 6,
	submit_interval         => '0',
	submission_grace        => '100 ms',
	max_requests_per_second => 1000,
);

=head1 SETTING UP

=head2 ClariTest->new($name, %options)

Starts a node of that name, in UTF-8, with the extension in database postgres, a simulated Clari, and a server
"clari" for it. Clari is at https://clari.test, a name that takes 5 to 50 ms to resolve, with a certificate of an
authority of its own. A role without any attribute, "exporter", has USAGE on the server, a mapping with the key
"demo-key", and a schema of its own for its tables.

C<options>: options of the server over the fast ones; C<loopback>: 1 for http://127.0.0.1 instead, where speed is
measured; C<superuser>: 1 to have the superuser in the place of that role; C<preload>: 0 to leave the library out of
shared_preload_libraries; C<conf>: more lines of postgresql.conf; C<sim>: options of the simulator; C<streaming>: 1 for
a node that a standby can follow; C<install_path>: another PostgreSQL than that of the PATH.

=cut

sub new
{
	my ($class, $name, %options) = @_;
	my $self = bless { $options{superuser} ? () : (user => USER) }, $class;
	$self->{sim}  = ClariSim->start(tls => !$options{loopback}, %{ $options{sim} || {} });
	$self->{node} = PostgreSQL::Test::Cluster->new($name,
		$options{install_path} ? (install_path => $options{install_path}) : ());
	$self->{node}->init(
		allows_streaming => $options{streaming} || 0,
		extra            => [ '--encoding=UTF8', '--locale=C' ]);
	$self->{node}->append_conf('postgresql.conf', "shared_preload_libraries = 'clari_export'\n")
	  unless defined $options{preload} && !$options{preload};
	$self->{node}->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	$self->{node}->start;
	$self->{node}->safe_psql('postgres', "CREATE ROLE $self->{user} LOGIN") if $self->{user};
	$self->install('postgres');
	$self->create_server('clari', %{ $options{options} || {} });
	return $self;
}

sub node { return $_[0]{node} }
sub sim  { return $_[0]{sim} }

=head2 $test->session, $test->superuser

The session of the role in database postgres, and one of the superuser.

=cut

sub session
{
	my ($self) = @_;
	return $self->{session} ||= $self->new_session;
}

sub superuser
{
	my ($self) = @_;
	return $self->session unless $self->{user};
	return $self->{superuser} ||= $self->new_session(superuser => 1);
}

=head2 $test->new_session(%options)

A psql session of the role, of the C<user> given, or of the C<superuser>; in C<database>; on the node C<node> if
that is given.

=cut

sub new_session
{
	my ($self, %options) = @_;
	$options{user} ||= $self->{user} unless $options{superuser};
	return ClariTest::Session->new($options{node} || $self->{node}, %options);
}

=head2 $test->quit_sessions

Ends both; the next call of C<session> or C<superuser> begins a new one. For a server that was restarted.

=cut

sub quit_sessions
{
	my ($self) = @_;
	delete(@$self{qw(session superuser)});
	return;
}

=head2 $test->install($database)

Creates the extension there, and a schema for the role.

=cut

sub install
{
	my ($self, $database) = @_;
	$self->{node}->safe_psql($database, 'CREATE EXTENSION clari_export');
	$self->{node}->safe_psql($database, "CREATE SCHEMA IF NOT EXISTS AUTHORIZATION $self->{user}") if $self->{user};
	return;
}

=head2 $test->create_server($name, %options)

A server with the fast options, those given over them (undef leaves one out), in the database C<database>. The
role gets USAGE and a mapping with the key C<api_key>, "demo-key" by default. Without a C<base_url> of its own it is the simulated Clari.

=cut

sub create_server
{
	my ($self, $name, %given) = @_;
	my $database = delete $given{database} || 'postgres';
	my $api_key  = delete $given{api_key}  || 'demo-key';
	my %options  = (%FAST_OPTIONS, $given{base_url} ? () : $self->where_clari_is, %given);
	my $list     = join ', ', map { "$_ '$options{$_}'" } grep { defined $options{$_} } sort keys %options;
	my $role     = $self->{user} || 'CURRENT_USER';
	$self->{node}->safe_psql(
		$database, qq{
		CREATE SERVER $name FOREIGN DATA WRAPPER clari_export OPTIONS ($list);
		GRANT USAGE ON FOREIGN SERVER $name TO $role;
		CREATE USER MAPPING FOR $role SERVER $name OPTIONS (api_key '$api_key');});
	return;
}

# The options that lead to the simulated Clari.
sub where_clari_is
{
	my ($self) = @_;
	my $sim = $self->{sim};
	return (base_url => $sim->base_url, $sim->base_url =~ /^https/ ? (ca_file => $sim->ca_file) : ());
}

=head2 $test->set_options($server, %options)

Sets options of a server that has them.

=cut

sub set_options
{
	my ($self, $server, %options) = @_;
	my $list = join ', ', map { "SET $_ '$options{$_}'" } sort keys %options;
	$self->superuser->run("ALTER SERVER $server OPTIONS ($list)");
	return;
}

=head2 await($what, $condition)

Returns the condition's value as soon as it is true; an exception if that takes a minute.

=cut

sub await
{
	my ($self, $what, $condition) = @_;
	my $deadline = ClariSim::now() + WAIT_SECONDS;
	while (1)
	{
		my $value = $condition->();
		return $value if $value;
		croak 'gave up after ' . WAIT_SECONDS . " s waiting for $what" if ClariSim::now() > $deadline;
		sleep PAUSE_SECONDS;
	}
}

=head2 $test->await_activity($pid, $condition)

Waits until the row of pg_stat_activity of that process fulfils an SQL condition.

=cut

sub await_activity
{
	my ($self, $pid, $condition) = @_;
	$self->await(
		"process $pid: $condition",
		sub { $self->superuser->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND $condition") });
	return;
}

=head1 THE QUEUE

=head2 $test->enqueue(%columns)

Inserts a request for net_arr, or what the columns say, in the session C<session>; returns its id.

=head2 $test->request($id), $test->requests($condition)

The columns of a request as a hash; those of all that fulfil an SQL condition, by id. The superuser asks, or the
session that comes after.

=cut

sub enqueue
{
	my ($self, %columns) = @_;
	my $session = delete $columns{session} || $self->session;
	%columns = (forecast_id => 'net_arr', %columns);
	my @names  = sort keys %columns;
	my $values = join ', ', map { defined $columns{$_} ? "'$columns{$_}'" : 'NULL' } @names;
	local $" = ', ';
	return $session->value("INSERT INTO clari_export_request (@names) VALUES ($values) RETURNING id");
}

sub requests
{
	my ($self, $condition, $session) = @_;
	$session ||= $self->superuser;
	my $rows = $session->value(
		"SELECT coalesce(json_agg(r ORDER BY id), '[]') FROM clari_export_request r WHERE $condition");
	return @{ JSON::PP->new->decode($rows) };
}

sub request
{
	my ($self, $id, $session) = @_;
	my ($request) = $self->requests("id = $id", $session);
	return $request;
}

=head2 $test->await_state($state, @ids)

Waits until all these requests are in that state, or C<$state> matches it; returns the last one. One that ends
in another state is an exception. After the ids may come the session to ask in.

=cut

sub await_state
{
	my ($self, $state, @ids) = @_;
	my $session = ref $ids[-1] ? pop @ids : $self->superuser;
	my $request;
	for my $id (@ids)
	{
		$self->await(
			"request $id to be $state",
			sub {
				$request = $self->request($id, $session) or croak "request $id is gone";
				return 1 if $request->{state} =~ /^(?:$state)$/;
				croak "request $id is $request->{state}, not $state: " . ($request->{error_message} // '')
				  if $request->{state} =~ /^(?:done|failed|cancelled)$/;
				return 0;
			});
	}
	return $request;
}

=head2 $test->worker_pid($database)

The worker of the database as soon as it is there.

=cut

sub worker_pid
{
	my ($self, $database) = @_;
	$database ||= 'postgres';
	return $self->await(
		"the worker of $database",
		sub {
			$self->superuser->value(
				"SELECT pid FROM pg_stat_activity WHERE backend_type = 'clari_export worker' AND datname = '$database'");
		});
}

package ClariTest::Session;

use strict;
use warnings;

use Carp qw(croak);
use PostgreSQL::Test::BackgroundPsql;
use Test::More;

# BackgroundPsql notes every query and its output; tests that ask again and again would fill the log.
{
	no warnings qw(redefine once);
	*PostgreSQL::Test::BackgroundPsql::note = sub { };
}

sub new
{
	my ($class, $node, %options) = @_;
	my $database = $options{database} || 'postgres';
	my $user     = $options{user};
	my $psql     = $node->background_psql(
		$database,
		on_error_stop => 0,
		timeout       => ClariTest::SESSION_SECONDS,
		$user ? (extra_params => [ '-U', $user ]) : ());
	$psql->set_query_timer_restart;
	my $self = bless { psql => $psql }, $class;
	$self->run("\\set VERBOSITY verbose\n\\encoding UTF8");
	$self->{pid} = $self->value('SELECT pg_backend_pid()');
	return $self;
}

sub pid { return $_[0]{pid} }

=head1 SESSIONS

=head2 $session->run($sql)

What came of it: C<rows> is psql's output, unaligned and without headers; C<sqlstate>, C<message>, C<detail> and
C<hint> are those of the error, undef without one; C<told> is a list of the same, with C<severity>, of all that was told
on the way.

=cut

sub run
{
	my ($self, $sql) = @_;
	$self->{psql}{stderr} = '';
	return $self->_outcome(scalar $self->{psql}->query($sql));
}

# The only value of a query that must not fail.
sub value
{
	my ($self, $sql) = @_;
	my $outcome = $self->run($sql);
	croak "$sql: $outcome->{sqlstate}: $outcome->{message}" if $outcome->{sqlstate};
	return $outcome->{rows};
}

=head2 $session->send($sql), $session->await_told($pattern), $session->receive

The same in steps: C<send> returns when psql is about to execute it, C<await_told> when something was told on the way.

=cut

sub send
{
	my ($self, $sql) = @_;
	my $psql = $self->{psql};
	@$psql{qw(stdout stderr)} = ('', '');
	$psql->{timeout}->start;
	$psql->{stdin} .= "\\echo sent\n$sql\n;\n";
	$psql->{run}->pump until $psql->{stdout} =~ /^sent\n/ || $psql->{timeout}->is_expired;
	return;
}

sub receive
{
	my ($self) = @_;
	my $rows = $self->{psql}->query('');
	return $self->_outcome($rows =~ s/^sent\n?//r);
}

# Between the two: waits until psql has printed something that matches.
sub await_told
{
	my ($self, $pattern) = @_;
	my $psql = $self->{psql};
	$psql->{run}->pump until $psql->{stderr} =~ $pattern || $psql->{timeout}->is_expired;
	return;
}

sub _outcome
{
	my ($self, $rows) = @_;
	my @told = read_messages($self->{psql}{stderr});
	my ($error) = grep { $_->{severity} =~ /^(?:ERROR|FATAL|PANIC)$/ } @told;
	return { %{ $error || {} }, rows => $rows, told => \@told };
}

=head2 $session->fails($sql, $sqlstate, $name)

Tests that it fails with that SQLSTATE; returns what came of it.

=cut

sub fails
{
	my ($self, $sql, $sqlstate, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $outcome = $self->run($sql);
	is($outcome->{sqlstate}, $sqlstate, "$name: $sqlstate") or diag explain $outcome;
	return $outcome;
}

# psql ends because its backend has ended: the error that was told last.
sub receive_end
{
	my ($self) = @_;
	my $psql = $self->{psql};
	$psql->{run}->finish;
	my @told = grep { ($_->{severity} || '') eq 'FATAL' } read_messages($psql->{stderr});
	return $told[0] || {};
}

sub quit
{
	my ($self) = @_;
	$self->{psql}->quit;
	return;
}

# psql's standard error at VERBOSITY verbose, taken apart.
sub read_messages
{
	my ($text) = @_;
	my (@told, $field);
	for my $line (split /\n/, $text)
	{
		$line =~ s/^psql:<stdin>:\d+: //;
		if ($line =~ /^([A-Z]+):  ([0-9A-Z]{5}): (.*)/)
		{
			push @told, { severity => $1, sqlstate => $2, message => $3 };
			$field = 'message';
		}
		elsif ($line =~ /^(DETAIL|HINT|CONTEXT|LOCATION|QUERY|LINE \d+): +(.*)/)
		{
			push @told, {} unless @told;
			$field = lc $1;
			$told[-1]{$field} = $2;
		}
		elsif (@told)
		{
			$told[-1]{$field} .= "\n$line";
		}
	}
	return @told;
}

1;
