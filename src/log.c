/*
 * log.c
 *		Messages for the server's log, each at most once a minute.
 *
 * What goes wrong in a loop would else fill the log, be it the loop of a worker
 * or of the launcher that starts one worker after another: so where there is
 * shared memory, processes know what others have said. A few hashes are
 * remembered; if more is said in a minute, the oldest is forgotten.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"

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

typedef struct SaidByAll
{
	slock_t		lock;
	Said		said[REMEMBERED];
} SaidByAll;

static Said said_by_this[REMEMBERED];
static SaidByAll *said_by_all = NULL;

void
log_request_shared_memory(void)
{
	RequestAddinShmemSpace(sizeof(SaidByAll));
}

void
log_attach_shared_memory(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	said_by_all = ShmemInitStruct("clari_export log", sizeof(SaidByAll), &found);
	if (!found)
	{
		memset(said_by_all, 0, sizeof(SaidByAll));
		SpinLockInit(&said_by_all->lock);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Whether what has that hash was not said lately; it then counts as said now. */
static bool
note_said(Said *said, uint32 hash, Instant now)
{
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

/* The same of another database is something else. */
static bool
is_news(const char *message)
{
	uint32		hash = hash_combine(hash_bytes((const unsigned char *) message, (int) strlen(message)), MyDatabaseId);
	Instant		now = clock_now();
	bool		is_new;

	if (said_by_all == NULL)
		return note_said(said_by_this, hash, now);
	SpinLockAcquire(&said_by_all->lock);
	is_new = note_said(said_by_all->said, hash, now);
	SpinLockRelease(&said_by_all->lock);
	return is_new;
}

void
log_now_and_then(const char *message)
{
	if (is_news(message))
		ereport(LOG, (errmsg_internal("clari_export: %s", message)));
}
