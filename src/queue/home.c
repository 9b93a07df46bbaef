/*
 * home.c
 *		In which database a request was made: a copy of that one leaves it alone.
 *
 * A dump, a template or a backup copies requests with their rows, and two
 * databases that both work on them would submit them twice. So each row names
 * the database that works on it, and a worker or a drain that finds another name
 * lets the request fail; clari_export_retry() gives it the name at hand.
 *
 * A database is a system identifier and an OID. pg_upgrade keeps the OID and
 * changes the identifier, as nothing else does that goes on to a later version;
 * so the version belongs to the name.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "clari/failure.h"
#include "queue/home.h"
#include "statement.h"

typedef struct Home
{
	uint64		system;
	Oid			database;
	int			version;		/* major */
} Home;

static Home
here(void)
{
	Home		home = {GetSystemIdentifier(), MyDatabaseId, PG_VERSION_NUM / 10000};

	return home;
}

static bool
parse(const char *text, Home *home)
{
	char		end;

	return sscanf(text, UINT64_FORMAT ":%u:%d%c", &home->system, &home->database, &home->version, &end) == 3;
}

/* Whether it became the database at hand: it was upgraded, or copied and then dropped. */
static bool
went_on_as(const Home *old, const Home *now)
{
	if (old->system != now->system)
		return old->database == now->database && old->version < now->version;
	return old->database == now->database ||
		!SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(old->database));
}

bool
home_is_elsewhere(const char *made_in)
{
	Home		now = here();
	Home		old;

	return !parse(made_in, &old) || !went_on_as(&old, &now);
}

void
home_check(int64 request_id, const char *made_in)
{
	if (home_is_elsewhere(made_in))
		ereport(ERROR,
				(errcode(ERRCODE_CLARI_SUBMISSION_UNKNOWN),
				 errmsg("the request was made in another database, of which this one is a copy"),
				 errdetail("Both would export it."),
				 errhint("If only this one goes on with it: SELECT %s(" INT64_FORMAT "::bigint);",
						 statement_name_now("clari_export_retry"), request_id)));
}

char *
home_here(void)
{
	Home		home = here();

	return psprintf(UINT64_FORMAT ":%u:%d", home.system, home.database, home.version);
}

PG_FUNCTION_INFO_V1(clari_export_this_database);

/* clari_export_this_database() returns text */
Datum
clari_export_this_database(FunctionCallInfo fcinfo pg_attribute_unused())
{
	PG_RETURN_TEXT_P(cstring_to_text(home_here()));
}
