/*
 * list_rows.c
 *		clari_export_activity_rows() and clari_export_audit_rows(): results that
 *		are a list, as rows.
 *
 * One object, one row. Clari's lists repeat objects; of those with the same
 * natural key the first one counts.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/tuplestore.h"

#include "jsonb_reader.h"
#include "rows/dictionary.h"
#include "rows/forecast_values.h"

#define FIRST_SIZE		64
#define MOST_COLUMNS	10

typedef enum CellType
{
	CELL_TEXT,
	CELL_MOMENT,
	CELL_TEXTS,					/* an array */
	CELL_JSON,
	CELL_ACTOR_NAME,			/* of the actor whose id the member has */
	CELL_ACTOR_EMAIL,
} CellType;

/* A column of a function, in its order. */
typedef struct ListColumn
{
	const char *member;
	CellType	type;
	bool		in_key;
} ListColumn;

typedef struct ListForm
{
	const char *array;			/* the member that is the list */
	const char *what;
	ListColumn	columns[MOST_COLUMNS];
	int			n;
} ListForm;

static const ListForm activities = {
	"activities", "an activity export",
	{
		{"activityId", CELL_TEXT, true},
		{"activityType", CELL_TEXT, false},
		{"subject", CELL_TEXT, false},
		{"date", CELL_MOMENT, false},
		{"activityOwnerId", CELL_TEXT, false},
		{"activityOrganiserId", CELL_TEXT, false},
		{"participants", CELL_TEXTS, false},
		{"accounts", CELL_TEXTS, false},
		{"opportunities", CELL_TEXTS, false},
	},
	9
};

static const ListForm audit_events = {
	"items", "an export of audit events",
	{
		{"eventTimestamp", CELL_MOMENT, true},
		{"event", CELL_TEXT, true},
		{"eventParameters", CELL_JSON, true},
		{"actorId", CELL_TEXT, true},
		{"actorId", CELL_ACTOR_NAME, false},
		{"actorId", CELL_ACTOR_EMAIL, false},
		{"impersonatingActorId", CELL_TEXT, true},
		{"sessionId", CELL_TEXT, true},
		{"sessionType", CELL_TEXT, false},
		{"correlationID", CELL_TEXT, true},
	},
	10
};

static const char *const actor_names[] = {"actorId", "name", "email"};

typedef struct SeenKey
{
	Slice		key;
	uint32		hash;
	char		status;
} SeenKey;

#define SH_PREFIX seen
#define SH_ELEMENT_TYPE SeenKey
#define SH_KEY_TYPE Slice
#define SH_KEY key
#define SH_HASH_KEY(table, key) slice_hash(key)
#define SH_EQUAL(table, a, b) slice_equal(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, element) (element)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct ListReader
{
	const ListForm *form;
	ReturnSetInfo *result_info;
	Dictionary *actors;
	seen_hash  *seen;
	MemoryContext context;
	Datum		values[MOST_COLUMNS];
	bool		nulls[MOST_COLUMNS];
} ListReader;

/* ----------
 * Cells
 * ----------
 */

/* The elements of an array, an object as its JSON; anything else is the one element. */
static ArrayType *
texts_of(const JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;
	Datum	   *texts;
	int			n = 0;

	if (!jsonb_is_container(value) || !JsonContainerIsArray(value->val.binary.data))
	{
		texts = palloc(sizeof(Datum));
		texts[n] = PointerGetDatum(jsonb_text(value));
		return construct_array(texts, DatumGetPointer(texts[0]) != NULL, TEXTOID, -1, false, TYPALIGN_INT);
	}
	texts = MemoryContextAllocHuge(CurrentMemoryContext,
								   (Size) (JsonContainerSize(value->val.binary.data) + 1) * sizeof(Datum));
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_ELEM && (texts[n] = PointerGetDatum(jsonb_text(&element))) != 0)
			n++;
	}
	return construct_array(texts, n, TEXTOID, -1, false, TYPALIGN_INT);
}

/* A text of the actor of an id, or NULL. */
static text *
actor_text(ListReader *reader, const JsonbValue *id, int name)
{
	text	  **texts = dictionary_find(reader->actors, jsonb_scalar(id));

	return texts != NULL ? texts[name] : NULL;
}

