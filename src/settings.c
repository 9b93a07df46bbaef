/*
 * settings.c
 *		The settings of postgresql.conf.
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"
#include "utils/varlena.h"

#include "interval.h"
#include "settings.h"

static char *databases = NULL;
static char *request_retention = NULL;
static char *snapshot_retention = NULL;
static int	max_lanes = 0;
static int	max_memory = 0;		/* kB */

static bool
check_databases(char **value, void **extra pg_attribute_unused(),
				GucSource source pg_attribute_unused())
{
	char	   *copy = pstrdup(*value);
	List	   *names;
	bool		valid = SplitIdentifierString(copy, ',', &names);

	if (!valid)
		GUC_check_errdetail("It must be a list of database names, separated by commas.");
	list_free(names);
	pfree(copy);
	return valid;
}

static bool
check_retention(char **value, void **extra pg_attribute_unused(),
				GucSource source pg_attribute_unused())
{
	Duration	retention;

	if (interval_parse(*value, &retention) && retention >= 0)
		return true;
	GUC_check_errdetail("It must be an interval that is not negative, such as '90 days'.");
	return false;
}

void
settings_define(bool preloaded)
{
	if (preloaded)
		DefineCustomStringVariable("clari_export.databases",
								   "Databases in which a worker exports queued requests.",
								   "Names, separated by commas. A change takes effect at a reload.",
								   &databases, "postgres", PGC_SIGHUP, GUC_LIST_INPUT,
								   check_databases, NULL, NULL);
	if (preloaded)
		DefineCustomIntVariable("clari_export.max_lanes",
								"API keys that may be in use at the same time.",
								"Counted by host. Each takes about one kilobyte of shared memory.",
								&max_lanes, 1024, 8, 1000000, PGC_POSTMASTER, 0,
								NULL, NULL, NULL);

	DefineCustomStringVariable("clari_export.request_retention",
							   "How long finished requests are kept.",
							   "An interval; 0 keeps them for ever. Their snapshots stay.",
							   &request_retention, "90 days", PGC_SIGHUP, 0,
							   check_retention, NULL, NULL);

	DefineCustomStringVariable("clari_export.snapshot_retention",
							   "How long the results of finished requests are kept.",
							   "An interval; 0 keeps them for ever. A forecast export cannot be repeated later.",
							   &snapshot_retention, "0", PGC_SIGHUP, 0,
							   check_retention, NULL, NULL);

	DefineCustomIntVariable("clari_export.max_memory",
							"Memory for results that one process holds at a time; others wait.",
							"One result passes whatever its size.",
							&max_memory, 1024 * 1024, 1024, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_KB,
							NULL, NULL, NULL);

	MarkGUCPrefixReserved("clari_export");
}

List *
settings_databases(void)
{
	List	   *names = NIL;

	SplitIdentifierString(pstrdup(databases), ',', &names);
	return names;
}

int
settings_max_lanes(void)
{
	return max_lanes;
}

size_t
settings_max_memory(void)
{
	return (size_t) max_memory * 1024;
}

static Duration
retention_of(const char *setting)
{
	Duration	retention = 0;

	interval_parse(setting, &retention);
	return retention;
}

Duration
settings_request_retention(void)
{
	return retention_of(request_retention);
}

Duration
settings_snapshot_retention(void)
{
	return retention_of(snapshot_retention);
}
