/*
 * owners.h
 *		Whose the rows of all tables are: roles, and servers by their names.
 *
 * The functions run inside a transaction that the caller opened with
 * queue_begin().
 */
#ifndef CLARI_OWNERS_H
#define CLARI_OWNERS_H

#include "nodes/pg_list.h"

/*
 * A row's role in requests and snapshots, as their indexes by role have it. No
 * other statement's plan goes by these: a role may have all rows.
 */
#define OWNER_OF_ROW	"oidlarger(requested_by, 0::oid)"

/* All roles that have requests, snapshots or a history, as a list of OIDs, perhaps twice; 0 for nobody is none. */
extern List *owners(void);

/* The roles that have some with a server of that name. */
extern List *owners_on(const char *server);

/* Leave all rows of a role to nobody. */
extern void owners_forget(Oid role);

/* A server has another name: its requests, snapshots and history go with it. */
extern void owners_rename_server(const char *old_name, const char *new_name);

#endif							/* CLARI_OWNERS_H */
