/*
 * dictionary.c
 *		One of the arrays of a result that entries refer to by id.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "rows/dictionary.h"

#define FIRST_SIZE	64

typedef struct Definition
{
	Slice		id;
	uint32		hash;
	char		status;
	text	  **texts;
} Definition;

#define SH_PREFIX definitions
#define SH_ELEMENT_TYPE Definition
#define SH_KEY_TYPE Slice
#define SH_KEY id
#define SH_HASH_KEY(table, key) slice_hash(key)
#define SH_EQUAL(table, a, b) slice_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, element) (element)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct Dictionary
{
	MemoryContext context;
	definitions_hash *definitions;
	const char *const *names;
	int			n_names;
};

static void
add_definition(JsonbContainer *object, void *argument)
{
	Dictionary *dictionary = argument;
	MemoryContext old_context = MemoryContextSwitchTo(dictionary->context);
	Slice		id = jsonb_member_scalar(object, dictionary->names[0]);
	Definition *definition;
	bool		found = true;

	if (id.text != NULL)
		definition = definitions_insert(dictionary->definitions, id, &found);
	if (!found)
	{
		definition->texts = palloc0((size_t) dictionary->n_names * sizeof(text *));
		for (int i = 0; i < dictionary->n_names; i++)
			definition->texts[i] = jsonb_member_text(object, dictionary->names[i]);
	}
	MemoryContextSwitchTo(old_context);
}

Dictionary *
dictionary_make(JsonbContainer *array, const char *const *names, int n_names)
{
	Dictionary *dictionary = palloc(sizeof(Dictionary));

	dictionary->context = CurrentMemoryContext;
	dictionary->definitions = definitions_create(CurrentMemoryContext, FIRST_SIZE, NULL);
	dictionary->names = names;
	dictionary->n_names = n_names;
	if (array != NULL)
		jsonb_visit_objects(array, add_definition, dictionary);
	return dictionary;
}

text **
dictionary_find(Dictionary *dictionary, Slice id)
{
	Definition *definition = id.text != NULL ? definitions_lookup(dictionary->definitions, id) : NULL;

	return definition != NULL ? definition->texts : NULL;
}
