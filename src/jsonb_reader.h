/*
 * jsonb_reader.h
 *		Looking into jsonb without copying it.
 */
#ifndef CLARI_JSONB_READER_H
#define CLARI_JSONB_READER_H

#include "utils/jsonb.h"

/* A text without a zero byte at its end, usually inside a jsonb value. */
typedef struct Slice
{
	const char *text;			/* NULL for no text */
	int			length;
} Slice;

extern bool slice_equal(Slice a, Slice b);
extern uint32 slice_hash(Slice slice);
extern bool slice_is(Slice slice, const char *text);
extern text *slice_to_text(Slice slice);
extern Slice slice_copy(MemoryContext context, Slice slice);

/* A member of an object; false if there is none, or the object is an array. */
extern bool jsonb_member(JsonbContainer *object, const char *name, JsonbValue *value);

/* A member that is an array, or NULL. */
extern JsonbContainer *jsonb_member_array(JsonbContainer *object, const char *name);

/*
 * The text of a string, number or boolean; no text for anything else, nor for a
 * number beyond bigint or with more than a hundred digits behind the point.
 */
extern Slice jsonb_scalar(const JsonbValue *value);
extern Slice jsonb_member_scalar(JsonbContainer *object, const char *name);

/* The same as a text of its own, or NULL; of an object or an array, its JSON. */
extern text *jsonb_text(const JsonbValue *value);
extern text *jsonb_member_text(JsonbContainer *object, const char *name);

/* Returns true if the value is an object or an array. */
static inline bool
jsonb_is_container(const JsonbValue *value)
{
	return value->type == jbvBinary;
}

/*
 * Visit the objects in an array, in order; other elements are left out. What
 * the visitor allocates lives until it returns.
 */
typedef void (*ObjectVisitor) (JsonbContainer *object, void *argument);
extern void jsonb_visit_objects(JsonbContainer *array, ObjectVisitor visit, void *argument);

#endif							/* CLARI_JSONB_READER_H */
