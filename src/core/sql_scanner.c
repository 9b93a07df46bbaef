/*
 * sql_scanner.c
 *		The words and signs of an SQL text, and of the texts in its literals.
 */
#include "core/sql_scanner.h"

#include <string.h>

/* ----------
 * Characters
 * ----------
 */

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c | 0x20) : c;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
begins_word(char c)
{
	return (lower(c) >= 'a' && lower(c) <= 'z') || c == '_' || (c & 0x80) != 0;
}

static char
unescape(char c)
{
	switch (c)
	{
		case 'n':
			return '\n';
		case 'r':
			return '\r';
		case 't':
			return '\t';
		default:
			return c;
	}
}

static bool repeats_tag(const SqlScanner *scanner, const char *at, int depth, const char *tag);

/*
 * The character that a place has for who reads at a depth, that is in so many
 * literals; '\0' at the innermost one's end. Each depth asks the one before.
 */
static char
char_at(const SqlScanner *scanner, const char *at, int depth, const char **next)
{
	const SqlLevel *level = &scanner->levels[depth - 1];
	const char *second;
	char		c;

	*next = at + 1;
	if (depth == 0)
		return *at;
	c = char_at(scanner, at, depth - 1, next);
	if (level->kind == SQL_ESCAPED && c == '\\')
		return unescape(char_at(scanner, *next, depth - 1, next));
	switch (level->kind)
	{
		case SQL_ESCAPED:
		case SQL_PLAIN:
			if (c != '\'')
				return c;
			if (char_at(scanner, *next, depth - 1, &second) != '\'')
				return '\0';
			*next = second;
			return c;
		case SQL_DOLLARS:
			return c == '$' && repeats_tag(scanner, *next, depth - 1, level->tag) ? '\0' : c;
		case SQL_LINE_COMMENT:
			return c == '\n' || c == '\r' ? '\0' : c;
		case SQL_BLOCK_COMMENT:
			return c == '*' && level->comments == 1 &&
				char_at(scanner, *next, depth - 1, &second) == '/' ? '\0' : c;
	}
	return c;
}

/* Both places are behind the first dollar. */
static bool
repeats_tag(const SqlScanner *scanner, const char *at, int depth, const char *tag)
{
	char		c;

	do
	{
		c = char_at(scanner, at, depth, &at);
		if (c != char_at(scanner, tag, depth, &tag))
			return false;
	} while (c != '$');
	return true;
}

static char
current(const SqlScanner *scanner)
{
	return char_at(scanner, scanner->at, scanner->depth, &(const char *) {0});
}

static char
following(const SqlScanner *scanner)
{
	const char *next;

	if (char_at(scanner, scanner->at, scanner->depth, &next) == '\0')
		return '\0';
	return char_at(scanner, next, scanner->depth, &(const char *) {0});
}

static void
advance(SqlScanner *scanner)
{
	const char *next;

	if (char_at(scanner, scanner->at, scanner->depth, &next) != '\0')
		scanner->at = next;
}

/* ----------
 * Literals and comments
 * ----------
 */

bool
sql_in_comment(const SqlScanner *scanner)
{
	return scanner->depth > 0 && scanner->levels[scanner->depth - 1].kind >= SQL_LINE_COMMENT;
}

/* Go into it; not if that is too deep. The place is behind what opens it. */
static bool
enter(SqlScanner *scanner, SqlToken *token, SqlEnclosure kind, const char *inside)
{
	if (scanner->depth == SQL_DEPTH_MAX)
		return false;
	scanner->levels[scanner->depth++] = (SqlLevel) {kind, NULL, 1};
	scanner->at = inside;
	token->kind = SQL_OPENED;
	token->is_comment = kind >= SQL_LINE_COMMENT;
	return true;
}

static void
skip(SqlScanner *scanner, int n)
{
	while (n-- > 0)
		advance(scanner);
}

static void
skip_tag(SqlScanner *scanner)
{
	if (current(scanner) != '$')
		return;
	advance(scanner);
	while (current(scanner) != '$' && current(scanner) != '\0')
		advance(scanner);
	advance(scanner);
}

/* Its end is reached: go over what closes it, unless the text ended before. */
static void
leave(SqlScanner *scanner)
{
	SqlEnclosure kind = scanner->levels[--scanner->depth].kind;

	if (kind < SQL_LINE_COMMENT)
		scanner->was_escaped = kind == SQL_ESCAPED;
	if (kind == SQL_BLOCK_COMMENT)
		skip(scanner, 2);
	else if (kind == SQL_DOLLARS)
		skip_tag(scanner);
	else if (kind != SQL_LINE_COMMENT && current(scanner) == '\'')
		advance(scanner);
}

/* A literal that goes on after a new line is of the same kind. */
static bool
open_literal(SqlScanner *scanner, SqlToken *token, SqlEnclosure kind)
{
	const char *inside;

	char_at(scanner, scanner->at, scanner->depth, &inside);
	if (kind == SQL_PLAIN && scanner->was_escaped)
		kind = SQL_ESCAPED;
	scanner->was_escaped = false;
	return enter(scanner, token, kind, inside);
}

static bool
open_dollars(SqlScanner *scanner, SqlToken *token)
{
	SqlScanner	ahead = *scanner;
	const char *tag;

	advance(&ahead);
	tag = ahead.at;
	if (current(&ahead) != '$' && !begins_word(current(&ahead)))
		return false;
	while (begins_word(current(&ahead)) || is_digit(current(&ahead)))
		advance(&ahead);
	if (current(&ahead) != '$')
		return false;
	advance(&ahead);
	if (!enter(scanner, token, SQL_DOLLARS, ahead.at))
		return false;
	scanner->levels[scanner->depth - 1].tag = tag;
	return true;
}

