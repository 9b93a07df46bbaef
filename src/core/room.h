/*
 * room.h
 *		Room for results: how much memory each takes, and who has to wait.
 *
 * A result has a share of the room from its request until it is stored. The
 * oldest share may always grow, so that results come to their end one after
 * the other however little room there is; the others only while their sum is
 * below the limit. So a room holds at most its limit and one result more.
 */
#ifndef CORE_ROOM_H
#define CORE_ROOM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What a result takes at least while it arrives: as much may be unpacked from
 * the bytes that are read at once (ROOM_READ_SIZE) before it can be stopped.
 */
#define ROOM_READ_SIZE		((size_t) 4096)
#define ROOM_LEAST_SHARE	((size_t) 1032 * ROOM_READ_SIZE)

typedef struct Room
{
	size_t		limit;
	size_t		used;
	struct Share *oldest;
	struct Share *youngest;
	bool		refused;		/* somebody waits */
	bool		has_more;		/* than when somebody was refused */
} Room;

/* All zeros: none. */
typedef struct Share
{
	Room	   *room;			/* NULL: none */
	struct Share *older;
	struct Share *younger;
	size_t		bytes;
} Share;

extern void room_set_limit(Room *room, size_t limit);

/* Whether another result may begin. */
extern bool room_admits(Room *room);

/*
 * Whether somebody who was refused may go on by now. Told once: who still may
 * not is refused again.
 */
extern bool room_has_news(Room *room);

/* Whether somebody waits for more of it. */
extern bool room_is_wanted(const Room *room);

/* Begin a share, as the youngest one. */
extern void share_open(Share *share, Room *room);

/* Let it have so many bytes in all; false: not now. */
extern bool share_grow(Share *share, size_t bytes);

/* Whether it could grow at all. */
extern bool share_may_grow(const Share *share);

/* It takes exactly that, and grows no more. */
extern void share_settle(Share *share, size_t bytes);

/* End it; one that is none already is left alone. */
extern void share_close(Share *share);

#endif							/* CORE_ROOM_H */
