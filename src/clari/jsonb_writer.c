/*
 * jsonb_writer.c
 *		JSON text as jsonb, in memory in proportion to the text.
 *
 * The format is the one that utils/jsonb.h describes: a container has its size,
 * an entry for each child (the keys of an object before its values), then the
 * children. The text's index tells the size before the children are read.
 */
#include "postgres.h"

#include <ctype.h>

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "clari/jsonb_writer.h"
#include "core/json_index.h"

/* A number that is longer is cut short elsewhere; see json_clean(). */
#define SHORT_NUMBER		64

/* A place in the text. */
typedef struct Cursor
{
	const char *at;
	uint32		container;		/* the number of the next that begins */
} Cursor;

typedef struct Member
{
	const char *key;			/* unescaped */
	int			key_size;
	int			order;
	Cursor		value;
} Member;

typedef struct Writer
{
	Json		json;
	JsonExtent *extents;
	StringInfoData out;

	/* Members of the objects that are open, one after the other. */
	Member	   *members;
	size_t		n_members;
	size_t		members_allocated;
} Writer;

static JEntry write_value(Writer *writer, Cursor *cursor);

static void
skip_blanks(Cursor *cursor)
{
	while (*cursor->at == ' ' || *cursor->at == '\t' || *cursor->at == '\n' || *cursor->at == '\r')
		cursor->at++;
}

/* Go over blanks and one character between them, if there. */
static void
skip_between(Cursor *cursor, char c)
{
	skip_blanks(cursor);
	if (*cursor->at == c)
		cursor->at++;
	skip_blanks(cursor);
}

/* ----------
 * Strings
 * ----------
 */

static uint32
read_hex(const char *digits)
{
	uint32		c = 0;

	for (int i = 0; i < 4; i++)
		c = c << 4 | (uint32) (isdigit((unsigned char) digits[i]) ? digits[i] - '0' : (digits[i] | 0x20) - 'a' + 10);
	return c;
}

static void
refuse_escape(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
			 errmsg("unsupported Unicode escape sequence"),
			 errdetail("%s", detail)));
}

/* Append the character of \uXXXX, and of a second one where it has two halves; returns what follows. */
static const char *
append_unicode(StringInfo out, const char *digits)
{
	unsigned char character[MAX_UNICODE_EQUIVALENT_STRING + 1];
	uint32		c = read_hex(digits);

	digits += 4;
	if (c == 0)
		refuse_escape("\\u0000 cannot be converted to text.");
	if (is_utf16_surrogate_first(c) && digits[0] == '\\' && digits[1] == 'u' &&
		is_utf16_surrogate_second(read_hex(digits + 2)))
	{
		c = surrogate_pair_to_codepoint(c, read_hex(digits + 2));
		digits += 6;
	}
	if (c >= 0xD800 && c <= 0xDFFF)
		refuse_escape("Half a surrogate pair is no character.");
	pg_unicode_to_server(c, character);
	appendStringInfoString(out, (char *) character);
	return digits;
}

/* Append the inside of a string with escapes. */
static void
append_unescaped(StringInfo out, const char *at, const char *end)
{
	static const char escapes[] = "b\bf\fn\nr\rt\t";

	while (at < end)
	{
		const char *backslash = memchr(at, '\\', (size_t) (end - at));
		const char *escape;

		if (backslash == NULL)
			backslash = end;
		appendBinaryStringInfo(out, at, (int) (backslash - at));
		if (backslash == end)
			return;
		at = backslash + 2;
		escape = strchr(escapes, backslash[1]);
		if (backslash[1] == 'u')
			at = append_unicode(out, at);
		else
			appendStringInfoCharMacro(out, escape != NULL ? escape[1] : backslash[1]);
	}
}

/* The closing quote of a string; where its first escape is, NULL for none. */
static const char *
end_of_string(const char *opening, bool *has_escapes)
{
	const char *at = opening + 1;

	*has_escapes = false;
	for (; *at != '"'; at++)
	{
		if ((unsigned char) *at < ' ')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("invalid input syntax for type %s", "json"),
					 errdetail("Character with value 0x%02x must be escaped.", (unsigned char) *at)));
		if (*at != '\\')
			continue;
		*has_escapes = true;
		at++;
	}
	return at;
}

static JEntry
string_entry(size_t size)
{
	if (size > JENTRY_OFFLENMASK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("string too long to represent as jsonb string")));
	return JENTRY_ISSTRING | (JEntry) size;
}

static JEntry
write_string(Writer *writer, Cursor *cursor)
{
	int			start = writer->out.len;
	bool		has_escapes;
	const char *end = end_of_string(cursor->at, &has_escapes);

	if (has_escapes)
		append_unescaped(&writer->out, cursor->at + 1, end);
	else
		appendBinaryStringInfo(&writer->out, cursor->at + 1, (int) (end - cursor->at - 1));
	cursor->at = end + 1;
	return string_entry((size_t) (writer->out.len - start));
}

