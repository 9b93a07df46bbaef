/*
 * statement.h
 *		Names and literals for the statements that a HINT shows.
 *
 * Whoever pastes such a statement gets what it says, whatever the search path
 * is and whatever functions of the same name somebody has planted.
 */
#ifndef CLARI_STATEMENT_H
#define CLARI_STATEMENT_H

/*
 * Find the extension's schema, inside a transaction. Where an error is being
 * raised nothing can be looked up: the schema found last is used then.
 */
extern void statement_find_schema(void);

/* An object of the extension with its schema, as it was found last. */
extern char *statement_name(const char *object);

/* The same, found just now: for an error that we raise in a transaction. */
extern char *statement_name_now(const char *object);

/* A text as a literal of exactly that type. */
extern char *statement_text(const char *text);

/* A text as one word of a shell's command. */
extern char *statement_shell_word(const char *text);

#endif							/* CLARI_STATEMENT_H */
