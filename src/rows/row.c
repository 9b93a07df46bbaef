/*
 * row.c
 *		One row of clari_export_rows().
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "rows/forecast_values.h"
#include "rows/row.h"

const char *
row_column_name(RowColumn column)
{
#define ROW_NAME(symbol, name)	#name,
	static const char *const names[] = {ROW_COLUMN_LIST(ROW_NAME)};
#undef ROW_NAME

	return names[column];
}

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
