/*
 * test_utf8.c
 *		Characters of UTF-8, and what of them may be shown.
 */
#include "unit.h"

#include <string.h>

#include "core/utf8.h"

static void
check_shown(const char *text, const char *expected)
{
	char		out[64];

	utf8_show(text, out, sizeof(out));
	assert_string_equal(out, expected);
}

static void
reads_back_what_it_writes(void **state)
{
	(void) state;
	for (uint32_t c = 1; c <= 0x10FFFF; c++)
	{
		char		bytes[4];
		const char *at = bytes;
		const char *end = bytes + utf8_write(c, bytes);

		assert_int_equal(utf8_read(&at, end), c >= 0xD800 && c <= 0xDFFF ? UTF8_NONE : c);
		assert_true(at == (c >= 0xD800 && c <= 0xDFFF ? bytes + 1 : end));
	}
}

static void
shows_texts_as_they_are(void **state)
{
	(void) state;
	check_shown("", "");
	check_shown("Gr\xC3\xBC\xC3\x9F""e \xE2\x82\xAC \xF0\x9F\x8D\x84", "Gr\xC3\xBC\xC3\x9F""e \xE2\x82\xAC \xF0\x9F\x8D\x84");
}

static void
shows_what_acts_as_a_question_mark(void **state)
{
	(void) state;
	check_shown("a\tb\r\nc", "a b  c");
	check_shown("\x1B[31m\x7F", "?[31m?");
	check_shown("\xE2\x80\xAE", "?");
}

static void
shows_what_is_no_character_as_question_marks(void **state)
{
	(void) state;
	check_shown("\xFF\xC0\x80", "???");
	check_shown("cut \xF0\x9F\x8D", "cut ???");
	check_shown("\xED\xA0\x80", "???");
}

static void
cuts_between_characters(void **state)
{
	char		out[8];

	(void) state;
	utf8_show("\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC", out, sizeof(out));
	assert_string_equal(out, "\xE2\x82\xAC\xE2\x82\xAC");
	utf8_show("abcdefgh", out, sizeof(out));
	assert_string_equal(out, "abcdefg");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_back_what_it_writes),
		cmocka_unit_test(shows_texts_as_they_are),
		cmocka_unit_test(shows_what_acts_as_a_question_mark),
		cmocka_unit_test(shows_what_is_no_character_as_question_marks),
		cmocka_unit_test(cuts_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
