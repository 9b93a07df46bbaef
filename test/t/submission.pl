# A request is submitted once: what becomes of a submission whose reply was
# lost, by the jobs that Clari lists and the submissions that it counted.

use strict;
use warnings;

use Test::More;
use ClariTest;

use constant FOREVER => -1;
use constant LONG_MS => 3_600_000;
use constant GRACE   => 0.25;

my $test = ClariTest->new('submission', options => { submission_grace => GRACE . ' s', poll_max_attempts => 50, request_timeout => '10 s' });
my $sim     = $test->sim;
my $session = $test->session;

my %calls = (
	clari_export        => q{SELECT clari_export('net_arr', '2026_Q2') ? 'entries'},
	clari_export_submit => q{SELECT clari_export_submit('net_arr', '2026_Q2')});
my @others = (q{SELECT clari_export_activity('{}') ? 'activities'}, q{SELECT clari_export_audit_events() ? 'items'},
	q{SELECT error IS NULL FROM clari_export_all('net_arr', '{2026_Q2}')}, q{SELECT clari_export('net_arr') ? 'entries'});
$calls{$_} = $_ for @others;

sub posts    { return $sim->log(method => 'POST') }
sub accepted { return $sim->stats->{keys}{'demo-key'}{accepted} }

# The job that Clari accepted from us.
sub our_job
{
	my @accepted = grep { $_->{job_id} } posts();
	return $accepted[-1]{job_id};
}

# A colleague's export of the same forecast and period, of the same Clari user.
sub colleague
{
	return $sim->start_job(key => 'colleague-key', forecast_id => 'net_arr', time_period => '2026_Q2', @_);
}

