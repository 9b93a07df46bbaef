/*
 * remember.h
 *		A stored snapshot's way into the history.
 */
#ifndef CLARI_REMEMBER_H
#define CLARI_REMEMBER_H

#include "utils/jsonb.h"

/*
 * Add the snapshot of a request that was just done. An error that may pass is
 * raised, so that all of it is done again later; any other is a warning, for
 * what cannot be exported again is not to be lost with its history. result is
 * the snapshot's.
 */
extern void remember_snapshot(int64 request_id, Jsonb *result);

#endif							/* CLARI_REMEMBER_H */
