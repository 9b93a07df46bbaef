/*
 * forecast_text.h
 *		The texts in a forecast's result: amounts, days, moments, names of types.
 *
 * Texts are UTF-8 and given with their length; none needs a zero byte at its
 * end. What is not clearly one thing is refused, and stays a text.
 */
#ifndef CORE_FORECAST_TEXT_H
#define CORE_FORECAST_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AMOUNT_NUMBER_SIZE	64
#define CURRENCY_CODE_SIZE	4
#define FIELD_TYPE_SIZE		64

typedef struct Amount
{
	char		number[AMOUNT_NUMBER_SIZE]; /* as -3000190.00 */
	char		currency[CURRENCY_CODE_SIZE];	/* ISO code, or empty */
} Amount;

typedef struct Day
{
	int			year;			/* 1 to 9999 */
	int			month;
	int			day;
} Day;

/*
 * An amount as Clari writes it: "$3,000,190.00", "(1,200.50)" and "-$1,200.50"
 * for what is below zero, "45%" for 45, "CHF 1,200.50". Commas stand between
 * groups of three digits, a point before the decimals. What other countries
 * write is read where it can mean nothing else: "1'234.50", "1.234,50",
 * "1 234,50", "12,34,567.00". "1,234" are thousands, and "1,23" is refused.
 */
extern bool amount_read(const char *text, size_t length, Amount *amount);

/* "07/01/2026" (month first) or "2026-07-01", which a time may follow. */
extern bool day_read(const char *text, size_t length, Day *day);

/* "Yes", "true", "No", "false", in any case. */
extern bool answer_read(const char *text, size_t length, bool *answer);

/* A decimal number of milliseconds, in microseconds; further digits are cut. */
extern bool milliseconds_read(const char *text, size_t length, int64_t *microseconds);

/*
 * The order of time frame ids: "W_02" before "W_10", and "2" before "10", for
 * digits count as numbers. Only equal ids compare as equal.
 */
extern int	time_frame_compare(const char *a, size_t a_length, const char *b, size_t b_length);

/*
 * The field type in a value's key or a data type: FORECAST for "forecastValue"
 * and "Forecast", CRM_TOTAL for "crmTotalValue" and "CRM Total". Returns its
 * length; a longer one is cut.
 */
extern size_t field_type_write(const char *text, size_t length, char type[FIELD_TYPE_SIZE]);

#endif							/* CORE_FORECAST_TEXT_H */
