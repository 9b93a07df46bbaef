# The functions that wait for Clari: their signatures, and each against
# everything that Clari or the network may answer: SQLSTATE, DETAIL and HINT.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test    = ClariTest->new('functions', options => { max_result_size => '512kB' });
my $sim     = $test->sim;
my $session = $test->session;

use constant FOREVER  => -1;
use constant LONG_MS  => 3_600_000;
use constant ATTEMPTS => $ClariTest::FAST_OPTIONS{poll_max_attempts};

# ----------
# Signatures
# ----------

my %signatures = (
	clari_export => [
		q{forecast_id text, time_period text DEFAULT NULL::text, options jsonb DEFAULT '{}'::jsonb, server name DEFAULT 'clari'::name},
		'jsonb'
	],
	clari_export_activity     => [ q{options jsonb, server name DEFAULT 'clari'::name},                      'jsonb' ],
	clari_export_audit_events => [ q{options jsonb DEFAULT '{}'::jsonb, server name DEFAULT 'clari'::name}, 'jsonb' ],
	clari_export_submit       => [
		q{forecast_id text, time_period text DEFAULT NULL::text, options jsonb DEFAULT '{}'::jsonb, server name DEFAULT 'clari'::name},
		'text'
	],
	clari_export_status => [ q{job_id text, server name DEFAULT 'clari'::name}, 'jsonb' ],
	clari_export_poll   => [
		q{job_id text, max_attempts integer DEFAULT NULL::integer, base_delay interval DEFAULT NULL::interval, max_delay interval DEFAULT NULL::interval, server name DEFAULT 'clari'::name},
		'jsonb'
	],
	clari_export_result => [ q{job_id text, server name DEFAULT 'clari'::name}, 'jsonb' ],
	clari_export_cancel => [ q{job_id text, server name DEFAULT 'clari'::name}, 'text' ],
	clari_export_all    => [
		q{forecast_id text, time_periods text[], options jsonb DEFAULT '{}'::jsonb, delay_between interval DEFAULT NULL::interval, server name DEFAULT 'clari'::name},
		'TABLE(time_period text, job_id text, status text, result jsonb, error text)'
	],
	clari_export_jobs => [
		q{server name DEFAULT 'clari'::name},
		'TABLE(job_id text, module text, title text, status text, file_name text, file_type text, currency text, '
		  . 'start_time timestamp with time zone, end_time timestamp with time zone, expired_time timestamp with time zone)'
	],
	clari_export_limits => [
		q{server name DEFAULT 'clari'::name},
		'TABLE(concurrent_limit integer, available_concurrent_limit integer, monthly_quota integer, '
		  . 'available_monthly_quota integer, running_job_ids text[], submitted_job_ids text[])'
	]);

for my $name (sort keys %signatures)
{
	my ($arguments, $result) = @{ $signatures{$name} };
	my $first = (split / /, $arguments)[0];
	my $found = $session->value(
		qq{SELECT pg_get_function_arguments(oid) || ' -> ' || pg_get_function_result(oid) || ' ' || provolatile::text
		   FROM pg_proc WHERE proname = '$name' AND proargnames[1] = '$first'});
	is($found, "$arguments -> $result v", "the signature of $name");
}

# ----------
# Calls: what each function looks like in a statement
# ----------

# The job ids are put in by call().
my %calls = (
	export   => q{SELECT clari_export('net_arr', '2026_Q2') ? 'entries'},
	activity => q{SELECT clari_export_activity('{}') ? 'activities'},
	audit    => q{SELECT clari_export_audit_events() ? 'items'},
	submit   => q{SELECT clari_export_submit('net_arr', '2026_Q2')},
	status   => q{SELECT clari_export_status('<done>')->>'status'},
	poll     => q{SELECT clari_export_poll('<done>')->>'status'},
	result   => q{SELECT clari_export_result('<done>') ? 'entries'},
	cancel   => q{SELECT clari_export_cancel('<running>')},
	jobs     => q{SELECT count(*) FROM clari_export_jobs()},
	limits   => q{SELECT monthly_quota FROM clari_export_limits()});
my @all_calls   = sort keys %calls;
my @submissions = qw(export activity audit submit);
my @about_a_job = qw(status poll result cancel);
my %job;

# Forget everything, and start the two jobs that the calls are about.
sub reset_sim
{
	$sim->reset($_[0]);
	%job = (
		done    => $sim->start_job(time_period => '2026_Q2'),
		running => $sim->start_job(time_period => '2026_Q1', plan => { duration_ms => LONG_MS }));
	return;
}

