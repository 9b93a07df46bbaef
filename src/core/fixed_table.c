/*
 * fixed_table.c
 *		A hash table of a fixed capacity in one piece of memory.
 *
 * Slots and buckets are numbered from 0; a bucket is the number of its first
 * slot, and a slot names the next one of its bucket. Free slots form a chain
 * of their own.
 */
#include "core/fixed_table.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define NOBODY		(-1)		/* the end of a chain */
#define ALIGNMENT	8

struct FixedTable
{
	int			capacity;
	int			count;
	int			first_free;
	size_t		slot_size;
	size_t		entry_size;
	size_t		key_size;
	int			buckets[];		/* one for each slot, which come after them */
};

typedef struct Slot
{
	int			next;			/* in the chain */
	bool		used;
	char		entry[] __attribute__((aligned(ALIGNMENT)));
} Slot;

static size_t
aligned(size_t size)
{
	return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t
slots_offset(int capacity)
{
	return aligned(offsetof(FixedTable, buckets) + (size_t) capacity * sizeof(int));
}

static size_t
slot_size(size_t entry_size)
{
	return aligned(offsetof(Slot, entry) + entry_size);
}

size_t
fixed_table_size(int capacity, size_t entry_size)
{
	return slots_offset(capacity) + (size_t) capacity * slot_size(entry_size);
}

static Slot *
slot(FixedTable *table, int n)
{
	return (Slot *) ((char *) table + slots_offset(table->capacity) + (size_t) n * table->slot_size);
}

static Slot *
slot_of(const void *entry)
{
	return (Slot *) ((char *) entry - offsetof(Slot, entry));
}

static int
number_of(FixedTable *table, const Slot *s)
{
	return (int) ((size_t) ((const char *) s - (const char *) slot(table, 0)) / table->slot_size);
}

/* FNV-1a: the keys are hashes or small numbers. */
static int *
bucket_of(FixedTable *table, const void *key)
{
	const unsigned char *bytes = key;
	uint64_t	hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < table->key_size; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
	return &table->buckets[hash % (uint64_t) table->capacity];
}

void
fixed_table_init(FixedTable *table, int capacity, size_t entry_size, size_t key_size)
{
	table->capacity = capacity;
	table->count = 0;
	table->entry_size = entry_size;
	table->slot_size = slot_size(entry_size);
	table->key_size = key_size;
	for (int i = 0; i < capacity; i++)
	{
		table->buckets[i] = NOBODY;
		slot(table, i)->used = false;
		slot(table, i)->next = i + 1 < capacity ? i + 1 : NOBODY;
	}
	table->first_free = capacity > 0 ? 0 : NOBODY;
}

void *
fixed_table_find(FixedTable *table, const void *key)
{
	for (int n = *bucket_of(table, key); n != NOBODY; n = slot(table, n)->next)
		if (memcmp(slot(table, n)->entry, key, table->key_size) == 0)
			return slot(table, n)->entry;
	return NULL;
}

void *
fixed_table_add(FixedTable *table, const void *key)
{
	int		   *bucket = bucket_of(table, key);
	int			n = table->first_free;
	Slot	   *s;

	if (n == NOBODY)
		return NULL;
	s = slot(table, n);
	table->first_free = s->next;
	table->count++;

	s->used = true;
	s->next = *bucket;
	*bucket = n;
	memset(s->entry, 0, table->entry_size);
	memcpy(s->entry, key, table->key_size);
	return s->entry;
}

void
fixed_table_remove(FixedTable *table, void *entry)
{
	Slot	   *s = slot_of(entry);
	int			n = number_of(table, s);
	int		   *link = bucket_of(table, entry);

	while (*link != n)
		link = &slot(table, *link)->next;
	*link = s->next;
	s->used = false;
	s->next = table->first_free;
	table->first_free = n;
	table->count--;
}

void *
fixed_table_next(FixedTable *table, const void *entry)
{
	int			n = entry == NULL ? 0 : number_of(table, slot_of(entry)) + 1;

	while (n < table->capacity && !slot(table, n)->used)
		n++;
	return n < table->capacity ? slot(table, n)->entry : NULL;
}

int
fixed_table_capacity(const FixedTable *table)
{
	return table->capacity;
}

int
fixed_table_count(const FixedTable *table)
{
	return table->count;
}
