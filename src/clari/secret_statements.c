/*
 * secret_statements.c
 *		Keeps statements that hold an API key out of sight.
 *
 * A statement that the parser understood is known by its kind. One that it did
 * not, and one inside another's text (a DO block, the context of an error), is
 * known by its words: better one text too many is hidden than one too few.
 */
#include "postgres.h"

#include "access/xact.h"
#include "foreign/foreign.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"

#include "clari/account.h"
#include "clari/secret_statements.h"

static ProcessUtility_hook_type previous_utility_hook = NULL;
static emit_log_hook_type previous_log_hook = NULL;

/* ----------
 * Recognizing them
 * ----------
 */

static bool
has_word(const char *text, const char *word)
{
	return strcasestr(text, word) != NULL;
}

static bool
may_hold_key(const char *text)
{
	return text != NULL &&
		(has_word(text, "api_key") || has_word(text, "apikey") ||
		 (has_word(text, "user") && has_word(text, "mapping") && has_word(text, "options")));
}

/* A mapping on a server of ours, or on one that may have been meant. */
static bool
concerns_us(const char *server_name)
{
	ForeignServer *server = GetForeignServerByName(server_name, true);

	return server == NULL ||
		strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, FDW_NAME) == 0;
}

static bool
is_secret(const Node *statement, const char *query)
{
	switch (nodeTag(statement))
	{
		case T_CreateUserMappingStmt:
			return concerns_us(((const CreateUserMappingStmt *) statement)->servername);
		case T_AlterUserMappingStmt:
			return concerns_us(((const AlterUserMappingStmt *) statement)->servername);
		case T_DoStmt:
			return may_hold_key(query);
		default:
			return false;
	}
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
		pgstat_report_activity(STATE_RUNNING, HIDDEN_STATEMENT);
		statement = without_text(statement);
		query = HIDDEN_STATEMENT;
	}
	run_next(statement, query, read_only_tree, context, params, environment, dest, completion);
}

/* ----------
 * In the log
 * ----------
 */

/* Put another text in the place of one; both are the error's. */
static void
replace(char **text, const char *replacement, MemoryContext context)
{
	if (!may_hold_key(*text))
		return;
	pfree(*text);
	*text = MemoryContextStrdup(context, replacement);
}

/*
 * "statement: ...", "duration: ...", a plan with its query: what the server
 * tells of statements by itself. Our own messages hold no key.
 */
static void
hide_logged_statement(ErrorData *error)
{
	if (error->elevel != LOG || error->message == NULL ||
		strncmp(error->message, FDW_NAME ":", strlen(FDW_NAME ":")) == 0)
		return;
	replace(&error->message, HIDDEN_STATEMENT, error->assoc_context);
	replace(&error->detail, HIDDEN_STATEMENT, error->assoc_context);
}

/* It must not fail, and runs with little stack left, or little memory. */
static void
on_log(ErrorData *error)
{
	if (may_hold_key(debug_query_string))
	{
		error->hide_stmt = true;
		if (error->elevel == ERROR)
			pgstat_report_activity(STATE_RUNNING, HIDDEN_STATEMENT);
	}
	if (may_hold_key(error->internalquery))
		error->internalpos = 0;
	replace(&error->internalquery, HIDDEN_STATEMENT, error->assoc_context);
	replace(&error->context, HIDDEN_STATEMENT, error->assoc_context);
	hide_logged_statement(error);
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
