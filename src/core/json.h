/*
 * json.h
 *		Reading JSON where it lies, without a tree of it.
 *
 * A value is a piece of the text it was read from. Nothing is allocated,
 * however the text is made: reading takes time in proportion to the text, and
 * no memory at all.
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Arrays and objects inside one another; deeper ones are refused. */
#define JSON_MAX_NESTING	65536

typedef enum JsonType
{
	JSON_NONE,					/* there is no value */
	JSON_NULL,
	JSON_BOOLEAN,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
} JsonType;

typedef struct Json
{
	const char *text;			/* NULL: no value */
	size_t		size;
} Json;

/*
 * Read a text that is one JSON value and nothing else (RFC 8259), perhaps
 * after a byte order mark. Texts inside it may hold any bytes, control
 * characters and half a surrogate pair included. Returns false for anything
 * else; *value is then no value.
 */
extern bool json_read(const char *text, size_t size, Json *value);

extern JsonType json_type(Json value);
extern bool json_is_true(Json value);

/*
 * Look for n members of an object: values[i] becomes the value of the last one
 * called names[i], or no value. Anything but an object has no members.
 */
extern void json_members(Json object, const char *const names[], Json values[], int n);
extern Json json_member(Json object, const char *name);

/*
 * Go from one element of an array to the next. *rest is the array before the
 * first one. Returns false after the last, and for anything but an array.
 */
extern bool json_next(Json *rest, Json *element);

/*
 * Write the text of a string into out: valid UTF-8 in which every byte that is
 * none, half a surrogate pair, and every character that is not seen but acts
 * (control characters, changes of direction) is a question mark; a tab or a
 * line feed is a blank. Returns false if it had to be cut, between characters,
 * to fit into size bytes, its zero byte included.
 */
extern bool json_text(Json string, char *out, size_t size);

/* A number as an integer: cut towards 0, and at the ends of int64_t. */
extern int64_t json_integer(Json number);

/*
 * Make a body, in place, one that may be stored and shown: inside its strings
 * the secret becomes asterisks, however it is escaped, and what is no text
 * becomes question marks; a number so long that nobody needs it becomes null.
 * Where it is no JSON it stays none. The secret is NULL for none.
 */
extern void json_clean(char *body, size_t size, const char *secret);

#endif							/* CORE_JSON_H */
