/*
 * task_scope.h
 *		Ends tasks with the transaction, or the savepoint, in which they began.
 */
#ifndef CLARI_TASK_SCOPE_H
#define CLARI_TASK_SCOPE_H

#include "clari/engine.h"

/*
 * The task ends at the latest when the current subtransaction is rolled back,
 * or one around it: whatever keeps its memory then, such as a cursor, it asks
 * for nothing more and leaves its lane.
 */
extern void task_scope_bind(Task *task);

#endif							/* CLARI_TASK_SCOPE_H */
