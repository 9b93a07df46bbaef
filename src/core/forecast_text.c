/*
 * forecast_text.c
 *		The texts in a forecast's result: amounts, days, moments, names of types.
 *
 * Nothing here depends on the locale: isdigit(), strtod() and toupper() would.
 */
#include "core/forecast_text.h"

#include <string.h>

#define IS_DIGIT(c)		((c) >= '0' && (c) <= '9')
#define IS_UPPER(c)		((c) >= 'A' && (c) <= 'Z')
#define IS_LOWER(c)		((c) >= 'a' && (c) <= 'z')
#define TO_UPPER(c)		(IS_LOWER(c) ? (char) ((c) - 'a' + 'A') : (c))

#define GROUP_DIGITS	3
#define INDIAN_GROUP_DIGITS	2
#define CODE_LETTERS	(CURRENCY_CODE_SIZE - 1)

/* What is left to read of a text. */
typedef struct Rest
{
	const char *at;
	const char *end;
} Rest;

static bool
at_end(const Rest *rest)
{
	return rest->at == rest->end;
}

/* The next character; a zero byte at the end, which no rule accepts. */
static char
next(const Rest *rest)
{
	return at_end(rest) ? '\0' : *rest->at;
}

static bool
skip(Rest *rest, const char *text)
{
	size_t		length = strlen(text);

	if ((size_t) (rest->end - rest->at) < length || memcmp(rest->at, text, length) != 0)
		return false;
	rest->at += length;
	return true;
}

/* Returns true if there was a space: plain, no-break or narrow no-break. */
static bool
skip_spaces(Rest *rest)
{
	const char *from = rest->at;

	while (skip(rest, " ") || skip(rest, "\xC2\xA0") || skip(rest, "\xE2\x80\xAF"))
		;
	return rest->at > from;
}

/* Exactly that many digits, unless at most more of them are allowed. */
static bool
read_digits(Rest *rest, int least, int most, int *number)
{
	int			n = 0;

	*number = 0;
	for (; n < most && IS_DIGIT(next(rest)); n++, rest->at++)
		*number = *number * 10 + (*rest->at - '0');
	return n >= least;
}

/* ----------
 * Amounts
 * ----------
 */

typedef struct AmountReader
{
	Rest		rest;
	Amount	   *amount;
	size_t		n;				/* bytes of amount->number */
	bool		in_parentheses;
	bool		has_sign;
	bool		negative;
	bool		has_currency;
} AmountReader;

/* A letter before the dollar sign says whose: "US$", "A$". */
static bool
skip_dollar(Rest *rest)
{
	Rest		ahead = *rest;

	for (int i = 0; i < CODE_LETTERS && IS_UPPER(next(&ahead)); i++)
		ahead.at++;
	if (!skip(&ahead, "$"))
		return false;
	*rest = ahead;
	return true;
}

/* U+20A0 to U+20CF is Unicode's block of currency symbols. */
static bool
skip_symbol_of_the_block(Rest *rest)
{
	const unsigned char *c = (const unsigned char *) rest->at;

	if (rest->end - rest->at < 3 || c[0] != 0xE2 ||
		!((c[1] == 0x82 && c[2] >= 0xA0 && c[2] <= 0xBF) || (c[1] == 0x83 && c[2] >= 0x80 && c[2] <= 0x8F)))
		return false;
	rest->at += 3;
	return true;
}

static bool
skip_symbol(Rest *rest)
{
	return skip_dollar(rest) ||
		skip(rest, "\xC2\xA3") ||	/* pound */
		skip(rest, "\xC2\xA5") ||	/* yen, yuan */
		skip_symbol_of_the_block(rest);
}

static bool
read_code(AmountReader *reader)
{
	Rest		ahead = reader->rest;

	for (int i = 0; i < CODE_LETTERS; i++)
		if (ahead.end - ahead.at <= i || !IS_UPPER(ahead.at[i]))
			return false;
	memcpy(reader->amount->currency, ahead.at, CODE_LETTERS);
	reader->amount->currency[CODE_LETTERS] = '\0';
	reader->rest.at += CODE_LETTERS;
	return true;
}

