/*
 * rows.c
 *		clari_export_rows(): the result of a forecast export as rows.
 *
 * Rows go to a tuplestore one by one, so their number takes disk rather than
 * memory: a scan of the result keeps only what entries refer to.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/tuplestore.h"

#include "forecast_values.h"
#include "rows.h"

void
row_clear(Row *row)
{
	memset(row->nulls, true, sizeof(row->nulls));
}

void
row_set(Row *row, RowColumn column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}

void
row_set_text(Row *row, RowColumn column, Slice text)
{
	row->nulls[column] = text.text == NULL;
	if (text.text != NULL)
		row->values[column] = PointerGetDatum(slice_to_text(text));
}

static void
set_text_value(Row *row, Slice text)
{
	Amount		amount;

	row_set_text(row, ROW_VALUE_TEXT, text);
	if (!read_amount(text, &amount))
		return;
	row_set(row, ROW_VALUE,
			DirectFunctionCall3(numeric_in, CStringGetDatum(amount.number),
								ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	if (amount.currency[0] != '\0' && row->nulls[ROW_CURRENCY])
		row_set(row, ROW_CURRENCY, CStringGetTextDatum(amount.currency));
}

/* An object or an array: better seen than dropped. */
static void
set_json_value(Row *row, const JsonbValue *value)
{
	char	   *json = JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);

	row_set(row, ROW_VALUE_TEXT, CStringGetTextDatum(json));
}

void
row_set_value(Row *row, const JsonbValue *value)
{
	row->nulls[ROW_VALUE] = row->nulls[ROW_VALUE_TEXT] = true;
	if (value->type == jbvNumeric)
		row_set(row, ROW_VALUE, NumericGetDatum(value->val.numeric));
	else if (value->type == jbvString)
		set_text_value(row, jsonb_scalar(value));
	else if (jsonb_is_container(value))
		set_json_value(row, value);
	else
		row_set_text(row, ROW_VALUE_TEXT, jsonb_scalar(value));
}

void
row_put(Row *row)
{
	tuplestore_putvalues(row->target->setResult, row->target->setDesc, row->values, row->nulls);
}

static void
raise_not_a_result(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the result of a forecast export is an object or an array, not %s", what),
			 errhint("Use what clari_export() returned: SELECT * FROM clari_export_rows(clari_export('net_arr'));")));
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

PG_FUNCTION_INFO_V1(clari_export_rows);

/* clari_export_rows(result jsonb) returns table */
Datum
clari_export_rows(PG_FUNCTION_ARGS)
{
	Jsonb	   *result = PG_GETARG_JSONB_P(0);
	Row			row;

	if (JB_ROOT_IS_SCALAR(result))
		raise_not_a_result(type_of_scalar(&result->root));

	InitMaterializedSRF(fcinfo, 0);
	row.target = (ReturnSetInfo *) fcinfo->resultinfo;
	if (JB_ROOT_IS_OBJECT(result))
		entries_put_rows(&row, &result->root);
	else
		flat_rows_put_rows(&row, &result->root);
	PG_RETURN_VOID();
}