/* ----------
 * Numbers and words
 * ----------
 */

static int
pad_to_int(StringInfo out)
{
	int			padding = INTALIGN(out->len) - out->len;

	for (int i = 0; i < padding; i++)
		appendStringInfoCharMacro(out, '\0');
	return padding;
}

static size_t
number_size(const char *number)
{
	return strspn(number, "+-.0123456789Ee");
}

static JEntry
write_number(Writer *writer, Cursor *cursor)
{
	char		buffer[SHORT_NUMBER];
	size_t		size = number_size(cursor->at);
	char	   *text = size < sizeof(buffer) ? buffer : palloc(size + 1);
	int			padding;
	Numeric		number;
	JEntry		entry;

	memcpy(text, cursor->at, size);
	text[size] = '\0';
	cursor->at += size;
	number = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
												 Int32GetDatum(-1)));
	padding = pad_to_int(&writer->out);
	appendBinaryStringInfo(&writer->out, (char *) number, (int) VARSIZE_ANY(number));
	entry = JENTRY_ISNUMERIC | (JEntry) (padding + VARSIZE_ANY(number));
	pfree(number);
	if (text != buffer)
		pfree(text);
	return entry;
}

static JEntry
write_word(Cursor *cursor)
{
	char		first = *cursor->at;

	cursor->at += first == 'f' ? strlen("false") : strlen("true");
	return first == 'n' ? JENTRY_ISNULL : first == 't' ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE;
}

/* ----------
 * Containers
 * ----------
 */

typedef struct Container
{
	int			start;
	int			entries;		/* where the next entry goes */
	int			n;				/* of those that are written */
	uint32		size;			/* of their children */
} Container;

static void
check_size(uint64 size)
{
	if (size > JENTRY_OFFLENMASK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("total size of jsonb elements exceeds the maximum of %d bytes", JENTRY_OFFLENMASK)));
}

static Container
begin_container(Writer *writer, uint32 header, uint32 n_entries)
{
	Container	container = {.start = writer->out.len};
	Size		size = (Size) n_entries * sizeof(JEntry);

	pad_to_int(&writer->out);
	appendBinaryStringInfo(&writer->out, (char *) &header, sizeof(header));
	container.entries = writer->out.len;
	check_size(size);
	enlargeStringInfo(&writer->out, (int) size);
	writer->out.len += (int) size;
	return container;
}

/* Every so many children have where they end instead of their size. */
static void
add_entry(Writer *writer, Container *container, JEntry entry)
{
	container->size += JBE_OFFLENFLD(entry);
	check_size(container->size);
	if (container->n++ % JB_OFFSET_STRIDE == 0)
		entry = (entry & JENTRY_TYPEMASK) | container->size | JENTRY_HAS_OFF;
	memcpy(writer->out.data + container->entries, &entry, sizeof(entry));
	container->entries += (int) sizeof(entry);
}

static JEntry
end_container(const Writer *writer, const Container *container)
{
	int			size = writer->out.len - container->start;

	check_size((uint64) size);
	return JENTRY_ISCONTAINER | (JEntry) size;
}

static JEntry
write_array(Writer *writer, Cursor *cursor)
{
	const JsonExtent *extent = &writer->extents[cursor->container++];
	Container	container = begin_container(writer, extent->count | JB_FARRAY, extent->count);

	cursor->at++;
	for (uint32 i = 0; i < extent->count; i++)
	{
		skip_between(cursor, ',');
		add_entry(writer, &container, write_value(writer, cursor));
	}
	cursor->at = writer->json.text + extent->end;
	return end_container(writer, &container);
}

static Member *
new_member(Writer *writer)
{
	if (writer->n_members == writer->members_allocated)
	{
		writer->members_allocated *= 2;
		writer->members = repalloc_huge(writer->members, writer->members_allocated * sizeof(Member));
	}
	return &writer->members[writer->n_members++];
}

static void
read_key(Cursor *cursor, Member *member)
{
	bool		has_escapes;
	const char *start = cursor->at + 1;
	const char *end = end_of_string(cursor->at, &has_escapes);

	cursor->at = end + 1;
	member->key = start;
	member->key_size = (int) (end - start);
	if (has_escapes)
	{
		StringInfoData key;

		initStringInfo(&key);
		append_unescaped(&key, start, end);
		member->key = key.data;
		member->key_size = key.len;
	}
}

