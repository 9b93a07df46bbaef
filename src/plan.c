/*
 * plan.c
 *		Plans of statements on the extension's tables, kept by name.
 *
 * They are generic: what such a statement does is read through an index,
 * whatever the parameters are, and planning one costs as much as executing it
 * some ten times.
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "utils/hsearch.h"

#include "plan.h"

#define MAX_NAME	32

typedef struct KeptPlan
{
	char		name[MAX_NAME]; /* the key */
	SPIPlanPtr	plan;
} KeptPlan;

static HTAB *plans = NULL;
static char plans_schema[2 * NAMEDATALEN + 3];	/* that their statements name */

static void
forget_all(void)
{
	HASH_SEQ_STATUS all;
	KeptPlan   *plan;

	hash_seq_init(&all, plans);
	while ((plan = hash_seq_search(&all)) != NULL)
		SPI_freeplan(plan->plan);
	hash_destroy(plans);
	plans = NULL;
}

SPIPlanPtr
plan_find(const char *name, const char *schema)
{
	const KeptPlan *plan;

	if (plans != NULL && strcmp(plans_schema, schema) != 0)
		forget_all();
	plan = plans != NULL ? hash_search(plans, name, HASH_FIND, NULL) : NULL;
	return plan != NULL ? plan->plan : NULL;
}

SPIPlanPtr
plan_prepare(const char *name, const char *schema, const char *text, int n, Oid *types)
{
	HASHCTL		control = {.keysize = MAX_NAME,.entrysize = sizeof(KeptPlan)};
	SPIPlanPtr	plan = SPI_prepare_cursor(text, n, types, CURSOR_OPT_GENERIC_PLAN);
	KeptPlan   *entry;

	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "clari_export: \"%s\" cannot be prepared: %s", text, SPI_result_code_string(SPI_result));
	if (plans == NULL)
		plans = hash_create("clari_export plans", 64, &control, HASH_ELEM | HASH_STRINGS);
	strlcpy(plans_schema, schema, sizeof(plans_schema));
	entry = hash_search(plans, name, HASH_ENTER, NULL);
	entry->plan = plan;
	return plan;
}
