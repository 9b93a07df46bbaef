/*
 * query.h
 *		Named SQL statements on the queue's tables, prepared once.
 *
 * All of it runs inside a transaction of the queue.
 */
#ifndef CLARI_QUERY_H
#define CLARI_QUERY_H

#include "utils/timestamp.h"

#define QUERY_MAX_PARAMETERS	8

/* The parameters of a statement. All zeros is none yet. */
typedef struct QueueQuery
{
	int			n;
	Oid			types[QUERY_MAX_PARAMETERS];
	Datum		values[QUERY_MAX_PARAMETERS];
	char		nulls[QUERY_MAX_PARAMETERS];
} QueueQuery;

/* Add the next parameter. */
extern void query_add(QueueQuery *query, Oid type, Datum value, bool is_null);
extern void query_add_int(QueueQuery *query, int value);
extern void query_add_id(QueueQuery *query, int64 id);
extern void query_add_bool(QueueQuery *query, bool value);

/* NULL, InvalidOid, and what is no time, become null. */
extern void query_add_text(QueueQuery *query, const char *text);
extern void query_add_role(QueueQuery *query, Oid role);
extern void query_add_time(QueueQuery *query, TimestampTz time);

/* Milliseconds since 1970; 0, or what no timestamp can be, becomes null. */
extern void query_add_milliseconds(QueueQuery *query, int64 milliseconds);

/*
 * Execute a statement in which @request@ and @snapshot@ stand for the tables,
 * and @schema@ for where they are. It is prepared when its name is met first:
 * a name means one text, and parameters of the same types. Returns the number
 * of rows.
 */
extern uint64 query_execute(QueueQuery *query, const char *name, const char *text);

/*
 * A column of a row of the last execution, in the current memory context; as
 * text it is NULL where it is null.
 */
extern Datum query_column(uint64 row, int number, bool *is_null);
extern char *query_text_column(uint64 row, int number);
extern Datum query_only_value(void);	/* of the only row, which is not null */
extern TimestampTz query_time_column(uint64 row, int number, TimestampTz missing);

#endif							/* CLARI_QUERY_H */
