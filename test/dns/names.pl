# Names that a DNS server resolves over UDP, as libcurl meets them on the Internet: a function and the queue, over
# TLS. Runs below test/dns/with_name_server only.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test = ClariTest->new(
	'names',
	options => { connect_timeout => '10 s', request_timeout => '10 s' });
my ($sim, $session) = ($test->sim, $test->session);
my $worker = $test->worker_pid;

sub server_at
{
	my ($label, %options) = @_;
	my $base_url = 'https://' . ($label eq 'clari' ? '' : "$label.") . 'clari.example:' . $sim->port . '/v4';
	$test->create_server("at_$label", base_url => $base_url, ca_file => $sim->ca_file, %options);
	return;
}

sub queries
{
	my ($label) = @_;
	my $log = PostgreSQL::Test::Utils::slurp_file('/mnt/queries');
	return grep { / \Q$label\E\./ } split /\n/, $log;
}

# ----------
# Names that lead to Clari
# ----------

for my $label (qw(clari slow six))
{
	server_at($label);
	is($session->run("SELECT clari_export('net_arr', server => 'at_$label') ? 'entries'")->{rows}, 't', "$label: a function");
	is($test->await_state('done', $test->enqueue(server => "at_$label"))->{error_code}, undef, "$label: the queue");
	cmp_ok(scalar queries($label), '>', 0, "$label: the name server was asked");
}
cmp_ok(scalar(grep { /^AAAA/ } queries('six')), '>', 0, 'six: for IPv6, too, where nobody listens');

# ----------
# Names that do not
# ----------

for my $label (qw(missing broken silent))
{
	server_at($label, connect_timeout => '2 s');
	my $error = $session->fails("SELECT clari_export_limits('at_$label')", 'RC009', $label);
	like($error->{detail}, qr/resolve|[Rr]esolving|time/, "$label: DETAIL says why");
	my $held = $test->enqueue(server => "at_$label");
	$test->await(
		"the request to be held",
		sub { ($test->request($held)->{hold_reason} // '') eq 'Clari unavailable' });
	is($session->value("SELECT clari_export_cancel($held)"), 'cancelled', "$label: the queue waits, and is not stopped by it");
	cmp_ok(scalar queries($label), '>', 0, "$label: the name server was asked");
}

$test->set_options('at_silent', connect_timeout => '60 s');
$session->run("SET statement_timeout = '300 ms'");
$session->fails("SELECT clari_export_limits('at_silent')", '57014', 'a statement that waits for a name can be cancelled');
$session->run('RESET statement_timeout');

is($session->run("SELECT clari_export('net_arr', server => 'at_clari') ? 'entries'")->{rows}, 't', 'after all that: a function');
is($test->await_state('done', $test->enqueue(server => 'at_clari'))->{error_code}, undef, 'after all that: the queue');
is($test->worker_pid, $worker, 'by the same worker');

done_testing;
