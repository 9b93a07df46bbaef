/*
 * account.c
 *		A Clari account: a foreign server and a role's user mapping on it.
 *
 * The address, the limits and the timetable are options of the server, the API
 * key is one of the mapping. Values of a mapping never appear in a message,
 * not even the path of a key file.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "account.h"
#include "http.h"
#include "interval.h"

#define API_KEY_MAX_LENGTH	4096

typedef enum OptionType
{
	OPTION_TEXT,
	OPTION_FILE,				/* read by the server: superusers only */
	OPTION_URL,
	OPTION_INTERVAL,			/* limits in microseconds */
	OPTION_INTEGER,
	OPTION_NUMBER,
	OPTION_SIZE,				/* limits in bytes */
	OPTION_BOOLEAN,
	OPTION_POLLING,
	OPTION_API_KEY,
} OptionType;

typedef struct OptionRule
{
	const char *name;
	Oid			catalog;		/* pg_foreign_server or pg_user_mapping */
	OptionType	type;
	size_t		offset;			/* in Account */
	const char *default_value;	/* NULL: not set */
	double		min;
	double		max;
	const char *valid_values;	/* completes "Valid values are ..." */
} OptionRule;

#define SERVER		ForeignServerRelationId
#define MAPPING		UserMappingRelationId
#define FIELD(name) offsetof(Account, name)
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
	{"max_result_size", SERVER, OPTION_SIZE, FIELD(max_result_size), "512MB", 1024, 1024.0 * 1024 * 1024,
	"sizes from 1kB to 1GB"},
	{"api_key", MAPPING, OPTION_API_KEY, FIELD(api_key), NULL, 0, 0,
	"printable characters without spaces"},
	{"api_key_file", MAPPING, OPTION_FILE, FIELD(api_key), NULL, 0, 0, "paths"},
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

static bool
is_valid_api_key(const char *value)
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

/*
 * Check a value and store it in account. Returns false if it is not valid.
 */
static bool
store_option(const OptionRule *rule, const char *value, Account *account)
{
	char	   *field = (char *) account + rule->offset;
	double		number;

	switch (rule->type)
	{
		case OPTION_URL:
			if (http_base_url_problem(value) != NULL)
				return false;
			*(char **) field = pstrdup(value);
			return true;
		case OPTION_API_KEY:
			*(char **) field = pstrdup(value);
			return is_valid_api_key(value);
		case OPTION_TEXT:
		case OPTION_FILE:
			*(char **) field = pstrdup(value);
			return value[0] != '\0';
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

static const OptionRule *
find_rule(const char *name, Oid catalog)
{
	for (size_t i = 0; i < lengthof(option_rules); i++)
		if (option_rules[i].catalog == catalog && strcmp(option_rules[i].name, name) == 0)
			return &option_rules[i];
	return NULL;
}

/* ----------
 * The validator
 * ----------
 */

static char *
valid_option_names(Oid catalog)
{
	StringInfoData names;

	initStringInfo(&names);
	for (size_t i = 0; i < lengthof(option_rules); i++)
		if (option_rules[i].catalog == catalog)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", option_rules[i].name);
	return names.data;
}

static void
check_option(DefElem *option, Oid catalog, Account *account)
{
	const OptionRule *rule = find_rule(option->defname, catalog);
	bool		secret = catalog == MAPPING;
	const char *value = defGetString(option);

	if (rule == NULL)
	{
		char	   *names = valid_option_names(catalog);

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
	if (store_option(rule, value, account))
		return;

	if (rule->type == OPTION_URL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", rule->name, value),
				 errdetail("%s", http_base_url_problem(value)),
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
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	Account    *account = palloc0(sizeof(Account));
	ListCell   *cell;

	/* The statement holds the key: pg_stat_activity shall not show it. */
	if (catalog == MAPPING)
		pgstat_report_activity(STATE_RUNNING, "<USER MAPPING command, text hidden>");

	foreach(cell, options)
		check_option(lfirst(cell), catalog, account);
	if (catalog == MAPPING)
		check_mapping_is_complete(options);
	PG_RETURN_VOID();
}

/* ----------
 * Loading an account
 * ----------
 */

/* A request outlives the role that made it. */
static void
require_role(Oid role)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the role that made the request does not exist any more")));
}

static ForeignServer *
usable_server(const char *name, Oid role)
{
	ForeignServer *server = GetForeignServerByName(name, true);
	AclResult	access;

	require_role(role);
	if (server == NULL ||
		strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, FDW_NAME) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 server == NULL ? errmsg("server \"%s\" does not exist", name)
				 : errmsg("server \"%s\" is not a Clari server", name),
				 errhint("Create one with: CREATE SERVER %s FOREIGN DATA WRAPPER " FDW_NAME ";",
						 quote_identifier(server == NULL ? name : DEFAULT_SERVER))));

#if PG_VERSION_NUM >= 160000
	access = object_aclcheck(ForeignServerRelationId, server->serverid, role, ACL_USAGE);
#else
	access = pg_foreign_server_aclcheck(server->serverid, role, ACL_USAGE);
#endif
	if (access != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for foreign server %s", server->servername),
				 errhint("Its owner can allow it with: GRANT USAGE ON FOREIGN SERVER %s TO %s;",
						 quote_identifier(server->servername),
						 quote_identifier(GetUserNameFromId(role, false)))));
	return server;
}

