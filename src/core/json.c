/*
 * json.c
 *		Reading JSON where it lies, without a tree of it.
 */
#include "core/json.h"

#include <string.h>

#include "core/utf8.h"

#define BYTE_ORDER_MARK		"\xEF\xBB\xBF"

/* Members that are looked for have shorter names. */
#define NAME_SIZE			64

/* A longer number, or one with a longer exponent, is of no use to anybody. */
#define LONGEST_NUMBER		1000
#define LONGEST_EXPONENT	3

typedef struct Scanner
{
	const char *at;
	const char *end;
} Scanner;

static bool
at_end(const Scanner *scanner)
{
	return scanner->at == scanner->end;
}

/* The next byte; 0, which begins no token, at the end. */
static char
peek(const Scanner *scanner)
{
	return at_end(scanner) ? '\0' : *scanner->at;
}

static bool
skip(Scanner *scanner, char c)
{
	if (at_end(scanner) || *scanner->at != c)
		return false;
	scanner->at++;
	return true;
}

static void
skip_blanks(Scanner *scanner)
{
	while (!at_end(scanner) && (*scanner->at == ' ' || *scanner->at == '\t' ||
								*scanner->at == '\n' || *scanner->at == '\r'))
		scanner->at++;
}

/* What stands for itself within a string, as nearly all of one does. */
static bool
is_plain(char c)
{
	return c >= ' ' && c < 0x7F && c != '\\';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* ----------
 * The grammar
 * ----------
 */

static bool
skip_escape(Scanner *scanner)
{
	char		c = peek(scanner);

	if (c == '\0' || strchr("\"\\/bfnrtu", c) == NULL)
		return false;
	scanner->at++;
	for (int i = 0; c == 'u' && i < 4; i++)
	{
		if (hex_digit(peek(scanner)) < 0)
			return false;
		scanner->at++;
	}
	return true;
}

/* Nearly all of a string needs no second look. */
static void
skip_plain(Scanner *scanner)
{
	const char *at = scanner->at;

	while (at < scanner->end && *at != '"' && *at != '\\')
		at++;
	scanner->at = at;
}

static bool
skip_string(Scanner *scanner)
{
	if (!skip(scanner, '"'))
		return false;
	for (;;)
	{
		skip_plain(scanner);
		if (skip(scanner, '"'))
			return true;
		if (!skip(scanner, '\\') || !skip_escape(scanner))
			return false;
	}
}

static bool
skip_digits(Scanner *scanner)
{
	const char *start = scanner->at;

	while (is_digit(peek(scanner)))
		scanner->at++;
	return scanner->at > start;
}

static bool
skip_number(Scanner *scanner)
{
	skip(scanner, '-');
	if (!skip(scanner, '0') && !skip_digits(scanner))
		return false;
	if (skip(scanner, '.') && !skip_digits(scanner))
		return false;
	if (!skip(scanner, 'e') && !skip(scanner, 'E'))
		return true;
	if (!skip(scanner, '+'))
		skip(scanner, '-');
	return skip_digits(scanner);
}

static bool
skip_word(Scanner *scanner, const char *word)
{
	size_t		length = strlen(word);

	if ((size_t) (scanner->end - scanner->at) < length || memcmp(scanner->at, word, length) != 0)
		return false;
	scanner->at += length;
	return true;
}

static bool
skip_scalar(Scanner *scanner)
{
	switch (peek(scanner))
	{
		case '"':
			return skip_string(scanner);
		case 't':
			return skip_word(scanner, "true");
		case 'f':
			return skip_word(scanner, "false");
		case 'n':
			return skip_word(scanner, "null");
		default:
			return skip_number(scanner);
	}
}

/* A member's name and the colon after it. */
static bool
skip_name(Scanner *scanner)
{
	skip_blanks(scanner);
	if (!skip_string(scanner))
		return false;
	skip_blanks(scanner);
	return skip(scanner, ':');
}

/* The arrays and objects that are open: a bit each, set for an object. */
typedef struct Nesting
{
	unsigned char is_object[JSON_MAX_NESTING / 8];
	size_t		depth;
} Nesting;

static bool
in_object(const Nesting *nesting)
{
	size_t		top = nesting->depth - 1;

	return (nesting->is_object[top / 8] >> top % 8 & 1) != 0;
}

static bool
open_container(Nesting *nesting, bool is_object)
{
	size_t		top = nesting->depth;

	if (top == JSON_MAX_NESTING)
		return false;
	nesting->is_object[top / 8] &= (unsigned char) ~(1 << top % 8);
	nesting->is_object[top / 8] |= (unsigned char) (is_object << top % 8);
	nesting->depth++;
	return true;
}

static bool
skip_end(Scanner *scanner, Nesting *nesting)
{
	if (nesting->depth == 0)
		return false;
	skip_blanks(scanner);
	if (!skip(scanner, in_object(nesting) ? '}' : ']'))
		return false;
	nesting->depth--;
	return true;
}

/*
 * Go over what ends a value, up to where the next one begins or the outermost
 * one has ended.
 */
static bool
skip_to_next(Scanner *scanner, Nesting *nesting)
{
	while (skip_end(scanner, nesting))
		;
	return nesting->depth == 0 ||
		(skip(scanner, ',') && (!in_object(nesting) || skip_name(scanner)));
}

/* Go over one value, blanks before it included. */
static bool
skip_value(Scanner *scanner)
{
	Nesting		nesting;

	nesting.depth = 0;
	do
	{
		char		c;

		skip_blanks(scanner);
		c = peek(scanner);
		if (c == '{' || c == '[')
		{
			scanner->at++;
			if (!open_container(&nesting, c == '{'))
				return false;
			if (!skip_end(scanner, &nesting))
			{
				/* Its first value comes now. */
				if (c == '{' && !skip_name(scanner))
					return false;
				continue;
			}
		}
		else if (!skip_scalar(scanner))
			return false;
		if (!skip_to_next(scanner, &nesting))
			return false;
	} while (nesting.depth > 0);
	return true;
}

static bool
read_value(Scanner *scanner, Json *value)
{
	skip_blanks(scanner);
	value->text = scanner->at;
	if (!skip_value(scanner))
		return false;
	value->size = (size_t) (scanner->at - value->text);
	return true;
}

bool
json_read(const char *text, size_t size, Json *value)
{
	Scanner		scanner = {text, text + size};

	skip_word(&scanner, BYTE_ORDER_MARK);
	if (read_value(&scanner, value))
	{
		skip_blanks(&scanner);
		if (at_end(&scanner))
			return true;
	}
	*value = (Json) {NULL, 0};
	return false;
}

/* ----------
 * Characters
 * ----------
 */

/* Four hexadecimal digits; not a character where there are fewer. */
static uint32_t
read_hex(Scanner *scanner)
{
	uint32_t	c = 0;

	for (int i = 0; i < 4; i++)
	{
		if (hex_digit(peek(scanner)) < 0)
			return UTF8_NONE;
		c = c << 4 | (uint32_t) hex_digit(*scanner->at++);
	}
	return c;
}

/* Read \uXXXX, of which the \u is read, and its second half if it has one. */
static uint32_t
read_unicode_escape(Scanner *scanner)
{
	uint32_t	c = read_hex(scanner);
	Scanner		second = *scanner;
	uint32_t	low;

	if (c < 0xD800 || c > 0xDFFF)
		return c;
	if (c >= 0xDC00 || !skip_word(&second, "\\u"))
		return UTF8_NONE;
	low = read_hex(&second);
	if (low < 0xDC00 || low > 0xDFFF)
		return UTF8_NONE;
	*scanner = second;
	return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
}

/* Read a character of a JSON string, of whose inside something is left. */
static uint32_t
read_character(Scanner *scanner)
{
	char		escaped;

	if (!skip(scanner, '\\'))
		return utf8_read(&scanner->at, scanner->end);
	if (at_end(scanner))
		return UTF8_NONE;
	escaped = *scanner->at++;
	switch (escaped)
	{
		case 'b':
			return '\b';
		case 'f':
			return '\f';
		case 'n':
			return '\n';
		case 'r':
			return '\r';
		case 't':
			return '\t';
		case 'u':
			return read_unicode_escape(scanner);
		case '"':
		case '\\':
		case '/':
			return (unsigned char) escaped;
		default:
			return UTF8_NONE;
	}
}

/* ----------
 * Values
 * ----------
 */

JsonType
json_type(Json value)
{
	if (value.text == NULL)
		return JSON_NONE;
	switch (value.text[0])
	{
		case 'n':
			return JSON_NULL;
		case 't':
		case 'f':
			return JSON_BOOLEAN;
		case '"':
			return JSON_STRING;
		case '[':
			return JSON_ARRAY;
		case '{':
			return JSON_OBJECT;
		default:
			return JSON_NUMBER;
	}
}

bool
json_is_true(Json value)
{
	return value.text != NULL && value.text[0] == 't';
}

/* What is between the brackets or quotes around a value. */
static Scanner
inside(Json value)
{
	return (Scanner) {value.text + 1, value.text + value.size - 1};
}

bool
json_text(Json string, char *out, size_t size)
{
	Scanner		scanner = inside(string);
	size_t		used = 0;

	while (!at_end(&scanner))
	{
		char		bytes[4] = {*scanner.at};
		size_t		length = 1;

		if (is_plain(*scanner.at))
			scanner.at++;
		else
			length = utf8_write(utf8_shown(read_character(&scanner)), bytes);
		if (used + length >= size)
		{
			out[used] = '\0';
			return false;
		}
		memcpy(out + used, bytes, length);
		used += length;
	}
	out[used] = '\0';
	return true;
}

/* Where a name is among others; -1 for nowhere. */
static int
find_name(Json name, const char *const names[], int n)
{
	char		text[NAME_SIZE];

	if (!json_text(name, text, sizeof(text)))
		return -1;
	for (int i = 0; i < n; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	return -1;
}

void
json_members(Json object, const char *const names[], Json values[], int n)
{
	Scanner		scanner;
	Json		name;
	Json		value;

	for (int i = 0; i < n; i++)
		values[i] = (Json) {NULL, 0};
	if (json_type(object) != JSON_OBJECT)
		return;
	scanner = inside(object);
	while (read_value(&scanner, &name))
	{
		int			found = find_name(name, names, n);

		skip_blanks(&scanner);
		skip(&scanner, ':');
		if (!read_value(&scanner, &value))
			return;
		if (found >= 0)
			values[found] = value;
		skip_blanks(&scanner);
		skip(&scanner, ',');
	}
}

Json
json_member(Json object, const char *name)
{
	Json		value;

	json_members(object, &name, &value, 1);
	return value;
}

/* What is left of an array begins with its bracket, or with a comma. */
bool
json_next(Json *rest, Json *element)
{
	Scanner		scanner;

	if (rest->size < 2 || (rest->text[0] != '[' && rest->text[0] != ','))
		return false;
	scanner = inside(*rest);
	if (!read_value(&scanner, element))
		return false;
	skip_blanks(&scanner);
	rest->text = scanner.at;
	rest->size = (size_t) (scanner.end - scanner.at) + 1;
	return true;
}

/* The exponent of a number, cut where no number that counts has it. */
static int64_t
read_exponent(Scanner *scanner)
{
	int64_t		exponent = 0;
	bool		negative = peek(scanner) == '-';

	if (!skip(scanner, '+'))
		skip(scanner, '-');
	for (; is_digit(peek(scanner)); scanner->at++)
		if (exponent < INT32_MAX)
			exponent = exponent * 10 + (*scanner->at - '0');
	return negative ? -exponent : exponent;
}

int64_t
json_integer(Json number)
{
	Scanner		scanner = {number.text, number.text + number.size};
	bool		negative = skip(&scanner, '-');
	Scanner		digits = scanner;
	int64_t		n_digits;		/* before the decimal point */
	uint64_t	value = 0;
	uint64_t	limit = negative ? (uint64_t) INT64_MAX + 1 : INT64_MAX;

	skip_digits(&scanner);
	n_digits = scanner.at - digits.at;
	if (skip(&scanner, '.'))
		skip_digits(&scanner);
	digits.end = scanner.at;
	if (skip(&scanner, 'e') || skip(&scanner, 'E'))
		n_digits += read_exponent(&scanner);

	/* After the digits there are come zeros. */
	for (; n_digits > 0 && (value > 0 || !at_end(&digits)); n_digits--)
	{
		uint64_t	digit;

		skip(&digits, '.');
		digit = at_end(&digits) ? 0 : (uint64_t) (*digits.at++ - '0');
		if (value > (limit - digit) / 10)
		{
			value = limit;
			break;
		}
		value = value * 10 + digit;
	}
	if (!negative)
		return (int64_t) value;
	return value > INT64_MAX ? INT64_MIN : -(int64_t) value;
}

/* ----------
 * Cleaning
 * ----------
 */

/* Whether the secret is here; *scanner then goes on behind it. */
static bool
skip_secret(Scanner *scanner, const char *secret)
{
	Scanner		text = *scanner;
	Scanner		expected = {secret, secret + strlen(secret)};

	while (!at_end(&expected))
		if (at_end(&text) || *text.at == '"' || read_character(&text) != utf8_read(&expected.at, expected.end))
			return false;
	*scanner = text;
	return true;
}

/* The text that is cleaned belongs to whoever may write it. */
static char *
writable(const char *text)
{
	return (char *) (uintptr_t) text;
}

static void
overwrite(const char *from, const Scanner *to, char c)
{
	memset(writable(from), c, (size_t) (to->at - from));
}

/* Replace a character that jsonb or the database's encoding would refuse. */
static void
clean_character(Scanner *scanner)
{
	const char *start = scanner->at;
	bool		is_escape = *start == '\\';
	uint32_t	c = read_character(scanner);

	if (is_escape && (c == 0 || c == UTF8_NONE) && scanner->at - start == 6)
		memcpy(writable(start), "\\u003f", 6);
	else if (!is_escape && (c == UTF8_NONE || c < 0x20))
		overwrite(start, scanner, (char) utf8_shown(c));
}

/* Clean the inside of a string, up to its closing quote. */
static void
clean_string(Scanner *scanner, const char *secret)
{
	while (!at_end(scanner) && *scanner->at != '"')
	{
		const char *start = scanner->at;

		if (is_plain(*start) && (secret == NULL || *start != *secret))
			scanner->at++;
		else if (secret != NULL && skip_secret(scanner, secret))
			overwrite(start, scanner, '*');
		else
			clean_character(scanner);
	}
	skip(scanner, '"');
}

static bool
is_of_use(const char *number, const char *end)
{
	const char *exponent = memchr(number, 'e', (size_t) (end - number));

	if (exponent == NULL)
		exponent = memchr(number, 'E', (size_t) (end - number));
	return end - number <= LONGEST_NUMBER &&
		(exponent == NULL || end - exponent - 1 <= LONGEST_EXPONENT);
}

static void
clean_number(Scanner *scanner)
{
	const char *start = scanner->at;

	if (!skip_number(scanner) || is_of_use(start, scanner->at))
		return;
	overwrite(start, scanner, ' ');
	memcpy(writable(start), "null", 4);
}

void
json_clean(char *body, size_t size, const char *secret)
{
	Scanner		scanner = {body, body + size};

	if (secret != NULL && secret[0] == '\0')
		secret = NULL;
	while (!at_end(&scanner))
	{
		if (skip(&scanner, '"'))
			clean_string(&scanner, secret);
		else if (*scanner.at == '-' || is_digit(*scanner.at))
			clean_number(&scanner);
		else
			scanner.at++;
	}
}
