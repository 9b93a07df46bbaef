# What a claim reads: the plans of the queue's own statements, as auto_explain
# shows them, and the pages they touch, whatever else is in the table.

use strict;
use warnings;

use Test::More;
use ClariTest;

use constant {
	FINISHED   => 20_000,
	WAITING    => 5_000,
	ENDED      => 1_000,
	MOST_PAGES => 40,
};

# A drain's statements are those of the worker, in a session that can look at them.
my $test = ClariTest->new('queue_claim', preload => 0, conf => "autovacuum = off\n");
my ($node, $sim, $session) = ($test->node, $test->sim, $test->session);

$session->run(
	q{LOAD 'auto_explain';
	  SET auto_explain.log_min_duration = 0;
	  SET auto_explain.log_analyze = on;
	  SET auto_explain.log_buffers = on;
	  SET auto_explain.log_nested_statements = on;
	  SET auto_explain.log_timing = off});

# The statements, by something in their text that nothing else has.
my %statements = (
	'the claim'                 => qr/WITH RECURSIVE level/,
	'who has requests'          => qr/WITH RECURSIVE owner/,
	'when the next is due'      => qr/^\s*Query Text: SELECT least\(\(SELECT run_after/m,
	'how long the lane is held' => qr/SELECT greatest\(/,
	'what is under way'         => qr/WHERE state IN \('submitting', 'running'\) AND server/,
	'the start of a submission' => qr/SET state = 'submitting'/,
	'the end of a request'      => qr/SET state = 'done'/);

# Drain one request; the plans by statement, each with the pages that it touched.
sub plans
{
	$session->run('SET client_min_messages = log');
	my $drained = $session->run('CALL clari_export_drain(max_requests => 1)');
	$session->run('RESET client_min_messages');
	is($drained->{sqlstate}, undef, 'one request is drained');
	my %plans;
	for my $told (grep { ($_->{message} // '') =~ /plan:/ } @{ $drained->{told} })
	{
		my ($name) = grep { $told->{message} =~ $statements{$_} } keys %statements;
		next unless $name;
		my ($buffers) = $told->{message} =~ /^\s*Buffers: shared (.*)$/m;
		my $pages = 0;
		$pages += $_ for ($buffers // '') =~ /(?:hit|read)=(\d+)/g;
		push @{ $plans{$name} }, { text => $told->{message}, pages => $pages };
	}
	return \%plans;
}

sub check
{
	my ($case) = @_;
	my $plans = plans;
	my %most;
	for my $name (sort keys %statements)
	{
		my @of_it = @{ $plans->{$name} || [] };
		cmp_ok(scalar @of_it, '>', 0, "$case: $name is a statement of a drain");
		is(scalar(grep { $_->{text} =~ /Seq Scan|Bitmap/ } @of_it), 0, "$case: $name uses indexes only");
		($most{$name}) = sort { $b <=> $a } map { $_->{pages} } @of_it;
	}
	is(scalar(grep { $_->{text} !~ /Index (?:Only )?Scan using clari_export_request_claim_idx/ } @{ $plans->{'the claim'} }),
		0, "$case: the claim goes through its index");
	note("$case: most pages: " . join ', ', map { "$_ $most{$_}" } sort keys %most);
	return \%most;
}

$test->enqueue for 1 .. 100;
my $few = check('100 waiting');

# Rows that were not created now are not checked again.
my $insert = q{INSERT INTO clari_export_request
	(forecast_id, priority, created_at, run_after, state, submitted_at, finished_at, job_id)
	SELECT 'net_arr', n % 3, now() - interval '1 day', now() - interval '1 day' + n * interval '1 ms',};
$session->run("$insert 'done', now() - interval '1 day', now() - interval '1 day', 'job ' || n FROM generate_series(1, @{[FINISHED]}) n");
$session->run("$insert 'queued', NULL, NULL, NULL FROM generate_series(1, @{[WAITING]}) n");
$session->run("INSERT INTO clari_export_request (forecast_id, created_at, run_after)
	SELECT 'net_arr', now() - interval '1 day', now() + n * interval '1 h' FROM generate_series(1, @{[WAITING]}) n");
is($session->value('SELECT count(*) FROM clari_export_request'), FINISHED + 2 * WAITING + 100, 'a large queue');

for my $case ('without statistics', 'with statistics')
{
	$session->run('ANALYZE clari_export_request') if $case eq 'with statistics';
	my $many = check($case);
	cmp_ok($many->{$_}, '<=', MOST_PAGES, "$case: $_ touches few pages") for sort keys %statements;
}

# What was claimed lately is still in the index, until the next scan finds it dead.
$session->run(
	qq{UPDATE clari_export_request SET state = 'cancelled', finished_at = now()
	  WHERE id IN (SELECT id FROM clari_export_request WHERE state = 'queued' AND run_after < now()
		ORDER BY priority DESC, run_after LIMIT @{[ENDED]})});
plans;
my $after = check('after many ended');
cmp_ok($after->{'the claim'}, '<=', ENDED / 10, 'the ends of requests do not pile up in the way of a claim');

done_testing();