static bool
open_comment(SqlScanner *scanner, SqlToken *token)
{
	SqlScanner	ahead = *scanner;
	char		second = following(scanner);

	skip(&ahead, 2);
	if (current(scanner) == '-' && second == '-')
		return enter(scanner, token, SQL_LINE_COMMENT, ahead.at);
	if (current(scanner) == '/' && second == '*')
		return enter(scanner, token, SQL_BLOCK_COMMENT, ahead.at);
	return false;
}

/* A block comment may hold others. Returns whether one begins or ends here. */
static bool
count_comment(SqlScanner *scanner)
{
	SqlLevel   *level = &scanner->levels[scanner->depth - 1];
	char		first = current(scanner);
	char		second = following(scanner);

	if (level->kind != SQL_BLOCK_COMMENT)
		return false;
	if (!(first == '/' && second == '*') && !(first == '*' && second == '/'))
		return false;
	skip(scanner, 2);
	level->comments += first == '/' ? 1 : -1;
	return true;
}

/* ----------
 * Tokens
 * ----------
 */

static void
add_to_word(SqlToken *token, size_t *size, char c)
{
	if (*size < SQL_WORD_MAX - 1)
		token->word[(*size)++] = lower(c);
	token->word[*size] = '\0';
}

/* A word may hold dollars, a number does not. */
static void
read_word(SqlScanner *scanner, SqlToken *token)
{
	bool		is_number = is_digit(current(scanner));
	size_t		size = 0;
	char		c;

	token->kind = SQL_WORD;
	while (begins_word(c = current(scanner)) || is_digit(c) || (c == '$' && !is_number))
	{
		add_to_word(token, &size, c);
		advance(scanner);
	}
}

static void
read_name(SqlScanner *scanner, SqlToken *token)
{
	size_t		size = 0;

	token->kind = SQL_WORD;
	token->is_quoted = true;
	advance(scanner);
	while (current(scanner) != '\0' && (current(scanner) != '"' || following(scanner) == '"'))
	{
		skip(scanner, current(scanner) == '"' ? 1 : 0);
		add_to_word(token, &size, current(scanner));
		advance(scanner);
	}
	advance(scanner);
}

/* The kind of a literal by what stands right before its quote. */
static SqlEnclosure
literal_kind(const SqlScanner *scanner, const char *prefix)
{
	if (strcmp(prefix, "e") == 0)
		return SQL_ESCAPED;
	if (strcmp(prefix, "b") == 0 || strcmp(prefix, "x") == 0)
		return SQL_PLAIN;
	return scanner->backslashes ? SQL_ESCAPED : SQL_PLAIN;
}

static void
read_sign(SqlScanner *scanner, SqlToken *token)
{
	token->kind = SQL_SIGN;
	token->sign = current(scanner);
	advance(scanner);
}

/* What is no comment, in code. */
static void
read_code(SqlScanner *scanner, SqlToken *token)
{
	char		c = current(scanner);

	if (open_comment(scanner, token))
		return;
	if (c == '\'' && open_literal(scanner, token, literal_kind(scanner, "")))
		return;
	if (begins_word(c) || is_digit(c))
	{
		read_word(scanner, token);
		if (token->word[1] == '\0' && current(scanner) == '\'')
			open_literal(scanner, token, literal_kind(scanner, token->word));
	}
	else if (c == '"' && !scanner->names_are_text)
		read_name(scanner, token);
	else if (c != '$' || !open_dollars(scanner, token))
		read_sign(scanner, token);
	if (token->kind != SQL_OPENED)
		scanner->was_escaped = false;
}

static void
skip_blanks(SqlScanner *scanner)
{
	for (;;)
	{
		if (is_blank(current(scanner)))
			advance(scanner);
		else if (!sql_in_comment(scanner) || !count_comment(scanner))
			return;
	}
}

void
sql_next_token(SqlScanner *scanner, SqlToken *token)
{
	skip_blanks(scanner);
	*token = (SqlToken) {.start = scanner->at};
	if (current(scanner) != '\0')
	{
		if (!sql_in_comment(scanner))
			read_code(scanner, token);
		else if (begins_word(current(scanner)) || is_digit(current(scanner)))
			read_word(scanner, token);
		else
			read_sign(scanner, token);
	}
	else if (scanner->depth > 0)
	{
		token->kind = SQL_CLOSED;
		token->is_comment = sql_in_comment(scanner);
		leave(scanner);
	}
}

const char *
sql_skip_literal(SqlScanner *scanner)
{
	const char *end;

	while (current(scanner) != '\0')
		advance(scanner);
	end = scanner->at;
	leave(scanner);
	return end;
}

const char *
sql_skip_bytes(SqlScanner *scanner, const char *from, size_t size)
{
	scanner->at = from;
	while (current(scanner) != '\0' && scanner->at < from + size)
		advance(scanner);
	return scanner->at;
}

const char *
sql_skip_bare(SqlScanner *scanner, const char *from)
{
	scanner->at = from;
	while (current(scanner) != '\0' && !is_blank(current(scanner)) && strchr(",);'\"", current(scanner)) == NULL)
	{
		/* A comment in a comment counts. */
		if (current(scanner) == '/' && following(scanner) == '*')
			break;
		if (current(scanner) == '*' && following(scanner) == '/')
			break;
		advance(scanner);
	}
	return scanner->at;
}
