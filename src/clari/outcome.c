/*
 * outcome.c
 *		What a task came to: the result of its export, or how it failed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "clari/outcome.h"
#include "clari/result_period.h"
#include "core/utf8.h"
#include "statement.h"
#include "value.h"

/* Clari's own account of a refusal. */
static char *
clari_words(const Export *export)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "Clari answered HTTP %d", export->http_status);
	if (export->error.code[0] != '\0')
		appendStringInfo(&text, ", code \"%s\"", text_from_clari(export->error.code));
	if (export->error.message[0] != '\0')
		appendStringInfo(&text, ": %s", text_from_clari(export->error.message));
	else
		appendStringInfoChar(&text, '.');
	return text.data;
}

/* Why the last request brought no usable reply. */
static char *
network_words(const Task *task)
{
	const Export *export = &task->export;
	char		words[TRANSFER_ERROR_SIZE];

	if (export_was_never_heard(export))
		return pstrdup("It was submitted twice without a reply, and Clari's list of jobs shows that it was not accepted.");
	if (export->delivery == DELIVERY_REPLIED)
		return clari_words(export);
	/* libcurl repeats what a certificate says. */
	utf8_show(transfer_error(task->transfer), words, sizeof(words));
	return psprintf("%s.", text_from_clari(words));
}

/* The server's name as an argument, where it is not the default. */
static char *
server_argument(const Task *task)
{
	if (strcmp(task->account->server_name, DEFAULT_SERVER) == 0)
		return "";
	return psprintf(", server => %s::name", quote_literal_cstr(task->account->server_name));
}

char *
jobs_statement(const Task *task)
{
	return psprintf("SELECT * FROM %s(%s::name);", statement_name("clari_export_jobs"),
					quote_literal_cstr(task->account->server_name));
}

static char *
statement_about_job(const Task *task, const char *function)
{
	return psprintf("SELECT %s(%s%s);", statement_name(function),
					statement_text(task->export.job_id), server_argument(task));
}

char *
job_hint(const Task *task)
{
	const Export *export = &task->export;

	if (export->has_job && export->job.phase == JOB_DONE)
		return psprintf("The result stays at Clari for about 30 days. Fetch it with: %s",
						statement_about_job(task, "clari_export_result"));
	return psprintf("The job goes on at Clari. Wait for it with: %s Then fetch it with: %s "
					"Or cancel it with: %s",
					statement_about_job(task, "clari_export_poll"),
					statement_about_job(task, "clari_export_result"),
					statement_about_job(task, "clari_export_cancel"));
}

/* A key shorter than this is a part of ordinary words. */
#define SHORTEST_HIDDEN_KEY	4

/*
 * text without the API key: what Clari or a gateway says may repeat what it
 * was sent.
 */
static char *
without_key(char *text, const char *api_key)
{
	StringInfoData cleaned;
	char	   *found = text != NULL ? strstr(text, api_key) : NULL;

	if (found == NULL)
		return text;
	initStringInfo(&cleaned);
	for (; found != NULL; found = strstr(text, api_key))
	{
		appendBinaryStringInfo(&cleaned, text, (int) (found - text));
		appendStringInfoString(&cleaned, "***");
		text = found + strlen(api_key);
	}
	appendStringInfoString(&cleaned, text);
	return cleaned.data;
}

static void
hide_key(Failure *failure, const Account *account)
{
	if (strlen(account->options.api_key) < SHORTEST_HIDDEN_KEY)
		return;
	failure->message = without_key(failure->message, account->options.api_key);
	failure->detail = without_key(failure->detail, account->options.api_key);
	failure->hint = without_key(failure->hint, account->options.api_key);
}

/* How to get at a result that jsonb cannot hold. */
static char *
download_hint(const Task *task)
{
	char		path[REQUEST_PATH_SIZE];

	if (!request_path(REQUEST_RESULT, task->export.kind, NULL, task->export.job_id, path, sizeof(path)))
		path[0] = '\0';
	return psprintf("The result stays at Clari for about 30 days. Fetch it into a file with: "
					"curl -H 'apikey: ...' %s",
					statement_shell_word(psprintf("%s%s", task->account->options.base_url, path)));
}

static bool
job_is_lost(const Export *export)
{
	return export->has_job && export->job.phase == JOB_ENDED_WITHOUT_RESULT;
}

