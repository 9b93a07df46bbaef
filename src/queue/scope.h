/*
 * scope.h
 *		Whose requests to work on.
 */
#ifndef CLARI_SCOPE_H
#define CLARI_SCOPE_H

typedef struct QueueScope
{
	const char *server;			/* NULL for any */
	Oid			role;			/* InvalidOid for any */
} QueueScope;

#endif							/* CLARI_SCOPE_H */
