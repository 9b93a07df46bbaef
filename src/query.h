/*
 * query.h
 *		A statement on the extension's tables: its parameters, and what it returns.
 *
 * All of it runs in a connection of SPI.
 */
#ifndef CLARI_QUERY_H
#define CLARI_QUERY_H

#include "utils/timestamp.h"

#define QUERY_MAX_PARAMETERS	8

/* The parameters of a statement. All zeros is none yet. */
typedef struct SqlQuery
{
	int			n;
	Oid			types[QUERY_MAX_PARAMETERS];
	Datum		values[QUERY_MAX_PARAMETERS];
	char		nulls[QUERY_MAX_PARAMETERS];
} SqlQuery;

/* Add the next parameter. */
extern void query_add(SqlQuery *query, Oid type, Datum value, bool is_null);
extern void query_add_int(SqlQuery *query, int value);
extern void query_add_id(SqlQuery *query, int64 id);
extern void query_add_bool(SqlQuery *query, bool value);

/* NULL, InvalidOid, and what is no time, become null. */
extern void query_add_text(SqlQuery *query, const char *text);
extern void query_add_varlena(SqlQuery *query, Oid type, const void *value);
extern void query_add_role(SqlQuery *query, Oid role);
extern void query_add_time(SqlQuery *query, TimestampTz time);

/* Milliseconds since 1970; 0, or what no timestamp can be, becomes null. */
extern void query_add_milliseconds(SqlQuery *query, int64 milliseconds);

/* An array of n elements; nulls may be NULL for none. */
extern void query_add_array(SqlQuery *query, Oid array_type, Oid element_type, Datum *values, bool *nulls, int n);

/*
 * Execute a statement, as plan.h has it, in the extension's schema; it is
 * prepared when its name is met first. Returns the number of rows.
 */
extern uint64 query_execute(Oid schema, SqlQuery *query, const char *name, const char *text);

/*
 * A column of a row of the last execution; what is copied is in the current
 * memory context, and NULL where it is null.
 */
extern Datum query_column(uint64 row, int number, bool *is_null);
extern char *query_text_column(uint64 row, int number);
extern text *query_text_copy(uint64 row, int number);
extern int32 query_int_column(uint64 row, int number, int32 missing);
extern Datum query_only_value(void);	/* of the only row, which is not null */
extern TimestampTz query_time_column(uint64 row, int number, TimestampTz missing);

#endif							/* CLARI_QUERY_H */
