/*
 * failure.c
 *		How something that failed is told: SQLSTATE, message, DETAIL, HINT.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "clari/failure.h"

Failure *
failure_make(int sqlstate, const char *message,...)
{
	Failure    *failure = palloc0(sizeof(Failure));
	StringInfoData text;
	int			needed;

	initStringInfo(&text);
	do
	{
		va_list		args;

		va_start(args, message);
		needed = appendStringInfoVA(&text, message, args);
		va_end(args);
		if (needed > 0)
			enlargeStringInfo(&text, needed);
	} while (needed > 0);

	failure->sqlstate = sqlstate;
	failure->message = text.data;
	return failure;
}

void
failure_raise(const Failure *failure)
{
	ereport(ERROR,
			(errcode(failure->sqlstate),
			 errmsg_internal("%s", failure->message),
			 failure->detail != NULL ? errdetail_internal("%s", failure->detail) : 0,
			 failure->hint != NULL ? errhint("%s", failure->hint) : 0));
}

Failure *
failure_of_error(const ErrorData *error)
{
	Failure    *failure = failure_make(error->sqlerrcode, "%s", error->message);

	failure->detail = error->detail != NULL ? pstrdup(error->detail) : NULL;
	failure->hint = error->hint != NULL ? pstrdup(error->hint) : NULL;
	return failure;
}
