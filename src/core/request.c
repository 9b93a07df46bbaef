/*
 * request.c
 *		The requests of Clari's export API: method, path and body.
 *
 * Source: Clari's published OpenAPI document, Revenue API 5.0.0 (path v4).
 */
#include "core/request.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

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

/* Check the options and add the period to them. */
static RequestFault
complete_options(struct json_object *options, const char *time_period)
{
	struct json_object *given;

	if (json_object_object_get_ex(options, "exportFormat", &given) &&
		(!json_object_is_type(given, json_type_string) ||
		 strcmp(json_object_get_string(given), "JSON") != 0))
		return REQUEST_FORMAT_NOT_JSON;

	if (time_period == NULL)
		return REQUEST_OK;
	if (json_object_object_get_ex(options, "timePeriod", &given) &&
		(!json_object_is_type(given, json_type_string) ||
		 strcmp(json_object_get_string(given), time_period) != 0))
		return REQUEST_PERIOD_CONTRADICTS;

	json_object_object_add(options, "timePeriod", json_object_new_string(time_period));
	return REQUEST_OK;
}

RequestFault
request_submission_body(const char *options, const char *time_period,
						char *body, size_t size)
{
	struct json_object *object = json_tokener_parse(options != NULL ? options : "{}");
	RequestFault fault;

	if (!json_object_is_type(object, json_type_object))
		fault = REQUEST_OPTIONS_NOT_OBJECT;
	else
		fault = complete_options(object, time_period);

	if (fault == REQUEST_OK)
	{
		const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
														  JSON_C_TO_STRING_NOSLASHESCAPE);

		if (strlen(text) < size)
			strcpy(body, text);
		else
			fault = REQUEST_BODY_TOO_LARGE;
	}
	json_object_put(object);
	return fault;
}

void
request_option_period(const char *options, char *time_period, size_t size)
{
	struct json_object *object = json_tokener_parse(options);
	struct json_object *given;

	time_period[0] = '\0';
	if (json_object_is_type(object, json_type_object) &&
		json_object_object_get_ex(object, "timePeriod", &given) &&
		json_object_is_type(given, json_type_string) &&
		(size_t) json_object_get_string_len(given) < size)
		strcpy(time_period, json_object_get_string(given));
	json_object_put(object);
}
