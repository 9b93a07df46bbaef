/*
 * extension.h
 *		Where the extension is in the database at hand.
 */
#ifndef CLARI_EXTENSION_H
#define CLARI_EXTENSION_H

typedef struct Extension
{
	Oid			id;
	Oid			schema;
	Oid			owner;
	Oid			request_table;	/* clari_export_request; InvalidOid while the extension is being made */
} Extension;

/*
 * Find the extension, inside a transaction; false if it is not there. Nothing
 * keeps it from being dropped meanwhile.
 */
extern bool extension_find(Extension *out);

#endif							/* CLARI_EXTENSION_H */
