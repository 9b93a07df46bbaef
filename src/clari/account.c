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
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "clari/account.h"
#include "clari/api_key_file.h"
#include "core/base_url.h"

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

	base_url_origin(account->options.base_url, text);
	origin_size = strlen(text) + 1;
	strlcpy(text + origin_size, account->options.api_key, sizeof(text) - origin_size);
	hash_text(text, origin_size + strlen(account->options.api_key), account->lane_key);
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
	char	   *key = ((Account *) account)->options.api_key;

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
	account->options.base_url = copy_text(original->options.base_url);
	account->options.ca_file = copy_text(original->options.ca_file);
	account->options.proxy = copy_text(original->options.proxy);
	account->options.api_key_file = copy_text(original->options.api_key_file);
	account->options.api_key = copy_text(original->options.api_key);
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

	account->options = *account_options_default();
	forget_key_in_time(account);
	account->options.base_url = pstrdup(account->options.base_url);
	account->server_id = server->serverid;
	account->server_name = pstrdup(server->servername);
	account->role = role;
	account_options_load(&account->options, server->options, ForeignServerRelationId, server->servername);
	account_options_load(&account->options, mapping->options, UserMappingRelationId, server->servername);
	account_options_check_proxy(&account->options);
	strip_slashes(account->options.base_url);
	if (account->options.api_key != NULL)
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
	AccountOptions options = *account_options_default();
	ListCell   *cell;

	if (server == NULL)
		return true;
	foreach(cell, server->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "history") == 0)
			account_option_store(account_option_find(option->defname, ForeignServerRelationId), defGetString(option), &options);
	}
	return options.keeps_history;
}

void
account_check_server(const char *server_name, Oid role)
{
	Oid			server = usable_server(server_name, role);
	Oid			locked;

	/* It may have been renamed, dropped, or made anew, before it was locked. */
	do
	{
		locked = server;
		LockDatabaseObject(ForeignServerRelationId, locked, 0, AccessShareLock);
		server = usable_server(server_name, role);
	} while (server != locked);
}

Account *
account_load(const char *server_name, Oid role)
{
	Account    *account = find_account(usable_server(server_name, role), role);

	if (account->options.api_key_file != NULL)
	{
		account->options.api_key = api_key_file_read(account->options.api_key_file);
		set_lane_key(account);
	}
	return account;
}

ExportRules
account_export_rules(const Account *account)
{
	ExportRules rules = {
		.backoff = account->options.poll_backoff,
		.max_attempts = account->options.poll_max_attempts,
		.submission_grace = account->options.submission_grace,
		.request_timeout = account->options.request_timeout,
	};

	return rules;
}

LaneLimits
account_lane_limits(const Account *account)
{
	LaneLimits	limits = {
		.backoff = account->options.poll_backoff,
		.submit_interval = account->options.submit_interval,
		.max_requests_per_second = account->options.max_requests_per_second,
		.max_concurrent_exports = account->options.max_concurrent_exports,
	};

	return limits;
}