static bool
read_sign(AmountReader *reader)
{
	char		c = next(&reader->rest);

	if (c != '-' && c != '+')
		return false;
	reader->rest.at++;
	reader->has_sign = true;
	reader->negative = c == '-';
	return true;
}

/* What may stand before the digits: a parenthesis, a sign, a currency. */
static bool
read_prefix(AmountReader *reader)
{
	Rest	   *rest = &reader->rest;

	for (;;)
	{
		skip_spaces(rest);
		if (!reader->in_parentheses && !reader->has_sign && skip(rest, "("))
			reader->in_parentheses = reader->negative = true;
		else if (!reader->has_sign && !reader->in_parentheses && read_sign(reader))
			continue;
		else if (!reader->has_currency && skip_symbol(rest))
			reader->has_currency = true;
		else if (!reader->has_currency && read_code(reader))
		{
			/* Without a space it would be a word with a number in it. */
			if (!skip_spaces(rest))
				return false;
			reader->has_currency = true;
		}
		else
			return true;
	}
}

static bool
put(AmountReader *reader, char c)
{
	if (reader->n == AMOUNT_NUMBER_SIZE - 1)
		return false;
	reader->amount->number[reader->n++] = c;
	return true;
}

/* ----------
 * Digits and what stands between them
 * ----------
 */

typedef enum Separator
{
	SEPARATOR_NONE,
	SEPARATOR_POINT,
	SEPARATOR_COMMA,
	SEPARATOR_APOSTROPHE,
	SEPARATOR_SPACE,
	SEPARATOR_HARD_SPACE,		/* no-break, narrow no-break: never between two numbers */
} Separator;

/* Digits, and the separator before them; none before the first. */
typedef struct Run
{
	Separator	separator;
	Rest		digits;
} Run;

/* Every run but the first has a digit, and they fit together. */
#define MOST_RUNS	(AMOUNT_NUMBER_SIZE / 2)

typedef struct Runs
{
	Run			items[MOST_RUNS];
	int			n;
} Runs;

static Separator
skip_separator(Rest *rest)
{
	static const struct
	{
		const char *text;
		Separator	separator;
	}			separators[] =
	{
		{".", SEPARATOR_POINT},
		{",", SEPARATOR_COMMA},
		{"'", SEPARATOR_APOSTROPHE},
		{"\xE2\x80\x99", SEPARATOR_APOSTROPHE},
		{" ", SEPARATOR_SPACE},
		{"\xC2\xA0", SEPARATOR_HARD_SPACE},
		{"\xE2\x80\xAF", SEPARATOR_HARD_SPACE},
	};

	for (size_t i = 0; i < sizeof(separators) / sizeof(separators[0]); i++)
		if (skip(rest, separators[i].text))
			return separators[i].separator;
	return SEPARATOR_NONE;
}

static Rest
take_digits(Rest *rest)
{
	Rest		digits = *rest;

	while (IS_DIGIT(next(rest)))
		rest->at++;
	digits.end = rest->at;
	return digits;
}

/* Read all the runs; a separator without a digit behind it ends them. */
static bool
read_runs(Rest *rest, Runs *runs)
{
	runs->n = 0;
	runs->items[runs->n++] = (Run) {SEPARATOR_NONE, take_digits(rest)};
	for (;;)
	{
		Rest		ahead = *rest;
		Separator	separator = skip_separator(&ahead);

		if (separator == SEPARATOR_NONE || !IS_DIGIT(next(&ahead)))
			return true;
		if (runs->n == MOST_RUNS)
			return false;
		runs->items[runs->n++] = (Run) {separator, take_digits(&ahead)};
		*rest = ahead;
	}
}

static int
digits_of(const Run *run)
{
	return (int) (run->digits.end - run->digits.at);
}

/*
 * Groups of thousands: one to three digits that do not begin with a zero, then
 * three each. With commas, as in India, those between may be of two.
 */
