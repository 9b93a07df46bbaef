/*
 * task_scope.c
 *		Ends tasks with the transaction, or the savepoint, in which they began.
 *
 * A function that waits removes its task when it ends, but not when an error
 * ends it. Then the task's memory may live on: in the portal of a cursor that is
 * older than the savepoint, or until somebody says ROLLBACK.
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/ilist.h"

#include "clari/task_scope.h"

typedef struct BoundTask
{
	dlist_node	node;
	Task	   *task;
	SubTransactionId subtransaction;
} BoundTask;

static dlist_head bound_tasks = DLIST_STATIC_INIT(bound_tasks);
static bool callbacks_registered = false;

static void
remove_tasks_of(SubTransactionId subtransaction)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &bound_tasks)
	{
		BoundTask  *bound = dlist_container(BoundTask, node, iter.cur);

		if (bound->subtransaction == subtransaction)
			engine_remove(bound->task);
	}
}

static void
pass_tasks_on(SubTransactionId subtransaction, SubTransactionId parent)
{
	dlist_iter	iter;

	dlist_foreach(iter, &bound_tasks)
	{
		BoundTask  *bound = dlist_container(BoundTask, node, iter.cur);

		if (bound->subtransaction == subtransaction)
			bound->subtransaction = parent;
	}
}

static void
at_transaction_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (event == XACT_EVENT_ABORT)
		while (!dlist_is_empty(&bound_tasks))
			engine_remove(dlist_head_element(BoundTask, node, &bound_tasks)->task);
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subtransaction, SubTransactionId parent,
					  void *arg pg_attribute_unused())
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		remove_tasks_of(subtransaction);
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		pass_tasks_on(subtransaction, parent);
}

/* Runs when the task's memory goes, which is the bound task's, too. */
static void
forget(void *arg)
{
	dlist_delete(&((BoundTask *) arg)->node);
}

void
task_scope_bind(Task *task)
{
	BoundTask  *bound = MemoryContextAlloc(task->context, sizeof(BoundTask));
	MemoryContextCallback *callback = MemoryContextAlloc(task->context, sizeof(MemoryContextCallback));

	if (!callbacks_registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		callbacks_registered = true;
	}
	bound->task = task;
	bound->subtransaction = GetCurrentSubTransactionId();
	dlist_push_tail(&bound_tasks, &bound->node);
	callback->func = forget;
	callback->arg = bound;
	MemoryContextRegisterResetCallback(task->context, callback);
}
