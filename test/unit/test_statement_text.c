/*
 * test_statement_text.c
 *		Texts of SQL statements that may hold an API key, without its values.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "core/statement_text.h"

static const StatementReading PARSED = {false, false};
static const StatementReading REFUSED = {true, false};

static void
check_hidden(StatementReading reading, const char *text, const char *expected)
{
	char		out[512];

	assert_int_equal(statement_hide_values(text, reading, NULL, out), strcmp(text, expected) != 0);
	assert_string_equal(out, expected);
}

/* Nothing is hidden. */
static void
check_shown(const char *text)
{
	check_hidden(PARSED, text, text);
}

static void
check_keys(StatementReading reading, const char *text, const char *expected)
{
	StatementKeys keys = {0};
	char		found[512] = "";

	statement_find_keys(text, reading, &keys);
	for (int i = 0; i < keys.n; i++)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%.*s", i > 0 ? "|" : "",
				 (int) keys.keys[i].size, keys.keys[i].text);
	assert_string_equal(found, expected);
}

static void
tells_texts_that_may_hold_a_key(void **state)
{
	(void) state;
	assert_true(statement_may_hold_key("create user mapping for u server s options (api_key 'k')"));
	assert_true(statement_may_hold_key("CREATE USR MAPPING FOR u SERVER s OPTIONS (KEY 'k')"));
	assert_true(statement_may_hold_key("ALTER SERVER s OPTIONS (ADD Token 'k')"));
	assert_true(statement_may_hold_key("SELECT set_apikey('k')"));
	assert_false(statement_may_hold_key("SELECT 'a user of a map'"));
	assert_false(statement_may_hold_key("ALTER SERVER s OPTIONS (SET base_url 'https://example.com')"));
	assert_false(statement_may_hold_key(""));
	assert_false(statement_may_hold_key(NULL));
}

static void
hides_the_values_of_mappings(void **state)
{
	(void) state;
	check_hidden(PARSED, "CREATE USER MAPPING FOR u SERVER s OPTIONS (api_key 'the-key');",
				 "CREATE USER MAPPING FOR u SERVER s OPTIONS (api_key '***');");
	check_hidden(PARSED, "alter /* - */ user\nmapping for u server s options (set \"a\" 'it''s', add b '') ; select 'x'",
				 "alter /* - */ user\nmapping for u server s options (set \"a\" '***', add b '') ; select 'x'");
	check_hidden(PARSED, "SELECT 'x'; CREATE USER MAPPING IF NOT EXISTS FOR begin SERVER options OPTIONS (a 'key')",
				 "SELECT 'x'; CREATE USER MAPPING IF NOT EXISTS FOR begin SERVER options OPTIONS (a '***')");
}

static void
hides_other_options_that_sound_like_a_key(void **state)
{
	(void) state;
	check_hidden(PARSED, "CREATE SERVER s TYPE 't' FOREIGN DATA WRAPPER w OPTIONS (base_url 'u', Auth_Token 'the-key', paused 'p')",
				 "CREATE SERVER s TYPE 't' FOREIGN DATA WRAPPER w OPTIONS (base_url 'u', Auth_Token '***', paused 'p')");
	check_hidden(PARSED, "ALTER SERVER s VERSION '1' OPTIONS (ADD api_key 'the-key')",
				 "ALTER SERVER s VERSION '1' OPTIONS (ADD api_key '***')");
	check_hidden(PARSED, "CREATE FOREIGN TABLE t (a int OPTIONS (name 'b') DEFAULT 'c') SERVER s OPTIONS (token 'the-key', a 'b')",
				 "CREATE FOREIGN TABLE t (a int OPTIONS (name 'b') DEFAULT 'c') SERVER s OPTIONS (token '***', a 'b')");
}

static void
reads_all_kinds_of_literals(void **state)
{
	(void) state;
#define MAPPING "ALTER USER MAPPING FOR u SERVER s OPTIONS "
	check_hidden(PARSED, MAPPING "(a E'the\\'key', b 'x')", MAPPING "(a E'***', b '*')");
	check_hidden(PARSED, MAPPING "(a U&'the-key')", MAPPING "(a U&'***')");
	check_hidden(PARSED, MAPPING "(a $$the key$$, b $k$the'$$key$k$)", MAPPING "(a $$***$$, b $k$***$k$)");
	check_hidden(PARSED, MAPPING "(a E'the'\n -- and\n '\\'key')", MAPPING "(a E'***'\n -- and\n '***')");
	check_hidden(PARSED, MAPPING "(a b'\\', c 'key')", MAPPING "(a b'*', c '***')");
	check_shown("SELECT $1, 1$$x$$, a$b$, '' FROM \"it's\"\"\"");
}

