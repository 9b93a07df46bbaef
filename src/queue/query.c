/*
 * query.c
 *		Named SQL statements on the queue's tables, prepared once.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "plan.h"
#include "queue/query.h"
#include "queue/transaction.h"

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

/* A PlanText. */
static char *
in_schema(const char *text, const char *schema)
{
	StringInfoData result;

	initStringInfo(&result);
	for (const char *c = text; *c != '\0'; c++)
	{
		if (strncmp(c, "@request@", 9) == 0)
			appendStringInfo(&result, "%s.clari_export_request", schema);
		else if (strncmp(c, "@snapshot@", 10) == 0)
			appendStringInfo(&result, "%s.clari_export_snapshot", schema);
		else if (strncmp(c, "@schema@", 8) == 0)
			appendStringInfoString(&result, schema);
		else
		{
			appendStringInfoChar(&result, *c);
			continue;
		}
		c = strchr(c + 1, '@');
	}
	return result.data;
}

uint64
query_execute(QueueQuery *query, const char *name, const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	PlannedStatement statement = {name, text, in_schema, queue_schema_id()};
	int			result = plan_execute(&statement, query->n, query->types, query->values, query->nulls);

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

Datum
query_only_value(void)
{
	bool		is_null;

	return query_column(0, 1, &is_null);
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
