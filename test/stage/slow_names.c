/*
 * slow_names.c - names under .test, for the processes that preload this library
 *
 * A name ending in .test takes 5 to 50 ms to resolve, as a name on the Internet does, and is then 127.0.0.1.
 * missing.test does not exist; silent.test is a name server that does not answer. All other names go to the C
 * library, whose own resolver cannot be pointed at a port other than 53.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <time.h>

#define DOMAIN ".test"
#define SILENT_SECONDS 20

typedef int (*Resolve) (const char *, const char *, const struct addrinfo *, struct addrinfo **);

static int
resolve(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	return ((Resolve) dlsym(RTLD_NEXT, "getaddrinfo")) (name, service, hints, result);
}

static int
ends_in_domain(const char *name)
{
	size_t		length = strlen(name);

	return length > strlen(DOMAIN) && strcmp(name + length - strlen(DOMAIN), DOMAIN) == 0;
}

/* 5 to 50 ms, another time each time. */
static struct timespec
delay(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (struct timespec) {.tv_nsec = (5 + now.tv_nsec / 1000 % 46) * 1000000L};
}

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
	struct timespec pause;

	if (name == NULL || !ends_in_domain(name))
		return resolve(name, service, hints, result);
	if (strcmp(name, "silent" DOMAIN) == 0)
	{
		pause = (struct timespec) {.tv_sec = SILENT_SECONDS};
		nanosleep(&pause, NULL);
		return EAI_AGAIN;
	}
	pause = delay();
	nanosleep(&pause, NULL);
	if (strcmp(name, "missing" DOMAIN) == 0)
		return EAI_NONAME;
	return resolve("127.0.0.1", service, hints, result);
}
