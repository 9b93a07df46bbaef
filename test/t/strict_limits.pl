# Behind a gateway that admits one request a second and no more at once: a
# function and the queue each finish an export, and few requests are refused.

use strict;
use warnings;

use Test::More;
use ClariTest;

# What an export needs: the list, the POST, some polls, the result.
use constant EXPORT_REQUESTS => 8;

my $test = ClariTest->new(
	'strict_limits',
	sim     => { config => { keys => { map { $_ => { organization => 'acme', user => $_ } } qw(demo-key named unnamed free) } } },
	options => { poll_base_delay => '1 s', poll_max_delay => '2 s', poll_max_attempts => 60 });
my ($sim, $session) = ($test->sim, $test->session);
$test->create_server($_, api_key => $_, poll_base_delay => '1 s', poll_max_delay => '2 s', poll_max_attempts => 60)
  for qw(named unnamed free);

sub counts
{
	my ($key)   = @_;
	my @log     = $sim->log(key => $key);
	my $refused = grep { $_->{status} == 429 } @log;
	note "$key: " . @log . " requests, $refused refused";
	return (scalar @log, $refused);
}

# Without a limit nothing is slowed down: the list and the POST follow each other at once.
is($session->value(q{SELECT clari_export('net_arr', server => 'free') ? 'entries'}), 't', 'no limit: an export');
my ($list, $post) = $sim->log(key => 'free');
cmp_ok($post->{t} - $list->{t_end}, '<', 0.5, 'no limit: the POST does not wait for a turn');
is((counts('free'))[1], 0, 'no limit: nothing is refused');

for my $case ([ 'named', 1 ], [ 'unnamed', 'none' ])
{
	my ($key, $retry_after) = @$case;
	my $name = "Retry-After: $retry_after";
	$sim->configure({ rate_limit => { requests_per_second => 1, burst => 1, retry_after => $retry_after } });

	is($session->value("SELECT clari_export('net_arr', server => '$key') ? 'entries'"), 't', "$name: a function ends an export");
	my ($requests, $refused) = counts($key);
	cmp_ok($requests, '<=', EXPORT_REQUESTS + 4, "$name: it takes few requests");
	cmp_ok($refused, '<=', 3, "$name: of which few are refused");

	my $id = $test->enqueue(server => $key);
	$test->await_state('done', $id);
	my ($all, $all_refused) = counts($key);
	cmp_ok($all - $requests, '<=', EXPORT_REQUESTS + 2, "$name: so does the queue");
	cmp_ok($all_refused - $refused, '<=', 1, "$name: it has learned");
	is(scalar $sim->log(key => $key, method => 'POST', status => 200), 2, "$name: each was submitted once");
	is($sim->stats->{keys}{$key}{in_hold}, 0, "$name: no request inside a hold");
}

done_testing();
