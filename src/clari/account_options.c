/*
 * account_options.c
 *		The options of a Clari server and of a user mapping: types, ranges, defaults.
 */
#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clari/account_options.h"
#include "core/base_url.h"
#include "interval.h"

#define TEXT_MAX_LENGTH		1024

#define SERVER		ForeignServerRelationId
#define MAPPING		UserMappingRelationId
#define FIELD(name) offsetof(AccountOptions, name)
#define A_DAY		((double) USECS_PER_DAY)
#define A_MS		1000.0

static const OptionRule option_rules[] = {
	{"base_url", SERVER, OPTION_URL, FIELD(base_url), "https://api.clari.com/v4", 0, 0,
	"URLs that start with https://"},
	{"ca_file", SERVER, OPTION_FILE, FIELD(ca_file), NULL, 0, 0, "paths"},
	{"proxy", SERVER, OPTION_TEXT, FIELD(proxy), NULL, 0, 0, "URLs"},
	{"connect_timeout", SERVER, OPTION_INTERVAL, FIELD(connect_timeout), "10 s", A_MS, A_DAY,
	"intervals from 1 ms to 1 day"},
	{"request_timeout", SERVER, OPTION_INTERVAL, FIELD(request_timeout), "120 s", A_MS, A_DAY,
	"intervals from 1 ms to 1 day"},
	{"poll_base_delay", SERVER, OPTION_INTERVAL, FIELD(poll_backoff.base), "5 s", A_MS, A_DAY,
	"intervals from 1 ms to 1 day"},
	{"poll_multiplier", SERVER, OPTION_NUMBER, FIELD(poll_backoff.multiplier), "1.5", 1, 100,
	"numbers from 1 to 100"},
	{"poll_max_delay", SERVER, OPTION_INTERVAL, FIELD(poll_backoff.max), "60 s", A_MS, A_DAY,
	"intervals from 1 ms to 1 day"},
	{"poll_max_attempts", SERVER, OPTION_INTEGER, FIELD(poll_max_attempts), "60", 1, 100000,
	"integers from 1 to 100000"},
	{"polling", SERVER, OPTION_POLLING, FIELD(adaptive_polling), "adaptive", 0, 0,
	"adaptive and backoff"},
	{"submit_interval", SERVER, OPTION_INTERVAL, FIELD(submit_interval), "10 s", 0, A_DAY,
	"intervals from 0 to 1 day"},
	{"max_requests_per_second", SERVER, OPTION_INTEGER, FIELD(max_requests_per_second), "10", 1, 100000,
	"integers from 1 to 100000"},
	{"max_concurrent_exports", SERVER, OPTION_INTEGER, FIELD(max_concurrent_exports), "1", 1, 1000,
	"integers from 1 to 1000"},
	{"submission_grace", SERVER, OPTION_INTERVAL, FIELD(submission_grace), "60 s", 0, A_DAY,
	"intervals from 0 to 1 day"},
	{"quota_reserve", SERVER, OPTION_INTEGER, FIELD(quota_reserve), "0", 0, 1000000,
	"integers from 0 to 1000000"},
	{"paused", SERVER, OPTION_BOOLEAN, FIELD(paused), "false", 0, 0, "true and false"},
	{"history", SERVER, OPTION_BOOLEAN, FIELD(keeps_history), "true", 0, 0, "true and false"},
	{"max_result_size", SERVER, OPTION_SIZE, FIELD(max_result_size), "512MB", 1024, 1024.0 * 1024 * 1024,
	"sizes from 1kB to 1GB"},
	{"api_key", MAPPING, OPTION_API_KEY, FIELD(api_key), NULL, 0, 0,
	"printable characters without spaces"},
	{"api_key_file", MAPPING, OPTION_FILE, FIELD(api_key_file), NULL, 0, 0, "paths"},
};

/* ----------
 * One option
 * ----------
 */

static bool
parse_size(const char *value, double *result)
{
	int64		bytes;
	int			kilobytes;

	if (!parse_int(value, &kilobytes, GUC_UNIT_KB, NULL))
		return false;
	bytes = (int64) kilobytes * 1024;
	*result = (double) bytes;
	return true;
}

