/*
 * hold_reason.c
 *		Why something waits: the words.
 */
#include "core/hold_reason.h"

static const struct
{
	const char *column;
	const char *notice;
}			words[] = {
	[HOLD_NONE] = {"none", "none"},
#define HOLD_WORDS(symbol, column, notice)	[HOLD_##symbol] = {column, notice},
	HOLD_REASONS(HOLD_WORDS)
#undef HOLD_WORDS
};

const char *
hold_reason_name(HoldReason reason)
{
	return words[reason].column;
}

const char *
hold_reason_notice(HoldReason reason)
{
	return words[reason].notice;
}
