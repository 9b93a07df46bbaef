/*
 * secret_statements.c
 *		Keeps API keys in statements out of sight.
 *
 * A statement that the parser understood is known by its kind, any other text
 * by its words (core/statement_text.h). Values are hidden, and nothing else is:
 * whoever reads the log sees what was done.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"

#include "clari/account.h"
#include "clari/secret_statements.h"
#include "core/statement_text.h"

static ProcessUtility_hook_type previous_utility_hook = NULL;
static emit_log_hook_type previous_log_hook = NULL;

/* ----------
 * Recognizing them
 * ----------
 */

/* A mapping on a server of ours, or on one that may have been meant. */
static bool
concerns_us(const char *server_name)
{
	ForeignServer *server = GetForeignServerByName(server_name, true);

	return server == NULL ||
		strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, FDW_NAME) == 0;
}

static bool
has_unknown_option(const List *options)
{
	ListCell   *cell;

	foreach(cell, options)
		if (account_option_find(((const DefElem *) lfirst(cell))->defname, ForeignServerRelationId) == NULL)
			return true;
	return false;
}

/* A mapping's options are secret, and a server's if they might be a mapping's. */
static bool
is_secret(const Node *statement, const char *query)
{
	switch (nodeTag(statement))
	{
		case T_CreateUserMappingStmt:
			return concerns_us(((const CreateUserMappingStmt *) statement)->servername);
		case T_AlterUserMappingStmt:
			return concerns_us(((const AlterUserMappingStmt *) statement)->servername);
		case T_CreateForeignServerStmt:
			return strcmp(((const CreateForeignServerStmt *) statement)->fdwname, FDW_NAME) == 0 &&
				has_unknown_option(((const CreateForeignServerStmt *) statement)->options);
		case T_AlterForeignServerStmt:
			return concerns_us(((const AlterForeignServerStmt *) statement)->servername) &&
				has_unknown_option(((const AlterForeignServerStmt *) statement)->options);
		default:
			return statement_may_hold_key(query);
	}
}

/* Plain literals are read as the parser reads them. */
static bool
backslashes_escape(void)
{
	return !standard_conforming_strings;
}

/* A text without its values, in a memory context; HIDDEN_STATEMENT if memory is short. */
static char *
without_values(const char *text, MemoryContext context)
{
	size_t		size = strlen(text) + 1;
	char	   *copy = MemoryContextAllocExtended(context, size, MCXT_ALLOC_NO_OOM | MCXT_ALLOC_HUGE);

	if (copy == NULL)
		return MemoryContextStrdup(context, HIDDEN_STATEMENT);
	memcpy(copy, text, size);
	statement_hide_values(copy, backslashes_escape());
	return copy;
}

/* ----------
 * While they run
 * ----------
 */

static void
run_next(PlannedStmt *statement, const char *query, bool read_only_tree,
		 ProcessUtilityContext context, ParamListInfo params,
		 QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	if (previous_utility_hook != NULL)
		previous_utility_hook(statement, query, read_only_tree, context, params,
							  environment, dest, completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context, params,
								environment, dest, completion);
}

/* The same statement under another text, for those who keep texts. */
static PlannedStmt *
without_text(const PlannedStmt *statement)
{
	PlannedStmt *copy = makeNode(PlannedStmt);

	*copy = *statement;
	copy->stmt_location = 0;
	copy->stmt_len = 0;
	return copy;
}

static void
on_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	if (IsTransactionState() && is_secret(statement->utilityStmt, query))
	{
		query = without_values(query, CurrentMemoryContext);
		pgstat_report_activity(STATE_RUNNING, query);
		statement = without_text(statement);
	}
	run_next(statement, query, read_only_tree, context, params, environment, dest, completion);
}

/* ----------
 * In the log
 * ----------
 */

/* What may be keys in what ran, as far as the error tells it. */
static void
find_keys(const ErrorData *error, StatementKeys *keys)
{
	const char *const texts[] = {debug_query_string, error->internalquery, error->context};

	for (size_t i = 0; i < lengthof(texts); i++)
		if (statement_may_hold_key(texts[i]))
			statement_find_keys(texts[i], backslashes_escape(), keys);
}

static bool
repeats_key(const char *text, const StatementKeys *keys)
{
	for (int i = 0; text != NULL && i < keys->n; i++)
		if (memmem(text, strlen(text), keys->keys[i].text, keys->keys[i].size) != NULL)
			return true;
	return false;
}

/* Hide the values of a text that may be a statement, and keys in any. Returns whether it has changed. */
static bool
hide(char **text, const StatementKeys *keys, MemoryContext context)
{
	bool		may_hold_key = statement_may_hold_key(*text);

	if (!may_hold_key && !repeats_key(*text, keys))
		return false;
	/* The old text stays: keys lie in it. */
	*text = may_hold_key ? without_values(*text, context) : MemoryContextStrdup(context, *text);
	if (repeats_key(*text, keys))
		statement_hide_keys(*text, keys);
	return true;
}

/* Our own messages name options, and hold no key. */
static bool
is_ours(const char *message)
{
	return message != NULL && strncmp(message, FDW_NAME ":", strlen(FDW_NAME ":")) == 0;
}

/*
 * The statement goes to the log without its values, as a DETAIL that the
 * client does not get, and to pg_stat_activity.
 */
static void
hide_statement(ErrorData *error)
{
	const char *detail = error->detail_log != NULL ? error->detail_log : error->detail;
	char	   *statement;
	bool		is_logged = !error->hide_stmt && error->elevel >= log_min_error_statement;

	error->hide_stmt = true;
	if (error->elevel < ERROR)
		return;
	statement = without_values(debug_query_string, error->assoc_context);
	pgstat_report_activity(STATE_RUNNING, statement);
	if (is_logged)
		error->detail_log = psprintf("%s%sThe statement, without its values: %s",
									 detail != NULL ? detail : "", detail != NULL ? "\n" : "", statement);
}

/* It must not fail, and runs with little stack left, or little memory. */
static void
on_log(ErrorData *error)
{
	StatementKeys keys = {0};

	find_keys(error, &keys);
	if (!is_ours(error->message))
	{
		hide(&error->message, &keys, error->assoc_context);
		hide(&error->detail, &keys, error->assoc_context);
	}
	if (statement_may_hold_key(debug_query_string) || repeats_key(debug_query_string, &keys))
		hide_statement(error);
	if (hide(&error->internalquery, &keys, error->assoc_context))
		error->internalpos = 0;
	hide(&error->context, &keys, error->assoc_context);
	if (previous_log_hook != NULL)
		previous_log_hook(error);
}

void
secret_statements_install_hooks(void)
{
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	previous_log_hook = emit_log_hook;
	emit_log_hook = on_log;
}
