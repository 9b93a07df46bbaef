# One request's error is that request's: whatever the database or the export
# of one raises, the others go on, and so does the worker.

use strict;
use warnings;

use Test::More;
use ClariTest;

my @forecasts = qw(net_arr checked nulls locked late_submitting late_running late_done late_at_commit never_done);
my $test      = ClariTest->new(
	'one_request',
	conf    => "clari_export.databases = 'postgres, latin1'\nmax_worker_processes = 16\n",
	options => { poll_max_attempts => 1000, max_concurrent_exports => 3 },
	sim     => { config => { forecasts => \@forecasts } });
my ($node, $sim) = ($test->node, $test->sim);
my $dba    = $test->superuser;
my $worker = $test->worker_pid;

sub submissions
{
	my ($forecast) = @_;
	return $sim->log(method => 'POST', path => "/export/forecast/$forecast");
}

sub others_go_on
{
	my ($name) = @_;
	is($test->await_state('done', $test->enqueue)->{error_code}, undef, "$name: others go on");
	is($test->worker_pid, $worker, "$name: so does the worker");
	return;
}

# Waits until the request says so.
sub await_column
{
	my ($id, $column, $value) = @_;
	return $test->await(
		"request $id: $column is $value",
		sub {
			my $request = $test->request($id, $dba);
			return ($request->{$column} // '') eq $value ? $request : undef;
		});
}

use constant BEFORE    => 'TRIGGER %s BEFORE UPDATE ON clari_export_request';
use constant AT_COMMIT => 'CONSTRAINT TRIGGER %s AFTER UPDATE ON clari_export_request DEFERRABLE INITIALLY DEFERRED';

# A trigger of the tables' owner, which our writes run because it asks for that.
sub create_trigger
{
	my ($name, $when, $code, $form) = @_;
	my $trigger = sprintf $form // BEFORE, $name;
	$dba->run(qq{
		CREATE OR REPLACE FUNCTION public.$name() RETURNS trigger LANGUAGE plpgsql AS \$\$
		BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '$code', HINT = 'Ask whoever left this trigger here.'; END \$\$;
		CREATE $trigger FOR EACH ROW WHEN ($when) EXECUTE FUNCTION public.$name();
		ALTER TABLE clari_export_request ENABLE ALWAYS TRIGGER $name;});
	return;
}

# ----------
# Errors that end a request
# ----------

$dba->run(q{ALTER TABLE clari_export_request ADD CONSTRAINT refused CHECK (forecast_id <> 'checked' OR state <> 'running')});
my $checked = await_column($test->enqueue(forecast_id => 'checked'), state => 'failed');
is($checked->{error_code}, '23514', 'a constraint that refuses the job id fails the request');
isnt($checked->{job_id}, undef, 'which keeps its job');
is(scalar submissions('checked'), 1, 'and is submitted once');
others_go_on('a constraint');
$dba->run('ALTER TABLE clari_export_request DROP CONSTRAINT refused');
is($test->session->value("SELECT clari_export_retry($checked->{id})"), 'running', 'a retry goes on with that job');
$test->await_state('done', $checked->{id});
is(scalar submissions('checked'), 1, 'and submits nothing');

create_trigger('never_done', q{OLD.forecast_id = 'never_done' AND NEW.state = 'done'}, 'P0001');
my $never = await_column($test->enqueue(forecast_id => 'never_done'), state => 'failed');
is($never->{error_hint}, 'Ask whoever left this trigger here.', "an error's own hint is kept, to the letter");
$dba->run('DROP TRIGGER never_done ON clari_export_request');

# A job that Clari knows; nobody owns it, and it was not there before.
my $id = $dba->value(q{
	INSERT INTO clari_export_request (forecast_id, requested_by, state, created_at, submitted_at, known_job_ids)
	OVERRIDING SYSTEM VALUE SELECT 'nulls', requested_by, 'submitting', '2026-01-01', now(), ARRAY['a', NULL, 'b']
	FROM clari_export_request LIMIT 1 RETURNING id});
$test->await_state('done', $id, $dba);
others_go_on('a null among the known jobs');

# A proxy of 8 MB: refused, and where it got past that, the failure of who uses it.
$test->create_server('odd', api_key => 'second-key');
my $proxy = q{'http://proxy.test/' || repeat('x', 8000000)};
is($dba->run("DO \$\$BEGIN EXECUTE format('ALTER SERVER odd OPTIONS (ADD proxy %L)', $proxy); END\$\$")->{sqlstate}, '22023', 'a proxy of 8 MB is refused');
$dba->run('SET allow_system_table_mods = on');
$dba->run("UPDATE pg_foreign_server SET srvoptions = srvoptions || ARRAY['proxy=' || $proxy] WHERE srvname = 'odd'");
is($dba->value(q{SELECT max(length(o)) > 8000000 FROM pg_foreign_server, unnest(srvoptions) o WHERE srvname = 'odd'}), 't', 'and is there all the same');
my $by_proxy = $test->enqueue(server => 'odd');
is($test->await_state('failed', $by_proxy)->{error_code}, 'HV00D', 'a request through it fails');
others_go_on('a proxy of 8 MB');
$dba->run('DROP SERVER odd CASCADE');

# What is short in the database's encoding may be long in UTF-8.
$node->safe_psql('postgres', q{CREATE DATABASE latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
$test->install('latin1');
$test->create_server('clari', database => 'latin1');
my $latin1 = $test->new_session(database => 'latin1');
my $latin1_worker = $test->worker_pid('latin1');
my $umlauts = $latin1->value(
	q{INSERT INTO clari_export_request (forecast_id, time_period, options)
	  SELECT e, e, jsonb_build_object('currency', e) FROM repeat(chr(233), 512) e RETURNING id});
my $after = $test->enqueue(session => $latin1);
$test->await_state('done', $after, $latin1);
$test->await_state('done|failed', $umlauts, $latin1);
is($test->worker_pid('latin1'), $latin1_worker, '512 umlauts in LATIN1: the others and the worker go on');

# ----------
# Errors that pass
# ----------

# A limit that a commit meets is that of the queue of notifications, which others fill.
for my $case (
	[ submitting => 'submitting', '53100', BEFORE ],
	[ running    => 'running',    '40P01', BEFORE ],
	[ done       => 'done',       '55P03', BEFORE ],
	[ at_commit  => 'running',    '54000', AT_COMMIT ])
{
	my ($when, $state, $code, $form) = @$case;
	create_trigger("not_$when", "OLD.forecast_id = 'late_$when' AND NEW.state = '$state'", $code, $form);
	my $late = $test->enqueue(forecast_id => "late_$when");
	my $delayed = await_column($late, hold_reason => 'database error');
	is($delayed->{error_message}, 'not now', "$code, $when: says which error");
	isnt($delayed->{held_until}, undef, "$code, $when: and when it is tried again");
	others_go_on("$code, $when");
	$dba->run("DROP TRIGGER not_$when ON clari_export_request");
	my $done = $test->await_state('done', $late);
	is(scalar submissions("late_$when"), 1, "$code, $when: submitted once in the end");
	is($done->{$_}, undef, "$code, $when: nothing is left of $_") for qw(hold_reason held_until error_message);
}

# ----------
# Rows that somebody holds, and triggers that somebody left
# ----------

$dba->run(q{ALTER SERVER clari OPTIONS (ADD paused 'true')});
my $locked = $test->enqueue(forecast_id => 'locked', priority => 9);
my $holder = $test->new_session(user => $dba->value('SELECT current_user'));
$holder->run('BEGIN');
$holder->run("SELECT FROM clari_export_request WHERE id = $locked FOR UPDATE");
$dba->run(q{ALTER SERVER clari OPTIONS (SET paused 'false')});
others_go_on('a locked row');
is(scalar submissions('locked'), 0, 'a request whose row is locked is not submitted');
$holder->run('COMMIT');
$test->await_state('done', $locked);

$dba->run(q{
	CREATE TABLE public.trace (who name);
	CREATE FUNCTION public.leave_trace() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN INSERT INTO public.trace VALUES (current_user); RETURN NEW; END $$;
	CREATE TRIGGER planted BEFORE UPDATE ON clari_export_request FOR EACH ROW EXECUTE FUNCTION public.leave_trace();});
others_go_on('a trigger');
is($dba->value('SELECT count(*) FROM public.trace'), 0, "an ordinary trigger is silent when the worker writes");

done_testing;
