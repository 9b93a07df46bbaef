/*
 * validator.c
 *		Checks the options of a server or a mapping when they are set.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"

#include "clari/account_options.h"
#include "clari/secret_statements.h"
#include "core/base_url.h"

static void
check_option(DefElem *option, Oid catalog, AccountOptions *options)
{
	const OptionRule *rule = account_option_find(option->defname, catalog);
	bool		secret = catalog == UserMappingRelationId;
	const char *value = defGetString(option);

	if (rule == NULL)
	{
		char	   *names = account_option_names(catalog);

		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", option->defname),
				 names[0] != '\0' ? errhint("Valid options in this context are: %s.", names)
				 : errhint("There are no valid options in this context."),
				 errhidestmt(secret)));
	}
	if (rule->type == OPTION_FILE && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", rule->name),
				 errdetail("It makes the server read a file of its own."),
				 errhint("Only superusers may set it."),
				 errhidestmt(secret)));
	if (account_option_store(rule, value, options))
		return;

	if (rule->type == OPTION_URL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", rule->name, value),
				 errdetail("%s", base_url_problem(value)),
				 errhint("Valid values are %s.", rule->valid_values)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 secret ? errmsg("invalid value for option \"%s\"", rule->name)
			 : errmsg("invalid value for option \"%s\": \"%s\"", rule->name, value),
			 errhint("Valid values are %s.", rule->valid_values),
			 errhidestmt(secret)));
}

static void
check_mapping_is_complete(List *options)
{
	if (list_length(options) == 1)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
			 errmsg("a user mapping for Clari needs either \"api_key\" or \"api_key_file\""),
			 errhint("Use OPTIONS (api_key '...')."),
			 errhidestmt(true)));
}

PG_FUNCTION_INFO_V1(clari_export_fdw_validator);

/*
 * Check the options of a server or a mapping as they will be afterwards.
 *
 * Arguments: options text[], catalog oid. Errors: HV002, HV00D, 22023, 42501.
 */
Datum
clari_export_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *list = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	AccountOptions *options = palloc0(sizeof(AccountOptions));
	ListCell   *cell;

	/* The statement holds the key: pg_stat_activity shall not show it. */
	if (catalog == UserMappingRelationId)
		pgstat_report_activity(STATE_RUNNING, HIDDEN_STATEMENT);

	foreach(cell, list)
		check_option(lfirst(cell), catalog, options);
	if (catalog == UserMappingRelationId)
		check_mapping_is_complete(list);
	account_options_check_proxy(options);
	PG_RETURN_VOID();
}
