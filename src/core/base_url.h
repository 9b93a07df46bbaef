/*
 * base_url.h
 *		Which addresses an API key may be sent to.
 *
 * The path of a request is appended to the base URL, so the grammar is narrow:
 * nothing in it may end the path (a ? or #), carry a user, or be read by one
 * parser in this way and by the next in that.
 */
#ifndef CORE_BASE_URL_H
#define CORE_BASE_URL_H

#include <stdbool.h>

#define BASE_URL_MAX_LENGTH		1024

/* "https://", a bracketed address or name, a port, and a NUL. */
#define BASE_URL_ORIGIN_SIZE	280

/* NULL for a good base URL; else a sentence that says what is wrong with it. */
extern const char *base_url_problem(const char *url);

/* Whether a good base URL is one of http://, to a loopback host. */
extern bool base_url_is_plain(const char *url);

/* scheme://host:port of a good base URL, in its one spelling. */
extern void base_url_origin(const char *url, char origin[BASE_URL_ORIGIN_SIZE]);

#endif							/* CORE_BASE_URL_H */
