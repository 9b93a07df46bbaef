/*
 * extension.c
 *		Where the extension is in the database at hand.
 *
 * There is no cache of extensions before PostgreSQL 18, so this is one. Nothing
 * tells that an extension has changed, but when it is dropped, or gets another
 * owner, so does its table, and its schema stays: it is not relocatable.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "extension.h"

#define EXTENSION_NAME	"clari_export"
#define REQUEST_TABLE	"clari_export_request"

/* As it was read last. */
static Extension known;
static bool is_valid = false;
static uint64 changes = 0;		/* of any relation */

static void
note_change(Datum arg pg_attribute_unused(), Oid relation)
{
	changes++;
	if (!OidIsValid(relation) || relation == known.request_table)
		is_valid = false;
}

static void
watch_table(void)
{
	static bool registered = false;

	if (!registered)
		CacheRegisterRelcacheCallback(note_change, (Datum) 0);
	registered = true;
}

static bool
read_extension(Extension *out)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(EXTENSION_NAME));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);

		*out = (Extension) {
			form->oid, form->extnamespace, form->extowner, get_relname_relid(REQUEST_TABLE, form->extnamespace)
		};
	}
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return found;
}

bool
extension_find(Extension *out)
{
	uint64		before = changes;
	bool		found = true;

	watch_table();
	if (!is_valid)
	{
		found = read_extension(&known);
		is_valid = found && OidIsValid(known.request_table) && changes == before;
	}
	*out = known;
	return found;
}
