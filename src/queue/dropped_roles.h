/*
 * dropped_roles.h
 *		What becomes of the rows of a role that was dropped.
 */
#ifndef CLARI_DROPPED_ROLES_H
#define CLARI_DROPPED_ROLES_H

/*
 * Let unfinished requests of roles that were dropped fail, and leave all their
 * rows to nobody, if roles have changed since the last time. In a transaction of
 * its own; what cannot be done now is done the next time. Returns whether there
 * was anything to do.
 */
extern bool dropped_roles_disown(void);

#endif							/* CLARI_DROPPED_ROLES_H */