static bool
are_groups(const Runs *runs, int n)
{
	Separator	separator = runs->items[1].separator;
	int			middle = n > 2 ? digits_of(&runs->items[1]) : GROUP_DIGITS;
	int			first = digits_of(&runs->items[0]);

	if (first < 1 || first > middle || *runs->items[0].digits.at == '0')
		return false;
	if (middle != GROUP_DIGITS && !(middle == INDIAN_GROUP_DIGITS && separator == SEPARATOR_COMMA))
		return false;
	for (int i = 1; i < n; i++)
		if (runs->items[i].separator != separator ||
			digits_of(&runs->items[i]) != (i == n - 1 ? GROUP_DIGITS : middle))
			return false;
	return true;
}

/*
 * How many of the runs are the integer part: all, or all but the last. Returns
 * 0 if that is not clear. A point or a comma that differs from the separator
 * of the groups stands before the decimals; one alone, if it is a point. Plain
 * spaces could stand between two numbers, unless decimals follow.
 */
static int
integer_runs(const Runs *runs)
{
	int			n = runs->n;
	Separator	last = n > 1 ? runs->items[n - 1].separator : SEPARATOR_NONE;
	bool		may_be_decimal = last == SEPARATOR_POINT || last == SEPARATOR_COMMA;

	if (n == 1)
		return digits_of(&runs->items[0]) > 0 ? 1 : 0;
	if (n == 2 && last == SEPARATOR_POINT)
		return 1;
	if (n > 2 && may_be_decimal && last != runs->items[1].separator)
		return are_groups(runs, n - 1) ? n - 1 : 0;
	return last != SEPARATOR_SPACE && are_groups(runs, n) ? n : 0;
}

static bool
copy_digits(AmountReader *reader, const Run *run)
{
	for (const char *c = run->digits.at; c < run->digits.end; c++)
		if (!put(reader, *c))
			return false;
	return true;
}

static bool
read_number(AmountReader *reader)
{
	Runs		runs;
	int			n_integer;

	if ((reader->negative && !put(reader, '-')) || !read_runs(&reader->rest, &runs))
		return false;
	n_integer = integer_runs(&runs);
	if (n_integer == 0)
		return false;
	if (digits_of(&runs.items[0]) == 0 && !put(reader, '0'))
		return false;
	for (int i = 0; i < n_integer; i++)
		if (!copy_digits(reader, &runs.items[i]))
			return false;
	return n_integer == runs.n || (put(reader, '.') && copy_digits(reader, &runs.items[n_integer]));
}

/* What may stand after them: a percent sign or a currency, a parenthesis. */
static bool
read_suffix(AmountReader *reader)
{
	Rest	   *rest = &reader->rest;
	bool		after_space = skip_spaces(rest);

	if (!reader->has_currency && (skip(rest, "%") || skip_symbol(rest) || (after_space && read_code(reader))))
		skip_spaces(rest);
	if (reader->in_parentheses && !skip(rest, ")"))
		return false;
	skip_spaces(rest);
	return at_end(rest);
}

bool
amount_read(const char *text, size_t length, Amount *amount)
{
	AmountReader reader = {.rest = {text, text + length}, .amount = amount};

	amount->currency[0] = '\0';
	if (!read_prefix(&reader) || !read_number(&reader) || !read_suffix(&reader))
		return false;
	amount->number[reader.n] = '\0';
	return true;
}

/* ----------
 * Days and moments
 * ----------
 */

static int
days_of_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool		is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && is_leap ? 29 : days[month - 1];
}

static bool
read_american_day(Rest rest, Day *day)
{
	return read_digits(&rest, 1, 2, &day->month) && skip(&rest, "/") &&
		read_digits(&rest, 1, 2, &day->day) && skip(&rest, "/") &&
		read_digits(&rest, 4, 4, &day->year) && at_end(&rest);
}

static bool
read_iso_day(Rest rest, Day *day)
{
	return read_digits(&rest, 4, 4, &day->year) && skip(&rest, "-") &&
		read_digits(&rest, 2, 2, &day->month) && skip(&rest, "-") &&
		read_digits(&rest, 2, 2, &day->day) &&
		(at_end(&rest) || skip(&rest, "T") || skip(&rest, " "));
}

bool
day_read(const char *text, size_t length, Day *day)
{
	Rest		rest = {text, text + length};

	return (read_iso_day(rest, day) || read_american_day(rest, day)) &&
		day->year >= 1 && day->month >= 1 && day->month <= 12 &&
		day->day >= 1 && day->day <= days_of_month(day->year, day->month);
}

