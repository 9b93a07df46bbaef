/*
 * test_reply.c
 *		Reading Clari's replies.
 */
#include "unit.h"

#include <limits.h>

#include "core/reply.h"

#define JOB_ID "6073683781a6da229df71e00"

#define FLAT_JOB \
	"{\"jobId\":\"" JOB_ID "\",\"userId\":\"7\",\"orgId\":12915,\"title\":\"Forecast\",\"module\":\"FORECAST\"," \
	"\"startTime\":1617830852000,\"endTime\":1617830860123,\"expiredTime\":1620422852000,\"version\":1," \
	"\"fileName\":\"clari_export_forecast_new_summary_2021_Q12915_20210407_212737.json\",\"fileType\":\"JSON\"," \
	"\"status\":\"DONE\",\"viewed\":false,\"cellsTruncated\":false,\"rowsTruncated\":false,\"downloads\":0," \
	"\"deliveryStatusMap\":{},\"currency\":\"USD\"}"
#define WRAPPED_JOB "{\"job\":" FLAT_JOB "}"

/* A body in memory of just its size, so that valgrind sees a byte too far. */
static char *
exact_copy(const char *body, size_t size)
{
	char	   *copy = malloc(size + 1);

	memcpy(copy, body, size);
	copy[size] = '\0';
	return copy;
}

static bool
read_job_of_size(const char *body, size_t size, Job *job)
{
	char	   *copy = exact_copy(body, size);
	bool		found = reply_job(copy, size, job);

	free(copy);
	return found;
}

static bool
read_job(const char *body, Job *job)
{
	return read_job_of_size(body, strlen(body), job);
}

/* ----------
 * Statuses
 * ----------
 */

typedef struct Status
{
	const char *status;
	JobPhase	phase;
	bool		known;
} Status;

static void
is_status(void **state)
{
	const Status *expected = *state;
	char		body[128];
	bool		known;
	Job			job;

	assert_int_equal(job_phase(expected->status, &known), expected->phase);
	assert_int_equal(known, expected->known);

	snprintf(body, sizeof(body), "{\"jobId\":\"1\",\"status\":\"%s\"}", expected->status);
	assert_true(read_job(body, &job));
	assert_string_equal(job.status, expected->status);
	assert_int_equal(job.phase, expected->phase);
	assert_int_equal(job.known_status, expected->known);
}

#define STATUS(name, ...) {name, is_status, NULL, NULL, &(Status) {__VA_ARGS__}}

/* ----------
 * A job
 * ----------
 */

static void
check_whole_job(const char *body)
{
	Job			job;

	assert_true(read_job(body, &job));
	assert_string_equal(job.job_id, JOB_ID);
	assert_string_equal(job.status, "DONE");
	assert_int_equal(job.phase, JOB_DONE);
	assert_true(job.known_status);
	assert_string_equal(job.module, "FORECAST");
	assert_string_equal(job.title, "Forecast");
	assert_string_equal(job.file_name, "clari_export_forecast_new_summary_2021_Q12915_20210407_212737.json");
	assert_string_equal(job.file_type, "JSON");
	assert_string_equal(job.currency, "USD");
	assert_int_equal(job.start_time, INT64_C(1617830852000));
	assert_int_equal(job.end_time, INT64_C(1617830860123));
	assert_int_equal(job.expired_time, INT64_C(1620422852000));
	assert_false(job.truncated);
}

static void
reads_a_flat_job(void **state)
{
	(void) state;
	check_whole_job(FLAT_JOB);
}

static void
reads_a_wrapped_job(void **state)
{
	(void) state;
	check_whole_job(WRAPPED_JOB);
}

static void
reads_a_job_with_blanks_around(void **state)
{
	(void) state;
	check_whole_job(" \r\n\t" FLAT_JOB "\r\n \n");
}

static void
reads_a_flat_job_with_a_member_called_job(void **state)
{
	Job			job;

	(void) state;
	assert_true(read_job("{\"job\":null,\"status\":\"DONE\"}", &job));
	assert_true(read_job("{\"job\":\"nightly\",\"status\":\"DONE\"}", &job));
}

static void
reads_a_job_with_its_status_alone(void **state)
{
	Job			job;

	(void) state;
	memset(&job, 0xFF, sizeof(job));
	assert_true(read_job("{\"status\":\"STARTED\"}", &job));
	assert_string_equal(job.job_id, "");
	assert_string_equal(job.module, "");
	assert_string_equal(job.title, "");
	assert_string_equal(job.file_name, "");
	assert_string_equal(job.file_type, "");
	assert_string_equal(job.currency, "");
	assert_int_equal(job.start_time, 0);
	assert_int_equal(job.end_time, 0);
	assert_int_equal(job.expired_time, 0);
	assert_false(job.truncated);
}

