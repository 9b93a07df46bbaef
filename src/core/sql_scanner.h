/*
 * sql_scanner.h
 *		The words and signs of an SQL text, and of the texts in its literals.
 *
 * What is in a literal may be a statement again: the body of a function or
 * block, what EXECUTE gets, and a literal in that. The scanner goes into each,
 * up to a depth, and reads what is there as PostgreSQL would. It reads where a
 * literal or comment ends exactly as PostgreSQL's own scanner does, so that no
 * text means one thing to the server and another thing here. It needs no memory.
 */
#ifndef CORE_SQL_SCANNER_H
#define CORE_SQL_SCANNER_H

#include <stdbool.h>
#include <stddef.h>

/* Literals and comments in one another; what is still deeper is not gone into. */
#define SQL_DEPTH_MAX	6

/* Enough of a word to tell it by. */
#define SQL_WORD_MAX	32

typedef enum SqlEnclosure
{
	SQL_PLAIN,					/* '...' */
	SQL_ESCAPED,				/* E'...' */
	SQL_DOLLARS,				/* $tag$...$tag$ */
	SQL_LINE_COMMENT,
	SQL_BLOCK_COMMENT
} SqlEnclosure;

typedef struct SqlLevel
{
	SqlEnclosure kind;
	const char *tag;			/* behind the first dollar of $tag$ */
	int			comments;		/* open ones in a block comment */
} SqlLevel;

typedef struct SqlScanner
{
	const char *at;
	bool		backslashes;	/* escape in a plain literal */
	bool		names_are_text; /* double quotes mean nothing */
	bool		was_escaped;	/* the literal before, which the next may continue */
	int			depth;
	SqlLevel	levels[SQL_DEPTH_MAX];
} SqlScanner;

typedef enum SqlTokenKind
{
	SQL_END,
	SQL_WORD,
	SQL_SIGN,
	SQL_OPENED,					/* a literal or a comment: the scanner is in it */
	SQL_CLOSED					/* it is out of it again */
} SqlTokenKind;

typedef struct SqlToken
{
	SqlTokenKind kind;
	const char *start;
	char		sign;
	char		word[SQL_WORD_MAX]; /* in lower case */
	bool		is_quoted;		/* a name in double quotes */
	bool		is_comment;		/* what was opened or closed */
} SqlToken;

extern void sql_next_token(SqlScanner *scanner, SqlToken *token);

/* Whether the scanner is in a comment. */
extern bool sql_in_comment(const SqlScanner *scanner);

/* Go to the end of the literal that was opened, and out of it. Returns where the end is. */
extern const char *sql_skip_literal(SqlScanner *scanner);

/* Go on from a place over so many bytes, or to the end of the literal. Returns where that is. */
extern const char *sql_skip_bytes(SqlScanner *scanner, const char *from, size_t size);

/* Go on from a place to the next blank or delimiter, which is returned. */
extern const char *sql_skip_bare(SqlScanner *scanner, const char *from);

#endif							/* CORE_SQL_SCANNER_H */
