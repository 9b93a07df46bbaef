/*
 * statement.c
 *		Names and literals for the statements that a HINT shows.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "extension.h"
#include "statement.h"

/* Characters that mean nothing to a shell. */
#define PLAIN_CHARACTERS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_"

static char schema[NAMEDATALEN] = "";

void
statement_find_schema(void)
{
	Extension	extension;
	char	   *name = extension_find(&extension) ? get_namespace_name(extension.schema) : NULL;

	if (name != NULL)
		strlcpy(schema, name, sizeof(schema));
}

char *
statement_name(const char *object)
{
	return schema[0] != '\0' ? quote_qualified_identifier(schema, object) : pstrdup(object);
}

char *
statement_name_now(const char *object)
{
	statement_find_schema();
	return statement_name(object);
}

char *
statement_text(const char *text)
{
	return psprintf("%s::text", quote_literal_cstr(text));
}

char *
statement_shell_word(const char *text)
{
	StringInfoData word;

	if (text[0] != '\0' && text[strspn(text, PLAIN_CHARACTERS)] == '\0')
		return pstrdup(text);
	initStringInfo(&word);
	appendStringInfoChar(&word, '\'');
	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c == '\'')
			appendStringInfoString(&word, "'\\''");
		else
			appendStringInfoChar(&word, *c);
	}
	appendStringInfoChar(&word, '\'');
	return word.data;
}
