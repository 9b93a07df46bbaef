/*
 * jsonb_reader.c
 *		Looking into jsonb without copying it.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "jsonb_reader.h"

static const Slice no_text = {NULL, 0};

bool
slice_equal(Slice a, Slice b)
{
	return a.length == b.length && (a.text == NULL) == (b.text == NULL) &&
		(a.length == 0 || memcmp(a.text, b.text, (size_t) a.length) == 0);
}

uint32
slice_hash(Slice slice)
{
	return hash_bytes((const unsigned char *) slice.text, slice.length);
}

bool
slice_is(Slice slice, const char *text)
{
	return slice.length == (int) strlen(text) && memcmp(slice.text, text, (size_t) slice.length) == 0;
}

text *
slice_to_text(Slice slice)
{
	return cstring_to_text_with_len(slice.text, slice.length);
}

bool
jsonb_member(JsonbContainer *object, const char *name, JsonbValue *value)
{
	return JsonContainerIsObject(object) &&
		getKeyJsonValueFromContainer(object, name, (int) strlen(name), value) != NULL;
}

JsonbContainer *
jsonb_member_array(JsonbContainer *object, const char *name)
{
	JsonbValue	value;

	if (!jsonb_member(object, name, &value) || !jsonb_is_container(&value) ||
		!JsonContainerIsArray(value.val.binary.data))
		return NULL;
	return value.val.binary.data;
}

Slice
jsonb_scalar(const JsonbValue *value)
{
	Slice		slice = no_text;

	switch (value->type)
	{
		case jbvString:
			slice.text = value->val.string.val;
			slice.length = value->val.string.len;
			break;
		case jbvNumeric:
			slice.text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
			slice.length = (int) strlen(slice.text);
			break;
		case jbvBool:
			slice.text = value->val.boolean ? "true" : "false";
			slice.length = (int) strlen(slice.text);
			break;
		default:
			break;
	}
	return slice;
}

Slice
jsonb_member_scalar(JsonbContainer *object, const char *name)
{
	JsonbValue	value;

	return jsonb_member(object, name, &value) ? jsonb_scalar(&value) : no_text;
}

void
jsonb_visit_objects(JsonbContainer *array, ObjectVisitor visit, void *argument)
{
	MemoryContext visit_context = AllocSetContextCreate(CurrentMemoryContext, "clari_export object",
														ALLOCSET_DEFAULT_SIZES);
	JsonbIterator *iterator = JsonbIteratorInit(array);
	MemoryContext caller_context = MemoryContextSwitchTo(visit_context);
	JsonbIteratorToken token;
	JsonbValue	element;

	/* Nested values are skipped, so the iterator itself allocates nothing. */
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM || !jsonb_is_container(&element) ||
			!JsonContainerIsObject(element.val.binary.data))
			continue;
		CHECK_FOR_INTERRUPTS();
		visit(element.val.binary.data, argument);
		MemoryContextReset(visit_context);
	}
	MemoryContextSwitchTo(caller_context);
	MemoryContextDelete(visit_context);
}
