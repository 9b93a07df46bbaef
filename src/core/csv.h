/*
 * csv.h
 *		Reading CSV (RFC 4180) where it lies, field by field.
 *
 * Nothing is allocated, and reading takes time in proportion to the text.
 * Lines end in CR LF, LF or CR; a byte order mark before the first is skipped.
 */
#ifndef CORE_CSV_H
#define CORE_CSV_H

#include <stdbool.h>
#include <stddef.h>

typedef enum CsvToken
{
	CSV_FIELD,					/* more fields follow in its record */
	CSV_LAST_FIELD,				/* the last one of its record */
	CSV_END,
	CSV_UNTERMINATED,			/* a quoted field does not end */
	CSV_STRAY_QUOTE,			/* a quote in a field that is not quoted, or text after a quoted one */
} CsvToken;

typedef struct CsvField
{
	const char *text;			/* without the quotes around it */
	size_t		size;
	bool		has_quotes;		/* quotes inside it are still written twice */
} CsvField;

typedef struct CsvReader
{
	const char *at;
	const char *end;
	bool		after_comma;
	size_t		line;			/* the next field's, from 1 */
	size_t		field_line;		/* on which the field read last begins */
} CsvReader;

/* The text must outlive the reader and its fields. */
extern void csv_start(CsvReader *reader, const char *text, size_t size);

/* Read a field. An empty line is a record of one empty field. */
extern CsvToken csv_next(CsvReader *reader, CsvField *field);

/* Write what a field says into out, which has room for its size; returns how many bytes that are. */
extern size_t csv_field_write(const CsvField *field, char *out);

#endif							/* CORE_CSV_H */