# It ends well, with the job that is ours.
sub ends_well
{
	my ($name, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $outcome = $session->run($calls{$name});
	my $job     = our_job() || 'none';
	is($outcome->{rows}, $name eq 'clari_export_submit' ? $job : 't', "$name, $what: it ends well") or diag explain $outcome;
	is(accepted(), 1, "$name, $what: one submission is counted");
	is(scalar $sim->log(path => "/export/jobs/$job/results"), 1, "$name, $what: the result is that of our job")
	  if $name ne 'clari_export_submit';
	return;
}

# ----------
# The reply is lost
# ----------

my %losses = (
	'a reset'              => { reset => \1 },
	'a closed connection'  => { close => \1 },
	'an error 500'         => { status => 500 },
	'a gateway\'s 502'     => { html => \1 },
	'a gateway\'s 504'     => { html => \1, status => 504 },
	'an empty reply'       => { empty => \1 },
	'a cut reply'          => { body_text => '{"jobId": "60' },
	'a reply without a job' => { body => { ok => \1 } },
	'a reply that is a page' => { html => \1, status => 200 });

for my $name (sort keys %calls)
{
	for my $loss (sort keys %losses)
	{
		$sim->reset;
		$sim->rules({ match => { method => 'POST' }, do => { %{ $losses{$loss} }, process => \1 } });
		ends_well($name, "$loss after the acceptance");
		is(scalar posts(), 1, "$name, $loss after the acceptance: it is adopted");
	}
}
for my $name (qw(clari_export clari_export_submit))
{
	$sim->reset;
	$sim->rules({ match => { method => 'POST' }, do => { truncate => 10 } });
	ends_well($name, 'half a reply');
	is(scalar posts(), 1, "$name, half a reply: it is adopted");

	$test->set_options('clari', request_timeout => '200 ms');
	$sim->reset;
	$sim->rules({ match => { method => 'POST' }, do => { hang => \1, process => \1 } });
	ends_well($name, 'no reply');
	is(scalar posts(), 1, "$name, no reply: it is adopted");
	$test->set_options('clari', request_timeout => '10 s');

	for my $loss ('a reset', 'an error 500', 'a cut reply')
	{
		$sim->reset;
		$sim->rules({ match => { method => 'POST' }, do => { %{ $losses{$loss} }, process => \0 } });
		ends_well($name, "$loss before the acceptance");
		my @posts = posts();
		is(scalar @posts, 2, "$name, $loss before the acceptance: it is submitted once more");
		cmp_ok($posts[1]{t} - $posts[0]{t}, '>=', GRACE, "$name, $loss before the acceptance: after submission_grace");
		isnt($posts[0]{connection}, $posts[1]{connection}, "$name, $loss before the acceptance: each on a fresh connection");
	}

	for my $case ([ 'a reset', 'RC009' ], [ 'an error 500', 'RC009' ], [ 'a cut reply', 'RC008' ])
	{
		my ($loss, $sqlstate) = @$case;
		$sim->reset;
		$sim->rules({ match => { method => 'POST' }, times => FOREVER, do => $losses{$loss} });
		my $error = $session->fails($calls{$name}, $sqlstate, "$name, $loss again and again");
		like($error->{detail}, qr/submitted twice without a reply/, "$name, $loss again and again: it says why");
		is(scalar posts(), 2, "$name, $loss again and again: submitted twice and no more");
		is(accepted(), 0, "$name, $loss again and again: none is counted");
	}
}

# The list shows the job late, or in another form.
for my $name (qw(clari_export clari_export_submit))
{
	$sim->reset({ job_list_delay_ms => 80 });
	$sim->rules({ match => { method => 'POST' }, do => { reset => \1, process => \1 } });
	ends_well($name, 'a list that lags behind');
	is(scalar posts(), 1, "$name, a list that lags behind: it is adopted");

	$sim->reset({ job => { wrapped => \1, wrapped_in_list => \1 } });
	$sim->rules({ match => { method => 'POST' }, do => { reset => \1, process => \1 } });
	ends_well($name, 'a list of wrapped jobs');

	# The look-up itself may fail for a while.
	$sim->reset;
	$sim->rules({ match => { method => 'POST' }, do => { reset => \1, process => \1 } });
	$sim->rules(map { { match => { path => '^/export/jobs$' }, skip => 1, do => $_ } }
		{ status => 500 }, { reset => \1 }, { status => 429 }, { html => \1 }, { truncate => 5 });
	ends_well($name, 'a list that fails for a while');
	is(scalar posts(), 1, "$name, a list that fails for a while: it is adopted");
}

# ----------
# A colleague's job for the same forecast and period, and a clock that is wrong
# ----------

for my $offset (0, 300, -300)
{
	for my $name (qw(clari_export clari_export_submit))
	{
		my $clock = "clock offset $offset s";
		$sim->reset({ clock_offset_seconds => $offset });
		colleague();
		my $theirs = colleague(plan => { duration_ms => LONG_MS });
		$sim->rules({ match => { method => 'POST' }, do => { reset => \1, process => \1 } });
		ends_well($name, "$clock, a colleague's job just before");
		isnt(our_job(), $theirs, "$name, $clock: it is not the colleague's");

		$sim->reset({ clock_offset_seconds => $offset });
		$theirs = colleague();
		$sim->rules({ match => { method => 'POST' }, do => { reset => \1 } });
		ends_well($name, "$clock, a colleague's job and none of ours");
		is(scalar posts(), 2, "$name, $clock: the colleague's job is not taken");
		is($sim->log(path => qr/$theirs/), 0, "$name, $clock: the colleague's job is let alone");
	}
}

# Jobs that a colleague starts meanwhile: of something else they do not matter, of the same they make it undecidable.
# Returns when the submission waits for its reply; that never comes.
sub submission_under_way
{
	my ($sql, $accepted, %settings) = @_;
	$sim->reset(\%settings);
	$sim->rules({ match => { method => 'POST' }, do => { close => \1, delay_ms => 300, process => $accepted ? \1 : \0 } });
	$session->send($sql);
	$sim->wait_for_log(1, method => 'POST');
	return;
}

my @different = (
	{ forecast_id => 'renewals', time_period => '2026_Q2' },
	{ forecast_id => 'net_arr',  time_period => '2026_Q1' },
	{ forecast_id => 'net_arr_2', time_period => '2026_Q2' },
	{ forecast_id => 'net',       time_period => '2026_Q2' });
for my $sql ($calls{clari_export}, q{SELECT clari_export('net_arr', '2026_Q3') ? 'entries'}, q{SELECT clari_export('net_arr') ? 'entries'})
{
	for my $job (@different)
	{
		next if $sql !~ /2026/ && $job->{forecast_id} eq 'net_arr';
		next if $sql =~ /$job->{time_period}/ && $job->{forecast_id} eq 'net_arr';
		submission_under_way($sql, 0, forecasts => [qw(net net_arr net_arr_2 renewals)]);
		my $theirs = $sim->start_job(%$job);
		my $what = "$sql while a colleague exports $job->{forecast_id} of $job->{time_period}";
		is($session->receive->{rows}, 't', "$what: it ends well");
		is(scalar posts(), 2, "$what: submitted once more");
		is(scalar $sim->log(path => qr/$theirs/), 0, "$what: the colleague's job is let alone");
	}
}

for my $name (qw(clari_export clari_export_submit))
{
	submission_under_way($calls{$name}, 1);
	my $theirs = colleague();
	my $error  = $session->receive;
	is($error->{sqlstate}, 'RC011', "$name, two jobs that fit");
	like($error->{hint}, qr/public\.clari_export_jobs\('clari'::name\)/, "$name, two jobs that fit: HINT");
	is(scalar posts(), 1, "$name, two jobs that fit: nothing more is submitted");
	is(scalar $sim->log(path => qr/$theirs/), 0, "$name, two jobs that fit: neither is touched");

	# A list that is refused, or that cannot be read.
	my @rules = ({ match => { method => 'POST' }, do => { reset => \1, process => \1 } });
	my %undecidable = (
		'a list refused'          => [ {}, { match => { path => '^/export/jobs$' }, skip => 1, times => FOREVER, do => { status => 403 } } ],
		'a key withdrawn'         => [ {}, { match => { path => '^/export/jobs$' }, skip => 1, times => FOREVER, do => { status => 401 } } ],
		'a list that is none'     => [ {}, { match => { path => '^/export/jobs$' }, skip => 1, times => FOREVER, do => { body => { jobs => [] } } } ],
		'a list without end'      => [ {}, { match => { path => '^/export/jobs$' }, skip => 1, times => FOREVER, do => { status => 500 } } ],
		'no list from the start'  => [ {}, { match => { path => '^/export/jobs$' }, times => 1, do => { body_text => 'nothing' } } ],
		'a list not allowed'      => [ {}, { match => { path => '^/export/jobs$' }, times => FOREVER, do => { status => 403 } } ]);
	$test->set_options('clari', poll_max_attempts => 10);
	for my $what (sort keys %undecidable)
	{
		my ($settings, @more) = @{ $undecidable{$what} };
		$sim->reset($settings);
		$sim->rules(@rules, @more);
		$error = $session->fails($calls{$name}, 'RC011', "$name, $what");
		like($error->{hint}, qr/public\.clari_export_jobs\('clari'::name\)/, "$name, $what: HINT");
		is(scalar posts(), 1, "$name, $what: nothing more is submitted");
	}
	$test->set_options('clari', poll_max_attempts => 50);
}

# In clari_export_all it is a row, and the next period is exported.
$sim->reset;
$sim->rules({ match => { method => 'POST' }, do => { reset => \1, process => \1 } },
	{ match => { path => '^/export/jobs$' }, times => 1, do => { body_text => 'nothing' } });
like($session->run(q{SELECT time_period, error IS NULL, result IS NULL FROM clari_export_all('net_arr', '{2026_Q1,2026_Q2}')})->{rows},
	qr/^2026_Q1\|f\|t\n2026_Q2\|/, 'all: an undecided submission is a row');

# ----------
# While it is not known, nobody else submits with that key
# ----------

$test->create_server('wide', max_concurrent_exports => 10, submission_grace => '5 s', poll_max_attempts => 1000);
my $other = $test->new_session;
$sim->reset({ job_list_delay_ms => 400 });
$sim->rules({ match => { method => 'POST' }, do => { reset => \1, process => \1 } });
$session->send(q{SELECT clari_export('net_arr', '2026_Q2', server => 'wide') ? 'entries'});
$sim->wait_for_log(1, method => 'POST');
$other->send(q{SELECT clari_export('renewals', '2026_Q2', server => 'wide') ? 'entries'});
is($_->receive->{rows}, 't', 'two sessions, one of which looks for its job') for $session, $other;
my ($lost, $next) = posts();
is($next->{path}, '/export/forecast/renewals', 'the other submitted after it');
cmp_ok($next->{t} - $lost->{t}, '>=', 0.4, 'and not before the job was found');

# An interrupt meanwhile says so.
$sim->reset({ job_list_delay_ms => LONG_MS });
$sim->rules({ match => { method => 'POST' }, do => { reset => \1, process => \1 } });
$session->send(q{SELECT clari_export('net_arr', '2026_Q2', server => 'wide')});
$sim->wait_for_log(3, path => '/export/jobs');
$other->run('SELECT pg_cancel_backend(' . $session->pid . ')');
my $cancelled = $session->receive;
is($cancelled->{sqlstate}, '57014', 'a cancel while it is not known');
like($cancelled->{detail}, qr/submission on server "wide" was under way/, 'DETAIL');
like($cancelled->{hint}, qr/public\.clari_export_jobs\('wide'::name\)/, 'HINT');
$sim->reset;
is($other->value(q{SELECT clari_export('renewals', '2026_Q2', server => 'wide') ? 'entries'}), 't', 'and the lane is free again');

done_testing();
