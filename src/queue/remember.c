/*
 * remember.c
 *		A stored snapshot's way into the history, and the SQL functions for
 *		those that did not take it by themselves.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "clari/account.h"
#include "clari/result.h"
#include "clari/result_period.h"
#include "clari/submission.h"
#include "queue/queue.h"
#include "queue/remember.h"
#include "queue/snapshots.h"
#include "rows/history.h"
#include "statement.h"

/* How long the worker waits for somebody else's snapshot of the same forecast; others wait for the worker. */
#define LOCK_TIMEOUT	"1s"

typedef struct Remembering
{
	int64		request_id;
	Jsonb	   *result;			/* NULL: read it from the table */
	bool		added;
} Remembering;

/* Only forecasts have a history. */
static void
remember(Remembering *remembering)
{
	HistorySnapshot snapshot;

	if (!snapshot_describe(remembering->request_id, &snapshot))
		return;
	snapshot.result = remembering->result != NULL ? remembering->result : snapshot_result(remembering->request_id);
	remembering->added = history_add(queue_schema_id(), &snapshot);
}

static void
remember_soon(void *arg)
{
	set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	remember(arg);
}

void
remember_snapshot(int64 request_id, Jsonb *result)
{
	Remembering remembering = {.request_id = request_id,.result = result};
	ErrorData  *error = queue_try(remember_soon, &remembering);

	if (error == NULL)
		return;
	if (queue_error_may_pass(error))
		ReThrowError(error);
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("the snapshot of request " INT64_FORMAT " is stored, but not in the history: %s",
					request_id, error->message),
			 errhint("Add it with: SELECT %s(" INT64_FORMAT "::bigint);",
					 statement_name_now("clari_export_add_to_history"), request_id)));
}

/* ----------
 * clari_export_add_to_history
 * ----------
 */

PG_FUNCTION_INFO_V1(clari_export_add_to_history);

/* clari_export_add_to_history(request_id bigint) returns bool */
Datum
clari_export_add_to_history(PG_FUNCTION_ARGS)
{
	Remembering remembering = {.request_id = PG_GETARG_INT64(0)};
	Oid			owner = InvalidOid;

	if (queue_begin())
	{
		owner = snapshot_owner(remembering.request_id);
		queue_end(false);
	}
	if (OidIsValid(owner) && has_privs_of_role(GetUserId(), owner) && queue_begin())
	{
		remember(&remembering);
		queue_end(false);
	}
	PG_RETURN_BOOL(remembering.added);
}

/* ----------
 * clari_export_import
 * ----------
 */

/* A result from elsewhere. */
typedef struct Import
{
	Jsonb	   *result;
	char	   *forecast_id;
	TimestampTz exported_at;
	char	   *time_period;	/* NULL for none */
	char	   *server;
} Import;

static void
require_arg(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

static Import
import_args(FunctionCallInfo fcinfo)
{
	Import		import = {0};

	require_arg(fcinfo, 0, "result");
	require_arg(fcinfo, 1, "forecast_id");
	require_arg(fcinfo, 2, "exported_at");
	require_arg(fcinfo, 4, "server");
	import.result = PG_GETARG_JSONB_P(0);
	import.forecast_id = text_to_cstring(PG_GETARG_TEXT_PP(1));
	import.exported_at = PG_GETARG_TIMESTAMPTZ(2);
	import.time_period = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	import.server = pstrdup(NameStr(*PG_GETARG_NAME(4)));
	return import;
}

/* As a request is checked, and its result. */
static void
check_import(const Import *import)
{
	Submission	submission = {
		.kind = EXPORT_FORECAST,
		.forecast_id = import->forecast_id,
		.time_period = import->time_period,
	};
	Failure    *failure;

	submission_check(&submission);
	account_check_server(import->server, GetUserId());
	if (TIMESTAMP_NOT_FINITE(import->exported_at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("exported_at must be a moment"),
				 errdetail("A history has no place for what was exported at infinity.")));
	if (!result_is_forecast(import->result))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the result is not that of a forecast export"),
				 errdetail("It is neither an object with an array \"entries\" nor an array of objects.")));
	failure = result_period_check(import->result, import->time_period);
	if (failure != NULL)
		failure_raise(failure);
}

PG_FUNCTION_INFO_V1(clari_export_import);

/*
 * clari_export_import(result jsonb, forecast_id text, exported_at timestamptz,
 *		time_period text, server name) returns bigint
 */
Datum
clari_export_import(PG_FUNCTION_ARGS)
{
	Import		import = import_args(fcinfo);
	Remembering remembering = {.result = import.result};
	Oid			role = GetUserId();

	check_import(&import);
	if (!queue_begin())
		elog(ERROR, "extension clari_export does not exist");
	remembering.request_id = queue_import(import.server, role, import.forecast_id, import.time_period,
										  import.exported_at, import.result);
	if (account_keeps_history(import.server))
		remember(&remembering);
	queue_end(false);
	PG_RETURN_INT64(remembering.request_id);
}
