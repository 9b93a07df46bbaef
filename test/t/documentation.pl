# documentation.pl - the SQL of the documentation runs
#
# psql reads each document with all but its blocks of SQL left blank, so that an error names the line that it is in.
# A block runs as the role analyst, who has no more rights than the documents give, and as the superuser where its
# fence says "sql superuser". Where psql's output follows, it must have the columns that the block returns.
#
# Each recipe finds something in a history that is made for it. The files that documents link to, the tests that
# SECURITY.md calls for witnesses, and the sources that a room's README names exist.

use strict;
use warnings;

use File::Basename qw(basename dirname);
use PostgreSQL::Test::Utils;
use Test::More;

use ClariTest;

my $top       = dirname(__FILE__) . '/../..';
my @documents = ('README.md', map { s{.*/docs/}{docs/}r } sort glob "$top/docs/*.md");

# What a reader brings along: a database, a role, pg_cron, and a Clari whose jobs take no time.
my $test      = ClariTest->new('documentation', conf => "clari_export.databases = 'company'");
my $node      = $test->node;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $key_file  = $node->basedir . '/clari.key';
my %options   = (%ClariTest::FAST_OPTIONS, $test->where_clari_is);
my $options   = join ', ', map { "$_ '$options{$_}'" } sort keys %options;

$node->safe_psql('postgres', 'CREATE DATABASE company; CREATE ROLE analyst LOGIN');
$node->safe_psql('company',  'CREATE SCHEMA AUTHORIZATION analyst');
append_to_file($key_file, "demo-key\n");
stand_in_for_pg_cron();

# It notes what is scheduled; the test runs that afterwards. queue_cron.pl has the real one.
sub stand_in_for_pg_cron
{
	$node->safe_psql('company', q{
		CREATE SCHEMA cron;
		GRANT USAGE ON SCHEMA cron TO analyst;
		CREATE TABLE cron.job (jobid bigint GENERATED ALWAYS AS IDENTITY, command text);
		CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint
			SECURITY DEFINER LANGUAGE sql AS 'INSERT INTO cron.job (command) VALUES ($3) RETURNING jobid'});
	return;
}

# What a reader puts in: the simulated Clari for the real one, and a key.
sub filled_in
{
	my ($line) = @_;
	$line =~ s/(CREATE SERVER \w+ FOREIGN DATA WRAPPER clari_export);/$1 OPTIONS ($options);/;
	$line =~ s/(api_key) '…'/$1 'demo-key'/;
	$line =~ s/(api_key_file) '[^']*'/$1 '$key_file'/;
	return $line;
}

