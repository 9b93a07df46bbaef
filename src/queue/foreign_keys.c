/*
 * foreign_keys.c
 *		Which rows of the queue's tables the foreign keys of others refer to.
 *
 * The queue deletes with triggers silent, and a foreign key is enforced by
 * triggers, with the action of its ON DELETE. So we ask, before a deletion, for
 * what PostgreSQL's own triggers would ask, and as whom they would: the owner of
 * the table that refers, whose types may bring code of their own.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

#include "queue/foreign_keys.h"
#include "queue/transaction.h"

/* A foreign key has as many columns as an index, and a statement one parameter more. */
#define MAX_PARAMETERS	(INDEX_MAX_KEYS + 1)

/* A foreign key to one of our tables. */
typedef struct Reference
{
	ForeignKey	key;
	Oid			constraint;
	Oid			table;			/* that has it */
	Oid			owner;			/* of that table */
	char	   *columns;		/* of ours that it refers to, each as ", array_agg(column)" */
	char	   *statement;		/* of $1, ids, and the columns' values, which ids it does not refer to */
} Reference;

/* Those that are enforced, by a trigger on our table. */
static Reference *
find_references(const char *table, int *n)
{
	SqlQuery	query = {0};
	Reference  *references;
	bool		is_null;

	query_add_role(&query, queue_schema_id());
	query_add_text(&query, table);
	*n = (int) queue_execute(&query, "foreign keys",
			"SELECT DISTINCT c.oid, c.conrelid FROM pg_class r JOIN pg_trigger t ON t.tgrelid = r.oid"
			" JOIN pg_constraint c ON c.oid = t.tgconstraint"
			" WHERE r.relnamespace = $1 AND r.relname = $2 AND c.contype = 'f' AND c.confrelid = r.oid"
			" AND t.tgisinternal AND t.tgenabled <> 'D'");
	references = palloc0(sizeof(Reference) * (*n + 1));
	for (int i = 0; i < *n; i++)
	{
		references[i].constraint = DatumGetObjectId(query_column(i, 1, &is_null));
		references[i].table = DatumGetObjectId(query_column(i, 2, &is_null));
	}
	return references;
}

/* Its table being locked, it can be named. Returns false if it was dropped meanwhile. */
static bool
describe(Reference *reference)
{
	SqlQuery	query = {0};
	bool		is_null;

	LockRelationOid(reference->table, AccessShareLock);
	query_add_role(&query, reference->constraint);
	if (queue_execute(&query, "foreign key",
			"SELECT c.conname, format('%I.%I', s.nspname, r.relname), r.relowner,"
			" string_agg(format(', array_agg(%I)', p.attname), '' ORDER BY k.n),"
			" format('SELECT coalesce(array_agg(key.id), ''{}'') FROM unnest($1%s) AS key (id%s)"
			"  WHERE NOT EXISTS (SELECT FROM %s%I.%I AS referring WHERE %s)',"
			"  string_agg(format(', $%s', k.n + 1), '' ORDER BY k.n),"
			"  string_agg(format(', key%s', k.n), '' ORDER BY k.n),"
			"  CASE r.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, s.nspname, r.relname,"
			"  string_agg(format('key.key%s OPERATOR(%I.%s) referring.%I', k.n, os.nspname, o.oprname, a.attname),"
			"   ' AND ' ORDER BY k.n))"
			" FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace s ON s.oid = r.relnamespace"
			" CROSS JOIN LATERAL unnest(c.confkey, c.conkey, c.conpfeqop) WITH ORDINALITY AS k (ours, theirs, operator, n)"
			" JOIN pg_attribute p ON p.attrelid = c.confrelid AND p.attnum = k.ours"
			" JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.theirs"
			" JOIN pg_operator o ON o.oid = k.operator JOIN pg_namespace os ON os.oid = o.oprnamespace"
			" WHERE c.oid = $1 GROUP BY c.oid, c.conname, s.nspname, r.relname, r.relowner, r.relkind") == 0)
		return false;
	reference->key.name = query_text_column(0, 1);
	reference->key.table = query_text_column(0, 2);
	reference->owner = DatumGetObjectId(query_column(0, 3, &is_null));
	reference->columns = query_text_column(0, 4);
	reference->statement = query_text_column(0, 5);
	return true;
}

/* The rows and the values that a reference would have, as parameters of its statement. Returns how many. */
static int
read_values(const Reference *reference, const char *table, const char *id, Datum rows, Oid *types, Datum *values)
{
	SqlQuery	query = {0};
	int			n;
	bool		is_null;

	query_add(&query, INT8ARRAYOID, rows, false);
	queue_execute(&query, NULL, psprintf("SELECT coalesce(array_agg(%s), '{}')%s FROM @schema@.%s WHERE %s = ANY($1)",
										 id, reference->columns, table, id));
	n = SPI_tuptable->tupdesc->natts;
	for (int i = 0; i < n; i++)
	{
		types[i] = SPI_gettypeid(SPI_tuptable->tupdesc, i + 1);
		values[i] = query_column(0, i + 1, &is_null);
	}
	return n;
}

/*
 * Plan a reference's statement. The table cannot get another name, but its
 * schema can: make sure that it is read, and nothing else of that name.
 */
static SPIPlanPtr
prepare(const Reference *reference, int n, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare(reference->statement, n, types);
	CachedPlan *cached = plan != NULL ? SPI_plan_get_cached_plan(plan) : NULL;
	CachedPlanSource *source;

	if (cached == NULL)
		elog(ERROR, "clari_export: \"%s\" cannot be prepared", reference->statement);
	ReleaseCachedPlan(cached, NULL);
	source = linitial(SPI_plan_get_plan_sources(plan));
	if (!list_member_oid(source->relationOids, reference->table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("the schema of table %s was renamed", reference->key.table)));
	return plan;
}

/* Execute it on what was committed by now, whatever the transaction's snapshot is. */
static Datum
execute(const Reference *reference, int n, Oid *types, Datum *values)
{
	SPIPlanPtr	plan = prepare(reference, n, types);
	bool		is_null;
	int			result;

	PushActiveSnapshot(GetLatestSnapshot());
	result = SPI_execute_plan(plan, values, NULL, true, 0);
	PopActiveSnapshot();
	if (result != SPI_OK_SELECT)
		elog(ERROR, "clari_export: \"%s\" failed: %s", reference->statement, SPI_result_code_string(result));
	SPI_freeplan(plan);
	return query_column(0, 1, &is_null);
}

static Datum
execute_as_owner(const Reference *reference, int n, Oid *types, Datum *values)
{
	Oid			role;
	int			context;
	Datum		rows;

	GetUserIdAndSecContext(&role, &context);
	SetUserIdAndSecContext(reference->owner, context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	rows = execute(reference, n, types, values);
	SetUserIdAndSecContext(role, context);
	return rows;
}

static int
count(Datum rows)
{
	ArrayType  *array = DatumGetArrayTypeP(rows);

	return ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
}

Datum
foreign_keys_leave(const char *table, const char *id, Datum rows, ForeignKey *found)
{
	int			n_references;
	Reference  *references = find_references(table, &n_references);

	*found = (ForeignKey) {0};
	for (int i = 0; i < n_references && count(rows) > 0; i++)
	{
		Oid			types[MAX_PARAMETERS];
		Datum		values[MAX_PARAMETERS];
		Datum		left;
		int			n;

		if (!describe(&references[i]))
			continue;
		n = read_values(&references[i], table, id, rows, types, values);
		left = execute_as_owner(&references[i], n, types, values);
		if (count(left) < count(rows))
			*found = references[i].key;
		rows = left;
	}
	return rows;
}