sub call
{
	my ($name) = @_;
	return $calls{$name} =~ s/<(\w+)>/$job{$1}/r;
}

sub asked_for
{
	my ($name) = @_;
	return $name eq 'cancel' ? $job{running} : $job{done};
}

reset_sim;
my %results = (
	export   => 't', activity => 't',    audit  => 't',
	status   => 'DONE', poll => 'DONE', result => 't', cancel => 'ABORTED',
	jobs     => '5', limits => '1000');
for my $name (qw(export activity audit status poll result cancel jobs limits))
{
	is($session->run(call($name))->{rows}, $results{$name}, "$name does what it says");
}
like($session->value(call('submit')), qr/^[0-9a-f]{24}$/, 'submit gives the job id');

# ----------
# What goes wrong, and what each function makes of it
# ----------

my @faults = (
	{
		name     => 'HTTP 401',
		do       => { status => 401 },
		sqlstate => 'RC001',
		detail   => qr/HTTP 401: Invalid authentication credentials/,
		hint     => qr/ALTER USER MAPPING/,
	},
	{
		name     => 'HTTP 403',
		do       => { status => 403 },
		sqlstate => 'RC001',
		detail   => qr/HTTP 403, code "forbidden"/,
		hint     => qr/administrator/,
	},
	{
		name     => 'HTTP 400 with a whole error body',
		do       => { status => 400 },
		sqlstate => 'RC002',
		detail   => qr/HTTP 400, code "bad_request": Bad request/,
	},
	{
		name     => 'HTTP 400 with a message only',
		do       => { status => 400, body => { message => 'Nothing doing' } },
		sqlstate => 'RC002',
		detail   => qr/HTTP 400: Nothing doing/,
	},
	{
		name     => 'HTTP 400 with a list of errors',
		do       => {
			status => 400,
			body   => { errors => [ { status => 400, code => 'nope', message => 'Not like this', details => undef } ] }
		},
		sqlstate => 'RC002',
		detail   => qr/HTTP 400, code "nope": Not like this/,
	},
	{
		name     => 'HTTP 404 with an HTML page',
		do       => { status => 404, html => \1 },
		sqlstate => 'RC002',
		detail   => qr/HTTP 404\./,
	},
	{
		name     => 'a redirect',
		do       => { redirect => 'http://127.0.0.1:1/elsewhere' },
		sqlstate => 'RC002',
		detail   => qr/HTTP 302/,
		hint     => qr/Redirects are not followed/,
	},
	{
		name     => 'HTTP 429',
		do       => { status => 429 },
		sqlstate => 'RC003',
		detail   => qr/HTTP 429/,
	},
	{
		name     => 'HTTP 429 with an HTML page',
		do       => { status => 429, html => \1, headers => { 'Retry-After' => '0.01' } },
		sqlstate => 'RC003',
		detail   => qr/HTTP 429/,
	},
	{
		name     => 'HTTP 500',
		do       => { status => 500 },
		sqlstate => 'RC009',
		detail   => qr/HTTP 500, code "SWW": Something went wrong/,
	},
	{
		name     => 'HTTP 503 without a body',
		do       => { status => 503, empty => \1 },
		sqlstate => 'RC009',
		detail   => qr/HTTP 503/,
	},
	{
		name     => 'HTTP 502 with an HTML page',
		do       => { html => \1 },
		sqlstate => 'RC009',
		detail   => qr/HTTP 502/,
	},
	{
		name     => 'a reset connection',
		do       => { reset => \1 },
		sqlstate => 'RC009',
	},
	{
		name     => 'a closed connection',
		do       => { close => \1 },
		sqlstate => 'RC009',
	},
	{
		name     => 'no reply',
		do       => { hang => \1 },
		options  => { request_timeout => '60 ms' },
		sqlstate => 'RC009',
		detail   => qr/no reply within 0\.060 s/,
	});

# Requests that an error may take: a function gives up, and asks no more than it may.
sub check_requests
{
	my ($name, $fault, $label) = @_;
	my @log = $sim->log;
	cmp_ok(scalar @log, '<=', ATTEMPTS, "$label: requests");
	is(scalar @log, 1, "$label: one request") if $name eq 'status';
	is(scalar(grep { $_->{status} && $_->{status} < 300 && $_->{method} eq 'POST' } @log), 0, "$label: nothing submitted");
	return;
}

# What a 429 taught the lane is not the next test's matter.
sub release
{
	my ($fault) = @_;
	$test->superuser->value('SELECT clari_export_release()') if $fault =~ /429|rate limited/;
	return;
}

