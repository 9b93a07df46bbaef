/*
 * job_match.c
 *		Which job in Clari's list is the one a lost submission started?
 */
#include "core/job_match.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#define FORECAST_FILE_PREFIX "CLARI_EXPORT_FORECAST_"

/* What a window is widened by, since clocks may tell whole seconds. */
#define WHOLE_SECONDS	2000

#define IS_DIGIT(c)		((c) >= '0' && (c) <= '9')

/* ----------
 * What a job is of
 * ----------
 */

static char
capital(char c)
{
	return c >= 'a' && c <= 'z' ? (char) (c - 'a' + 'A') : c;
}

/*
 * Whether text begins with a word in capitals, in any case of ASCII. Not
 * strncasecmp(): in a Turkish locale it takes i and I for different letters.
 */
static bool
begins_with(const char *text, const char *word)
{
	for (; *word != '\0'; text++, word++)
		if (capital(*text) != *word)
			return false;
	return true;
}

static bool
equal_in_any_case(const char *a, const char *b)
{
	while (*a != '\0' && capital(*a) == capital(*b))
	{
		a++;
		b++;
	}
	return capital(*a) == capital(*b);
}

/* Activity and audit jobs have no documented module name; this is in all seen. */
static bool
module_fits(const char *module, ExportKind kind)
{
	if (module[0] == '\0')
		return true;
	switch (kind)
	{
		case EXPORT_ACTIVITY:
			return begins_with(module, "ACTIVIT");
		case EXPORT_AUDIT_EVENTS:
			return begins_with(module, "AUDIT");
		default:
			return equal_in_any_case(module, "FORECAST");
	}
}

static bool
currency_fits(const char *currency, const char *wanted)
{
	return wanted == NULL || currency[0] == '\0' || equal_in_any_case(currency, wanted);
}

/* "2026_Q3": a year, and what of it. */
static bool
begins_with_period(const char *text)
{
	return strspn(text, "0123456789") == 4 && text[4] == '_';
}

static bool
begins_with_quarter(const char *text)
{
	return begins_with_period(text) && capital(text[5]) == 'Q' && text[6] >= '1' && text[6] <= '4';
}

/* What follows the forecast id: a period, or a date or an ending and no period. */
static bool
period_fits(const char *text, const char *time_period)
{
	if (time_period != NULL && strncmp(text, time_period, strlen(time_period)) == 0)
		return true;
	if (begins_with_period(text))
		return time_period == NULL;
	return *text == '\0' || *text == '.' || strspn(text, "0123456789") >= strlen("20210407");
}

static bool
forecast_file_fits(const char *rest, const ExportSubject *subject)
{
	size_t		id_length = strlen(subject->forecast_id);

	if (strncmp(rest, subject->forecast_id, id_length) != 0)
		return false;
	rest += id_length;
	if (*rest == '\0' || *rest == '.')
		return true;

	/* A longer forecast id may begin with this one. */
	return *rest == '_' && period_fits(rest + 1, subject->time_period);
}

/* A name of another form: all that can be read in it for sure is a quarter. */
static bool
quarter_fits(const char *file_name, const char *time_period)
{
	bool		tells_another = false;

	if (time_period == NULL || !begins_with_quarter(time_period))
		return true;
	for (const char *c = file_name; *c != '\0'; c++)
	{
		if ((c > file_name && IS_DIGIT(c[-1])) || !begins_with_quarter(c))
			continue;
		if (memcmp(c, time_period, strlen("2026_")) == 0 && c[6] == time_period[6])
			return true;
		tells_another = true;
	}
	return !tells_another;
}

bool
job_fits(const Job *job, const ExportSubject *subject)
{
	if (!module_fits(job->module, subject->kind) || !currency_fits(job->currency, subject->currency))
		return false;
	if (subject->kind != EXPORT_FORECAST)
		return true;
	if (begins_with(job->file_name, FORECAST_FILE_PREFIX))
		return forecast_file_fits(job->file_name + strlen(FORECAST_FILE_PREFIX), subject);
	return quarter_fits(job->file_name, subject->time_period);
}

bool
job_started_within(const Job *job, ClariTime window)
{
	if (job->start_time <= 0)
		return true;
	return (window.earliest == 0 || job->start_time >= window.earliest - WHOLE_SECONDS) &&
		(window.latest == 0 || job->start_time <= window.latest + WHOLE_SECONDS);
}

/* ----------
 * Sets of job ids
 * ----------
 */

static int
compare_ids(const void *a, const void *b)
{
	return strcmp(a, b);
}

bool
job_id_set_has(const JobIdSet *set, const char *job_id)
{
	return tfind(job_id, &set->tree, compare_ids) != NULL;
}

static bool
grow(JobIdSet *set)
{
	size_t		wanted = set->allocated > 0 ? set->allocated * 2 : 16;
	void	   *grown;

	if (set->n < set->allocated)
		return true;
	grown = realloc(set->ids, wanted * sizeof(*set->ids));
	if (grown == NULL)
		return false;
	set->ids = grown;
	set->allocated = wanted;
	return true;
}

bool
job_id_set_add(JobIdSet *set, const char *job_id)
{
	char	   *copy;

	if (job_id_set_has(set, job_id))
		return true;
	if (strlen(job_id) >= JOB_ID_SIZE || set->n == JOB_ID_SET_MAX || !grow(set))
		return false;
	copy = strdup(job_id);
	if (copy == NULL || tsearch(copy, &set->tree, compare_ids) == NULL)
	{
		free(copy);
		return false;
	}
	set->ids[set->n++] = copy;
	return true;
}

void
job_id_set_free(JobIdSet *set)
{
	for (size_t i = 0; i < set->n; i++)
	{
		tdelete(set->ids[i], &set->tree, compare_ids);
		free(set->ids[i]);
	}
	free(set->ids);
	memset(set, 0, sizeof(*set));
}
