/*
 * job_match.h
 *		Which job in Clari's list is the one a lost submission started?
 *
 * Clari has no idempotency key, so a submission whose reply was lost is looked
 * up in GET /export/jobs: a job that was not in the list before and that is an
 * export of the same thing.
 */
#ifndef CORE_JOB_MATCH_H
#define CORE_JOB_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "core/reply.h"
#include "core/request.h"

typedef enum JobFit
{
	JOB_FITS_NOT,				/* an export of something else */
	JOB_MAY_FIT,				/* Clari does not say of what */
	JOB_FITS,
} JobFit;

/*
 * Whether a job is an export of the given kind, forecast and period.
 * time_period may be NULL (Clari's current quarter: any period fits).
 *
 * The file name tells, for instance
 * "clari_export_forecast_new_summary_2021_Q12915_20210407_212737.json":
 * forecast id, period, organization, date and time.
 */
extern JobFit job_fit(const Job *job, ExportKind kind,
					  const char *forecast_id, const char *time_period);

/* A set of job ids. All zeros is the empty set. */
typedef struct JobIdSet
{
	char	  (*ids)[JOB_ID_SIZE];
	size_t		n;
	size_t		allocated;
} JobIdSet;

/* Most ids a set takes. */
#define JOB_ID_SET_MAX	16384

/* Add an id. Returns false if the set is full or memory is short. */
extern bool job_id_set_add(JobIdSet *set, const char *job_id);
extern bool job_id_set_has(const JobIdSet *set, const char *job_id);
extern void job_id_set_free(JobIdSet *set);

#endif							/* CORE_JOB_MATCH_H */
