/*
 * reply.h
 *		What came back for a request, and reading it.
 */
#ifndef CORE_REPLY_H
#define CORE_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/instant.h"
#include "core/request.h"

/* How a request ended, seen from the network. */
typedef enum Delivery
{
	DELIVERY_REPLIED,			/* a complete reply arrived */
	DELIVERY_NOT_SENT,			/* no connection: the request never left */
	DELIVERY_NOT_TRUSTED,		/* the same, and trying again is no use: TLS, URL */
	DELIVERY_LOST,				/* sent, and then no reply */
	DELIVERY_CUT_SHORT,			/* sent, and the reply ended too early */
	DELIVERY_TOO_LARGE,			/* the reply exceeds the size limit */
} Delivery;

/* What became of a result's body: whoever stores it says so. */
typedef enum ResultReading
{
	RESULT_NOT_READ,			/* nobody looked into it */
	RESULT_GOOD,
	RESULT_UNREADABLE,			/* no complete JSON: try again */
	RESULT_WRONG_SHAPE,			/* complete, and no result of this kind */
	RESULT_NOT_STORABLE,		/* a result that the database cannot hold */
} ResultReading;

typedef struct Reply
{
	Delivery	delivery;
	int			http_status;	/* 0 unless a status line arrived */
	const char *body;			/* NUL-terminated, never NULL */
	size_t		body_size;		/* without the NUL */
	Duration	retry_after;	/* RETRY_AFTER_NONE if there is none */
	int64_t		date;			/* of the Date header: milliseconds since
								 * 1970; 0 if there is none */
	ResultReading reading;		/* of a complete 200 to REQUEST_RESULT */
} Reply;

#define CLARI_CODE_SIZE		64
#define CLARI_MESSAGE_SIZE	512

/* Clari's own words for a refusal; empty strings where it has none. */
typedef struct ClariError
{
	char		code[CLARI_CODE_SIZE];
	char		message[CLARI_MESSAGE_SIZE];
} ClariError;

typedef enum JobPhase
{
	JOB_IN_PROGRESS,
	JOB_DONE,
	JOB_ENDED_WITHOUT_RESULT,	/* FAILED, CANCELLED, ABORTED */
} JobPhase;

#define JOB_STATUS_SIZE		32
#define JOB_TEXT_SIZE		256

/*
 * A job object. Texts are empty, times 0, where Clari left them out, and
 * times past the year 9999, too. Texts are fit to be shown (json.h).
 */
typedef struct Job
{
	char		job_id[JOB_ID_SIZE];
	char		status[JOB_STATUS_SIZE];
	JobPhase	phase;
	bool		known_status;	/* status is one of the documented ones */
	char		module[JOB_TEXT_SIZE];
	char		title[JOB_TEXT_SIZE];
	char		file_name[JOB_TEXT_SIZE];
	char		file_type[JOB_TEXT_SIZE];
	char		currency[JOB_TEXT_SIZE];
	int64_t		start_time;		/* milliseconds since 1970, Clari's clock */
	int64_t		end_time;
	int64_t		expired_time;
	bool		truncated;		/* cellsTruncated or rowsTruncated */
} Job;

/* GET /admin/limits. A number Clari left out is -1. */
typedef struct Limits
{
	int			concurrent_limit;
	int			available_concurrent_limit;
	int			monthly_quota;
	int			available_monthly_quota;
} Limits;

/* Called for each job of a list; returns false to stop. */
typedef bool (*JobVisitor) (const Job *job, void *context);
typedef bool (*JobIdVisitor) (const char *job_id, void *context);

/*
 * Each reader takes a complete body and returns false if it does not hold
 * what the name says; *out is then undefined. Members that are not known are
 * passed over. Nothing is allocated, so a visitor may leave for good.
 */

/* {"jobId": "..."} */
extern bool reply_job_id(const char *body, size_t size, char job_id[JOB_ID_SIZE]);

/* A job object, flat or wrapped as {"job": {...}}. */
extern bool reply_job(const char *body, size_t size, Job *out);

/*
 * An array of job objects, in either form. Entries that cannot be read are
 * passed over.
 */
extern bool reply_job_list(const char *body, size_t size, JobVisitor visit,
						   void *context);

/* {"status": "CANCELLED", "successful": true} */
extern bool reply_cancelled(const char *body, size_t size,
							char status[JOB_STATUS_SIZE]);

/* {"jobs": {...}} */
extern bool reply_limits(const char *body, size_t size, Limits *out);

/* A list of job ids in it, such as "runningJobIds"; it may be missing. */
extern void reply_limits_jobs(const char *body, size_t size, const char *name,
							  JobIdVisitor visit, void *context);

/* The three forms of an error body; anything else gives empty texts. */
extern void reply_error(const char *body, size_t size, ClariError *out);

/*
 * The phase a status stands for, in any case; *known tells whether it is
 * documented.
 */
extern JobPhase job_phase(const char *status, bool *known);

#endif							/* CORE_REPLY_H */
