/*
 * plan.h
 *		Statements on the extension's tables, and their plans, kept by name.
 */
#ifndef CLARI_PLAN_H
#define CLARI_PLAN_H

typedef struct PlannedStatement
{
	const char *name;			/* means one text, and parameters of the same types; NULL: not kept */
	const char *text;			/* with @request@ and @snapshot@ for these tables, and @schema@ for where they are */
	Oid			schema;			/* the extension's */
} PlannedStatement;

/*
 * Execute a statement, with its plan kept under its name, in a connection of
 * SPI. It goes to the extension's tables, whatever their schema's name is, was
 * or becomes. Returns what SPI_execute_plan() does.
 */
extern int	plan_execute(const PlannedStatement *statement, int n, Oid *types, Datum *values, const char *nulls);

#endif							/* CLARI_PLAN_H */
