/*
 * test_job_match.c
 *		Which job in Clari's list is the one a lost submission started?
 */
#include "unit.h"

#include <locale.h>

#include "core/job_match.h"

/* The file name of Clari's documentation: organization 12915 or 2915. */
#define FILE_NAME "clari_export_forecast_new_summary_2021_Q12915_20210407_212737.json"

static bool
fit_of(const char *module, const char *file_name, ExportKind kind,
	   const char *forecast_id, const char *time_period)
{
	Job			job = {0};

	strcpy(job.module, module);
	strcpy(job.file_name, file_name);
	return job_fits(&job, &(ExportSubject) {kind, forecast_id, time_period, NULL});
}

static bool
forecast_fit_of(const char *file_name, const char *forecast_id, const char *time_period)
{
	return fit_of("FORECAST", file_name, EXPORT_FORECAST, forecast_id, time_period);
}

static void
fits_its_forecast_and_period(void **state)
{
	(void) state;
	assert_true(forecast_fit_of(FILE_NAME, "new_summary", "2021_Q1"));
}

static void
fits_any_period_where_none_was_asked_for(void **state)
{
	(void) state;
	assert_true(forecast_fit_of(FILE_NAME, "new_summary", NULL));
}

static void
fits_not_another_period(void **state)
{
	(void) state;
	assert_false(forecast_fit_of(FILE_NAME, "new_summary", "2021_Q2"));
	assert_false(forecast_fit_of(FILE_NAME, "new_summary", "2020_Q1"));
}

static void
fits_not_another_forecast(void **state)
{
	(void) state;
	assert_false(forecast_fit_of(FILE_NAME, "net_arr", "2021_Q1"));
	assert_false(forecast_fit_of(FILE_NAME, "old_summary", "2021_Q1"));
	assert_false(forecast_fit_of(FILE_NAME, "new_summary_2", "2021_Q1"));
	assert_false(forecast_fit_of(FILE_NAME, "new_sum", "2021_Q1"));
}

static void
fits_not_a_forecast_whose_id_begins_alike(void **state)
{
	(void) state;
	assert_false(forecast_fit_of(FILE_NAME, "new", "2021_Q1"));
	assert_false(forecast_fit_of(FILE_NAME, "new", NULL));
	assert_false(forecast_fit_of("clari_export_forecast_news2021_Q12915.json", "new", "2021_Q1"));
}

/* The rest of a longer id may be a number; a period is a year and what of it. */
static void
fits_not_a_forecast_whose_id_goes_on_with_a_number(void **state)
{
	(void) state;
	assert_false(forecast_fit_of("clari_export_forecast_arr_2_2021_Q12915.json", "arr", NULL));
	assert_false(forecast_fit_of("clari_export_forecast_arr_2_21_2021_Q12915.json", "arr", NULL));
	assert_false(forecast_fit_of("clari_export_forecast_arr_20215_2021_Q12915.json", "arr", NULL));
	assert_false(forecast_fit_of("clari_export_forecast_arr_2021-2021_Q12915.json", "arr", NULL));
	assert_true(forecast_fit_of("clari_export_forecast_arr_2_2021_Q12915.json", "arr_2", NULL));
}

static void
fits_not_a_forecast_cut_short(void **state)
{
	(void) state;
	assert_true(forecast_fit_of("clari_export_forecast_new_summary", "new_summary", NULL));
	assert_true(forecast_fit_of("clari_export_forecast_new_summary_", "new_summary", NULL));
	assert_false(forecast_fit_of("clari_export_forecast_new_summary_2021", "new_summary", "2021_Q1"));
}

static void
fits_without_a_telling_file_name(void **state)
{
	(void) state;
	assert_true(forecast_fit_of("", "new_summary", "2021_Q1"));
	assert_true(forecast_fit_of("export.json", "new_summary", "2021_Q1"));
}