sub check_fault
{
	my ($name, $fault) = @_;
	my $label = "$name, $fault->{name}";
	reset_sim;
	$sim->rules({ times => FOREVER, do => $fault->{do} });
	my $outcome = $session->fails(call($name), $fault->{sqlstate}, $label);
	like($outcome->{detail}, $fault->{detail} || qr/./, "$label: DETAIL");
	like($outcome->{hint},   $fault->{hint}   || qr/./, "$label: HINT");
	like($outcome->{detail}, qr/${\asked_for($name)}/, "$label: the job in DETAIL") if grep { $_ eq $name } @about_a_job;
	check_requests($name, $fault, $label);
	release($fault->{name});
	return;
}

for my $fault (@faults)
{
	my %options = %{ $fault->{options} || {} };
	$test->set_options('clari', %options) if %options;
	check_fault($_, $fault) for @all_calls;
	$test->set_options('clari', map { $_ => $ClariTest::FAST_OPTIONS{$_} } keys %options) if %options;
}

# ----------
# Replies of status 200 that are not what they should be: all but submissions
# ----------

my @bad_replies = (
	[ 'a truncated body',          { truncate             => 9 } ],
	[ 'a body that ends in peace', { truncate => 9, drop_headers => ['Content-Length'] } ],
	[ 'malformed JSON',            { body_text            => '{"status": "DONE", ' } ],
	[ 'trailing characters',       { body_text            => '{"status": "DONE", "jobs": {}}}' } ],
	[ 'an HTML page',              { html                 => \1, status => 200 } ],
	[ 'an empty body',             { empty                => \1 } ],
	[ 'a false Content-Encoding',  { content_encoding_lie => \1 } ]);

for my $reply (@bad_replies)
{
	my ($what, $do) = @$reply;
	for my $name (qw(status poll result cancel jobs limits))
	{
		reset_sim;
		$sim->rules({ times => FOREVER, do => $do });
		my $outcome = $session->fails(call($name), 'RC008', "$name, $what");
		like($outcome->{detail}, qr/./, "$name, $what: DETAIL");
		like($outcome->{detail}, qr/${\asked_for($name)}/, "$name, $what: the job in DETAIL")
		  if grep { $_ eq $name } @about_a_job;
		is(scalar $sim->log, 1, "$name, $what: one request") if $name eq 'status';
	}
}

# A reply to a submission that cannot be read says nothing about the submission: see submission.pl. When the list of
# jobs cannot be read either, it stays unknown.
for my $name (@submissions)
{
	reset_sim;
	$sim->rules({ times => FOREVER, do => { body_text => '{"jobI' } });
	my $outcome = $session->fails(call($name), 'RC011', "$name, malformed JSON");
	like($outcome->{hint}, qr/public\.clari_export_jobs\('clari'::name\)/, "$name, malformed JSON: HINT");
	is(scalar $sim->log(method => 'POST'), 1, "$name, malformed JSON: submitted once");
}

# ----------
# Sizes
# ----------

for my $case ([ 'oversized', { oversize => 2_000_000 } ], [ 'a gzip bomb', { gzip_bomb => 50_000_000 } ])
{
	my ($what, $do) = @$case;
	for my $name (qw(export result activity audit))
	{
		reset_sim;
		$sim->rules({ match => { path => '/results$' }, times => FOREVER, do => $do });
		my $outcome = $session->fails(call($name), 'RC008', "$name, $what");
		like($outcome->{detail}, qr/524288 bytes/, "$name, $what: DETAIL");
		like($outcome->{hint}, qr/max_result_size/, "$name, $what: HINT");
		is(scalar $sim->log(path => qr/results/), 1, "$name, $what: fetched once");
	}
}

reset_sim;
$sim->rules({ do => { gzip_bomb => 100_000_000 } });
$session->fails(call('jobs'), 'RC008', 'jobs, a gzip bomb');

reset_sim;
my ($head, $tail) = ('{"entries": [], "x": "', '"}');
$sim->jobs({ result_text => $head . 'x' x ($_ - length "$head$tail") . $tail }) for 512 * 1024, 512 * 1024 + 1;
is($session->run(q{SELECT length(clari_export('net_arr')::text)})->{rows}, 512 * 1024, 'a result of just max_result_size');
$session->fails(q{SELECT clari_export('net_arr')}, 'RC008', 'a result of one byte more');

# ----------
# Errors at one step of an export
# ----------

