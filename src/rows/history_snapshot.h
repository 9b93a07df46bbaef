/*
 * history_snapshot.h
 *		A forecast's snapshot, with all that its history needs to know of it.
 */
#ifndef CLARI_HISTORY_SNAPSHOT_H
#define CLARI_HISTORY_SNAPSHOT_H

#include "utils/jsonb.h"
#include "utils/timestamp.h"

typedef struct HistorySnapshot
{
	int64		request_id;
	char	   *server;
	Oid			requested_by;
	char	   *forecast_id;
	char	   *scope_id;		/* empty for none, as the currency */
	char	   *currency;
	char	   *time_period;	/* of rows that name none; NULL for none */
	TimestampTz exported_at;
	bool		truncated;
	Jsonb	   *result;
} HistorySnapshot;

#endif							/* CLARI_HISTORY_SNAPSHOT_H */
