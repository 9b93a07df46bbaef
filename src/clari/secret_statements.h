/*
 * secret_statements.h
 *		Keeps statements that hold an API key out of sight.
 *
 * The key is in the text of CREATE and ALTER USER MAPPING. The validator sees
 * only those that get as far; preloaded, we look at all of them, and at
 * whatever is about to be logged. Of statements that hold no key, nothing is
 * hidden.
 */
#ifndef CLARI_SECRET_STATEMENTS_H
#define CLARI_SECRET_STATEMENTS_H

#define HIDDEN_STATEMENT	"<USER MAPPING command, text hidden>"

/* Once, while preloading, and after whoever keeps texts of statements. */
extern void secret_statements_install_hooks(void);

#endif							/* CLARI_SECRET_STATEMENTS_H */
