/*
 * job_match.c
 *		Which job in Clari's list is the one a lost submission started?
 */
#include "core/job_match.h"

#include <stdlib.h>
#include <string.h>

#define FORECAST_FILE_PREFIX "clari_export_forecast_"

/*
 * Whether text begins with a word in capitals, in any case of ASCII. Not
 * strncasecmp(): in a Turkish locale it takes i and I for different letters.
 */
static bool
begins_with(const char *text, const char *word)
{
	for (; *word != '\0'; text++, word++)
	{
		char		capital = *text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text;

		if (capital != *word)
			return false;
	}
	return true;
}

/* Activity and audit jobs have no documented module name; this is in all seen. */
static bool
module_is(const Job *job, ExportKind kind)
{
	switch (kind)
	{
		case EXPORT_ACTIVITY:
			return begins_with(job->module, "ACTIVIT");
		case EXPORT_AUDIT_EVENTS:
			return begins_with(job->module, "AUDIT");
		default:
			return begins_with(job->module, "FORECAST") && strlen(job->module) == strlen("FORECAST");
	}
}

/* "2026_Q3": a year, and what of it. */
static bool
begins_with_period(const char *text)
{
	return strspn(text, "0123456789") == 4 && text[4] == '_';
}

static JobFit
forecast_fit(const char *file_name, const char *forecast_id, const char *time_period)
{
	size_t		prefix_length = strlen(FORECAST_FILE_PREFIX);
	size_t		id_length = strlen(forecast_id);
	const char *rest;

	if (strncmp(file_name, FORECAST_FILE_PREFIX, prefix_length) != 0)
		return JOB_MAY_FIT;

	rest = file_name + prefix_length;
	if (strncmp(rest, forecast_id, id_length) != 0 || rest[id_length] != '_')
		return JOB_FITS_NOT;

	/* A longer forecast id may begin with this one. */
	rest += id_length + 1;
	if (time_period == NULL)
		return begins_with_period(rest) ? JOB_FITS : JOB_FITS_NOT;
	return strncmp(rest, time_period, strlen(time_period)) == 0 ? JOB_FITS : JOB_FITS_NOT;
}

JobFit
job_fit(const Job *job, ExportKind kind, const char *forecast_id, const char *time_period)
{
	if (job->module[0] == '\0')
		return JOB_MAY_FIT;
	if (!module_is(job, kind))
		return JOB_FITS_NOT;
	if (kind != EXPORT_FORECAST)
		return JOB_FITS;
	return forecast_fit(job->file_name, forecast_id, time_period);
}

bool
job_id_set_has(const JobIdSet *set, const char *job_id)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->ids[i], job_id) == 0)
			return true;
	return false;
}

bool
job_id_set_add(JobIdSet *set, const char *job_id)
{
	if (strlen(job_id) >= JOB_ID_SIZE || set->n == JOB_ID_SET_MAX)
		return false;
	if (set->n == set->allocated)
	{
		size_t		wanted = set->allocated > 0 ? set->allocated * 2 : 16;
		void	   *grown = realloc(set->ids, wanted * sizeof(*set->ids));

		if (grown == NULL)
			return false;
		set->ids = grown;
		set->allocated = wanted;
	}
	strcpy(set->ids[set->n++], job_id);
	return true;
}

void
job_id_set_free(JobIdSet *set)
{
	free(set->ids);
	memset(set, 0, sizeof(*set));
}
