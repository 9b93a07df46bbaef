/*
 * http.h
 *		HTTP transfers over libcurl that a latch can interrupt.
 *
 * One libcurl multi handle per process runs all transfers side by side and
 * keeps connections alive between them. http_wait() is where a process spends
 * its time: it returns when a transfer ended, the latch was set, or the time
 * is up, so a cancel or a shutdown is seen at once.
 */
#ifndef CLARI_HTTP_H
#define CLARI_HTTP_H

#include "core/instant.h"
#include "core/reply.h"
#include "core/room.h"

typedef struct HttpRequest
{
	const char *method;
	const char *base_url;		/* without a slash at the end */
	const char *path;
	const char *body;			/* JSON, or NULL */
	const char *api_key;
	const char *ca_file;		/* NULL: the system's */
	const char *proxy;			/* NULL: none */
	Duration	connect_timeout;
	Duration	timeout;		/* whole request, or without a byte: */
	bool		timeout_is_idle;	/* timeout is the longest time without one */
	int64		max_reply_size; /* bytes after decompression */
	int64		max_refusal_size;	/* the same of anything but a 200 */
	Share	   *share;			/* what the body takes of a room; NULL: of none */
	bool		fresh_connection;	/* and never sent twice */
	void	   *owner;			/* what transfer_next_finished() tells */
} HttpRequest;

typedef struct Transfer Transfer;

/*
 * Start a transfer. The texts of the request need not outlive the call. The
 * transfer lives until transfer_free(), and until the process ends.
 */
extern Transfer *transfer_start(const HttpRequest *request);

/* NULL while the transfer runs; then its reply, valid until it is freed. */
extern const Reply *transfer_reply(const Transfer *transfer);

/*
 * The owner of a transfer that ended and was not told of yet, or NULL. Each is
 * told once, in the order in which they ended.
 */
extern void *transfer_next_finished(void);

/* Its reply's body is of no more use. */
extern void transfer_forget_body(Transfer *transfer);

/* There is room: let go on what waits for some. */
extern void transfers_resume(void);

/*
 * libcurl's words for a transfer that did not bring a reply: of less than
 * TRANSFER_ERROR_SIZE bytes, which may be any.
 */
#define TRANSFER_ERROR_SIZE	256
extern const char *transfer_error(const Transfer *transfer);

/* Whether any transfer of this process has not ended. */
extern bool transfers_are_running(void);

/* End a transfer, finished or not. NULL is allowed. */
extern void transfer_free(Transfer *transfer);

/*
 * Sleep until a transfer ends, the process's latch is set, or the moment
 * until. The latch is reset; the caller checks for interrupts afterwards.
 */
extern void http_wait(Instant until, uint32 wait_event);

#endif							/* CLARI_HTTP_H */
