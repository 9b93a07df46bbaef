/*
 * reply.c
 *		Reading Clari's replies.
 *
 * A result is not read here: it goes into jsonb as it came.
 */
#include "core/reply.h"

#include <limits.h>
#include <string.h>

#include "core/json.h"

/* The end of the year 9999, which every calendar can tell. */
#define LAST_TIME	INT64_C(253402300799999)

static const struct
{
	const char *status;
	JobPhase	phase;
}			documented_statuses[] =
{
	{"SCHEDULED", JOB_IN_PROGRESS},
	{"STARTED", JOB_IN_PROGRESS},
	{"DONE", JOB_DONE},
	{"COMPLETED", JOB_DONE},
	{"FAILED", JOB_ENDED_WITHOUT_RESULT},
	{"CANCELLED", JOB_ENDED_WITHOUT_RESULT},
	{"ABORTED", JOB_ENDED_WITHOUT_RESULT},
};

/* Compares ASCII whatever the locale. */
static bool
equal_in_any_case(const char *a, const char *b)
{
	for (; *a != '\0' && *b != '\0'; a++, b++)
	{
		char		upper = *a >= 'a' && *a <= 'z' ? (char) (*a - 'a' + 'A') : *a;

		if (upper != *b)
			return false;
	}
	return *a == *b;
}

JobPhase
job_phase(const char *status, bool *known)
{
	size_t		n = sizeof(documented_statuses) / sizeof(documented_statuses[0]);

	for (size_t i = 0; i < n; i++)
	{
		if (equal_in_any_case(status, documented_statuses[i].status))
		{
			*known = true;
			return documented_statuses[i].phase;
		}
	}
	*known = false;
	return JOB_IN_PROGRESS;
}

/* ----------
 * Members
 * ----------
 */

/*
 * Copy a string, or a whole number as it is written, cutting what does not
 * fit; an empty text if it is missing, null, or of another type. Returns false
 * if it was cut.
 */
static bool
copy_text(Json value, char *out, size_t size)
{
	size_t		length = value.size < size ? value.size : size - 1;

	out[0] = '\0';
	if (json_type(value) == JSON_STRING)
		return json_text(value, out, size);
	if (json_type(value) == JSON_NUMBER)
	{
		memcpy(out, value.text, length);
		out[length] = '\0';
		if (out[strspn(out, "0123456789")] != '\0')
			out[0] = '\0';
	}
	return length == value.size;
}

static bool
copy_job_id(Json value, char job_id[JOB_ID_SIZE])
{
	if (copy_text(value, job_id, JOB_ID_SIZE) && request_is_job_id(job_id))
		return true;
	job_id[0] = '\0';
	return false;
}

/* 0 where it is no time. */
static int64_t
read_time(Json value)
{
	int64_t		time = json_type(value) == JSON_NUMBER ? json_integer(value) : 0;

	return time > 0 && time <= LAST_TIME ? time : 0;
}

/* -1 where it is missing. A number too large saturates, below 0 nothing is left. */
static int
read_limit(Json value)
{
	int64_t		limit;

	if (json_type(value) != JSON_NUMBER)
		return -1;
	limit = json_integer(value);
	if (limit < 0)
		return 0;
	return limit < INT_MAX ? (int) limit : INT_MAX;
}

/* ----------
 * Replies
 * ----------
 */

bool
reply_job_id(const char *body, size_t size, char job_id[JOB_ID_SIZE])
{
	Json		object;

	return json_read(body, size, &object) && copy_job_id(json_member(object, "jobId"), job_id);
}

