/*
 * clari_export.c
 *		Loading the extension: settings, shared memory, worker registration.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"

#include "clari/lane.h"
#include "clari/secret_statements.h"
#include "clari/stat.h"
#include "fault.h"
#include "log.h"
#include "queue/durations.h"
#include "queue/wake.h"
#include "queue/worker.h"
#include "settings.h"

PG_MODULE_MAGIC;

static shmem_request_hook_type previous_shmem_request_hook = NULL;
static shmem_startup_hook_type previous_shmem_startup_hook = NULL;

extern PGDLLEXPORT void _PG_init(void);

static void
request_shared_memory(void)
{
	if (previous_shmem_request_hook != NULL)
		previous_shmem_request_hook();
	lane_request_shared_memory();
	wake_request_shared_memory();
	stat_request_shared_memory();
	log_request_shared_memory();
}

static void
attach_shared_memory(void)
{
	if (previous_shmem_startup_hook != NULL)
		previous_shmem_startup_hook();
	lane_attach_shared_memory();
	wake_attach_shared_memory();
	stat_attach_shared_memory();
	log_attach_shared_memory();
}

static void
install_shared_memory_hooks(void)
{
	previous_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	previous_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_shared_memory;
}

void
_PG_init(void)
{
	bool		preloaded = process_shared_preload_libraries_in_progress && !IsBinaryUpgrade;

#ifdef CLARI_FAULT_POINTS
	fault_define_settings();	/* before the prefix is reserved */
#endif
	settings_define(preloaded);
	durations_install();
	if (!preloaded)
		return;
	install_shared_memory_hooks();
	wake_install_hooks();
	secret_statements_install_hooks();
	worker_register_launcher();
}
