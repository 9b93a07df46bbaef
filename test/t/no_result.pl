# What is no result is no snapshot: RC008, the job is kept, and the good one can be fetched later.

use strict;
use warnings;

use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::More;

use ClariTest;

my $test    = ClariTest->new('no_result');
my $sim     = $test->sim;
my $session = $test->session;

sub next_result
{
	my ($body) = @_;
	$sim->reset;
	$sim->rules({ match => { path => 'results$' }, do => { body_base64 => encode_base64($body, '') } });
	return;
}

my %export = (
	forecast     => q{clari_export('net_arr')},
	activity     => q{clari_export_activity('{}')},
	audit_events => q{clari_export_audit_events()});
my %shape = (
	'{"entries": []}'           => 'forecast',
	'[]'                        => 'forecast',
	'[{"User": "Ada"}]'         => 'forecast',
	'{"activities": []}'        => 'activity',
	'{"items": []}'             => 'audit_events',
	'{"entries": {}}'           => '',
	'{"entries": null}'         => '',
	'[{"User": "Ada"}, 7]'      => '',
	'[[]]'                      => '',
	'{"message": "being prepared"}' => '',
	'{"code": "SWW"}'           => '',
	'null'                      => '',
	'"text"'                    => '',
	'5'                         => '');

for my $body (sort keys %shape)
{
	for my $kind (sort keys %export)
	{
		next_result($body);
		my $outcome = $session->run("SELECT $export{$kind} IS NOT NULL");
		if ($shape{$body} eq $kind)
		{
			is($outcome->{rows}, 't', "$kind: $body is a result") or diag explain $outcome;
			next;
		}
		is($outcome->{sqlstate}, 'RC008', "$kind: $body is none") or diag explain $outcome;
		my ($job) = ($outcome->{detail} // '') =~ /^Job (\w{24})/;
		ok($job, "$kind: $body: the job in DETAIL") or next;
		like($outcome->{hint}, qr/clari_export_result|results/, "$kind: $body: how to go on");
		next unless $shape{$body} eq '';
		next_result($body);
		my $known = $sim->start_job(key => 'demo-key');
		$sim->finish_job($known);
		is($session->run("SELECT clari_export_result('$known')")->{sqlstate}, 'RC008', "clari_export_result: $body is none");
	}
}

# The queue stores none, and fetches the same job when it is told to.
for my $body ('{"message": "being prepared"}', '{"code": "SWW"}', 'null', '"text"')
{
	next_result($body);
	my $id = $test->enqueue;
	my $request = $test->await_state('failed', $id);
	is($request->{error_code}, 'RC008', "queue: $body");
	is($test->superuser->value("SELECT count(*) FROM clari_export_snapshot WHERE request_id = $id"), 0, "queue: $body: no snapshot");
	is($session->value("SELECT clari_export_retry($id)"), 'running', "queue: $body: the job is kept");
	my $again = $test->await_state('done', $id);
	is($again->{job_id}, $request->{job_id}, "queue: $body: it is fetched again");
}

done_testing();
