# Whatever Clari, or a gateway in its place, sends: a function fails with an error of ours or makes sense of it, so does
# the queue, the worker stays the same process and small, and what is stored, dumped and logged is fit for it.

use strict;
use warnings;

use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

use ClariTest;

use constant {
	KEY         => 'S3cr3t-0f-th3-wh0l3-t3am',
	FOREVER     => -1,
	PEAK_MB     => 150,
	DUMP_EVERY  => 16,
	MB          => 1_000_000,
	GB          => 1_000_000_000,
	OK          => "HTTP/1.1 200 OK\r\n",
	JSON        => "Content-Type: application/json\r\n",
};

my $test = ClariTest->new(
	'hostile_replies',
	loopback => 1,
	conf     => "shared_buffers = '16MB'\nlog_error_verbosity = verbose\nlog_min_messages = debug1\n",
	sim      => { config => { keys => { KEY, { organization => 'acme', user => 'u1' } } } });
my ($node, $sim, $session, $super) = ($test->node, $test->sim, $test->session, $test->superuser);
$test->create_server(
	'hostile',
	api_key         => KEY,
	max_result_size => '4MB',
	request_timeout => '500 ms',
	quota_reserve   => 1);
my $elsewhere = ClariSim->start;

# ----------
# What is sent
# ----------

sub text  { my ($text) = @_; return { body_base64 => encode_base64($text, '') } }
sub raw   { return { raw => [@_] } }
sub whole { my ($length, @body) = @_; return raw(OK . JSON . "Content-Length: $length\r\n\r\n", @body) }
sub until_close { return raw(OK . JSON . "\r\n", @_) }
sub chunked     { return raw(OK . JSON . "Transfer-Encoding: chunked\r\n\r\n", @_) }

# A job that is done, with members of one's own, each as JSON.
sub job
{
	my (%own) = @_;
	my %job = (jobId => '"j1"', status => '"DONE"', %own);
	return text('{' . join(',', map { qq{"$_":$job{$_}} } sort keys %job) . '}');
}

sub list { my ($do) = job(@_); return { body_base64 => encode_base64('[' . decode($do) . ']', '') } }
sub decode { return MIME::Base64::decode_base64($_[0]{body_base64}) }

