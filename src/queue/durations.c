/*
 * durations.c
 *		How long earlier exports took: noted, and used to plan polls.
 *
 * The table has the latest durations of each kind of export. A function that
 * waits only adds to it, in its caller's transaction, and locks nothing that
 * another process would wait for; the queue deletes from time to time what is
 * too many.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_foreign_server.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "clari/account.h"
#include "clari/functions.h"
#include "core/polling.h"
#include "interval.h"
#include "queue/durations.h"
#include "queue/transaction.h"

/* What is exported: exports of the same subject take similar times. */
typedef struct Subject
{
	const char *server;
	const char *kind;
	const char *forecast_id;	/* NULL where the kind has none */
	const char *options;		/* NULL for none */
} Subject;

/* The columns of the table that tell it, and those of one subject. */
#define SUBJECT "server, kind, forecast_id, size"
#define OF_SUBJECT \
	"server = $1::name AND kind = $2 AND forecast_id = $3 AND size = @schema@.clari_export_size($4::jsonb)"

static Subject
subject_of(const Task *task, const Submission *submission)
{
	Subject		subject = {
		.server = task->account->server_name,
		.kind = export_kind_name(submission->kind),
		.forecast_id = submission->forecast_id,
		.options = submission->options,
	};

	return subject;
}

static SqlQuery
query_of(const Subject *subject)
{
	SqlQuery	query = {0};

	query_add_text(&query, subject->server);
	query_add_text(&query, subject->kind);
	query_add_text(&query, subject->forecast_id != NULL ? subject->forecast_id : "");
	query_add_text(&query, subject->options != NULL ? subject->options : "{}");
	return query;
}

/* The latest durations, the last one first. */
static int
read_durations(const Subject *subject, Duration *durations)
{
	SqlQuery	query = query_of(subject);
	int			n;

	query_add_int(&query, POLLING_HISTORY);
	n = (int) queue_execute(&query, "durations",
							"SELECT milliseconds FROM @schema@.clari_export_duration"
							" WHERE " OF_SUBJECT " ORDER BY ended_at DESC LIMIT $5");
	for (int i = 0; i < n; i++)
	{
		bool		is_null;

		durations[i] = MILLISECONDS(DatumGetInt64(query_column(i, 1, &is_null)));
	}
	return n;
}

void
durations_plan(Task *task, const Submission *submission)
{
	Subject		subject = subject_of(task, submission);
	Duration	durations[POLLING_HISTORY];
	PollingPlan *plan;
	int			n;

	if (!task->account->options.adaptive_polling)
		return;
	n = read_durations(&subject, durations);
	if (n < POLLING_LEAST_HISTORY)
		return;
	plan = MemoryContextAlloc(task->context, sizeof(PollingPlan));
	polling_plan(plan, &task->export.rules.backoff, durations, n);
	task->export.polling = plan;
}

static bool
has_duration(const Job *job)
{
	return job->start_time > 0 && job->end_time > job->start_time &&
		job->end_time - job->start_time < DURATION_MAX / 1000;
}

void
durations_note(int64 request_id, const Job *job)
{
	SqlQuery	query = {0};

	if (!has_duration(job))
		return;
	query_add_id(&query, request_id);
	query_add_milliseconds(&query, job->end_time);
	query_add_id(&query, job->end_time - job->start_time);
	queue_execute(&query, "note duration",
			"INSERT INTO @schema@.clari_export_duration (" SUBJECT ", ended_at, milliseconds)"
			" SELECT server, kind, coalesce(forecast_id, ''), @schema@.clari_export_size(options), $2, $3"
			" FROM @request@ WHERE id = $1");
}

void
durations_prune(void)
{
	SqlQuery	query = {0};

	query_add_int(&query, POLLING_HISTORY);
	queue_execute(&query, "prune durations",
			"DELETE FROM @schema@.clari_export_duration WHERE ctid IN (SELECT ctid FROM"
			" (SELECT ctid, row_number() OVER (PARTITION BY " SUBJECT " ORDER BY ended_at DESC) AS place"
			"  FROM @schema@.clari_export_duration) ranked WHERE place > $1)");
}

/* ----------
 * For the functions that wait
 * ----------
 */

