# A streaming standby: nothing is written there, and the functions that wait
# work all the same.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use Test::More;
use ClariTest;

my $test    = ClariTest->new('primary', streaming => 1);
my $sim     = $test->sim;
my $primary = $test->node;

$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

my $session = $test->new_session(node => $standby);
is($session->value('SELECT pg_is_in_recovery()'), 't', 'the node is a standby');

for my $when ('outside of a transaction', 'in a transaction', 'in a serializable one')
{
	$session->value($when =~ /serial/ ? 'BEGIN ISOLATION LEVEL REPEATABLE READ' : 'BEGIN') if $when ne 'outside of a transaction';
	my $job   = $sim->start_job;
	my %calls = (
		q{SELECT clari_export('net_arr', '2026_Q2') ? 'entries'}  => 't',
		q{SELECT clari_export_activity('{}') ? 'activities'}      => 't',
		q{SELECT clari_export_audit_events() ? 'items'}           => 't',
		q{SELECT length(clari_export_submit('net_arr'))}          => 24,
		"SELECT clari_export_status('$job')->>'status'"           => 'DONE',
		"SELECT clari_export_poll('$job')->>'status'"             => 'DONE',
		"SELECT clari_export_result('$job') ? 'entries'"          => 't',
		"SELECT clari_export_cancel('$job'::text)"                => 'DONE',
		q{SELECT count(result) FROM clari_export_all('net_arr', '{2026_Q1, 2026_Q2}')} => 2,
		q{SELECT count(*) > 0 FROM clari_export_jobs()}           => 't',
		q{SELECT monthly_quota FROM clari_export_limits()}        => 1000);
	is($session->value($_), $calls{$_}, "$when: $_") for sort keys %calls;
	$session->value('COMMIT') if $when ne 'outside of a transaction';
}

# A lost reply is reconciled there as well, and a mapping that changes at the primary is used.
$sim->reset;
$sim->rules({ match => { method => 'POST' }, do => { reset => \1, process => \1 } });
is($session->value(q{SELECT clari_export('net_arr', '2026_Q2') ? 'entries'}), 't', 'a lost reply is reconciled');
is($sim->stats->{keys}{'demo-key'}{accepted}, 1, 'with one submission');

$test->session->value(q{ALTER USER MAPPING FOR CURRENT_USER SERVER clari OPTIONS (SET api_key 'second-key')});
$primary->wait_for_catchup($standby);
is($session->value(q{SELECT monthly_quota FROM clari_export_limits()}), 30, 'a new key arrives by replication');

# After the promotion the same session goes on.
$standby->promote;
is($session->value('SELECT pg_is_in_recovery()'), 'f', 'the standby is promoted');
is($session->value(q{SELECT clari_export('net_arr', '2026_Q2') ? 'entries'}), 't', 'and the session goes on');

done_testing();
