/*
 * test_base_url.c
 *		Which addresses an API key may be sent to.
 */
#include "unit.h"

#include "core/base_url.h"

static const char *const good[] = {
	"https://api.clari.com/v4", "https://api.clari.com", "https://api.clari.com/", "https://api.clari.com/v4/",
	"HTTPS://API.clari.com:8443/a-b_c.d~e/v4", "https://10.0.0.1/v4", "https://[2001:db8::1]:444/v4",
	"http://localhost:8080/v4", "http://LocalHost/v4", "http://127.0.0.1/v4", "http://127.255.255.254:1/v4",
	"http://[::1]:65535/v4", "https://a.b/.well-known/v4", "https://a.b/..v4/x..",
};

static const char *const bad[] = {
	"", "api.clari.com/v4", "ftp://localhost/v4", "https:/a.b/v4", "https:///v4", "https://", "//a.b/v4", " https://a.b",
	"https://a.b/v4?", "https://a.b/v4?key=1", "https://a.b/v4#", "https://a.b/v4#x", "http://127.0.0.1:80/admin#",
	"http://127.0.0.1:80/admin?", "https://a.b?", "https://a.b#", "https://user@a.b/v4", "https://user:word@a.b/v4", "https://@a.b/v4",
	"https://a.b/v4%23", "https://a.b/v4%3f", "https://a.b/v4%00", "https://a.b%2f/v4", "https://a.b/v4;x", "https://a.b/v4\\x",
	"https://a.b\\@c.d/v4", "https://a.b/v 4", "https://a.b/v4 ", "https://a.b/v4\n", "https://a.b/v4\r\nX: y", "https://a.b/v4\t",
	"https://a.b/v4\x7f", "https://a.b/\xc3\xbc", "https://\xc3\xbc.b/v4", "https://a.b/../v4", "https://a.b/v4/..", "https://a.b/./v4",
	"https://a..b/v4", "https://.a/v4", "https://a.b./v4", "https://a.b:/v4", "https://a.b:0/v4", "https://a.b:65536/v4",
	"https://a.b:123456/v4", "https://a.b:+80/v4", "https://a.b:80x/v4", "https://[::1/v4", "https://[::1]x/v4", "https://[fe80::1%eth0]/v4",
	"https://[1]/v4", "http://api.clari.com/v4", "http://localhost./v4", "http://localhost.example.com/v4", "http://127.0.0.1.example.com",
	"http://127.1/v4", "http://2130706433/v4", "http://0177.0.0.1/v4", "http://0x7f.0.0.1/v4", "http://0.0.0.0/v4", "http://128.0.0.1/v4",
	"http://[::ffff:127.0.0.1]/v4", "http://[::]/v4", "http://[::2]/v4", "http://localhost@a.b/v4", "http://a.b#@localhost/v4",
};

static void
good_urls_are_accepted(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (base_url_problem(good[i]) != NULL)
			fail_msg("\"%s\": %s", good[i], base_url_problem(good[i]));
}

static void
bad_urls_are_refused(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (base_url_problem(bad[i]) == NULL)
			fail_msg("\"%s\" was accepted", bad[i]);
}

static void
long_urls_are_refused(void **state)
{
	char		url[BASE_URL_MAX_LENGTH + 2] = "https://a.b/";
	char		host[400] = "https://";

	(void) state;
	memset(url + 12, 'x', BASE_URL_MAX_LENGTH - 12);
	assert_null(base_url_problem(url));
	url[BASE_URL_MAX_LENGTH] = 'x';
	assert_non_null(base_url_problem(url));
	memset(host + 8, 'x', 253);
	assert_null(base_url_problem(host));
	host[8 + 253] = 'x';
	assert_non_null(base_url_problem(host));
}

static void
assert_origin(const char *url, const char *expected)
{
	char		origin[BASE_URL_ORIGIN_SIZE];

	base_url_origin(url, origin);
	assert_string_equal(origin, expected);
}

static void
an_origin_has_one_spelling(void **state)
{
	(void) state;
	assert_origin("https://api.clari.com/v4", "https://api.clari.com:443");
	assert_origin("HTTPS://API.Clari.Com:443/v5/", "https://api.clari.com:443");
	assert_origin("https://api.clari.com:0443", "https://api.clari.com:443");
	assert_origin("http://localhost/v4", "http://localhost:80");
	assert_origin("http://[::1]:8080/v4", "http://[::1]:8080");
}

static void
a_plain_url_is_known(void **state)
{
	(void) state;
	assert_true(base_url_is_plain("http://localhost/v4"));
	assert_true(base_url_is_plain("HTTP://127.0.0.1"));
	assert_false(base_url_is_plain("https://localhost/v4"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_urls_are_accepted),
		cmocka_unit_test(bad_urls_are_refused),
		cmocka_unit_test(long_urls_are_refused),
		cmocka_unit_test(an_origin_has_one_spelling),
		cmocka_unit_test(a_plain_url_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
