/*
 * fast_clari.c
 *		A simulated Clari for benchmarks: does little, and fast.
 *
 * Usage: fast_clari DURATIONS BASE MULTIPLIER MAX LISTED
 *
 * Jobs take, in milliseconds, what DURATIONS says: uniform:SHORTEST:LONGEST or
 * lognormal:MEDIAN:SIGMA. The n-th job of an API key takes the same time in
 * every run, and jobs of all keys are spread alike. A client is expected to
 * ask for a job BASE ms after its submission's reply and then BASE *
 * MULTIPLIER^n ms after the n-th status reply (n from 0), at most MAX ms; how
 * much later than that its requests arrive is noted. The list of jobs names
 * the latest LISTED.
 *
 * Prints "listening on ADDRESS:PORT" and answers until it is killed.
 * GET /report tells the counters since the last report, as lines of "name value".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_JOBS		1000000
#define MAX_SOCKETS		65536
#define REQUEST_SIZE	8192
#define REPLY_SIZE		(4 * 1024 * 1024)
#define ENTRIES			10
#define MAX_KEYS		1000
#define KEY_SIZE		32
#define LATE_BUCKETS	100000	/* of 0.1 ms */

typedef struct Job
{
	double		begin;			/* in milliseconds, as all times here */
	double		end;
	double		expected;		/* the next status request */
	int			polls;
	bool		seen_done;
} Job;

typedef struct Key
{
	char		name[KEY_SIZE];
	int			n_jobs;
	double		busy;			/* what its jobs take, since the last report */
} Key;

typedef struct Connection
{
	char		request[REQUEST_SIZE];
	size_t		n;
} Connection;

static bool lognormal;
static double least,			/* the shortest, or the median */
			most,				/* the longest, or sigma */
			base,
			multiplier,
			max_delay;
static int	listed;

static Job	jobs[MAX_JOBS];
static int	n_jobs = 0;
static int	running = 0;
static Key	keys[MAX_KEYS];
static int	n_keys = 0;
static Connection *connections[MAX_SOCKETS];
static char reply[REPLY_SIZE];

/* Since the last report. */
static int	submissions,
			polls,
			results,
			connects;
static int	late[LATE_BUCKETS];
static int	n_late;
static double latest;
static int	n_seen_done;
static double overshoot;		/* of all of these: from a job's end to the poll that saw it */

static double
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

/* ----------
 * Jobs
 * ----------
 */

/* Where the n-th job lies among all, from 0 to 1. */
static double
share(int n)
{
	return ((double) ((uint32_t) n * UINT32_C(2654435761)) + 0.5) / 4294967296.0;
}

/* The share of a normal distribution that lies below x standard deviations. */
static double
normal_share(double x)
{
	return 0.5 * erfc(-x / M_SQRT2);
}

