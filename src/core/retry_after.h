/*
 * retry_after.h
 *		The Retry-After header in all its forms.
 */
#ifndef CORE_RETRY_AFTER_H
#define CORE_RETRY_AFTER_H

#include <stdbool.h>

#include "core/instant.h"

/* The reply named no time that can be understood. */
#define RETRY_AFTER_NONE	((Duration) -1)

/*
 * Read one Retry-After value (RFC 9110, section 10.2.3).
 *
 * A number of seconds, with a fraction if there is one, is taken as it is; a
 * date (IMF-fixdate, RFC 850 or asctime form, always UTC) is taken against
 * date, the reply's own Date header, or against unix_now (microseconds since
 * 1970) where date is NULL or unreadable. A date in the past is no wait.
 *
 * Returns the wait, at most DURATION_MAX, or RETRY_AFTER_NONE for anything
 * else: "soon", "1m0s", a negative number, an empty value.
 */
extern Duration retry_after_read(const char *value, const char *date,
								 Instant unix_now);

/*
 * Read an HTTP date into *unix_time (microseconds since 1970). unix_now
 * settles the century of RFC 850's two-digit years. Returns false if text is
 * not an HTTP date.
 */
extern bool http_date_read(const char *text, Instant unix_now,
						   Instant *unix_time);

#endif							/* CORE_RETRY_AFTER_H */
