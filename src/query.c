/*
 * query.c
 *		A statement on the extension's tables: its parameters, and what it returns.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "plan.h"
#include "query.h"

/* ----------
 * Parameters
 * ----------
 */

void
query_add(SqlQuery *query, Oid type, Datum value, bool is_null)
{
	Assert(query->n < QUERY_MAX_PARAMETERS);
	query->types[query->n] = type;
	query->values[query->n] = value;
	query->nulls[query->n] = is_null ? 'n' : ' ';
	query->n++;
}

void
query_add_int(SqlQuery *query, int value)
{
	query_add(query, INT4OID, Int32GetDatum(value), false);
}

void
query_add_id(SqlQuery *query, int64 id)
{
	query_add(query, INT8OID, Int64GetDatum(id), false);
}

void
query_add_bool(SqlQuery *query, bool value)
{
	query_add(query, BOOLOID, BoolGetDatum(value), false);
}

void
query_add_text(SqlQuery *query, const char *text)
{
	query_add(query, TEXTOID, text != NULL ? CStringGetTextDatum(text) : (Datum) 0, text == NULL);
}

void
query_add_varlena(SqlQuery *query, Oid type, const void *value)
{
	query_add(query, type, PointerGetDatum(value), value == NULL);
}

void
query_add_role(SqlQuery *query, Oid role)
{
	query_add(query, OIDOID, ObjectIdGetDatum(role), !OidIsValid(role));
}

void
query_add_time(SqlQuery *query, TimestampTz time)
{
	query_add(query, TIMESTAMPTZOID, TimestampTzGetDatum(time), TIMESTAMP_NOT_FINITE(time));
}

void
query_add_milliseconds(SqlQuery *query, int64 milliseconds)
{
	TimestampTz epoch = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	TimestampTz time = DT_NOBEGIN;

	if (milliseconds <= 0 || pg_mul_s64_overflow(milliseconds, 1000, &time) || !IS_VALID_TIMESTAMP(time - epoch))
		query_add_time(query, DT_NOBEGIN);
	else
		query_add_time(query, time - epoch);
}

void
query_add_array(SqlQuery *query, Oid array_type, Oid element_type, Datum *values, bool *nulls, int n)
{
	int16		length;
	bool		by_value;
	char		alignment;
	int			first = 1;

	get_typlenbyvalalign(element_type, &length, &by_value, &alignment);
	query_add_varlena(query, array_type, construct_md_array(values, nulls, 1, &n, &first,
															element_type, length, by_value, alignment));
}

/* ----------
 * Execution
 * ----------
 */

uint64
query_execute(Oid schema, SqlQuery *query, const char *name, const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	PlannedStatement statement = {name, text, schema};
	int			result = plan_execute(&statement, query->n, query->types, query->values, query->nulls);

	if (result < 0)
		elog(ERROR, "clari_export: \"%s\" failed: %s", text, SPI_result_code_string(result));
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

text *
query_text_copy(uint64 row, int number)
{
	bool		is_null;
	Datum		value = query_column(row, number, &is_null);

	return is_null ? NULL : DatumGetTextPCopy(value);
}

int32
query_int_column(uint64 row, int number, int32 missing)
{
	bool		is_null;
	Datum		value = query_column(row, number, &is_null);

	return is_null ? missing : DatumGetInt32(value);
}

TimestampTz
query_time_column(uint64 row, int number, TimestampTz missing)
{
	bool		is_null;
	Datum		value = query_column(row, number, &is_null);

	return is_null ? missing : DatumGetTimestampTz(value);
}
