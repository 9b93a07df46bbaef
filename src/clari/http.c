/*
 * http.c
 *		HTTP transfers over libcurl that a latch can interrupt.
 *
 * libcurl tells through callbacks which sockets and what timer it waits for.
 * The sockets go into an epoll set of our own the moment they are named, so
 * that the kernel's view and libcurl's never differ: a socket that is closed
 * may return under the same number a moment later, as those do with which
 * libcurl waits for a name to be resolved. http_wait() waits for that set, the
 * process's latch and the postmaster's death in one WaitEventSet, which never
 * changes. Three rules hold throughout this file:
 *
 * - No callback may raise an error: a longjmp out of libcurl leaves its handle
 *	 unusable. They use malloc, note what went wrong, and return.
 * - Signals are blocked while libcurl acts on sockets and timers, since the
 *	 thread that it may start then to resolve a name inherits the mask and must
 *	 not run PostgreSQL's handlers.
 * - Whatever is kept here belongs to this process, is made on first use after
 *	 the fork, and is not shared.
 */
#include "postgres.h"

#include <curl/curl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/ilist.h"
#include "lib/pairingheap.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif
#include "utils/memutils.h"

#include "clari/http.h"
#include "clock.h"
#include "core/retry_after.h"

#define USER_AGENT			"clari_export/1.0"
#define KEPT_CONNECTIONS	16
#define KEPT_HANDLES		16
#define FIRST_BODY_SIZE		8192
#define MOST_RESERVED		(1024 * 1024)
#define LONGEST_SLEEP		SECONDS(3600)	/* of one system call */
#define EVENTS_AT_ONCE		16
#define ROUNDS_OF_EVENTS	256

/* Of all headers of a reply, those of interim ones included. */
#define MAX_HEADERS_SIZE	(64 * 1024)
#define MAX_HEADERS			256

/* Of a transfer whose time-out counts from the last byte: no drip lasts for ever. */
#define LONGEST_TRANSFER	SECONDS(3600)

struct Transfer
{
	dlist_node	node;			/* in finished, while it is to be told */
	bool		to_be_told;
	void	   *owner;
	pairingheap_node by_deadline;	/* in running, until it ends */
	CURL	   *easy;
	struct curl_slist *headers;
	char		error[TRANSFER_ERROR_SIZE];

	char	   *body;			/* malloc'd, NUL-terminated once finished */
	size_t		body_size;
	size_t		body_allocated;
	size_t		max_size;
	size_t		max_refusal_size;
	bool		too_large;
	size_t		headers_size;
	int			n_headers;

	Share	   *share;			/* NULL: it never waits for room */
	dlist_node	paused_node;	/* in paused */
	bool		is_paused;		/* it is in there */
	Instant		paused_at;

	bool		out_of_memory;

	Instant		deadline;
	Instant		last_deadline;	/* whatever arrives until then */
	Duration	timeout;
	bool		timeout_is_idle;
	curl_off_t	bytes_at_deadline;	/* received when the deadline was set */

	bool		finished;
	Reply		reply;
};

StaticAssertDecl(TRANSFER_ERROR_SIZE >= CURL_ERROR_SIZE, "libcurl writes so much");

static CURLM *multi = NULL;
static int	compare_deadlines(const pairingheap_node *a, const pairingheap_node *b, void *arg);

/* The transfer with the first deadline is on top. */
static pairingheap running = {.ph_compare = compare_deadlines};
static dlist_head finished = DLIST_STATIC_INIT(finished);
static dlist_head paused = DLIST_STATIC_INIT(paused);
static CURL *kept_handles[KEPT_HANDLES];
static int	n_kept_handles = 0;

/* What libcurl waits for. */
static int	sockets = -1;		/* an epoll set */
static int	sockets_error = 0;	/* errno of a change that it refused */
static Instant timer_due = INSTANT_NEVER;

/* The latch, the postmaster, and the sockets as one. */
static WaitEventSet *wait_set = NULL;

static int
compare_deadlines(const pairingheap_node *a, const pairingheap_node *b, void *arg pg_attribute_unused())
{
	Instant		deadline_a = pairingheap_const_container(Transfer, by_deadline, a)->deadline;
	Instant		deadline_b = pairingheap_const_container(Transfer, by_deadline, b)->deadline;

	return (deadline_a < deadline_b) - (deadline_a > deadline_b);
}

static sigset_t
block_signals(void)
{
	sigset_t	all;
	sigset_t	before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	return before;
}

