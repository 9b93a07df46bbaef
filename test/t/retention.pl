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

# An error while pruning is no error of the drain, nor of the requests in it.
set(snapshot_retention => '1 ms');
$super->run(
	q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not this one'; END$$;
	  CREATE TRIGGER refuse BEFORE DELETE ON clari_export_snapshot FOR EACH ROW EXECUTE FUNCTION refuse();
	  ALTER TABLE clari_export_snapshot ENABLE ALWAYS TRIGGER refuse});
my $id = $test->enqueue;
drain('a drain that cannot prune');
is($test->request($id)->{state}, 'done', 'exports all the same');
is(kept(), '2 2', 'and keeps what it cannot remove');

$super->run('ALTER SYSTEM SET clari_export.snapshot_retention = \'-1 day\'');
isnt($super->value('SHOW clari_export.snapshot_retention'), '-1 day', 'a negative interval is refused');
done_testing();
