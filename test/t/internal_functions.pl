# Functions that the extension keeps for itself: nobody else may execute them, and where somebody could, attached to
# whatever and called as whatever, they give an error and no crash.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test  = ClariTest->new('internal_functions', superuser => 1);
my $super = $test->superuser;
$super->run('CREATE ROLE intruder LOGIN');
$super->run('GRANT CREATE, TEMPORARY ON DATABASE postgres TO intruder');
my $intruder = $test->new_session(user => 'intruder');

my @triggers = $super->value(q{SELECT string_agg(oid::regproc::text, ' ') FROM pg_proc
	WHERE prorettype = 'trigger'::regtype AND proname LIKE 'clari_export%'}) =~ /\S+/g;
cmp_ok(scalar @triggers, '>=', 3, 'there are trigger functions');

# PUBLIC executes none of them, nor the event trigger's.
is($super->value(q{SELECT count(*) FROM pg_proc WHERE proname LIKE 'clari_export%'
	AND prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) AND has_function_privilege('public', oid, 'EXECUTE')}),
	0, 'PUBLIC may execute no trigger function');
$intruder->run('CREATE TEMPORARY TABLE mine (id int)');
$intruder->fails("CREATE TRIGGER t BEFORE DELETE ON mine FOR EACH ROW EXECUTE FUNCTION $_()", '42501', $_) for @triggers;

# Somebody was given them all the same: every table, event, time and level, columns missing, of other types and null.
$super->run("GRANT EXECUTE ON FUNCTION $_() TO intruder") for @triggers;
my @tables = (
	'(id int)',
	'()',
	'(kind int, forecast_id int, time_period int, options int, server int, requested_by text, state point, id box)',
	'AS TABLE public.clari_export_request WITH NO DATA');
my $tried  = 0;
my $failed = 0;
my @odd;
my $pid = $intruder->pid;
for my $table (0 .. $#tables)
{
	# A namesake of the extension's table, too.
	my $name = $table == $#tables ? 'pg_temp.clari_export_request' : "pg_temp.t$table";
	$intruder->run("CREATE TEMPORARY TABLE ${\($name =~ s/pg_temp\.//r)} $tables[$table]");
	$intruder->run("INSERT INTO $name DEFAULT VALUES");
	for my $function (@triggers)
	{
		for my $time ('BEFORE', 'AFTER')
		{
			for my $level ('ROW', 'STATEMENT')
			{
				for my $event ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
				{
					next if $event eq 'TRUNCATE' && $level eq 'ROW';
					next if $event eq 'UPDATE' && $tables[$table] eq '()';
					my $set    = $tables[$table] =~ /requested_by text/ ? 'kind = 1' : 'id = NULL';
					$set = 'id = 1' if $tables[$table] eq '(id int)';
					my $action = {
						INSERT   => "INSERT INTO $name DEFAULT VALUES",
						UPDATE   => "UPDATE $name SET $set",
						DELETE   => "DELETE FROM $name",
						TRUNCATE => "TRUNCATE $name" }->{$event};
					my $made = $intruder->run("CREATE TRIGGER t $time $event ON $name FOR EACH $level EXECUTE FUNCTION $function()");
					my $done = $intruder->run($action);
					$intruder->run("DROP TRIGGER t ON $name");
					$tried++;
					push @odd, "$function $time $event $level on $name: "
						. ($made->{sqlstate} // $done->{sqlstate} // 'no error') . ' ' . ($made->{message} // $done->{message} // '')
					  if ($done->{sqlstate} // '') ne '39P01';
				}
			}
		}
	}
}
cmp_ok($tried, '>', 100, "$tried combinations");
is_deeply(\@odd, [], 'each is refused as a misuse of a trigger function');
is($intruder->value('SELECT pg_backend_pid()'), $pid, 'in the same session throughout');

# Called as no trigger.
for my $function ($super->value(q{SELECT string_agg(oid::regproc::text, ' ') FROM pg_proc WHERE proname LIKE 'clari_export%'
	AND prorettype IN ('trigger'::regtype, 'event_trigger'::regtype)}) =~ /\S+/g)
{
	isnt($super->run("SELECT $function()")->{sqlstate}, undef, "$function: not by SELECT");
}

# The extension's own table is no excuse: another event, level or time there.
for my $function (@triggers)
{
	for my $kind ('BEFORE UPDATE', 'AFTER DELETE', 'BEFORE TRUNCATE')
	{
		$super->run('BEGIN');
		$super->run("CREATE TRIGGER t $kind ON clari_export_request FOR EACH STATEMENT EXECUTE FUNCTION $function()");
		my $action = $kind =~ /UPDATE/ ? 'UPDATE clari_export_request SET priority = 1' : $kind =~ /DELETE/ ?
		  'DELETE FROM clari_export_request' : 'TRUNCATE clari_export_request';
		$super->fails($action, '39P01', "$function, $kind");
		$super->run('ROLLBACK');
	}
}

# The validator: whatever it is called with; whoever creates a server needs no right to it.
$super->run('GRANT USAGE ON FOREIGN DATA WRAPPER clari_export TO intruder');
is($intruder->run('CREATE SERVER own FOREIGN DATA WRAPPER clari_export')->{sqlstate}, undef, 'CREATE SERVER');
is($intruder->run(q{CREATE USER MAPPING FOR intruder SERVER own OPTIONS (api_key 'k')})->{sqlstate}, undef, 'CREATE USER MAPPING');
$intruder->fails(q{CREATE SERVER odd FOREIGN DATA WRAPPER clari_export OPTIONS (nonsense '1')}, 'HV00D', 'an unknown option');
$intruder->fails(q{SELECT clari_export_fdw_validator('{}', 0)}, '42501', 'the validator by hand');
for my $options ('{}', '{a}', '{a=b}', '{NULL}', '{{a=b,c=d},{e=f,g=h}}', '{=}', '{api_key}', '{base_url}')
{
	for my $catalog ('0', "'pg_foreign_server'::regclass", "'pg_user_mapping'::regclass", "'pg_foreign_data_wrapper'::regclass",
		"'pg_class'::regclass")
	{
		$super->run("SELECT clari_export_fdw_validator('$options', $catalog)");
	}
}
is($super->value('SELECT 1'), 1, 'the validator survives odd arguments');

done_testing();
