/*
 * bare_libcurl.c
 *		The floor for the benchmark warm_call: the same requests with libcurl's
 *		easy interface and nothing around it.
 *
 * Usage: bare_libcurl URL COUNT; prints the microseconds of one request.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static size_t
count_bytes(char *data, size_t size, size_t n, void *context)
{
	(void) data;
	*(size_t *) context += size * n;
	return size * n;
}

static double
microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec * 1e6 + (double) now.tv_nsec / 1e3;
}

int
main(int argc, char **argv)
{
	CURL	   *easy = curl_easy_init();
	struct curl_slist *headers = curl_slist_append(NULL, "apikey: demo-key");
	int			count = argc == 3 ? atoi(argv[2]) : 0;
	size_t		bytes = 0;
	double		start;

	if (easy == NULL || headers == NULL || count < 1)
		return 2;
	curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, count_bytes);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, &bytes);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);

	/* The first request opens the connection. */
	if (curl_easy_perform(easy) != CURLE_OK)
		return 1;
	start = microseconds();
	for (int i = 0; i < count; i++)
		if (curl_easy_perform(easy) != CURLE_OK)
			return 1;
	printf("%.1f\n", (microseconds() - start) / count);

	curl_slist_free_all(headers);
	curl_easy_cleanup(easy);
	return 0;
}
