/*
 * utf8.c
 *		Characters of UTF-8, and what of them may be shown.
 */
#include "core/utf8.h"

#include <stdbool.h>
#include <string.h>

#define LAST_CHARACTER	0x10FFFF

/* The length of a UTF-8 sequence by its first byte; 0 for none. */
static size_t
sequence_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xC2 && first <= 0xDF)
		return 2;
	if (first >= 0xE0 && first <= 0xEF)
		return 3;
	return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

uint32_t
utf8_read(const char **at, const char *end)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char) *(*at)++;
	size_t		length = sequence_length(first);
	uint32_t	c = length < 2 ? first : first & (0xFFu >> (length + 1));

	if (length == 0 || length - 1 > (size_t) (end - *at))
		return UTF8_NONE;
	for (size_t i = 0; i + 1 < length; i++)
	{
		unsigned char next = (unsigned char) (*at)[i];

		if ((next & 0xC0) != 0x80)
			return UTF8_NONE;
		c = c << 6 | (next & 0x3F);
	}
	if (c < smallest[length] || c > LAST_CHARACTER || (c >= 0xD800 && c <= 0xDFFF))
		return UTF8_NONE;
	*at += length - 1;
	return c;
}

size_t
utf8_write(uint32_t c, char out[4])
{
	if (c < 0x80)
	{
		out[0] = (char) c;
		return 1;
	}
	if (c < 0x800)
	{
		out[0] = (char) (0xC0 | c >> 6);
		out[1] = (char) (0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000)
	{
		out[0] = (char) (0xE0 | c >> 12);
		out[1] = (char) (0x80 | (c >> 6 & 0x3F));
		out[2] = (char) (0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (char) (0xF0 | c >> 18);
	out[1] = (char) (0x80 | (c >> 12 & 0x3F));
	out[2] = (char) (0x80 | (c >> 6 & 0x3F));
	out[3] = (char) (0x80 | (c & 0x3F));
	return 4;
}

/* Whether a character is not seen, but does something to a terminal or a log. */
static bool
acts_unseen(uint32_t c)
{
	return c < 0x20 || (c >= 0x7F && c <= 0x9F) ||
		c == 0x061C || c == 0x200E || c == 0x200F ||	/* marks of direction */
		(c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
		c == 0xFEFF;
}

uint32_t
utf8_shown(uint32_t c)
{
	if (c == '\t' || c == '\n' || c == '\r')
		return ' ';
	return c == UTF8_NONE || acts_unseen(c) ? '?' : c;
}

void
utf8_show(const char *text, char *out, size_t size)
{
	const char *end = text + strlen(text);
	size_t		used = 0;

	while (text < end)
	{
		char		bytes[4];
		size_t		length = utf8_write(utf8_shown(utf8_read(&text, end)), bytes);

		if (used + length >= size)
			break;
		memcpy(out + used, bytes, length);
		used += length;
	}
	out[used] = '\0';
}