/* The job id may be missing. */
static bool
read_job(Json object, Job *out)
{
	enum
	{
		JOB_ID, STATUS, MODULE, TITLE, FILE_NAME, FILE_TYPE, CURRENCY,
		START_TIME, END_TIME, EXPIRED_TIME, CELLS_TRUNCATED, ROWS_TRUNCATED, JOB, N_MEMBERS
	};
	static const char *const names[] = {
		"jobId", "status", "module", "title", "fileName", "fileType", "currency",
		"startTime", "endTime", "expiredTime", "cellsTruncated", "rowsTruncated", "job",
	};
	Json		values[N_MEMBERS];

	json_members(object, names, values, N_MEMBERS);
	if (json_type(values[JOB]) == JSON_OBJECT)
		json_members(values[JOB], names, values, N_MEMBERS);
	copy_text(values[STATUS], out->status, JOB_STATUS_SIZE);
	if (out->status[0] == '\0')
		return false;
	out->phase = job_phase(out->status, &out->known_status);

	copy_job_id(values[JOB_ID], out->job_id);
	copy_text(values[MODULE], out->module, JOB_TEXT_SIZE);
	copy_text(values[TITLE], out->title, JOB_TEXT_SIZE);
	copy_text(values[FILE_NAME], out->file_name, JOB_TEXT_SIZE);
	copy_text(values[FILE_TYPE], out->file_type, JOB_TEXT_SIZE);
	copy_text(values[CURRENCY], out->currency, JOB_TEXT_SIZE);
	out->start_time = read_time(values[START_TIME]);
	out->end_time = read_time(values[END_TIME]);
	out->expired_time = read_time(values[EXPIRED_TIME]);
	out->truncated = json_is_true(values[CELLS_TRUNCATED]) || json_is_true(values[ROWS_TRUNCATED]);
	return true;
}

bool
reply_job(const char *body, size_t size, Job *out)
{
	Json		object;

	return json_read(body, size, &object) && read_job(object, out);
}

bool
reply_job_list(const char *body, size_t size, JobVisitor visit, void *context)
{
	Json		list;
	Json		entry;

	if (!json_read(body, size, &list) || json_type(list) != JSON_ARRAY)
		return false;
	while (json_next(&list, &entry))
	{
		Job			job;

		if (read_job(entry, &job) && job.job_id[0] != '\0' && !visit(&job, context))
			break;
	}
	return true;
}

bool
reply_cancelled(const char *body, size_t size, char status[JOB_STATUS_SIZE])
{
	static const char *const names[] = {"status", "successful"};
	Json		values[2];
	Json		object;

	if (!json_read(body, size, &object))
		return false;
	json_members(object, names, values, 2);
	copy_text(values[0], status, JOB_STATUS_SIZE);
	return json_is_true(values[1]) && status[0] != '\0';
}

bool
reply_limits(const char *body, size_t size, Limits *out)
{
	static const char *const names[] = {
		"concurrentLimit", "availableConcurrentLimit", "monthlyQuota", "availableMonthlyQuota",
	};
	Json		values[4];
	Json		object;
	Json		jobs;

	if (!json_read(body, size, &object))
		return false;
	jobs = json_member(object, "jobs");
	if (json_type(jobs) != JSON_OBJECT)
		return false;
	json_members(jobs, names, values, 4);
	out->concurrent_limit = read_limit(values[0]);
	out->available_concurrent_limit = read_limit(values[1]);
	out->monthly_quota = read_limit(values[2]);
	out->available_monthly_quota = read_limit(values[3]);
	return true;
}

void
reply_limits_jobs(const char *body, size_t size, const char *name,
				  JobIdVisitor visit, void *context)
{
	Json		object;
	Json		ids;
	Json		id;

	if (!json_read(body, size, &object))
		return;
	ids = json_member(json_member(object, "jobs"), name);
	while (json_next(&ids, &id))
	{
		char		job_id[JOB_ID_SIZE];

		if (copy_job_id(id, job_id) && !visit(job_id, context))
			return;
	}
}

void
reply_error(const char *body, size_t size, ClariError *out)
{
	static const char *const names[] = {"code", "message"};
	Json		values[2];
	Json		object;
	Json		errors;
	Json		first;

	memset(out, 0, sizeof(*out));
	if (!json_read(body, size, &object))
		return;
	errors = json_member(object, "errors");
	json_members(json_next(&errors, &first) ? first : object, names, values, 2);
	copy_text(values[0], out->code, CLARI_CODE_SIZE);
	copy_text(values[1], out->message, CLARI_MESSAGE_SIZE);
}
