/*
 * test_statement_text.c
 *		Texts of SQL statements that may hold an API key, without its values.
 */
#include "unit.h"

#include <string.h>

#include "core/statement_text.h"

static void
check_hidden(const char *text, const char *expected)
{
	char		copy[512];

	snprintf(copy, sizeof(copy), "%s", text);
	statement_hide_values(copy, false);
	assert_string_equal(copy, expected);
}

static void
check_keys(const char *text, const char *expected)
{
	StatementKeys keys = {0};
	char		found[512] = "";

	statement_find_keys(text, false, &keys);
	for (int i = 0; i < keys.n; i++)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%.*s", i > 0 ? "|" : "",
				 (int) keys.keys[i].size, keys.keys[i].text);
	assert_string_equal(found, expected);
}

static void
tells_statements_that_may_hold_a_key(void **state)
{
	(void) state;
	assert_true(statement_may_hold_key("create user mapping for u server s options (api_key 'k')"));
	assert_true(statement_may_hold_key("CREATE USER MAPPING FOR u SERVER s OPTIONS (KEY 'k')"));
	assert_true(statement_may_hold_key("ALTER SERVER s OPTIONS (ADD Token 'k')"));
	assert_true(statement_may_hold_key("SELECT set_apikey('k')"));
	assert_false(statement_may_hold_key("SELECT 'a user of a mapping'"));
	assert_false(statement_may_hold_key("ALTER SERVER s OPTIONS (SET base_url 'https://example.com')"));
	assert_false(statement_may_hold_key(""));
	assert_false(statement_may_hold_key(NULL));
}

static void
hides_values_and_nothing_else(void **state)
{
	(void) state;
	check_hidden("CREATE USER MAPPING FOR u SERVER s OPTIONS (api_key 'the-key');",
				 "CREATE USER MAPPING FOR u SERVER s OPTIONS (api_key '***');");
	check_hidden("DROP TABLE t; SELECT 12 /* api_key */", "DROP TABLE t; SELECT 12 /* api_key */");
	check_hidden("SELECT '', 'a', 'it''s', \"it's\", 'b'", "SELECT '', '*', '***', \"it's\", '*'");
	check_hidden("", "");
}

static void
reads_all_kinds_of_literals(void **state)
{
	(void) state;
	check_hidden("(api_key E'the\\'key', x)", "(api_key E'***', x)");
	check_hidden("(api_key U&'the-key')", "(api_key **'***')");
	check_hidden("(api_key $$the-key$$) x", "(api_key $$***$$) x");
	check_hidden("(api_key $k$the'key$k$) x", "(api_key $k$***$k$) x");
	check_hidden("DO $$ BEGIN EXECUTE 'api_key ''key'''; DROP TABLE t; END $$",
				 "DO $$ BEGIN EXECUTE '***'; DROP TABLE t; END $$");
	check_hidden("SELECT $1, 'x''", "SELECT $1, '***");
}

static void
reads_backslashes_as_it_is_told(void **state)
{
	char		text[] = "('the\\'key')";

	(void) state;
	statement_hide_values(text, true);
	assert_string_equal(text, "('***')");
	check_hidden("('x\\', y)", "('**', y)");
}

static void
hides_what_has_lost_its_quotes(void **state)
{
	(void) state;
	check_hidden("OPTIONS (api_key 'the-key", "OPTIONS (api_key '***");
	check_hidden("OPTIONS (api_key the-key)", "OPTIONS (api_key ***)");
	check_hidden("OPTIONS (api_key => -the-key,x)", "OPTIONS (api_key => ***,x)");
	check_hidden("OPTIONS (api_key \"the-key\", x)", "OPTIONS (api_key \"***\", x)");
	check_hidden("OPTIONS (\"api_key 'the-key', x)", "OPTIONS (\"api_key '***', x)");
}

static void
hides_nothing_behind_a_comment_or_a_name(void **state)
{
	(void) state;
	check_hidden("/* it's an api_key */ DROP TABLE t", "/* it's an api_key */ DROP TABLE t");
	check_hidden("-- api_key: it's\nDROP TABLE t", "-- api_key: **'s\nDROP TABLE t");
	check_hidden("/* /* ' */ ' */ DROP TABLE t", "/* /* ' */ ' */ DROP TABLE t");
	check_hidden("SELECT 1 \"'/*\"; DROP TABLE t -- api_key", "SELECT 1 \"'/*\"; DROP TABLE t -- api_key");
}

static void
finds_what_may_be_keys(void **state)
{
	(void) state;
	check_keys("COMMENT ON TABLE t IS 'none'", "");
	check_keys("x 'none' OPTIONS (a 'key-1', b 'abc', c 'key-2')", "key-1|key-2");
	check_keys("SELECT set_it('none', api_key => 'key-1')", "key-1");
	check_keys("OPTIONS (api_key key-1)", "key-1");
}

static void
hides_keys_wherever_they_are(void **state)
{
	StatementKeys keys = {0};
	char		text[] = "at or near \"the-key\": the-ke the-keythe-key";

	(void) state;
	statement_find_keys("OPTIONS (api_key 'the-key', b 'other')", false, &keys);
	statement_hide_keys(text, &keys);
	assert_string_equal(text, "at or near \"***\": the-ke ******");
}

static void
keeps_to_its_bounds(void **state)
{
	StatementKeys keys = {0};
	char		text[16384] = "options ";

	(void) state;
	for (int i = 0; i < 1000; i++)
		strcat(text, "'12345' ");
	statement_find_keys(text, false, &keys);
	assert_int_equal(keys.n, STATEMENT_KEYS_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_statements_that_may_hold_a_key),
		cmocka_unit_test(hides_values_and_nothing_else),
		cmocka_unit_test(reads_all_kinds_of_literals),
		cmocka_unit_test(reads_backslashes_as_it_is_told),
		cmocka_unit_test(hides_what_has_lost_its_quotes),
		cmocka_unit_test(hides_nothing_behind_a_comment_or_a_name),
		cmocka_unit_test(finds_what_may_be_keys),
		cmocka_unit_test(hides_keys_wherever_they_are),
		cmocka_unit_test(keeps_to_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
