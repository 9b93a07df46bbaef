/*
 * wait_event.c
 *		What pg_stat_activity shows while a process waits.
 */
#include "postgres.h"

#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#else
#include "pgstat.h"
#endif

#include "wait_event.h"

uint32
wait_event_info(WaitFor wait)
{
#if PG_VERSION_NUM >= 170000
	static const char *const names[] = {
		[WAIT_FOR_WORK] = "ClariQueue",
		[WAIT_FOR_POLL] = "ClariPollDelay",
		[WAIT_FOR_REPLY] = "ClariReply",
		[WAIT_FOR_LANE] = "ClariLane",
	};
	static uint32 events[lengthof(names)];

	if (events[wait] == 0)
		events[wait] = WaitEventExtensionNew(names[wait]);
	return events[wait];
#else
	(void) wait;
	return PG_WAIT_EXTENSION;
#endif
}
