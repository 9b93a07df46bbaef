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

#define LONGEST_SCALE	100

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

Slice
slice_copy(MemoryContext context, Slice slice)
{
	char	   *text = MemoryContextAlloc(context, (Size) slice.length + 1);
	Slice		copy = {text, slice.length};

	memcpy(text, slice.text, (size_t) slice.length);
	return copy;
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

/*
 * jsonb keeps 1e131071 in ten bytes, and 0e-16383 too: such a number is no id
 * and no moment, and written out it would be millions of times its size.
 */
static bool
is_short_number(Numeric number)
{
	Datum		datum = NumericGetDatum(number);
	Datum		limit = NumericGetDatum(int64_to_numeric(PG_INT64_MAX));

	return DatumGetInt32(DirectFunctionCall1(numeric_scale, datum)) <= LONGEST_SCALE &&
		DatumGetBool(DirectFunctionCall2(numeric_le, DirectFunctionCall1(numeric_abs, datum), limit));
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
			if (!is_short_number(value->val.numeric))
				break;
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

text *
jsonb_text(const JsonbValue *value)
{
	Slice		scalar;

	if (jsonb_is_container(value))
	{
		char	   *json = JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
		text	   *text = cstring_to_text(json);

		pfree(json);
		return text;
	}
	scalar = jsonb_scalar(value);
	return scalar.text != NULL ? slice_to_text(scalar) : NULL;
}

text *
jsonb_member_text(JsonbContainer *object, const char *name)
{
	JsonbValue	value;

	return jsonb_member(object, name, &value) ? jsonb_text(&value) : NULL;
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
		CHECK_FOR_INTERRUPTS();
		if (token != WJB_ELEM || !jsonb_is_container(&element) ||
			!JsonContainerIsObject(element.val.binary.data))
			continue;
		visit(element.val.binary.data, argument);
		MemoryContextReset(visit_context);
	}
	MemoryContextSwitchTo(caller_context);
	MemoryContextDelete(visit_context);
}
