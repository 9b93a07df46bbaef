/*
 * history_weeks.h
 *		The weeks of a history's time periods: what snapshots say of time frames, numbered.
 */
#ifndef CLARI_HISTORY_WEEKS_H
#define CLARI_HISTORY_WEEKS_H

#include "utils/date.h"

#include "jsonb_reader.h"

/* The table of parts; their weeks are written here, and the rest by history_store.c. */
#define HISTORY_PARTS	"@schema@.clari_export_history_part"

/* A role's exports of a forecast, by scope and currency; the texts are bounded. */
typedef struct HistorySeries
{
	Oid			schema;			/* the extension's */
	int32		forecast;
	Oid			requested_by;
	text	   *scope_id;
	text	   *currency;
} HistorySeries;

typedef struct HistoryTimeFrame
{
	text	   *period;			/* empty for none */
	text	   *id;
	bool		has_start;
	DateADT		start;
	int			week;			/* -1: has none yet, or several */
} HistoryTimeFrame;

/* All zeros is none. */
typedef struct HistoryTimeFrames
{
	int			n;
	int			allocated;
	HistoryTimeFrame *items;
} HistoryTimeFrames;

/*
 * A snapshot has a time frame, and its first day where that is known; it is
 * noted in the current memory context.
 */
extern void history_weeks_see(HistoryTimeFrames *seen, Slice period, Slice time_frame, const DateADT *start);

/* Write what is new of them, and number the weeks of their periods anew. */
extern void history_weeks_write(const HistorySeries *series, const HistoryTimeFrames *seen);

#endif							/* CLARI_HISTORY_WEEKS_H */
