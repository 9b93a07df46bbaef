/*
 * query.c
 *		Named SQL statements on the queue's tables, prepared once.
 *
 * Their plans are generic: what a queue's statements do is read through an
 * index, whatever the parameters are, and planning one costs as much as
 * executing it some ten times.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "query.h"
#include "queue_transaction.h"

#define MAX_NAME	32

typedef struct PreparedQuery
{
	char		name[MAX_NAME]; /* the key */
	SPIPlanPtr	plan;
} PreparedQuery;

static HTAB *prepared = NULL;
static char prepared_in[2 * NAMEDATALEN + 3];	/* the schema that the plans name */

/* ----------
 * Parameters
 * ----------
 */

void
query_add(QueueQuery *query, Oid type, Datum value, bool is_null)
{
	Assert(query->n < QUERY_MAX_PARAMETERS);
	query->types[query->n] = type;
	query->values[query->n] = value;
	query->nulls[query->n] = is_null ? 'n' : ' ';
	query->n++;
}

void
query_add_int(QueueQuery *query, int value)
{
	query_add(query, INT4OID, Int32GetDatum(value), false);
}

void
query_add_id(QueueQuery *query, int64 id)
{
	query_add(query, INT8OID, Int64GetDatum(id), false);
}

void
query_add_bool(QueueQuery *query, bool value)
{
	query_add(query, BOOLOID, BoolGetDatum(value), false);
}

void
query_add_text(QueueQuery *query, const char *text)
{
	query_add(query, TEXTOID, text != NULL ? CStringGetTextDatum(text) : (Datum) 0, text == NULL);
}

void
query_add_role(QueueQuery *query, Oid role)
{
	query_add(query, OIDOID, ObjectIdGetDatum(role), !OidIsValid(role));
}

void
query_add_time(QueueQuery *query, TimestampTz time)
{
	query_add(query, TIMESTAMPTZOID, TimestampTzGetDatum(time), TIMESTAMP_NOT_FINITE(time));
}

void
query_add_milliseconds(QueueQuery *query, int64 milliseconds)
{
	TimestampTz epoch = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	TimestampTz time = DT_NOBEGIN;

	if (milliseconds <= 0 || pg_mul_s64_overflow(milliseconds, 1000, &time) || !IS_VALID_TIMESTAMP(time - epoch))
		query_add_time(query, DT_NOBEGIN);
	else
		query_add_time(query, time - epoch);
}

/* ----------
 * Execution
 * ----------
 */

/* The statement as it is in the schema at hand. */
static char *
text_in_schema(const char *text)
{
	StringInfoData result;

	initStringInfo(&result);
	for (const char *c = text; *c != '\0'; c++)
	{
		if (strncmp(c, "@request@", 9) == 0)
			appendStringInfo(&result, "%s.clari_export_request", queue_schema());
		else if (strncmp(c, "@snapshot@", 10) == 0)
			appendStringInfo(&result, "%s.clari_export_snapshot", queue_schema());
		else if (strncmp(c, "@schema@", 8) == 0)
			appendStringInfoString(&result, queue_schema());
		else
		{
			appendStringInfoChar(&result, *c);
			continue;
		}
		c = strchr(c + 1, '@');
	}
	return result.data;
}

static void
forget_all(void)
{
	HASH_SEQ_STATUS all;
	PreparedQuery *query;

	hash_seq_init(&all, prepared);
	while ((query = hash_seq_search(&all)) != NULL)
		SPI_freeplan(query->plan);
	hash_destroy(prepared);
	prepared = NULL;
}

/* The statements prepared so far, in the schema at hand. */
static HTAB *
get_prepared(void)
{
	HASHCTL		control = {.keysize = MAX_NAME,.entrysize = sizeof(PreparedQuery)};

	if (prepared != NULL && strcmp(prepared_in, queue_schema()) != 0)
		forget_all();
	if (prepared == NULL)
		prepared = hash_create("clari_export queries", 64, &control, HASH_ELEM | HASH_STRINGS);
	strlcpy(prepared_in, queue_schema(), sizeof(prepared_in));
	return prepared;
}

static SPIPlanPtr
prepare(QueueQuery *query, const char *text)
{
	char	   *complete = text_in_schema(text);
	SPIPlanPtr	plan = SPI_prepare_cursor(complete, query->n, query->types, CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "clari_export: \"%s\" cannot be prepared: %s", complete, SPI_result_code_string(SPI_result));
	pfree(complete);
	return plan;
}

static SPIPlanPtr
get_plan(QueueQuery *query, const char *name, const char *text)
{
	PreparedQuery *entry = hash_search(get_prepared(), name, HASH_FIND, NULL);
	SPIPlanPtr	plan;

	if (entry != NULL)
		return entry->plan;
	plan = prepare(query, text);
	entry = hash_search(get_prepared(), name, HASH_ENTER, NULL);
	entry->plan = plan;
	return plan;
}

uint64
query_execute(QueueQuery *query, const char *name, const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	int			result = SPI_execute_plan(get_plan(query, name, text), query->values, query->nulls, false, 0);

	if (result < 0)
		elog(ERROR, "clari_export: \"%s\" failed: %s", name, SPI_result_code_string(result));
	MemoryContextSwitchTo(context);
	return SPI_processed;
}

Datum
query_column(uint64 row, int number, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, is_null);
}

char *
query_text_column(uint64 row, int number)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number);
}

TimestampTz
query_time_column(uint64 row, int number, TimestampTz missing)
{
	bool		is_null;
	Datum		value = query_column(row, number, &is_null);

	return is_null ? missing : DatumGetTimestampTz(value);
}