static void
reads_backslashes_as_it_is_told(void **state)
{
	(void) state;
	check_hidden((StatementReading) {false, true}, MAPPING "(a 'the\\'key')", MAPPING "(a '***')");
	check_hidden(PARSED, MAPPING "(a 'x\\', b 'y')", MAPPING "(a '**', b '*')");
}

static void
goes_into_literals(void **state)
{
	(void) state;
	check_hidden(PARSED, "DO $$ BEGIN EXECUTE 'ALTER USER MAPPING FOR u SERVER s OPTIONS (k ''key'', l E''k\\''y'')'; DROP TABLE t; END $$",
				 "DO $$ BEGIN EXECUTE 'ALTER USER MAPPING FOR u SERVER s OPTIONS (k ''***'', l E''***'')'; DROP TABLE t; END $$");
	check_hidden(PARSED, "SELECT E'" MAPPING "(a \\'key\\')', 'x'", "SELECT E'" MAPPING "(a \\'***\\')', 'x'");
	check_hidden(PARSED, "DO $x$ BEGIN IF true THEN " MAPPING "(a 'key'); END IF; RAISE 'x'; END $x$",
				 "DO $x$ BEGIN IF true THEN " MAPPING "(a '***'); END IF; RAISE 'x'; END $x$");
	check_hidden(PARSED, "RAISE 'x: %', 'failed: ALTER USER MAPPING FOR u SERVER s OPTIONS (a ''key'')'",
				 "RAISE 'x: %', 'failed: ALTER USER MAPPING FOR u SERVER s OPTIONS (a ''***'')'");
	check_shown("SELECT '$$', 'it''s', $$it's$$, '''''''''', '''''''''''''''''''''''''''''''''''''''''''''''''''''''''''''''''");
}

static void
hides_what_a_statement_is_composed_of(void **state)
{
	(void) state;
	check_hidden(PARSED, "EXECUTE '" MAPPING "(a ' || quote_literal('key') || ')'; EXECUTE 'x'",
				 "EXECUTE '" MAPPING "(a ' || quote_literal('***') || '*'; EXECUTE 'x'");
	check_hidden(PARSED, "EXECUTE format('" MAPPING "(a %L)', 'key'); EXECUTE 'x'",
				 "EXECUTE format('" MAPPING "(a %L)', '***'); EXECUTE 'x'");
	check_hidden(PARSED, "SELECT E'a' -- it's\n'\\'; " MAPPING "(a 1', 'x'",
				 "SELECT E'a' -- it's\n'\\'; " MAPPING "(a 1', '*'");
}

static void
hides_nothing_else(void **state)
{
	(void) state;
	check_shown("");
	check_shown("DROP TABLE t; SELECT 'it', E'\\'' /* api_key */");
	check_shown("/* " MAPPING "(a $x$ */ DROP TABLE t, 'x'");
	check_shown("/* it's /* a */ " MAPPING "(a $x$ */ DROP TABLE t, 'x'");
	check_shown("-- it's\rSELECT 'x' -- " MAPPING "(\n, 'y'");
	check_shown("SELECT \"" MAPPING "(\", 'x'");
	check_shown("SELECT '" MAPPING "', 'x'");
	check_shown("SELECT user mapping, options('x') /* user mapping */");
	check_shown("DO $$ BEGIN api_key := 'x'; EXECUTE 'SELECT 1 /* api_key */'; END $$");
	check_shown("DROP TABLE api_key, t");
	check_shown("DROP USER MAPPING FOR u SERVER s; SELECT options ('x')");
}

static void
hides_what_comments_call_a_key(void **state)
{
	(void) state;
	check_hidden(PARSED, "SELECT 1 /* api_key: 'the-key' */, 'x'", "SELECT 1 /* api_key: '***' */, 'x'");
	check_hidden(PARSED, "-- api_key the-key\nDROP TABLE t", "-- api_key ***\nDROP TABLE t");
	check_hidden(PARSED, "/* api_key key/* */ a $x$ */ DROP TABLE t", "/* api_key ***/* */ a $x$ */ DROP TABLE t");
}