static void
restore_signals(sigset_t before)
{
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ----------
 * libcurl's callbacks
 * ----------
 */

/* Have the kernel watch a socket for these events, whether it does already or not. */
static bool
watch_socket(curl_socket_t fd, uint32 events)
{
	struct epoll_event event = {.events = events,.data.fd = fd};

	return epoll_ctl(sockets, EPOLL_CTL_ADD, fd, &event) == 0 ||
		(errno == EEXIST && epoll_ctl(sockets, EPOLL_CTL_MOD, fd, &event) == 0);
}

/* A socket that is closed already has left the set by itself. */
static int
socket_callback(CURL *easy pg_attribute_unused(), curl_socket_t fd, int what,
				void *context pg_attribute_unused(),
				void *socket_context pg_attribute_unused())
{
	uint32		events = ((what & CURL_POLL_IN) ? EPOLLIN : 0) |
		((what & CURL_POLL_OUT) ? EPOLLOUT : 0);

	if (what == CURL_POLL_REMOVE)
		epoll_ctl(sockets, EPOLL_CTL_DEL, fd, NULL);
	else if (!watch_socket(fd, events))
		sockets_error = errno;
	return 0;
}

static int
timer_callback(CURLM *handle pg_attribute_unused(), long milliseconds,
			   void *context pg_attribute_unused())
{
	timer_due = milliseconds < 0 ? INSTANT_NEVER : clock_now() + MILLISECONDS(milliseconds);
	return 0;
}

/* Sockets count against the server's limit of open files. */
static curl_socket_t
open_socket_callback(void *context pg_attribute_unused(),
					 curlsocktype purpose pg_attribute_unused(),
					 struct curl_sockaddr *address)
{
	curl_socket_t fd;

	if (!AcquireExternalFD())
		return CURL_SOCKET_BAD;
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd == CURL_SOCKET_BAD)
		ReleaseExternalFD();
	return fd;
}

static int
close_socket_callback(void *context pg_attribute_unused(), curl_socket_t fd)
{
	ReleaseExternalFD();
	return close(fd);
}

/* What is announced may not come. */
static size_t
first_size(Transfer *transfer)
{
	curl_off_t	announced = -1;

	curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
	announced = Min(announced, MOST_RESERVED);
	return Max((size_t) Max(announced, 0) + 1, (size_t) FIRST_BODY_SIZE);
}

static bool
make_room(Transfer *transfer, size_t needed)
{
	size_t		wanted = transfer->body_allocated;
	char	   *grown;

	if (needed <= wanted)
		return true;
	if (wanted == 0)
		wanted = first_size(transfer);
	while (wanted < needed)
		wanted += wanted / 2;

	grown = realloc(transfer->body, wanted);
	if (grown == NULL)
		return false;
	transfer->body = grown;
	transfer->body_allocated = wanted;
	return true;
}

static long
http_status_of(const Transfer *transfer)
{
	long		http_status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &http_status);
	return http_status;
}

static bool
is_refusal(const Transfer *transfer)
{
	return http_status_of(transfer) != 200;
}

/* Stop reading until there is room. What libcurl has read comes again then. */
static size_t
pause_transfer(Transfer *transfer)
{
	transfer->is_paused = true;
	transfer->paused_at = clock_now();
	dlist_push_tail(&paused, &transfer->paused_node);
	return CURL_WRITEFUNC_PAUSE;
}

static size_t
write_callback(char *data, size_t size, size_t n, void *context)
{
	Transfer   *transfer = context;
	size_t		max_size = is_refusal(transfer) ?
		Min(transfer->max_size, transfer->max_refusal_size) : transfer->max_size;

	n *= size;
	if (transfer->body_size + n > max_size)
	{
		transfer->too_large = true;
		return 0;
	}
	if (transfer->share != NULL && !share_grow(transfer->share, transfer->body_size + n))
		return pause_transfer(transfer);
	if (!make_room(transfer, transfer->body_size + n + 1))
	{
		transfer->out_of_memory = true;
		return 0;
	}
	memcpy(transfer->body + transfer->body_size, data, n);
	transfer->body_size += n;
	return n;
}

/* libcurl keeps every header: no reply is given more than an honest one needs. */
static size_t
header_callback(char *data pg_attribute_unused(), size_t size, size_t n, void *context)
{
	Transfer   *transfer = context;

	transfer->headers_size += size * n;
	return transfer->headers_size > MAX_HEADERS_SIZE || ++transfer->n_headers > MAX_HEADERS ? 0 : size * n;
}

