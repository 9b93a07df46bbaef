# Who may use which server, with whose API key.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use ClariTest;

my $test    = ClariTest->new('roles');
my $sim     = $test->sim;
my $session = $test->superuser;
my $ASK     = q{SELECT count(*) FROM clari_export_limits()};

$session->run("CREATE ROLE $_ LOGIN") for qw(ada bob eve), '"Dr. Who"';
my %as = map { ($_ => $test->new_session(user => $_)) } qw(ada bob eve), 'Dr. Who';

# The keys of the requests since the last call.
my $seen = 0;
sub keys_used
{
	my @log = $sim->log(since => $seen);
	$seen = $log[-1]{n} if @log;
	my %used = map { ($_->{key} => 1) } @log;
	return join ' ', sort keys %used;
}

# ----------
# What is missing, and what to run
# ----------

my $error = $as{ada}->fails($ASK, '42501', 'no USAGE on the server');
like($error->{hint}, qr/GRANT USAGE ON FOREIGN SERVER clari TO ada;/, 'no USAGE on the server: HINT');
$as{'Dr. Who'}->fails(q{SELECT clari_export('net_arr')}, '42501', 'no USAGE on the server, another function');

# What the HINTs show does what they say.
$session->run($error->{hint} =~ s/.*: (?=GRANT)//r);
$error = $as{ada}->fails($ASK, '42704', 'no mapping');
like($error->{message}, qr/user mapping for role "ada" on server "clari" does not exist/, 'no mapping: message');
like($error->{hint}, qr/CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS \(api_key '\.\.\.'\);/, 'no mapping: HINT');
is($as{ada}->run($error->{hint} =~ s/.*: (?=CREATE)//r =~ s/\.\.\./demo-key/r)->{sqlstate}, undef, 'no mapping: what HINT shows can be run');
is($as{ada}->value($ASK), 1, 'USAGE and a mapping are all one needs');
is(keys_used(), 'demo-key', 'the key is that of the mapping');

for my $call (
	q{clari_export('net_arr', server => 'nowhere')}, q{clari_export_activity('{}', 'nowhere')},
	q{clari_export_audit_events(server => 'nowhere')}, q{clari_export_submit('net_arr', server => 'nowhere')},
	q{clari_export_status('x', 'nowhere')}, q{clari_export_poll('x', server => 'nowhere')},
	q{clari_export_result('x', 'nowhere')}, q{clari_export_cancel('x', 'nowhere')},
	q{clari_export_all('net_arr', '{2026_Q1}', server => 'nowhere')}, q{clari_export_jobs('nowhere')},
	q{clari_export_limits('nowhere')})
{
	$error = $as{ada}->fails("SELECT * FROM $call", '42704', "no server, $call");
	like($error->{hint}, qr/CREATE SERVER nowhere FOREIGN DATA WRAPPER clari_export;/, "no server, $call: HINT");
}
$session->run('CREATE FOREIGN DATA WRAPPER other; CREATE SERVER strange FOREIGN DATA WRAPPER other; GRANT USAGE ON FOREIGN SERVER strange TO ada');
$error = $as{ada}->fails(q{SELECT * FROM clari_export_limits('strange')}, '42704', 'a server of another wrapper');
like($error->{message}, qr/not a Clari server/, 'a server of another wrapper: message');

# ----------
# PUBLIC's mapping, and one's own
# ----------

$session->run(q{GRANT USAGE ON FOREIGN SERVER clari TO PUBLIC; CREATE USER MAPPING FOR PUBLIC SERVER clari OPTIONS (api_key 'second-key')});
is($as{bob}->value($ASK), 1, 'PUBLIC\'s mapping is everybody\'s');
is(keys_used(), 'second-key', 'with PUBLIC\'s key');
is($as{ada}->value($ASK), 1, 'one with a mapping of her own');
is(keys_used(), 'demo-key', 'uses her own');
$session->run('REVOKE USAGE ON FOREIGN SERVER clari FROM PUBLIC');
$as{bob}->fails($ASK, '42501', 'PUBLIC\'s mapping without USAGE');
is(keys_used(), '', 'nothing is sent');
$session->run('GRANT USAGE ON FOREIGN SERVER clari TO bob, eve, "Dr. Who"; DROP USER MAPPING FOR PUBLIC SERVER clari');
$error = $as{'Dr. Who'}->fails($ASK, '42704', 'PUBLIC\'s mapping is gone');

# ----------
# Two organizations
# ----------

$as{bob}->run(q{CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key 'second-key')});
$sim->reset;
$seen = 0;
my $job = $as{ada}->value(q{SELECT clari_export_submit('net_arr')});
is($as{ada}->value(q{SELECT string_agg(job_id, ' ') FROM clari_export_jobs()}), $job, 'one organization sees its job');
is($as{bob}->value(q{SELECT count(*) FROM clari_export_jobs()}), 0, 'the other does not');
$as{bob}->fails("SELECT clari_export_$_('$job')", 'RC001', "the other organization's job, $_") for qw(status poll result cancel);
is($as{bob}->value(q{SELECT monthly_quota FROM clari_export_limits()}), 30, 'each has its own quota');
is($as{ada}->value(q{SELECT monthly_quota FROM clari_export_limits()}), 1000, 'and sees that');

# Neither waits for the other.
$sim->configure({ job => { duration_ms => 3_600_000 } });
$test->set_options('clari', poll_max_attempts => 10_000);
my $before = $sim->log;
$_->send(q{SELECT clari_export('net_arr') ? 'entries'}) for @as{qw(ada bob)};
my @posts = map { $sim->wait_for_log(1, method => 'POST', key => $_, since => $before, status => 200) } qw(demo-key second-key);
isnt($posts[0]{job_id}, $posts[1]{job_id}, 'two organizations export at the same time');
$sim->finish_job($_->{job_id}) for @posts;
is($as{$_}->receive->{rows}, 't', "and $_\'s export ends well") for qw(ada bob);
$sim->reset;

# ----------
# Whose mapping: that of the role that calls
# ----------

$seen = 0;
$session->run('GRANT bob TO ada');
$as{ada}->run('SET ROLE bob');
is($as{ada}->value($ASK), 1, 'after SET ROLE');
is(keys_used(), 'second-key', 'the mapping is that of the role that is set');
$as{ada}->run('RESET ROLE');

$session->run('GRANT CREATE ON SCHEMA public TO bob');
$as{bob}->run(q{CREATE FUNCTION ask_as_definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM clari_export_limits()'});
$as{bob}->run(q{CREATE FUNCTION ask_as_invoker() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM clari_export_limits()'});
is($as{ada}->value('SELECT ask_as_definer()'), 1, 'a function of security definer');
is(keys_used(), 'second-key', 'uses the mapping of its owner');
is($as{ada}->value('SELECT ask_as_invoker()'), 1, 'a function of security invoker');
is(keys_used(), 'demo-key', 'uses the mapping of its caller');
is($as{eve}->value('SELECT ask_as_definer()'), 1, 'security definer lends the mapping');
$as{eve}->fails('SELECT ask_as_invoker()', '42704', 'security invoker does not');
keys_used();

# EXECUTE is PUBLIC's, and can be taken away.
$session->run('REVOKE EXECUTE ON FUNCTION clari_export_limits FROM PUBLIC');
$as{ada}->fails($ASK, '42501', 'without EXECUTE');
$session->run('GRANT EXECUTE ON FUNCTION clari_export_limits TO PUBLIC');

# ----------
# api_key_file
# ----------

my $file = PostgreSQL::Test::Utils::tempdir() . '/clari.key';
sub write_key
{
	my ($text) = @_;
	unlink $file;
	PostgreSQL::Test::Utils::append_to_file($file, $text);
	return;
}

write_key("demo-key\n");
$session->run("CREATE USER MAPPING FOR eve SERVER clari OPTIONS (api_key_file '$file')");
is($as{eve}->value($ASK), 1, 'a key from a file, for a role that could not set it');
is(keys_used(), 'demo-key', 'the key in the file');
write_key("  second-key \n\n");
is($as{eve}->value($ASK), 1, 'a new key in the file');
is(keys_used(), 'second-key', 'is used at once, without the white space');
$sim->rules({ do => { status => 401 } });
$as{eve}->fails($ASK, 'RC001', 'a key that was withdrawn');
write_key('demo-key');
is($as{eve}->value($ASK), 1, 'until the file holds a new one');

for my $case (
	[ '',                   'empty' ],
	[ "demo-key\nX: y\n",   'with a second line' ],
	[ "demo key\n",         'with a space' ],
	[ "demo\0key",          'with a zero byte' ],
	[ "k\x{c3}\x{bc}",      'that is not ASCII' ],
	[ 'x' x 5000,           'too long' ])
{
	my ($text, $how) = @$case;
	write_key($text);
	$error = $as{eve}->fails($ASK, '22023', "a key file $how");
	unlike(join(' ', map { $_ || '' } @$error{qw(message detail hint)}), qr/\Q$file\E|demo/, "a key file $how: neither path nor key is told");
}
unlink $file;
keys_used();
$error = $as{eve}->fails($ASK, '58P01', 'a key file that is gone');
unlike(join(' ', map { $_ || '' } @$error{qw(message detail hint)}), qr/\Q$file\E/, 'a key file that is gone: the path is not told');
is(keys_used(), '', 'nothing is sent');

# ----------
# What only a superuser may
# ----------

$as{ada}->run('DROP USER MAPPING FOR CURRENT_USER SERVER clari');
for my $option (qw(api_key_file))
{
	$error = $as{ada}->fails("CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS ($option '/etc/passwd')", '42501', "$option of a mapping");
	unlike(join(' ', map { $_ || '' } @$error{qw(message detail hint)}), qr/passwd/, "$option of a mapping: its value is not told");
}
$as{ada}->run(q{CREATE USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (api_key 'demo-key')});
$as{ada}->fails(q{ALTER USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (DROP api_key, ADD api_key_file '/etc/passwd')}, '42501', 'api_key_file of a mapping that exists');
$as{ada}->fails(q{ALTER SERVER clari OPTIONS (SET base_url 'https://example.invalid')}, '42501', 'another\'s server');
$as{ada}->fails('CREATE SERVER mine FOREIGN DATA WRAPPER clari_export', '42501', 'a server without USAGE on the wrapper');

# ca_file is not for her, so it is a server that needs none.
my $plain = ClariSim->start;
$session->run('GRANT USAGE ON FOREIGN DATA WRAPPER clari_export TO ada');
is($as{ada}->run('CREATE SERVER mine FOREIGN DATA WRAPPER clari_export OPTIONS (base_url \'' . $plain->base_url . '\')')->{sqlstate}, undef, 'a server with USAGE on the wrapper');
$as{ada}->fails(q{ALTER SERVER mine OPTIONS (ADD ca_file '/etc/passwd')}, '42501', 'ca_file of one\'s own server');
$as{ada}->run(q{CREATE USER MAPPING FOR CURRENT_USER SERVER mine OPTIONS (api_key 'demo-key')});
is($as{ada}->value(q{SELECT count(*) FROM clari_export_limits('mine')}), 1, 'one\'s own server works');
$as{bob}->fails(q{SELECT * FROM clari_export_limits('mine')}, '42501', 'for its owner only');

# ----------
# The name of a server that is gone is not to be had while others' requests have it
# ----------

$session->run($_)
  for 'CREATE SERVER old FOREIGN DATA WRAPPER clari_export',
  'GRANT USAGE ON FOREIGN SERVER old TO eve';
my $insert = q{INSERT INTO clari_export_request (forecast_id, run_after, server) VALUES ('net_arr', '2999-01-01', '%s') RETURNING id};

# DROP and RENAME wait for requests that are on their way, so that none is missed.
$as{eve}->run('BEGIN');
my $request = $as{eve}->value(sprintf $insert, 'old');
$session->send('ALTER SERVER old RENAME TO sales');
$test->await('the rename to wait', sub { $test->node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks WHERE NOT granted}) });
$as{eve}->run('COMMIT');
is($session->receive->{sqlstate}, undef, 'a rename waits for a request that is not committed');
is($test->request($request)->{server}, 'sales', 'and takes it along');
$as{eve}->run('BEGIN');
$as{eve}->value(sprintf $insert, 'sales');
$session->send('DROP SERVER sales CASCADE');
$test->await('the drop to wait', sub { $test->node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks WHERE NOT granted}) });
$as{eve}->run('COMMIT');
is($session->receive->{sqlstate}, undef, 'so does a drop');

my $taken = $as{ada}->fails('CREATE SERVER sales FOREIGN DATA WRAPPER clari_export', '42501', 'the name of a server that others used');
like($taken->{message}, qr/"sales"/, 'is named');
like($taken->{hint}, qr/superuser/, 'a superuser may give it');
$as{ada}->run('BEGIN');
is($as{ada}->run('CREATE SERVER IF NOT EXISTS clari FOREIGN DATA WRAPPER clari_export')->{sqlstate}, undef, 'a server that exists is left as it is');
is($as{eve}->run(q{SET statement_timeout = '5 s'; } . sprintf $insert, 'clari')->{sqlstate}, undef, 'and keeps nobody waiting');
$as{ada}->run('ROLLBACK');
$as{ada}->fails('ALTER SERVER mine RENAME TO sales', '42501', 'nor by a rename');
is($test->request($request)->{server}, 'sales', 'which changes nothing');
$as{ada}->run(sprintf $insert, 'mine');
is($as{ada}->run("DROP SERVER mine CASCADE; CREATE SERVER mine FOREIGN DATA WRAPPER clari_export; ALTER SERVER mine RENAME TO ours")->{sqlstate},
	undef, 'one may have the name that only one\'s own requests have');
is($as{ada}->value(q{SELECT server FROM clari_export_request WHERE requested_by = 'ada'::regrole}), 'ours', 'and takes them along');
is($as{ada}->run('CREATE SERVER new FOREIGN DATA WRAPPER clari_export')->{sqlstate}, undef, 'or any other name');
$as{ada}->run('GRANT USAGE ON FOREIGN SERVER new TO eve');
my $imported = $as{eve}->value(
	q{SELECT clari_export_import('[{"Field": "f", "Timeframe": "w"}]', 'net_arr', '2026-01-01', '2026_Q1', 'new')});
$as{eve}->run("SELECT clari_export_delete_request($imported)");
$as{ada}->run('DROP SERVER new');
$as{ada}->fails('CREATE SERVER new FOREIGN DATA WRAPPER clari_export', '42501', 'others\' results have the name');
$as{eve}->run("SELECT clari_export_delete_snapshot($imported)");
is($as{eve}->value(q{SELECT count(*) FROM clari_export_history WHERE server = 'new'}) > 0 ? 'kept' : 'none', 'kept', 'or their history');
$as{ada}->fails('CREATE SERVER new FOREIGN DATA WRAPPER clari_export', '42501', 'counts, too');
is($session->run('CREATE SERVER sales FOREIGN DATA WRAPPER clari_export')->{sqlstate}, undef, 'a superuser may');

done_testing();
