/*
 * room.c
 *		Room for results: how much memory each takes, and who has to wait.
 */
#include "core/room.h"

#include <string.h>

static void
refuse(Room *room)
{
	room->refused = true;
	room->has_more = false;
}

void
room_set_limit(Room *room, size_t limit)
{
	if (limit > room->limit)
		room->has_more = true;
	room->limit = limit;
}

bool
room_admits(Room *room)
{
	if (room->oldest == NULL || room->used + ROOM_LEAST_SHARE <= room->limit)
		return true;
	refuse(room);
	return false;
}

bool
room_has_news(Room *room)
{
	if (!room->refused || !room->has_more)
		return false;
	room->refused = room->has_more = false;
	return true;
}

bool
room_is_wanted(const Room *room)
{
	return room->refused;
}

void
share_open(Share *share, Room *room)
{
	*share = (Share) {.room = room,.older = room->youngest,.bytes = ROOM_LEAST_SHARE};
	if (room->youngest != NULL)
		room->youngest->younger = share;
	else
		room->oldest = share;
	room->youngest = share;
	room->used += share->bytes;
}

bool
share_may_grow(const Share *share)
{
	return share->room->oldest == share || share->room->used < share->room->limit;
}

bool
share_grow(Share *share, size_t bytes)
{
	Room	   *room = share->room;

	if (bytes <= share->bytes)
		return true;
	if (room->oldest != share && room->used - share->bytes + bytes > room->limit)
	{
		refuse(room);
		return false;
	}
	room->used += bytes - share->bytes;
	share->bytes = bytes;
	return true;
}

void
share_settle(Share *share, size_t bytes)
{
	Room	   *room = share->room;

	if (bytes < share->bytes)
		room->has_more = true;
	room->used = room->used - share->bytes + bytes;
	share->bytes = bytes;
}

void
share_close(Share *share)
{
	Room	   *room = share->room;

	if (room == NULL)
		return;
	if (share->older != NULL)
		share->older->younger = share->younger;
	else
		room->oldest = share->younger;
	if (share->younger != NULL)
		share->younger->older = share->older;
	else
		room->youngest = share->older;
	room->used -= share->bytes;
	room->has_more = true;
	memset(share, 0, sizeof(*share));
}
