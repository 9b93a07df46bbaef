/*
 * test_json.c
 *		Reading JSON where it lies.
 */
#include "unit.h"

#include "core/json.h"

#define N_RANDOM 200000

/* In memory of just its size, so that valgrind sees a byte too far. */
static char *
exact_copy(const char *text, size_t size)
{
	char	   *copy = malloc(size > 0 ? size : 1);

	memcpy(copy, text, size);
	return copy;
}

static bool
is_json(const char *text, size_t size)
{
	char	   *copy = exact_copy(text, size);
	Json		value;
	bool		found = json_read(copy, size, &value);

	assert_int_equal(found, value.text != NULL);
	free(copy);
	return found;
}

static Json
read(const char *text)
{
	Json		value;

	if (!json_read(text, strlen(text), &value))
		fail_msg("not taken for JSON: %s", text);
	return value;
}

/* ----------
 * The grammar
 * ----------
 */

static void
reads_what_is_json(void **state)
{
	static const char *const texts[] = {
		"null", "true", "false", "0", "-0", "12", "-1.5", "1e9", "1E+9", "0.1e-9", "\"\"", "\"a\"",
		"[]", "[ ]", "{}", "{ }", "[1]", "[1,2]", "[ 1 , 2 ]", "[[],[[]],{}]", "{\"a\":1}",
		" { \"a\" : [ { } , null ] , \"b\" : \"\\\"\" } ", "\t\r\n1\n", "\"\\u00e9\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\\\\"",
		"\"\\ud83d\"", "\"\\u0000\"", "\"a\tb\"", "\"\xff\"", "\xef\xbb\xbf{}", "\xef\xbb\xbf \"\"",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (!is_json(texts[i], strlen(texts[i])))
			fail_msg("not taken for JSON: %s", texts[i]);
	assert_true(is_json("\"a\0b\"", 5));
}

static void
refuses_what_is_not(void **state)
{
	static const char *const texts[] = {
		"", " ", "nul", "nulll", "True", "tru", "+1", "-", "01", "1.", ".5", "1e", "1e+", "0x1", "NaN", "Infinity",
		"'a'", "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "[", "]", "[1", "[1,", "[1,]", "[,]", "[1 2]",
		"{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{1:1}", "{,}", "{\"a\":}",
		"[}", "{]", "[1}", "{\"a\":1]", "[[1]", "{}{}", "1 2", "[] x", "\xef\xbb\xbf", "\xef\xbb{}", "\xef\xbb\xbf\xef\xbb\xbf{}",
		"<html></html>", "// {}", "/**/1", ",", ":",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (is_json(texts[i], strlen(texts[i])))
			fail_msg("taken for JSON: %s", texts[i]);
	assert_false(is_json("{}\0", 3));
	assert_false(is_json("\0", 1));
}

static void
refuses_a_text_cut_anywhere(void **state)
{
	const char *text = "\xef\xbb\xbf{\"a\": [1.5e-3, \"\\u00e9\xc3\xa9\", true, null, {\"b\": {}}], \"c\": false}";

	(void) state;
	assert_true(is_json(text, strlen(text)));
	for (size_t size = 0; size < strlen(text); size++)
		assert_false(is_json(text, size));
}

/* As deep as it says, and no deeper; and that of arrays and objects mixed. */
static void
limits_nesting(void **state)
{
	size_t		size = 2 * (JSON_MAX_NESTING + 1);
	char	   *text = malloc(size);

	(void) state;
	memset(text, '[', size / 2);
	memset(text + size / 2, ']', size / 2);
	assert_false(is_json(text, size));
	assert_true(is_json(text + 1, size - 2));
	text[size - 2] = '}';
	assert_false(is_json(text + 1, size - 2));
	free(text);
}

/* ----------
 * Values
 * ----------
 */

static void
tells_types(void **state)
{
	(void) state;
	assert_int_equal(json_type(read(" null")), JSON_NULL);
	assert_int_equal(json_type(read("true")), JSON_BOOLEAN);
	assert_int_equal(json_type(read("false")), JSON_BOOLEAN);
	assert_int_equal(json_type(read("-1")), JSON_NUMBER);
	assert_int_equal(json_type(read("7")), JSON_NUMBER);
	assert_int_equal(json_type(read("\"\"")), JSON_STRING);
	assert_int_equal(json_type(read("[]")), JSON_ARRAY);
	assert_int_equal(json_type(read("\xef\xbb\xbf{}")), JSON_OBJECT);
	assert_int_equal(json_type((Json) {NULL, 0}), JSON_NONE);
	assert_true(json_is_true(read("true")));
	assert_false(json_is_true(read("false")));
	assert_false(json_is_true(read("\"true\"")));
	assert_false(json_is_true((Json) {NULL, 0}));
}

static void
finds_members(void **state)
{
	Json		object = read("{\"a\" : 1 , \"b\":{\"a\":2,\"c\":3}, \"c\\u0064\":\"x\",\"e\":[{\"f\":1}] ,\"a\":null }");

	(void) state;
	assert_int_equal(json_type(json_member(object, "a")), JSON_NULL);	/* the last one, as jsonb has it */
	assert_int_equal(json_integer(json_member(json_member(object, "b"), "c")), 3);
	assert_int_equal(json_type(json_member(object, "cd")), JSON_STRING);
	assert_int_equal(json_type(json_member(object, "c")), JSON_NONE);
	assert_int_equal(json_type(json_member(object, "f")), JSON_NONE);
	assert_int_equal(json_type(json_member(object, "")), JSON_NONE);
	assert_int_equal(json_type(json_member(read("{}"), "a")), JSON_NONE);
	assert_int_equal(json_type(json_member(read("[\"a\"]"), "a")), JSON_NONE);
	assert_int_equal(json_type(json_member(read("\"a\""), "a")), JSON_NONE);
	assert_int_equal(json_type(json_member((Json) {NULL, 0}, "a")), JSON_NONE);
}

static int
count_elements(Json array)
{
	Json		element;
	int			n = 0;

	while (json_next(&array, &element))
		n++;
	return n;
}

static void
goes_over_elements(void **state)
{
	Json		array = read("[ 1 , [2, 3] ,{\"a\":[4]},\"5, 6\" , -7 ]");
	Json		element;

	(void) state;
	assert_true(json_next(&array, &element));
	assert_int_equal(json_integer(element), 1);
	assert_true(json_next(&array, &element));
	assert_int_equal(count_elements(element), 2);
	assert_true(json_next(&array, &element));
	assert_int_equal(count_elements(json_member(element, "a")), 1);
	assert_true(json_next(&array, &element));
	assert_int_equal(json_type(element), JSON_STRING);
	assert_true(json_next(&array, &element));
	assert_int_equal(json_integer(element), -7);
	assert_false(json_next(&array, &element));
	assert_false(json_next(&array, &element));

	assert_int_equal(count_elements(read("[]")), 0);
	assert_int_equal(count_elements(read("[ ]")), 0);
	assert_int_equal(count_elements(read("{\"a\":1}")), 0);
	assert_int_equal(count_elements(read("1")), 0);
	assert_int_equal(count_elements((Json) {NULL, 0}), 0);
}

/* ----------
 * Texts
 * ----------
 */

static void
check_text(const char *json, const char *expected)
{
	char		out[64];

	assert_true(json_text(read(json), out, sizeof(out)));
	assert_string_equal(out, expected);
}

static void
decodes_texts(void **state)
{
	(void) state;
	check_text("\"\"", "");
	check_text("\"a \\\"b\\\" \\\\ \\/ c\"", "a \"b\" \\ / c");
	check_text("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	check_text("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	check_text("\"\xc2\x80\"", "?");
	check_text("\"\xf4\x8f\xbf\xbf\"", "\xf4\x8f\xbf\xbf");
}

static void
shows_nothing_that_acts(void **state)
{
	(void) state;
	check_text("\"a\\tb\\nc\\rd\te\"", "a b c d e");
	check_text("\"\\u0000\\u001b[2J\\b\\f\x1b\x07\x7f\"", "??[2J?????");
	check_text("\"\\u009b\xc2\x9b\"", "??");
	check_text("\"\\u202e\xe2\x80\xae\\u2066\\u200f\\ufeff\\u2028\"", "??????");
}

static void
shows_no_byte_that_is_no_text(void **state)
{
	(void) state;
	check_text("\"\xff\xfe\"", "??");
	check_text("\"\x80x\xc3\"", "?x?");
	check_text("\"\xc0\xaf\xe0\x80\xaf\"", "?????");	/* an overlong slash */
	check_text("\"\xed\xa0\xbd\"", "???");	/* half a pair in UTF-8 */
	check_text("\"\xf4\x90\x80\x80\"", "????"); /* past the last character */
	check_text("\"\xe6\x97\"", "??");
	check_text("\"\\ud83d\\ud83d\\ude00\"", "?\xf0\x9f\x98\x80");
	check_text("\"\\ud83dx\\ude00\"", "?x?");
	check_text("\"\\ud83d\\u0041\"", "?A");
}

/* Wherever the cut falls, no part of a character may stay. */
static void
cuts_between_characters(void **state)
{
	char		out[8];

	(void) state;
	for (size_t size = 1; size <= sizeof(out); size++)
	{
		char		exact[8];
		bool		fits = json_text(read("\"\xc3\xa9\xe2\x82\xac\""), exact, size);

		assert_int_equal(fits, size > 5);
		assert_int_equal(strlen(exact), size > 5 ? 5 : size > 2 ? 2 : 0);
	}
}

/* ----------
 * Numbers
 * ----------
 */

static void
check_integer(const char *json, int64_t expected)
{
	if (json_integer(read(json)) != expected)
		fail_msg("%s: %lld", json, (long long) json_integer(read(json)));
}

static void
reads_integers(void **state)
{
	char		long_number[4096];

	(void) state;
	check_integer("0", 0);
	check_integer("-0", 0);
	check_integer("1617830852000", INT64_C(1617830852000));
	check_integer("-12", -12);
	check_integer("1.617830852e12", INT64_C(1617830852000));
	check_integer("1.6178308521239e12", INT64_C(1617830852123));
	check_integer("1617830852000.9", INT64_C(1617830852000));
	check_integer("-1.9", -1);
	check_integer("12e0", 12);
	check_integer("12E+2", 1200);
	check_integer("1200e-2", 12);
	check_integer("1200e-9", 0);
	check_integer("0.00012e5", 12);
	check_integer("9223372036854775807", INT64_MAX);
	check_integer("9223372036854775808", INT64_MAX);
	check_integer("-9223372036854775808", INT64_MIN);
	check_integer("-9223372036854775809", INT64_MIN);
	check_integer("-9223372036854775807", -INT64_MAX);
	check_integer("1e18", INT64_C(1000000000000000000));
	check_integer("1e19", INT64_MAX);
	check_integer("-1e19", INT64_MIN);
	check_integer("1e400000", INT64_MAX);
	check_integer("1e99999999999999999999999", INT64_MAX);
	check_integer("1e-99999999999999999999999", 0);
	check_integer("0e99999999999999999999999", 0);
	check_integer("-0.0e99999999999999999999999", 0);
	check_integer("12345678901234567890123e-10", INT64_C(1234567890123));

	memset(long_number, '7', sizeof(long_number) - 1);
	long_number[sizeof(long_number) - 1] = '\0';
	check_integer(long_number, INT64_MAX);
	memset(long_number, '0', sizeof(long_number) - 1);
	memcpy(long_number, "0.", 2);
	memcpy(long_number + sizeof(long_number) - 7, "5e4095", 6);
	check_integer(long_number, 50000000);
}

/* ----------
 * Cleaning
 * ----------
 */

static void
check_clean(const char *body, const char *secret, const char *expected)
{
	size_t		size = strlen(body);
	char	   *copy = exact_copy(body, size);

	json_clean(copy, size, secret);
	assert_int_equal(size, strlen(expected));
	if (memcmp(copy, expected, size) != 0)
		fail_msg("%s became %.*s", body, (int) size, copy);
	free(copy);
}

static void
leaves_what_is_clean(void **state)
{
	static const char *const bodies[] = {
		"", "{}", "[1, -2.5e10, \"a\\u00e9\\n\\ud83d\\ude00\", true]", "\"\xc3\xa9\\\"\\\\\"", "<html>", "-", "\"", "\"\\",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
	{
		check_clean(bodies[i], NULL, bodies[i]);
		check_clean(bodies[i], "", bodies[i]);
		check_clean(bodies[i], "s3cret", bodies[i]);
	}
}

static void
hides_the_secret_however_it_is_written(void **state)
{
	(void) state;
	check_clean("{\"message\":\"key s3cret!\"}", "s3cret", "{\"message\":\"key ******!\"}");
	check_clean("{\"s3cret\":\"s3crets3cret\"}", "s3cret", "{\"******\":\"************\"}");
	check_clean("[\"\\u0073\\u0033cret\"]", "s3cret", "[\"****************\"]");
	check_clean("[\"ss3cret\"]", "s3cret", "[\"s******\"]");
	check_clean("[\"a\\/b+\\\"c\"]", "a/b+\"c", "[\"********\"]");
	check_clean("[\"s3cre\",\"t\"]", "s3cret", "[\"s3cre\",\"t\"]");
	check_clean("[\"s3cre", "s3cret", "[\"s3cre");
	check_clean("[\"caf\xc3\xa9\",\"caf\\u00e9\"]", "caf\xc3\xa9", "[\"*****\",\"*********\"]");
	check_clean("{\"n\":12345678}", "12345678", "{\"n\":12345678}");
}

static void
replaces_what_is_no_text(void **state)
{
	(void) state;
	check_clean("[\"a\\u0000b\"]", NULL, "[\"a\\u003fb\"]");
	check_clean("[\"\\ud83d\",\"\\udc00x\"]", NULL, "[\"\\u003f\",\"\\u003fx\"]");
	check_clean("[\"\\ud83d\\ud83d\\ude00\"]", NULL, "[\"\\u003f\\ud83d\\ude00\"]");
	check_clean("[\"\xff\xc3\"]", NULL, "[\"??\"]");
	check_clean("[\"a\tb\x1b\"]", NULL, "[\"a b?\"]");
}

static void
drops_numbers_of_no_use(void **state)
{
	char		body[2048] = "[";
	Json		list;
	Json		element;

	(void) state;
	check_clean("[1e400000]", NULL, "[null    ]");
	check_clean("[-1.5E-1000,1e999]", NULL, "[null      ,1e999]");
	memset(body + 1, '9', 1500);
	strcpy(body + 1501, ",1]");
	json_clean(body, strlen(body), NULL);
	list = read(body);
	assert_true(json_next(&list, &element));
	assert_int_equal(json_type(element), JSON_NULL);
}

/* ----------
 * Anything
 * ----------
 */

static unsigned int seed;

static unsigned int
random_below(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static void
append_random(char *text, size_t *size)
{
	static const char *const pieces[] = {
		"{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"a\":", "{}", "[]", "1", "-", "1e999", "1e9999", "0.5", "true", "null",
		" ", "\\", "\\u0000", "\\ud83d", "\\ude00", "\\\"", "s3cret", "s3", "\xc3\xa9", "\xc3", "\xff", "\xef\xbb\xbf", "\t", "\x01",
		"\"x\":[1,2,{\"a\":null}]", "[[[[", "]]]]",
	};
	const char *piece = pieces[random_below(sizeof(pieces) / sizeof(pieces[0]))];

	memcpy(text + *size, piece, strlen(piece));
	*size += strlen(piece);
}

/* Look at all there is of a value, at most some levels deep. */
static void
visit(Json value, int depth)
{
	char		out[16];
	Json		element;

	if (json_type(value) == JSON_STRING)
		json_text(value, out, sizeof(out));
	if (json_type(value) == JSON_NUMBER)
		json_integer(value);
	if (depth == 0)
		return;
	visit(json_member(value, "a"), depth - 1);
	while (json_next(&value, &element))
		visit(element, depth - 1);
}

/*
 * Whatever comes: cleaning does not decide what is JSON, takes the secret
 * away, and is done after once. Under valgrind nothing is read too far.
 */
static void
stands_anything(void **state)
{
	const char *given = getenv("CLARI_UNIT_SEQUENCES");
	int			n = given != NULL ? atoi(given) : N_RANDOM;

	(void) state;
	seed = 20260701;
	for (int i = 0; i < n; i++)
	{
		char		text[512];
		size_t		size = 0;
		bool		was_json;
		char	   *copy;
		char	   *again;
		Json		value;

		for (unsigned int pieces = random_below(16); pieces > 0; pieces--)
			append_random(text, &size);
		was_json = is_json(text, size);
		copy = exact_copy(text, size);
		json_clean(copy, size, "s3cret");
		if (json_read(copy, size, &value) != was_json)
			fail_msg("%.*s became %.*s", (int) size, text, (int) size, copy);
		visit(value, 4);
		if (was_json)
		{
			char		all[512] = "";

			memcpy(all, copy, size);
			assert_null(strstr(all, "s3cret"));
		}
		again = exact_copy(copy, size);
		json_clean(again, size, "s3cret");
		assert_memory_equal(again, copy, size);
		free(again);
		free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest json[] = {
		cmocka_unit_test(reads_what_is_json),
		cmocka_unit_test(refuses_what_is_not),
		cmocka_unit_test(refuses_a_text_cut_anywhere),
		cmocka_unit_test(limits_nesting),
		cmocka_unit_test(tells_types),
		cmocka_unit_test(finds_members),
		cmocka_unit_test(goes_over_elements),
		cmocka_unit_test(decodes_texts),
		cmocka_unit_test(shows_nothing_that_acts),
		cmocka_unit_test(shows_no_byte_that_is_no_text),
		cmocka_unit_test(cuts_between_characters),
		cmocka_unit_test(reads_integers),
		cmocka_unit_test(leaves_what_is_clean),
		cmocka_unit_test(hides_the_secret_however_it_is_written),
		cmocka_unit_test(replaces_what_is_no_text),
		cmocka_unit_test(drops_numbers_of_no_use),
		cmocka_unit_test(stands_anything),
	};

	return cmocka_run_group_tests(json, NULL, NULL);
}
