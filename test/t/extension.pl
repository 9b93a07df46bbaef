# The extension is dropped, made anew elsewhere and given to somebody else, while a session and the worker know it.

use strict;
use warnings;

use Test::More;
use ClariTest;

my $test    = ClariTest->new('extension');
my $super   = $test->superuser;
my $session = $test->session;
$super->run(<<'END');
CREATE ROLE maker SUPERUSER LOGIN;
CREATE ROLE keeper SUPERUSER;
CREATE SCHEMA elsewhere;
GRANT USAGE ON SCHEMA elsewhere TO PUBLIC;
CREATE TABLE actor (state text, name text);
GRANT INSERT ON actor TO PUBLIC;
CREATE FUNCTION note_actor() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN INSERT INTO public.actor VALUES (NEW.state, current_user); RETURN NULL; END$$;
END

# One request that the worker exports and one that the session cancels.
sub use_the_queue
{
	$test->await_state('done', $test->enqueue);
	my $cancelled = $test->enqueue(run_after => 'infinity');
	is($session->value("SELECT clari_export_cancel($cancelled)"), 'cancelled', 'a request is cancelled');
	return;
}

# As whom they did it.
sub actors
{
	return $super->value(q{SELECT string_agg(DISTINCT format('%s by %s', state, name), ', ' ORDER BY format('%s by %s', state, name))
		FROM public.actor WHERE state IN ('done', 'cancelled')});
}

use_the_queue();
my $worker = $test->worker_pid;

$super->run('DROP EXTENSION clari_export CASCADE');
my $maker = $test->new_session(user => 'maker');
$maker->run('CREATE EXTENSION clari_export SCHEMA elsewhere');
$test->create_server('clari');
$_->run('SET search_path = elsewhere') for $super, $session;
$maker->run('CREATE TRIGGER note AFTER UPDATE ON elsewhere.clari_export_request FOR EACH ROW EXECUTE FUNCTION public.note_actor();
	ALTER TABLE elsewhere.clari_export_request ENABLE ALWAYS TRIGGER note');
use_the_queue();
is(actors(), 'cancelled by maker, done by maker', 'made anew elsewhere: the worker and the session work there, as its owner');

$super->run('TRUNCATE public.actor; REASSIGN OWNED BY maker TO keeper');
use_the_queue();
is(actors(), 'cancelled by keeper, done by keeper', 'REASSIGN OWNED: as the new owner');
is($test->worker_pid, $worker, 'the worker is the same all the time');

done_testing();
