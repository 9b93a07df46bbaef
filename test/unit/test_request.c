/*
 * test_request.c
 *		The requests of Clari's export API: method, path and body.
 */
#include "unit.h"

#include "core/request.h"

#define JOB_ID "6073683781a6da229df71e00"

/* One row of the API's table of calls. */
typedef struct Call
{
	RequestKind request;
	ExportKind	kind;
	const char *method;
	const char *path;
} Call;

static void
is_call(void **state)
{
	const Call *call = *state;
	char		path[REQUEST_PATH_SIZE];

	assert_string_equal(request_method(call->request), call->method);
	assert_true(request_path(call->request, call->kind, "net_arr", JOB_ID, path, sizeof(path)));
	assert_string_equal(path, call->path);
}

#define CALL(name, ...) {name, is_call, NULL, NULL, &(Call) {__VA_ARGS__}}

static void
needs_no_id_where_it_does_not_matter(void **state)
{
	char		path[REQUEST_PATH_SIZE];

	(void) state;
	assert_true(request_path(REQUEST_SUBMIT, EXPORT_ACTIVITY, NULL, NULL, path, sizeof(path)));
	assert_true(request_path(REQUEST_SUBMIT, EXPORT_AUDIT_EVENTS, NULL, NULL, path, sizeof(path)));
	assert_true(request_path(REQUEST_JOBS, EXPORT_FORECAST, NULL, NULL, path, sizeof(path)));
	assert_true(request_path(REQUEST_LIMITS, EXPORT_FORECAST, NULL, NULL, path, sizeof(path)));
}

static void
check_forecast_path(const char *forecast_id, const char *expected)
{
	char		path[REQUEST_PATH_SIZE];

	assert_true(request_path(REQUEST_SUBMIT, EXPORT_FORECAST, forecast_id, NULL, path, sizeof(path)));
	assert_string_equal(path, expected);
}

static void
escapes_ids(void **state)
{
	(void) state;
	check_forecast_path("AZaz09-._~", "/export/forecast/AZaz09-._~");
	check_forecast_path("a/b?c#d%e f", "/export/forecast/a%2Fb%3Fc%23d%25e%20f");
	check_forecast_path("\x01\x7f\r\n", "/export/forecast/%01%7F%0D%0A");
	check_forecast_path("\xc3\xa9", "/export/forecast/%C3%A9");
}

static void
escapes_dot_segments(void **state)
{
	char		path[REQUEST_PATH_SIZE];

	(void) state;
	check_forecast_path(".", "/export/forecast/%2E");
	check_forecast_path("..", "/export/forecast/%2E%2E");
	check_forecast_path("...", "/export/forecast/...");
	check_forecast_path("../jobs", "/export/forecast/..%2Fjobs");
	assert_true(request_path(REQUEST_RESULT, EXPORT_FORECAST, NULL, "..", path, sizeof(path)));
	assert_string_equal(path, "/export/jobs/%2E%2E/results");
}

/* In memory of just that size, so that valgrind sees a byte too far. */
static void
check_path_needs(RequestKind request, size_t needed)
{
	for (size_t size = 1; size <= needed; size++)
	{
		char	   *path = malloc(size);

		assert_int_equal(request_path(request, EXPORT_FORECAST, "a/b", "1/2", path, size), size == needed);
		free(path);
	}
}

static void
refuses_a_path_that_does_not_fit(void **state)
{
	(void) state;
	check_path_needs(REQUEST_SUBMIT, sizeof("/export/forecast/a%2Fb"));
	check_path_needs(REQUEST_RESULT, sizeof("/export/jobs/1%2F2/results"));
	check_path_needs(REQUEST_LIMITS, sizeof("/admin/limits"));
}

/* ----------
 * The body of a submission
 * ----------
 */

static void
check_body(const char *options, const char *time_period, const char *expected)
{
	char		body[REQUEST_BODY_SIZE];

	assert_int_equal(request_submission_body(options, time_period, body, sizeof(body)), REQUEST_OK);
	assert_string_equal(body, expected);
}

static void
check_fault(const char *options, const char *time_period, RequestFault expected)
{
	char		body[REQUEST_BODY_SIZE];

	assert_int_equal(request_submission_body(options, time_period, body, sizeof(body)), expected);
}

static void
sends_an_empty_object_by_default(void **state)
{
	(void) state;
	check_body(NULL, NULL, "{}");
	check_body("{}", NULL, "{}");
	check_body(" { } ", NULL, "{ }");
}

