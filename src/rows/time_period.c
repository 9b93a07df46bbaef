/*
 * time_period.c
 *		The SQL functions about time periods.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/tuplestore.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "core/period.h"
#include "statement.h"

static int
first_month_arg(FunctionCallInfo fcinfo, int n)
{
	int			first_month = PG_GETARG_INT32(n);

	if (first_month < 1 || first_month > 12)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid first month of the fiscal year: %d", first_month),
				 errhint("Use the number of a month, 1 to 12.")));
	return first_month;
}

static void
raise_date_out_of_range(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
			 errmsg("the date is in no time period"),
			 errdetail("Time periods are those of the fiscal years 1 to %d.", PERIOD_LAST_YEAR)));
}

PG_FUNCTION_INFO_V1(clari_export_time_period);

/* clari_export_time_period(day date, first_month int) returns text */
Datum
clari_export_time_period(PG_FUNCTION_ARGS)
{
	DateADT		day = PG_GETARG_DATEADT(0);
	int			first_month = first_month_arg(fcinfo, 1);
	char		text[PERIOD_TEXT_SIZE];
	Period		period;
	int			year;
	int			month;
	int			day_of_month;

	if (DATE_NOT_FINITE(day))
		raise_date_out_of_range();
	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &day_of_month);
	period = period_of_month(year, month, first_month);
	if (year < 1 || period.year > PERIOD_LAST_YEAR)
		raise_date_out_of_range();

	period_write(period, text);
	PG_RETURN_TEXT_P(cstring_to_text(text));
}

static Period
period_arg(FunctionCallInfo fcinfo, int n)
{
	text	   *argument = PG_GETARG_TEXT_PP(n);
	Period		period;

	if (!period_read(VARDATA_ANY(argument), VARSIZE_ANY_EXHDR(argument), &period))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid time period: \"%s\"", text_to_cstring(argument)),
				 errhint("A quarter is written like '2026_Q3'.")));
	return period;
}

PG_FUNCTION_INFO_V1(clari_export_time_periods);

/* clari_export_time_periods(first text, last text) returns setof text */
Datum
clari_export_time_periods(PG_FUNCTION_ARGS)
{
	Period		first = period_arg(fcinfo, 0);
	Period		last = period_arg(fcinfo, 1);
	ReturnSetInfo *result_info = (ReturnSetInfo *) fcinfo->resultinfo;

	if (period_compare(first, last) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the first time period is after the last one"),
				 errhint("The earlier period comes first: %s('2025_Q3', '2026_Q2').",
						 statement_name_now("clari_export_time_periods"))));

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (Period period = first; period_compare(period, last) <= 0; period = period_next(period))
	{
		char		text[PERIOD_TEXT_SIZE];
		Datum		value;
		bool		is_null = false;

		period_write(period, text);
		value = CStringGetTextDatum(text);
		tuplestore_putvalues(result_info->setResult, result_info->setDesc, &value, &is_null);
	}
	PG_RETURN_VOID();
}
