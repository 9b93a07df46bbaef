/*
 * secret_statements.c
 *		Keeps API keys in statements out of sight.
 *
 * Which parts of a text are values, core/statement_text.h says; here is where
 * texts of statements turn up. Values are hidden, and nothing else is: whoever
 * reads the log sees what was done. What a statement means is judged by its
 * text, for the log has to be written where no catalog can be read.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"

#include "clari/account.h"
#include "clari/secret_statements.h"
#include "core/statement_text.h"

#if PG_VERSION_NUM >= 190000
#define JUMBLE_STATE	const JumbleState
#define standard_conforming_strings true
#else
#define JUMBLE_STATE	JumbleState
#endif

static post_parse_analyze_hook_type previous_analyze_hook = NULL;
static ProcessUtility_hook_type previous_utility_hook = NULL;
static emit_log_hook_type previous_log_hook = NULL;

/* ----------
 * Texts
 * ----------
 */

/* Plain literals are read as the parser reads them. */
static StatementReading
reading_of(bool is_refused)
{
	return (StatementReading) {is_refused, !standard_conforming_strings};
}

static bool
repeats_key(const char *text, const StatementKeys *keys)
{
	for (int i = 0; text != NULL && i < keys->n; i++)
		if (memmem(text, strlen(text), keys->keys[i].text, keys->keys[i].size) != NULL)
			return true;
	return false;
}

/*
 * A text without its values and without what repeats keys in its literals, in
 * a memory context; NULL if it has none. All is hidden if memory is short.
 */
static char *
without_values(const char *text, bool is_refused, const StatementKeys *keys, MemoryContext context)
{
	char	   *copy;

	if (!statement_may_hold_key(text) && !(keys != NULL && repeats_key(text, keys)))
		return NULL;
	copy = MemoryContextAllocExtended(context, strlen(text) + 1, MCXT_ALLOC_NO_OOM | MCXT_ALLOC_HUGE);
	if (copy == NULL)
		return MemoryContextStrdup(context, HIDDEN_STATEMENT);
	if (statement_hide_values(text, reading_of(is_refused), keys, copy))
		return copy;
	pfree(copy);
	return NULL;
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

/* The statement's own part of a string of several. */
static char *
own_text(const PlannedStmt *statement, const char *query)
{
	int			start = Max(statement->stmt_location, 0);

	return statement->stmt_len > 0 ? pnstrdup(query + start, statement->stmt_len) : pstrdup(query + start);
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
	char	   *text = own_text(statement, query);
	char	   *shown = without_values(text, false, NULL, CurrentMemoryContext);

	pfree(text);
	if (shown != NULL)
	{
		pgstat_report_activity(STATE_RUNNING, shown);
		query = shown;
		statement = without_text(statement);
	}
	run_next(statement, query, read_only_tree, context, params, environment, dest, completion);
}

/* Each statement of a string is analyzed: looking at the first is enough. */
static bool
is_first(const Query *query, const char *text)
{
	return query->stmt_location <= 0 || memchr(text, ';', query->stmt_location) == NULL;
}

/* A statement that comes before one with a key, in one string, may run for long. */
static void
on_analyze(ParseState *state, Query *query, JUMBLE_STATE *jumble)
{
	const char *text = state->p_sourcetext;
	char	   *shown = NULL;

	if (text != NULL && text == debug_query_string && is_first(query, text))
		shown = without_values(text, false, NULL, CurrentMemoryContext);
	if (shown != NULL)
	{
		pgstat_report_activity(STATE_RUNNING, shown);
		pfree(shown);
	}
	if (previous_analyze_hook != NULL)
		previous_analyze_hook(state, query, jumble);
}

/* ----------
 * Keys in an error
 * ----------
 */

/* Whether the parser has refused a text, in which the error has a position. */
static bool
is_refused(const ErrorData *error, int position)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_NAME_TOO_LONG: /* a notice of its scanner's */
			return true;
		case ERRCODE_SYNTAX_ERROR:
		case ERRCODE_INVALID_ESCAPE_SEQUENCE:
		case ERRCODE_NONSTANDARD_USE_OF_ESCAPE_CHARACTER:
			return position > 0;
		default:
			return false;
	}
}

static bool
statement_is_refused(const ErrorData *error)
{
	return error->internalquery == NULL && is_refused(error, error->cursorpos);
}

static void
find_keys_in(const char *text, bool is_refused, StatementKeys *keys)
{
	if (statement_may_hold_key(text))
		statement_find_keys(text, reading_of(is_refused), keys);
}

/* What may be keys in what ran, as far as the error tells it. A context quotes statements amid its own words. */
static void
find_keys(const ErrorData *error, StatementKeys *keys)
{
	find_keys_in(debug_query_string, statement_is_refused(error), keys);
	find_keys_in(error->internalquery, is_refused(error, error->internalpos), keys);
	find_keys_in(error->context, true, keys);
}