# Returns what came of it and the id of the only job.
sub fails_after_submission
{
	my ($sql, $sqlstate, $label) = @_;
	my $outcome = $session->fails($sql, $sqlstate, $label);
	my @posts   = $sim->log(method => 'POST', status => qr/^20/);
	is(scalar @posts, 1, "$label: one submission");
	my $job = @posts ? $posts[0]{job_id} : 'none';
	like($outcome->{detail}, qr/$job/, "$label: the job in DETAIL");
	return ($outcome, $job);
}

my %export_of = (
	export   => q{SELECT clari_export('net_arr', '2026_Q2')},
	activity => q{SELECT clari_export_activity('{}')},
	audit    => q{SELECT clari_export_audit_events()});

my @later_faults = (
	[ 'polls refused with 401',  '^/export/jobs/\w+$', { status => 401 },       'RC001' ],
	[ 'polls refused with 403',  '^/export/jobs/\w+$', { status => 403 },       'RC001' ],
	[ 'polls refused with 400',  '^/export/jobs/\w+$', { status => 400 },       'RC002' ],
	[ 'polls rate limited',      '^/export/jobs/\w+$', { status => 429 },       'RC003' ],
	[ 'polls failing with 500',  '^/export/jobs/\w+$', { status => 500 },       'RC009' ],
	[ 'polls reset',             '^/export/jobs/\w+$', { reset => \1 },         'RC009' ],
	[ 'polls unreadable',        '^/export/jobs/\w+$', { body_text => '{' },    'RC008' ],
	[ 'polls of no status',      '^/export/jobs/\w+$', { body => {} },          'RC008' ],
	[ 'fetches refused',         '/results$',          { status => 403 },       'RC001' ],
	[ 'fetches rate limited',    '/results$',          { status => 429 },       'RC003' ],
	[ 'fetches failing',         '/results$',          { status => 503 },       'RC009' ],
	[ 'fetches reset',           '/results$',          { reset => \1 },         'RC009' ],
	[ 'fetches truncated',       '/results$',          { truncate => 30 },      'RC008' ],
	[ 'fetches malformed',       '/results$',          { body_text => '[1, ' }, 'RC008' ],
	[ 'fetches of broken CSV',   '/results$',          { body_text => "Field,Data Value\nCommit\n" }, 'RC008' ],
	[ 'fetches empty',           '/results$',          { empty => \1 },         'RC008' ],
	[ 'fetches oversized',       '/results$',          { oversize => 2**21 },   'RC008' ],
	[ 'fetches redirected',      '/results$', { redirect => 'http://127.0.0.1:1/' }, 'RC002' ]);

for my $case (@later_faults)
{
	my ($what, $path, $do, $sqlstate) = @$case;
	for my $name (sort keys %export_of)
	{
		$sim->reset;
		$sim->rules({ match => { method => 'GET', path => $path }, times => FOREVER, do => $do });
		my ($outcome, $job) = fails_after_submission($export_of{$name}, $sqlstate, "$name, $what");
		like($outcome->{hint}, qr/SELECT public\.clari_export_result\('$job'::text\);/, "$name, $what: the HINT goes on with the job");

		# libcurl repeats a request by itself when the connection that it has kept is dead.
		my $limit = ATTEMPTS + ($do->{reset} ? 1 : 0);
		cmp_ok(scalar $sim->log(path => qr/$path/, method => 'GET'), '<=', $limit, "$name, $what: at most poll_max_attempts");
		release($what);
	}
}

# Each of these passes, and the export ends well.
my @passing_faults = (
	[ 'a 429',                    { status => 429 } ],
	[ 'a 429 with Retry-After',   { status => 429, headers => { 'Retry-After' => '0.05' } } ],
	[ 'a 429 for zero seconds',   { status => 429, headers => { 'Retry-After' => '0' } } ],
	[ 'a 429 of no sense',        { status => 429, headers => { 'Retry-After' => 'soon' } } ],
	[ 'a 429 for a time past',    { status => 429, headers => { 'Retry-After' => 'Sun, 06 Nov 1994 08:49:37 GMT' } } ],
	[ 'a 429 for two times',      { status => 429, headers => { 'Retry-After' => [ '0.01', '0.05' ] } } ],
	[ 'a 429 from the gateway',   { status => 429, html => \1 } ],
	[ 'a 500',                    { status => 500 } ],
	[ 'a 502 from the gateway',   { html   => \1 } ],
	[ 'a reset',                  { reset  => \1 } ],
	[ 'a closed connection',      { close  => \1 } ],
	[ 'a truncated reply',        { truncate => 5 } ]);

