/*
 * fast_clock.c - a clock that runs fast, for the processes that preload this library
 *
 * CLOCK_BOOTTIME, by which the extension measures its waits, runs CLARI_CLOCK_RATE times as fast as it should. Every
 * other clock is as it was, so a sleep takes as long as ever; except, where CLARI_SLEEP_RATE is set, that PostgreSQL
 * sleeps so many times shorter.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#define SECOND 1000000000LL

typedef int (*GetTime) (clockid_t, struct timespec *);
typedef int (*Wait) (int, struct epoll_event *, int, int);

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	const char *rate = getenv("CLARI_CLOCK_RATE");
	int			result = ((GetTime) dlsym(RTLD_NEXT, "clock_gettime")) (clock, now);
	static long long start = 0;
	long long	time;

	if (result != 0 || clock != CLOCK_BOOTTIME || rate == NULL)
		return result;
	time = now->tv_sec * SECOND + now->tv_nsec;
	if (start == 0)
		start = time;
	time = start + (time - start) * atoll(rate);
	now->tv_sec = time / SECOND;
	now->tv_nsec = time % SECOND;
	return 0;
}

int
epoll_wait(int set, struct epoll_event *events, int n_events, int milliseconds)
{
	const char *rate = getenv("CLARI_SLEEP_RATE");

	if (milliseconds > 0 && rate != NULL)
		milliseconds = milliseconds / atoi(rate) + 1;
	return ((Wait) dlsym(RTLD_NEXT, "epoll_wait")) (set, events, n_events, milliseconds);
}
