/*
 * csv.c
 *		clari_export_csv(): Clari's CSV as what clari_export_rows() reads.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "flat_form.h"

PG_FUNCTION_INFO_V1(clari_export_csv);

/* clari_export_csv(csv text) returns jsonb */
Datum
clari_export_csv(PG_FUNCTION_ARGS)
{
	text	   *csv = PG_GETARG_TEXT_PP(0);
	char	   *json = flat_form_of_csv(VARDATA_ANY(csv), VARSIZE_ANY_EXHDR(csv));

	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
}
