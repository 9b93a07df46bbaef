/*
 * stat.c
 *		Counters of what was asked of Clari, for each server.
 *
 * Preloaded, they are the whole cluster's and live until it stops; otherwise
 * each session has its own. Servers may be dropped without a word, so where
 * there are more than there is room for, the one that was used least lately
 * makes room.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "clari/account.h"
#include "clari/failure.h"
#include "clari/stat.h"
#include "clock.h"
#include "core/fixed_table.h"
#include "settings.h"

#define STAT_TRANCHE	"clari_export_stat"

#define SERVERS_PER_LANE	2	/* a lane has one server, mostly; some have none yet */
#define LOCAL_SERVERS		256 /* of a session, where they are not shared */

typedef struct ServerKey
{
	Oid			database;
	Oid			server;
} ServerKey;

typedef struct ServerStat
{
	ServerKey	key;
	Instant		last_use;
	TimestampTz since;
	int64		counters[N_STAT_COUNTERS];
	Limits		limits;
	TimestampTz limits_at;		/* 0: Clari was not asked for them */
} ServerStat;

static LWLock *lock = NULL;		/* NULL where they are not shared */
static FixedTable *servers = NULL;

/* ----------
 * Memory
 * ----------
 */

static int
max_servers(void)
{
	return SERVERS_PER_LANE * settings_max_lanes();
}

void
stat_request_shared_memory(void)
{
	RequestAddinShmemSpace(fixed_table_size(max_servers(), sizeof(ServerStat)));
	RequestNamedLWLockTranche(STAT_TRANCHE, 1);
}

void
stat_attach_shared_memory(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	servers = ShmemInitStruct("clari_export stats", fixed_table_size(max_servers(), sizeof(ServerStat)), &found);
	if (!found)
		fixed_table_init(servers, max_servers(), sizeof(ServerStat), sizeof(ServerKey));
	lock = &GetNamedLWLockTranche(STAT_TRANCHE)->lock;
	LWLockRelease(AddinShmemInitLock);
}

static void
lock_stats(void)
{
	if (servers == NULL)
	{
		servers = MemoryContextAlloc(TopMemoryContext, fixed_table_size(LOCAL_SERVERS, sizeof(ServerStat)));
		fixed_table_init(servers, LOCAL_SERVERS, sizeof(ServerStat), sizeof(ServerKey));
	}
	if (lock != NULL)
		LWLockAcquire(lock, LW_EXCLUSIVE);
}

static void
unlock_stats(void)
{
	if (lock != NULL)
		LWLockRelease(lock);
}

/* ----------
 * Counting
 * ----------
 */

static void
make_room(void)
{
	ServerStat *oldest = NULL;

	if (fixed_table_count(servers) < fixed_table_capacity(servers))
		return;
	for (ServerStat *entry = NULL; (entry = fixed_table_next(servers, entry)) != NULL;)
		if (oldest == NULL || entry->last_use < oldest->last_use)
			oldest = entry;
	fixed_table_remove(servers, oldest);
}

/* The entry of a server of this database. */
static ServerStat *
entry_of(Oid server)
{
	ServerKey	key = {MyDatabaseId, server};
	ServerStat *entry = fixed_table_find(servers, &key);

	if (entry == NULL)
	{
		make_room();
		entry = fixed_table_add(servers, &key);
		entry->since = GetCurrentTimestamp();
	}
	entry->last_use = clock_now();
	return entry;
}

void
stat_add(Oid server, StatCounter counter, int64 n)
{
	lock_stats();
	entry_of(server)->counters[counter] += n;
	unlock_stats();
}

/* The counter of the ends with that SQLSTATE. */
static StatCounter
counter_of(int sqlstate)
{
	switch (sqlstate)
	{
		case 0:
			return STAT_DONE;
#define STAT_OF_SQLSTATE(symbol, number, name)	case ERRCODE_CLARI_##symbol: return STAT_##symbol;
			OUTCOMES(STAT_OF_SQLSTATE)
#undef STAT_OF_SQLSTATE
		default:
			return STAT_OTHER_ERROR;
	}
}

void
stat_add_end(Oid server, int sqlstate)
{
	stat_add(server, counter_of(sqlstate), 1);
}

void
stat_set_limits(Oid server, const Limits *limits)
{
	ServerStat *entry;

	lock_stats();
	entry = entry_of(server);
	entry->limits = *limits;
	entry->limits_at = GetCurrentTimestamp();
	unlock_stats();
}

/* ----------
 * SQL
 * ----------
 */

/* A server's traffic is for those to see who may use it, and for monitors. */
static bool
may_see(Oid server)
{
	AclResult	access;

	if (has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS))
		return true;
#if PG_VERSION_NUM >= 160000
	access = object_aclcheck(ForeignServerRelationId, server, GetUserId(), ACL_USAGE);
#else
	access = pg_foreign_server_aclcheck(server, GetUserId(), ACL_USAGE);
