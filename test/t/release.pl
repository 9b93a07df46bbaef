# clari_export_release(): whoever owns the server lifts what Clari's answers
# hold, in functions and in the queue, and for good.

use strict;
use warnings;

use Test::More;
use ClariTest;

my %keys = map { $_ => { organization => 'acme', user => $_ } } qw(demo-key second free);
my $test = ClariTest->new('release', sim => { config => { keys => \%keys } }, options => { poll_max_attempts => 1000 });
my ($node, $sim, $super) = ($test->node, $test->sim, $test->superuser);
my $session = $test->new_session;

use constant A_DAY => { 'Retry-After' => 86400 };

sub hold_next
{
	my ($path, %headers) = @_;
	$sim->rules({ match => { path => $path }, do => { status => 429, headers => \%headers } });
	return;
}

is($super->value('SELECT clari_export_release()'), 'nothing was held', 'nothing held: it says so');

# A function that waits goes on at once.
hold_next('^/export/forecast', %{ +A_DAY });
$session->send(q{SELECT clari_export('net_arr') ? 'entries'});
$session->await_told(qr/waiting/);
like($super->value('SELECT clari_export_release()'), qr/^rate limited until \d{4}-\S+ \S+$/, 'it says what was lifted');
is($session->receive->{rows}, 't', 'a function that waited goes on');
is($super->value('SELECT clari_export_release()'), 'nothing was held', 'once is enough');

# A poll of the queue's.
hold_next('^/export/jobs/\w+$', %{ +A_DAY });
my $id = $test->enqueue;
$test->await('a poll to be held', sub { $sim->log(status => 429) > 1 });
like($super->value('SELECT clari_export_release()'), qr/^rate limited until/, 'a job that runs is held');
$test->await_state('done', $id);
pass('and released');

# A submission of the queue's: no row is left that would bring the hold back after a restart.
hold_next('^/export/forecast', %{ +A_DAY });
$id = $test->enqueue;
$test->await('the request to be held', sub { ($test->request($id)->{hold_reason} // '') eq 'rate limited' });
my $later = $test->enqueue;
like($super->value('SELECT clari_export_release()'), qr/^rate limited until/, 'a submission is held');
$test->await_state('done', $id, $later);
is($super->value(q{SELECT count(*) FROM clari_export_request WHERE hold_reason IS NOT NULL OR held_until IS NOT NULL}),
	0, 'no row says so any more');

# A full job queue and a quota hold submissions only.
$sim->configure({ organizations => { acme => { concurrent_limit => 3, monthly_quota => 0 } } });
$id = $test->enqueue;
$test->await('the quota to hold it', sub { ($test->request($id)->{hold_reason} // '') eq 'monthly quota used up' });
$sim->configure({ organizations => { acme => { concurrent_limit => 3, monthly_quota => 1000 } } });
$super->value('SELECT clari_export_release()');
$test->await_state('done', $id);
pass('what holds submissions is lifted, too');

# Another server's lane is another matter.
$test->create_server('second', api_key => 'second');
hold_next('^/export/jobs/', %{ +A_DAY });
$session->fails(q{SELECT clari_export_status('x', 'second')}, 'RC003', 'a second server is held');
is($super->value('SELECT clari_export_release()'), 'nothing was held', 'releasing the first does not touch it');
like($super->value(q{SELECT clari_export_release('second')}), qr/^rate limited until/, 'releasing it does');

# Who may.
$super->run('CREATE ROLE visitor LOGIN; CREATE ROLE keeper LOGIN; GRANT USAGE ON FOREIGN SERVER clari TO visitor;
	GRANT USAGE ON FOREIGN DATA WRAPPER clari_export TO keeper; ALTER SERVER second OWNER TO keeper');
$test->new_session(user => 'visitor')->fails('SELECT clari_export_release()', '42501', 'USAGE is not enough');
hold_next('^/export/jobs/', %{ +A_DAY });
$session->fails(q{SELECT clari_export_status('x', 'second')}, 'RC003', 'the second server is held again');
like($test->new_session(user => 'keeper')->value(q{SELECT clari_export_release('second')}),
	qr/^rate limited until/, 'its owner lifts what holds the lanes of others there');
$super->fails(q{SELECT clari_export_release('nowhere')}, '42704', 'a server that is not there');

done_testing();
