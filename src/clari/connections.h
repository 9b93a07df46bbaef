/*
 * connections.h
 *		How many connections each role may have open at a time.
 *
 * A process has so many descriptors and no more, and a host that accepts and
 * never answers costs those who use it nothing. So each role leaves as many to
 * the others as it has itself; whoever has to wait stands in its role's line.
 */
#ifndef CLARI_CONNECTIONS_H
#define CLARI_CONNECTIONS_H

#include "lib/ilist.h"

/* Whether the role may open one more. */
extern bool connections_admit(Oid role);

/* One was opened, or one is closed or idle. */
extern void connections_take(Oid role);
extern void connections_give_back(Oid role);

/* Stand in line; dlist_delete() leaves it. */
extern void connections_wait(Oid role, dlist_node *node);

/* The first in line of a role that may open one by now, or NULL. */
extern dlist_node *connections_next(void);

#endif							/* CLARI_CONNECTIONS_H */
