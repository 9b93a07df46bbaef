/*
 * reply.c
 *		Reading Clari's replies.
 *
 * A result is not read here: it goes into jsonb as it came.
 */
#include "core/reply.h"

#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NESTING 32
#define JSON_C_0_18 (18 << 8)

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

JobPhase
job_phase(const char *status, bool *known)
{
	size_t		n = sizeof(documented_statuses) / sizeof(documented_statuses[0]);

	for (size_t i = 0; i < n; i++)
	{
		if (strcmp(status, documented_statuses[i].status) == 0)
		{
			*known = true;
			return documented_statuses[i].phase;
		}
	}
	*known = false;
	return JOB_IN_PROGRESS;
}

static struct json_object *
parse_with(int flags, const char *body, size_t size)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_NESTING);
	struct json_object *value;

	if (tokener == NULL)
		return NULL;
	json_tokener_set_flags(tokener, flags);
	value = json_tokener_parse_ex(tokener, body, (int) size);
	if (json_tokener_get_error(tokener) != json_tokener_success)
	{
		json_object_put(value);
		value = NULL;
	}
	json_tokener_free(tokener);
	return value;
}

/* Whether the body is one JSON value and nothing else, judged by its ASCII. */
static bool
is_json(const char *body, size_t size)
{
	struct json_object *value;
	char	   *ascii = malloc(size);

	if (ascii == NULL)
		return false;
	for (size_t i = 0; i < size; i++)
		ascii[i] = (unsigned char) body[i] < 0x80 ? body[i] : '?';
	value = parse_with(JSON_TOKENER_STRICT, ascii, size);
	free(ascii);
	json_object_put(value);
	return value != NULL;
}

/*
 * Parse a whole body; NULL unless it is one JSON value and nothing else.
 * The strict mode of json-c 0.18 refuses all texts beyond ASCII (its issue
 * 875), so there it is used on a copy without them.
 */
static struct json_object *
parse(const char *body, size_t size)
{
	if (size == 0 || size > INT_MAX)
		return NULL;
	if (json_c_version_num() != JSON_C_0_18)
		return parse_with(JSON_TOKENER_STRICT, body, size);
	return is_json(body, size) ? parse_with(0, body, size) : NULL;
}

/*
 * Copy a string or number member; an empty text if it is missing, null, or
 * of another type. Returns false if it is there and does not fit.
 */
static bool
copy_text(struct json_object *object, const char *name, char *out, size_t size)
{
	struct json_object *member;
	const char *text = "";

	if (json_object_object_get_ex(object, name, &member) &&
		(json_object_is_type(member, json_type_string) ||
		 json_object_is_type(member, json_type_int)))
		text = json_object_get_string(member);

	if (strlen(text) >= size)
	{
		out[0] = '\0';
		return false;
	}
	strcpy(out, text);
	return true;
}

/* As copy_text(), cutting what does not fit: for texts that are only shown. */
static void
copy_shown_text(struct json_object *object, const char *name, char *out, size_t size)
{
	struct json_object *member;

	if (copy_text(object, name, out, size))
		return;
	json_object_object_get_ex(object, name, &member);
	size--;
	strncpy(out, json_object_get_string(member), size);
	while (size > 0 && ((unsigned char) out[size - 1] & 0xC0) == 0x80)
		size--;					/* do not cut a UTF-8 character in half */
	if (size > 0 && ((unsigned char) out[size - 1] & 0x80) != 0)
		size--;
	out[size] = '\0';
}

static bool
copy_job_id(struct json_object *object, char job_id[JOB_ID_SIZE])
{
	return copy_text(object, "jobId", job_id, JOB_ID_SIZE) && job_id[0] != '\0';
}

bool
reply_job_id(const char *body, size_t size, char job_id[JOB_ID_SIZE])
{
	struct json_object *object = parse(body, size);
	bool		found = json_object_is_type(object, json_type_object) &&
		copy_job_id(object, job_id);

	json_object_put(object);
	return found;
}

static int64_t
read_integer(struct json_object *object, const char *name, int64_t missing)
{
	struct json_object *member;

	if (json_object_object_get_ex(object, name, &member) &&
		(json_object_is_type(member, json_type_int) ||
		 json_object_is_type(member, json_type_double)))
		return json_object_get_int64(member);
	return missing;
}

