/*
 * log.h
 *		Messages for the server's log, each at most once a minute.
 */
#ifndef CLARI_LOG_H
#define CLARI_LOG_H

extern void log_request_shared_memory(void);
extern void log_attach_shared_memory(void);

/* Log at LOG, unless the same was said within the last minute. */
extern void log_now_and_then(const char *message);

#endif							/* CLARI_LOG_H */