/* Whether there is a value; *cell is it then. */
static bool
read_cell(ListReader *reader, CellType type, JsonbValue *value, Datum *cell)
{
	TimestampTz moment;

	switch (type)
	{
		case CELL_TEXT:
			*cell = PointerGetDatum(jsonb_text(value));
			return DatumGetPointer(*cell) != NULL;
		case CELL_MOMENT:
			if (!read_moment(jsonb_scalar(value), &moment))
				return false;
			*cell = TimestampTzGetDatum(moment);
			return true;
		case CELL_TEXTS:
			*cell = PointerGetDatum(texts_of(value));
			return true;
		case CELL_JSON:
			*cell = JsonbPGetDatum(JsonbValueToJsonb(value));
			return true;
		case CELL_ACTOR_NAME:
		case CELL_ACTOR_EMAIL:
			*cell = PointerGetDatum(actor_text(reader, value, type == CELL_ACTOR_NAME ? 1 : 2));
			return DatumGetPointer(*cell) != NULL;
	}
	return false;
}

/* ----------
 * Natural keys
 * ----------
 */

/* Add what a key has from a member, with its length, so that no two keys are written alike. */
static void
add_to_key(StringInfo key, const JsonbValue *value)
{
	text	   *part = value->type == jbvNull ? NULL : jsonb_text(value);
	int			length = part == NULL ? -1 : (int) VARSIZE_ANY_EXHDR(part);

	appendBinaryStringInfo(key, (const char *) &length, sizeof(length));
	if (part != NULL)
		appendBinaryStringInfo(key, VARDATA_ANY(part), length);
}

static bool
is_new(ListReader *reader, const StringInfo text)
{
	Slice		key = {text->data, text->len};
	bool		found;
	SeenKey    *entry = seen_insert(reader->seen, key, &found);

	if (!found)
		entry->key = slice_copy(reader->context, key);
	return !found;
}

/* ----------
 * Rows
 * ----------
 */

static void
put_object(JsonbContainer *object, void *argument)
{
	ListReader *reader = argument;
	StringInfoData key;
	bool		has_key = false;

	initStringInfo(&key);
	for (int i = 0; i < reader->form->n; i++)
	{
		const ListColumn *column = &reader->form->columns[i];
		JsonbValue	value;

		if (!jsonb_member(object, column->member, &value))
			value.type = jbvNull;
		reader->nulls[i] = value.type == jbvNull ||
			!read_cell(reader, column->type, &value, &reader->values[i]);
		if (column->in_key)
			add_to_key(&key, &value);
		has_key |= column->in_key && value.type != jbvNull;
	}
	if (!has_key || is_new(reader, &key))
		tuplestore_putvalues(reader->result_info->setResult, reader->result_info->setDesc,
							 reader->values, reader->nulls);
}

static void
put_rows(FunctionCallInfo fcinfo, const ListForm *form)
{
	Jsonb	   *result = PG_GETARG_JSONB_P(0);
	JsonbContainer *array = jsonb_member_array(&result->root, form->array);
	ListReader	reader = {.form = form,.context = CurrentMemoryContext};

	if (array == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the value is not the result of %s", form->what),
				 errdetail("It has no array \"%s\".", form->array)));
	InitMaterializedSRF(fcinfo, 0);
	reader.result_info = (ReturnSetInfo *) fcinfo->resultinfo;
	reader.actors = dictionary_make(jsonb_member_array(&result->root, "actors"), actor_names, lengthof(actor_names));
	reader.seen = seen_create(CurrentMemoryContext, FIRST_SIZE, NULL);
	jsonb_visit_objects(array, put_object, &reader);
}

PG_FUNCTION_INFO_V1(clari_export_activity_rows);

/* clari_export_activity_rows(result jsonb) returns table */
Datum
clari_export_activity_rows(PG_FUNCTION_ARGS)
{
	put_rows(fcinfo, &activities);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(clari_export_audit_rows);

/* clari_export_audit_rows(result jsonb) returns table */
Datum
clari_export_audit_rows(PG_FUNCTION_ARGS)
{
	put_rows(fcinfo, &audit_events);
	PG_RETURN_VOID();
}
