/*
 * account.c
 *		A Clari account: a foreign server and a role's user mapping on it.
 *
 * The address, the limits and the timetable are options of the server, the API
 * key is one of the mapping. Values of a mapping never appear in a message,
 * not even the path of a key file.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "access/reloptions.h"
#include "catalog/pg_foreign_data_wrapper.h"
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
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "account.h"
#include "core/base_url.h"
#include "interval.h"
#include "secret_statements.h"

#define API_KEY_MAX_LENGTH	4096
#define TEXT_MAX_LENGTH		1024

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
			if (base_url_problem(value) != NULL)
				return false;
			*(char **) field = pstrdup(value);
			return true;
		case OPTION_API_KEY:
			*(char **) field = pstrdup(value);
			return is_valid_api_key(value);
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

/* What goes to a loopback host in clear would go to a proxy in clear, too. */
static void
check_proxy(const Account *account)
{
	if (account->proxy == NULL || account->base_url == NULL || !base_url_is_plain(account->base_url))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"proxy\" cannot be combined with a \"base_url\" of http://"),
			 errdetail("The API key would travel to the proxy unencrypted."),
			 errhint("Use https://, or drop the option \"proxy\".")));
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
		pgstat_report_activity(STATE_RUNNING, HIDDEN_STATEMENT);

	foreach(cell, options)
		check_option(lfirst(cell), catalog, account);
	if (catalog == MAPPING)
		check_mapping_is_complete(options);
	check_proxy(account);
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

/* Whether a server is one of our wrapper's. */
static bool
is_clari_server(Oid server_id)
{
	HeapTuple	tuple = SearchSysCache1(FOREIGNSERVEROID, ObjectIdGetDatum(server_id));
	Oid			wrapper;
	bool		is_ours;

	if (!HeapTupleIsValid(tuple))
		return false;
	wrapper = ((Form_pg_foreign_server) GETSTRUCT(tuple))->srvfdw;
	ReleaseSysCache(tuple);
	tuple = SearchSysCache1(FOREIGNDATAWRAPPEROID, ObjectIdGetDatum(wrapper));
	if (!HeapTupleIsValid(tuple))
		return false;
	is_ours = strcmp(NameStr(((Form_pg_foreign_data_wrapper) GETSTRUCT(tuple))->fdwname), FDW_NAME) == 0;
	ReleaseSysCache(tuple);
	return is_ours;
}

static AclResult
access_to_server(Oid server_id, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ForeignServerRelationId, server_id, role, ACL_USAGE);
#else
	return pg_foreign_server_aclcheck(server_id, role, ACL_USAGE);
#endif
}

static Oid
usable_server(const char *name, Oid role)
{
	Oid			server_id = get_foreign_server_oid(name, true);

	require_role(role);
	if (!OidIsValid(server_id) || !is_clari_server(server_id))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 !OidIsValid(server_id) ? errmsg("server \"%s\" does not exist", name)
				 : errmsg("server \"%s\" is not a Clari server", name),
				 errhint("Create one with: CREATE SERVER %s FOREIGN DATA WRAPPER " FDW_NAME ";",
						 quote_identifier(!OidIsValid(server_id) ? name : DEFAULT_SERVER))));
	if (access_to_server(server_id, role) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for foreign server %s", name),
				 errhint("Its owner can allow it with: GRANT USAGE ON FOREIGN SERVER %s TO %s;",
						 quote_identifier(name),
						 quote_identifier(GetUserNameFromId(role, false)))));
	return server_id;
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

/*
 * Open the file that holds a key. Nothing but a regular file will do: a pipe
 * or a device could keep us waiting, and could be somebody's trigger. So it is
 * looked at before it is opened, and again in case it was replaced.
 */
static int
open_api_key_file(const char *path)
{
	int			fd = -1;
	struct stat status;
	bool		failed = stat(path, &status) != 0;

	if (!failed && S_ISREG(status.st_mode))
	{
		fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
		failed = fd < 0 || fstat(fd, &status) != 0;
	}
	if (failed)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open the file of option \"api_key_file\": %m")));
	if (!S_ISREG(status.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the file of option \"api_key_file\" is not a regular file")));
	return fd;
}

/* Read from a file until the buffer is full or the file ends. */
static size_t
read_fully(int fd, char *buffer, size_t size)
{
	size_t		length = 0;
	ssize_t		n;

	while (length < size && (n = read(fd, buffer + length, size - length)) != 0)
	{
		if (n < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read the file of option \"api_key_file\": %m")));
		length += (size_t) n;
	}
	return length;
}

/* The key in a file, without the white space around it. */
static char *
read_api_key_file(const char *path)
{
	char		buffer[API_KEY_MAX_LENGTH + 2];
	int			fd = open_api_key_file(path);
	size_t		size = read_fully(fd, buffer, sizeof(buffer) - 1);
	char	   *key = buffer;

	CloseTransientFile(fd);
	while (size > 0 && isspace((unsigned char) buffer[size - 1]))
		size--;
	buffer[size] = '\0';
	while (isspace((unsigned char) *key))
		key++;
	if (strlen(key) != size - (size_t) (key - buffer) || !is_valid_api_key(key))
	{
		explicit_bzero(buffer, sizeof(buffer));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the file of option \"api_key_file\" does not hold an API key"),
				 errhint("It must hold the key and nothing else: printable characters without spaces, at most %d.",
						 API_KEY_MAX_LENGTH)));
	}
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
hash_text(const char *text, size_t length, uint8 *hash)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	bool		failed = context == NULL ||
		pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) text, length) < 0 ||
		pg_cryptohash_final(context, hash, LANE_KEY_SIZE) < 0;

	pg_cryptohash_free(context);
	if (failed)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute a SHA-256 hash")));
}