void
failure_add_job(Failure *failure, const Task *task)
{
	char	   *job;
	char	   *hint;

	hide_key(failure, task->account);
	if (!export_may_have_job(&task->export))
		return;
	job = psprintf("Job %s of server \"%s\".", task->export.job_id, task->account->server_name);
	failure->detail = failure->detail != NULL ? psprintf("%s %s", job, failure->detail) : job;
	hint = failure->never_fits ? download_hint(task) : job_hint(task);
	if (failure->hint == NULL)
		failure->hint = hint;
	else if (failure->never_fits || (task->export.goal == GOAL_EXPORT && !job_is_lost(&task->export)))
		failure->hint = psprintf("%s %s", failure->hint, hint);
}

static Failure *
not_authorized(const Task *task)
{
	const char *server = task->account->server_name;
	Failure    *failure = failure_make(ERRCODE_CLARI_NOT_AUTHORIZED,
									   "Clari refuses the API key of server \"%s\"", server);

	failure->detail = clari_words(&task->export);
	failure->hint = task->export.http_status == 403 || task->export.error.code[0] != '\0' ?
		pstrdup("The key is known, but its user may not see this forecast or job: ask your Clari administrator.") :
		psprintf("Check the key in Clari and set it with: ALTER USER MAPPING FOR ... SERVER %s OPTIONS (SET api_key '...');",
				 quote_identifier(server));
	return failure;
}

static Failure *
bad_request(const Task *task)
{
	const Export *export = &task->export;
	const char *code = export->error.code;
	Failure    *failure = failure_make(ERRCODE_CLARI_BAD_REQUEST, "Clari refuses the request");

	failure->detail = clari_words(export);
	if (strcmp(code, "no_such_forecast_config") == 0 && export->forecast_id != NULL)
		failure->hint = psprintf("Clari has no forecast with the id %s that this key may see. "
								 "An id is not the name on the screen: ask your Clari administrator.",
								 quote_literal_cstr(export->forecast_id));
	else if (strcmp(code, "invalid_jobId") == 0)
		failure->hint = psprintf("The job is unknown, or has not finished. See: %s "
								 "Or list all jobs with: %s",
								 statement_about_job(task, "clari_export_status"),
								 jobs_statement(task));
	else if (export->http_status < 400)
		failure->hint = pstrdup("Redirects are not followed, since they would pass the API key on. Check the server's option base_url.");
	else
		failure->hint = pstrdup("Check the forecast id, the time period and the options against Clari's API documentation.");
	return failure;
}

static Failure *
rate_limited(const Task *task)
{
	Failure    *failure = failure_make(ERRCODE_CLARI_RATE_LIMITED,
									   "Clari limits the rate of this API key");

	failure->detail = pstrdup("Clari answered HTTP 429 to the last of the allowed attempts.");
	if (!export_may_have_job(&task->export))
		failure->hint = pstrdup("Nothing was submitted. Try again later, or insert the request into "
								"clari_export_request: the queue waits as long as Clari asks for.");
	return failure;
}

static Failure *
queue_full(const Task *task)
{
	Failure    *failure = failure_make(ERRCODE_CLARI_QUEUE_FULL, "Clari's job queue is full");

	failure->detail = pstrdup("Your organization has as many exports running as Clari allows.");
	failure->hint = psprintf("Nothing was submitted. See the limits with: SELECT * FROM %s(%s::name); "
							 "A request in clari_export_request waits for a free place.",
							 statement_name("clari_export_limits"),
							 quote_literal_cstr(task->account->server_name));
	return failure;
}

static Failure *
quota_exhausted(const Task *task)
{
	const Limits *limits = &task->export.limits;
	Failure    *failure = failure_make(ERRCODE_CLARI_QUOTA_EXHAUSTED,
									   "your organization's monthly export quota is used up");

	failure->detail = psprintf("%d of %d exports are left.",
							   Max(limits->available_monthly_quota, 0), Max(limits->monthly_quota, 0));
	failure->hint = pstrdup("Nothing was submitted. The quota counts the last 30 days, so a place becomes "
							"free when the oldest export turns 30 days old. A request in clari_export_request waits for it.");
	return failure;
}

static Failure *
job_failed(const Task *task)
{
	const Job  *job = &task->export.job;
	Failure    *failure = failure_make(ERRCODE_CLARI_JOB_FAILED,
									   "Clari's export job ended with status %s",
									   text_from_clari(job->status));

	failure->hint = pg_strcasecmp(job->status, "FAILED") == 0 ?
		pstrdup("Start a new export; the option {\"schedule\": \"ONCE\"} makes Clari try again by itself after 30 minutes.") :
		pstrdup("Somebody cancelled it at Clari. Start a new export if you still need it.");
	return failure;
}

