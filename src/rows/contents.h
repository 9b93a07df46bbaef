/*
 * contents.h
 *		What a result is about, without its rows.
 */
#ifndef CLARI_CONTENTS_H
#define CLARI_CONTENTS_H

#include "utils/jsonb.h"

/* How many objects have its rows: each is one or, in the flat form, some. */
extern uint32 contents_count(Jsonb *result);

#endif							/* CLARI_CONTENTS_H */
