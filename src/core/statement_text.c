/*
 * statement_text.c
 *		Texts of SQL statements that may hold an API key, without its values.
 */
#include "core/statement_text.h"

#include <string.h>

/* So many asterisks stand for a value: its length tells nothing. */
#define ASTERISKS			3

/* A shorter value is a part of ordinary words. */
#define SHORTEST_KEY		4

/* ----------
 * Words
 * ----------
 */

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char) (c | 0x20) : c;
}

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_word_character(char c)
{
	return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80) != 0;
}

/* The word is in lower case. */
static bool
begins_with(const char *text, const char *word)
{
	while (*word != '\0' && lower(*text) == *word)
		text++, word++;
	return *word == '\0';
}

static bool
has_word(const char *text, const char *word)
{
	for (; *text != '\0'; text++)
		if (begins_with(text, word))
			return true;
	return false;
}

bool
statement_may_hold_key(const char *text)
{
	if (text == NULL)
		return false;
	if (has_word(text, "api_key") || has_word(text, "apikey"))
		return true;
	return has_word(text, "options") &&
		((has_word(text, "user") && has_word(text, "mapping")) ||
		 (has_word(text, "server") && (has_word(text, "key") || has_word(text, "token"))));
}

/* ----------
 * Values
 * ----------
 */

typedef struct Scanner
{
	const char *at;
	bool		backslashes;	/* escape in a plain literal */
	bool		in_line_comment;
	int			comments;		/* in one another */
	bool		in_name;		/* in double quotes */
	bool		names_key;		/* the last word was "api_key" */
	bool		in_options;		/* values may be keys */
} Scanner;

typedef struct Value
{
	const char *text;
	size_t		size;
	bool		may_be_key;
} Value;

/* Whether quotes and dollars mean nothing here. */
static bool
in_comment_or_name(const Scanner *scanner)
{
	return scanner->in_line_comment || scanner->comments > 0 || scanner->in_name;
}

/* Go over what begins or ends a comment or a name; false if nothing does here. */
static bool
skip_mark(Scanner *scanner)
{
	bool		in_comment = scanner->in_line_comment || scanner->comments > 0;

	if (*scanner->at == '"' && !in_comment)
	{
		scanner->in_name = !scanner->in_name;
		scanner->at++;
		return true;
	}
	if (scanner->in_name)
		return false;
	if (!in_comment && begins_with(scanner->at, "--"))
		scanner->in_line_comment = true;
	else if (!scanner->in_line_comment && begins_with(scanner->at, "/*"))
		scanner->comments++;
	else if (scanner->comments > 0 && begins_with(scanner->at, "*/"))
		scanner->comments--;
	else if (scanner->in_line_comment && *scanner->at == '\n')
		scanner->in_line_comment = false;
	else
		return false;
	/* What a comment names gives the words after it no meaning. */
	if (in_comment && !in_comment_or_name(scanner))
		scanner->names_key = false;
	scanner->at += *scanner->at == '\n' ? 1 : 2;
	return true;
}

static void
take_value(Scanner *scanner, const char *text, size_t size, Value *value)
{
	*value = (Value) {text, size, scanner->in_options};
	scanner->names_key = false;
}

/* The inside of a literal: up to its closing quote, or to the end of the text. */
static void
read_literal(Scanner *scanner, bool backslashes, Value *value)
{
	const char *start = ++scanner->at;

	while (*scanner->at != '\0' && (*scanner->at != '\'' || scanner->at[1] == '\''))
	{
		bool		is_pair = *scanner->at == '\'' || (backslashes && *scanner->at == '\\' && scanner->at[1] != '\0');

		scanner->at += is_pair ? 2 : 1;
	}
	take_value(scanner, start, (size_t) (scanner->at - start), value);
	if (*scanner->at != '\0')
		scanner->at++;
}

/*
 * The inside of $tag$...$tag$, if there is no blank in it: else it is a body,
 * with values of its own. Goes on after the first tag then.
 */
static bool
read_dollar_literal(Scanner *scanner, Value *value)
{
	const char *tag = scanner->at++;
	const char *start;
	const char *end;

	while (is_word_character(*scanner->at))
		scanner->at++;
	if (*scanner->at != '$')
		return false;
	start = ++scanner->at;
	for (end = start; *end != '\0' && strncmp(end, tag, (size_t) (start - tag)) != 0; end++)
		if (is_blank(*end))
			return false;
	take_value(scanner, start, (size_t) (end - start), value);
	scanner->at = *end != '\0' ? end + (start - tag) : end;
	return true;
}

