/*
 * result_period.c
 *		Whether a forecast's result is for the time period that was asked for.
 */
#include "postgres.h"

#include "utils/jsonb.h"

#include "clari/result_period.h"
#include "jsonb_reader.h"

/* A time period as people write it: 2026_Q3, FY26 Q3, July FY 2026. */
typedef struct PeriodName
{
	char		type;			/* Q, H, M, Y for a quarter, half, month, year; 0
								 * for anything else */
	int			year;
	int			number;			/* within the year; 0 in a year */
} PeriodName;

/* Take in a word of letters; a period with a word that says nothing has no type. */
static void
read_period_word(PeriodName *name, const char *word, int length)
{
	static const char *const months[] = {
		"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
	};

	if (length == 1 && (pg_toupper((unsigned char) *word) == 'Q' || pg_toupper((unsigned char) *word) == 'H'))
		name->type = (char) pg_toupper((unsigned char) *word);
	else if (length == 2 && pg_strncasecmp(word, "FY", 2) == 0)
		return;
	else
	{
		name->type = '?';
		for (int i = 0; i < (int) lengthof(months); i++)
		{
			if (length < 3 || pg_strncasecmp(word, months[i], 3) != 0)
				continue;
			name->type = 'M';
			name->number = i + 1;
		}
	}
}

static PeriodName
read_period_name(const char *text)
{
	static const char *const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	PeriodName	name = {.type = 'Y'};
	bool		after_letter = false;

	while (*text != '\0')
	{
		int			n_letters = (int) strspn(text, letters);
		int			n_digits = (int) strspn(text, "0123456789");

		if (n_letters > 0)
			read_period_word(&name, text, n_letters);
		else if (n_digits > 0 && n_digits <= 4)
		{
			int			number = atoi(text);

			if (after_letter && (name.type == 'Q' || name.type == 'H'))
				name.number = number;
			else if (name.year != 0)
				name.type = '?';
			else
				name.year = n_digits == 2 ? 2000 + number : number;
		}
		after_letter = n_letters > 0;
		text += Max(n_letters + n_digits, 1);
	}
	if (name.year == 0 || (name.type != 'Y' && name.number == 0) || name.type == '?')
		name.type = 0;
	return name;
}

typedef struct PeriodSearch
{
	const char *wanted;
	bool		found;
	char	   *other;			/* of the same type; NULL until one is seen */
	char	   *of_another_type;	/* the same */
} PeriodSearch;

/* Look at one element's member; returns false when the search is over. */
static bool
look_at_period(PeriodSearch *search, JsonbContainer *element, const char *name, bool must_look_like_one)
{
	PeriodName	wanted = read_period_name(search->wanted);
	JsonbValue	period;
	PeriodName	given;
	char	   *text;

	if (!jsonb_member(element, name, &period) || period.type != jbvString)
		return true;
	text = pnstrdup(period.val.string.val, period.val.string.len);
	given = read_period_name(text);
	if (strcmp(text, search->wanted) == 0 ||
		(wanted.type != 0 && wanted.type == given.type && wanted.year == given.year &&
		 wanted.number == given.number))
	{
		search->found = true;
		return false;
	}
	if (must_look_like_one && given.type == 0)
		return true;
	if (given.type == wanted.type && search->other == NULL)
		search->other = text;
	else if (given.type != wanted.type && search->of_another_type == NULL)
		search->of_another_type = text;
	else
		pfree(text);
	return true;
}

static void
search_array(PeriodSearch *search, JsonbContainer *array, const char *name, bool must_look_like_one)
{
	uint32		n = JsonContainerSize(array);

	for (uint32 i = 0; i < n; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);
		bool		more = element->type != jbvBinary ||
			look_at_period(search, element->val.binary.data, name, must_look_like_one);

		pfree(element);
		if (!more)
			return;
	}
}

Failure *
result_period_check(Jsonb *result, const char *time_period)
{
	PeriodSearch search = {.wanted = time_period};
	JsonbContainer *periods = jsonb_member_array(&result->root, "timePeriods");
	Failure    *failure;

	if (time_period == NULL)
		return NULL;
	if (periods != NULL)
		search_array(&search, periods, "timePeriodId", false);
	else if (JsonContainerIsArray(&result->root) && !JsonContainerIsScalar(&result->root))
		search_array(&search, &result->root, "Timeframe", true);

	if (!search.found && search.other == NULL && search.of_another_type != NULL)
		ereport(NOTICE,
				(errmsg("the result names time periods of another type than %s, such as %s",
						time_period, search.of_another_type)));
	if (search.found || search.other == NULL)
		return NULL;
	failure = failure_make(ERRCODE_CLARI_WRONG_PERIOD,
						   "Clari exported time period %s instead of %s", search.other, time_period);
	failure->detail = pstrdup("Clari exports the current quarter where it does not know the period that was asked for.");
	failure->hint = pstrdup("Check the time period; a quarter is written like '2026_Q3'.");
	return failure;
}
