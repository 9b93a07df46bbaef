# A result becomes the jsonb that PostgreSQL itself makes of its text, and takes memory in proportion to that.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use ClariTest;

use constant MB => 1024 * 1024;

my $test = ClariTest->new('jsonb_results');
my ($sim, $session, $super) = ($test->sim, $test->session, $test->superuser);
my $file = PostgreSQL::Test::Utils::tempdir() . '/result';

sub send_result
{
	my ($text) = @_;
	open my $out, '>', $file or die "$file: $!";
	print $out $text;
	close $out;
	$sim->rules({ match => { path => '/results$' }, times => 1, do => { body_file => $file } });
	return;
}

# ----------
# Documents of every kind
# ----------

my $seed = 20260701;

sub any_of { return $_[ int(rand(@_)) ] }
sub blank  { return any_of(('') x 6, ' ', "\n\t", "\r\n  ") }

sub text
{
	my @pieces = ('a' .. 'f', 'key', "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8D\x84", '\"', '\\\\', '\/', '\b', '\f', '\n', '\r', '\t',
		'\u0041', '\u00e9', '\u20AC', '\ud83c\udf44', '\u0001', '{', ']', ',', ':', ' ');
	return '"' . join('', map { any_of(@pieces) } 1 .. int(rand(any_of(3, 8, 40)))) . '"';
}

sub number { return any_of(0, '-0', 1, -17, '0.10', '-12345.678900', '1e5', '1E-7', '2.50e+3', '12345678901234567890123', '0.000000001', int(rand(1e9))) }

sub document
{
	my ($depth) = @_;
	my $kind = $depth > 5 ? int(rand(6)) : int(rand(10));
	return any_of('null', 'true', 'false') if $kind < 1;
	return number()                        if $kind < 3;
	return text()                          if $kind < 6;
	my $n = any_of(0, 1, 2, 3, 5, $depth < 2 ? 70 : 4);
	my @children = map { blank() . ($kind < 8 ? '' : text() . blank() . ':' . blank()) . document($depth + 1) . blank() } 1 .. $n;
	return ($kind < 8 ? '[' : '{') . blank() . join(',', @children) . ($kind < 8 ? ']' : '}');
}

srand($seed);
my $text = '{"entries":[' . join(',', map { document(0) } 1 .. 250) . ']}';
my $job  = $sim->start_job;
send_result($text);
$super->run("CREATE TABLE expected AS SELECT pg_read_file('$file')::jsonb AS j; GRANT SELECT ON expected TO PUBLIC");
$session->run("CREATE TEMP TABLE got AS SELECT clari_export_result('$job') AS j");

is($session->value('SELECT g.j = e.j FROM got g, expected e'), 't', 'the values are the same');
is($session->value('SELECT g.j::text = e.j::text FROM got g, expected e'), 't', 'and their order');
is($session->value('SELECT pg_column_size(g.j || \'{}\') = pg_column_size(e.j || \'{}\') FROM got g, expected e'), 't', 'and their size');
is($session->value('SELECT count(*) FROM (SELECT jsonb_path_query(j, \'$.**\') FROM got EXCEPT SELECT jsonb_path_query(j, \'$.**\') FROM expected) d'),
	0, 'and all their parts');
is( $session->value(q{SELECT count(*) FILTER (WHERE o.value -> k IS DISTINCT FROM x.value -> k) || ' of ' || (count(*) > 500)
		FROM got, expected, jsonb_path_query(got.j, '$.**') WITH ORDINALITY AS o (value, n)
		JOIN (SELECT value, n FROM expected, jsonb_path_query(j, '$.**') WITH ORDINALITY AS y (value, n)) AS x USING (n),
		jsonb_object_keys(CASE jsonb_typeof(x.value) WHEN 'object' THEN x.value ELSE '{}' END) AS k}),
	'0 of true', 'and what is found under each key');

# ----------
# Memory
# ----------

sub peak_of
{
	my ($own) = @_;
	open my $status, '<', '/proc/' . $own->pid . '/status' or die "/proc: $!";
	my ($peak) = map { /^VmHWM:\s+(\d+) kB/ ? $1 * 1024 : () } <$status>;
	return $peak;
}

my %dense = (
	'empty objects'       => '{}',
	'empty arrays'        => '[]',
	'objects of one'      => '{"a":0}',
	'digits'              => '0',
	'objects in one other' => '{"":{"":{"":{}}}}');
for my $what (sort keys %dense)
{
	my $size = 8 * MB;
	my $own  = $test->new_session;
	$own->value(q{SELECT count(*) FROM clari_export_limits()});
	my $before = peak_of($own);
	send_result('{"entries":[' . join(',', ($dense{$what}) x ($size / (1 + length $dense{$what}))) . ']}');
	is($own->value("SELECT clari_export_result('$job') ? 'entries'"), 't', "$what: 8 MB");
	my $taken = (peak_of($own) - $before) / $size;
	cmp_ok($taken, '<', 16, sprintf '%s: memory of %.1f times the text', $what, $taken);
	$own->quit;
}

done_testing();
