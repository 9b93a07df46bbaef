/*
 * request.c
 *		The requests of Clari's export API: method, path and body.
 *
 * Source: Clari's published OpenAPI document, Revenue API 5.0.0 (path v4).
 */
#include "core/request.h"

#include <stdio.h>
#include <string.h>

#include "core/json.h"

bool
request_is_job_id(const char *text)
{
	size_t		length = 0;

	for (const char *c = text; *c != '\0'; c++, length++)
	{
		bool		plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			(*c >= '0' && *c <= '9') || strchr(JOB_ID_MARKS, *c) != NULL;

		if (!plain)
			return false;
	}
	return length > 0 && length < JOB_ID_SIZE;
}

size_t
request_reply_limit(RequestKind request)
{
	return request == REQUEST_JOBS ? JOB_LIST_LIMIT : REPLY_LIMIT;
}

const char *
request_method(RequestKind request)
{
	switch (request)
	{
		case REQUEST_SUBMIT:
			return "POST";
		case REQUEST_CANCEL:
			return "PATCH";
		default:
			return "GET";
	}
}

/*
 * Append text to path, percent-encoding all but RFC 3986's unreserved. A
 * segment of dots alone would be taken for a step up in the path.
 */
static bool
append_segment(char *path, size_t size, const char *text)
{
	size_t		used = strlen(path);
	bool		is_step = strcmp(text, ".") == 0 || strcmp(text, "..") == 0;

	for (const unsigned char *c = (const unsigned char *) text; *c != '\0'; c++)
	{
		bool		plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			(*c >= '0' && *c <= '9') || strchr(is_step ? "-_~" : "-._~", *c) != NULL;
		int			written = snprintf(path + used, size - used, plain ? "%c" : "%%%02X", *c);

		if (written < 0 || used + (size_t) written >= size)
			return false;
		used += (size_t) written;
	}
	return true;
}

static bool
append_text(char *path, size_t size, const char *text)
{
	if (strlen(path) + strlen(text) >= size)
		return false;
	strcat(path, text);
	return true;
}

static bool
submission_path(ExportKind kind, const char *forecast_id, char *path, size_t size)
{
	switch (kind)
	{
		case EXPORT_ACTIVITY:
			return append_text(path, size, "/export/activity");
		case EXPORT_AUDIT_EVENTS:
			return append_text(path, size, "/export/audit/events");
		default:
			return append_text(path, size, "/export/forecast/") &&
				append_segment(path, size, forecast_id);
	}
}

bool
request_path(RequestKind request, ExportKind kind, const char *forecast_id,
			 const char *job_id, char *path, size_t size)
{
	path[0] = '\0';
	switch (request)
	{
		case REQUEST_SUBMIT:
			return submission_path(kind, forecast_id, path, size);
		case REQUEST_JOBS:
			return append_text(path, size, "/export/jobs");
		case REQUEST_LIMITS:
			return append_text(path, size, "/admin/limits");
		default:
			return append_text(path, size, "/export/jobs/") &&
				append_segment(path, size, job_id) &&
				(request != REQUEST_RESULT || append_text(path, size, "/results"));
	}
}

/* Whether a value is that text. */
static bool
is_text(Json value, const char *text)
{
	char		given[REQUEST_PATH_SIZE];

	return json_type(value) == JSON_STRING && json_text(value, given, sizeof(given)) &&
		strcmp(given, text) == 0;
}

static RequestFault
check_options(Json options, const char *time_period)
{
	Json		format = json_member(options, "exportFormat");
	Json		period = json_member(options, "timePeriod");

	if (json_type(options) != JSON_OBJECT)
		return REQUEST_OPTIONS_NOT_OBJECT;
	if (json_type(format) != JSON_NONE && !is_text(format, "JSON") && !is_text(format, "CSV"))
		return REQUEST_FORMAT_UNKNOWN;
	if (time_period != NULL && json_type(period) != JSON_NONE && !is_text(period, time_period))
		return REQUEST_PERIOD_CONTRADICTS;
	return REQUEST_OK;
}

/* A body that is being written. */
typedef struct Body
{
	char	   *text;
	size_t		size;
	size_t		used;			/* more than size - 1: it does not fit */
} Body;

static void
add_bytes(Body *body, const char *bytes, size_t n)
{
	if (body->used + n < body->size)
		memcpy(body->text + body->used, bytes, n);
	body->used += n;
}

/* Add a text as a JSON string. */
static void
add_string(Body *body, const char *text)
{
	add_bytes(body, "\"", 1);
	for (const char *c = text; *c != '\0'; c++)
	{
		char		escape[8];

		if ((unsigned char) *c < 0x20)
			add_bytes(body, escape, (size_t) snprintf(escape, sizeof(escape), "\\u%04x", (unsigned) *c));
		else
		{
			if (*c == '"' || *c == '\\')
				add_bytes(body, "\\", 1);
			add_bytes(body, c, 1);
		}
	}
	add_bytes(body, "\"", 1);
}

/*
 * The options travel as they are written, since a number that is read and
 * written again may be another one; the period goes before their last brace.
 */
RequestFault
request_submission_body(const char *options, const char *time_period,
						char *body, size_t size)
{
	Body		out = {.text = body,.size = size};
	Json		object;
	RequestFault fault;
	bool		add_period;

	if (options == NULL)
		options = "{}";
	if (!json_read(options, strlen(options), &object))
		return REQUEST_OPTIONS_NOT_OBJECT;
	fault = check_options(object, time_period);
	if (fault != REQUEST_OK)
		return fault;

	add_period = time_period != NULL && json_type(json_member(object, "timePeriod")) == JSON_NONE;
	add_bytes(&out, object.text, object.size - 1);
	if (add_period)
	{
		bool		is_empty = strspn(object.text + 1, " \t\r\n") + 2 == object.size;

		add_bytes(&out, ",", is_empty ? 0 : 1);
		add_string(&out, "timePeriod");
		add_bytes(&out, ":", 1);
		add_string(&out, time_period);
	}
	add_bytes(&out, "}", 1);
	if (out.used >= size)
		return REQUEST_BODY_TOO_LARGE;
	body[out.used] = '\0';
	return REQUEST_OK;
}

void
request_option(const char *options, const char *name, char *text, size_t size)
{
	Json		object;
	Json		value = {NULL, 0};

	if (json_read(options, strlen(options), &object))
		value = json_member(object, name);
	if (json_type(value) != JSON_STRING || !json_text(value, text, size))
		text[0] = '\0';
}
