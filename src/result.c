/*
 * result.c
 *		A reply's body as jsonb.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "result.h"

/* ----------
 * Text to jsonb
 * ----------
 */

/* JSON between systems is UTF-8 (RFC 8259); verify it, and convert it. */
static Jsonb *
parse_body(const Reply *reply)
{
	char	   *text;

	if (reply->body_size > MaxAllocSize - 1)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a text of %zu bytes is too large", reply->body_size)));
	if (strlen(reply->body) != reply->body_size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("the reply contains a zero byte")));
	text = pg_any_to_server(reply->body, (int) reply->body_size, PG_UTF8);
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
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
	Failure    *failure = failure_make(ERRCODE_CLARI_BAD_RESPONSE,
									   "the reply from Clari cannot be stored as jsonb");

	failure->detail = error->detail != NULL ?
		psprintf("%s: %s", error->message, error->detail) : psprintf("%s.", error->message);
	/* What palloc refuses is an internal error: an array of too many values. */
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_PROGRAM_LIMIT_EXCEEDED ||
		error->sqlerrcode == ERRCODE_INTERNAL_ERROR)
		failure->hint = pstrdup("Export less at once: name fewer typesToExport, a scopeId, or leave out includeHistorical.");
	failure->never_fits = error->sqlerrcode != ERRCODE_INVALID_TEXT_REPRESENTATION;
	return failure;
}

Jsonb *
result_to_jsonb(const Reply *reply, Failure **failure)
{
	MemoryContext context = CurrentMemoryContext;
	Jsonb	   *volatile result = NULL;

	*failure = NULL;
	PG_TRY();
	{
		result = parse_body(reply);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!is_error_of_the_data(error->sqlerrcode))
			PG_RE_THROW();
		FlushErrorState();
		*failure = not_storable(error);
	}
	PG_END_TRY();
	return result;
}

char *
text_from_clari(const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	int			length = (int) strlen(text);
	char	   *volatile converted = pstrdup(text);

	PG_TRY();
	{
		converted = pg_any_to_server(converted, length, PG_UTF8);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		for (char *c = converted; *c != '\0'; c++)
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
	}
	PG_END_TRY();
	return converted;
}

TimestampTz
time_from_clari(int64 milliseconds)
{
	TimestampTz time;

	if (milliseconds <= 0 || milliseconds > PG_INT64_MAX / 1000)
		return DT_NOBEGIN;
	time = milliseconds * 1000 - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	return IS_VALID_TIMESTAMP(time) ? time : DT_NOBEGIN;
}

/* ----------
 * Looking into jsonb
 * ----------
 */

/* A member of an object, or NULL; object may be any value. */
static JsonbValue *
member(JsonbContainer *container, const char *name)
{
	JsonbValue	key;

	if (!JsonContainerIsObject(container))
		return NULL;
	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = (int) strlen(name);
	return findJsonbValueFromContainer(container, JB_FOBJECT, &key);
}

Jsonb *
result_unwrap_job(Jsonb *job)
{
	JsonbValue *inner = member(&job->root, "job");

	if (inner == NULL || inner->type != jbvBinary || !JsonContainerIsObject(inner->val.binary.data))
		return job;
	return JsonbValueToJsonb(inner);
}

char *
result_job_status(Jsonb *job)
{
	JsonbValue *status = member(&job->root, "status");

	if (status == NULL || status->type != jbvString || status->val.string.len == 0)
		return NULL;
	return pnstrdup(status->val.string.val, status->val.string.len);
}

static bool
is_text(const JsonbValue *value, const char *text)
{
	return value->type == jbvString && value->val.string.len == (int) strlen(text) &&
		memcmp(value->val.string.val, text, strlen(text)) == 0;
}

/* "2026_Q3": what Clari names periods in all its forms. */
static bool
looks_like_period(const JsonbValue *value)
{
	const char *text = value->val.string.val;

	return value->type == jbvString && value->val.string.len == 7 &&
		strspn(text, "0123456789") == 4 && text[4] == '_';
}

typedef struct PeriodSearch
{
	const char *wanted;
	bool		found;
	char	   *other;			/* NULL until one is seen */
} PeriodSearch;

/* Look at one element's member; returns false when the search is over. */
static bool
look_at_period(PeriodSearch *search, JsonbContainer *element, const char *name, bool must_look_like_one)
{
	JsonbValue *period = member(element, name);

	if (period == NULL || period->type != jbvString ||
		(must_look_like_one && !looks_like_period(period)))
		return true;
	if (is_text(period, search->wanted))
	{
		search->found = true;
		return false;
	}
	if (search->other == NULL)
		search->other = pnstrdup(period->val.string.val, period->val.string.len);
	return true;
}

static void
search_array(PeriodSearch *search, JsonbContainer *array, const char *name, bool must_look_like_one)
{
	uint32		n = JsonContainerSize(array);

	for (uint32 i = 0; i < n; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);
		bool		more = element->type != jbvBinary ||
			look_at_period(search, element->val.binary.data, name, must_look_like_one);

		pfree(element);
		if (!more)
			return;
	}
}

Failure *
result_check_period(Jsonb *result, const char *time_period)
{
	PeriodSearch search = {.wanted = time_period};
	JsonbValue *periods = member(&result->root, "timePeriods");
	Failure    *failure;

	if (time_period == NULL)
		return NULL;
	if (periods != NULL && periods->type == jbvBinary && JsonContainerIsArray(periods->val.binary.data))
		search_array(&search, periods->val.binary.data, "timePeriodId", false);
	else if (JsonContainerIsArray(&result->root) && !JsonContainerIsScalar(&result->root))
		search_array(&search, &result->root, "Timeframe", true);

	if (search.found || search.other == NULL)
		return NULL;
	failure = failure_make(ERRCODE_CLARI_WRONG_PERIOD,
						   "Clari exported time period %s instead of %s", search.other, time_period);
	failure->detail = pstrdup("Clari exports the current quarter where it does not know the period that was asked for.");
	failure->hint = pstrdup("Check the time period; a quarter is written like '2026_Q3'.");
	return failure;
}

/* Only a forecast has a period to check. */
Jsonb *
result_of_export(const Task *task, Failure **failure)
{
	Jsonb	   *result = result_to_jsonb(task_last_reply(task), failure);

	if (*failure == NULL && task->export.kind == EXPORT_FORECAST)
		*failure = result_check_period(result, task->export.time_period);
	if (*failure != NULL)
		failure_add_job(*failure, task);
	return *failure == NULL ? result : NULL;
}
