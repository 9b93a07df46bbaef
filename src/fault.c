/*
 * fault.c
 *		Named points at which the crash tests kill a process.
 *
 * The setting clari_export.fault_point names the point, the victim and which
 * passage of a process strikes, for instance "before_send_submit:process:1".
 * Victims are "process" and "server", which is the postmaster as well. It
 * strikes once: the file clari_export.fault_struck in the data directory says
 * that it did, and keeps it from striking again until it is removed.
 *
 * With the setting "list" every passage is told in the server log instead.
 */
#include "postgres.h"

#ifdef CLARI_FAULT_POINTS

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "fault.h"

#define STRUCK_FILE	"clari_export.fault_struck"

static char *setting = NULL;

void
fault_define_settings(void)
{
	DefineCustomStringVariable("clari_export.fault_point",
							   "The point at which to kill, the victim, and the passage.",
							   NULL, &setting, "", PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static bool
has_struck(void)
{
	return access(STRUCK_FILE, F_OK) == 0;
}

/* Whether nobody was faster. */
static bool
first_strike(void)
{
	int			file = open(STRUCK_FILE, O_CREAT | O_EXCL, 0600);

	if (file >= 0)
		close(file);
	return file >= 0;
}

void
fault_point(const char *moment, const char *step)
{
	static int	passages = 0;
	char		name[64];
	char		point[64];
	char		victim[16];
	int			passage;

	snprintf(name, sizeof(name), "%s_%s", moment, step);
	if (strcmp(setting, "list") == 0)
		elog(LOG, "clari_export: fault point %s", name);
	if (sscanf(setting, "%63[^:]:%15[^:]:%d", point, victim, &passage) != 3 ||
		strcmp(point, name) != 0 || has_struck() || ++passages != passage || !first_strike())
		return;
	if (strcmp(victim, "server") == 0)
		kill(PostmasterPid, SIGKILL);
	kill(MyProcPid, SIGKILL);
}

#endif