/* ----------
 * Starting a transfer
 * ----------
 */

static WaitEventSet *
new_wait_set(int size)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, size);
#else
	return CreateWaitEventSet(TopMemoryContext, size);
#endif
}

/* What to wait for; whatever has been made stays for the next try. */
static void
make_wait_set(void)
{
	if (sockets < 0)
	{
		if (!AcquireExternalFD())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("could not wait for the network: %m")));
		sockets = epoll_create1(EPOLL_CLOEXEC);
		if (sockets < 0)
		{
			ReleaseExternalFD();
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("could not wait for the network: %m")));
		}
	}
	if (wait_set != NULL)
		return;
	wait_set = new_wait_set(3);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, sockets, NULL, NULL);
	if (IsUnderPostmaster)
		AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
}

static void
start_libcurl(void)
{
	make_wait_set();
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		multi = curl_multi_init();
	if (multi == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not initialize libcurl")));

	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_callback);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_callback);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) KEPT_CONNECTIONS);
}

static CURL *
take_handle(void)
{
	return n_kept_handles > 0 ? kept_handles[--n_kept_handles] : curl_easy_init();
}

/*
 * Give up a handle, or keep it: it keeps its buffers, its connections are the
 * multi handle's. One that was stopped on its way is in a state of its own: of
 * some of these, libcurl does not take the options of a new request.
 */
static void
put_handle(CURL *easy, bool has_replied)
{
	if (!has_replied || n_kept_handles == KEPT_HANDLES)
	{
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	kept_handles[n_kept_handles++] = easy;
}

/* Append "name: value"; false when memory is short. */
static bool
add_header(Transfer *transfer, const char *header)
{
	struct curl_slist *longer = curl_slist_append(transfer->headers, header);

	if (longer == NULL)
		return false;
	transfer->headers = longer;
	return true;
}

static bool
set_headers(Transfer *transfer, const HttpRequest *request)
{
	char	   *key = psprintf("apikey: %s", request->api_key);
	bool		done = add_header(transfer, key) &&
		add_header(transfer, "Expect:") &&
		(request->body == NULL || add_header(transfer, "Content-Type: application/json"));

	explicit_bzero(key, strlen(key));
	pfree(key);
	return done &&
		curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers) == CURLE_OK;
}

static bool
set_target(CURL *easy, const HttpRequest *request)
{
	char	   *url = psprintf("%s%s", request->base_url, request->path);
	bool		done = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK &&
		(request->body == NULL ||
		 curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body) == CURLE_OK);

	pfree(url);
	return done;
}

/*
 * Redirects stay off, since the apikey header would follow them to another
 * host; so does the environment's proxy, which is the server's and not the
 * user's. One request uses one connection (HTTP/1.1), so that a submission on
 * a fresh one is sent once: libcurl repeats a request only where a kept
 * connection turns out to be dead. The fresh one is not kept either, so that
 * dead connections do not pile up, each good for one repetition more.
 */
static bool
set_rules(CURL *easy, const HttpRequest *request)
{
	return curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https,http") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long) ROOM_READ_SIZE) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->fresh_connection ? 1L : 0L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, request->fresh_connection ? 1L : 0L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
						 (long) Max(request->connect_timeout / MILLISECONDS(1), 1)) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PROXY, request->proxy != NULL ? request->proxy : "") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_NOPROXY, "") == CURLE_OK &&
#if LIBCURL_VERSION_NUM >= 0x075700
		/* Do not wait for a name that is still being resolved. */
		curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
#endif
		(request->ca_file == NULL ||
		 curl_easy_setopt(easy, CURLOPT_CAINFO, request->ca_file) == CURLE_OK);
}

static bool
set_callbacks(Transfer *transfer)
{
	CURL	   *easy = transfer->easy;

	return curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, write_callback) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_callback) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket_callback) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket_callback) == CURLE_OK;
}

static bool
prepare(Transfer *transfer, const HttpRequest *request)
{
	transfer->easy = take_handle();
	return transfer->easy != NULL &&
		set_callbacks(transfer) &&
		set_rules(transfer->easy, request) &&
		set_target(transfer->easy, request) &&
		set_headers(transfer, request);
}