/* The role's own mapping, or PUBLIC's. */
static UserMapping *
mapping_of(const ForeignServer *server, Oid role)
{
	if (!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role),
							   ObjectIdGetDatum(server->serverid)) &&
		!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
							   ObjectIdGetDatum(server->serverid)))
	{
		const char *role_name = role == GetUserId() ? "CURRENT_USER" :
			quote_identifier(GetUserNameFromId(role, false));

		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("user mapping for role \"%s\" on server \"%s\" does not exist",
						GetUserNameFromId(role, false), server->servername),
				 errdetail("The mapping holds the API key."),
				 errhint("Create one with: CREATE USER MAPPING FOR %s SERVER %s OPTIONS (api_key '...');",
						 role_name, quote_identifier(server->servername))));
	}
	return GetUserMapping(role, server->serverid);
}

/* The key in a file, without the white space around it. */
static char *
read_api_key_file(const char *path)
{
	char		buffer[API_KEY_MAX_LENGTH + 2];
	FILE	   *file = AllocateFile(path, "r");
	size_t		size;
	char	   *key = buffer;

	if (file == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open the file of option \"api_key_file\": %m")));
	size = fread(buffer, 1, sizeof(buffer) - 1, file);
	if (ferror(file))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read the file of option \"api_key_file\": %m")));
	FreeFile(file);

	while (size > 0 && isspace((unsigned char) buffer[size - 1]))
		size--;
	buffer[size] = '\0';
	while (isspace((unsigned char) *key))
		key++;
	if (strlen(key) != size - (size_t) (key - buffer) || !is_valid_api_key(key))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the file of option \"api_key_file\" does not hold an API key"),
				 errhint("It must hold the key and nothing else: printable characters without spaces, at most %d.",
						 API_KEY_MAX_LENGTH)));
	key = pstrdup(key);
	explicit_bzero(buffer, sizeof(buffer));
	return key;
}

/* The defaults are texts, too; they are read once in a process. */
static const Account *
defaults(void)
{
	static Account account;
	static bool loaded = false;
	MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);

	for (size_t i = 0; !loaded && i < lengthof(option_rules); i++)
		if (option_rules[i].default_value != NULL)
			store_option(&option_rules[i], option_rules[i].default_value, &account);
	loaded = true;
	MemoryContextSwitchTo(old_context);
	return &account;
}

/* Store catalogued options; they have passed the validator. */
static void
load_options(Account *account, List *options, Oid catalog)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);
		const OptionRule *rule = find_rule(option->defname, catalog);

		if (rule == NULL || !store_option(rule, defGetString(option), account))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("option \"%s\" of server \"%s\" is not valid in this version of " FDW_NAME,
							option->defname, account->server_name),
					 errhint("Set it anew with ALTER SERVER or ALTER USER MAPPING.")));
		if (strcmp(rule->name, "api_key_file") == 0)
			account->api_key = read_api_key_file(defGetString(option));
	}
}

static void
strip_slashes(char *url)
{
	size_t		length = strlen(url);

	while (length > 0 && url[length - 1] == '/')
		url[--length] = '\0';
}

static void
hash_text(const char *text, uint8 *hash)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	bool		failed = context == NULL ||
		pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) text, strlen(text)) < 0 ||
		pg_cryptohash_final(context, hash, LANE_KEY_SIZE) < 0;

	pg_cryptohash_free(context);
	if (failed)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute a SHA-256 hash")));
}

/*
 * The key's hash stands for the key wherever it is not needed itself. Most
 * calls of a session are for the same key, so the last one's is remembered.
 */
static void
hash_api_key(Account *account)
{
	static char last_key[API_KEY_MAX_LENGTH + 1];
	static uint8 last_hash[LANE_KEY_SIZE];

	if (strcmp(account->api_key, last_key) != 0)
	{
		hash_text(account->api_key, last_hash);
		strlcpy(last_key, account->api_key, sizeof(last_key));
	}
	memcpy(account->lane_key, last_hash, LANE_KEY_SIZE);
}

void
account_check_server(const char *server_name, Oid role)
{
	usable_server(server_name, role);
}

Account *
account_load(const char *server_name, Oid role)
{
	ForeignServer *server = usable_server(server_name, role);
	UserMapping *mapping = mapping_of(server, role);
	Account    *account = palloc(sizeof(Account));

	*account = *defaults();
	account->base_url = pstrdup(account->base_url);
	account->server_id = server->serverid;
	account->server_name = pstrdup(server->servername);
	account->role = role;
	load_options(account, server->options, SERVER);
	load_options(account, mapping->options, MAPPING);
	strip_slashes(account->base_url);
	hash_api_key(account);
	return account;
}

ExportRules
account_export_rules(const Account *account)
{
	ExportRules rules = {
		.backoff = account->poll_backoff,
		.max_attempts = account->poll_max_attempts,
		.submission_grace = account->submission_grace,
	};

	return rules;
}

LaneLimits
account_lane_limits(const Account *account)
{
	LaneLimits	limits = {
		.backoff = account->poll_backoff,
		.submit_interval = account->submit_interval,
		.max_requests_per_second = account->max_requests_per_second,
		.max_concurrent_exports = account->max_concurrent_exports,
	};

	return limits;
}
