# Databases in UTF-8, LATIN1 and SQL_ASCII: what Clari sends is converted, and
# what jsonb or the database's encoding cannot hold is RC008.

use strict;
use warnings;
use utf8;

use Encode qw(decode encode);
use MIME::Base64 qw(encode_base64);
use Test::More;
use ClariTest;

my $test = ClariTest->new('encodings');
my $sim  = $test->sim;
my $node = $test->node;

my %session = (UTF8 => $test->session);
for my $encoding (qw(LATIN1 SQL_ASCII))
{
	my $database = lc $encoding;
	$node->safe_psql('postgres', "CREATE DATABASE $database ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$test->install($database);
	$test->create_server('clari', database => $database);
	$session{$encoding} = $test->new_session(database => $database);
}

# The outcome with its texts decoded, so that they compare with the literals of this file.
sub run
{
	my ($encoding, $sql) = @_;
	my $outcome = $session{$encoding}->run(encode('UTF-8', $sql));
	$outcome->{$_} = decode('UTF-8', $outcome->{$_}) for grep { defined $outcome->{$_} } qw(rows message detail hint);
	return $outcome;
}

# A body for the next result, as text or as bytes.
sub next_result
{
	my ($text, $bytes) = @_;
	$sim->reset;
	$sim->rules({ match => { path => 'results$' }, do => { body_base64 => encode_base64($bytes ? $text : encode('UTF-8', $text), '') } });
	return;
}

my @everywhere = keys %session;
my %storable = (
	'plain text'              => [ '{"entries": [], "a": "plain"}',         'plain', @everywhere ],
	'a byte order mark'       => [ qq{\x{FEFF}{"entries": [], "a": "plain"}}, 'plain', @everywhere ],
	'an umlaut'               => [ '{"entries": [], "a": "Grüße"}',         'Grüße', @everywhere ],
	'an umlaut, escaped'      => [ '{"entries": [], "a": "Gr\u00fc\u00dfe"}', 'Grüße', qw(UTF8 LATIN1) ],
	'a Japanese word'         => [ '{"entries": [], "a": "日本"}',           '日本', qw(UTF8 SQL_ASCII) ],
	'a Japanese word, escaped' => [ '{"entries": [], "a": "\u65e5\u672c"}', '日本', qw(UTF8) ],
	'a surrogate pair'        => [ '{"entries": [], "a": "\ud83d\ude00"}',  "\x{1F600}", qw(UTF8) ],
	'four bytes'              => [ "{\"entries\": [], \"a\": \"\x{1F600}\"}", "\x{1F600}", qw(UTF8 SQL_ASCII) ]);

for my $what (sort keys %storable)
{
	my ($body, $value, @where) = @{ $storable{$what} };
	for my $encoding (sort keys %session)
	{
		next_result($body);
		my $outcome = run($encoding, q{SELECT clari_export('net_arr')->>'a'});
		if (grep { $_ eq $encoding } @where)
		{
			is($outcome->{rows}, $value, "$encoding: $what") or diag explain $outcome;
			next;
		}
		is($outcome->{sqlstate}, 'RC008', "$encoding: $what is RC008") or diag explain $outcome;
		like($outcome->{detail}, qr/^Job \w{24}.*\. .+/, "$encoding: $what: the job and the reason in DETAIL");
		like($outcome->{hint}, qr{curl .*/export/jobs/\w{24}/results$}, "$encoding: $what: HINT");
	}
}

# Nowhere. What is not JSON may be so the next time, so it is fetched again.
my %may_pass = map { $_ => 1 } 'UTF-16', 'two values', 'nothing but blanks', 'a comma too many';
my @unstorable = (
	[ 'a zero character',           '{"a": "\u0000"}' ],
	[ 'a zero byte',                "{\"a\": \"x\0y\"}" ],
	[ 'half a surrogate pair',      '{"a": "\ud83d"}' ],
	[ 'bytes that are not UTF-8',   "{\"a\": \"\xfc\"}", 1 ],
	[ 'half a character',           "{\"a\": \"\xe6\x97\"}", 1 ],
	[ 'UTF-16',                     "{\0}\0", 1 ],
	[ 'a control character',        "{\"a\": \"\t\"}" ],
	[ 'a number without end',       '1e999999' ],
	[ 'a nesting without end',      '[' x 100_000 ],
	[ 'two values',                 '{} {}' ],
	[ 'nothing but blanks',         " \n" ],
	[ 'a comma too many',           '{"a": 1,}' ]);
for my $case (@unstorable)
{
	my ($what, $body, $bytes) = @$case;
	for my $encoding (sort keys %session)
	{
		# Without an encoding PostgreSQL looks at no byte but the zero.
		next if $encoding eq 'SQL_ASCII' && $what =~ /^(?:bytes that|half a character)/;
		for my $call (q{clari_export('net_arr')}, q{clari_export_activity('{}')})
		{
			next_result($body, $bytes);
			my $outcome = run($encoding, "SELECT $call IS NOT NULL");
			if ($may_pass{$what})
			{
				is($outcome->{rows}, 't', "$encoding: $call: $what may pass");
				is(scalar $sim->log(path => qr/results$/), 2, "$encoding: $call: $what: fetched again");
				next;
			}
			is($outcome->{sqlstate}, 'RC008', "$encoding: $call: $what is RC008") or diag explain $outcome;
			like($outcome->{detail}, qr/^Job \w{24}.*\. .+/, "$encoding: $call: $what: the job and the reason in DETAIL");
			is(scalar $sim->log(path => qr/results$/), 1, "$encoding: $call: $what: fetched once");
		}
	}
}

# What is sent is UTF-8, whatever the database is in.
for my $encoding (qw(UTF8 LATIN1))
{
	$sim->reset({ forecasts => ['süd'] });
	is(run($encoding, q{SELECT clari_export('süd', options => '{"scopeId": "Köln"}') ? 'entries'})->{rows}, 't', "$encoding: an id with an umlaut");
	my ($post) = $sim->log(method => 'POST');
	is($post->{path}, '/export/forecast/s%C3%BCd', "$encoding: it is sent as UTF-8");
	is($post->{body}{scopeId}, 'Köln', "$encoding: and so are the options");
}

# Texts of Clari's that are only shown: what the encoding lacks becomes a question mark.
my $job = { jobId => 'x1', module => 'FORECAST', title => 'Grüße 日', status => 'FERTIG_日', fileName => '日.json' };
my %shown = (
	UTF8      => 'Grüße 日|FERTIG_日|日.json',
	LATIN1    => qr/^Gr.+e \?+\|FERTIG_\?+\|\?+\.json$/,
	SQL_ASCII => 'Grüße 日|FERTIG_日|日.json');
for my $encoding (sort keys %session)
{
	$sim->reset;
	$sim->rules({ match => { path => '^/export/jobs$' }, do => { body => [$job] } });
	my $rows = run($encoding, q{SELECT title, status, file_name FROM clari_export_jobs()})->{rows};
	ref $shown{$encoding} ? like($rows, $shown{$encoding}, "$encoding: clari_export_jobs") : is($rows, $shown{$encoding}, "$encoding: clari_export_jobs");

	$sim->rules({ times => -1, do => { status => 400, body => { code => 'schön', message => 'nein, 日' } } });
	my $error = run($encoding, q{SELECT clari_export('net_arr')});
	is($error->{sqlstate}, 'RC002', "$encoding: an error of Clari's");
	like($error->{detail}, $encoding eq 'LATIN1' ? qr/"schön": nein, \?+$/ : qr/"schön": nein, 日$/, "$encoding: Clari's words in DETAIL");

	$sim->reset;
	$sim->rules({ times => -1, do => { body => $job } });
	$error = run($encoding, q{SELECT clari_export_poll('x1', 2)});
	is($error->{sqlstate}, 'RC007', "$encoding: an unknown status") or diag explain $error;
	like($error->{detail}, $encoding eq 'LATIN1' ? qr/FERTIG_\?+/ : qr/FERTIG_日/, "$encoding: an unknown status in DETAIL");
	like(decode('UTF-8', $error->{told}[0]{message}), $encoding eq 'LATIN1' ? qr/FERTIG_\?+/ : qr/FERTIG_日/, "$encoding: an unknown status in the warning");
	is($session{$encoding}->value('SELECT 1'), 1, "$encoding: the session is as good as new");
}

done_testing();