/* What a function is about to export, or has exported. */
typedef struct Exporting
{
	Task	   *task;
	const Submission *submission;
} Exporting;

static void
plan_exporting(void *arg)
{
	const Exporting *exporting = arg;

	durations_plan(exporting->task, exporting->submission);
}

/* An error only means that nothing is known. */
static void
recall(Task *task, const Submission *submission)
{
	Exporting	exporting = {task, submission};

	if (task->account->options.adaptive_polling)
		(void) queue_run("recall", false, plan_exporting, &exporting);
}

static void
note_exporting(void *arg)
{
	const Exporting *exporting = arg;
	const Job  *job = &exporting->task->export.job;
	Subject		subject = subject_of(exporting->task, exporting->submission);
	SqlQuery	query = query_of(&subject);

	query_add_milliseconds(&query, job->end_time);
	query_add_id(&query, job->end_time - job->start_time);
	queue_execute(&query, "note own duration",
			"INSERT INTO @schema@.clari_export_duration (" SUBJECT ", ended_at, milliseconds)"
			" VALUES ($1::name, $2, $3, @schema@.clari_export_size($4::jsonb), $5, $6)");
}

/* An export that is done is not lost because of an error here. */
static void
note(Task *task, const Submission *submission)
{
	Exporting	exporting = {task, submission};

	if (has_duration(&task->export.job) && !XactReadOnly && !RecoveryInProgress())
		(void) queue_run("note", false, note_exporting, &exporting);
}

static const FunctionsMemory memory = {
	.recall = recall,
	.note = note,
};

void
durations_install(void)
{
	functions_set_memory(&memory);
}

/* ----------
 * clari_export_expected_duration
 * ----------
 */

static bool
may_use(const char *server_name)
{
	ForeignServer *server = GetForeignServerByName(server_name, true);

	if (server == NULL)
		return false;
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ForeignServerRelationId, server->serverid, GetUserId(), ACL_USAGE) == ACLCHECK_OK;
#else
	return pg_foreign_server_aclcheck(server->serverid, GetUserId(), ACL_USAGE) == ACLCHECK_OK;
#endif
}

/* Half of such jobs take no longer; of a few, the mean. */
static Duration
expected_duration(const Duration *durations, int n, Duration elapsed)
{
	Backoff		any = {SECONDS(5), 1.5, SECONDS(60)};
	PollingPlan plan;
	Duration	expected;

	polling_plan(&plan, &any, durations, n);
	if (!polling_expected_end(&plan, 0.5, elapsed, &expected))
	{
		expected = 0;
		for (int i = 0; i < n; i++)
			expected += durations[i] / n;
	}
	return instant_later(expected, elapsed);
}

PG_FUNCTION_INFO_V1(clari_export_expected_duration);

/* The arguments as a subject; false where one that is needed is null. */
static bool
read_subject(FunctionCallInfo fcinfo, Subject *subject)
{
	Jsonb	   *options;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3))
		return false;
	options = PG_GETARG_JSONB_P(3);
	*subject = (Subject) {
		.server = NameStr(*PG_GETARG_NAME(0)),
		.kind = text_to_cstring(PG_GETARG_TEXT_PP(1)),
		.forecast_id = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)),
		.options = JsonbToCString(NULL, &options->root, (int) VARSIZE(options)),
	};
	return true;
}

/*
 * clari_export_expected_duration(server name, kind text, forecast_id text,
 * options jsonb, elapsed interval) returns interval: null where nothing is
 * known, or not for who asks, or where nothing is asked.
 */
Datum
clari_export_expected_duration(PG_FUNCTION_ARGS)
{
	Subject		subject;
	Duration	durations[POLLING_HISTORY];
	int			n;
	Interval   *expected = palloc0(sizeof(Interval));

	if (!read_subject(fcinfo, &subject) || PG_ARGISNULL(4) || !may_use(subject.server) || !queue_begin())
		PG_RETURN_NULL();
	n = read_durations(&subject, durations);
	queue_end(false);
	if (n == 0)
		PG_RETURN_NULL();
	expected->time = expected_duration(durations, n, instant_later(interval_duration(PG_GETARG_INTERVAL_P(4)), 0));
	PG_RETURN_INTERVAL_P(expected);
}