for my $case (@passing_faults)
{
	my ($what, $do) = @$case;
	for my $name (qw(export activity audit))
	{
		$sim->reset;
		$sim->rules(map { { match => { method => 'GET', path => $_ }, do => $do } } '^/export/jobs$', '^/export/jobs/\w+$', '/results$');
		my $outcome = $session->run(call($name));
		is($outcome->{rows}, 't', "$name, $what: the export ends well") or diag explain $outcome;
		is($sim->stats->{keys}{'demo-key'}{accepted}, 1, "$name, $what: one submission");
		is(scalar(grep { defined $_->{rule} } $sim->log), 3, "$name, $what: it was met three times");
		release($what);
	}
}

# A refusal of a submission that is over after a while.
$sim->reset;
$sim->rules(
	{ match => { method => 'POST' }, times => 2, do => { status => 400, body => { code => 'export_monthly_quota_reached' } } },
	{ match => { path => '^/admin/limits$' }, times => 2, do => { body => { jobs => { availableConcurrentLimit => 0 } } } });
is($session->run(call('export'))->{rows}, 't', 'a job queue that is full for a moment');
is(scalar $sim->log(path => '/admin/limits'), 5, 'a full job queue is recognized by the limits, and they are asked before each further submission');
is(scalar $sim->log(method => 'POST'), 3, 'which is not sent while they say that there is no place');
is($sim->stats->{keys}{'demo-key'}{accepted}, 1, 'and the export is submitted once');

$sim->reset({ organizations => { acme => { concurrent_limit => 1 } } });
$sim->start_job(plan => { duration_ms => LONG_MS });
for my $name (@submissions)
{
	my $outcome = $session->fails(call($name), 'RC004', "$name, a full job queue");
	like($outcome->{hint}, qr/Nothing was submitted/, "$name, a full job queue: HINT");
}
is(scalar $sim->log(path => '/admin/limits'), 4 * ATTEMPTS, 'a full job queue is looked at poll_max_attempts times');
is(scalar $sim->log(method => 'POST'), 4, 'and submitted to once');

$sim->reset({ organizations => { acme => { monthly_quota => 1 } } });
$sim->start_job;
for my $name (@submissions)
{
	my $outcome = $session->fails(call($name), 'RC005', "$name, a used-up quota");
	like($outcome->{detail}, qr/0 of 1 exports/, "$name, a used-up quota: DETAIL");
	like($outcome->{hint}, qr/Nothing was submitted/, "$name, a used-up quota: HINT");
}
is(scalar $sim->log(method => 'POST'), 4, 'a used-up quota is an error at once');

# Refusals of Clari's own.
$sim->reset({ keys => { 'demo-key' => { forecasts => ['net_arr'] } } });
for my $function (qw(clari_export clari_export_submit))
{
	my $outcome = $session->fails("SELECT $function('nonsense')", 'RC002', "$function of no forecast");
	like($outcome->{detail}, qr/code "no_such_forecast_config": No such forecast: nonsense/, "$function of no forecast: DETAIL");
	like($outcome->{hint}, qr/no forecast with the id 'nonsense'/, "$function of no forecast: HINT");
	$outcome = $session->fails("SELECT $function('services')", 'RC001', "$function of another's forecast");
	like($outcome->{detail}, qr/no_optin/, "$function of another's forecast: DETAIL");
}
for my $function (qw(status poll result cancel))
{
	my $outcome = $session->fails("SELECT clari_export_$function('none')", 'RC002', "$function of no job");
	like($outcome->{detail}, qr/none.*invalid_jobId/, "$function of no job: DETAIL");
	like($outcome->{hint}, qr/clari_export_jobs/, "$function of no job: HINT");
}

# ----------
# How jobs end
# ----------

for my $status (qw(FAILED CANCELLED ABORTED))
{
	for my $name (sort keys %export_of)
	{
		$sim->reset({ job => { outcome => $status, scheduled_ms => 15 } });
		my ($outcome) = fails_after_submission($export_of{$name}, 'RC006', "$name, $status");
		like($outcome->{message}, qr/$status/, "$name, $status: message");
		like($outcome->{hint}, qr/new export/, "$name, $status: HINT");
		is(scalar $sim->log(path => qr/results/), 0, "$name, $status: nothing fetched");
	}
	my $job = $sim->start_job(plan => { outcome => $status });
	is($session->value("SELECT clari_export_poll('$job')->>'status'"),   $status, "$status is a value for poll");
	is($session->value("SELECT clari_export_status('$job')->>'status'"), $status, "$status is a value for status");
	is($session->value("SELECT clari_export_cancel('$job')"), $status, "$status is the answer to a late cancel");
	$session->fails("SELECT clari_export_result('$job')", 'RC002', "the result of a job that is $status");
}

