# A result that jsonb cannot hold: RC008 says how to export less and where the file is.

use strict;
use warnings;

use Test::More;

use ClariTest;

# jsonb has 28 bits for the length of a text.
use constant TOO_LARGE => 2**28 + 100;

my $test     = ClariTest->new('large_result', options => { request_timeout => '60 s' });
my $sim      = $test->sim;
my $session  = $test->session;
my $base_url = $sim->base_url;
my $narrow   = qr/^Export less at once: name fewer typesToExport, a scopeId, or leave out includeHistorical\./;

sub make_results_too_large
{
	$sim->reset({ gzip => \0 });
	$sim->rules({ match => { path => '/results$' }, times => shift, do => { oversize => TOO_LARGE } });
	return;
}

sub check_failure
{
	my ($outcome, $name) = @_;
	like($outcome->{message}, qr/^the reply from Clari cannot be stored as jsonb$/, "$name: what happened");
	like($outcome->{detail},  qr/^Job \w+ of server "clari"\. string too long/,      "$name: to which job, and why");
	like($outcome->{hint},    $narrow,                                              "$name: how to export less");
	my ($job_id) = $outcome->{detail} =~ /^Job (\w+)/;
	like($outcome->{hint}, qr{curl -H 'apikey: \.\.\.' \Q$base_url\E/export/jobs/$job_id/results$},
		"$name: how to get the file");
	return $job_id;
}

make_results_too_large(2);
my $job_id = check_failure($session->fails(q{SELECT clari_export('net_arr')}, 'RC008', 'clari_export'), 'clari_export');
check_failure($session->fails("SELECT clari_export_result('$job_id')", 'RC008', 'clari_export_result'), 'clari_export_result');
is($session->value("SELECT clari_export_result('$job_id') ? 'entries'"), 't', 'the job is still there');
is($sim->stats->{keys}{'demo-key'}{accepted}, 1, 'and was submitted once');

make_results_too_large(1);
is( $session->value(
		q{SELECT string_agg(time_period || ' ' || (result IS NOT NULL) || ' ' || coalesce(left(error, 30), ''), ', ')
		FROM clari_export_all('net_arr', '{2026_Q1,2026_Q2}')}),
	'2026_Q1 false the reply from Clari cannot be, 2026_Q2 true ',
	'clari_export_all goes on with the next period');

done_testing();
