/*
 * foreign_keys.h
 *		Which rows of the queue's tables the foreign keys of others refer to.
 */
#ifndef CLARI_FOREIGN_KEYS_H
#define CLARI_FOREIGN_KEYS_H

/* A foreign key that stands in the way of a deletion. */
typedef struct ForeignKey
{
	char	   *name;			/* of the constraint */
	char	   *table;			/* that has it, with its schema, as a statement names it */
} ForeignKey;

/*
 * Of rows of one of the queue's tables, those that no foreign key refers to.
 *
 * table, id: the table and its key column, as they are called in the schema
 * rows: of the table, a bigint[] of ids; the caller has locked them FOR UPDATE,
 *		so that nobody begins to refer to them
 * found: a foreign key that refers to others of them; its name is NULL if there
 *		is none
 *
 * Returns a bigint[]. In a transaction of the queue.
 */
extern Datum foreign_keys_leave(const char *table, const char *id, Datum rows, ForeignKey *found);

#endif							/* CLARI_FOREIGN_KEYS_H */
