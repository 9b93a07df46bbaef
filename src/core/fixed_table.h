/*
 * fixed_table.h
 *		A hash table of a fixed capacity in one piece of memory.
 *
 * It holds no pointers, so that it may live in memory that processes share,
 * and an entry stays where it is until it is removed. Who may touch it when is
 * the caller's business.
 */
#ifndef CORE_FIXED_TABLE_H
#define CORE_FIXED_TABLE_H

#include <stddef.h>

typedef struct FixedTable FixedTable;

/* Bytes that a table needs; entry_size includes the key. */
extern size_t fixed_table_size(int capacity, size_t entry_size);

/* Make an empty table. A key is the first key_size bytes of an entry. */
extern void fixed_table_init(FixedTable *table, int capacity, size_t entry_size, size_t key_size);

/* The entry with that key, or NULL. */
extern void *fixed_table_find(FixedTable *table, const void *key);

/*
 * A new entry with a key that the table does not have; all zeros but for the
 * key. NULL if the table is full.
 */
extern void *fixed_table_add(FixedTable *table, const void *key);

extern void fixed_table_remove(FixedTable *table, void *entry);

/* Every entry in turn: the first one after NULL; NULL after the last. */
extern void *fixed_table_next(FixedTable *table, const void *entry);

extern int	fixed_table_capacity(const FixedTable *table);
extern int	fixed_table_count(const FixedTable *table);

#endif							/* CORE_FIXED_TABLE_H */
