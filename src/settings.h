/*
 * settings.h
 *		The settings of postgresql.conf.
 */
#ifndef CLARI_SETTINGS_H
#define CLARI_SETTINGS_H

#include "nodes/pg_list.h"

#include "core/instant.h"

/* Define clari_export.*; preloaded: those of the workers, too. */
extern void settings_define(bool preloaded);

/* clari_export.databases as a list of names in the current memory context. */
extern List *settings_databases(void);

/* clari_export.max_lanes; only while preloading and after it. */
extern int	settings_max_lanes(void);

/* clari_export.max_memory in bytes. */
extern size_t settings_max_memory(void);

/* clari_export.request_retention; 0 keeps finished requests. */
extern Duration settings_request_retention(void);

/* clari_export.snapshot_retention; 0 keeps snapshots. */
extern Duration settings_snapshot_retention(void);

#endif							/* CLARI_SETTINGS_H */