static void
takes_members_of_another_type_for_missing(void **state)
{
	Job			job;

	(void) state;
	assert_true(read_job("{\"jobId\":12,\"status\":\"DONE\",\"module\":null,\"title\":[],\"fileName\":{},"
						 "\"currency\":1.5,\"startTime\":\"soon\",\"endTime\":null,\"cellsTruncated\":null}", &job));
	assert_string_equal(job.job_id, "12");
	assert_string_equal(job.module, "");
	assert_string_equal(job.title, "");
	assert_string_equal(job.file_name, "");
	assert_string_equal(job.currency, "");
	assert_int_equal(job.start_time, 0);
	assert_int_equal(job.end_time, 0);
	assert_false(job.truncated);
}

static void
drops_times_that_are_none(void **state)
{
	static const struct
	{
		const char *time;
		int64_t		expected;
	}			times[] =
	{
		{"0", 0}, {"-1", 0}, {"1", 1}, {"1617830852000", INT64_C(1617830852000)}, {"1.617830852e12", INT64_C(1617830852000)},
		{"1617830852000.7", INT64_C(1617830852000)}, {"253402300799999", INT64_C(253402300799999)}, {"253402300800000", 0},
		{"1e16", 0}, {"9223372036854775807", 0}, {"9223372036854775808", 0}, {"1e400000", 0}, {"-9223372036854775809", 0},
		{"\"1617830852000\"", 0}, {"null", 0}, {"true", 0}, {"[1]", 0},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
	{
		char		body[256];
		Job			job;

		snprintf(body, sizeof(body), "{\"status\":\"DONE\",\"startTime\":%s,\"endTime\":%s,\"expiredTime\":%s}",
				 times[i].time, times[i].time, times[i].time);
		assert_true(read_job(body, &job));
		assert_int_equal(job.start_time, times[i].expected);
		assert_int_equal(job.end_time, times[i].expected);
		assert_int_equal(job.expired_time, times[i].expected);
	}
}

static void
makes_texts_fit_to_be_shown(void **state)
{
	Job			job;

	(void) state;
	assert_true(read_job("{\"status\":\"D\\u0000NE\\u001b[1m\",\"title\":\"a\\nb\xff\\ud83d\",\"jobId\":\"1\\u0000\"}", &job));
	assert_string_equal(job.status, "D?NE?[1m");
	assert_string_equal(job.title, "a b??");
	assert_string_equal(job.job_id, "");
	assert_true(read_job("{\"status\":\"A_STATUS_OF_THIRTY_TWO_CHARACTERS\"}", &job));
	assert_string_equal(job.status, "A_STATUS_OF_THIRTY_TWO_CHARACTE");
	assert_int_equal(job.phase, JOB_IN_PROGRESS);
	assert_false(job.known_status);
}

static void
reads_a_job_after_a_byte_order_mark(void **state)
{
	(void) state;
	check_whole_job("\xef\xbb\xbf" FLAT_JOB);
}

static void
notes_truncated_cells_and_rows(void **state)
{
	Job			job;

	(void) state;
	assert_true(read_job("{\"status\":\"DONE\",\"cellsTruncated\":true,\"rowsTruncated\":false}", &job));
	assert_true(job.truncated);
	assert_true(read_job("{\"status\":\"DONE\",\"cellsTruncated\":false,\"rowsTruncated\":true}", &job));
	assert_true(job.truncated);
}

static void
refuses_what_is_no_job(void **state)
{
	static const char *const bodies[] = {
		"", " ", "null", "[]", "\"DONE\"", "{}", "{\"job\":null}", "{\"job\":{}}", "{\"status\":null}",
		"{\"status\":\"\"}", "{\"status\":[\"DONE\"]}", "{\"status\":\"DONE\"} x", "{\"status\":\"DONE\"}{}",
		"{\"status\":\"DONE\",}", "{\"status\":\"F\xc3\x89T\xc3\x89\",}", "{'status':'DONE'}",
		"{\"status\":\"DONE\"", "<html>Bad Gateway</html>",
	};
	Job			job;

	(void) state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		if (read_job(bodies[i], &job))
			fail_msg("taken for a job: %s", bodies[i]);
}

static void
refuses_a_job_cut_anywhere(void **state)
{
	Job			job;

	(void) state;
	for (size_t size = 0; size < strlen(WRAPPED_JOB); size++)
		assert_false(read_job_of_size(WRAPPED_JOB, size, &job));
}

static void
refuses_endless_nesting(void **state)
{
	char		body[40000];
	Job			job;

	(void) state;
	memset(body, '[', sizeof(body));
	assert_false(read_job_of_size(body, sizeof(body), &job));
}

/* A title of n times the same character after some that have one byte. */
static void
check_cut(const char *character, int ahead)
{
	char		body[2048] = "{\"status\":\"DONE\",\"title\":\"";
	size_t		length = strlen(character);
	Job			job;

	for (int i = 0; i < ahead; i++)
		strcat(body, "x");
	for (int i = 0; i < JOB_TEXT_SIZE; i++)
		strcat(body, character);
	strcat(body, "\"}");
	assert_true(read_job(body, &job));
	assert_in_range(strlen(job.title), JOB_TEXT_SIZE - 1 - 2 * length, JOB_TEXT_SIZE - 1);
	assert_int_equal((strlen(job.title) - (size_t) ahead) % length, 0);
}

/* Wherever the cut falls, no part of a character may stay. */
static void
cuts_shown_texts_between_characters(void **state)
{
	(void) state;
	for (int ahead = 0; ahead <= 3; ahead++)
	{
		check_cut("x", ahead);
		check_cut("\xc3\xa9", ahead);
		check_cut("\xe2\x82\xac", ahead);
		check_cut("\xf0\x9f\x93\x88", ahead);
	}
}

/* ----------
 * A job id
 * ----------
 */

static bool
read_job_id(const char *body, char job_id[JOB_ID_SIZE])
{
	char	   *copy = exact_copy(body, strlen(body));
	bool		found = reply_job_id(copy, strlen(copy), job_id);

	free(copy);
	return found;
}

static void
reads_a_job_id(void **state)
{
	char		job_id[JOB_ID_SIZE];

	(void) state;
	assert_true(read_job_id("{\"jobId\": \"" JOB_ID "\"}", job_id));
	assert_string_equal(job_id, JOB_ID);
	assert_true(read_job_id("{\"jobId\": 42}", job_id));
	assert_string_equal(job_id, "42");
}

static void
refuses_what_is_no_job_id(void **state)
{
	static const char *const bodies[] = {
		"", "{}", "[]", "\"" JOB_ID "\"", "{\"jobId\":\"\"}", "{\"jobId\":null}", "{\"jobId\":{}}",
		"{\"jobid\":\"1\"}", "{\"jobId\":\"1\"", "OK",
	};
	char		job_id[JOB_ID_SIZE];

	(void) state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		if (read_job_id(bodies[i], job_id))
			fail_msg("taken for a job id: %s", bodies[i]);
}

static void
refuses_a_job_id_that_does_not_fit(void **state)
{
	char		body[256];
	char		job_id[JOB_ID_SIZE];

	(void) state;
	snprintf(body, sizeof(body), "{\"jobId\":\"%0*d\"}", JOB_ID_SIZE - 1, 1);
	assert_true(read_job_id(body, job_id));
	assert_int_equal(strlen(job_id), JOB_ID_SIZE - 1);
	snprintf(body, sizeof(body), "{\"jobId\":\"%0*d\"}", JOB_ID_SIZE, 1);
	assert_false(read_job_id(body, job_id));
}

/* ----------
 * The list of jobs
 * ----------
 */

typedef struct Visits
{
	int			n;
	int			stop_after;
	char		last_id[JOB_ID_SIZE];
} Visits;

static bool
visit(const Job *job, void *context)
{
	Visits	   *visits = context;

	strcpy(visits->last_id, job->job_id);
	return ++visits->n != visits->stop_after;
}

static bool
read_list(const char *body, Visits *visits)
{
	char	   *copy = exact_copy(body, strlen(body));
	bool		valid = reply_job_list(copy, strlen(copy), visit, visits);

	free(copy);
	return valid;
}

static void
reads_a_list_in_both_forms(void **state)
{
	Visits		visits = {0};

	(void) state;
	assert_true(read_list("[" FLAT_JOB "," WRAPPED_JOB ",{\"jobId\":\"3\",\"status\":\"STARTED\"}]", &visits));
	assert_int_equal(visits.n, 3);
	assert_string_equal(visits.last_id, "3");
}

static void
reads_an_empty_list(void **state)
{
	Visits		visits = {0};

	(void) state;
	assert_true(read_list("[]", &visits));
	assert_int_equal(visits.n, 0);
}

static void
stops_where_the_visitor_says(void **state)
{
	Visits		visits = {.stop_after = 1};

	(void) state;
	assert_true(read_list("[" FLAT_JOB ",null]", &visits));
	assert_int_equal(visits.n, 1);
}

static void
passes_over_entries_that_are_no_jobs(void **state)
{
	static const char *const odd[] = {
		"null", "7", "\"DONE\"", "[]", "{}", "{\"status\":\"DONE\"}", "{\"jobId\":\"1\"}", "{\"jobId\":{},\"status\":\"DONE\"}",
		"{\"jobId\":\"a b\",\"status\":\"DONE\"}", "{\"jobId\":\"\\u0000\",\"status\":\"DONE\"}", "{\"jobId\":-1,\"status\":\"DONE\"}",
		"{\"jobId\":\"\xff\",\"status\":\"DONE\"}", "{\"jobId\":1e3,\"status\":\"DONE\"}", "{\"jobId\":\"1\",\"status\":[]}", "[[" FLAT_JOB "]]",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
	{
		Visits		visits = {0};
		char		body[4096];

		snprintf(body, sizeof(body), "[%s," FLAT_JOB ",%s]", odd[i], odd[i]);
		assert_true(read_list(body, &visits));
		if (visits.n != 1)
			fail_msg("%d jobs in %s", visits.n, body);
		assert_string_equal(visits.last_id, JOB_ID);
	}
}

/* No entry is shown of a list that turns out to be none. */
static void
shows_nothing_of_a_broken_list(void **state)
{
	Visits		visits = {0};

	(void) state;
	assert_false(read_list("[" FLAT_JOB "," FLAT_JOB "", &visits));
	assert_int_equal(visits.n, 0);
}

static void
refuses_what_is_no_list_of_jobs(void **state)
{
	static const char *const bodies[] = {
		"", "{}", "null", "{\"jobs\":[]}", "[" FLAT_JOB, "[" FLAT_JOB ",]", FLAT_JOB, "7", "<html></html>",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
	{
		Visits		visits = {0};

		if (read_list(bodies[i], &visits))
			fail_msg("taken for a list of jobs: %s", bodies[i]);
	}
}

/* ----------
 * A cancellation
 * ----------
 */

static void
reads_a_cancellation(void **state)
{
	const char *body = "{\"status\":\"CANCELLED\",\"successful\":true}";
	char		status[JOB_STATUS_SIZE];

	(void) state;
	assert_true(reply_cancelled(body, strlen(body), status));
	assert_string_equal(status, "CANCELLED");
}

static void
refuses_what_is_no_cancellation(void **state)
{
	static const char *const bodies[] = {
		"", "{}", "[]", "{\"status\":\"CANCELLED\"}", "{\"status\":\"DONE\",\"successful\":false}",
		"{\"successful\":true}", "{\"status\":\"\",\"successful\":true}",
	};
	char		status[JOB_STATUS_SIZE];

	(void) state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		if (reply_cancelled(bodies[i], strlen(bodies[i]), status))
			fail_msg("taken for a cancellation: %s", bodies[i]);
}

/* ----------
 * Limits
 * ----------
 */

static bool
read_limits(const char *body, Limits *limits)
{
	return reply_limits(body, strlen(body), limits);
}

static void
reads_limits(void **state)
{
	Limits		limits;

	(void) state;
	assert_true(read_limits("{\"jobs\": {\"concurrentLimit\": 3, \"monthlyQuota\": 1000, "
							"\"runningJobIds\": [\"1\", \"2\"], \"submittedJobIds\": [\"1\"], "
							"\"availableConcurrentLimit\": 1, \"availableMonthlyQuota\": 995}}", &limits));
	assert_int_equal(limits.concurrent_limit, 3);
	assert_int_equal(limits.available_concurrent_limit, 1);
	assert_int_equal(limits.monthly_quota, 1000);
	assert_int_equal(limits.available_monthly_quota, 995);
}

static void
reads_limits_without_running_jobs(void **state)
{
	Limits		limits;

	(void) state;
	assert_true(read_limits("{\"jobs\": {\"concurrentLimit\": 1, \"monthlyQuota\": 30, \"submittedJobIds\": [], "
							"\"availableConcurrentLimit\": 1, \"availableMonthlyQuota\": 0}}", &limits));
	assert_int_equal(limits.concurrent_limit, 1);
	assert_int_equal(limits.available_concurrent_limit, 1);
	assert_int_equal(limits.monthly_quota, 30);
	assert_int_equal(limits.available_monthly_quota, 0);
}

static void
marks_missing_limits(void **state)
{
	Limits		limits;

	(void) state;
	assert_true(read_limits("{\"jobs\": {\"monthlyQuota\": null, \"concurrentLimit\": \"3\"}}", &limits));
	assert_int_equal(limits.concurrent_limit, -1);
	assert_int_equal(limits.available_concurrent_limit, -1);
	assert_int_equal(limits.monthly_quota, -1);
	assert_int_equal(limits.available_monthly_quota, -1);
}

/* A quota without end must not look like one that is used up. */
static void
saturates_huge_limits(void **state)
{
	Limits		limits;

	(void) state;
	assert_true(read_limits("{\"jobs\": {\"monthlyQuota\": 4294967296, "
							"\"availableMonthlyQuota\": 9223372036854775807}}", &limits));
	assert_int_equal(limits.monthly_quota, INT_MAX);
	assert_int_equal(limits.available_monthly_quota, INT_MAX);
}

/* A quota that was lowered below what is used. */
static void
takes_negative_limits_for_nothing_left(void **state)
{
	Limits		limits;

	(void) state;
	assert_true(read_limits("{\"jobs\": {\"availableConcurrentLimit\": -1, \"availableMonthlyQuota\": -5}}", &limits));
	assert_int_equal(limits.available_concurrent_limit, 0);
	assert_int_equal(limits.available_monthly_quota, 0);
}

static void
refuses_what_are_no_limits(void **state)
{
	static const char *const bodies[] = {"", "{}", "[]", "{\"jobs\":[]}", "{\"jobs\":null}", "{\"jobs\":{}"};
	Limits		limits;

	(void) state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		if (read_limits(bodies[i], &limits))
			fail_msg("taken for limits: %s", bodies[i]);
}

/* ----------
 * Errors
 * ----------
 */

static void
check_error(const char *body, const char *code, const char *message)
{
	ClariError	error;
	char	   *copy = exact_copy(body, strlen(body));

	memset(&error, 0xFF, sizeof(error));
	reply_error(copy, strlen(copy), &error);
	free(copy);
	assert_string_equal(error.code, code);
	assert_string_equal(error.message, message);
}

/* A row of the table of errors, in the forms that have a code. */
static void
is_error_code(void **state)
{
	const char *code = *state;
	char		body[512];

	snprintf(body, sizeof(body), "{\"code\":\"%s\",\"namespace\":\"export\",\"errorId\":\"e1\","
			 "\"message\":\"Not that way.\",\"orgId\":12915}", code);
	check_error(body, code, "Not that way.");
	snprintf(body, sizeof(body), "{\"errors\":[{\"status\":400,\"code\":\"%s\",\"message\":\"Not that way.\","
			 "\"details\":[]},{\"code\":\"second\"}]}", code);
	check_error(body, code, "Not that way.");
}

#define ERROR_CODE(code) {"error_" code, is_error_code, NULL, NULL, code}

static void
reads_an_error_with_a_message_alone(void **state)
{
	(void) state;
	check_error("{\"message\":\"Unauthorized\"}", "", "Unauthorized");
}

static void
reads_an_error_with_a_code_alone(void **state)
{
	(void) state;
	check_error("{\"code\":\"no_optin\"}", "no_optin", "");
	check_error("{\"code\":500,\"message\":null}", "500", "");
}

static void
finds_no_words_in_other_bodies(void **state)
{
	static const char *const bodies[] = {
		"", "{}", "[]", "null", "<html>Too Many Requests</html>", "{\"errors\":[]}", "{\"errors\":[null]}",
		"{\"errors\":{}}", "{\"code\":\"SWW\"", "{\"message\":[\"a\"]}",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		check_error(bodies[i], "", "");
}

static void
cuts_long_words(void **state)
{
	char		body[2048];
	ClariError	error;

	(void) state;
	snprintf(body, sizeof(body), "{\"code\":\"%0200d\",\"message\":\"%01000d\"}", 1, 1);
	reply_error(body, strlen(body), &error);
	assert_int_equal(strlen(error.code), CLARI_CODE_SIZE - 1);
	assert_int_equal(strlen(error.message), CLARI_MESSAGE_SIZE - 1);
}

int
main(void)
{
	const struct CMUnitTest reply[] = {
		STATUS("scheduled_is_in_progress", "SCHEDULED", JOB_IN_PROGRESS, true),
		STATUS("started_is_in_progress", "STARTED", JOB_IN_PROGRESS, true),
		STATUS("done_is_done", "DONE", JOB_DONE, true),
		STATUS("completed_is_done", "COMPLETED", JOB_DONE, true),
		STATUS("failed_has_no_result", "FAILED", JOB_ENDED_WITHOUT_RESULT, true),
		STATUS("cancelled_has_no_result", "CANCELLED", JOB_ENDED_WITHOUT_RESULT, true),
		STATUS("aborted_has_no_result", "ABORTED", JOB_ENDED_WITHOUT_RESULT, true),
		STATUS("any_other_status_is_in_progress", "REHEARSING", JOB_IN_PROGRESS, false),
		STATUS("done_in_lower_case_is_done", "done", JOB_DONE, true),
		STATUS("completed_in_any_case_is_done", "Completed", JOB_DONE, true),
		STATUS("failed_in_lower_case_has_no_result", "failed", JOB_ENDED_WITHOUT_RESULT, true),
		STATUS("cancelled_in_any_case_has_no_result", "CanceLLed", JOB_ENDED_WITHOUT_RESULT, true),
		STATUS("a_part_of_a_status_is_another", "DON", JOB_IN_PROGRESS, false),
		STATUS("a_longer_status_is_another", "DONEE", JOB_IN_PROGRESS, false),
		cmocka_unit_test(reads_a_flat_job),
		cmocka_unit_test(reads_a_wrapped_job),
		cmocka_unit_test(reads_a_job_with_blanks_around),
		cmocka_unit_test(reads_a_flat_job_with_a_member_called_job),
		cmocka_unit_test(reads_a_job_with_its_status_alone),
		cmocka_unit_test(takes_members_of_another_type_for_missing),
		cmocka_unit_test(drops_times_that_are_none),
		cmocka_unit_test(makes_texts_fit_to_be_shown),
		cmocka_unit_test(reads_a_job_after_a_byte_order_mark),
		cmocka_unit_test(notes_truncated_cells_and_rows),
		cmocka_unit_test(refuses_what_is_no_job),
		cmocka_unit_test(refuses_a_job_cut_anywhere),
		cmocka_unit_test(refuses_endless_nesting),
		cmocka_unit_test(cuts_shown_texts_between_characters),
		cmocka_unit_test(reads_a_job_id),
		cmocka_unit_test(refuses_what_is_no_job_id),
		cmocka_unit_test(refuses_a_job_id_that_does_not_fit),
		cmocka_unit_test(reads_a_list_in_both_forms),
		cmocka_unit_test(reads_an_empty_list),
		cmocka_unit_test(stops_where_the_visitor_says),
		cmocka_unit_test(passes_over_entries_that_are_no_jobs),
		cmocka_unit_test(shows_nothing_of_a_broken_list),
		cmocka_unit_test(refuses_what_is_no_list_of_jobs),
		cmocka_unit_test(reads_a_cancellation),
		cmocka_unit_test(refuses_what_is_no_cancellation),
		cmocka_unit_test(reads_limits),
		cmocka_unit_test(reads_limits_without_running_jobs),
		cmocka_unit_test(marks_missing_limits),
		cmocka_unit_test(saturates_huge_limits),
		cmocka_unit_test(takes_negative_limits_for_nothing_left),
		cmocka_unit_test(refuses_what_are_no_limits),
		ERROR_CODE("export_monthly_quota_reached"),
		ERROR_CODE("no_such_forecast_config"),
		ERROR_CODE("missing_forecast_id"),
		ERROR_CODE("type_not_supported"),
		ERROR_CODE("bad_request"),
		ERROR_CODE("invalid_jobId"),
		ERROR_CODE("export_failed_to_cancel"),
		ERROR_CODE("no_optin"),
		ERROR_CODE("SWW"),
		ERROR_CODE("internal_server_error"),
		cmocka_unit_test(reads_an_error_with_a_message_alone),
		cmocka_unit_test(reads_an_error_with_a_code_alone),
		cmocka_unit_test(finds_no_words_in_other_bodies),
		cmocka_unit_test(cuts_long_words),
	};

	return cmocka_run_group_tests(reply, NULL, NULL);
}