for my $case (
	[ 'the older DONE',         { outcome => 'COMPLETED' } ],
	[ 'wrapped job objects',    { wrapped => \1, wrapped_in_list => \1, duration_ms => 15 } ],
	[ 'a slow start',           { scheduled_ms => 20, duration_ms => 20 } ])
{
	my ($what, $plan) = @$case;
	$sim->reset({ job => $plan });
	is($session->value(call($_)), 't', "$_, $what") for qw(export activity audit);
}

$sim->reset({ job => { wrapped => \1, wrapped_in_list => \1 } });
my $wrapped = $sim->start_job;
is($session->value("SELECT clari_export_status('$wrapped')->>'jobId'"), $wrapped, 'status unwraps a job object');
is($session->value("SELECT clari_export_poll('$wrapped')->>'jobId'"),   $wrapped, 'poll unwraps a job object');
is($session->value(q{SELECT job_id FROM clari_export_jobs()}),          $wrapped, 'jobs unwraps job objects');

for my $name (sort keys %export_of)
{
	$sim->reset;
	$sim->rules({ match => { path => '^/export/jobs/\w+$' }, times => 3, do => { body => { status => 'WARMING_UP' } } });
	my $outcome = $session->run($export_of{$name});
	my @warnings = grep { $_->{severity} eq 'WARNING' } @{ $outcome->{told} };
	is($outcome->{sqlstate}, undef, "$name, an unknown status: no error");
	is(scalar @warnings, 1, "$name, an unknown status: one warning");
	like($warnings[0]{message}, qr/WARMING_UP/, "$name, an unknown status: its name");
}
$sim->reset;
my $odd = $sim->start_job(plan => { statuses => [ [ 0, 'ODD' ] ] });
my $odd_poll = $session->fails("SELECT clari_export_poll('$odd', 3)", 'RC007', 'poll, an unknown status without end');
is(scalar(grep { $_->{severity} eq 'WARNING' } @{ $odd_poll->{told} }), 1, 'poll, an unknown status: one warning');
my $odd_status = $session->run("SELECT clari_export_status('$odd')->>'status'");
is($odd_status->{rows}, 'ODD', 'status, an unknown status is a value');
is(scalar(grep { $_->{severity} eq 'WARNING' } @{ $odd_status->{told} }), 1, 'status, an unknown status: one warning');

# A job that does not end.
$sim->reset({ job => { duration_ms => LONG_MS } });
for my $name (sort keys %export_of)
{
	my $before = $sim->log(path => qr{^/export/jobs/\w+$});
	my $outcome = $session->fails($export_of{$name}, 'RC007', "$name, a job without end");
	like($outcome->{message}, qr/${\ATTEMPTS} status requests/, "$name, a job without end: message");
	like($outcome->{detail}, qr/Job \w{24}.*STARTED/, "$name, a job without end: DETAIL");
	like($outcome->{hint}, qr/SELECT public\.clari_export_poll\('\w{24}'::text\);/, "$name, a job without end: HINT");
	is($sim->log(path => qr{^/export/jobs/\w+$}) - $before, ATTEMPTS, "$name, a job without end: poll_max_attempts");
}

# ----------
# Results
# ----------

for my $form (1, 2)
{
	$sim->reset({ job => { form => $form } });
	is($session->value(q{SELECT jsonb_typeof(clari_export('net_arr', '2026_Q2'))}),
		$form == 1 ? 'object' : 'array', "a result in form $form");

	for my $case ([ q{'2026_Q2'}, 'given' ], [ q{NULL, '{"timePeriod": "2026_Q2"}'}, 'given in the options' ])
	{
		my ($arguments, $how) = @$case;
		$sim->jobs({ form => $form, period => '2026_Q3' });
		my ($outcome, $job) = ($session->fails("SELECT clari_export('net_arr', $arguments)", 'RC010', "form $form, another period than $how"));
		like($outcome->{message}, qr/2026_Q3 instead of 2026_Q2/, "form $form, another period than $how: message");
		like($outcome->{detail}, qr/Job \w{24}/, "form $form, another period than $how: DETAIL");
		like($outcome->{hint}, qr/SELECT public\.clari_export_result\('\w{24}'::text\);/, "form $form, another period than $how: HINT");
	}
	$session->fails(q{SELECT clari_export('net_arr', '2031_Q1')}, 'RC010', "form $form, a period that Clari does not know");
	is($session->run(q{SELECT clari_export('net_arr') IS NOT NULL})->{rows}, 't', "form $form, no period asked for");
}

