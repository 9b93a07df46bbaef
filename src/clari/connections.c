/*
 * connections.c
 *		How many connections each role may have open at a time.
 */
#include "postgres.h"

#include "storage/fd.h"
#include "utils/hsearch.h"

#include "clari/connections.h"

/*
 * PostgreSQL lets a third of a process's descriptors be used for what is not
 * its own. A connection may need two, while a name is looked up or a second
 * address is tried.
 */
#define DESCRIPTORS_OF_A_CONNECTION	(3 * 2)

typedef struct RoleConnections
{
	Oid			role;
	int			n_open;
	dlist_head	waiting;
} RoleConnections;

static HTAB *by_role = NULL;
static int	n_open = 0;
static bool anybody_waits = false;	/* or did, when it was last looked up */

static RoleConnections *
connections_of(Oid role)
{
	RoleConnections *entry;
	bool		found;

	if (by_role == NULL)
		by_role = hash_create("clari_export connections", 16,
							  &(HASHCTL) {.keysize = sizeof(Oid),.entrysize = sizeof(RoleConnections)},
							  HASH_ELEM | HASH_BLOBS);
	entry = hash_search(by_role, &role, HASH_ENTER, &found);
	if (!found)
	{
		entry->n_open = 0;
		dlist_init(&entry->waiting);
	}
	return entry;
}

static bool
may_open(const RoleConnections *entry)
{
	int			capacity = Max(max_safe_fds / DESCRIPTORS_OF_A_CONNECTION, 1);

	return entry->n_open < capacity - n_open;
}

bool
connections_admit(Oid role)
{
	return may_open(connections_of(role));
}

void
connections_take(Oid role)
{
	connections_of(role)->n_open++;
	n_open++;
}

void
connections_give_back(Oid role)
{
	connections_of(role)->n_open--;
	n_open--;
}

void
connections_wait(Oid role, dlist_node *node)
{
	dlist_push_tail(&connections_of(role)->waiting, node);
	anybody_waits = true;
}

dlist_node *
connections_next(void)
{
	HASH_SEQ_STATUS scan;
	RoleConnections *entry;

	if (!anybody_waits)
		return NULL;
	anybody_waits = false;
	hash_seq_init(&scan, by_role);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (dlist_is_empty(&entry->waiting))
			continue;
		anybody_waits = true;
		if (may_open(entry))
		{
			hash_seq_term(&scan);
			return dlist_head_node(&entry->waiting);
		}
	}
	return NULL;
}
