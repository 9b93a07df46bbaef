/*
 * statement_text.c
 *		Texts of SQL statements that may hold an API key, without its values.
 */
#include "core/statement_text.h"

#include <string.h>

#include "core/sql_scanner.h"

/* So many asterisks stand for a value: its length tells nothing. */
#define ASTERISKS			3

/* A shorter value is a part of ordinary words. */
#define SHORTEST_KEY		4

/* ----------
 * Words
 * ----------
 */

static bool
begins_with(const char *text, const char *word)
{
	while (*word != '\0' && (*text == *word || (*text >= 'A' && *text <= 'Z' && (*text | 0x20) == *word)))
		text++, word++;
	return *word == '\0';
}

/* The word is in lower case. */
static bool
has_word(const char *text, const char *word)
{
	for (; *text != '\0'; text++)
		if (begins_with(text, word))
			return true;
	return false;
}

static bool
has_any_of(const char *text, const char *const words[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (has_word(text, words[i]))
			return true;
	return false;
}

/* Names of what has no place among the options of anything else than a mapping. */
static const char *const secret_names[] = {"api", "key", "token", "secret", "pass", "cred"};

static bool
sounds_secret(const char *text)
{
	return has_any_of(text, secret_names, sizeof(secret_names) / sizeof(secret_names[0]));
}

bool
statement_may_hold_key(const char *text)
{
	if (text == NULL)
		return false;
	if (has_word(text, "api_key") || has_word(text, "apikey"))
		return true;
	return (has_word(text, "mapping") && (has_word(text, "user") || has_word(text, "options"))) ||
		((has_word(text, "server") || has_word(text, "foreign")) && has_word(text, "option") && sounds_secret(text));
}

static bool
names_key(const SqlToken *word)
{
	return begins_with(word->word, "api_key") || begins_with(word->word, "apikey");
}

/* ----------
 * Where values are
 * ----------
 */

typedef enum Place
{
	AT_BEGINNING,
	AFTER_VERB,					/* CREATE, ALTER, IMPORT */
	AFTER_USER,
	IN_MAPPING,
	IN_OTHER,					/* a server, a wrapper, a foreign table */
	ELSEWHERE
} Place;

/* The statement that is being read, at the top or in a literal. */
typedef struct Statement
{
	Place		place;
	bool		awaits_options; /* the word was the last */
	bool		in_options;
	bool		sounds_secret;	/* the option */
	bool		is_composed;	/* of literals, options in some of them */
	bool		after_key;		/* where nothing but words counts: one named the key */
} Statement;

typedef struct Reader
{
	SqlScanner	scanner;
	Statement	statements[SQL_DEPTH_MAX + 1];
	bool		is_refused;
	bool		saw_options;
	const char *literal_end;	/* of the last literal that was a value */
	const StatementKeys *keys;	/* which literals may repeat, or NULL */
} Reader;

typedef struct Value
{
	const char *text;
	size_t		size;
	bool		may_be_key;
} Value;

static Reader
reader_of(const char *text, StatementReading reading)
{
	SqlScanner	scanner = {.at = text,.backslashes = reading.backslashes,.names_are_text = reading.is_refused};

	return (Reader) {.scanner = scanner,.is_refused = reading.is_refused};
}

static bool
is_keyword(const SqlToken *token, const char *word)
{
	return !token->is_quoted && strcmp(token->word, word) == 0;
}

/* Words of blocks after which a statement begins. */
static bool
precedes_statement(const SqlToken *token)
{
	return is_keyword(token, "begin") || is_keyword(token, "then") ||
		is_keyword(token, "else") || is_keyword(token, "loop");
}

static Place
place_after(Place place, const SqlToken *token)
{
	if (place == IN_MAPPING || place == IN_OTHER)
		return place;
	if (precedes_statement(token))
		return AT_BEGINNING;
	if (place == AT_BEGINNING &&
		(is_keyword(token, "create") || is_keyword(token, "alter") || is_keyword(token, "import")))
		return AFTER_VERB;
	if (place == AFTER_VERB && is_keyword(token, "user"))
		return AFTER_USER;
	if (place == AFTER_USER && is_keyword(token, "mapping"))
		return IN_MAPPING;
	if (place == AFTER_VERB && (is_keyword(token, "server") || is_keyword(token, "foreign")))
		return IN_OTHER;
	return ELSEWHERE;
}

static void
read_word(Statement *statement, const SqlToken *token)
{
	if (statement->in_options)
	{
		statement->sounds_secret = sounds_secret(token->word);
		return;
	}
	statement->place = place_after(statement->place, token);
	statement->awaits_options = is_keyword(token, "options") &&
		(statement->place == IN_MAPPING || statement->place == IN_OTHER);
}

static void
read_sign(Statement *statement, char sign)
{
	if (sign == ';')
		*statement = (Statement) {0};
	else if (statement->in_options)
	{
		statement->in_options = sign != ')';
		/* format() puts a value in. */
		statement->is_composed |= sign == '%';
	}
	else if (sign == '(')
		statement->in_options = statement->awaits_options;
	/* Who quotes a statement puts a colon before it. */
	else if (sign == ':' && statement->place == ELSEWHERE)
		statement->place = AT_BEGINNING;
	statement->awaits_options = false;
}

/* A literal that ends amid options is a part of a statement. */
static void
read_end(Statement *outer, const Statement *inner)
{
	outer->is_composed |= inner->is_composed || inner->in_options;
}

static bool
is_value(const Reader *reader, const Statement *statement)
{
	return reader->is_refused || statement->is_composed ||
		(statement->in_options && (statement->place == IN_MAPPING || statement->sounds_secret));
}

/* Where a quote is missing or too many, what was meant to be within a literal is between two. */
static bool
adjoins_literal(const Reader *reader, const SqlToken *token)
{
	return reader->is_refused && token->kind == SQL_WORD && token->start == reader->literal_end;
}

/* Read a token where the text is no SQL. Returns whether a value without quotes begins with it. */
static bool
read_loosely(Reader *reader, Statement *statement, const SqlToken *token)
{
	bool		after_key = statement->after_key;

	if (adjoins_literal(reader, token))
		return true;
	if (token->kind == SQL_WORD)
	{
		statement->after_key = names_key(token);
		reader->saw_options |= names_key(token) || strcmp(token->word, "options") == 0;
		return after_key && !statement->after_key;
	}
	if (strchr("\"'$=:>(", token->sign) != NULL)
		return false;
	statement->after_key = false;
	return after_key && strchr(",);", token->sign) == NULL;
}

/* ----------
 * Values
 * ----------
 */

/* The size of the key that a text begins with; 0 for none. */
static size_t
key_at(const char *text, const StatementKeys *keys)
{
	for (int i = 0; i < keys->n; i++)
		if (strncmp(text, keys->keys[i].text, keys->keys[i].size) == 0)
			return keys->keys[i].size;
	return 0;
}

/* The size of the key that is repeated in a literal at a place: of a body, at its beginning only. */
static size_t
repeated_at(const Reader *reader, const SqlToken *token, const char *at)
{
	const SqlScanner *scanner = &reader->scanner;

	if (reader->keys == NULL || scanner->depth == 0 || token->kind == SQL_CLOSED || sql_in_comment(scanner))
		return 0;
	if (token->kind != SQL_OPENED && scanner->levels[scanner->depth - 1].kind == SQL_DOLLARS)
		return 0;
	return key_at(at, reader->keys);
}

static Value
value_between(const Reader *reader, const char *start, const char *end)
{
	bool		in_comment = sql_in_comment(&reader->scanner);

	return (Value) {start, (size_t) (end - start), reader->is_refused ? reader->saw_options : !in_comment};
}

/* Read one token. Returns whether it is a value. */
static bool
read_token(Reader *reader, const SqlToken *token, Value *value)
{
	SqlScanner *scanner = &reader->scanner;
	Statement  *statement = &reader->statements[scanner->depth];

	if (token->kind == SQL_OPENED)
	{
		const char *start = scanner->at;

		if (!token->is_comment && is_value(reader, statement - 1))
		{
			*value = value_between(reader, start, sql_skip_literal(scanner));
			reader->literal_end = scanner->at;
			return true;
		}
		*statement = (Statement) {0};
	}
	else if (token->kind == SQL_CLOSED && !token->is_comment)
		read_end(statement, statement + 1);
	else if (token->kind == SQL_CLOSED)
		return false;
	else if (reader->is_refused || sql_in_comment(scanner))
	{
		if (read_loosely(reader, statement, token))
		{
			*value = value_between(reader, token->start, sql_skip_bare(scanner, token->start));
			return true;
		}
	}
	else if (token->kind == SQL_WORD)
		read_word(statement, token);
	else
		read_sign(statement, token->sign);
	return false;
}

/* What is no value may be a key that a literal repeats. */
static bool
read_repeated(Reader *reader, const SqlToken *token, Value *value)
{
	const char *start = token->kind == SQL_OPENED ? reader->scanner.at : token->start;
	size_t		size = repeated_at(reader, token, start);

	if (size > 0)
		*value = value_between(reader, start, sql_skip_bytes(&reader->scanner, start, size));
	return size > 0;
}

/* Go on to the next value, and after it. Returns false at the end of the text. */
static bool
next_value(Reader *reader, Value *value)
{
	SqlToken	token;

	for (;;)
	{
		sql_next_token(&reader->scanner, &token);
		if (token.kind == SQL_END)
			return false;
		if (read_token(reader, &token, value) || read_repeated(reader, &token, value))
			return true;
	}
}

void
statement_find_keys(const char *text, StatementReading reading, StatementKeys *keys)
{
	Reader		reader = reader_of(text, reading);
	Value		value;

	while (keys->n < STATEMENT_KEYS_MAX && next_value(&reader, &value))
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
	memcpy(out, from, (size_t) (to - from));
	return out + (to - from);
}

bool
statement_hide_values(const char *text, StatementReading reading, const StatementKeys *keys, char *out)
{
	Reader		reader = reader_of(text, reading);
	const char *copied = text;
	Value		value;

	reader.keys = keys;
	while (next_value(&reader, &value))
	{
		out = copy(out, copied, value.text);
		out = write_asterisks(out, value.size);
		copied = value.text + value.size;
	}
	memcpy(out, copied, strlen(copied) + 1);
	return copied != text;
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