static double
normal_quantile(double wanted)
{
	double		low = -6;
	double		high = 6;

	for (int i = 0; i < 50; i++)
	{
		double		middle = (low + high) / 2;

		if (normal_share(middle) < wanted)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static double
duration(int n)
{
	return lognormal ? least * exp(most * normal_quantile(share(n))) : least + share(n) * (most - least);
}

static Key *
key_of(const char *request)
{
	const char *header = strcasestr(request, "\r\napikey: ");
	char		name[KEY_SIZE] = "";

	if (header != NULL)
		sscanf(header + strlen("\r\napikey: "), "%31s", name);
	for (int i = 0; i < n_keys; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	if (n_keys == MAX_KEYS)
	{
		fprintf(stderr, "too many keys\n");
		exit(1);
	}
	strcpy(keys[n_keys].name, name);
	return &keys[n_keys++];
}

static int
new_job(Key *key)
{
	Job		   *job = &jobs[n_jobs];
	double		takes = duration(key->n_jobs++ + 7919 * (int) (key - keys));

	if (n_jobs == MAX_JOBS)
	{
		fprintf(stderr, "too many jobs\n");
		exit(1);
	}
	job->begin = now_ms();
	job->end = job->begin + takes;
	key->busy += takes;
	job->expected = job->begin + base;
	running++;
	submissions++;
	return n_jobs++;
}

static void
note_poll(Job *job)
{
	double		now = now_ms();
	double		lateness = now - job->expected;
	double		delay = base;

	for (int i = 0; i < job->polls && delay < max_delay; i++)
		delay *= multiplier;
	job->polls++;
	job->expected = now + (delay < max_delay ? delay : max_delay);

	if (lateness < 0)
		lateness = 0;
	if (lateness > latest)
		latest = lateness;
	late[lateness * 10 < LATE_BUCKETS ? (int) (lateness * 10) : LATE_BUCKETS - 1]++;
	n_late++;
	polls++;
	if (now >= job->end && !job->seen_done)
	{
		job->seen_done = true;
		n_seen_done++;
		overshoot += now - job->end;
	}
}

/* What the busiest key's jobs take. */
static double
longest_busy(void)
{
	double		longest = 0;

	for (int i = 0; i < n_keys; i++)
		longest = fmax(longest, keys[i].busy);
	return longest;
}

static double
late_percentile(double share_of_all)
{
	int			seen = 0;

	for (int i = 0; i < LATE_BUCKETS; i++)
	{
		seen += late[i];
		if (seen > share_of_all * n_late)
			return i / 10.0;
	}
	return latest;
}

/* ----------
 * Replies
 * ----------
 */

static int
put_job(char *to, int n)
{
	const Job  *job = &jobs[n];
	bool		done = now_ms() >= job->end;

	return sprintf(to,
				   "{\"jobId\":\"%024x\",\"userId\":\"5e1f0e\",\"orgId\":\"acme\",\"title\":\"net_arr\",\"module\":\"FORECAST\","
				   "\"startTime\":%.0f,\"endTime\":%.0f,\"expiredTime\":%.0f,\"version\":1,"
				   "\"fileName\":\"clari_export_forecast_net_arr_2026_Q3_%d.json\",\"fileType\":\"JSON\",\"status\":\"%s\","
				   "\"viewed\":false,\"cellsTruncated\":false,\"rowsTruncated\":false,\"downloads\":0,\"currency\":\"USD\"}",
				   n, job->begin, done ? job->end : 0.0, job->begin + 2592000000.0, n, done ? "DONE" : "STARTED");
}

static int
put_list(char *to)
{
	int			length = sprintf(to, "[");

	for (int n = n_jobs > listed ? n_jobs - listed : 0; n < n_jobs; n++)
	{
		length += put_job(to + length, n);
		to[length++] = ',';
	}
	length -= to[length - 1] == ',';
	to[length++] = ']';
	return length;
}

static int
put_result(char *to)
{
	int			length = sprintf(to, "{\"entries\":[");

	for (int n = 0; n < ENTRIES; n++)
		length += sprintf(to + length,
						  "%s{\"userId\":\"28062%d:00E4M000001RgqRUAS\",\"fieldId\":\"fc_net_commit\",\"timePeriodId\":\"2026_Q3\","
						  "\"timeFrameId\":\"W_01\",\"forecastValue\":%d.5,\"currency\":{\"code\":\"USD\",\"symbol\":\"$\"},\"isUpdated\":false}",
						  n == 0 ? "" : ",", n, 1000 * n);
	length += sprintf(to + length, "],\"users\":[");
	for (int n = 0; n < ENTRIES; n++)
		length += sprintf(to + length,
						  "%s{\"userId\":\"28062%d:00E4M000001RgqRUAS\",\"name\":\"Person %d\",\"email\":\"person%d@example.com\","
						  "\"hierarchyId\":\"00E\",\"hierarchyName\":\"Sales\"}", n == 0 ? "" : ",", n, n, n);
	length += sprintf(to + length,
					  "],\"fields\":[{\"fieldId\":\"fc_net_commit\",\"fieldName\":\"Commit\",\"fieldType\":\"FORECAST\"}],"
					  "\"timePeriods\":[{\"timePeriodId\":\"2026_Q3\",\"type\":\"QUARTER\",\"label\":\"Q3\",\"year\":\"2026\","
					  "\"startDate\":\"2026-07-01\",\"endDate\":\"2026-09-30\"}],"
					  "\"timeFrames\":[{\"timeFrameId\":\"W_01\",\"startDate\":\"2026-07-01\",\"endDate\":\"2026-07-07\"}]}");
	return length;
}

static int
put_report(char *to)
{
	int			length = sprintf(to,
								 "submissions %d\npolls %d\nresults %d\nrunning %d\nconnects %d\n"
								 "late_median %.1f\nlate_p99 %.1f\nlate_max %.1f\novershoot %.3f\nbusy %.1f\n",
								 submissions, polls, results, running, connects,
								 late_percentile(0.5), late_percentile(0.99), latest,
								 n_seen_done > 0 ? overshoot / n_seen_done : 0, longest_busy());

	submissions = polls = results = connects = n_late = n_seen_done = 0;
	latest = overshoot = 0;
	for (int i = 0; i < n_keys; i++)
		keys[i].busy = 0;
	memset(late, 0, sizeof(late));
	return length;
}

/* The body for a request; its length, or -1 if there is no such thing. */
static int
put_body(const char *request, char *to)
{
	char		id[25];
	char	   *end;
	int			n;

	if (strncmp(request, "POST ", 5) == 0)
		return sprintf(to, "{\"jobId\":\"%024x\"}", new_job(key_of(request)));
	if (strncmp(request, "GET /report ", 12) == 0)
		return put_report(to);
	if (strncmp(request, "GET /v4/export/jobs ", 20) == 0)
		return put_list(to);
	if (sscanf(request, "GET /v4/export/jobs/%24[0-9a-f]", id) != 1)
		return -1;
	n = (int) strtol(id, &end, 16);
	if (n < 0 || n >= n_jobs)
		return -1;
	if (strncmp(request + strlen("GET /v4/export/jobs/") + 24, "/results ", 9) == 0)
	{
		running--;
		results++;
		return put_result(to);
	}
	note_poll(&jobs[n]);
	return put_job(to, n);
}

static void
answer(int fd, const char *request)
{
	static char body[REPLY_SIZE - 1024];
	static time_t date_of = 0;
	static char date[64];
	time_t		second = time(NULL);
	int			length = put_body(request, body);
	bool		found = length >= 0;
	int			head;

	if (second != date_of)
	{
		strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime(&second));
		date_of = second;
	}
	if (!found)
		length = sprintf(body, "{\"code\":\"invalid_jobId\",\"message\":\"no such thing\"}");
	head = sprintf(reply, "HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
				   found ? "200 OK" : "400 Bad Request", date, length);
	memcpy(reply + head, body, (size_t) length);
	for (int sent = 0, n; sent < head + length; sent += n)
		if ((n = (int) send(fd, reply + sent, (size_t) (head + length - sent), MSG_NOSIGNAL)) < 0)
			return;				/* the client is gone: its next read says so */
}

/* ----------
 * Connections
 * ----------
 */

/* The length of the complete request that a connection has, or 0. */
static size_t
complete_request(Connection *connection)
{
	char	   *head_end;
	char	   *body;
	size_t		length;

	connection->request[connection->n] = '\0';
	head_end = strstr(connection->request, "\r\n\r\n");
	if (head_end == NULL)
		return 0;
	body = strcasestr(connection->request, "\r\nContent-Length:");
	length = (size_t) (head_end + 4 - connection->request);
	if (body != NULL && body < head_end)
		length += strtoul(body + strlen("\r\nContent-Length:"), NULL, 10);
	return length <= connection->n ? length : 0;
}

static void
close_connection(int fd)
{
	free(connections[fd]);
	connections[fd] = NULL;
	close(fd);
}

static void
read_connection(int fd)
{
	Connection *connection = connections[fd];
	ssize_t		n = read(fd, connection->request + connection->n, REQUEST_SIZE - 1 - connection->n);
	size_t		length;

	if (n <= 0)
	{
		close_connection(fd);
		return;
	}
	connection->n += (size_t) n;
	while ((length = complete_request(connection)) > 0)
	{
		answer(fd, connection->request);
		connection->n -= length;
		memmove(connection->request, connection->request + length, connection->n);
	}
}

static void
watch(int set, int fd)
{
	struct epoll_event event = {.events = EPOLLIN,.data.fd = fd};

	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) != 0)
		fail("epoll_ctl");
}

