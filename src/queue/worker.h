/*
 * worker.h
 *		The launcher and the queue worker.
 */
#ifndef CLARI_WORKER_H
#define CLARI_WORKER_H

/* Register the launcher with the postmaster; only while preloading. */
extern void worker_register_launcher(void);

/* Entry points of the processes. */
extern PGDLLEXPORT void clari_export_launcher_main(Datum arg);
extern PGDLLEXPORT void clari_export_worker_main(Datum number);

#endif							/* CLARI_WORKER_H */