static void
fits_without_a_module(void **state)
{
	(void) state;
	assert_true(fit_of("", FILE_NAME, EXPORT_FORECAST, "new_summary", "2021_Q1"));
	assert_true(fit_of("", "", EXPORT_ACTIVITY, NULL, NULL));
	assert_true(fit_of("", "", EXPORT_AUDIT_EVENTS, NULL, NULL));
}

static void
fits_an_activity_job(void **state)
{
	(void) state;
	assert_true(fit_of("ACTIVITY", "", EXPORT_ACTIVITY, NULL, NULL));
	assert_true(fit_of("ACTIVITIES", "", EXPORT_ACTIVITY, NULL, NULL));
}

static void
fits_an_audit_job(void **state)
{
	(void) state;
	assert_true(fit_of("AUDIT", "", EXPORT_AUDIT_EVENTS, NULL, NULL));
	assert_true(fit_of("AUDIT_EVENTS", "", EXPORT_AUDIT_EVENTS, NULL, NULL));
}

static void
fits_not_another_module(void **state)
{
	(void) state;
	assert_false(fit_of("ACTIVITY", FILE_NAME, EXPORT_FORECAST, "new_summary", "2021_Q1"));
	assert_false(fit_of("FORECASTS", FILE_NAME, EXPORT_FORECAST, "new_summary", "2021_Q1"));
	assert_false(fit_of("FORECAST", FILE_NAME, EXPORT_ACTIVITY, NULL, NULL));
	assert_false(fit_of("AUDIT", "", EXPORT_ACTIVITY, NULL, NULL));
	assert_false(fit_of("ACTIVITY", "", EXPORT_AUDIT_EVENTS, NULL, NULL));
}

/* In a Turkish database an I is not the capital of an i. */
static void
ignores_the_case_of_modules_in_every_locale(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(unit_locales) / sizeof(unit_locales[0]); i++)
	{
		if (setlocale(LC_ALL, unit_locales[i]) == NULL)
			continue;
		assert_true(fit_of("Activity", "", EXPORT_ACTIVITY, NULL, NULL));
		assert_true(fit_of("audit", "", EXPORT_AUDIT_EVENTS, NULL, NULL));
		assert_true(fit_of("forecast", FILE_NAME, EXPORT_FORECAST, "new_summary", NULL));
		setlocale(LC_ALL, "C");
	}
}

static void
fits_a_file_name_of_another_form_unless_its_quarter_is_another(void **state)
{
	(void) state;
	assert_true(forecast_fit_of("new summary 2021_Q1.json", "new_summary", "2021_Q1"));
	assert_true(forecast_fit_of("new summary 2021_q1 and 2020_Q4", "new_summary", "2021_Q1"));
	assert_true(forecast_fit_of("12021_Q2.json", "new_summary", "2021_Q1"));
	assert_true(forecast_fit_of("2021_Q5.json", "new_summary", "2021_Q1"));
	assert_false(forecast_fit_of("new summary 2021_Q2.json", "new_summary", "2021_Q1"));
}

static void
fits_not_another_currency(void **state)
{
	Job			job = {.module = "FORECAST",.file_name = FILE_NAME,.currency = "EUR"};

	(void) state;
	assert_true(job_fits(&job, &(ExportSubject) {EXPORT_FORECAST, "new_summary", "2021_Q1", NULL}));
	assert_true(job_fits(&job, &(ExportSubject) {EXPORT_FORECAST, "new_summary", "2021_Q1", "eur"}));
	assert_false(job_fits(&job, &(ExportSubject) {EXPORT_FORECAST, "new_summary", "2021_Q1", "USD"}));
	job.currency[0] = '\0';
	assert_true(job_fits(&job, &(ExportSubject) {EXPORT_FORECAST, "new_summary", "2021_Q1", "USD"}));
}