/* A value without quotes, where a key was named: that is no SQL, but it is a key. */
static void
read_bare_value(Scanner *scanner, Value *value)
{
	const char *start = scanner->at;

	while (*scanner->at != '\0' && !is_blank(*scanner->at) && strchr(",);'\"", *scanner->at) == NULL)
		scanner->at++;
	take_value(scanner, start, (size_t) (scanner->at - start), value);
}

/* Read a word, with the quote of a literal that it may belong to (E'...'). Returns false if it is not a value. */
static bool
read_word(Scanner *scanner, Value *value)
{
	const char *start = scanner->at;

	while (is_word_character(*scanner->at))
		scanner->at++;
	if (*scanner->at == '\'' && !in_comment_or_name(scanner))
	{
		read_literal(scanner, scanner->backslashes || (scanner->at - start == 1 && lower(*start) == 'e'), value);
		return true;
	}
	if (begins_with(start, "api_key") || begins_with(start, "apikey"))
		scanner->names_key = scanner->in_options = true;
	else if (begins_with(start, "options") && (size_t) (scanner->at - start) == strlen("options"))
		scanner->in_options = true;
	else if (scanner->names_key)
	{
		scanner->at = start;
		read_bare_value(scanner, value);
		return true;
	}
	return false;
}

/* Go on to the next value, and after it. Returns false at the end of the text. */
static bool
next_value(Scanner *scanner, Value *value)
{
	while (*scanner->at != '\0')
	{
		char		c = *scanner->at;

		if (skip_mark(scanner))
			continue;
		if (is_word_character(c))
		{
			if (read_word(scanner, value))
				return true;
		}
		else if (c == '\'' && !in_comment_or_name(scanner))
		{
			read_literal(scanner, scanner->backslashes, value);
			return true;
		}
		else if (c == '$' && !in_comment_or_name(scanner))
		{
			if (read_dollar_literal(scanner, value))
				return true;
		}
		else if (scanner->names_key && !is_blank(c) && strchr("\"'$=:>(,);", c) == NULL)
		{
			read_bare_value(scanner, value);
			return true;
		}
		else
			scanner->at++;
	}
	return false;
}

void
statement_find_keys(const char *text, bool backslashes, StatementKeys *keys)
{
	Scanner		scanner = {.at = text,.backslashes = backslashes};
	Value		value;

	while (keys->n < STATEMENT_KEYS_MAX && next_value(&scanner, &value))
	{
		if (!value.may_be_key || value.size < SHORTEST_KEY)
			continue;
		keys->keys[keys->n].text = value.text;
		keys->keys[keys->n].size = value.size;
		keys->n++;
	}
}

/* ----------
 * Asterisks
 * ----------
 */

/* Write asterisks for a value of some size: never more than it had bytes. */
static char *
write_asterisks(char *out, size_t size)
{
	size_t		n = size < ASTERISKS ? size : ASTERISKS;

	memset(out, '*', n);
	return out + n;
}

static char *
copy(char *out, const char *from, const char *to)
{
	memmove(out, from, (size_t) (to - from));
	return out + (to - from);
}

/* What is written is never ahead of what is read. */
void
statement_hide_values(char *text, bool backslashes)
{
	Scanner		scanner = {.at = text,.backslashes = backslashes};
	const char *copied = text;
	char	   *out = text;
	Value		value;

	while (next_value(&scanner, &value))
	{
		out = copy(out, copied, value.text);
		out = write_asterisks(out, value.size);
		copied = value.text + value.size;
	}
	memmove(out, copied, strlen(copied) + 1);
}

/* The size of the key that a text begins with; 0 for none. */
static size_t
key_at(const char *text, const StatementKeys *keys)
{
	for (int i = 0; i < keys->n; i++)
		if (strncmp(text, keys->keys[i].text, keys->keys[i].size) == 0)
			return keys->keys[i].size;
	return 0;
}

void
statement_hide_keys(char *text, const StatementKeys *keys)
{
	char	   *out = text;

	while (*text != '\0')
	{
		size_t		size = key_at(text, keys);

		if (size > 0)
			out = write_asterisks(out, size);
		else
			*out++ = *text;
		text += size > 0 ? size : 1;
	}
	*out = '\0';
}