bool
milliseconds_read(const char *text, size_t length, int64_t *microseconds)
{
	Rest		rest = {text, text + length};
	bool		negative = skip(&rest, "-");
	int64_t		number = 0;
	int64_t		unit = 1000;
	int			digits = 0;

	/* Fifteen digits are 30,000 years; that many microseconds fit as well. */
	for (; IS_DIGIT(next(&rest)) && digits <= 15; digits++, rest.at++)
		number = number * 10 + (*rest.at - '0');
	if (digits == 0 || digits > 15)
		return false;
	number *= 1000;
	if (skip(&rest, "."))
		for (; IS_DIGIT(next(&rest)); rest.at++)
		{
			unit /= 10;
			number += unit * (*rest.at - '0');
		}
	*microseconds = negative ? -number : number;
	return at_end(&rest);
}

/* ----------
 * Other texts
 * ----------
 */

static bool
is_word(const char *text, size_t length, const char *upper_case_word)
{
	if (strlen(upper_case_word) != length)
		return false;
	for (size_t i = 0; i < length; i++)
		if (TO_UPPER(text[i]) != upper_case_word[i])
			return false;
	return true;
}

bool
answer_read(const char *text, size_t length, bool *answer)
{
	*answer = is_word(text, length, "YES") || is_word(text, length, "TRUE");
	return *answer || is_word(text, length, "NO") || is_word(text, length, "FALSE");
}

static Rest
take_number(Rest *rest)
{
	Rest		number;

	while (next(rest) == '0')
		rest->at++;
	number.at = rest->at;
	while (IS_DIGIT(next(rest)))
		rest->at++;
	number.end = rest->at;
	return number;
}

/* Neither has a zero at its start, so the longer one is the larger one. */
static int
compare_numbers(Rest a, Rest b)
{
	ptrdiff_t	a_digits = a.end - a.at;
	ptrdiff_t	b_digits = b.end - b.at;

	if (a_digits != b_digits)
		return a_digits < b_digits ? -1 : 1;
	return memcmp(a.at, b.at, (size_t) a_digits);
}

static int
compare_bytes(const char *a, size_t a_length, const char *b, size_t b_length)
{
	int			order = memcmp(a, b, a_length < b_length ? a_length : b_length);

	if (order != 0 || a_length == b_length)
		return order;
	return a_length < b_length ? -1 : 1;
}

int
time_frame_compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
	Rest		a_rest = {a, a + a_length};
	Rest		b_rest = {b, b + b_length};

	while (!at_end(&a_rest) && !at_end(&b_rest))
	{
		int			order;

		if (IS_DIGIT(next(&a_rest)) && IS_DIGIT(next(&b_rest)))
			order = compare_numbers(take_number(&a_rest), take_number(&b_rest));
		else
			order = (unsigned char) *a_rest.at++ - (unsigned char) *b_rest.at++;
		if (order != 0)
			return order;
	}
	if (at_end(&a_rest) != at_end(&b_rest))
		return at_end(&a_rest) ? -1 : 1;
	/* "W_1" and "W_01" are two ids. */
	return compare_bytes(a, a_length, b, b_length);
}

/* The length without a "_VALUE" at the end. */
static size_t
without_value(const char *type, size_t length)
{
	static const char suffix[] = "_VALUE";
	size_t		suffix_length = sizeof(suffix) - 1;

	return length > suffix_length && memcmp(type + length - suffix_length, suffix, suffix_length) == 0 ?
		length - suffix_length : length;
}

size_t
field_type_write(const char *text, size_t length, char type[FIELD_TYPE_SIZE])
{
	size_t		n = 0;

	for (size_t i = 0; i < length && n < FIELD_TYPE_SIZE - 1; i++)
	{
		bool		begins_word = i > 0 && IS_UPPER(text[i]) && IS_LOWER(text[i - 1]);

		if (begins_word)
			type[n++] = '_';
		if (n < FIELD_TYPE_SIZE - 1)
			type[n++] = text[i] == ' ' || text[i] == '-' ? '_' : TO_UPPER(text[i]);
	}
	n = without_value(type, n);
	type[n] = '\0';
	return n;
}
