/*
 * statement_text.h
 *		Texts of SQL statements that may hold an API key, without its values.
 *
 * What can be said of a text that the parser does not understand, or never
 * sees: where its values are (literals, and the word after "api_key") and which
 * of them may be a key. The rest of the text stays, so that nobody hides a
 * statement by having it look like one of these.
 */
#ifndef CORE_STATEMENT_TEXT_H
#define CORE_STATEMENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define STATEMENT_KEYS_MAX	16

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

/* Whether a text names an API key, a user mapping's options, or a key or token of a server. NULL does not. */
extern bool statement_may_hold_key(const char *text);

/* Add those values of a text that come after "api_key" or "options"; backslashes: as they are read in plain literals. */
extern void statement_find_keys(const char *text, bool backslashes, StatementKeys *keys);

/* Put asterisks, in place, where the values of a text were: nothing else changes. */
extern void statement_hide_values(char *text, bool backslashes);

/* Put asterisks, in place, wherever a text repeats a key. */
extern void statement_hide_keys(char *text, const StatementKeys *keys);

#endif							/* CORE_STATEMENT_TEXT_H */
