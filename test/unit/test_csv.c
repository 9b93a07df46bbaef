/*
 * test_csv.c
 *		Reading CSV field by field.
 */
#include "unit.h"

#include "core/csv.h"

/* The fields of a text, in brackets, a bar behind each record; then how it ended, if not well. */
static const char *
read_all(const char *text, size_t size)
{
	static char out[1024];
	CsvReader	reader;
	CsvField	field;
	CsvToken	token;
	size_t		n = 0;

	csv_start(&reader, text, size);
	while ((token = csv_next(&reader, &field)) == CSV_FIELD || token == CSV_LAST_FIELD)
	{
		assert_true(n + field.size + 4 < sizeof(out));
		out[n++] = '[';
		n += csv_field_write(&field, out + n);
		out[n++] = ']';
		if (token == CSV_LAST_FIELD)
			out[n++] = '|';
	}
	out[n] = '\0';
	if (token == CSV_UNTERMINATED)
		snprintf(out + n, sizeof(out) - n, "unterminated %zu", reader.field_line);
	if (token == CSV_STRAY_QUOTE)
		snprintf(out + n, sizeof(out) - n, "stray %zu", reader.line);
	return out;
}

static void
check(const char *text, const char *expected)
{
	size_t		size = strlen(text);
	char	   *copy = malloc(size > 0 ? size : 1);

	/* Without a zero behind it, so that valgrind sees a step too far. */
	assert_non_null(copy);
	memcpy(copy, text, size);
	assert_string_equal(read_all(copy, size), expected);
	free(copy);
}

static void
reads_plain_fields(void **state)
{
	(void) state;
	check("", "");
	check("a", "[a]|");
	check("a,b", "[a][b]|");
	check("a,b\r\nc,d\r\n", "[a][b]|[c][d]|");
	check("a\nb\rc", "[a]|[b]|[c]|");
	check(" a , b ", "[ a ][ b ]|");
	check("a,", "[a][]|");
	check(",", "[][]|");
	check(",\n,", "[][]|[][]|");
	check("\n", "[]|");
	check("a\r\n\r\nb", "[a]|[]|[b]|");
}

static void
reads_quoted_fields(void **state)
{
	(void) state;
	check("\"a\",\"b\"\r\n", "[a][b]|");
	check("\"a,b\"", "[a,b]|");
	check("\"\"", "[]|");
	check("\"\",\"\"", "[][]|");
	check("\"say \"\"hello\"\"\",x", "[say \"hello\"][x]|");
	check("\"\"\"\"", "[\"]|");
	check("\"\"\"\"\"\"", "[\"\"]|");
	check("\"two\r\nlines\",b", "[two\r\nlines][b]|");
	check("\"\n\r\r\n\"", "[\n\r\r\n]|");
}

static void
skips_one_byte_order_mark(void **state)
{
	(void) state;
	check("\xEF\xBB\xBF", "");
	check("\xEF\xBB\xBF" "a,b", "[a][b]|");
	check("\xEF\xBB\xBF\"a,b\"", "[a,b]|");
	check("\xEF\xBB\xBF\xEF\xBB\xBF" "a", "[\xEF\xBB\xBF" "a]|");
	check("\xEF\xBB", "[\xEF\xBB]|");
	check("a\n\xEF\xBB\xBF" "b", "[a]|[\xEF\xBB\xBF" "b]|");
}

static void
says_where_it_breaks(void **state)
{
	(void) state;
	check("\"", "unterminated 1");
	check("\"a", "unterminated 1");
	check("a\nb,\"c\nd\n\ne", "[a]|[b]unterminated 2");
	check("\"a\"\"", "unterminated 1");
	check("a\"b", "stray 1");
	check("a\"\"", "stray 1");
	check("a\n\"b\"c", "[a]|stray 2");
	check("\"a\nb\" ,c", "stray 2");
}

/* Whatever the bytes are, every step goes on, and what is read was there. */
static void
ends_for_any_text(void **state)
{
	static const char alphabet[] = {'"', ',', '\n', '\r', 'a', '\0', (char) 0xEF};
	unsigned	random = 12345;

	(void) state;
	for (int round = 0; round < 20000; round++)
	{
		char		text[24];
		size_t		size = (size_t) round % sizeof(text);
		CsvReader	reader;
		CsvField	field;
		CsvToken	token;
		size_t		read = 0;
		size_t		tokens = 0;

		for (size_t i = 0; i < size; i++)
		{
			random = random * 1103515245U + 12345U;
			text[i] = alphabet[(random >> 16) % sizeof(alphabet)];
		}
		csv_start(&reader, text, size);
		while ((token = csv_next(&reader, &field)) == CSV_FIELD || token == CSV_LAST_FIELD)
		{
			char		out[sizeof(text)];

			assert_true(field.size <= size);
			assert_true(csv_field_write(&field, out) <= field.size);
			read += field.size;
			assert_true(++tokens <= size + 1);
		}
		assert_true(read <= size);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_plain_fields),
		cmocka_unit_test(reads_quoted_fields),
		cmocka_unit_test(skips_one_byte_order_mark),
		cmocka_unit_test(says_where_it_breaks),
		cmocka_unit_test(ends_for_any_text),
	};

	return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
