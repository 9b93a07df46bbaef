# clari_export_retry() of a request whose job Clari does not know: it is asked for once more before it counts as lost.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test = ClariTest->new('lost_jobs', superuser => 1);
my ($sim, $super) = ($test->sim, $test->superuser);

sub accepted { return $sim->stats->{keys}{'demo-key'}{accepted} }

$test->set_options('clari', poll_max_attempts => 100_000);
$sim->reset({ job => { statuses => [ [ 0, 'STARTED' ] ] } });
my $lost = $test->enqueue;
my $job  = $test->await_state('running', $lost)->{job_id};
$sim->configure({ job => { statuses => undef } });
$sim->rules({
	match => { method => 'GET', path => "^/export/jobs/$job\$" },
	times => 1_000_000,
	do    => { status => 400, body => { code => 'invalid_jobId', message => 'Job not found' } } });
my $failed = $test->await_state('failed', $lost);
is($failed->{error_code}, 'RC002', 'a job that Clari does not know');
is($failed->{job_id},     $job,    'which the request keeps');
is($super->value("SELECT clari_export_retry($lost)"), 'running', 'is asked for again');
is($test->await_state('failed', $lost)->{job_id}, $job, 'and still not known');
is(accepted(), 1, 'nothing was submitted for it');
is($super->value("SELECT clari_export_retry($lost)"), 'queued', 'then it is lost');
isnt($test->await_state('done', $lost)->{job_id}, $job, 'and another is made');
is(accepted(), 2, 'once');

done_testing();
