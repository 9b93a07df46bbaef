# No role keeps others from exporting: not with many keys, not with long
# holds, not with locks that it takes; and none sees another's traffic.

use strict;
use warnings;

use Test::More;
use ClariTest;

use constant MAX_LANES => 16;
use constant A_DAY     => { 'Retry-After' => 86400 };

my @many = map { "greedy$_" } 1 .. 40;
my %keys = map { $_ => { organization => 'acme', user => $_ } } 'demo-key', @many;
my $test = ClariTest->new(
	'lanes_for_all',
	conf => 'clari_export.max_lanes = ' . MAX_LANES . "\n",
	sim  => { config => { keys => \%keys, organizations => { acme => { concurrent_limit => 100 } } } });
my ($sim, $session, $super) = ($test->sim, $test->session, $test->superuser);

is($super->value('SHOW clari_export.max_lanes'), MAX_LANES, 'clari_export.max_lanes');
$super->fails('SET clari_export.max_lanes = 100', '55P02', 'it is set at the start of the server');

# A role with many servers, each with a key of its own.
$super->run('CREATE ROLE greedy LOGIN; GRANT USAGE ON FOREIGN DATA WRAPPER clari_export TO greedy');
my $greedy = $test->new_session(user => 'greedy');
for my $name (@many)
{
	$test->create_server($name, api_key => $name, poll_max_attempts => 100_000);
	$super->run("ALTER SERVER $name OWNER TO greedy; CREATE USER MAPPING FOR greedy SERVER $name OPTIONS (api_key '$name')");
}

# All its requests run at once, and never end.
$sim->configure({ job => { statuses => [ [ 0, 'STARTED' ] ] } });
$greedy->value("INSERT INTO clari_export_request (forecast_id, server) SELECT 'net_arr', 'greedy' || n FROM generate_series(1, 40) n RETURNING id");
$sim->wait_for_log(MAX_LANES / 2, method => 'POST', status => 200);
$sim->configure({ job => { statuses => undef, duration_ms => 0 } });
is($session->value(q{SELECT clari_export('net_arr') ? 'entries'}), 't', 'a role with many keys: another exports');
my @used = grep { /^greedy/ } keys %{ $sim->stats->{keys} };
is(scalar @used, MAX_LANES / 2, 'it has half of the lanes and no more');
my %is_used = map { $_ => 1 } @used;
my ($next) = grep { !$is_used{$_} } @many;
like($greedy->fails("SELECT clari_export_status('x', '$next')", '53400', 'its own next key is one too many')->{hint},
	qr/clari_export\.max_lanes/, 'the hint names the setting');
$greedy->value('SELECT clari_export_cancel(id) FROM clari_export_request LIMIT 40');
$test->await('its lanes to be free', sub { $super->value(q{SELECT count(*) FROM clari_export_request WHERE state IN ('queued', 'submitting', 'running')}) == 0 });

# Lanes that are held for a day give way, those of dropped servers too; but not others' first.
$sim->rules({ match => { key => 'demo-key' }, do => { status => 429, headers => A_DAY } });
$session->fails(q{SELECT clari_export_status('x')}, 'RC003', 'a hold of our own');
for my $name (@many)
{
	$sim->rules({ match => { key => $name }, do => { status => 429, headers => A_DAY } });
	$greedy->fails("SELECT clari_export_status('x', '$name')", 'RC003', "$name is held");
	$greedy->run("DROP SERVER $name CASCADE");
}
$test->create_server('new', api_key => 'greedy1');
is($session->value(q{SELECT clari_export('net_arr', server => 'new') ? 'entries'}), 't', 'there is a lane for a new key');
my $sent    = () = $sim->log(key => 'demo-key');
my $waiting = $test->new_session;
$waiting->send(q{SELECT clari_export_status('x')});
$waiting->await_told(qr/waiting/);
is(scalar $sim->log(key => 'demo-key'), $sent, 'and our own hold was kept');
$super->run('SELECT clari_export_release()');
$waiting->receive;

# Statistics: of servers that one may use, all for monitors.
$super->run('CREATE ROLE stranger LOGIN; CREATE ROLE monitor LOGIN; GRANT pg_read_all_stats TO monitor');
cmp_ok($super->value('SELECT count(*) FROM clari_export_stat'), '>=', 2, 'statistics: a superuser sees all servers');
is($test->new_session(user => 'stranger')->value('SELECT count(*) FROM clari_export_stat'), 0, 'a stranger none');
cmp_ok($test->new_session(user => 'monitor')->value('SELECT count(*) FROM clari_export_stat'), '>=', 2, 'a monitor all');

# ----------
# Without preloading: a drain keeps out others by a lock that SQL cannot take
# ----------

my $plain = ClariTest->new('drains', preload => 0);
my $id = $plain->enqueue;
my $one = $plain->new_session;
$plain->sim->configure({ job => { duration_ms => 3_600_000 } });
$plain->set_options('clari', poll_max_attempts => 100_000);
$one->send('CALL clari_export_drain()');
my ($post) = $plain->sim->wait_for_log(1, method => 'POST', status => 200);
my $locks = $plain->superuser->value(
	q{SELECT string_agg(format('(%s, %s, %s)', classid, objid, objsubid), ';') FROM pg_locks WHERE locktype = 'userlock'});
like($locks, qr/^\(\d+, \d+, \d+\)$/, 'a drain holds one lock, of a type of its own');
is($plain->superuser->value(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, 'and no advisory lock');
my $other = $plain->new_session;
$other->run(q{CALL clari_export_drain(max_runtime => '200 ms')});
is(scalar $plain->sim->log(method => 'POST'), 1, 'another drain leaves its lane alone');
$plain->sim->finish_job($post->{job_id});
$one->receive;
is($plain->request($id)->{state}, 'done', 'the drain ends');

done_testing();
