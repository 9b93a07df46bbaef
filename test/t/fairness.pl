# Roles that use one API key have turns: nobody's many requests, however
# urgent, keep another's waiting. Within a role priority and order count.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test = ClariTest->new('fairness', preload => 0);
my $super = $test->new_session(superuser => 1);

my %sessions;
foreach my $role (qw(many one few))
{
	$super->run("CREATE ROLE $role LOGIN");
	$super->run("GRANT USAGE ON FOREIGN SERVER clari TO $role");
	$super->run("CREATE USER MAPPING FOR $role SERVER clari OPTIONS (api_key 'demo-key')");
	$sessions{$role} = $test->new_session(user => $role);
}

# The first named is the first that goes.
sub order
{
	my ($columns) = @_;
	my $outcome = $super->run("SELECT $columns FROM clari_export_request ORDER BY submitted_at");
	return join ' ', split /\n/, $outcome->{rows};
}

$test->enqueue(session => $sessions{many}, priority => $_) for 1 .. 8;
$test->enqueue(session => $sessions{one});
$test->enqueue(session => $sessions{few}, priority => -$_) for 1 .. 3;
is($super->run('CALL clari_export_drain()')->{sqlstate}, undef, 'a drain of three roles with one key');

is(order('requested_by'), 'many one few many few many few many many many many many', 'they have turns');
is(join(' ', grep { length } split ' ', order(q{CASE requested_by::text WHEN 'many' THEN priority END})), '8 7 6 5 4 3 2 1',
	"each role's requests go by priority");
is($super->value(q{SELECT count(*) FROM clari_export_request WHERE state <> 'done'}), 0, 'all are done');

done_testing();
