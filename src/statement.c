/*
 * statement.c
 *		Names and literals for the statements that a HINT shows.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "statement.h"

/* Characters that mean nothing to a shell. */
#define PLAIN_CHARACTERS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_"

static char schema[NAMEDATALEN] = "";

/* There is no cache of extensions before PostgreSQL 18. */
static Oid
extension_schema(void)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			found = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("clari_export"));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		found = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return found;
}

void
statement_find_schema(void)
{
	Oid			found = extension_schema();
	char	   *name = OidIsValid(found) ? get_namespace_name(found) : NULL;

	if (name != NULL)
		strlcpy(schema, name, sizeof(schema));
}

char *
statement_name(const char *object)
{
	return schema[0] != '\0' ? quote_qualified_identifier(schema, object) : pstrdup(object);
}

char *
statement_name_now(const char *object)
{
	statement_find_schema();
	return statement_name(object);
}

char *
statement_text(const char *text)
{
	return psprintf("%s::text", quote_literal_cstr(text));
}

char *
statement_shell_word(const char *text)
{
	StringInfoData word;

	if (text[0] != '\0' && text[strspn(text, PLAIN_CHARACTERS)] == '\0')
		return pstrdup(text);
	initStringInfo(&word);
	appendStringInfoChar(&word, '\'');
	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c == '\'')
			appendStringInfoString(&word, "'\\''");
		else
			appendStringInfoChar(&word, *c);
	}
	appendStringInfoChar(&word, '\'');
	return word.data;
}