static Failure *
poll_timeout(const Task *task)
{
	const Export *export = &task->export;
	Failure    *failure = failure_make(ERRCODE_CLARI_POLL_TIMEOUT,
									   "Clari's export job did not end within %d status requests", export->polls);

	failure->detail = psprintf("Its last status is %s.",
							   export->has_job ? text_from_clari(export->job.status) : "not known");
	return failure;
}

static Failure *
bad_response(const Task *task)
{
	const Account *account = task->account;
	Failure    *failure;

	if (task->result_failure != NULL && task->export.reading != RESULT_NOT_READ)
	{
		failure = palloc(sizeof(Failure));
		*failure = *task->result_failure;
		return failure;
	}
	switch (task->export.delivery)
	{
		case DELIVERY_TOO_LARGE:
			failure = failure_make(ERRCODE_CLARI_BAD_RESPONSE, "the reply from Clari is too large");
			if (task->sent != REQUEST_RESULT)
			{
				failure->detail = psprintf("It has more than %zu bytes, and is no result.",
										   request_reply_limit(task->sent));
				return failure;
			}
			failure->detail = psprintf("It has more than the %lld bytes that option max_result_size allows.",
									   (long long) account->options.max_result_size);
			failure->hint = psprintf("Export less at once (typesToExport, scopeId, no includeHistorical), or: "
									 "ALTER SERVER %s OPTIONS (ADD max_result_size '1GB');",
									 quote_identifier(account->server_name));
			return failure;
		case DELIVERY_CUT_SHORT:
			failure = failure_make(ERRCODE_CLARI_BAD_RESPONSE, "the reply from Clari ended too early");
			failure->detail = network_words(task);
			return failure;
		default:
			failure = failure_make(ERRCODE_CLARI_BAD_RESPONSE, "the reply from Clari cannot be understood");
			if (export_was_never_heard(&task->export))
				failure->detail = network_words(task);
			else
				failure->detail = psprintf("It came with HTTP %d and is not what Clari's API documents.",
										   task->export.http_status);
			if (!export_may_have_job(&task->export))
				failure->hint = pstrdup("Check the server's option base_url.");
			return failure;
	}
}

static Failure *
unavailable(const Task *task)
{
	Failure    *failure = failure_make(ERRCODE_CLARI_UNAVAILABLE, "Clari cannot be reached at %s",
									   task->account->options.base_url);

	failure->detail = network_words(task);
	if (task->export.delivery == DELIVERY_NOT_TRUSTED)
		failure->hint = pstrdup("Check the server's options base_url, ca_file and proxy.");
	else if (!export_may_have_job(&task->export))
		failure->hint = pstrdup("Nothing was submitted. Check the server's options base_url and proxy, and the network.");
	return failure;
}

static Failure *
submission_unknown(const Task *task)
{
	Failure    *failure = failure_make(ERRCODE_CLARI_SUBMISSION_UNKNOWN,
									   "it is not known whether Clari accepted the submission");

	failure->detail = pstrdup("The reply was lost, and Clari's list of jobs does not settle it. "
							  "It was not submitted again, since that might burn quota twice.");
	failure->hint = psprintf("Look for the job with: %s "
							 "then fetch it with %s(job_id), or start a new export if it is not there.",
							 jobs_statement(task), statement_name("clari_export_result"));
	return failure;
}

static Failure *
wrong_period(const Task *task)
{
	return result_period_check(task->result, task->export.time_period);
}

static Failure *
describe_outcome(const Task *task)
{
	switch (task->export.outcome)
	{
		case OUTCOME_NONE:
		case OUTCOME_DONE:
			return NULL;
#define DESCRIBE(symbol, number, name)	case OUTCOME_##symbol: return name(task);
			OUTCOMES(DESCRIBE)
#undef DESCRIBE
	}
	return NULL;
}

Failure *
failure_of_task(const Task *task)
{
	Failure    *failure;

	if (task->export.outcome == OUTCOME_NONE || task->export.outcome == OUTCOME_DONE)
		return NULL;
	if (IsTransactionState())
		statement_find_schema();
	failure = describe_outcome(task);
	if (failure != NULL)
		failure_add_job(failure, task);
	return failure;
}

/* Only a forecast has a period to check. */
Jsonb *
result_of_task(Task *task, Failure **failure)
{
	if (task->result == NULL && task->result_failure == NULL)
		task_read_result(task, task_last_reply(task));
	*failure = NULL;
	if (task->result_failure != NULL)
	{
		*failure = palloc(sizeof(Failure));
		**failure = *task->result_failure;
	}
	else if (task->export.kind == EXPORT_FORECAST)
		*failure = wrong_period(task);
	if (*failure != NULL)
		failure_add_job(*failure, task);
	return *failure == NULL ? task->result : NULL;
}
