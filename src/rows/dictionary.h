/*
 * dictionary.h
 *		One of the arrays of a result that entries refer to by id.
 */
#ifndef CLARI_DICTIONARY_H
#define CLARI_DICTIONARY_H

#include "jsonb_reader.h"

typedef struct Dictionary Dictionary;

/*
 * Read an array of objects: the members named are kept as texts, objects and
 * arrays as JSON, under each object's id, the first member named. Of objects with the same id the first
 * one counts. array may be NULL, for none. The jsonb must outlive the
 * dictionary.
 */
extern Dictionary *dictionary_make(JsonbContainer *array, const char *const *names, int n_names);

/*
 * The texts of an id, in the order of the names; NULL for a missing one.
 * NULL if the dictionary does not have the id.
 */
extern text **dictionary_find(Dictionary *dictionary, Slice id);

#endif							/* CLARI_DICTIONARY_H */
