/*
 * result.c
 *		A reply's body as jsonb.
 *
 * The CSV of a forecast becomes its flat form, told by its header: a job that
 * is known by its id alone may be of either format.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "clari/jsonb_writer.h"
#include "clari/result.h"
#include "core/json.h"
#include "flat_form.h"
#include "jsonb_reader.h"
#include "settings.h"
#include "value.h"

#define BYTE_ORDER_MARK	"\xEF\xBB\xBF"

/* ----------
 * Text to jsonb
 * ----------
 */

/*
 * JSON between systems is UTF-8 (RFC 8259), and Clari's CSV is, too; verify it,
 * and convert it. What is not JSON json_in() says best.
 */
static Jsonb *
parse_body(const Reply *reply, bool may_be_csv)
{
	const char *body = reply->body;
	char	   *text;
	Json		json;

	if (reply->body_size > MaxAllocSize - 1)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a text of %zu bytes is too large", reply->body_size)));
	if (strlen(reply->body) != reply->body_size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("the reply contains a zero byte")));
	if (strncmp(body, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
		body += strlen(BYTE_ORDER_MARK);
	text = pg_any_to_server(body, (int) strlen(body), PG_UTF8);
	if (may_be_csv && flat_form_is_csv(text, strlen(text)))
		text = flat_form_of_csv(text, strlen(text));
	if (!json_read(text, strlen(text), &json))
		DirectFunctionCall1(json_in, CStringGetDatum(text));
	return jsonb_write(json, settings_max_memory());
}

static bool
is_error_of_the_data(int sqlstate)
{
	int			category = ERRCODE_TO_CATEGORY(sqlstate);

	return category == ERRCODE_DATA_EXCEPTION || category == ERRCODE_PROGRAM_LIMIT_EXCEEDED ||
		sqlstate == ERRCODE_INTERNAL_ERROR ||
		sqlstate == ERRCODE_FEATURE_NOT_SUPPORTED;	/* an escape in SQL_ASCII */
}

static Failure *
not_storable(const ErrorData *error)
{
	bool		is_csv = error->sqlerrcode == ERRCODE_BAD_COPY_FILE_FORMAT;
	Failure    *failure = failure_make(ERRCODE_CLARI_BAD_RESPONSE, "the reply from Clari cannot be %s",
									   is_csv ? "read as CSV" : "stored as jsonb");

	failure->detail = error->detail != NULL ?
		psprintf("%s: %s", error->message, error->detail) : psprintf("%s.", error->message);
	/* What palloc refuses is an internal error: an array of too many values. */
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_PROGRAM_LIMIT_EXCEEDED ||
		error->sqlerrcode == ERRCODE_INTERNAL_ERROR)
		failure->hint = pstrdup("Export less at once: name fewer typesToExport, a scopeId, or leave out includeHistorical.");
	failure->never_fits = error->sqlerrcode != ERRCODE_INVALID_TEXT_REPRESENTATION && !is_csv;
	return failure;
}

static Jsonb *
copy_jsonb(const Jsonb *jsonb)
{
	return memcpy(palloc(VARSIZE(jsonb)), jsonb, VARSIZE(jsonb));
}

/* What is needed besides the jsonb is forgotten at once. */
static Jsonb *
body_to_jsonb(const Reply *reply, bool may_be_csv, Failure **failure)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext parsing = AllocSetContextCreate(context, "clari_export parsing", ALLOCSET_DEFAULT_SIZES);
	Jsonb	   *volatile result = NULL;

	*failure = NULL;
	PG_TRY();
	{
		Jsonb	   *parsed;

		MemoryContextSwitchTo(parsing);
		parsed = parse_body(reply, may_be_csv);
		MemoryContextSwitchTo(context);
		result = copy_jsonb(parsed);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!is_error_of_the_data(error->sqlerrcode))
		{
			MemoryContextDelete(parsing);
			PG_RE_THROW();
		}
		FlushErrorState();
		*failure = not_storable(error);
	}
	PG_END_TRY();
	MemoryContextDelete(parsing);
	return result;
}

Jsonb *
result_to_jsonb(const Reply *reply, Failure **failure)
{
	return body_to_jsonb(reply, false, failure);
}

/* ----------
 * Jobs
 * ----------
 */

Jsonb *
result_unwrap_job(Jsonb *job)
{
	JsonbValue	inner;

	if (!jsonb_member(&job->root, "job", &inner) || !jsonb_is_container(&inner) ||
		!JsonContainerIsObject(inner.val.binary.data))
		return job;
	return JsonbValueToJsonb(&inner);
}

/* ----------
 * What is a result
 * ----------
 */

/* Whether a value is an array of objects and of nothing else. */
static bool
is_array_of_objects(JsonbContainer *array)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;

	if (!JsonContainerIsArray(array) || JsonContainerIsScalar(array))
		return false;
	iterator = JsonbIteratorInit(array);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_ELEM && (element.type != jbvBinary || !JsonContainerIsObject(element.val.binary.data)))
			return false;
	}
	return true;
}

static bool
is_result_of_kind(JsonbContainer *result, ExportKind kind)
{
	switch (kind)
	{
		case EXPORT_ACTIVITY:
			return jsonb_member_array(result, "activities") != NULL;
		case EXPORT_AUDIT_EVENTS:
			return jsonb_member_array(result, "items") != NULL;
		default:
			return jsonb_member_array(result, "entries") != NULL || is_array_of_objects(result);
	}
}

bool
result_is_forecast(Jsonb *result)
{
	return is_result_of_kind(&result->root, EXPORT_FORECAST);
}

/* A job that is known by its id alone may be of any kind. */
static bool
is_result(JsonbContainer *result, const Export *export)
{
	if (export->goal != GOAL_RESULT)
		return is_result_of_kind(result, export->kind);
	return is_result_of_kind(result, EXPORT_FORECAST) || is_result_of_kind(result, EXPORT_ACTIVITY) ||
		is_result_of_kind(result, EXPORT_AUDIT_EVENTS);
}

static Failure *
wrong_shape(const Reply *reply)
{
	Failure    *failure = failure_make(ERRCODE_CLARI_BAD_RESPONSE,
									   "the reply from Clari is not the result of an export");
	ClariError	words;

	reply_error(reply->body, reply->body_size, &words);
	failure->detail = words.code[0] != '\0' || words.message[0] != '\0' ?
		psprintf("It says: %s %s", text_from_clari(words.code), text_from_clari(words.message)) :
		pstrdup("It has neither entries, activities or items, nor rows.");
	return failure;
}

ResultReading
result_read(const Export *export, const Reply *reply, Jsonb **result, Failure **failure)
{
	bool		may_be_csv = export->goal == GOAL_RESULT || export->kind == EXPORT_FORECAST;
	Json		json;

	*result = body_to_jsonb(reply, may_be_csv, failure);
	if (*failure != NULL && !(*failure)->never_fits && !json_read(reply->body, reply->body_size, &json))
		return RESULT_UNREADABLE;
	if (*failure != NULL)
	{
		(*failure)->never_fits = true;
		return RESULT_NOT_STORABLE;
	}
	if (is_result(&(*result)->root, export))
		return RESULT_GOOD;
	*failure = wrong_shape(reply);
	return RESULT_WRONG_SHAPE;
}