/*
 * The lane is the key's at this host: the same text at another host is another
 * key. The hash stands for both wherever they are not needed themselves.
 */
static void
set_lane_key(Account *account)
{
	char		text[BASE_URL_ORIGIN_SIZE + API_KEY_MAX_LENGTH + 1];
	size_t		origin_size;

	base_url_origin(account->base_url, text);
	origin_size = strlen(text) + 1;
	strlcpy(text + origin_size, account->api_key, sizeof(text) - origin_size);
	hash_text(text, origin_size + strlen(account->api_key), account->lane_key);
	explicit_bzero(text, sizeof(text));
}

/* ----------
 * Accounts that were loaded before
 *
 * Reading options costs more than a request over a connection that is open.
 * An account stays as it is until the catalogs say that something changed;
 * a key file is read at every use.
 * ----------
 */

typedef struct AccountKey
{
	Oid			server_id;
	Oid			role;
} AccountKey;

typedef struct KnownAccount
{
	AccountKey	key;
	Account    *account;
} KnownAccount;

/* A session that serves many roles begins anew after so many. */
#define MAX_KNOWN_ACCOUNTS	1024

static MemoryContext known_context = NULL;
static HTAB *known_accounts = NULL;
static bool known_are_stale = false;

static void
note_change(Datum arg pg_attribute_unused(), int cache_id pg_attribute_unused(),
			uint32 hash_value pg_attribute_unused())
{
	known_are_stale = true;
}

static void
watch_catalogs(void)
{
	static bool watching = false;

	if (watching)
		return;
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, note_change, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, note_change, (Datum) 0);
	watching = true;
}

static void
forget_key(void *account)
{
	char	   *key = ((Account *) account)->api_key;

	if (key != NULL)
		explicit_bzero(key, strlen(key));
}

/* The key is wiped out when the account's memory goes. */
static void
forget_key_in_time(Account *account)
{
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	callback->func = forget_key;
	callback->arg = account;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
}

/* The accounts that are known, after forgetting them if they may have changed. */
static HTAB *
known(void)
{
	HASHCTL		control = {.keysize = sizeof(AccountKey),.entrysize = sizeof(KnownAccount)};

	if (known_accounts != NULL && !known_are_stale &&
		hash_get_num_entries(known_accounts) < MAX_KNOWN_ACCOUNTS)
		return known_accounts;
	if (known_context == NULL)
		known_context = AllocSetContextCreate(CacheMemoryContext, "clari_export accounts",
											  ALLOCSET_DEFAULT_SIZES);
	known_accounts = NULL;
	MemoryContextReset(known_context);
	watch_catalogs();
	known_are_stale = false;
	control.hcxt = known_context;
	known_accounts = hash_create("clari_export accounts", 16, &control,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return known_accounts;
}

static char *
copy_text(const char *text)
{
	return text != NULL ? pstrdup(text) : NULL;
}

static Account *
copy_account(const Account *original)
{
	Account    *account = palloc(sizeof(Account));

	*account = *original;
	account->server_name = copy_text(original->server_name);
	account->base_url = copy_text(original->base_url);
	account->ca_file = copy_text(original->ca_file);
	account->proxy = copy_text(original->proxy);
	account->api_key_file = copy_text(original->api_key_file);
	account->api_key = copy_text(original->api_key);
	forget_key_in_time(account);
	return account;
}

/* Read what the catalogs say. */
static Account *
read_account(Oid server_id, Oid role)
{
	ForeignServer *server = GetForeignServer(server_id);
	UserMapping *mapping = mapping_of(server, role);
	Account    *account = palloc(sizeof(Account));

	*account = *defaults();
	forget_key_in_time(account);
	account->base_url = pstrdup(account->base_url);
	account->server_id = server->serverid;
	account->server_name = pstrdup(server->servername);
	account->role = role;
	load_options(account, server->options, SERVER);
	load_options(account, mapping->options, MAPPING);
	check_proxy(account);
	strip_slashes(account->base_url);
	if (account->api_key != NULL)
		set_lane_key(account);
	return account;
}

/* An account is kept only if nothing changed while it was read. */
static Account *
find_account(Oid server_id, Oid role)
{
	AccountKey	key = {.server_id = server_id,.role = role};
	KnownAccount *entry = hash_search(known(), &key, HASH_FIND, NULL);
	Account    *account;
	Account    *kept;
	MemoryContext old_context;

	if (entry != NULL)
		return copy_account(entry->account);
	account = read_account(server_id, role);
	if (known_are_stale)
		return account;
	old_context = MemoryContextSwitchTo(known_context);
	kept = copy_account(account);
	MemoryContextSwitchTo(old_context);
	entry = hash_search(known_accounts, &key, HASH_ENTER, NULL);
	entry->account = kept;
	return account;
}

bool
account_keeps_history(const char *server_name)
{
	ForeignServer *server = GetForeignServerByName(server_name, true);
	Account		account = *defaults();
	ListCell   *cell;

	if (server == NULL)
		return true;
	foreach(cell, server->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "history") == 0)
			store_option(find_rule(option->defname, SERVER), defGetString(option), &account);
	}
	return account.keeps_history;
}

void
account_check_server(const char *server_name, Oid role)
{
	usable_server(server_name, role);
}

Account *
account_load(const char *server_name, Oid role)
{
	Account    *account = find_account(usable_server(server_name, role), role);

	if (account->api_key_file != NULL)
	{
		account->api_key = read_api_key_file(account->api_key_file);
		set_lane_key(account);
	}
	return account;
}

ExportRules
account_export_rules(const Account *account)
{
	ExportRules rules = {
		.backoff = account->poll_backoff,
		.max_attempts = account->poll_max_attempts,
		.submission_grace = account->submission_grace,
		.request_timeout = account->request_timeout,
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
