# How long finished requests and their snapshots are kept, and what stands in
# the way of removing them.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test = ClariTest->new('retention', preload => 0);
my ($node, $session, $super) = ($test->node, $test->session, $test->superuser);

sub set
{
	my (%settings) = @_;
	$node->append_conf('postgresql.conf', "clari_export.$_ = '$settings{$_}'") foreach sort keys %settings;
	$node->reload;
	foreach my $name (sort keys %settings)
	{
		$test->await("clari_export.$name", sub { $session->value("SHOW clari_export.$name") eq $settings{$name} });
	}
	return;
}

sub drain
{
	my ($name) = @_;
	is($session->run('CALL clari_export_drain()')->{sqlstate}, undef, $name);
	return;
}

sub kept
{
	return join ' ', map { $super->value("SELECT count(*) FROM clari_export_$_") } qw(request snapshot);
}

sub kept_ids
{
	my ($kind) = @_;
	my $id = $kind eq 'request' ? 'id' : 'request_id';
	return $super->value("SELECT string_agg(${id}::text, ' ' ORDER BY $id) FROM clari_export_$kind");
}

$session->run('SELECT 1');
$test->enqueue for 1 .. 2;
drain('two exports');
is($session->value('SHOW clari_export.snapshot_retention'), '0', 'snapshots are kept unless a setting says otherwise');
drain('another drain');
is(kept(), '2 2', 'which keeps both');

# Requests go, and their snapshots stay.
set(request_retention => '1 ms');
drain('with a retention of requests');
is(kept(), '0 2', 'requests go alone');

# A snapshot that somebody holds stays until the next time.
my $locker = $test->new_session(user => $super->value('SELECT current_user'));
$locker->run('BEGIN');
$locker->run('SELECT FROM clari_export_snapshot ORDER BY request_id LIMIT 1 FOR UPDATE');
set(request_retention => '0', snapshot_retention => '1 ms');
drain('with a retention of snapshots and one locked');
is(kept(), '0 1', 'the other goes');
$locker->run('ROLLBACK');
drain('and afterwards');
is(kept(), '0 0', 'this one, too');

# What is younger than the retention stays.
set(snapshot_retention => '1 hour');
$test->enqueue;
drain('a new export');
drain('looked at again');
is(kept(), '1 1', 'stays for an hour');

# What a foreign key refers to stays, whatever the key says is to be done, and the others go.
$super->run('ALTER TABLE clari_export_request ADD UNIQUE (id, forecast_id)');
my %referring = (
	request => {
		note     => 'request bigint REFERENCES clari_export_request',
		task     => 'request bigint REFERENCES clari_export_request ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED',
		comment  => 'request smallint REFERENCES clari_export_request ON DELETE SET NULL',
		approval => 'request bigint, f text, FOREIGN KEY (f, request) REFERENCES clari_export_request (forecast_id, id)',
		"\"odd\"\"\@schema\@\"" => 'request int, "a ""b" text, FOREIGN KEY (request) REFERENCES clari_export_request NOT VALID',
		part     => '(request bigint REFERENCES clari_export_request) PARTITION BY LIST (request)',
	},
	snapshot => { chart => 'request bigint REFERENCES clari_export_snapshot' });