Transfer *
transfer_start(const HttpRequest *request)
{
	Transfer   *transfer;

	if (multi == NULL)
		start_libcurl();

	transfer = calloc(1, sizeof(Transfer));
	if (transfer == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	transfer->max_size = (size_t) request->max_reply_size;
	transfer->max_refusal_size = (size_t) request->max_refusal_size;
	transfer->share = request->share;
	transfer->timeout = request->timeout;
	transfer->timeout_is_idle = request->timeout_is_idle;
	transfer->deadline = clock_now() + request->timeout;
	transfer->last_deadline = clock_now() + Max(request->timeout, LONGEST_TRANSFER);
	transfer->owner = request->owner;
	pairingheap_add(&running, &transfer->by_deadline);

	if (!prepare(transfer, request) ||
		curl_multi_add_handle(multi, transfer->easy) != CURLM_OK)
	{
		transfer_free(transfer);
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not set up an HTTP request")));
	}
	return transfer;
}

/* ----------
 * Ending a transfer
 * ----------
 */

static Delivery
failed_delivery(Transfer *transfer, CURLcode code)
{
	long		bytes_sent = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &bytes_sent);

	if (transfer->too_large)
		return DELIVERY_TOO_LARGE;
	if (http_status_of(transfer) > 0 && bytes_sent > 0)
		return DELIVERY_CUT_SHORT;
	if (bytes_sent > 0)
		return DELIVERY_LOST;
	switch (code)
	{
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_ENGINE_INITFAILED:
		case CURLE_URL_MALFORMAT:
		case CURLE_UNSUPPORTED_PROTOCOL:
			return DELIVERY_NOT_TRUSTED;
		default:
			return DELIVERY_NOT_SENT;
	}
}

/* Of several Retry-After headers the longest wait counts: none is too early. */
static Duration
read_retry_after(CURL *easy)
{
	struct curl_header *header;
	struct curl_header *date;
	Duration	longest = RETRY_AFTER_NONE;

	for (size_t i = 0; curl_easy_header(easy, "Retry-After", i, CURLH_HEADER, -1, &header) == CURLHE_OK; i++)
	{
		/* Looking a header up may reuse the storage of the one before. */
		char	   *value = strdup(header->value);

		if (curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &date) != CURLHE_OK)
			date = NULL;
		if (value != NULL)
			longest = Max(longest, retry_after_read(value, date != NULL ? date->value : NULL, clock_unix_now()));
		free(value);
	}
	return longest;
}

/* The Date header in milliseconds since 1970; 0 where there is none. The replies of a second have the same. */
static int64
read_date(CURL *easy)
{
	static char last_text[64] = "";
	static Instant last_date = 0;
	struct curl_header *header;

	if (curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &header) != CURLHE_OK ||
		strlen(header->value) >= sizeof(last_text))
		return 0;
	if (strcmp(header->value, last_text) != 0)
	{
		strlcpy(last_text, header->value, sizeof(last_text));
		if (!http_date_read(header->value, clock_unix_now(), &last_date))
			last_date = 0;
	}
	return last_date / MILLISECONDS(1);
}

static void
forget_pause(Transfer *transfer)
{
	if (transfer->is_paused)
		dlist_delete(&transfer->paused_node);
	transfer->is_paused = false;
}

/* Fill in the reply; code is libcurl's verdict. */
static void
end_transfer(Transfer *transfer, CURLcode code)
{
	Reply	   *reply = &transfer->reply;

	/* A refusal is one without its words, too. */
	if (transfer->too_large && is_refusal(transfer))
	{
		transfer->body_size = 0;
		code = CURLE_OK;
	}
	if (code == CURLE_OK && transfer->body == NULL && !make_room(transfer, 1))
		transfer->out_of_memory = true;
	if (code == CURLE_OK && !transfer->out_of_memory)
		transfer->body[transfer->body_size] = '\0';

	reply->delivery = code == CURLE_OK ? DELIVERY_REPLIED : failed_delivery(transfer, code);
	reply->http_status = (int) http_status_of(transfer);
	reply->body = reply->delivery == DELIVERY_REPLIED && transfer->body != NULL ? transfer->body : "";
	reply->body_size = reply->delivery == DELIVERY_REPLIED ? transfer->body_size : 0;
	reply->retry_after = read_retry_after(transfer->easy);
	reply->date = read_date(transfer->easy);
	if (transfer->error[0] == '\0')
		strlcpy(transfer->error, curl_easy_strerror(code), TRANSFER_ERROR_SIZE);
	transfer->finished = true;
	forget_pause(transfer);
	pairingheap_remove(&running, &transfer->by_deadline);
	transfer->to_be_told = true;
	dlist_push_tail(&finished, &transfer->node);
}

bool
transfers_are_running(void)
{
	return !pairingheap_is_empty(&running);
}

