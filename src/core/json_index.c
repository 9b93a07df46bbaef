/*
 * json_index.c
 *		Where the arrays and objects of a JSON text end, and what they count.
 */
#include "core/json_index.h"

#include <string.h>

/* After a string, of which at is the first quote. */
static const char *
skip_string(const char *at)
{
	for (at++; *at != '"'; at++)
		if (*at == '\\')
			at++;
	return at + 1;
}

static bool
is_empty(const char *opening)
{
	opening += 1 + strspn(opening + 1, " \t\n\r");
	return *opening == ']' || *opening == '}';
}

size_t
json_count_containers(Json json)
{
	const char *end = json.text + json.size;
	size_t		n = 0;

	for (const char *at = json.text; at < end;)
	{
		if (*at == '"')
			at = skip_string(at);
		else
		{
			n += *at == '[' || *at == '{';
			at++;
		}
	}
	return n;
}

/* While a container is open, its next is the one around it. */
void
json_index(Json json, JsonExtent *extents)
{
	const char *end = json.text + json.size;
	uint32_t	n = 0;
	uint32_t	open = 0;

	for (const char *at = json.text; at < end;)
	{
		uint32_t	around;

		switch (*at)
		{
			case '"':
				at = skip_string(at);
				continue;
			case '[':
			case '{':
				extents[n] = (JsonExtent) {.next = open,.count = is_empty(at) ? 0 : 1};
				open = n++;
				break;
			case ',':
				extents[open].count++;
				break;
			case ']':
			case '}':
				around = extents[open].next;
				extents[open].end = (size_t) (at - json.text) + 1;
				extents[open].next = n;
				open = around;
				break;
			default:
				break;
		}
		at++;
	}
}
