/*
 * flat_form.c
 *		Clari's CSV of a forecast as its flat form: an array of row objects.
 *
 * A known header becomes a member as Clari spells it, whatever its case; any
 * other column stays as it is, and one without a header is left out. Every
 * value is a text, as in the CSV.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/jsonb.h"

#include "core/csv.h"
#include "core/flat_column.h"
#include "flat_form.h"

#define MOST_COLUMNS	100		/* each is compared with those before it */

/* Without these it is the CSV of something else. */
static const FlatColumn required[] = {FLAT_FIELD, FLAT_DATA_VALUE};

typedef struct CsvHeader
{
	CsvField	names[MOST_COLUMNS];	/* an empty one: its column is left out */
	int			n;
} CsvHeader;

/* ----------
 * Errors
 * ----------
 */

static void
raise_at(size_t line, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
			 errmsg("the CSV cannot be read from line %zu on", line),
			 errdetail_internal("%s", detail)));
}

static void
check_token(const CsvReader *reader, CsvToken token)
{
	if (token == CSV_UNTERMINATED)
		raise_at(reader->field_line, "The quoted field that begins there does not end.");
	if (token == CSV_STRAY_QUOTE)
		raise_at(reader->line, "A quote belongs at the ends of a field, and is written twice inside a quoted one.");
}

/* ----------
 * JSON
 * ----------
 */

static void
append_escaped(StringInfo json, char c)
{
	if (c == '"' || c == '\\')
		appendStringInfoChar(json, '\\');
	if ((unsigned char) c < ' ')
		appendStringInfo(json, "\\u%04x", c);
	else
		appendStringInfoChar(json, c);
}

/* What a field says, as a JSON string; the second one of two quotes is the same. */
static void
append_string(StringInfo json, const CsvField *field)
{
	const char *end = field->text + field->size;

	appendStringInfoChar(json, '"');
	for (const char *c = field->text; c < end; c++)
	{
		const char *start = c;

		while (c < end && (unsigned char) *c >= ' ' && *c != '"' && *c != '\\')
			c++;
		appendBinaryStringInfo(json, start, (int) (c - start));
		if (c == end)
			break;
		append_escaped(json, *c);
		if (*c == '"')
			c++;
	}
	appendStringInfoChar(json, '"');
}

/* ----------
 * The header
 * ----------
 */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Its name, in Clari's spelling if it is known. */
static CsvField
name_of(CsvField field)
{
	FlatColumn	column;

	while (field.size > 0 && is_blank(field.text[field.size - 1]))
		field.size--;
	for (; field.size > 0 && is_blank(*field.text); field.size--)
		field.text++;
	column = flat_column_find(field.text, field.size);
	if (column < FLAT_COLUMNS)
	{
		field.text = flat_column_header(column);
		field.size = strlen(field.text);
	}
	return field;
}

static bool
has_name(const CsvHeader *header, const char *name, size_t size)
{
	for (int i = 0; i < header->n; i++)
		if (header->names[i].size == size && memcmp(header->names[i].text, name, size) == 0)
			return true;
	return false;
}

/* Returns NULL if it was read, or what is wrong with it. */
static const char *
read_header(CsvReader *reader, CsvHeader *header)
{
	CsvToken	token;
	CsvField	field;

	header->n = 0;
	do
	{
		CsvField	name;

		token = csv_next(reader, &field);
		if (token == CSV_END)
			return "It is empty.";
		if (token != CSV_FIELD && token != CSV_LAST_FIELD)
			return "The header ends in a quoted field that is none.";
		name = name_of(field);
		if (header->n == MOST_COLUMNS)
			return "It has more columns than a forecast.";
		if (name.size > 0 && has_name(header, name.text, name.size))
			return "Two columns have the same header.";
		header->names[header->n++] = name;
	} while (token == CSV_FIELD);
	for (int i = 0; i < (int) lengthof(required); i++)
	{
		const char *name = flat_column_header(required[i]);

		if (!has_name(header, name, strlen(name)))
			return "A forecast's CSV has columns \"Field\" and \"Data Value\" in its header.";
	}
	return NULL;
}

bool
flat_form_is_csv(const char *text, size_t size)
{
	CsvReader	reader;
	CsvHeader	header;

	csv_start(&reader, text, size);
	return read_header(&reader, &header) == NULL;
}

/* ----------
 * Rows
 * ----------
 */

typedef struct FlatForm
{
	CsvReader	reader;
	CsvHeader	header;
	StringInfoData json;
	size_t		jsonb_size;		/* at least */
} FlatForm;

/* Jsonb keeps an entry for each name and each value; the JSON need not become as large first. */
static void
count_member(FlatForm *form, size_t size)
{
	form->jsonb_size += size + 2 * sizeof(JEntry);
	if (form->jsonb_size > JENTRY_OFFLENMASK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("total size of jsonb array elements exceeds the maximum of %d bytes", JENTRY_OFFLENMASK)));
}

static void
add_member(FlatForm *form, int column, const CsvField *field)
{
	const CsvField *name = &form->header.names[column];

	if (name->size == 0)
		return;
	count_member(form, name->size + field->size);
	if (form->json.data[form->json.len - 1] != '{')
		appendStringInfoChar(&form->json, ',');
	append_string(&form->json, name);
	appendStringInfoChar(&form->json, ':');
	append_string(&form->json, field);
}

/* The record whose first field was read. */
static void
add_row(FlatForm *form, CsvToken token, CsvField *field)
{
	size_t		line = form->reader.field_line;
	int			n = 0;

	appendStringInfoString(&form->json, form->json.len > 1 ? ",{" : "{");
	add_member(form, n++, field);
	while (token == CSV_FIELD)
	{
		token = csv_next(&form->reader, field);
		check_token(&form->reader, token);
		if (n == form->header.n)
			raise_at(line, psprintf("It has more fields than the header, which has %d.", form->header.n));
		add_member(form, n++, field);
	}
	if (n < form->header.n)
		raise_at(line, psprintf("It has %d fields, and the header has %d.", n, form->header.n));
	appendStringInfoChar(&form->json, '}');
}

static bool
is_empty_line(const CsvHeader *header, CsvToken token, const CsvField *field)
{
	return header->n > 1 && token == CSV_LAST_FIELD && field->size == 0;
}

char *
flat_form_of_csv(const char *text, size_t size)
{
	FlatForm	form = {.jsonb_size = 0};
	CsvField	field;
	CsvToken	token;
	const char *fault;

	csv_start(&form.reader, text, size);
	fault = read_header(&form.reader, &form.header);
	if (fault != NULL)
		raise_at(form.reader.field_line, fault);
	initStringInfo(&form.json);
	appendStringInfoChar(&form.json, '[');
	while ((token = csv_next(&form.reader, &field)) != CSV_END)
	{
		CHECK_FOR_INTERRUPTS();
		check_token(&form.reader, token);
		if (!is_empty_line(&form.header, token, &field))
			add_row(&form, token, &field);
	}
	appendStringInfoChar(&form.json, ']');
	return form.json.data;
}