void *
transfer_next_finished(void)
{
	Transfer   *transfer;

	if (dlist_is_empty(&finished))
		return NULL;
	transfer = dlist_container(Transfer, node, dlist_pop_head_node(&finished));
	transfer->to_be_told = false;
	return transfer->owner;
}

/*
 * Whether a reply is no answer to the request: a proxy that gives up an idle
 * connection may say so with a 408 that nobody asked for, and libcurl takes it
 * for the reply to what was sent next on that connection.
 */
static bool
was_not_asked_for(const Transfer *transfer)
{
	long		connections = 1;

	curl_easy_getinfo(transfer->easy, CURLINFO_NUM_CONNECTS, &connections);
	return http_status_of(transfer) == 408 && connections == 0;
}

/* Send a request again, on a connection of its own: at most once. */
static bool
send_again(Transfer *transfer)
{
	curl_multi_remove_handle(multi, transfer->easy);
	transfer->body_size = 0;
	transfer->headers_size = 0;
	transfer->n_headers = 0;
	transfer->error[0] = '\0';
	return curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
		curl_multi_add_handle(multi, transfer->easy) == CURLM_OK;
}

/* Collect what libcurl has finished. Returns true if there was anything. */
static bool
collect_finished(void)
{
	CURLMsg    *message;
	int			left;
	bool		any = false;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		Transfer   *transfer;
		CURLcode	code;

		if (message->msg != CURLMSG_DONE)
			continue;
		code = message->data.result;	/* the message goes with the handle */
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer);
		if (was_not_asked_for(transfer) && send_again(transfer))
			continue;
		end_transfer(transfer, code);
		any = true;
	}
	return any;
}

static void
set_deadline(Transfer *transfer, Instant deadline)
{
	pairingheap_remove(&running, &transfer->by_deadline);
	transfer->deadline = deadline;
	pairingheap_add(&running, &transfer->by_deadline);
}

/*
 * A transfer has reached its deadline. One that may take long as long as
 * bytes arrive gets a new one if they did, or if we do not let them.
 */
static bool
expire(Transfer *transfer, Instant now)
{
	curl_off_t	received = 0;

	if (transfer->is_paused)
	{
		set_deadline(transfer, now + transfer->timeout);
		return false;
	}
	if (transfer->timeout_is_idle)
		curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
	if (received > transfer->bytes_at_deadline && now < transfer->last_deadline)
	{
		transfer->bytes_at_deadline = received;
		set_deadline(transfer, instant_earlier(now + transfer->timeout, transfer->last_deadline));
		return false;
	}
	curl_multi_remove_handle(multi, transfer->easy);
	snprintf(transfer->error, TRANSFER_ERROR_SIZE, "no reply within %.3f s",
			 (double) (now < transfer->last_deadline ? transfer->timeout : LONGEST_TRANSFER) / SECONDS(1));
	end_transfer(transfer, CURLE_OPERATION_TIMEDOUT);
	return true;
}

/* The transfer whose deadline comes first, or NULL. */
static Transfer *
first_to_expire(void)
{
	return pairingheap_is_empty(&running) ? NULL :
		pairingheap_container(Transfer, by_deadline, pairingheap_first(&running));
}

static bool
expire_overdue(Instant now)
{
	Transfer   *transfer;
	bool		any = false;

	while ((transfer = first_to_expire()) != NULL && now >= transfer->deadline)
		any |= expire(transfer, now);
	return any;
}

static void
forget_key(Transfer *transfer)
{
	for (struct curl_slist *header = transfer->headers; header != NULL; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(transfer->headers);
}

void
transfer_free(Transfer *transfer)
{
	if (transfer == NULL)
		return;
	if (transfer->easy != NULL)
	{
		curl_multi_remove_handle(multi, transfer->easy);
		put_handle(transfer->easy, transfer->finished && transfer->reply.delivery == DELIVERY_REPLIED);
	}
	forget_key(transfer);

	forget_pause(transfer);
	if (!transfer->finished)
		pairingheap_remove(&running, &transfer->by_deadline);
	if (transfer->to_be_told)
		dlist_delete(&transfer->node);
	free(transfer->body);
	free(transfer);
}

const Reply *
transfer_reply(const Transfer *transfer)
{
	if (transfer->out_of_memory)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("A reply of more than %zu bytes could not be stored.", transfer->body_size)));
	return transfer->finished ? &transfer->reply : NULL;
}