static void
adds_the_period(void **state)
{
	(void) state;
	check_body(NULL, "2026_Q3", "{\"timePeriod\":\"2026_Q3\"}");
	check_body("{\"currency\":\"USD\"}", "2026_Q3", "{\"currency\":\"USD\",\"timePeriod\":\"2026_Q3\"}");
	check_body("{\"timePeriod\":\"2026_Q3\"}", "2026_Q3", "{\"timePeriod\":\"2026_Q3\"}");
	check_body(" { } ", "2026_Q3", "{ \"timePeriod\":\"2026_Q3\"}");
	check_body("{\"currency\": \"USD\" }", "2026_Q3", "{\"currency\": \"USD\" ,\"timePeriod\":\"2026_Q3\"}");
	check_body("{\"a\": {\"timePeriod\": \"x\"}}", "2026_Q3", "{\"a\": {\"timePeriod\": \"x\"},\"timePeriod\":\"2026_Q3\"}");
	check_body(NULL, "a\"b\\\n\x01", "{\"timePeriod\":\"a\\\"b\\\\\\u000a\\u0001\"}");
	check_body(NULL, "\xc3\xa9", "{\"timePeriod\":\"\xc3\xa9\"}");
}

/* As they are written: nobody knows better what Clari will read. */
static void
passes_options_unchanged(void **state)
{
	static const char *const options[] = {
		"{\"typesToExport\": [\"forecast\", \"quota\"], \"scopeId\": \"1905::MGR\", "
		"\"schedule\": \"ONCE\", \"includeHistorical\": true, \"exportFormat\": \"JSON\"}",
		"{\"startDate\": \"2026-01-01T00:00:00+01:00\", \"unknown\": null, \"a/b\": \"\\u00e9\xc3\xa9\"}",
		"{\"exportFormat\":\"CSV\"}",
		"{\"limit\": 1.10, \"n\": [9007199254740993, 123456789012345678901234567890, 1e400000, -0.0, 1E-7, 0.1000000000000000055511151231257827]}",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		check_body(options[i], NULL, options[i]);
	check_body("{\"limit\": 1.10}", "2026_Q3", "{\"limit\": 1.10,\"timePeriod\":\"2026_Q3\"}");
}

static void
refuses_another_format(void **state)
{
	(void) state;
	check_fault("{\"exportFormat\":\"XLSX\"}", NULL, REQUEST_FORMAT_UNKNOWN);
	check_fault("{\"exportFormat\":\"\"}", NULL, REQUEST_FORMAT_UNKNOWN);
	check_fault("{\"exportFormat\":\"JSON\",\"exportFormat\":\"csv\"}", NULL, REQUEST_FORMAT_UNKNOWN);
	check_fault("{\"exportFormat\":\"json\"}", NULL, REQUEST_FORMAT_UNKNOWN);
	check_fault("{\"exportFormat\":null}", NULL, REQUEST_FORMAT_UNKNOWN);
	check_fault("{\"exportFormat\":[\"JSON\"]}", NULL, REQUEST_FORMAT_UNKNOWN);
}

static void
refuses_a_contradicting_period(void **state)
{
	(void) state;
	check_fault("{\"timePeriod\":\"2026_Q2\"}", "2026_Q3", REQUEST_PERIOD_CONTRADICTS);
	check_fault("{\"timePeriod\":\"2026_Q33\"}", "2026_Q3", REQUEST_PERIOD_CONTRADICTS);
	check_fault("{\"timePeriod\":2026}", "2026", REQUEST_PERIOD_CONTRADICTS);
	check_fault("{\"timePeriod\":null}", "2026_Q3", REQUEST_PERIOD_CONTRADICTS);
}

static void
refuses_options_that_are_no_object(void **state)
{
	(void) state;
	check_fault("[]", NULL, REQUEST_OPTIONS_NOT_OBJECT);
	check_fault("\"text\"", NULL, REQUEST_OPTIONS_NOT_OBJECT);
	check_fault("null", NULL, REQUEST_OPTIONS_NOT_OBJECT);
	check_fault("", NULL, REQUEST_OPTIONS_NOT_OBJECT);
	check_fault("{\"a\":", NULL, REQUEST_OPTIONS_NOT_OBJECT);
}

static void
refuses_a_body_that_does_not_fit(void **state)
{
	size_t		needed = sizeof("{\"timePeriod\":\"2026_Q3\"}");

	(void) state;
	for (size_t size = 1; size <= needed; size++)
	{
		char	   *body = malloc(size);

		assert_int_equal(request_submission_body(NULL, "2026_Q3", body, size),
						 size == needed ? REQUEST_OK : REQUEST_BODY_TOO_LARGE);
		free(body);
	}
}

static void
finds_the_period_in_the_options(void **state)
{
	char		time_period[8];

	(void) state;
	request_option("{\"timePeriod\":\"2026_Q3\"}", "timePeriod", time_period, sizeof(time_period));
	assert_string_equal(time_period, "2026_Q3");
}

static void
finds_no_period_where_there_is_none(void **state)
{
	static const char *const options[] = {
		"{}", "[]", "", "{\"timePeriod\":null}", "{\"timePeriod\":[\"2026_Q3\"]}", "{\"timePeriod\":\"2026_Q33\"}",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
	{
		char		time_period[8] = "before";

		request_option(options[i], "timePeriod", time_period, sizeof(time_period));
		assert_string_equal(time_period, "");
	}
}

/* ----------
 * Ids and limits
 * ----------
 */

static void
tells_job_ids(void **state)
{
	static const char *const ids[] = {"6073683781a6da229df71e00", "7", "a-b.c_d~e:f@g+h=i,j/k", "..",};
	static const char *const others[] = {
		"", " ", "a b", "a\n", "a\x7f", "\xc3\xa9", "a'b", "a\"b", "a\\b", "a;b", "$(x)", "`x`", "a&b", "a|b", "<a>", "a*", "a?b", "a%b", "a#b",
	};
	char		id[JOB_ID_SIZE + 1];

	(void) state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		assert_true(request_is_job_id(ids[i]));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (request_is_job_id(others[i]))
			fail_msg("taken for a job id: %s", others[i]);
	memset(id, 'x', JOB_ID_SIZE);
	id[JOB_ID_SIZE] = '\0';
	assert_false(request_is_job_id(id));
	id[JOB_ID_SIZE - 1] = '\0';
	assert_true(request_is_job_id(id));
}

static void
limits_replies(void **state)
{
	(void) state;
	assert_int_equal(request_reply_limit(REQUEST_SUBMIT), 1024 * 1024);
	assert_int_equal(request_reply_limit(REQUEST_STATUS), 1024 * 1024);
	assert_int_equal(request_reply_limit(REQUEST_CANCEL), 1024 * 1024);
	assert_int_equal(request_reply_limit(REQUEST_LIMITS), 1024 * 1024);
	assert_int_equal(request_reply_limit(REQUEST_RESULT), 1024 * 1024);
	assert_int_equal(request_reply_limit(REQUEST_JOBS), 16 * 1024 * 1024);
}

int
main(void)
{
	const struct CMUnitTest request[] = {
		CALL("submits_a_forecast", REQUEST_SUBMIT, EXPORT_FORECAST, "POST", "/export/forecast/net_arr"),
		CALL("submits_an_activity_export", REQUEST_SUBMIT, EXPORT_ACTIVITY, "POST", "/export/activity"),
		CALL("submits_an_audit_export", REQUEST_SUBMIT, EXPORT_AUDIT_EVENTS, "POST", "/export/audit/events"),
		CALL("asks_for_a_status", REQUEST_STATUS, EXPORT_FORECAST, "GET", "/export/jobs/" JOB_ID),
		CALL("lists_the_jobs", REQUEST_JOBS, EXPORT_FORECAST, "GET", "/export/jobs"),
		CALL("cancels_a_job", REQUEST_CANCEL, EXPORT_FORECAST, "PATCH", "/export/jobs/" JOB_ID),
		CALL("fetches_a_result", REQUEST_RESULT, EXPORT_FORECAST, "GET", "/export/jobs/" JOB_ID "/results"),
		CALL("asks_for_the_limits", REQUEST_LIMITS, EXPORT_FORECAST, "GET", "/admin/limits"),
		cmocka_unit_test(needs_no_id_where_it_does_not_matter),
		cmocka_unit_test(escapes_ids),
		cmocka_unit_test(escapes_dot_segments),
		cmocka_unit_test(refuses_a_path_that_does_not_fit),
		cmocka_unit_test(sends_an_empty_object_by_default),
		cmocka_unit_test(adds_the_period),
		cmocka_unit_test(passes_options_unchanged),
		cmocka_unit_test(refuses_another_format),
		cmocka_unit_test(refuses_a_contradicting_period),
		cmocka_unit_test(refuses_options_that_are_no_object),
		cmocka_unit_test(refuses_a_body_that_does_not_fit),
		cmocka_unit_test(finds_the_period_in_the_options),
		cmocka_unit_test(finds_no_period_where_there_is_none),
		cmocka_unit_test(tells_job_ids),
		cmocka_unit_test(limits_replies),
	};

	return cmocka_run_group_tests(request, NULL, NULL);
}