/* Two seconds more on either side, since clocks may tell whole seconds. */
static void
starts_within_the_submissions_own_time(void **state)
{
	const ClariTime window = {1000000, 1010000};
	const struct
	{
		int64_t		start_time;
		bool		within;
	}			cases[] = {
		{997999, false}, {998000, true}, {1000000, true}, {1012000, true}, {1012001, false},
		{0, true}, {-5, true},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Job			job = {.start_time = cases[i].start_time};

		assert_int_equal(job_started_within(&job, window), cases[i].within);
	}
}

static void
an_open_window_has_no_limit_on_that_side(void **state)
{
	Job			early = {.start_time = 1};
	Job			late = {.start_time = INT64_MAX};

	(void) state;
	assert_true(job_started_within(&early, (ClariTime) {0, 1010000}));
	assert_true(job_started_within(&late, (ClariTime) {1000000, 0}));
	assert_true(job_started_within(&late, (ClariTime) {0, 0}));
}

static void
remembers_ids(void **state)
{
	JobIdSet	set = {0};

	(void) state;
	assert_false(job_id_set_has(&set, "1"));
	assert_true(job_id_set_add(&set, "1"));
	assert_true(job_id_set_add(&set, "12"));
	assert_true(job_id_set_has(&set, "1"));
	assert_true(job_id_set_has(&set, "12"));
	assert_false(job_id_set_has(&set, "2"));
	assert_false(job_id_set_has(&set, ""));
	job_id_set_free(&set);
	assert_false(job_id_set_has(&set, "1"));
	assert_true(job_id_set_add(&set, "2"));
	job_id_set_free(&set);
}

static void
refuses_ids_that_do_not_fit(void **state)
{
	char		id[JOB_ID_SIZE + 1];
	JobIdSet	set = {0};

	(void) state;
	memset(id, '1', JOB_ID_SIZE);
	id[JOB_ID_SIZE] = '\0';
	assert_false(job_id_set_add(&set, id));
	id[JOB_ID_SIZE - 1] = '\0';
	assert_true(job_id_set_add(&set, id));
	assert_true(job_id_set_has(&set, id));
	job_id_set_free(&set);
}

static void
refuses_ids_beyond_its_size(void **state)
{
	JobIdSet	set = {0};
	char		id[JOB_ID_SIZE];

	(void) state;
	for (int i = 0; i < JOB_ID_SET_MAX; i++)
	{
		snprintf(id, sizeof(id), "%d", i);
		assert_true(job_id_set_add(&set, id));
	}
	assert_false(job_id_set_add(&set, "one more"));
	assert_true(job_id_set_has(&set, "0"));
	assert_true(job_id_set_has(&set, id));
	job_id_set_free(&set);
}

int
main(void)
{
	const struct CMUnitTest job_match[] = {
		cmocka_unit_test(fits_its_forecast_and_period),
		cmocka_unit_test(fits_any_period_where_none_was_asked_for),
		cmocka_unit_test(fits_not_another_period),
		cmocka_unit_test(fits_not_another_forecast),
		cmocka_unit_test(fits_not_a_forecast_whose_id_begins_alike),
		cmocka_unit_test(fits_not_a_forecast_whose_id_goes_on_with_a_number),
		cmocka_unit_test(fits_not_a_forecast_cut_short),
		cmocka_unit_test(fits_without_a_telling_file_name),
		cmocka_unit_test(fits_without_a_module),
		cmocka_unit_test(fits_an_activity_job),
		cmocka_unit_test(fits_an_audit_job),
		cmocka_unit_test(fits_not_another_module),
		cmocka_unit_test(ignores_the_case_of_modules_in_every_locale),
		cmocka_unit_test(fits_a_file_name_of_another_form_unless_its_quarter_is_another),
		cmocka_unit_test(fits_not_another_currency),
		cmocka_unit_test(starts_within_the_submissions_own_time),
		cmocka_unit_test(an_open_window_has_no_limit_on_that_side),
		cmocka_unit_test(remembers_ids),
		cmocka_unit_test(refuses_ids_that_do_not_fit),
		cmocka_unit_test(refuses_ids_beyond_its_size),
	};

	return cmocka_run_group_tests(job_match, NULL, NULL);
}