void
transfer_forget_body(Transfer *transfer)
{
	free(transfer->body);
	transfer->body = NULL;
	transfer->body_size = 0;
	transfer->reply.body = "";
	transfer->reply.body_size = 0;
}

const char *
transfer_error(const Transfer *transfer)
{
	return transfer->error;
}

/* ----------
 * Waiting
 * ----------
 */

/* Let libcurl act on a socket, or on its timer (CURL_SOCKET_TIMEOUT). */
static void
run_libcurl(curl_socket_t fd, int what)
{
	int			running;
	sigset_t	before = block_signals();

	curl_multi_socket_action(multi, fd, what, &running);
	restore_signals(before);
}

/*
 * The time of its pause does not count. What libcurl has kept goes through
 * write_callback(); if that refuses it, libcurl itself would go on.
 */
static void
resume(Transfer *transfer)
{
	Instant		now = clock_now();
	sigset_t	before;
	CURLcode	code;

	forget_pause(transfer);
	transfer->last_deadline += now - transfer->paused_at;
	set_deadline(transfer, instant_earlier(now + transfer->timeout, transfer->last_deadline));
	before = block_signals();
	code = curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
	restore_signals(before);
	if (code == CURLE_OK)
		return;
	curl_multi_remove_handle(multi, transfer->easy);
	end_transfer(transfer, code);
}

void
transfers_resume(void)
{
	dlist_iter	iter;
	int			n = 0;

	dlist_foreach(iter, &paused)
		n++;
	/* Those that are paused again stand at the end then. */
	while (n-- > 0 && !dlist_is_empty(&paused))
	{
		Transfer   *transfer = dlist_head_element(Transfer, paused_node, &paused);

		if (share_may_grow(transfer->share))
			resume(transfer);
		else
			dlist_move_tail(&paused, &transfer->paused_node);
	}
}

/* Let libcurl act on the sockets that are ready. Returns whether there may be more. */
static bool
run_sockets(void)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int			n = epoll_wait(sockets, events, EVENTS_AT_ONCE, 0);

	for (int i = 0; i < n; i++)
		run_libcurl(events[i].data.fd,
					((events[i].events & EPOLLIN) ? CURL_CSELECT_IN : 0) |
					((events[i].events & EPOLLOUT) ? CURL_CSELECT_OUT : 0) |
					((events[i].events & (EPOLLERR | EPOLLHUP)) ? CURL_CSELECT_ERR : 0));
	return n == EVENTS_AT_ONCE;
}

/*
 * Before a transfer is given up: we may have been busy, and its reply there.
 * A socket that is never empty is not read for ever.
 */
static void
run_all_sockets(void)
{
	int			left = ROUNDS_OF_EVENTS;

	while (run_sockets() && --left > 0)
		;
}

/* Returns true if a transfer ended. */
static bool
run_timers(void)
{
	Instant		now = clock_now();
	bool		any;

	if (now >= timer_due)
	{
		timer_due = INSTANT_NEVER;
		run_libcurl(CURL_SOCKET_TIMEOUT, 0);
	}
	any = collect_finished();
	if (first_to_expire() != NULL && now >= first_to_expire()->deadline)
	{
		run_all_sockets();
		any |= collect_finished();
	}
	any |= expire_overdue(now);
	return any;
}

static long
sleep_milliseconds(Instant until)
{
	Instant		now = clock_now();
	const Transfer *transfer = first_to_expire();

	until = instant_earlier(until, timer_due);
	if (transfer != NULL)
		until = instant_earlier(until, transfer->deadline);
	if (until == INSTANT_NEVER)
		return -1;
	if (until <= now)
		return 0;
	/* Rounded up: waking too early would only mean to sleep once more. */
	return (long) ((instant_earlier(until - now, LONGEST_SLEEP) + 999) / 1000);
}

/* A socket that the kernel does not watch would never wake us. */
static void
check_sockets(void)
{
	if (sockets_error == 0)
		return;
	errno = sockets_error;
	sockets_error = 0;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("could not wait for a connection to Clari: %m")));
}

void
http_wait(Instant until, uint32 wait_event)
{
	WaitEvent	events[2];
	int			n;

	if (multi == NULL)
		start_libcurl();
	if (run_timers())
		return;

	check_sockets();
	n = WaitEventSetWait(wait_set, sleep_milliseconds(until), events, lengthof(events), wait_event);
	for (int i = 0; i < n; i++)
	{
		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		if (events[i].events & WL_SOCKET_READABLE)
			run_sockets();
	}
	run_timers();
}
