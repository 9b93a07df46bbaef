/*
 * release.c
 *		clari_export_release(): lifts what holds the lanes of a server.
 */
#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "clari/account.h"
#include "clari/lane.h"
#include "clock.h"
#include "queue/queue.h"
#include "queue/wake.h"

static ForeignServer *
own_server(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, false);
	bool		owns;

#if PG_VERSION_NUM >= 160000
	owns = object_ownercheck(ForeignServerRelationId, server->serverid, GetUserId());
#else
	owns = pg_foreign_server_ownercheck(server->serverid, GetUserId());
#endif
	if (!owns)
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FOREIGN_SERVER, server->servername);
	return server;
}

static bool
has_mapping(Oid role, Oid server)
{
	return SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(role), ObjectIdGetDatum(server)) ||
		SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid), ObjectIdGetDatum(server));
}

static void
add_hold(StringInfo text, HoldReason reason, Instant until)
{
	if (until > clock_now())
		appendStringInfo(text, "%s%s until %s", text->len > 0 ? ", " : "",
						 hold_reason_name(reason), timestamptz_to_str(timestamp_of(until)));
}

/* The requests that tell of a hold would bring it back after a restart. */
static void
release_requests(const char *server)
{
	if (!queue_begin())
		return;
	queue_release(server);
	queue_end(false);
	wake_at_commit();
}

PG_FUNCTION_INFO_V1(clari_export_release);

/*
 * clari_export_release(server name) returns text: what was lifted. For the
 * server's owner and superusers, since it sends to Clari what Clari asked not
 * to send.
 */
Datum
clari_export_release(PG_FUNCTION_ARGS)
{
	ForeignServer *server = own_server(NameStr(*PG_GETARG_NAME(0)));
	Account    *account = NULL;
	LaneHolds	lifted = {0};
	StringInfoData text;

	if (has_mapping(GetUserId(), server->serverid))
		account = account_load(server->servername, GetUserId());
	lane_release(server->serverid, account != NULL ? account->lane_key : NULL, &lifted);
	release_requests(server->servername);

	initStringInfo(&text);
	add_hold(&text, HOLD_RATE_LIMITED, lifted.until);
	add_hold(&text, lifted.submissions_held_for, lifted.submissions_until);
	PG_RETURN_TEXT_P(cstring_to_text(text.len > 0 ? text.data : "nothing was held"));
}
