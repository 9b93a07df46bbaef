/*
 * plan.h
 *		Plans of statements on the extension's tables, kept by name.
 */
#ifndef CLARI_PLAN_H
#define CLARI_PLAN_H

#include "executor/spi.h"

/*
 * The plan of the statement with this name, or NULL if it is not prepared yet.
 * schema is the extension's, as the statements name it.
 */
extern SPIPlanPtr plan_find(const char *name, const char *schema);

/* Prepare it: a name means one text, and parameters of the same types. */
extern SPIPlanPtr plan_prepare(const char *name, const char *schema, const char *text, int n, Oid *types);

#endif							/* CLARI_PLAN_H */
