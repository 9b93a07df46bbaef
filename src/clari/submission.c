/*
 * submission.c
 *		What to export, checked and made ready to be sent.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "clari/submission.h"

#define MAX_ID_LENGTH	512

static const char *const kind_names[] = {
	[EXPORT_FORECAST] = "forecast",
	[EXPORT_ACTIVITY] = "activity",
	[EXPORT_AUDIT_EVENTS] = "audit_events",
};

const char *
export_kind_name(ExportKind kind)
{
	return kind_names[kind];
}

ExportKind
export_kind_from_name(const char *name)
{
	for (size_t i = 0; i < lengthof(kind_names); i++)
		if (strcmp(name, kind_names[i]) == 0)
			return (ExportKind) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid kind of export: \"%s\"", name),
			 errhint("Valid kinds are forecast, activity and audit_events.")));
}

static void
check_id(const char *what, const char *id)
{
	if (id[0] == '\0' || strlen(id) > MAX_ID_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid %s", what),
				 errdetail("It must have from 1 to %d bytes.", MAX_ID_LENGTH)));
}

static void
raise_fault(RequestFault fault)
{
	switch (fault)
	{
		case REQUEST_OK:
			return;
		case REQUEST_OPTIONS_NOT_OBJECT:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("options must be a JSON object"),
					 errhint("For instance: '{\"currency\": \"USD\", \"includeHistorical\": true}'.")));
			return;
		case REQUEST_FORMAT_UNKNOWN:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("exportFormat must be \"JSON\" or \"CSV\""),
					 errhint("Leave exportFormat out of the options for JSON.")));
			return;
		case REQUEST_PERIOD_CONTRADICTS:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("timePeriod in the options contradicts the argument time_period"),
					 errhint("Leave timePeriod out of the options.")));
			return;
		case REQUEST_BODY_TOO_LARGE:
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("options are too large"),
					 errdetail("A submission has at most %d bytes.", REQUEST_BODY_SIZE - 1)));
	}
}

/* A copy of the text in UTF-8; NULL for NULL. */
static char *
to_utf8(const char *text)
{
	return text != NULL ? pg_server_to_any(pstrdup(text), (int) strlen(text), PG_UTF8) : NULL;
}

/* The body of the request; raises an error if there is none. */
static char *
make_body(const Submission *submission)
{
	char	   *body = palloc(REQUEST_BODY_SIZE);

	raise_fault(request_submission_body(to_utf8(submission->options),
										to_utf8(submission->time_period),
										body, REQUEST_BODY_SIZE));
	return repalloc(body, strlen(body) + 1);
}

/* Clari has CSV of forecasts alone. */
static void
check_format(const Submission *submission)
{
	char		format[sizeof("CSV")];

	if (submission->options == NULL || submission->kind == EXPORT_FORECAST)
		return;
	request_option(to_utf8(submission->options), "exportFormat", format, sizeof(format));
	if (strcmp(format, "CSV") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("exportFormat must be \"JSON\" for an export of kind %s", kind_names[submission->kind]),
				 errhint("Leave exportFormat out of the options.")));
}

static void
check_ids(const Submission *submission)
{
	if (submission->kind == EXPORT_FORECAST)
		check_id("forecast id", submission->forecast_id != NULL ? submission->forecast_id : "");
	else if (submission->forecast_id != NULL || submission->time_period != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an export of kind %s has neither forecast_id nor time_period",
						kind_names[submission->kind]),
				 errhint("Name what to export in the options.")));
	if (submission->time_period != NULL)
		check_id("time period", submission->time_period);
}

/* The period that the result must have, in UTF-8; NULL for Clari's default. */
static char *
expected_period(const Submission *submission)
{
	char		from_options[MAX_ID_LENGTH + 1];

	if (submission->time_period != NULL || submission->options == NULL)
		return to_utf8(submission->time_period);
	request_option(to_utf8(submission->options), "timePeriod", from_options, sizeof(from_options));
	return from_options[0] != '\0' ? pstrdup(from_options) : NULL;
}

/* The currency that the options name, in UTF-8; NULL for Clari's default. */
static char *
wanted_currency(const Submission *submission)
{
	char		currency[MAX_ID_LENGTH + 1] = "";

	if (submission->options != NULL)
		request_option(to_utf8(submission->options), "currency", currency, sizeof(currency));
	return currency[0] != '\0' ? pstrdup(currency) : NULL;
}

void
submission_check(const Submission *submission)
{
	check_ids(submission);
	check_format(submission);
	pfree(make_body(submission));
}

void
submission_prepare(Task *task, ExportGoal goal, const ExportRules *rules,
				   const Submission *submission)
{
	MemoryContext old_context = MemoryContextSwitchTo(task->context);

	check_ids(submission);
	check_format(submission);
	task->body = make_body(submission);
	export_init(&task->export, goal, rules, submission->kind,
				to_utf8(submission->forecast_id), expected_period(submission), NULL);
	task->export.currency = wanted_currency(submission);
	MemoryContextSwitchTo(old_context);
}
