/*
 * base_url.c
 *		Which addresses an API key may be sent to.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base_url.h"

#define HOST_MAX_LENGTH		253
#define LOWER_LETTERS		"abcdefghijklmnopqrstuvwxyz"
#define UPPER_LETTERS		"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS				"0123456789"
#define HOST_CHARACTERS		LOWER_LETTERS UPPER_LETTERS DIGITS "-_."
#define ADDRESS_CHARACTERS	DIGITS "abcdefABCDEF:."
#define PATH_CHARACTERS		LOWER_LETTERS UPPER_LETTERS DIGITS "-_.~/"

/* The parts of a URL, as far as they could be told apart. */
typedef struct Parts
{
	bool		plain;			/* http:// */
	char		host[HOST_MAX_LENGTH + 1];	/* in lower case; an IPv6 address
											 * without its brackets */
	bool		is_ipv6;
	int			port;
	const char *path;
} Parts;

/* Whether text begins with a word; letters match in either case. */
static bool
skip_word(const char **text, const char *word)
{
	const char *rest = *text;

	for (; *word != '\0'; word++, rest++)
		if (*rest != *word && !(strchr(LOWER_LETTERS, *word) != NULL && *rest == *word - 'a' + 'A'))
			return false;
	*text = rest;
	return true;
}

/* Take the longest run of these characters as the host. */
static bool
take_host(const char **text, const char *characters, Parts *parts)
{
	size_t		length = strspn(*text, characters);

	if (length == 0 || length > HOST_MAX_LENGTH)
		return false;
	for (size_t i = 0; i < length; i++)
	{
		char		c = (*text)[i];

		parts->host[i] = (char) (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
	}
	parts->host[length] = '\0';
	*text += length;
	return true;
}

/* A name, or an address of IPv4: labels between single points. */
static bool
take_name(const char **text, Parts *parts)
{
	size_t		length;

	if (!take_host(text, HOST_CHARACTERS, parts))
		return false;
	length = strlen(parts->host);
	return parts->host[0] != '.' && parts->host[length - 1] != '.' &&
		strstr(parts->host, "..") == NULL;
}

static bool
take_ipv6(const char **text, Parts *parts)
{
	struct in6_addr address;

	parts->is_ipv6 = true;
	return skip_word(text, "[") && take_host(text, ADDRESS_CHARACTERS, parts) &&
		skip_word(text, "]") && inet_pton(AF_INET6, parts->host, &address) == 1;
}

static bool
take_port(const char **text, Parts *parts)
{
	size_t		length;

	parts->port = parts->plain ? 80 : 443;
	if (!skip_word(text, ":"))
		return true;
	length = strspn(*text, DIGITS);
	parts->port = length > 0 && length <= 5 ? atoi(*text) : 0;
	*text += length;
	return parts->port > 0 && parts->port <= 65535;
}

static bool
is_loopback(const Parts *parts)
{
	struct in_addr address;

	if (parts->is_ipv6)
		return strcmp(parts->host, "::1") == 0;
	/* libcurl takes this name for the loopback addresses without asking. */
	return strcmp(parts->host, "localhost") == 0 ||
		(inet_pton(AF_INET, parts->host, &address) == 1 &&
		 (ntohl(address.s_addr) >> IN_CLASSA_NSHIFT) == IN_LOOPBACKNET);
}

static bool
has_dot_segment(const char *path)
{
	while (*path == '/')
	{
		size_t		length = strcspn(++path, "/");

		if ((length == 1 && path[0] == '.') || (length == 2 && path[0] == '.' && path[1] == '.'))
			return true;
		path += length;
	}
	return false;
}

static const char *
take_apart(const char *url, Parts *parts)
{
	memset(parts, 0, sizeof(Parts));
	if (strlen(url) > BASE_URL_MAX_LENGTH)
		return "It is too long.";
	if (skip_word(&url, "http://"))
		parts->plain = true;
	else if (!skip_word(&url, "https://"))
		return "Only https:// is accepted, and http:// for a loopback host.";
	if (strpbrk(url, "?#@") != NULL)
		return "It must have neither user, query nor fragment.";
	if (!(*url == '[' ? take_ipv6(&url, parts) : take_name(&url, parts)) ||
		!take_port(&url, parts) || (*url != '/' && *url != '\0'))
		return "It has no valid host and port.";
	parts->path = url;
	if (url[strspn(url, PATH_CHARACTERS)] != '\0' || has_dot_segment(url))
		return "Its path may have letters, digits and the characters - _ . ~ only.";
	if (parts->plain && !is_loopback(parts))
		return "The API key would travel unencrypted: http:// is accepted for a loopback host only.";
	return NULL;
}

const char *
base_url_problem(const char *url)
{
	Parts		parts;

	return take_apart(url, &parts);
}

bool
base_url_is_plain(const char *url)
{
	Parts		parts;

	take_apart(url, &parts);
	return parts.plain;
}

void
base_url_origin(const char *url, char origin[BASE_URL_ORIGIN_SIZE])
{
	Parts		parts;

	take_apart(url, &parts);
	snprintf(origin, BASE_URL_ORIGIN_SIZE, parts.is_ipv6 ? "%s://[%s]:%d" : "%s://%s:%d",
			 parts.plain ? "http" : "https", parts.host, parts.port);
}
