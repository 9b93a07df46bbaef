/*
 * account.h
 *		A Clari account: a foreign server and a role's user mapping on it.
 */
#ifndef CLARI_ACCOUNT_H
#define CLARI_ACCOUNT_H

#include "clari/account_options.h"
#include "core/export.h"
#include "core/lane_rules.h"

#define DEFAULT_SERVER	"clari"
#define LANE_KEY_SIZE	32

typedef struct Account
{
	Oid			server_id;
	char	   *server_name;
	Oid			role;			/* whose mapping it is */

	AccountOptions options;
	uint8		lane_key[LANE_KEY_SIZE];	/* SHA-256 of host and api_key */
} Account;

/*
 * The account of a role on a server, its base_url without a slash at the end.
 * Everything is allocated in the current memory context; the key is wiped out
 * with it.
 *
 * Errors: 42704 no such server, or no mapping; 42501 no USAGE on the server;
 * 22023 and 58P01 for an api_key_file that cannot be used.
 */
extern Account *account_load(const char *server_name, Oid role);

/*
 * As account_load(), checking the server only: no mapping is needed. The server
 * is not renamed or dropped until the transaction ends.
 */
extern void account_check_server(const char *server_name, Oid role);

/* Whether snapshots from a server go to the history; so they do from one that is gone. */
extern bool account_keeps_history(const char *server_name);

/* The rules these options give one export and its lane. */
extern ExportRules account_export_rules(const Account *account);
extern LaneLimits account_lane_limits(const Account *account);

#endif							/* CLARI_ACCOUNT_H */