sub refer
{
	my ($table, $definition, $id) = @_;
	$definition = "($definition)" unless $definition =~ /^\(/;
	is($super->run("CREATE TABLE $table $definition")->{sqlstate}, undef, "$table can be created");
	$super->run("CREATE TABLE ${table}_all PARTITION OF $table DEFAULT") if $definition =~ /PARTITION/;
	$super->run("INSERT INTO $table VALUES ($id" . ($definition =~ /, f/ ? ", 'net_arr'" : '') . ')');
	return;
}

for my $kind (sort keys %referring)
{
	my $other_kind = $kind eq 'request' ? 'snapshot' : 'request';
	for my $table (sort keys %{ $referring{$kind} })
	{
		set(request_retention => '0', snapshot_retention => '0');
		my @ids = map { $test->enqueue } 1 .. 3;
		drain("exports, one of which $table refers to");
		refer($table, $referring{$kind}{$table}, $ids[1]);
		my $error = $session->fails("SELECT clari_export_delete_$kind($ids[1])", '23503', 'it cannot be deleted');
		like("$error->{message} $error->{hint}", qr/\Q$table\E refers to it.*Delete the row/, 'and why');
		my $log = -s $node->logfile;
		set("${kind}_retention" => '1 ms');
		drain('what is old is removed');
		is(kept_ids($kind), $ids[1], 'but for that one');
		ok($node->log_contains(qr/old .* are kept that table \S*\Q$table\E refers to/, $log), 'the log says why');
		is($super->value("SELECT request FROM $table"), $ids[1], 'what refers to it is as it was');
		$super->run("DELETE FROM $table");
		is($session->value("SELECT clari_export_delete_$kind($ids[1])"), 't', 'when nothing refers to it, it can be deleted');
		set("${other_kind}_retention" => '1 ms');
		drain('and the rest goes');
		is(kept(), '0 0', 'all of it');
		$super->run("DROP TABLE $table");
	}
}

# The owner of a table that refers is asked for nothing but what PostgreSQL asks, and with no more rights.
set(request_retention => '0', snapshot_retention => '0');
my @ids = map { $test->enqueue } 1 .. 2;
drain('exports for a role that may refer to them');
$super->run('CREATE ROLE referrer; GRANT REFERENCES ON clari_export_request TO referrer;'
	  . ' CREATE SCHEMA referrer AUTHORIZATION referrer; GRANT CREATE ON SCHEMA public TO referrer');
$super->run(q{
	CREATE TYPE referrer.tag AS (request bigint);
	CREATE FUNCTION referrer.of_tag(referrer.tag) RETURNS bigint IMMUTABLE LANGUAGE plpgsql
		AS $$BEGIN RAISE LOG 'asked as %', current_user; RETURN $1.request; END$$;
	ALTER TYPE referrer.tag OWNER TO referrer; ALTER FUNCTION referrer.of_tag(referrer.tag) OWNER TO referrer;
	CREATE CAST (referrer.tag AS bigint) WITH FUNCTION referrer.of_tag(referrer.tag) AS IMPLICIT});
$super->run('SET ROLE referrer');
is($super->run('CREATE TABLE referrer.tagged (request referrer.tag REFERENCES clari_export_request)')->{sqlstate},
	undef, 'a type with code of its own can refer');
$super->run('ALTER TABLE referrer.tagged ENABLE ROW LEVEL SECURITY');
$super->run('ALTER TABLE referrer.tagged FORCE ROW LEVEL SECURITY');
$super->run('RESET ROLE');
$super->run("INSERT INTO referrer.tagged VALUES (ROW($ids[0]))");
my $log = -s $node->logfile;
set(request_retention => '1 ms');
drain('what is old is removed');
is(kept_ids('request'), $ids[0], 'but for what it refers to, policies or not');
my $said = PostgreSQL::Test::Utils::slurp_file($node->logfile, $log);
like($said, qr/asked as referrer/, 'its code runs');
unlike($said, qr/asked as (?!referrer)/, 'with the rights of its owner');
$super->run('DROP SCHEMA referrer CASCADE');

# Whoever begins to refer to a row keeps it, too.
$super->run('CREATE TABLE note (request bigint REFERENCES clari_export_request)');
$super->run('BEGIN');
$super->run("INSERT INTO note VALUES ($ids[0])");
drain('what is old is removed');
$super->run('COMMIT');
is(kept_ids('request'), $ids[0], 'but for what an open transaction refers to');
$super->run('DELETE FROM note');
$session->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($session->value('SELECT count(*) FROM clari_export_request'), 1, 'a transaction sees what it saw at first');
$super->run("INSERT INTO note VALUES ($ids[0])");
$session->fails("SELECT clari_export_delete_request($ids[0])", '23503', 'and deletes nothing that was referred to since');
$session->run('ROLLBACK');

# A table that refers, and that somebody has locked, delays nothing else.
my $holder = $test->new_session(superuser => 1);
$holder->run('BEGIN');
$holder->run('LOCK TABLE note');
my $now = $test->enqueue;
drain('while a table that refers is locked');
is($test->request($now)->{state}, 'done', 'exports go on');
$holder->run('ROLLBACK');
$super->run('DROP TABLE note');
drain('then');
drain('nothing is kept');
set(snapshot_retention => '1 ms');
drain('no more');
is(kept(), '0 0', 'of all that');

# An error while pruning is no error of the drain, nor of the requests in it.
set(snapshot_retention => '1 ms');
$super->run(
	q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not this one'; END$$;
	  CREATE TRIGGER refuse BEFORE DELETE ON clari_export_snapshot FOR EACH ROW EXECUTE FUNCTION refuse();
	  ALTER TABLE clari_export_snapshot ENABLE ALWAYS TRIGGER refuse});
my $id = $test->enqueue;
drain('a drain that cannot prune');
is($test->request($id)->{state}, 'done', 'exports all the same');
is(kept(), '1 1', 'and keeps what it cannot remove');

$super->run('ALTER SYSTEM SET clari_export.snapshot_retention = \'-1 day\'');
isnt($super->value('SHOW clari_export.snapshot_retention'), '-1 day', 'a negative interval is refused');
done_testing();
