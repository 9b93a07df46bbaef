/*
 * submission.h
 *		What to export, checked and made ready to be sent.
 */
#ifndef CLARI_SUBMISSION_H
#define CLARI_SUBMISSION_H

#include "clari/engine.h"

/* Texts are in the database's encoding; NULL where something is not given. */
typedef struct Submission
{
	ExportKind	kind;
	char	   *forecast_id;
	char	   *time_period;
	char	   *options;		/* a JSON value */
} Submission;

/*
 * Check a submission and initialize the task's export and body with it, in the
 * task's memory context.
 *
 * Errors: 22023 for an empty or overlong id, options that are not an object,
 * a period that contradicts them; 0A000 for an exportFormat other than JSON and,
 * of a forecast, CSV.
 */
extern void submission_prepare(Task *task, ExportGoal goal, const ExportRules *rules,
							   const Submission *submission);

/* Raise these errors without preparing anything. */
extern void submission_check(const Submission *submission);

/* The name of a kind as in clari_export_request.kind. */
extern const char *export_kind_name(ExportKind kind);

/* Read the name of a kind as in clari_export_request.kind; error 22023. */
extern ExportKind export_kind_from_name(const char *name);

#endif							/* CLARI_SUBMISSION_H */
