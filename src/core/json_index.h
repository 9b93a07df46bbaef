/*
 * json_index.h
 *		Where the arrays and objects of a JSON text end, and what they count.
 *
 * With it, a text can be gone over in any order, each part once: a container
 * is skipped without a look at what is in it.
 */
#ifndef CORE_JSON_INDEX_H
#define CORE_JSON_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "core/json.h"

/* An array or an object. They are numbered in the order in which they begin. */
typedef struct JsonExtent
{
	size_t		end;			/* of the text's bytes, the one after it */
	uint32_t	next;			/* the number of the first that begins after it */
	uint32_t	count;			/* of its elements, or members */
} JsonExtent;

/* How many a text has that json_read() has read. */
extern size_t json_count_containers(Json json);

/* Fill in all of them; containers has room for so many. */
extern void json_index(Json json, JsonExtent *containers);

#endif							/* CORE_JSON_INDEX_H */
