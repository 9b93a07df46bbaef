/*
 * statement_text.h
 *		Texts of SQL statements that may hold an API key, without its values.
 *
 * A text that the parser has accepted is read as it reads it: the values are
 * the literals among the OPTIONS of CREATE and ALTER USER MAPPING, those of
 * other options of servers, wrappers and foreign tables that sound like a key,
 * and what a statement gets that puts such a text together. Nothing else is hidden, so that nobody hides what he
 * does behind a comment, a quote or a word.
 *
 * In a text that the parser has refused, every literal is a value, and so are
 * the word after "api_key" and what stands against a literal's end.
 */
#ifndef CORE_STATEMENT_TEXT_H
#define CORE_STATEMENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define STATEMENT_KEYS_MAX	16

/* How a text is to be read. */
typedef struct StatementReading
{
	bool		is_refused;		/* by the parser */
	bool		backslashes;	/* escape in plain literals */
} StatementReading;

/* What may be keys in a text, which has to stay. */
typedef struct StatementKeys
{
	int			n;
	struct
	{
		const char *text;
		size_t		size;
	}			keys[STATEMENT_KEYS_MAX];
} StatementKeys;

/* Whether a text has the words of one that may hold a key, wherever they are. NULL has none. */
extern bool statement_may_hold_key(const char *text);

/*
 * Copy a text with asterisks where its values were, into as many bytes, and
 * where a literal repeats one of the keys, if any are given. Returns whether
 * there were any.
 */
extern bool statement_hide_values(const char *text, StatementReading reading, const StatementKeys *keys, char *out);

/* Add those values of a text that may be keys. */
extern void statement_find_keys(const char *text, StatementReading reading, StatementKeys *keys);

/* Put asterisks, in place, wherever a text repeats a key. */
extern void statement_hide_keys(char *text, const StatementKeys *keys);

#endif							/* CORE_STATEMENT_TEXT_H */