/* -1 where it is missing. A number too large saturates, below 0 nothing is left. */
static int
read_limit(struct json_object *object, const char *name)
{
	int64_t		limit = read_integer(object, name, INT64_MIN);

	if (limit == INT64_MIN)
		return -1;
	if (limit < 0)
		return 0;
	return limit < INT_MAX ? (int) limit : INT_MAX;
}

static bool
read_flag(struct json_object *object, const char *name)
{
	struct json_object *member;

	return json_object_object_get_ex(object, name, &member) &&
		json_object_get_boolean(member);
}

static bool
read_job(struct json_object *object, Job *out)
{
	struct json_object *inner;

	if (!json_object_is_type(object, json_type_object))
		return false;
	if (json_object_object_get_ex(object, "job", &inner) &&
		json_object_is_type(inner, json_type_object))
		object = inner;

	if (!copy_job_id(object, out->job_id))
		out->job_id[0] = '\0';
	if (!copy_text(object, "status", out->status, JOB_STATUS_SIZE) || out->status[0] == '\0')
		return false;
	out->phase = job_phase(out->status, &out->known_status);

	copy_shown_text(object, "module", out->module, JOB_TEXT_SIZE);
	copy_shown_text(object, "title", out->title, JOB_TEXT_SIZE);
	copy_shown_text(object, "fileName", out->file_name, JOB_TEXT_SIZE);
	copy_shown_text(object, "fileType", out->file_type, JOB_TEXT_SIZE);
	copy_shown_text(object, "currency", out->currency, JOB_TEXT_SIZE);
	out->start_time = read_integer(object, "startTime", 0);
	out->end_time = read_integer(object, "endTime", 0);
	out->expired_time = read_integer(object, "expiredTime", 0);
	out->truncated = read_flag(object, "cellsTruncated") || read_flag(object, "rowsTruncated");
	return true;
}

bool
reply_job(const char *body, size_t size, Job *out)
{
	struct json_object *object = parse(body, size);
	bool		found = read_job(object, out);

	json_object_put(object);
	return found;
}

bool
reply_job_list(const char *body, size_t size, JobVisitor visit, void *context)
{
	struct json_object *list = parse(body, size);
	bool		valid = json_object_is_type(list, json_type_array);
	size_t		n = valid ? json_object_array_length(list) : 0;
	bool		more = true;

	for (size_t i = 0; valid && more && i < n; i++)
	{
		Job			job;

		valid = read_job(json_object_array_get_idx(list, i), &job) && job.job_id[0] != '\0';
		if (valid)
			more = visit(&job, context);
	}
	json_object_put(list);
	return valid;
}

bool
reply_cancelled(const char *body, size_t size, char status[JOB_STATUS_SIZE])
{
	struct json_object *object = parse(body, size);
	bool		found = json_object_is_type(object, json_type_object) &&
		read_flag(object, "successful") &&
		copy_text(object, "status", status, JOB_STATUS_SIZE) && status[0] != '\0';

	json_object_put(object);
	return found;
}

bool
reply_limits(const char *body, size_t size, Limits *out)
{
	struct json_object *object = parse(body, size);
	struct json_object *jobs;
	bool		found = json_object_is_type(object, json_type_object) &&
		json_object_object_get_ex(object, "jobs", &jobs) &&
		json_object_is_type(jobs, json_type_object);

	if (found)
	{
		out->concurrent_limit = read_limit(jobs, "concurrentLimit");
		out->available_concurrent_limit = read_limit(jobs, "availableConcurrentLimit");
		out->monthly_quota = read_limit(jobs, "monthlyQuota");
		out->available_monthly_quota = read_limit(jobs, "availableMonthlyQuota");
	}
	json_object_put(object);
	return found;
}

void
reply_error(const char *body, size_t size, ClariError *out)
{
	struct json_object *object = parse(body, size);
	struct json_object *error = object;
	struct json_object *errors;

	memset(out, 0, sizeof(*out));
	if (json_object_is_type(object, json_type_object) &&
		json_object_object_get_ex(object, "errors", &errors) &&
		json_object_is_type(errors, json_type_array) &&
		json_object_array_length(errors) > 0)
		error = json_object_array_get_idx(errors, 0);

	if (json_object_is_type(error, json_type_object))
	{
		copy_shown_text(error, "code", out->code, CLARI_CODE_SIZE);
		copy_shown_text(error, "message", out->message, CLARI_MESSAGE_SIZE);
	}
	json_object_put(object);
}