static void
accept_connection(int set, int listener)
{
	int			fd = accept(listener, NULL, NULL);
	int			one = 1;

	if (fd < 0)
		return;
	if (fd >= MAX_SOCKETS || (connections[fd] = calloc(1, sizeof(Connection))) == NULL)
	{
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	connects++;
	watch(set, fd);
}

static int
open_listener(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t	size = sizeof(address);
	int			listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(listener, 1024) != 0 || getsockname(listener, (struct sockaddr *) &address, &size) != 0)
		fail("listen");
	printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return listener;
}

int
main(int argc, char **argv)
{
	int			listener;
	int			set = epoll_create1(0);

	if (argc != 6 || set < 0 || sscanf(argv[1], "%*[a-z]:%lf:%lf", &least, &most) != 2)
		return 2;
	lognormal = strncmp(argv[1], "lognormal:", 10) == 0;
	base = atof(argv[2]);
	multiplier = atof(argv[3]);
	max_delay = atof(argv[4]);
	listed = atoi(argv[5]);

	listener = open_listener();
	watch(set, listener);
	for (;;)
	{
		struct epoll_event events[64];
		int			n = epoll_wait(set, events, 64, -1);

		if (n < 0 && errno != EINTR)
			fail("epoll_wait");
		for (int i = 0; i < n; i++)
		{
			if (events[i].data.fd == listener)
				accept_connection(set, listener);
			else
				read_connection(events[i].data.fd);
		}
	}
}