$sim->reset({ job => { truncated => \1 } });
my $truncated = $session->run(call('export'));
is($truncated->{rows}, 't', 'a result that Clari cut is a result');
like($truncated->{told}[0]{message}, qr/truncated the result of job \w{24}/, 'and a warning');

is( $session->value(q{SELECT string_agg(value->>'jobId' || (value->>'title'), '') IS NOT NULL FROM clari_export_status(clari_export_submit('net_arr')) value}),
	't', 'the job object comes whole');
is( $session->value(q{SELECT module || ' ' || title || ' ' || status || ' ' || (file_name ~ '^clari_export_forecast_net_arr_2026_Q3') || ' '
		|| file_type || ' ' || currency || ' ' || (end_time >= start_time) || ' ' || (expired_time > end_time + interval '29 days')
		|| ' ' || (abs(extract(epoch FROM start_time - now())) < 600) FROM clari_export_jobs() LIMIT 1}),
	'FORECAST Forecast Export DONE true JSON USD true true true',
	'the columns of clari_export_jobs');
my $running = $sim->start_job(plan => { duration_ms => LONG_MS });
is( $session->value(q{SELECT concat_ws('|', concurrent_limit, available_concurrent_limit, monthly_quota, available_monthly_quota,
		running_job_ids, cardinality(submitted_job_ids)) FROM clari_export_limits()}),
	"3|2|1000|997|{$running}|3", 'the columns of clari_export_limits');
is( $session->value(qq{SELECT start_time IS NOT NULL AND end_time IS NULL FROM clari_export_jobs() WHERE job_id = '$running'}),
	't', 'a running job has no end');

# What is sent: Clari's own names, and the path escaped.
$sim->reset({ forecasts => ["a/b \x{fc}?"] });
$session->value(q{SELECT clari_export('a/b ü?', '2026_Q1', '{"currency": "EUR", "includeHistorical": true, "typesToExport": ["quota"]}')});
my ($post) = $sim->log(method => 'POST');
is($post->{path}, '/export/forecast/a%2Fb%20%C3%BC%3F', 'a forecast id is escaped');
is_deeply(
	[ map { $post->{body}{$_} } qw(timePeriod currency typesToExport) ],
	[ '2026_Q1', 'EUR', ['quota'] ],
	'options and period are the body');

# ----------
# clari_export_all
# ----------

my $ALL = q{SELECT time_period, job_id IS NOT NULL AS job, status, result IS NOT NULL AS result, coalesce(error, '-')
	FROM clari_export_all('net_arr', ARRAY['2026_Q1', '2026_Q2', '2026_Q3'])};

$sim->reset;
is($session->run($ALL)->{rows}, "2026_Q1|t|DONE|t|-\n2026_Q2|t|DONE|t|-\n2026_Q3|t|DONE|t|-", 'all: every period');
is($sim->stats->{keys}{'demo-key'}{max_running}, 1, 'all: one after the other');

$sim->reset;
$sim->jobs({}, { outcome => 'FAILED' });
like($session->run($ALL)->{rows}, qr/^2026_Q1\|t\|DONE\|t\|-\n2026_Q2\|t\|FAILED\|f\|Clari's export job ended with status FAILED.*\n2026_Q3\|t\|DONE\|t\|-$/,
	'all: a failed period is a row, and the rest go on');

$sim->reset;
$sim->jobs({}, {}, { period => '2026_Q1' });
like($session->run($ALL)->{rows}, qr/\n2026_Q3\|t\|DONE\|f\|Clari exported time period 2026_Q1 instead of 2026_Q3.*$/, 'all: another period than asked for is an error');

for my $fault (@faults)
{
	next if $fault->{options};
	$sim->reset;
	$sim->rules({ match => { method => 'POST' }, skip => 1, times => $fault->{sqlstate} =~ /^RC00[39]$/ ? ATTEMPTS : 1, do => $fault->{do} });
	my @rows = split /\n/, $session->run($ALL)->{rows};
	is(scalar @rows, 3, "all, $fault->{name}: every period is a row");
	like($rows[0], qr/^2026_Q1\|t\|DONE\|t\|-$/, "all, $fault->{name}: the one before");
	like($rows[1], qr/^2026_Q2\|f\|\|f\|.*$/, "all, $fault->{name}: the one that failed");
}

