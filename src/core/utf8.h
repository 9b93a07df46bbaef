/*
 * utf8.h
 *		Characters of UTF-8, and what of them may be shown.
 */
#ifndef CORE_UTF8_H
#define CORE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* What is no character: a byte that belongs to none, half a surrogate pair. */
#define UTF8_NONE		UINT32_MAX

/*
 * Read the character at *at, which is before end, and go on to the next; of
 * what is none, one byte is read.
 */
extern uint32_t utf8_read(const char **at, const char *end);

/* Write a character; returns how many bytes it has. */
extern size_t utf8_write(uint32_t c, char out[4]);

/*
 * The character to show for one: a blank for a tab or a line feed, a question
 * mark for what is none, and for what is not seen but does something to a
 * terminal or a log.
 */
extern uint32_t utf8_shown(uint32_t c);

/* Write a text as it may be shown, cut between characters to fit into size bytes. */
extern void utf8_show(const char *text, char *out, size_t size);

#endif							/* CORE_UTF8_H */
