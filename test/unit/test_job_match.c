/*
 * test_job_match.c
 *		Which job in Clari's list is the one a lost submission started?
 */
#include "unit.h"

#include <locale.h>

#include "core/job_match.h"

/* The file name of Clari's documentation: organization 12915 or 2915. */
#define FILE_NAME "clari_export_forecast_new_summary_2021_Q12915_20210407_212737.json"

static JobFit
fit_of(const char *module, const char *file_name, ExportKind kind,
	   const char *forecast_id, const char *time_period)
{
	Job			job = {0};

	strcpy(job.module, module);
	strcpy(job.file_name, file_name);
	return job_fit(&job, kind, forecast_id, time_period);
}

static JobFit
forecast_fit_of(const char *file_name, const char *forecast_id, const char *time_period)
{
	return fit_of("FORECAST", file_name, EXPORT_FORECAST, forecast_id, time_period);
}

static void
fits_its_forecast_and_period(void **state)
{
	(void) state;
	assert_int_equal(forecast_fit_of(FILE_NAME, "new_summary", "2021_Q1"), JOB_FITS);
}

static void
fits_any_period_where_none_was_asked_for(void **state)
{
	(void) state;
	assert_int_equal(forecast_fit_of(FILE_NAME, "new_summary", NULL), JOB_FITS);
}

static void
fits_not_another_period(void **state)
{
	(void) state;
	assert_int_equal(forecast_fit_of(FILE_NAME, "new_summary", "2021_Q2"), JOB_FITS_NOT);
	assert_int_equal(forecast_fit_of(FILE_NAME, "new_summary", "2020_Q1"), JOB_FITS_NOT);
}

static void
fits_not_another_forecast(void **state)
{
	(void) state;
	assert_int_equal(forecast_fit_of(FILE_NAME, "net_arr", "2021_Q1"), JOB_FITS_NOT);
	assert_int_equal(forecast_fit_of(FILE_NAME, "old_summary", "2021_Q1"), JOB_FITS_NOT);
	assert_int_equal(forecast_fit_of(FILE_NAME, "new_summary_2", "2021_Q1"), JOB_FITS_NOT);
	assert_int_equal(forecast_fit_of(FILE_NAME, "new_sum", "2021_Q1"), JOB_FITS_NOT);
}

static void
fits_not_a_forecast_whose_id_begins_alike(void **state)
{
	(void) state;
	assert_int_equal(forecast_fit_of(FILE_NAME, "new", "2021_Q1"), JOB_FITS_NOT);
	assert_int_equal(forecast_fit_of(FILE_NAME, "new", NULL), JOB_FITS_NOT);
	assert_int_equal(forecast_fit_of("clari_export_forecast_news2021_Q12915.json", "new", "2021_Q1"), JOB_FITS_NOT);
}

/* The rest of a longer id may be a number; a period is a year and what of it. */
static void
fits_not_a_forecast_whose_id_goes_on_with_a_number(void **state)
{
	(void) state;
	assert_int_equal(forecast_fit_of("clari_export_forecast_arr_2_2021_Q12915.json", "arr", NULL), JOB_FITS_NOT);
	assert_int_equal(forecast_fit_of("clari_export_forecast_arr_2_21_2021_Q12915.json", "arr", NULL), JOB_FITS_NOT);
	assert_int_equal(forecast_fit_of("clari_export_forecast_arr_20215_2021_Q12915.json", "arr", NULL), JOB_FITS_NOT);
	assert_int_equal(forecast_fit_of("clari_export_forecast_arr_2021-2021_Q12915.json", "arr", NULL), JOB_FITS_NOT);
	assert_int_equal(forecast_fit_of("clari_export_forecast_arr_2_2021_Q12915.json", "arr_2", NULL), JOB_FITS);
}