bool
api_key_is_valid(const char *value)
{
	size_t		length = strlen(value);

	for (const char *c = value; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~')
			return false;
	return length > 0 && length <= API_KEY_MAX_LENGTH;
}

/* Read a number of any kind; its range is checked by the caller. */
static bool
parse_number(const OptionRule *rule, const char *value, double *number)
{
	int			integer;
	Duration	duration;

	switch (rule->type)
	{
		case OPTION_INTERVAL:
			if (!interval_parse(value, &duration))
				return false;
			*number = (double) duration;
			return true;
		case OPTION_SIZE:
			return parse_size(value, number);
		case OPTION_INTEGER:
			if (!parse_int(value, &integer, 0, NULL))
				return false;
			*number = integer;
			return true;
		default:
			return parse_real(value, number, 0, NULL);
	}
}

/* Store a number in the option's field. */
static void
store_number(const OptionRule *rule, double number, char *field)
{
	if (rule->type == OPTION_INTEGER)
		*(int *) field = (int) number;
	else if (rule->type == OPTION_NUMBER)
		*(double *) field = number;
	else
		*(int64 *) field = (int64) number;
}

bool
account_option_store(const OptionRule *rule, const char *value, AccountOptions *options)
{
	char	   *field = (char *) options + rule->offset;
	double		number;

	switch (rule->type)
	{
		case OPTION_URL:
			if (base_url_problem(value) != NULL)
				return false;
			*(char **) field = pstrdup(value);
			return true;
		case OPTION_API_KEY:
			*(char **) field = pstrdup(value);
			return api_key_is_valid(value);
		case OPTION_TEXT:
		case OPTION_FILE:
			*(char **) field = pstrdup(value);
			return value[0] != '\0' && strlen(value) <= TEXT_MAX_LENGTH;
		case OPTION_BOOLEAN:
			return parse_bool(value, (bool *) field);
		case OPTION_POLLING:
			*(bool *) field = strcmp(value, "adaptive") == 0;
			return *(bool *) field || strcmp(value, "backoff") == 0;
		default:
			if (!parse_number(rule, value, &number) || !(number >= rule->min && number <= rule->max))
				return false;
			store_number(rule, number, field);
			return true;
	}
}

const OptionRule *
account_option_find(const char *name, Oid catalog)
{
	for (size_t i = 0; i < lengthof(option_rules); i++)
		if (option_rules[i].catalog == catalog && strcmp(option_rules[i].name, name) == 0)
			return &option_rules[i];
	return NULL;
}

char *
account_option_names(Oid catalog)
{
	StringInfoData names;

	initStringInfo(&names);
	for (size_t i = 0; i < lengthof(option_rules); i++)
		if (option_rules[i].catalog == catalog)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", option_rules[i].name);
	return names.data;
}

/* ----------
 * All of them
 * ----------
 */

void
account_options_check_proxy(const AccountOptions *options)
{
	if (options->proxy == NULL || options->base_url == NULL || !base_url_is_plain(options->base_url))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"proxy\" cannot be combined with a \"base_url\" of http://"),
			 errdetail("The API key would travel to the proxy unencrypted."),
			 errhint("Use https://, or drop the option \"proxy\".")));
}

/* They are texts, too, and read once in a process. */
const AccountOptions *
account_options_default(void)
{
	static AccountOptions options;
	static bool loaded = false;
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);

	for (size_t i = 0; !loaded && i < lengthof(option_rules); i++)
		if (option_rules[i].default_value != NULL)
			account_option_store(&option_rules[i], option_rules[i].default_value, &options);
	loaded = true;
	MemoryContextSwitchTo(old_context);
	return &options;
}

void
account_options_load(AccountOptions *options, List *catalogued, Oid catalog, const char *server_name)
{
	ListCell   *cell;

	foreach(cell, catalogued)
	{
		DefElem    *option = lfirst(cell);
		const OptionRule *rule = account_option_find(option->defname, catalog);

		if (rule == NULL || !account_option_store(rule, defGetString(option), options))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("option \"%s\" of server \"%s\" is not valid in this version of " FDW_NAME,
							option->defname, server_name),
					 errhint("Set it anew with ALTER SERVER or ALTER USER MAPPING.")));
	}
}
