/*
 * plan.c
 *		Statements on the extension's tables, and their plans, kept by name.
 *
 * They are generic: what such a statement does is read through an index,
 * whatever the parameters are, and planning one costs as much as executing it
 * some ten times.
 *
 * A statement is text that names the schema, and PostgreSQL may read it again
 * at any time: what it finds under that name is the extension's own only as
 * long as the schema is called so. Somebody may make a schema of the old name as
 * soon as it has another one, and statements run with the rights of the tables'
 * owner. So the name is compared after the last reading and before execution.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/resowner.h"

#include "plan.h"

#define MAX_NAME			32
#define SCHEMA_NAME_SIZE	(2 * NAMEDATALEN + 3)

typedef struct KeptPlan
{
	char		name[MAX_NAME]; /* the key */
	SPIPlanPtr	plan;
} KeptPlan;

static HTAB *plans = NULL;
static char plans_schema[SCHEMA_NAME_SIZE]; /* that their statements name */

static void
forget_all(void)
{
	HASH_SEQ_STATUS all;
	KeptPlan   *plan;

	if (plans == NULL)
		return;
	hash_seq_init(&all, plans);
	while ((plan = hash_seq_search(&all)) != NULL)
		SPI_freeplan(plan->plan);
	hash_destroy(plans);
	plans = NULL;
}

/* What the schema is called now, as a statement names it. */
static void
read_name(Oid schema, char *quoted)
{
	char	   *name = get_namespace_name(schema);

	if (name == NULL)
		elog(ERROR, "cache lookup failed for schema %u", schema);
	strlcpy(quoted, quote_identifier(name), SCHEMA_NAME_SIZE);
	pfree(name);
}

/* The schema's name is quoted. */
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

static SPIPlanPtr
prepare(const PlannedStatement *statement, const char *schema, int n, Oid *types)
{
	char	   *text = in_schema(statement->text, schema);
	SPIPlanPtr	plan = SPI_prepare_cursor(text, n, types, CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL)
		elog(ERROR, "clari_export: \"%s\" cannot be prepared: %s", text, SPI_result_code_string(SPI_result));
	pfree(text);
	return plan;
}

static void
keep(const char *name, SPIPlanPtr plan, const char *schema)
{
	HASHCTL		control = {.keysize = MAX_NAME,.entrysize = sizeof(KeptPlan)};
	KeptPlan   *entry;

	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "clari_export: the plan of \"%s\" cannot be kept", name);
	if (plans == NULL)
		plans = hash_create("clari_export plans", 64, &control, HASH_ELEM | HASH_STRINGS);
	strlcpy(plans_schema, schema, SCHEMA_NAME_SIZE);
	entry = hash_search(plans, name, HASH_ENTER, NULL);
	entry->plan = plan;
}

static SPIPlanPtr
find(const char *name, const char *schema)
{
	const KeptPlan *entry;

	if (plans != NULL && strcmp(plans_schema, schema) != 0)
		forget_all();
	entry = plans != NULL ? hash_search(plans, name, HASH_FIND, NULL) : NULL;
	return entry != NULL ? entry->plan : NULL;
}

static SPIPlanPtr
find_or_prepare(const PlannedStatement *statement, const char *schema, int n, Oid *types)
{
	SPIPlanPtr	plan = statement->name != NULL ? find(statement->name, schema) : NULL;

	if (plan != NULL)
		return plan;
	plan = prepare(statement, schema, n, types);
	if (statement->name != NULL)
		keep(statement->name, plan, schema);
	return plan;
}

/*
 * Have PostgreSQL read the statement again if it must, and lock what it is
 * about: until the transaction ends it is not read again. Returns whether the
 * schema is still called so.
 */
static bool
settle(const PlannedStatement *statement, SPIPlanPtr plan, const char *schema)
{
	CachedPlan *cached = SPI_plan_get_cached_plan(plan);
	char		now[SCHEMA_NAME_SIZE];

	if (cached == NULL)
		elog(ERROR, "clari_export: \"%s\" is not one statement", statement->text);
	ReleaseCachedPlan(cached, statement->name != NULL ? CurrentResourceOwner : NULL);
	read_name(statement->schema, now);
	return strcmp(now, schema) == 0;
}

int
plan_execute(const PlannedStatement *statement, int n, Oid *types, Datum *values, const char *nulls)
{
	char		schema[SCHEMA_NAME_SIZE];
	SPIPlanPtr	plan;
	int			result;

	for (;;)
	{
		read_name(statement->schema, schema);
		plan = find_or_prepare(statement, schema, n, types);
		if (settle(statement, plan, schema))
			break;
		if (statement->name != NULL)
			forget_all();
		else
			SPI_freeplan(plan);
	}
	result = SPI_execute_plan(plan, values, nulls, false, 0);
	if (statement->name == NULL)
		SPI_freeplan(plan);
	return result;
}
