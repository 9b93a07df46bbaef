/*
 * stat.c
 *		Counters of what was asked of Clari, for each server.
 *
 * Preloaded, they are the whole cluster's and live until it stops; otherwise
 * each session has its own.
 */
#include "postgres.h"

#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "account.h"
#include "failure.h"
#include "stat.h"

#define MAX_SERVERS		256
#define STAT_TRANCHE	"clari_export_stat"

typedef struct ServerStat
{
	Oid			database;		/* invalid for a free entry */
	Oid			server;
	TimestampTz since;
	int64		counters[N_STAT_COUNTERS];
} ServerStat;

typedef struct Stats
{
	LWLock	   *lock;			/* NULL where they are not shared */
	ServerStat	servers[MAX_SERVERS];
} Stats;

static Stats *stats = NULL;

void
stat_request_shared_memory(void)
{
	RequestAddinShmemSpace(sizeof(Stats));
	RequestNamedLWLockTranche(STAT_TRANCHE, 1);
}

void
stat_attach_shared_memory(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	stats = ShmemInitStruct("clari_export stats", sizeof(Stats), &found);
	if (!found)
	{
		memset(stats, 0, sizeof(Stats));
		stats->lock = &GetNamedLWLockTranche(STAT_TRANCHE)->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

static void
lock_stats(void)
{
	if (stats == NULL)
		stats = MemoryContextAllocZero(TopMemoryContext, sizeof(Stats));
	if (stats->lock != NULL)
		LWLockAcquire(stats->lock, LW_EXCLUSIVE);
}

static void
unlock_stats(void)
{
	if (stats->lock != NULL)
		LWLockRelease(stats->lock);
}

/*
 * The entry of a server, or a free one, or, if there is none, the one that was
 * begun first: servers may have been dropped.
 */
static ServerStat *
entry_of(Oid server)
{
	ServerStat *candidate = &stats->servers[0];

	for (int i = 0; i < MAX_SERVERS; i++)
	{
		ServerStat *entry = &stats->servers[i];

		if (entry->database == MyDatabaseId && entry->server == server)
			return entry;
		if (OidIsValid(candidate->database) &&
			(!OidIsValid(entry->database) || entry->since < candidate->since))
			candidate = entry;
	}
	memset(candidate, 0, sizeof(ServerStat));
	candidate->database = MyDatabaseId;
	candidate->server = server;
	candidate->since = GetCurrentTimestamp();
	return candidate;
}

void
stat_add(Oid server, StatCounter counter, int64 n)
{
	lock_stats();
	entry_of(server)->counters[counter] += n;
	unlock_stats();
}

void
stat_add_end(Oid server, int sqlstate)
{
	static const int sqlstates[] = {
		ERRCODE_CLARI_NOT_AUTHORIZED, ERRCODE_CLARI_BAD_REQUEST, ERRCODE_CLARI_RATE_LIMITED,
		ERRCODE_CLARI_QUEUE_FULL, ERRCODE_CLARI_QUOTA_EXHAUSTED, ERRCODE_CLARI_JOB_FAILED,
		ERRCODE_CLARI_POLL_TIMEOUT, ERRCODE_CLARI_BAD_RESPONSE, ERRCODE_CLARI_UNAVAILABLE,
		ERRCODE_CLARI_WRONG_PERIOD, ERRCODE_CLARI_SUBMISSION_UNKNOWN,
	};
	StatCounter counter = sqlstate == 0 ? STAT_DONE : STAT_OTHER_ERROR;

	for (size_t i = 0; i < lengthof(sqlstates); i++)
		if (sqlstates[i] == sqlstate)
			counter = (StatCounter) (STAT_RC001 + i);
	stat_add(server, counter, 1);
}

/* ----------
 * SQL
 * ----------
 */

/* The servers' names are looked up unlocked, so the counters are copied. */
static void
put_server(ReturnSetInfo *result_info, const ServerStat *entry)
{
	ForeignServer *server = GetForeignServerExtended(entry->server, FSV_MISSING_OK);
	Datum		values[N_STAT_COUNTERS + 2];
	bool		nulls[N_STAT_COUNTERS + 2] = {false};
	int			n = 0;

	if (server == NULL)
		return;
	values[n++] = DirectFunctionCall1(namein, CStringGetDatum(server->servername));
	for (int i = 0; i < N_STAT_COUNTERS; i++)
		values[n++] = i == STAT_MICROSECONDS_HELD ?
			Float8GetDatum((double) entry->counters[i] / USECS_PER_SEC) :
			Int64GetDatum(entry->counters[i]);
	values[n] = TimestampTzGetDatum(entry->since);
	tuplestore_putvalues(result_info->setResult, result_info->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(clari_export_stat_counters);

/* clari_export_stat_counters() returns table: behind view clari_export_stat */
Datum
clari_export_stat_counters(PG_FUNCTION_ARGS)
{
	Stats	   *copy = palloc(sizeof(Stats));

	InitMaterializedSRF(fcinfo, 0);
	lock_stats();
	memcpy(copy, stats, sizeof(Stats));
	unlock_stats();
	for (int i = 0; i < MAX_SERVERS; i++)
		if (copy->servers[i].database == MyDatabaseId)
			put_server((ReturnSetInfo *) fcinfo->resultinfo, &copy->servers[i]);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(clari_export_stat_reset);

/* clari_export_stat_reset() returns void: the counters of this database */
Datum
clari_export_stat_reset(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	lock_stats();
	for (int i = 0; i < MAX_SERVERS; i++)
		if (stats->servers[i].database == MyDatabaseId)
			memset(&stats->servers[i], 0, sizeof(ServerStat));
	unlock_stats();
	PG_RETURN_VOID();
}