#endif
	return access == ACLCHECK_OK;
}

static const char *const counter_columns[] = {
#define STAT_OF_OUTCOME(symbol, number, name)	#name,
#define STAT_COLUMN(symbol, name)	#name,
	STAT_COUNTERS(STAT_COLUMN)
#undef STAT_COLUMN
#undef STAT_OF_OUTCOME
};

typedef struct StatRow
{
	TupleDesc	columns;
	Datum	   *values;
} StatRow;

static void
put_column(StatRow *row, const char *name, Datum value)
{
	int			column = SPI_fnumber(row->columns, name);

	if (column <= 0)
		elog(ERROR, "clari_export: clari_export_stat_counters() has no column \"%s\"", name);
	row->values[column - 1] = value;
}

/* This database's entries, copied: the servers' names are looked up unlocked. */
static ServerStat *
copy_entries(int *n)
{
	ServerStat *copy;

	lock_stats();
	copy = palloc((Size) (fixed_table_count(servers) + 1) * sizeof(ServerStat));
	*n = 0;
	for (ServerStat *entry = NULL; (entry = fixed_table_next(servers, entry)) != NULL;)
		if (entry->key.database == MyDatabaseId)
			copy[(*n)++] = *entry;
	unlock_stats();
	return copy;
}

/* The server of an entry, or NULL where there is none any more or the role may not see it. */
static ForeignServer *
visible_server(const ServerStat *entry)
{
	ForeignServer *server = GetForeignServerExtended(entry->key.server, FSV_MISSING_OK);

	return server != NULL && may_see(server->serverid) ? server : NULL;
}

static Datum
server_name(const ForeignServer *server)
{
	return DirectFunctionCall1(namein, CStringGetDatum(server->servername));
}

static void
put_server(ReturnSetInfo *result_info, const ServerStat *entry)
{
	ForeignServer *server = visible_server(entry);
	TupleDesc	columns = result_info->setDesc;
	StatRow		row = {columns, palloc0((Size) columns->natts * sizeof(Datum))};

	if (server == NULL)
		return;
	put_column(&row, "server", server_name(server));
	for (int i = 0; i < N_STAT_COUNTERS; i++)
		put_column(&row, counter_columns[i], i == STAT_HELD ?
				   Float8GetDatum((double) entry->counters[i] / USECS_PER_SEC) :
				   Int64GetDatum(entry->counters[i]));
	put_column(&row, "stats_since", TimestampTzGetDatum(entry->since));
	tuplestore_putvalues(result_info->setResult, columns, row.values,
						 palloc0((Size) columns->natts * sizeof(bool)));
}

PG_FUNCTION_INFO_V1(clari_export_stat_counters);

/* clari_export_stat_counters() returns table: behind view clari_export_stat */
Datum
clari_export_stat_counters(PG_FUNCTION_ARGS)
{
	int			n;
	ServerStat *entries = copy_entries(&n);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
		put_server((ReturnSetInfo *) fcinfo->resultinfo, &entries[i]);
	PG_RETURN_VOID();
}

static void
put_limits(ReturnSetInfo *result_info, const ServerStat *entry)
{
	ForeignServer *server = entry->limits_at != 0 ? visible_server(entry) : NULL;
	const int	numbers[] = {
		entry->limits.concurrent_limit, entry->limits.available_concurrent_limit,
		entry->limits.monthly_quota, entry->limits.available_monthly_quota
	};
	Datum		values[2 + lengthof(numbers)];
	bool		nulls[2 + lengthof(numbers)] = {false};

	if (server == NULL)
		return;
	values[0] = server_name(server);
	values[1] = TimestampTzGetDatum(entry->limits_at);
	for (int i = 0; i < (int) lengthof(numbers); i++)
	{
		values[2 + i] = Int32GetDatum(numbers[i]);
		nulls[2 + i] = numbers[i] < 0;
	}
	tuplestore_putvalues(result_info->setResult, result_info->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(clari_export_known_limits);

/* clari_export_known_limits() returns table: behind view clari_export_quota */
Datum
clari_export_known_limits(PG_FUNCTION_ARGS)
{
	int			n;
	ServerStat *entries = copy_entries(&n);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
		put_limits((ReturnSetInfo *) fcinfo->resultinfo, &entries[i]);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(clari_export_stat_reset);

/* clari_export_stat_reset() returns void: the counters of this database */
Datum
clari_export_stat_reset(PG_FUNCTION_ARGS)
{
	ServerStat *entry;
	ServerStat *next;

	(void) fcinfo;
	lock_stats();
	for (entry = fixed_table_next(servers, NULL); entry != NULL; entry = next)
	{
		next = fixed_table_next(servers, entry);
		if (entry->key.database == MyDatabaseId)
			fixed_table_remove(servers, entry);
	}
	unlock_stats();
	PG_RETURN_VOID();
}