static void
skip_value(const Writer *writer, Cursor *cursor)
{
	bool		has_escapes;

	switch (*cursor->at)
	{
		case '{':
		case '[':
			cursor->at = writer->json.text + writer->extents[cursor->container].end;
			cursor->container = writer->extents[cursor->container].next;
			break;
		case '"':
			cursor->at = end_of_string(cursor->at, &has_escapes) + 1;
			break;
		default:
			cursor->at += strcspn(cursor->at, ",]} \t\n\r");
			break;
	}
}

/* As jsonb sorts them: shorter keys first, and of the same key the last. */
static int
compare_members(const void *a, const void *b)
{
	const Member *left = a;
	const Member *right = b;
	int			difference = left->key_size - right->key_size;

	if (difference == 0)
		difference = memcmp(left->key, right->key, (size_t) left->key_size);
	return difference != 0 ? difference : right->order - left->order;
}

static bool
same_key(const Member *a, const Member *b)
{
	return a->key_size == b->key_size && memcmp(a->key, b->key, (size_t) a->key_size) == 0;
}

/* Sort members, and leave the last of each key. Returns how many are left. */
static uint32
sort_members(Member *members, uint32 n)
{
	uint32		left = 0;

	qsort(members, n, sizeof(Member), compare_members);
	for (uint32 i = 0; i < n; i++)
		if (left == 0 || !same_key(&members[left - 1], &members[i]))
			members[left++] = members[i];
	return left;
}

/* Read an object's members; the cursor goes on after it. Returns how many keys there are. */
static uint32
read_members(Writer *writer, Cursor *cursor)
{
	const JsonExtent *extent = &writer->extents[cursor->container++];
	size_t		first = writer->n_members;

	cursor->at++;
	for (uint32 i = 0; i < extent->count; i++)
	{
		Member	   *member = new_member(writer);

		skip_between(cursor, ',');
		read_key(cursor, member);
		skip_between(cursor, ':');
		member->order = (int) i;
		member->value = *cursor;
		skip_value(writer, cursor);
	}
	cursor->at = writer->json.text + extent->end;
	return sort_members(&writer->members[first], extent->count);
}

/* Members may move while others are read. */
static JEntry
write_object(Writer *writer, Cursor *cursor)
{
	size_t		first = writer->n_members;
	uint32		n = read_members(writer, cursor);
	Container	container = begin_container(writer, n | JB_FOBJECT, n * 2);

	for (uint32 i = 0; i < n; i++)
	{
		const Member *member = &writer->members[first + i];

		appendBinaryStringInfo(&writer->out, member->key, member->key_size);
		add_entry(writer, &container, string_entry((size_t) member->key_size));
	}
	for (uint32 i = 0; i < n; i++)
	{
		Cursor		value = writer->members[first + i].value;

		add_entry(writer, &container, write_value(writer, &value));
	}
	writer->n_members = first;
	return end_container(writer, &container);
}

static JEntry
write_value(Writer *writer, Cursor *cursor)
{
	switch (*cursor->at)
	{
		case '{':
			check_stack_depth();
			CHECK_FOR_INTERRUPTS();
			return write_object(writer, cursor);
		case '[':
			check_stack_depth();
			CHECK_FOR_INTERRUPTS();
			return write_array(writer, cursor);
		case '"':
			return write_string(writer, cursor);
		case 't':
		case 'f':
		case 'n':
			return write_word(cursor);
		default:
			return write_number(writer, cursor);
	}
}

/* A scalar is the only element of an array that is not one. */
static void
write_scalar(Writer *writer, Cursor *cursor)
{
	Container	container = begin_container(writer, 1 | JB_FSCALAR | JB_FARRAY, 1);

	add_entry(writer, &container, write_value(writer, cursor));
}

static JsonExtent *
index_text(Json json, Size max_memory)
{
	Size		size = json_count_containers(json) * sizeof(JsonExtent);
	JsonExtent *extents;

	if (size > max_memory)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the text has too many arrays and objects"),
				 errdetail("Reading it takes %zu bytes of memory, more than clari_export.max_memory.", size)));
	extents = MemoryContextAllocHuge(CurrentMemoryContext, Max(size, 1));
	json_index(json, extents);
	return extents;
}

Jsonb *
jsonb_write(Json json, Size max_memory)
{
	Writer		writer = {.json = json,.members_allocated = 64};
	Cursor		cursor = {.at = json.text};

	writer.extents = index_text(json, max_memory);
	writer.members = palloc(writer.members_allocated * sizeof(Member));
	initStringInfo(&writer.out);
	appendStringInfoSpaces(&writer.out, VARHDRSZ);
	if (*cursor.at == '{' || *cursor.at == '[')
		write_value(&writer, &cursor);
	else
		write_scalar(&writer, &cursor);
	SET_VARSIZE(writer.out.data, writer.out.len);
	return (Jsonb *) writer.out.data;
}
