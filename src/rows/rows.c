/*
 * rows.c
 *		clari_export_rows(): the result of a forecast export as rows.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/tuplestore.h"

#include "rows/entries.h"
#include "rows/flat_rows.h"
#include "rows/rows.h"

static void
raise_not_a_result(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the result of a forecast export is an object or an array, not %s", what),
			 errhint("Use what clari_export() returned, or a result in clari_export_snapshot.")));
}

/* An object that is something else, or half of something. */
static void
raise_without_entries(JsonbContainer *object)
{
	JsonbValue	entries;
	bool		has_entries = jsonb_member(object, ENTRIES, &entries);

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the object is not the result of a forecast export"),
			 has_entries ? errdetail("Its \"entries\" are not an array.") :
			 errdetail("It has no array \"entries\"."),
			 errhint("Activities are for clari_export_activity_rows(), audit events for clari_export_audit_rows().")));
}

static const char *
type_of_scalar(JsonbContainer *scalar)
{
	JsonbValue *value = getIthJsonbValueFromContainer(scalar, 0);

	switch (value->type)
	{
		case jbvNull:
			return "null";
		case jbvString:
			return "a string";
		case jbvNumeric:
			return "a number";
		default:
			return "a boolean";
	}
}

void
rows_put(Row *row, Jsonb *result)
{
	if (JB_ROOT_IS_OBJECT(result))
		entries_put_rows(row, &result->root);
	else if (!JB_ROOT_IS_SCALAR(result))
		flat_rows_put_rows(row, &result->root);
}

/* Rows go to a tuplestore one by one, so their number takes disk rather than memory. */
static void
store_row(Row *row)
{
	ReturnSetInfo *result_info = row->argument;

	tuplestore_putvalues(result_info->setResult, result_info->setDesc, row->values, row->nulls);
}

static void
check_columns(TupleDesc declared)
{
	int			same = 0;

	while (same < Min(declared->natts, ROW_COLUMNS) &&
		   strcmp(NameStr(TupleDescAttr(declared, same)->attname), row_column_name(same)) == 0)
		same++;
	if (declared->natts != ROW_COLUMNS || same != ROW_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("clari_export_rows() is declared otherwise than in this version of clari_export"),
				 errhint("Use ALTER EXTENSION clari_export UPDATE.")));
}

PG_FUNCTION_INFO_V1(clari_export_rows);

/* clari_export_rows(result jsonb) returns table */
Datum
clari_export_rows(PG_FUNCTION_ARGS)
{
	Jsonb	   *result = PG_GETARG_JSONB_P(0);
	Row			row = {.put = store_row,.argument = fcinfo->resultinfo};

	if (JB_ROOT_IS_SCALAR(result))
		raise_not_a_result(type_of_scalar(&result->root));
	if (JB_ROOT_IS_OBJECT(result) && jsonb_member_array(&result->root, ENTRIES) == NULL)
		raise_without_entries(&result->root);

	InitMaterializedSRF(fcinfo, 0);
	check_columns(((ReturnSetInfo *) fcinfo->resultinfo)->setDesc);
	rows_put(&row, result);
	PG_RETURN_VOID();
}