static void
fits_not_a_forecast_cut_short(void **state)
{
	(void) state;
	assert_int_equal(forecast_fit_of("clari_export_forecast_new_summary", "new_summary", NULL), JOB_FITS_NOT);
	assert_int_equal(forecast_fit_of("clari_export_forecast_new_summary_", "new_summary", NULL), JOB_FITS_NOT);
	assert_int_equal(forecast_fit_of("clari_export_forecast_new_summary_2021", "new_summary", "2021_Q1"), JOB_FITS_NOT);
}

static void
may_fit_without_a_telling_file_name(void **state)
{
	(void) state;
	assert_int_equal(forecast_fit_of("", "new_summary", "2021_Q1"), JOB_MAY_FIT);
	assert_int_equal(forecast_fit_of("export.json", "new_summary", "2021_Q1"), JOB_MAY_FIT);
}

static void
may_fit_without_a_module(void **state)
{
	(void) state;
	assert_int_equal(fit_of("", FILE_NAME, EXPORT_FORECAST, "new_summary", "2021_Q1"), JOB_MAY_FIT);
	assert_int_equal(fit_of("", "", EXPORT_ACTIVITY, NULL, NULL), JOB_MAY_FIT);
	assert_int_equal(fit_of("", "", EXPORT_AUDIT_EVENTS, NULL, NULL), JOB_MAY_FIT);
}

static void
fits_an_activity_job(void **state)
{
	(void) state;
	assert_int_equal(fit_of("ACTIVITY", "", EXPORT_ACTIVITY, NULL, NULL), JOB_FITS);
	assert_int_equal(fit_of("ACTIVITIES", "", EXPORT_ACTIVITY, NULL, NULL), JOB_FITS);
}

static void
fits_an_audit_job(void **state)
{
	(void) state;
	assert_int_equal(fit_of("AUDIT", "", EXPORT_AUDIT_EVENTS, NULL, NULL), JOB_FITS);
	assert_int_equal(fit_of("AUDIT_EVENTS", "", EXPORT_AUDIT_EVENTS, NULL, NULL), JOB_FITS);
}

static void
fits_not_another_module(void **state)
{
	(void) state;
	assert_int_equal(fit_of("ACTIVITY", FILE_NAME, EXPORT_FORECAST, "new_summary", "2021_Q1"), JOB_FITS_NOT);
	assert_int_equal(fit_of("FORECASTS", FILE_NAME, EXPORT_FORECAST, "new_summary", "2021_Q1"), JOB_FITS_NOT);
	assert_int_equal(fit_of("FORECAST", FILE_NAME, EXPORT_ACTIVITY, NULL, NULL), JOB_FITS_NOT);
	assert_int_equal(fit_of("AUDIT", "", EXPORT_ACTIVITY, NULL, NULL), JOB_FITS_NOT);
	assert_int_equal(fit_of("ACTIVITY", "", EXPORT_AUDIT_EVENTS, NULL, NULL), JOB_FITS_NOT);
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
		assert_int_equal(fit_of("Activity", "", EXPORT_ACTIVITY, NULL, NULL), JOB_FITS);
		assert_int_equal(fit_of("audit", "", EXPORT_AUDIT_EVENTS, NULL, NULL), JOB_FITS);
		assert_int_equal(fit_of("forecast", FILE_NAME, EXPORT_FORECAST, "new_summary", NULL), JOB_FITS);
		setlocale(LC_ALL, "C");
	}
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
		cmocka_unit_test(may_fit_without_a_telling_file_name),
		cmocka_unit_test(may_fit_without_a_module),
		cmocka_unit_test(fits_an_activity_job),
		cmocka_unit_test(fits_an_audit_job),
		cmocka_unit_test(fits_not_another_module),
		cmocka_unit_test(ignores_the_case_of_modules_in_every_locale),
		cmocka_unit_test(remembers_ids),
		cmocka_unit_test(refuses_ids_that_do_not_fit),
		cmocka_unit_test(refuses_ids_beyond_its_size),
	};

	return cmocka_run_group_tests(job_match, NULL, NULL);
}
