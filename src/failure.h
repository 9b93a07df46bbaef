/*
 * failure.h
 *		How something that failed is told: SQLSTATE, message, DETAIL, HINT.
 *
 * A function that waits raises it, the queue stores it.
 */
#ifndef CLARI_FAILURE_H
#define CLARI_FAILURE_H

#include "utils/elog.h"

#define ERRCODE_CLARI_NOT_AUTHORIZED		MAKE_SQLSTATE('R','C','0','0','1')
#define ERRCODE_CLARI_BAD_REQUEST			MAKE_SQLSTATE('R','C','0','0','2')
#define ERRCODE_CLARI_RATE_LIMITED			MAKE_SQLSTATE('R','C','0','0','3')
#define ERRCODE_CLARI_QUEUE_FULL			MAKE_SQLSTATE('R','C','0','0','4')
#define ERRCODE_CLARI_QUOTA_EXHAUSTED		MAKE_SQLSTATE('R','C','0','0','5')
#define ERRCODE_CLARI_JOB_FAILED			MAKE_SQLSTATE('R','C','0','0','6')
#define ERRCODE_CLARI_POLL_TIMEOUT			MAKE_SQLSTATE('R','C','0','0','7')
#define ERRCODE_CLARI_BAD_RESPONSE			MAKE_SQLSTATE('R','C','0','0','8')
#define ERRCODE_CLARI_UNAVAILABLE			MAKE_SQLSTATE('R','C','0','0','9')
#define ERRCODE_CLARI_WRONG_PERIOD			MAKE_SQLSTATE('R','C','0','1','0')
#define ERRCODE_CLARI_SUBMISSION_UNKNOWN	MAKE_SQLSTATE('R','C','0','1','1')

typedef struct Failure
{
	int			sqlstate;
	char	   *message;
	char	   *detail;			/* NULL for none */
	char	   *hint;			/* NULL for none */
	bool		never_fits;		/* fetching the result again is no use */
} Failure;

/* Make a failure; message is a format with its arguments. */
extern Failure *failure_make(int sqlstate, const char *message,...) pg_attribute_printf(2, 3);

/* An error of PostgreSQL's as a failure. */
extern Failure *failure_of_error(const ErrorData *error);

/* Raise it; does not return. */
extern void failure_raise(const Failure *failure);

#endif							/* CLARI_FAILURE_H */
