/*
 * log.c
 *		Messages for the server's log, each at most once a minute.
 *
 * What goes wrong in a loop would else fill the log. A few hashes are
 * remembered; if more is said in a minute, the oldest is forgotten.
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "clock.h"
#include "core/instant.h"
#include "log.h"

#define SILENCE			SECONDS(60)
#define REMEMBERED		64

typedef struct Said
{
	uint32		hash;
	Instant		at;				/* 0: nothing */
} Said;

static Said said[REMEMBERED];

/* Whether a message was not said lately; it then counts as said now. */
static bool
is_news(const char *message)
{
	uint32		hash = hash_bytes((const unsigned char *) message, (int) strlen(message));
	Instant		now = clock_now();
	Said	   *oldest = &said[0];

	for (int i = 0; i < REMEMBERED; i++)
	{
		if (said[i].at != 0 && said[i].hash == hash && now - said[i].at < SILENCE)
			return false;
		if (said[i].at < oldest->at)
			oldest = &said[i];
	}
	oldest->hash = hash;
	oldest->at = now;
	return true;
}

void
log_now_and_then(const char *message)
{
	if (is_news(message))
		ereport(LOG, (errmsg_internal("clari_export: %s", message)));
}
