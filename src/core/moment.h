/*
 * moment.h
 *		Moments as Clari writes them: milliseconds since 1970, or ISO 8601.
 */
#ifndef CORE_MOMENT_H
#define CORE_MOMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * "1784106775642", "2026-07-15T09:12:55.642Z", "2026-07-15 09:12+02:00",
 * "2026-07-15": in microseconds since 1970, further digits are cut. What has
 * no zone is UTC. False if the text is none of these.
 */
extern bool moment_read(const char *text, size_t length, int64_t *microseconds);

#endif							/* CORE_MOMENT_H */