static void
hides_all_literals_of_a_refused_text(void **state)
{
	(void) state;
	check_hidden(REFUSED, "OPTIONS (api_key 'the-key", "OPTIONS (api_key '***");
	check_hidden(REFUSED, "OPTIONS (api_key the-key)", "OPTIONS (api_key ***)");
	check_hidden(REFUSED, "OPTIONS (api_key => -the-key,x)", "OPTIONS (api_key => ***,x)");
	check_hidden(REFUSED, "OPTIONS (api_key \"the-key\", x)", "OPTIONS (api_key \"***\", x)");
	check_hidden(REFUSED, "OPTIONS (\"api_key 'the-key', x)", "OPTIONS (\"api_key '***', x)");
	check_hidden(REFUSED, "OPTIONS (a 'x, api_key 'the-key')", "OPTIONS (a '***'***'*");
	check_hidden(REFUSED, "OPTIONS (api_key''5-key')", "OPTIONS (api_key''***'*");
	check_hidden(REFUSED, "OPTIONS (a 'x', b 'y'::text)", "OPTIONS (a '*', b '*'::text)");
	check_hidden(REFUSED, "SQL statement \"x (api_key 'the-key')\"\nat 'x'", "SQL statement \"x (api_key '***')\"\nat '*'");
}

static void
finds_what_may_be_keys(void **state)
{
	(void) state;
	check_keys(PARSED, "COMMENT ON TABLE t IS 'none'", "");
	check_keys(PARSED, "DROP TABLE t /* api_key none */", "");
	check_keys(PARSED, MAPPING "(a 'key-1', b 'abc', c 'key-2')", "key-1|key-2");
	check_keys(REFUSED, "x 'none' OPTIONS (a 'key-1', b 'abc', c 'key-2')", "key-1|key-2");
	check_keys(REFUSED, "OPTIONS (api_key key-1)", "key-1");
}
#undef MAPPING

static void
hides_keys_wherever_they_are(void **state)
{
	StatementKeys keys = {0};
	char		text[] = "at or near \"the-key\": the-ke the-keythe-key";

	(void) state;
	statement_find_keys("OPTIONS (api_key 'the-key', b 'other')", REFUSED, &keys);
	statement_hide_keys(text, &keys);
	assert_string_equal(text, "at or near \"***\": the-ke ******");
}

static void
hides_keys_in_literals_only(void **state)
{
	static const char text[] = "SELECT 'the-key', $$the-key$$, E'a=the-key' FROM the-key /* the-key */; DO $$ the-key $$";
	StatementKeys keys = {0};
	char		out[sizeof(text)];

	(void) state;
	statement_find_keys("OPTIONS (api_key 'the-key')", REFUSED, &keys);
	assert_true(statement_hide_values(text, PARSED, &keys, out));
	assert_string_equal(out, "SELECT '***', $$***$$, E'a=***' FROM the-key /* the-key */; DO $$ the-key $$");
}

static void
keeps_to_its_bounds(void **state)
{
	StatementKeys keys = {0};
	char		text[16384] = "options ";

	(void) state;
	for (int i = 0; i < 1000; i++)
		strcat(text, "'12345' ");
	statement_find_keys(text, REFUSED, &keys);
	assert_int_equal(keys.n, STATEMENT_KEYS_MAX);
}

static void
reads_whatever_it_is(void **state)
{
	static const char *const pieces[] = {"'", "$$", "$a$", "\\", "\"", "/*", "*/", "--", "\n", "e", "api_key ", ";",
	"alter user mapping options (", ")", "''", "%", "x"};
	char		text[2048];
	char		out[sizeof(text)];
	StatementKeys keys = {0};

	(void) state;
	statement_find_keys("options 'x$$x', 'xxxx', $a$x'/*$a$", REFUSED, &keys);
	srand(1);
	for (int round = 0; round < 20000; round++)
	{
		text[0] = '\0';
		for (int i = rand() % 40; i > 0; i--)
			strcat(text, pieces[rand() % (int) (sizeof(pieces) / sizeof(pieces[0]))]);
		statement_hide_values(text, (StatementReading) {round % 3 == 0, round % 2 == 0}, round % 5 == 0 ? &keys : NULL, out);
		assert_true(strlen(out) <= strlen(text));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_texts_that_may_hold_a_key),
		cmocka_unit_test(hides_the_values_of_mappings),
		cmocka_unit_test(hides_other_options_that_sound_like_a_key),
		cmocka_unit_test(reads_all_kinds_of_literals),
		cmocka_unit_test(reads_backslashes_as_it_is_told),
		cmocka_unit_test(goes_into_literals),
		cmocka_unit_test(hides_what_a_statement_is_composed_of),
		cmocka_unit_test(hides_nothing_else),
		cmocka_unit_test(hides_what_comments_call_a_key),
		cmocka_unit_test(hides_all_literals_of_a_refused_text),
		cmocka_unit_test(finds_what_may_be_keys),
		cmocka_unit_test(hides_keys_wherever_they_are),
		cmocka_unit_test(hides_keys_in_literals_only),
		cmocka_unit_test(keeps_to_its_bounds),
		cmocka_unit_test(reads_whatever_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
