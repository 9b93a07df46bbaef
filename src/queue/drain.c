/*
 * drain.c
 *		CALL clari_export_drain(): the worker's work in a client's session.
 */
#include "postgres.h"

#include <limits.h>

#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "interval.h"
#include "queue/dispatcher.h"
#include "queue/removal.h"
#include "statement.h"

/* The deadline has come: only a submission that is on its way is waited for. */
static void
finish_submissions(void)
{
	dispatcher_start_no_more();
	while (dispatcher_is_submitting())
		dispatcher_step(INSTANT_NEVER);
}

/*
 * Dispatch until there is nothing to do before the deadline. With a deadline
 * that includes requests which become due until then; without, those that are
 * due and at most held.
 */
static void
drain(Instant deadline)
{
	bool		has_deadline = deadline != INSTANT_NEVER;

	do
	{
		Instant		idle_until;

		dispatcher_step(deadline);
		idle_until = dispatcher_idle_until(has_deadline);
		if (idle_until == INSTANT_NEVER || idle_until >= deadline)
			break;
	} while (clock_now() < deadline);
	finish_submissions();
	dispatcher_write_polls();
}

static void
require_transaction_control(FunctionCallInfo fcinfo)
{
	if (fcinfo->context != NULL && IsA(fcinfo->context, CallContext) &&
		!((CallContext *) fcinfo->context)->atomic)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
			 errmsg("clari_export_drain() cannot run inside a transaction block or a function"),
			 errdetail("It commits as it goes, so that nothing is lost or submitted twice."),
			 errhint("Use it as a statement of its own: CALL %s();", statement_name_now("clari_export_drain"))));
}

static Instant
deadline_arg(FunctionCallInfo fcinfo, int n)
{
	Duration	runtime;

	if (PG_ARGISNULL(n))
		return INSTANT_NEVER;
	runtime = interval_duration(PG_GETARG_INTERVAL_P(n));
	if (runtime < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_runtime must not be negative")));
	return clock_now() + runtime;
}

static int
max_requests_arg(FunctionCallInfo fcinfo, int n)
{
	if (PG_ARGISNULL(n))
		return INT_MAX;
	if (PG_GETARG_INT32(n) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_requests must be at least 1")));
	return PG_GETARG_INT32(n);
}

PG_FUNCTION_INFO_V1(clari_export_drain);

/*
 * clari_export_drain(max_requests int, max_runtime interval, server name):
 * a superuser's call works on all requests, anybody else's on the caller's.
 */
Datum
clari_export_drain(PG_FUNCTION_ARGS)
{
	int			max_requests = max_requests_arg(fcinfo, 0);
	Instant		deadline = deadline_arg(fcinfo, 1);
	QueueScope	scope = {
		.server = PG_ARGISNULL(2) ? NULL : pstrdup(NameStr(*PG_GETARG_NAME(2))),
		.role = superuser() ? InvalidOid : GetUserId(),
	};

	require_transaction_control(fcinfo);
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect_ext failed");

	PG_TRY();
	{
		queue_set_transactions(QUEUE_SESSION_TRANSACTIONS);
		dispatcher_start(&scope, max_requests, false);
		removal_of_old(&scope);
		drain(deadline);
	}
	PG_FINALLY();
	{
		dispatcher_stop();
		queue_set_transactions(QUEUE_CALLERS_TRANSACTION);
	}
	PG_END_TRY();

	SPI_finish();
	PG_RETURN_VOID();
}
