/*
 * request.h
 *		The requests of Clari's export API: method, path and body.
 */
#ifndef CORE_REQUEST_H
#define CORE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

/* The body of REQUEST_CANCEL. */
#define REQUEST_CANCEL_BODY "{\"type\":\"CANCEL\"}"

/* Sizes of the buffers callers provide, terminating NUL included. */
#define JOB_ID_SIZE			128
#define REQUEST_PATH_SIZE	2048
#define REQUEST_BODY_SIZE	65536

/* What an export is an export of. */
typedef enum ExportKind
{
	EXPORT_FORECAST,
	EXPORT_ACTIVITY,
	EXPORT_AUDIT_EVENTS,
} ExportKind;

typedef enum RequestKind
{
	REQUEST_SUBMIT,				/* POST /export/... : queues a job */
	REQUEST_STATUS,				/* GET /export/jobs/{jobId} */
	REQUEST_JOBS,				/* GET /export/jobs */
	REQUEST_CANCEL,				/* PATCH /export/jobs/{jobId} */
	REQUEST_RESULT,				/* GET /export/jobs/{jobId}/results */
	REQUEST_LIMITS,				/* GET /admin/limits */
} RequestKind;

/* What is wrong with an export's parameters. */
typedef enum RequestFault
{
	REQUEST_OK,
	REQUEST_OPTIONS_NOT_OBJECT,
	REQUEST_FORMAT_UNKNOWN,		/* exportFormat other than JSON and CSV */
	REQUEST_PERIOD_CONTRADICTS, /* timePeriod in the options is another one */
	REQUEST_BODY_TOO_LARGE,
} RequestFault;

/* Most bytes of a reply that is not a result, and of a list of jobs. */
#define REPLY_LIMIT			((size_t) 1024 * 1024)
#define JOB_LIST_LIMIT		((size_t) 16 * 1024 * 1024)

/*
 * Whether a text may be a job's id: from 1 to JOB_ID_SIZE - 1 letters, digits
 * and marks that mean nothing to a shell, an SQL literal or a log.
 */
#define JOB_ID_MARKS		"-._~:@+=,/"
extern bool request_is_job_id(const char *text);

/*
 * How many bytes the reply to a request may have after decompression. Of
 * REQUEST_RESULT it is that of a refusal; a result has its own limit.
 */
extern size_t request_reply_limit(RequestKind request);

/* The HTTP method of a request, as a constant string. */
extern const char *request_method(RequestKind request);

/*
 * Write the path of a request, from the API's base URL on, into path.
 *
 * kind and forecast_id matter to REQUEST_SUBMIT only, job_id to the requests
 * about one job; the others may be NULL. Ids are percent-encoded (RFC 3986).
 * Returns false if it does not fit into size bytes.
 */
extern bool request_path(RequestKind request, ExportKind kind,
						 const char *forecast_id, const char *job_id,
						 char *path, size_t size);

/*
 * Write the body of a submission, the options as they are with the period
 * added, into body.
 *
 * options is a JSON object in Clari's own names, or NULL for none; time_period
 * is NULL for Clari's default, the current quarter.
 */
extern RequestFault request_submission_body(const char *options,
											const char *time_period,
											char *body, size_t size);

/*
 * A text in the options, such as their timePeriod, if there is one that fits
 * into size bytes; else an empty text.
 */
extern void request_option(const char *options, const char *name, char *text, size_t size);

#endif							/* CORE_REQUEST_H */
