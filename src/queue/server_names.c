/*
 * server_names.c
 *		A server's name is that of its requests, snapshots and history.
 *
 * They outlive their server, and are exported by the server that has the name
 * then. So nobody may take a name that others' have, and a rename takes along
 * only what the server's own requests left.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "commands/event_trigger.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/syscache.h"

#include "queue/owners.h"
#include "queue/queue.h"

static bool
is_rename(const Node *command)
{
	return IsA(command, RenameStmt) && ((const RenameStmt *) command)->renameType == OBJECT_FOREIGN_SERVER;
}

/* CREATE SERVER IF NOT EXISTS leaves one that exists as it is. */
static bool
is_changed_now(Oid server_id)
{
	HeapTuple	tuple = SearchSysCache1(FOREIGNSERVEROID, ObjectIdGetDatum(server_id));
	bool		is_changed;

	if (!HeapTupleIsValid(tuple))
		return false;
	is_changed = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	ReleaseSysCache(tuple);
	return is_changed;
}

/* The Clari server that the command has given a name; NULL if it did not. */
static ForeignServer *
named_server(const Node *command)
{
	ForeignServer *server = NULL;

	if (IsA(command, CreateForeignServerStmt))
		server = GetForeignServerByName(((const CreateForeignServerStmt *) command)->servername, true);
	else if (is_rename(command))
		server = GetForeignServerByName(((const RenameStmt *) command)->newname, true);
	if (server == NULL || !is_changed_now(server->serverid) ||
		strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, "clari_export") != 0)
		return NULL;
	return server;
}

/* Refuse a name that rows of others have, whose rights the role has not. */
static void
check_name(const char *name, Oid role)
{
	ListCell   *cell;

	foreach(cell, owners_on(name))
	{
		if (!has_privs_of_role(role, lfirst_oid(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("server name \"%s\" belongs to requests or results of other roles", name),
					 errdetail("They are those of a server that was dropped."),
					 errhint("Choose another name, or have a superuser create the server.")));
	}
}

PG_FUNCTION_INFO_V1(clari_export_follow_server);

/*
 * Event trigger, CREATE SERVER and ALTER SERVER: check a server's new name and,
 * after a RENAME, rename in the queue. Inserts lock their server.
 */
Datum
clari_export_follow_server(PG_FUNCTION_ARGS)
{
	const EventTriggerData *data = (EventTriggerData *) fcinfo->context;
	Oid			role = GetUserId();
	ForeignServer *server;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("this function can only be called as an event trigger")));
	server = named_server(data->parsetree);
	if (server == NULL)
		PG_RETURN_NULL();
	LockDatabaseObject(ForeignServerRelationId, server->serverid, 0, AccessExclusiveLock);
	if (queue_begin())
	{
		check_name(server->servername, role);
		if (is_rename(data->parsetree))
			owners_rename_server(strVal(((const RenameStmt *) data->parsetree)->object), server->servername);
		queue_end(false);
	}
	PG_RETURN_NULL();
}