# The blocks of a document: the lines of their fences, who runs them, their SQL, and the columns of the output shown.
sub blocks
{
	my (@lines) = @_;
	my (@blocks, $block);
	for my $n (1 .. @lines)
	{
		my $line = $lines[ $n - 1 ];
		if ($block && !$block->{end})
		{
			$block->{end} = $n if $line eq '```';
			push @{ $block->{sql} }, filled_in($line) unless $block->{end};
		}
		elsif ($line =~ /^```sql( superuser)?$/)
		{
			$block = { line => $n, role => $1 ? $superuser : 'analyst', sql => [] };
			push @blocks, $block;
		}
		elsif ($block && $n == $block->{end} + 3 && $lines[ $n - 3 ] eq '```' && $line =~ /^-[-+]*$/)
		{
			$block->{columns} = columns($lines[ $n - 2 ]);
		}
	}
	return @blocks;
}

# A line of a table's head as a list of names.
sub columns
{
	my ($head) = @_;
	return join ', ', map { s/^\s+|\s+$//gr } split /\|/, $head;
}

# The same number of lines, as psql is to read them; the lines of the fences say who runs a block, and where it begins.
sub script
{
	my ($n_lines, @blocks) = @_;
	my @script = ('') x $n_lines;
	for my $block (@blocks)
	{
		$script[ $block->{line} - 1 ] = "\\connect - $block->{role} \\\\ \\echo block $block->{line}";
		@script[ $block->{line} .. $block->{end} - 2 ] = @{ $block->{sql} };
	}
	return join "\n", @script, '';
}

sub run_document
{
	my ($document) = @_;
	my @lines  = split /\n/, slurp_file("$top/$document");
	my @blocks = blocks(@lines);
	my $file   = $node->basedir . '/' . $document =~ s/\W/_/gr . '.sql';

	append_to_file($file, script(scalar @lines, @blocks));
	my ($output, $errors) = run_command(
		[ 'psql', '--no-psqlrc', '--quiet', '--dbname' => $node->connstr('company'), '--file' => $file ]);
	my (undef, %output) = split /^block (\d+)$/m, $output, -1;
	test_block($document, $_, $output{ $_->{line} }, $errors) for @blocks;
	return;
}

sub test_block
{
	my ($document, $block, $output, $errors) = @_;
	my $where = "$document:$block->{line}";
	my @wrong = grep { /^psql:[^:]*:(\d+): (?:ERROR|FATAL|error|\\)/ && $1 >= $block->{line} && $1 <= $block->{end} }
	  split /\n/, $errors;
	push @wrong, 'psql did not get there' unless defined $output;
	is("@wrong", '', "$where runs") or diag $errors;
	unlike($output // '', qr/^\(0 rows\)$/m, "$where finds something") || diag $output if $document eq 'docs/recipes.md';
	note $output if $document eq 'docs/recipes.md';
	return unless defined $block->{columns};
	my @heads = ($output // '') =~ /^(.*)\n-[-+]*\n/gm;
	is(@heads ? columns($heads[-1]) : '', $block->{columns}, "$where returns the columns that it shows");
	return;
}

# The history of five quarters that the recipes are about: a snapshot a week, of six people.
sub load_history
{
	$node->psql('company', <<'END', connstr => $node->connstr('company') . ' user=analyst', on_error_die => 1);
	SELECT count(clari_export_import(w.result, 'new_business', w.exported_at, w.period))
	FROM (
		SELECT w.period, least(now(), (w.week_start + 7 + time '08:05') AT TIME ZONE 'UTC') AS exported_at, jsonb_build_object(
			'timePeriods', jsonb_build_array(jsonb_build_object('timePeriodId', w.period)),
			'timeFrames', jsonb_build_array(jsonb_build_object('timeFrameId', 'W_' || to_char(w.n, 'FM00'),
				'startDate', w.week_start, 'endDate', w.week_start + 6)),
			'users', jsonb_agg(DISTINCT jsonb_build_object('userId', p.id || ':' || p.role, 'crmId', p.id, 'name', p.name,
				'email', lower(p.name) || '@example.com', 'hierarchyId', p.role, 'hierarchyName', p.role,
				'parentHierarchyId', p.parent, 'parentHierarchyName', p.parent)),
			'fields', '[{"fieldId": "commit", "fieldType": "FORECAST"}, {"fieldId": "best_case", "fieldType": "FORECAST"},
				{"fieldId": "closed", "fieldType": "FORECAST"}, {"fieldId": "quota", "fieldType": "QUOTA"}]'::jsonb,
			'entries', jsonb_agg(jsonb_build_object('userId', p.id || ':' || p.role, 'fieldId', f.id, 'timePeriodId', w.period,
				'timeFrameId', 'W_' || to_char(w.n, 'FM00'), 'isUpdated', (p.id + w.n) % 2 = 0,
				CASE f.id WHEN 'quota' THEN 'quotaValue' ELSE 'forecastValue' END,
				round((f.at_start + (f.at_end - f.at_start) * (w.n + 1) / 13) * p.amount * w.growth)
					+ CASE WHEN p.role = 'EMEA' AND f.id = 'commit' THEN 50 ELSE 0 END))) AS result
		FROM (
			SELECT clari_export_time_period(q::date) AS period, q::date + 7 * n AS week_start, n,
				1 + extract(epoch FROM q - date_trunc('quarter', current_date))::numeric / 86400 / 3650 AS growth
			FROM generate_series(date_trunc('quarter', current_date) - interval '1 year', current_date, '3 months') AS q,
				generate_series(0, 12) AS n
			WHERE q::date + 7 * n <= current_date) AS w,
			(VALUES (1, 'Wanda', 'Worldwide', NULL, 1500), (2, 'Emil', 'EMEA', 'Worldwide', 900), (3, 'Asa', 'APAC', 'Worldwide', 600),
				(4, 'Rita', 'EMEA West', 'EMEA', 400), (5, 'Rolf', 'EMEA East', 'EMEA', 500), (6, 'Rei', 'Japan', 'APAC', 600))
				AS p (id, name, role, parent, amount),
			(VALUES ('commit', 1.3, 1.0), ('best_case', 1.8, 1.0), ('closed', 0.0, 1.0), ('quota', 1.2, 1.2)) AS f (id, at_start, at_end)
		GROUP BY w.period, w.week_start, w.n, w.growth) AS w
END
	return;
}

for my $document (@documents)
{
	load_history() if $document eq 'docs/recipes.md';
	run_document($document);
}

# What was scheduled, each as a statement of its own.
my $session = $test->new_session(database => 'company', user => 'analyst');
for my $command (split /\n/, $node->safe_psql('company', q{SELECT regexp_replace(command, '\s+', ' ', 'g') FROM cron.job}))
{
	is($session->run($command)->{message}, undef, "scheduled: $command");
}

# ----------
# Where the documents point to
# ----------

# The files that a document links to, and the tests that it names as witnesses.
sub files_named
{
	my ($document) = @_;
	my $text   = slurp_file("$top/$document");
	my $folder = dirname($document);
	my @links  = grep { !/^https?:/ } map { s/#.*//r } $text =~ /\]\(([^)\s]+)\)/g;
	my @tests  = map { split /, / } $text =~ /\[(\w+\.pl(?:, \w+\.pl)*)\](?!\()/g;
	return ((map { "$folder/$_" } grep { length } @links), map { "test/t/$_" } @tests);
}

for my $document (map { s{^\Q$top\E/}{}r } glob "$top/*.md $top/docs/*.md $top/src/*/*.md")
{
	my @missing = grep { !-e "$top/$_" } files_named($document);
	is("@missing", '', "$document names files that are there");
}

# A room's README names each of its files in C, and no other than those of src.
for my $room (map { dirname($_) } glob "$top/src/*/README.md")
{
	my %named = map { $_ => 1 } slurp_file("$room/README.md") =~ m{`(?:[a-z]+/)?(\w+\.c)`}g;
	my ($name) = $room =~ /(src.*)/;
	my @files  = map { basename($_) } glob "$room/*.c";
	my %known  = map { basename($_) => 1 } glob "$top/src/*.c $top/src/*/*.c";
	is(join(' ', grep { !$named{$_} } @files), '', "$name/README.md names each of its files");
	is(join(' ', grep { !$known{$_} } sort keys %named), '', "$name/README.md names files that are there");
}

done_testing();
