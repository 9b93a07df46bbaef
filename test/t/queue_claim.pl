# What a claim reads: the plans of the queue's own statements, as auto_explain
# shows them, the pages they touch, and those that a request touches from its
# claim to its end, whatever else is in the table and whatever statistics say.

use strict;
use warnings;

use Test::More;
use ClariTest;

use constant {
	FINISHED   => 20_000,
	WAITING    => 5_000,
	ENDED      => 1_000,
	MOST_PAGES => 40,
	MOST_MORE  => 1.5,
};

# A drain's statements are those of the worker, in a session that can look at them.
my $test = ClariTest->new('queue_claim', superuser => 1, preload => 0, conf => "autovacuum = off\n");
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
	'how long the lane is held' => qr/SELECT greatest\(/,
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

# The pages of the request table and its indexes that the session has touched so far.
sub pages_touched
{
	$session->run('SELECT pg_stat_force_next_flush()');
	return $session->value(q{
		SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit
		FROM pg_statio_all_tables WHERE relname = 'clari_export_request'});
}

# Those that one request touches, the second of two: the first may tidy up.
sub pages_of_one
{
	plans;
	my $before = pages_touched;
	plans;
	return pages_touched() - $before;
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
	note("$case: most pages: " . join ', ', map { "$_ $most{$_}" } sort keys %most);
	return \%most;
}

$test->enqueue for 1 .. 100;
check('100 waiting');
my $few = pages_of_one;
cmp_ok($few, '>', 0, "a request touches $few pages among a hundred");

# Rows that were not created now are not checked again.
my $insert = q{INSERT INTO clari_export_request
	(forecast_id, priority, ready, created_at, run_after, state, submitted_at, finished_at, job_id)
	SELECT 'net_arr', n % 3, true, now() - interval '1 day', now() - interval '1 day' + n * interval '1 ms',};
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
	cmp_ok(pages_of_one, '<=', $few * MOST_MORE, "$case: a request touches hardly more pages than among a hundred");
}

# What was claimed lately is still in the index, until the next scan finds it dead.
$session->run(
	qq{UPDATE clari_export_request SET state = 'cancelled', finished_at = now()
	  WHERE id IN (SELECT id FROM clari_export_request WHERE state = 'queued' AND run_after < now()
		ORDER BY priority DESC, run_after LIMIT @{[ENDED]})});
cmp_ok(pages_of_one, '<=', $few * MOST_MORE, 'the ends of requests do not pile up in the way of a claim');

# As many priorities as there are requests, those of next month included.
$session->run('UPDATE clari_export_request SET priority = id');
$session->run('VACUUM clari_export_request');
plans for 1 .. 2 * WAITING / 1000;
cmp_ok(pages_of_one, '<=', $few * MOST_MORE, 'a priority for each request makes no difference');

# Statistics of the queue's normal state.
$session->run(q{DELETE FROM clari_export_request WHERE state IN ('done', 'cancelled', 'failed')});
$session->run(q{CREATE TABLE kept AS SELECT * FROM clari_export_request; TRUNCATE clari_export_request; ANALYZE clari_export_request});
$session->run('INSERT INTO clari_export_request OVERRIDING SYSTEM VALUE SELECT * FROM kept');
cmp_ok(pages_of_one, '<=', $few * MOST_MORE, 'nor do statistics that were taken while the queue was empty');

done_testing();
