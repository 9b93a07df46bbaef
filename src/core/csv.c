/*
 * csv.c
 *		Reading CSV (RFC 4180) where it lies, field by field.
 */
#include "core/csv.h"

#include <string.h>

#define BYTE_ORDER_MARK	"\xEF\xBB\xBF"
#define QUOTE			'"'
#define COMMA			','
#define IS_LINE_END(c)	((c) == '\n' || (c) == '\r')

void
csv_start(CsvReader *reader, const char *text, size_t size)
{
	size_t		mark = strlen(BYTE_ORDER_MARK);

	reader->at = text;
	reader->end = text + size;
	reader->after_comma = false;
	reader->line = reader->field_line = 1;
	if (size >= mark && memcmp(text, BYTE_ORDER_MARK, mark) == 0)
		reader->at += mark;
}

/* CR LF is one end. */
static void
skip_line_end(CsvReader *reader)
{
	if (*reader->at++ == '\r' && reader->at < reader->end && *reader->at == '\n')
		reader->at++;
	reader->line++;
}

/* The rest of a field behind its opening quote, up to the closing one. */
static CsvToken
read_quoted(CsvReader *reader, CsvField *field)
{
	field->text = reader->at;
	while (reader->at < reader->end)
	{
		if (IS_LINE_END(*reader->at))
		{
			skip_line_end(reader);
			continue;
		}
		if (*reader->at++ != QUOTE)
			continue;
		if (reader->at < reader->end && *reader->at == QUOTE)
		{
			field->has_quotes = true;
			reader->at++;
			continue;
		}
		field->size = (size_t) (reader->at - 1 - field->text);
		return CSV_FIELD;
	}
	return CSV_UNTERMINATED;
}

static void
read_plain(CsvReader *reader, CsvField *field)
{
	field->text = reader->at;
	while (reader->at < reader->end && *reader->at != COMMA && *reader->at != QUOTE && !IS_LINE_END(*reader->at))
		reader->at++;
	field->size = (size_t) (reader->at - field->text);
}

/* What stands behind a field. */
static CsvToken
end_field(CsvReader *reader)
{
	reader->after_comma = reader->at < reader->end && *reader->at == COMMA;
	if (reader->after_comma)
	{
		reader->at++;
		return CSV_FIELD;
	}
	if (reader->at == reader->end)
		return CSV_LAST_FIELD;
	if (!IS_LINE_END(*reader->at))
		return CSV_STRAY_QUOTE;
	skip_line_end(reader);
	return CSV_LAST_FIELD;
}

CsvToken
csv_next(CsvReader *reader, CsvField *field)
{
	field->has_quotes = false;
	reader->field_line = reader->line;
	if (reader->at == reader->end && !reader->after_comma)
		return CSV_END;
	if (reader->at == reader->end || *reader->at != QUOTE)
		read_plain(reader, field);
	else
	{
		reader->at++;
		if (read_quoted(reader, field) == CSV_UNTERMINATED)
			return CSV_UNTERMINATED;
	}
	return end_field(reader);
}

size_t
csv_field_write(const CsvField *field, char *out)
{
	const char *from = field->text;
	const char *end = field->text + field->size;
	size_t		n = 0;

	while (from < end)
	{
		const char *quote = field->has_quotes ? memchr(from, QUOTE, (size_t) (end - from)) : NULL;
		size_t		piece = (size_t) ((quote != NULL ? quote + 1 : end) - from);

		memcpy(out + n, from, piece);
		n += piece;
		from += piece + (quote != NULL ? 1 : 0);
	}
	return n;
}
