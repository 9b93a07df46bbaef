# A snapshot with more values than are inserted at once, and one that changes, adds and lacks some of them.

use strict;
use warnings;

use Test::More;

use ClariTest;

use constant ENTRIES => 12_000;

my $test    = ClariTest->new('history_large', preload => 0);
my $session = $test->session;

# Values from one person to another, as of a day of July.
sub import_result
{
	my ($day, $from, $to, $changed) = @_;
	return $session->value(
		qq{SELECT clari_export_import(jsonb_build_object('entries', jsonb_agg(jsonb_build_object('userId', 'person ' || n,
			'fieldId', 'fc_commit', 'timePeriodId', '2026_Q3', 'timeFrameId', 'W_01', 'forecastValue', n + CASE WHEN n <= $changed THEN 1 ELSE 0 END))),
			'net_arr', '2026-07-$day') FROM generate_series($from, $to) AS n});
}

sub count_rows { my ($condition) = @_; return $session->value("SELECT count(*) FROM clari_export_history WHERE $condition") }

import_result(1, 1, ENTRIES, 0);
is(count_rows(q{valid_to = 'infinity' AND value = substr(user_id, 8)::numeric}), ENTRIES, 'a row of each value');
import_result(2, 1001, ENTRIES + 1000, 8000);
is(count_rows(q{valid_to = '2026-07-02'}), 8000, 'what changed, and who left, has ended');
is(count_rows(q{valid_from = '2026-07-02'}), 8000, 'what changed, and who came, has begun');
is(count_rows(q{valid_to = 'infinity'}), ENTRIES, 'and is what there is');
import_result(1, 1001, ENTRIES, 9000);
is(count_rows('valid_from = valid_to OR valid_from > valid_to'), 0, 'one in between, later: no row is empty');

done_testing();
