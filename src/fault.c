/*
 * fault.c
 *		Named points at which the crash tests kill a process.
 *
 * The setting clari_export.fault_point names the point, the victim
 * ("process" or "server") and which passage of the point strikes, for
 * instance "after_submitting:process:1".
 */
#include "postgres.h"

#ifdef CLARI_FAULT_POINTS

#include <signal.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "fault.h"

static char *setting = NULL;

void
fault_define_settings(void)
{
	DefineCustomStringVariable("clari_export.fault_point",
							   "The point at which to kill, the victim, and the passage.",
							   NULL, &setting, "", PGC_SIGHUP, 0, NULL, NULL, NULL);
}

void
fault_point(const char *name)
{
	static int	passages = 0;
	char		point[64];
	char		victim[16];
	int			passage;

	if (sscanf(setting, "%63[^:]:%15[^:]:%d", point, victim, &passage) != 3 ||
		strcmp(point, name) != 0 || ++passages != passage)
		return;
	if (strcmp(victim, "server") == 0)
		kill(PostmasterPid, SIGKILL);
	kill(MyProcPid, SIGKILL);
}

#endif