my $nasty  = '"\u0000\u0007\u001b[31m\u202e\udead\n\r\t' . "\xff\xfe\xc0\x80\x01" . '"';
my $shell  = q{"$(touch /tmp/x); `id` ' || \" \\\\"};
my $secret = '"' . KEY . '"';
my $spelt  = '"' . join('', map { sprintf '\u%04x', ord } split //, KEY) . '"';

sub body_file
{
	my ($name, @pieces) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$name";
	PostgreSQL::Test::Utils::append_to_file($file, join '', @pieces);
	return { body_file => $file };
}

sub jobs_of
{
	my ($n, $time) = @_;
	return '[' . join(',', map { sprintf '{"jobId":"a%023d","status":"DONE","module":"FORECAST","startTime":%d}', $_, $time } 1 .. $n) . ']';
}

# Texts that no index holds, and no compression makes short.
sub of_long_ids
{
	my ($text) = @_;
	return $text =~ s/"ID"/'"' . join('', map { chr(ord('0') + int(rand(10))) . chr(ord('a') + int(rand(26))) } 1 .. 10_000) . '"'/ger;
}

my $many_jobs = body_file('many', jobs_of(20_000, 1_767_225_600_000));
my $full_list = body_file('full', jobs_of(150_000, 1_767_225_600_000));

# What; in reply to what; it; the function's SQLSTATE ('' where it makes sense of it, several where versions of libcurl differ); how the queue ends when that was
# sent three times.
my %request = (
	job    => { method => 'GET', path => '^/export/jobs/\w+$' },
	list   => { path => '^/export/jobs$' },
	submit => { method => 'POST' },
	result => { path => '/results$' },
	limits => { path => '/admin/limits$' });
my %call = (
	job    => q{clari_export_status('%s', 'hostile')},
	list   => q{clari_export_jobs('hostile')},
	submit => q{clari_export_submit('net_arr', server => 'hostile')},
	result => q{clari_export_result('%s', 'hostile')},
	limits => q{clari_export_limits('hostile')});
my @cases = (
	[ 'startTime 10^16',                    job => job(startTime => '10000000000000000'), '', 'done' ],
	[ 'startTime negative',                 job => job(startTime => '-62135596800001'), '', 'done' ],
	[ 'startTime fractional',               job => job(startTime => '1767225600000.75'), '', 'done' ],
	[ 'startTime of 400 digits',            job => job(startTime => '9' x 400), '', 'done' ],
	[ 'startTime 1e400',                    job => job(startTime => '1e400'), '', 'done' ],
	[ 'startTime a text',                   job => job(startTime => '"soon"', endTime => '"2026-01-01"'), '', 'done' ],
	[ 'startTime an array',                 job => job(startTime => '[1]', endTime => '{}'), '', 'done' ],
	[ 'endTime before time began',          job => job(startTime => 'null', endTime => '-9223372036854775808'), '', 'done' ],
	[ 'status that is no text',             job => job(status => $nasty), '', 'done' ],
	[ 'status for a shell',                 job => job(status => $shell), '', 'done' ],
	[ 'status of 10 MB',                    job => whole(10 * MB + 13, '{"status":"', [ 'x', 10 * MB ], '"}'), 'RC008', 'done' ],
	[ 'status a number',                    job => job(status => '17'), '', 'done' ],
	[ 'status twice',                       job => text('{"jobId":"j1","status":"STARTED","status":"DONE"}'), '', 'done' ],
	[ 'status the key',                     job => job(status => $secret), '', 'done' ],
	[ 'status the key, spelt out',          job => job(status => $spelt), '', 'done' ],
	[ 'the key as a name',                  job => job(KEY, '1'), '', 'done' ],
	[ 'title, file name that are no text',  job => job(title => $nasty, fileName => $nasty, module => $nasty), '', 'done' ],
	[ 'title, file name the key',           job => job(title => $secret, fileName => $spelt, currency => $secret), '', 'done' ],
	[ 'another job',                        job => job(jobId => '"another"'), '', 'done' ],
	[ 'a job of 900 kB',                    job => whole(900_021, '{"status":"DONE","x":"', [ 'x', 899_997 ], '"}'), '', 'done' ],
	[ 'a job in a job',                     job => text('{"job":' x 1000 . '1' . '}' x 1000), 'RC008', 'done' ],
	[ '10^6 brackets',                      job => whole(MB, [ '[', MB ]), 'RC008', 'done' ],
	[ '10^6 brackets, closed',              job => whole(MB, [ '[', MB / 2 ], [ ']', MB / 2 ]), 'RC008', 'done' ],
	[ '10^5 objects in one another',        job => whole(6 * 10**5 + 1, [ '{"a":', 10**5 ], '1', [ '}', 10**5 ]), 'RC008', 'done' ],
	[ 'a gzip bomb',                        job => { gzip_bomb => 2 * GB }, 'RC008', 'done' ],
	[ 'not gzip at all',                    job => { content_encoding_lie => \1 }, 'RC008', 'done' ],
	[ 'HTTP/0.9',                           job => raw('{"jobId":"j1","status":"DONE"}'), 'RC009', 'done' ],
	[ 'HTTP/9.9',                           job => raw("HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\n{}"), 'RC009', 'done' ],
	[ 'nothing but blanks',                 job => raw([ ' ', MB ]), 'RC009', 'done' ],
	[ 'a status of four digits',            job => raw("HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}"), 'RC00[89]', 'done' ],
	[ 'Content-Length too long',            job => whole(1000, '{"status":"DONE"}'), 'RC008', 'done' ],
	[ 'Content-Length too short',           job => raw(OK . "Connection: close\r\nContent-Length: 10\r\n\r\n", '{"status":"DONE"}'), 'RC008', 'done' ],
	[ 'Content-Length 10^18',               job => whole('1000000000000000000', '{"status":"DONE"}'), 'RC008', 'done' ],
	[ 'Content-Length 10^30',               job => whole('1' . '0' x 30, '{"status":"DONE"}'), '', 'done' ],
	[ 'Content-Length negative',            job => whole(-5, '{"status":"DONE"}'), 'RC008', 'done' ],
	# Some versions of libcurl take the last one, others none.
	[ 'two Content-Lengths',                job => whole("3\r\nContent-Length: 17", '{"status":"DONE"}'), '(?:RC008)?', 'done' ],
	[ 'a chunk of 2^64 bytes',              job => chunked("ffffffffffffffff\r\n{"), 'RC008', 'done' ],
	[ 'a chunk without a size',             job => chunked("zz\r\n{}\r\n0\r\n\r\n"), 'RC008', 'done' ],
	[ 'a chunk that is shorter',            job => chunked("11\r\n{}\r\n0\r\n\r\n"), 'RC008', 'done' ],
	[ 'trailers without end',               job => chunked("2\r\n{}\r\n0\r\n", [ "X: y\r\n", 10 * MB ]), 'RC008', 'done' ],
	[ 'chunks of one byte, 2 million',      job => chunked([ "1\r\n \r\n", 2 * MB ]), 'RC008', 'done' ],
	[ 'a header of 10 MB',                  job => raw(OK . 'X: ', [ 'x', 10 * MB ], "\r\n\r\n{}"), 'RC008', 'done' ],
	[ 'a million headers',                  job => raw(OK, [ "X: y\r\n", MB ], "\r\n{}"), 'RC008', 'done' ],
	[ 'interim replies without end',        job => raw([ "HTTP/1.1 100 Continue\r\n\r\n", MB ]), 'RC008', 'done' ],
	[ 'a reason of 1 MB',                   job => raw('HTTP/1.1 200 ', [ 'x', MB ], "\r\n\r\n{}"), 'RC009', 'done' ],
	[ 'a header that is none',              job => raw(OK . "\0\x1b[31m" . KEY . "\r\n\r\n{}"), 'RC008', 'done' ],
	[ 'the key in every header',            job => { status => 500, headers => { Server => KEY, KEY, KEY, 'Content-Type' => KEY } }, 'RC009', 'done' ],
	[ 'a redirect',                         job => { redirect => $elsewhere->base_url . '/export/jobs' }, 'RC002', 'failed RC002' ],
	[ 'a redirect that lasts, to the key',  job => { status => 308, headers => { Location => 'file:///etc/passwd#' . KEY } }, 'RC002', 'failed RC002' ],
	[ 'a request for a password',           job => { status => 401, headers => { 'WWW-Authenticate' => 'Basic realm="x"' } }, 'RC001', 'done' ],
	[ 'switched protocols',                 job => raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", [ "\0", MB ]), 'RC008', 'done' ],
	[ 'an error of 40 MB',                  job => { status => 500, oversize => 40 * MB }, 'RC009', 'done' ],
	[ 'an error that is a bomb',            job => { status => 400, gzip_bomb => 2 * GB }, 'RC002', 'failed RC002' ],
	[ 'an error in words that are no text', job => { status => 400, %{ text(qq({"code":$nasty,"message":$nasty})) } }, 'RC002', 'failed RC002' ],
	[ 'an error in words for a shell',      job => { status => 400, %{ text(qq({"code":$shell,"message":$shell})) } }, 'RC002', 'failed RC002' ],
	[ 'an error with the key',              job => { status => 400, %{ text(qq({"code":$secret,"message":$spelt})) } }, 'RC002', 'failed RC002' ],
	[ 'an error of numbers',                job => { status => 400, %{ text('{"code":1e999,"message":[[]]}') } }, 'RC002', 'failed RC002' ],
	[ 'a job that drips for ever',          job => { drip_ms => 20, %{ until_close([ ' ', 10**5 ]) } }, 'RC008', 'done' ],
	[ 'headers that drip for ever',         job => { drip_ms => 20, %{ raw(OK, [ "X: y\r\n", 10**5 ]) } }, 'RC008', 'done' ],

	[ 'an id that is no text',    submit => text(qq({"jobId":$nasty})), 'RC008', 'failed RC008' ],
	[ 'an id for a shell',        submit => text(qq({"jobId":$shell})), 'RC008', 'failed RC008' ],
	[ 'an id of 10 MB',           submit => whole(10 * MB + 12, '{"jobId":"', [ 'x', 10 * MB ], '"}'), 'RC008', 'failed RC008' ],
	[ 'an id of 200 characters',  submit => text('{"jobId":"' . 'x' x 200 . '"}'), 'RC008', 'failed RC008' ],
	[ 'an id that is a path',     submit => text('{"jobId":"../../admin/limits?x#y"}'), 'RC008', 'failed RC008' ],
	[ 'an id of dots',            submit => text('{"jobId":".."}'), '', 'failed RC002' ],
	[ 'an id the key',            submit => text(qq({"jobId":$secret})), 'RC008', 'failed RC008' ],
	[ 'an id a number',           submit => text('{"jobId":1e5}'), 'RC008', 'failed RC008' ],
	[ 'no id',                    submit => text('{"jobId":null}'), 'RC008', 'failed RC008' ],
	[ 'a refusal of 40 MB',       submit => { status => 400, oversize => 40 * MB }, 'RC002', 'failed RC002' ],
	[ 'a submission redirected',  submit => { redirect => $elsewhere->base_url . '/export/forecast/x', status => 307 }, 'RC002', 'failed RC002' ],

	[ 'a list of nasty jobs',     list => list(title => $nasty, fileName => $nasty, module => $shell, startTime => '1e300'), '', 'done' ],
	[ 'a list of the key',        list => list(title => $secret, fileName => $spelt, status => $secret, jobId => $secret), '', 'done' ],
	[ 'a list of nothing',        list => text('[null,1,"x",[],{},{"jobId":7},{"status":[]}]'), '', 'done' ],
	[ 'a list that is none',      list => text('{"jobs":[]}'), 'RC008', 'done' ],
	[ 'a list of 20,000',         list => $many_jobs, '', 'done' ],
	[ 'a list of 13 MB',          list => $full_list, '', 'done' ],
	[ 'a list of 40 MB',          list => { oversize => 40 * MB }, 'RC008', 'done' ],
	[ 'a list refused in 10 MB',  list => { status => 403, oversize => 10 * MB }, 'RC001', 'done' ],
	[ 'a list that is a bomb',    list => { gzip_bomb => 2 * GB }, 'RC008', 'done' ],
	[ 'brackets for a list',      list => whole(10 * MB, [ '[', 10 * MB ]), 'RC008', 'done' ],
	[ 'a list of 2 million',      list => whole(6 * MB + 3, '[', [ '{},', 2 * MB ], '1]'), '', 'done' ],

	[ 'limits beyond numbers',    limits => text('{"jobs":{"concurrentLimit":1e300,"monthlyQuota":-1e300,"availableMonthlyQuota":99999999999999999999,"availableConcurrentLimit":"3"}}'), '', 'done' ],
	[ 'limits of nasty ids',      limits => text(qq({"jobs":{"availableMonthlyQuota":9,"runningJobIds":[$nasty,$shell,$secret,1,null],"submittedJobIds":{}}})), '', 'done' ],
	[ 'limits of 2^31 jobs',      limits => { oversize => 40 * MB }, 'RC008', 'done' ],

	[ 'a result that is a bomb',       result => { gzip_bomb => 4 * GB }, 'RC008', 'failed RC008' ],
	[ 'a result beyond the limit',     result => { oversize => 5 * MB }, 'RC008', 'failed RC008' ],
	[ 'a result refused in 40 MB',     result => { status => 500, oversize => 40 * MB }, 'RC009', 'done' ],
	[ 'a result that is being made',   result => { status => 202, oversize => 40 * MB }, 'RC008', 'done' ],
	[ 'a result of 10^6 brackets',     result => whole(MB, [ '[', MB / 2 ], [ ']', MB / 2 ]), 'RC008', 'failed RC008' ],
	[ 'a result of nulls',             result => whole(3 * MB + 15, '{"entries":[1', [ ',null', 600_000 ], ']}'), '', 'done' ],
	[ 'a result in UTF-16',            result => text("\xff\xfe[\0]\0"), 'RC008', 'done' ],
	[ 'a result that is no text',      result => text("{\"entries\":[],\"a\":$nasty}"), 'RC008', 'failed RC008' ],
	[ 'a result with a zero',          result => text('{"entries":[],"a":"\u0000"}'), 'RC008', 'failed RC008' ],
	[ 'a result that says the key',    result => text(qq({"code":$secret,"message":$secret})), 'RC008', 'failed RC008' ],
	[ 'a result of huge numbers',      result => text('{"entries":[{"forecastValue":1e130000,"updatedOn":1e300}]}'), '', 'done' ],
	[ 'a number that none can hold',   result => text('{"entries":[],"a":1e999999999}'), 'RC008', 'failed RC008' ],
	[ 'a result of one name',          result => whole(3 * MB + 21, '{"entries":[{', [ '"a":1,', 500_000 ], '"b":1}]}'), '', 'done' ],
	[ 'a result for ever',             result => until_close('[', [ ' ', 40 * MB ]), 'RC008', 'failed RC008' ],
	[ 'a result of long ids, form 1',  result => text(of_long_ids('{"timePeriods":[{"timePeriodId":"ID","startDate":"2026-07-01","endDate":"2026-09-30"}],'
		. '"timeFrames":[{"timeFrameId":"ID"}],"users":[{"userId":"ID","name":"ID","email":"ID","crmId":"ID","scopeId":"ID"}],"fields":[{"fieldId":"ID","fieldName":"ID"}],'
		. '"entries":[{"timePeriodId":"ID","timeFrameId":"ID","userId":"ID","fieldId":"ID","forecastValue":1}]}')), '', 'done' ],
	[ 'a result of long ids, form 2',  result => text(of_long_ids('[{"User":"ID","Email":"ID","CRM User ID":"ID","Role":"ID","Timeframe":"ID","Field":"ID","Week":"0",'
		. '"Start Day":"07/01/2026","End Day":"07/07/2026","Data Type":"ID","Data Value":"ID"}]')), '', 'done' ],
	[ 'a result redirected',           result => { redirect => $elsewhere->base_url . '/x' }, 'RC002', 'failed RC002' ]);

# ----------
# What must hold after each
# ----------

my $worker = $test->worker_pid;
my ($logged, $dumped, $highest) = (0, 0, 0);
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';

sub peak_mb
{
	my ($pid) = @_;
	my ($peak) = PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m;
	return $peak / 1024;
}

# Begin to measure a peak, where that is permitted; elsewhere it is that of all cases so far.
sub forget_peak
{
	my ($pid) = @_;
	if (open(my $file, '>', "/proc/$pid/clear_refs"))
	{
		print {$file} "5\n";
		close $file;
	}
	return;
}

sub new_log
{
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile, $logged);
	$logged = -s $node->logfile;
	return $log;
}

# What keeps a text from being shown or stored.
sub faults_of
{
	my ($text) = @_;
	my @faults;
	push @faults, 'the key' if index($text, KEY) >= 0;
	push @faults, 'a control character' if $text =~ /[\x00-\x08\x0b-\x1f\x7f]/;
	push @faults, 'no UTF-8' unless utf8::decode(my $copy = $text);
	return join ', ', @faults;
}

# Messages must not mislead who reads them, either.
sub faults_of_messages
{
	my ($text) = @_;
	return faults_of($text) . ($text =~ /\xe2\x80\xae/ ? ', a change of direction' : '');
}

sub told { my ($outcome) = @_; return join "\n", map { values %$_ } @{ $outcome->{told} } }

sub take_dump
{
	$node->command_ok([ 'pg_dump', '--file', $dump, 'postgres' ], 'pg_dump');
	my $all = PostgreSQL::Test::Utils::slurp_file($dump);
	is(faults_of($all =~ s/^CREATE USER MAPPING.*?;$//smgr), '', 'what was dumped');
	return;
}

sub ended
{
	my ($id) = @_;
	return $test->await("request $id to end", sub {
		$session->value("SELECT concat_ws(' ', state, error_code) FROM clari_export_request WHERE id = $id AND finished_at IS NOT NULL") });
}

new_log();
for my $case (@cases)
{
	my ($what, $in_reply_to, $do, $sqlstate, $end) = @$case;

	forget_peak($_) for $worker, $session->pid;
	$sim->reset;
	my $job = $sim->start_job(key => KEY);
	$sim->rules({ match => $request{$in_reply_to}, times => FOREVER, do => $do });
	my $outcome = $session->run('SELECT * FROM ' . sprintf $call{$in_reply_to}, $job);
	like($outcome->{sqlstate} // '', qr/^(?:$sqlstate)$/, "$what: the function") or diag explain $outcome;
	is(faults_of($outcome->{rows}) . faults_of_messages(told($outcome)), '', "$what: what it says") or diag explain $outcome;

	$sim->reset;
	$sim->rules({ match => $request{$in_reply_to}, times => 3, do => $do });
	my $id = $test->enqueue(server => 'hostile');
	is(ended($id), $end, "$what: the queue");

	my ($peak) = sort { $b <=> $a } map { peak_mb($_) } $worker, $session->pid;
	cmp_ok($peak, '<', PEAK_MB, "$what: memory");
	$highest = $peak if $peak > $highest;
	my $tables = $session->run(q{SELECT r, s.request_id, s.result - '{entries,activities,items}'::text[] FROM clari_export_request r
		LEFT JOIN clari_export_snapshot s ON r.id = request_id WHERE r.id = } . $id);
	is($tables->{sqlstate}, undef, "$what: the tables");
	is(faults_of($tables->{rows}), '', "$what: what they hold");
	my $log = new_log();
	is(faults_of_messages($log), '', "$what: the log") or diag grep { faults_of_messages($_) } split /(?<=\n)/, $log;
	next if ++$dumped % DUMP_EVERY;
	take_dump();
}
is($test->worker_pid, $worker, 'one worker did it all');
note sprintf 'the highest peak of the worker and the session: %.0f MB', $highest;
is(scalar $elsewhere->log, 0, 'no request followed a redirect');

# ----------
# Waits beyond the end of time
# ----------

for my $status (429, 503, 202)
{
	for my $wait ('315360000000', '9' x 400, '1e300', '-315360000000', 'Fri, 31 Dec 9999 23:59:59 GMT', 'Fri, 31 Dec 99999999999 23:59:59 GMT', "1\tx")
	{
		$sim->reset;
		$sim->rules({ do => { status => $status, headers => { 'Retry-After' => $wait } } });
		my $outcome = $session->run(q{SELECT clari_export_status('x', 'hostile')});
		like($outcome->{sqlstate}, qr/^RC00/, "$status, to be tried again after " . substr $wait, 0, 30);
		my $released = $super->value(q{SELECT clari_export_release('hostile')});
		is($session->run(q{SELECT count(*) FROM clari_export_limits('hostile')})->{rows}, 1, 'and released');
	}
}

# ----------
# 16,000 jobs that were known against 20,000 in the list
# ----------

$sim->reset;
$sim->rules(
	{ match => $request{list},   do    => body_file('known', jobs_of(16_000, time * 1000)) },
	{ match => $request{submit}, do    => { reset => \1 } },
	{ match => $request{list},   times => FOREVER, do => body_file('listed', jobs_of(20_000, time * 1000)) });
is($session->run(q{SELECT clari_export_submit('net_arr', server => 'hostile')})->{sqlstate}, 'RC011', '16,000 known jobs against 20,000');

# ----------
# All of it can be restored
# ----------

take_dump();
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--file', $dump, 'restored' ], 'it is restored');
my $contents = q{SELECT string_agg(md5(r::text), ' ' ORDER BY id) FROM clari_export_request r
	UNION ALL SELECT string_agg(md5(s::text), ' ' ORDER BY request_id) FROM clari_export_snapshot s};
is($node->safe_psql('restored', $contents), $node->safe_psql('postgres', $contents), 'as it was');

done_testing();