$sim->reset;
is($session->run(q{SELECT * FROM clari_export_all('net_arr', '{}')})->{rows}, '', 'all: no period');
is($session->run(q{SELECT time_period IS NULL, result IS NOT NULL FROM clari_export_all('net_arr', ARRAY[NULL])})->{rows}, 't|t', 'all: the current quarter');

# ----------
# Arguments
# ----------

$sim->reset;
my @refused = (
	[ q{clari_export(NULL)},                                              '22004' ],
	[ q{clari_export('')},                                                '22023' ],
	[ q{clari_export('net_arr', '')},                                     '22023' ],
	[ q{clari_export(repeat('x', 600))},                                  '22023' ],
	[ q{clari_export('net_arr', options => '[]')},                        '22023' ],
	[ q{clari_export('net_arr', options => '"x"')},                       '22023' ],
	[ q{clari_export('net_arr', options => '{"exportFormat": "XLSX"}')},   '0A000' ],
	[ q{clari_export_submit('net_arr', options => '{"exportFormat": 1}')}, '0A000' ],
	[ q{clari_export_activity('{"exportFormat": "CSV"}')},                '0A000' ],
	[ q{clari_export_audit_events('{"exportFormat": "CSV"}')},            '0A000' ],
	[ q{clari_export('net_arr', '2026_Q1', '{"timePeriod": "2026_Q2"}')}, '22023' ],
	[ q{clari_export('net_arr', '2026_Q1', '{"timePeriod": 5}')},         '22023' ],
	[ q{clari_export_all('net_arr', NULL)},                               '22004' ],
	[ q{clari_export_all('net_arr', ARRAY['2026_Q1'], delay_between => '-1 s')}, '22023' ],
	[ q{clari_export_poll('x', 0)},                                       '22023' ],
	[ q{clari_export_poll('x', base_delay => '-1 s')},                    '22023' ],
	[ q{clari_export_poll('x', max_delay => '2 days')},                   '22023' ],
	[ q{clari_export_poll('')},                                           '22023' ],
	[ q{clari_export_status(NULL)},                                       '22004' ],
	[ q{clari_export_result(repeat('x', 1000))},                          '22023' ],
	[ q{clari_export_status('x', 'nowhere')},                             '42704' ],
	[ q{clari_export_jobs(NULL)},                                         '22004' ]);
$session->fails("SELECT $_->[0]", $_->[1], $_->[0]) for @refused;
is(scalar $sim->log, 0, 'what is refused here sends nothing');

is($session->value(q{SELECT clari_export('net_arr', '2026_Q1', '{"timePeriod": "2026_Q1", "exportFormat": "JSON"}') ? 'entries'}), 't',
	'options that say the same as the arguments are accepted');

# The CSV of a forecast has the same rows as its flat form, and so has one whose job is known by its id alone.
my $flat = q{SELECT md5(string_agg(r::text, ' ' ORDER BY r::text)) FROM clari_export_rows(%s) AS r};
$sim->reset;
$sim->jobs(({ form => 2 }));
my $rows_of_json = $session->value(sprintf $flat, q{clari_export('net_arr', '2026_Q1')});
is($session->value(sprintf $flat, q{clari_export('net_arr', '2026_Q1', '{"exportFormat": "CSV"}')}), $rows_of_json, 'CSV has the same rows');
is($session->value(sprintf $flat, q{clari_export_result((SELECT job_id FROM clari_export_jobs() WHERE file_type = 'CSV'))}), $rows_of_json,
	'and those of a job that is known by its id alone');
$sim->rules({ match => { path => '/results$' }, times => FOREVER, do => { body_text => "Field,Data Value\nCommit,5\nCommit\n" } });
like($session->fails(q{SELECT clari_export('net_arr', '2026_Q1', '{"exportFormat": "CSV"}')}, 'RC008', 'CSV with a field too few')->{detail},
	qr/line 3/, 'CSV with a field too few: which line');

# ----------
# The session is as good as new
# ----------

$sim->reset;
is( $session->value(q{SELECT count(*) FROM pg_proc, LATERAL (SELECT 1) x WHERE proname = 'clari_export'}), 1, 'the session works');
$session->run('BEGIN; SAVEPOINT s');
$sim->rules({ match => { method => 'POST' }, do => { status => 400 } });
$session->fails(call('export'), 'RC002', 'an error in a subtransaction');
$session->run('ROLLBACK TO s');
is($session->value(call('export')), 't', 'and an export after it');
$session->run('COMMIT');
is($session->value(q{SELECT count(*) FROM generate_series(1, 3), LATERAL (SELECT clari_export('net_arr')) x}), 3, 'several in one statement');

done_testing();
