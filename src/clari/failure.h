/*
 * failure.h
 *		How something that failed is told: SQLSTATE, message, DETAIL, HINT.
 *
 * A function that waits raises it, the queue stores it.
 */
#ifndef CLARI_FAILURE_H
#define CLARI_FAILURE_H

#include "utils/elog.h"

#include "core/outcome.h"

#define CLARI_SQLSTATE(number) \
	MAKE_SQLSTATE('R', 'C', '0', '0' + (number) / 10, '0' + (number) % 10)

enum
{
#define OUTCOME_SQLSTATE(symbol, number, name)	ERRCODE_CLARI_##symbol = CLARI_SQLSTATE(number),
	OUTCOMES(OUTCOME_SQLSTATE)
#undef OUTCOME_SQLSTATE
};

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

/* An error of PostgreSQL's as a failure, copied: the error may go. */
extern Failure *failure_of_error(const ErrorData *error);

/* Raise it; does not return. */
extern void failure_raise(const Failure *failure);

#endif							/* CLARI_FAILURE_H */