/* Whether a position in a text, in characters from 1, is in a key. */
static bool
is_in_key(const char *text, int position, const StatementKeys *keys)
{
	for (int i = 0; i < keys->n; i++)
	{
		const char *key = keys->keys[i].text;

		if (text != NULL && key >= text && key <= text + strlen(text) &&
			position > pg_mbstrlen_with_len(text, (int) (key - text)) &&
			position <= pg_mbstrlen_with_len(text, (int) (key - text + keys->keys[i].size)))
			return true;
	}
	return false;
}

/* ----------
 * In the log
 * ----------
 */

/* Put another text in the place of one, which stays: keys may lie in it. */
static bool
replace(char **text, char *replacement)
{
	if (replacement != NULL)
		*text = replacement;
	return replacement != NULL;
}

static bool
hide_repeated(char **text, const StatementKeys *keys, MemoryContext context)
{
	if (!repeats_key(*text, keys))
		return false;
	replace(text, MemoryContextStrdup(context, *text));
	statement_hide_keys(*text, keys);
	return true;
}

/* Hide the values of a text, and keys in it. Returns whether it has changed. */
static bool
hide(char **text, bool is_refused, const StatementKeys *keys, MemoryContext context)
{
	bool		had_values = replace(text, without_values(*text, is_refused, NULL, context));

	return hide_repeated(text, keys, context) || had_values;
}

/* The same for a statement: its own words stay, if the parser knew them. */
static bool
hide_in_statement(char **text, bool is_refused, const StatementKeys *keys, MemoryContext context)
{
	return is_refused ? hide(text, true, keys, context) : replace(text, without_values(*text, false, keys, context));
}

/* Hide the values of a part of a text that is a statement, and keep what is around it. */
static void
hide_part(char **text, char *start, size_t size, MemoryContext context)
{
	char	   *part = MemoryContextAllocHuge(context, size + 1);
	char	   *shown;

	memcpy(part, start, size);
	part[size] = '\0';
	shown = without_values(part, false, NULL, context);
	if (shown != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		*text = psprintf("%.*s%s%s", (int) (start - *text), *text, shown, start + size);
		MemoryContextSwitchTo(old);
	}
	pfree(part);
}

/* The parser quotes a part of what it refuses: that may be a part of a key. */
static bool
quotes_part_of_key(const ErrorData *error, const StatementKeys *keys)
{
	if (error->sqlerrcode == ERRCODE_NAME_TOO_LONG)
		return keys->n > 0;
	return is_refused(error, Max(error->cursorpos, error->internalpos)) &&
		(is_in_key(debug_query_string, error->cursorpos, keys) ||
		 is_in_key(error->internalquery, error->internalpos, keys));
}

/* The message of log_statement, of a duration, of a plan has the statement in it. */
static void
hide_logged_statement(ErrorData *error, const StatementKeys *keys)
{
	char	   *statement = debug_query_string != NULL ? strstr(error->message, debug_query_string) : NULL;

	if (statement != NULL)
		hide_part(&error->message, statement, strlen(debug_query_string), error->assoc_context);
	else
		hide(&error->message, false, keys, error->assoc_context);
}

/* What an error says in its own words names options, and holds no key but one that it repeats. */
static void
hide_message(ErrorData *error, const StatementKeys *keys)
{
	if (error->message == NULL)
		return;
	if (error->elevel == LOG)
		hide_logged_statement(error, keys);
	else if (quotes_part_of_key(error, keys))
		replace(&error->message, MemoryContextStrdup(error->assoc_context, "syntax error in what may be a key"));
	else
		hide_repeated(&error->message, keys, error->assoc_context);
}

/* EXECUTE is logged with the string that PREPARE was in: what precedes it ends with a colon. */
static void
hide_details(ErrorData *error, const StatementKeys *keys)
{
	char	  **const texts[] = {&error->detail, &error->detail_log, &error->hint};

	for (size_t i = 0; i < lengthof(texts); i++)
		if (error->elevel == LOG)
			hide(texts[i], false, keys, error->assoc_context);
		else
			hide_repeated(texts[i], keys, error->assoc_context);
}

/*
 * The statement goes to the log without its values, as a DETAIL that the
 * client does not get, and to pg_stat_activity.
 */
static void
hide_statement(ErrorData *error, const StatementKeys *keys)
{
	const char *detail = error->detail_log != NULL ? error->detail_log : error->detail;
	char	   *statement = (char *) debug_query_string;
	bool		is_logged = !error->hide_stmt && error->elevel >= log_min_error_statement;

	if (!hide_in_statement(&statement, statement_is_refused(error), keys, error->assoc_context))
		return;
	error->hide_stmt = true;
	if (error->elevel < ERROR)
		return;
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
	hide_message(error, &keys);
	hide_details(error, &keys);
	hide_statement(error, &keys);
	if (hide_in_statement(&error->internalquery, is_refused(error, error->internalpos), &keys, error->assoc_context))
		error->internalpos = 0;
	hide(&error->context, true, &keys, error->assoc_context);
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
	previous_analyze_hook = post_parse_analyze_hook;
	post_parse_analyze_hook = on_analyze;
}
