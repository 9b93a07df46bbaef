/*
 * job_match.h
 *		Which job in Clari's list is the one a lost submission started?
 *
 * Clari has no idempotency key, so a submission whose reply was lost is looked
 * up in GET /export/jobs: a job that was not in the list before, that started
 * while the submission was under way, and that does not contradict it.
 */
#ifndef CORE_JOB_MATCH_H
#define CORE_JOB_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/reply.h"
#include "core/request.h"

/* What an export is of, as far as a job in the list may tell. */
typedef struct ExportSubject
{
	ExportKind	kind;
	const char *forecast_id;	/* NULL where the kind has none */
	const char *time_period;	/* NULL: Clari's current quarter, any fits */
	const char *currency;		/* NULL: Clari's default, any fits */
} ExportSubject;

/*
 * Whether nothing that a job tells of itself contradicts that it is an export
 * of the subject. What it does not tell contradicts nothing.
 *
 * A file name like
 * "clari_export_forecast_new_summary_2021_Q12915_20210407_212737.json" tells
 * forecast id, period, organization, date and time; any other name tells the
 * quarter that is in it, if there is one.
 */
extern bool job_fits(const Job *job, const ExportSubject *subject);

/*
 * When something happened by Clari's clock, in milliseconds since 1970, at the
 * earliest and at the latest; 0 where that is not known.
 */
typedef struct ClariTime
{
	int64_t		earliest;
	int64_t		latest;
} ClariTime;

/*
 * Whether a job started then, as far as its startTime tells. Clocks that tell
 * whole seconds are allowed for.
 */
extern bool job_started_within(const Job *job, ClariTime window);

/* A set of job ids. All zeros is the empty set. */
typedef struct JobIdSet
{
	char	  **ids;			/* in the order they came */
	size_t		n;
	size_t		allocated;
	void	   *tree;			/* of the same, sorted */
} JobIdSet;

/* Most ids a set takes. */
#define JOB_ID_SET_MAX	16384

/*
 * Add an id, unless the set has it. Returns false if the set is full or memory
 * is short. The time this and the search take is logarithmic in the size.
 */
extern bool job_id_set_add(JobIdSet *set, const char *job_id);
extern bool job_id_set_has(const JobIdSet *set, const char *job_id);
extern void job_id_set_free(JobIdSet *set);

#endif							/* CORE_JOB_MATCH_H */
