/*
 * result.c
 *		A reply's body as jsonb.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "core/json.h"
#include "result.h"

#define BYTE_ORDER_MARK	"\xEF\xBB\xBF"

/* ----------
 * Text to jsonb
 * ----------
 */

/* JSON between systems is UTF-8 (RFC 8259); verify it, and convert it. */
static Jsonb *
parse_body(const Reply *reply)
{
	const char *body = reply->body;
	char	   *text;

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

/* A time period as people write it: 2026_Q3, FY26 Q3, July FY 2026. */
typedef struct PeriodName
{
	char		type;			/* Q, H, M, Y for a quarter, half, month, year; 0
								 * for anything else */
	int			year;
	int			number;			/* within the year; 0 in a year */
} PeriodName;

/* Take in a word of letters; a period with a word that says nothing has no type. */
static void
read_period_word(PeriodName *name, const char *word, int length)
{
	static const char *const months[] = {
		"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
	};

	if (length == 1 && (pg_toupper((unsigned char) *word) == 'Q' || pg_toupper((unsigned char) *word) == 'H'))
		name->type = (char) pg_toupper((unsigned char) *word);
	else if (length == 2 && pg_strncasecmp(word, "FY", 2) == 0)
		return;
	else
	{
		name->type = '?';
		for (int i = 0; i < (int) lengthof(months); i++)
		{
			if (length < 3 || pg_strncasecmp(word, months[i], 3) != 0)
				continue;
			name->type = 'M';
			name->number = i + 1;
		}
	}
}

static PeriodName
read_period_name(const char *text)
{
	static const char *const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	PeriodName	name = {.type = 'Y'};
	bool		after_letter = false;

	while (*text != '\0')
	{
		int			n_letters = (int) strspn(text, letters);
		int			n_digits = (int) strspn(text, "0123456789");

		if (n_letters > 0)
			read_period_word(&name, text, n_letters);
		else if (n_digits > 0 && n_digits <= 4)
		{
			int			number = atoi(text);

			if (after_letter && (name.type == 'Q' || name.type == 'H'))
				name.number = number;
			else if (name.year != 0)
				name.type = '?';
			else
				name.year = n_digits == 2 ? 2000 + number : number;
		}
		after_letter = n_letters > 0;
		text += Max(n_letters + n_digits, 1);
	}
	if (name.year == 0 || (name.type != 'Y' && name.number == 0) || name.type == '?')
		name.type = 0;
	return name;
}

typedef struct PeriodSearch
{
	const char *wanted;
	bool		found;
	char	   *other;			/* of the same type; NULL until one is seen */
	char	   *of_another_type;	/* the same */
} PeriodSearch;

/* Look at one element's member; returns false when the search is over. */
static bool
look_at_period(PeriodSearch *search, JsonbContainer *element, const char *name, bool must_look_like_one)
{
	PeriodName	wanted = read_period_name(search->wanted);
	JsonbValue *period = member(element, name);
	PeriodName	given;
	char	   *text;

	if (period == NULL || period->type != jbvString)
		return true;
	text = pnstrdup(period->val.string.val, period->val.string.len);
	given = read_period_name(text);
	if (strcmp(text, search->wanted) == 0 ||
		(wanted.type != 0 && wanted.type == given.type && wanted.year == given.year &&
		 wanted.number == given.number))
	{
		search->found = true;
		return false;
	}
	if (must_look_like_one && given.type == 0)
		return true;
	if (given.type == wanted.type && search->other == NULL)
		search->other = text;
	else if (given.type != wanted.type && search->of_another_type == NULL)
		search->of_another_type = text;
	else
		pfree(text);
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

	if (!search.found && search.other == NULL && search.of_another_type != NULL)
		ereport(NOTICE,
				(errmsg("the result names time periods of another type than %s, such as %s",
						time_period, search.of_another_type)));
	if (search.found || search.other == NULL)
		return NULL;
	failure = failure_make(ERRCODE_CLARI_WRONG_PERIOD,
						   "Clari exported time period %s instead of %s", search.other, time_period);
	failure->detail = pstrdup("Clari exports the current quarter where it does not know the period that was asked for.");
	failure->hint = pstrdup("Check the time period; a quarter is written like '2026_Q3'.");
	return failure;
}

/* ----------
 * What is a result
 * ----------
 */

static bool
has_array(JsonbContainer *object, const char *name)
{
	JsonbValue *value = member(object, name);

	return value != NULL && value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);
}

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
			return has_array(result, "activities");
		case EXPORT_AUDIT_EVENTS:
			return has_array(result, "items");
		default:
			return has_array(result, "entries") || is_array_of_objects(result);
	}
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

static ResultReading
judge(Task *task, const Reply *reply)
{
	Failure    *failure;
	Json		json;

	task->result = result_to_jsonb(reply, &failure);
	task->result_failure = failure;
	if (failure != NULL && !failure->never_fits && !json_read(reply->body, reply->body_size, &json))
		return RESULT_UNREADABLE;
	if (failure != NULL)
	{
		failure->never_fits = true;
		return RESULT_NOT_STORABLE;
	}
	if (is_result(&task->result->root, &task->export))
		return RESULT_GOOD;
	task->result_failure = wrong_shape(reply);
	return RESULT_WRONG_SHAPE;
}

ResultReading
result_read(Task *task, const Reply *reply)
{
	MemoryContext old_context = MemoryContextSwitchTo(task->context);
	ResultReading reading = judge(task, reply);

	MemoryContextSwitchTo(old_context);
	return reading;
}

/* Only a forecast has a period to check. */
Jsonb *
result_of_export(Task *task, Failure **failure)
{
	if (task->result == NULL && task->result_failure == NULL)
		result_read(task, task_last_reply(task));
	*failure = NULL;
	if (task->result_failure != NULL)
	{
		*failure = palloc(sizeof(Failure));
		**failure = *task->result_failure;
	}
	else if (task->export.kind == EXPORT_FORECAST)
		*failure = result_check_period(task->result, task->export.time_period);
	if (*failure != NULL)
		failure_add_job(*failure, task);
	return *failure == NULL ? task->result : NULL;
}
