/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "net/proxy.h"

static void matches_no_proxy_entries(void **state)
{
    static const struct {
        const char *list, *host;
        uint16_t port;
        bool match;
    } rows[] = {
        { "*", "h", 80, true },
        { "a,*,b", "h", 80, true },
        { "example.com", "example.com", 80, true },
        { "example.com", "www.example.com", 80, true },
        { "example.com", "badexample.com", 80, false },
        { "example.com", "example.com.evil", 80, false },
        { "EXAMPLE.com", "www.example.com", 80, true },
        { "example.com.", "example.com", 80, true },
        { "example.com", "example.com.", 80, true },
        { ".example.com", "www.example.com", 80, true },
        { ".example.com", "example.com", 80, false },
        { "*.example.com", "www.example.com", 80, true },
        { "*.example.com", "example.com", 80, false },
        { ".svc,.cluster.local", "registry.infra.svc", 5000, true },
        { "example.com:8080", "example.com", 8080, true },
        { "example.com:8080", "example.com", 80, false },
        { "example.com:x", "example.com", 80, false },
        { "10.1.2.3", "10.1.2.3", 80, true },
        { "10.1.2.3", "10.1.2.30", 80, false },
        { "10.1.2.3:81", "10.1.2.3", 81, true },
        { "10.1.2.3:81", "10.1.2.3", 80, false },
        { "10.0.0.0/8", "10.255.1.1", 80, true },
        { "10.0.0.0/8", "11.0.0.1", 80, false },
        { "172.16.0.0/12", "172.31.255.255", 80, true },
        { "172.16.0.0/12", "172.32.0.0", 80, false },
        { "10.0.0.1/0", "192.0.2.1", 80, true },
        { "192.0.2.4/32", "192.0.2.4", 80, true },
        { "192.0.2.4/32", "192.0.2.5", 80, false },
        { "10.0.0.0/33", "10.0.0.1", 80, false },
        { "10.0.0.0/", "10.0.0.1", 80, false },
        { "10.0.0.0/-1", "10.0.0.1", 80, false },
        { "10.0.0.0/8", "ten.example", 80, false },
        { "fd00::/8", "fd12::1", 80, true },
        { "fd00::/8", "fe80::1", 80, false },
        { "fd00::/8", "10.0.0.1", 80, false },
        { "::/0", "10.0.0.1", 80, false },
        { "0.0.0.0/0", "fd00::1", 80, false },
        { "::ffff:10.0.0.0/104", "10.9.9.9", 80, true },
        { "fd00::1", "fd00:0::1", 80, true },
        { "[fd00::1]", "fd00::1", 80, true },
        { "[fd00::1]:443", "fd00::1", 443, true },
        { "[fd00::1]:443", "fd00::1", 80, false },
        { "[fd00::1]x", "fd00::1", 80, false },
        { "2001:db8:0:f000::/52", "2001:db8:0:ffff::1", 80, true },
        { "2001:db8:0:f000::/52", "2001:db8:0:e000::1", 80, false },
        { " a.b , c.d\t10.0.0.0/8 ", "10.1.1.1", 80, true },
        { " a.b , c.d", "c.d", 80, true },
        { ",,,", "h", 80, false },
        { ".", "h", 80, false },
        { "*.", "h", 80, false },
        { "", "h", 80, false },
        { NULL, "h", 80, false },
        { "1.2.3.4", "4.example", 80, false },
        { "3.4", "1.2.3.4", 80, false },
    };

    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        if (sw_no_proxy_match(rows[i].list, rows[i].host, rows[i].port) != rows[i].match)
            fail_msg("'%s' and %s:%u: expected %s", rows[i].list, rows[i].host, rows[i].port,
                     rows[i].match ? "a match" : "no match");
    }
}

static void skips_an_entry_that_is_too_long(void **state)
{
    char list[700];

    memset(list, 'a', sizeof(list));
    memcpy(list + sizeof(list) - 4, ",h", 3);
    assert_true(sw_no_proxy_match(list, "h", 80));
    list[sizeof(list) - 4] = 'a';
    assert_false(sw_no_proxy_match(list, "h", 80));
}

/* The proxy chosen for url, "" for none, "!" for a refusal. */
static const char *choose(const char *url, const char *forced, const struct sw_proxy_env *env)
{
    static char text[200];
    sw_autourl struct sw_url u = { 0 };
    sw_autofree char *proxy = NULL;
    struct sw_err err = { 0 };

    assert_int_equal(sw_url_parse(url, &u, &err), 0);
    if (sw_proxy_choose(&u, forced, env, &proxy, &err) < 0) {
        assert_int_equal(err.kind, SW_ERR_USAGE);
        assert_null(strstr(err.msg, "hunter2"));
        return "!";
    }
    snprintf(text, sizeof(text), "%s", proxy ? proxy : "");
    return text;
}

static void chooses_by_scheme(void **state)
{
    const struct sw_proxy_env env = { .http_proxy = "http://p1:1",
                                      .https_proxy = "http://u:pw@p2:2",
                                      .no_proxy = "10.0.0.0/8,.svc" };
    const struct sw_proxy_env all = { .all_proxy = "socks5h://p3:3" };

    assert_string_equal(choose("http://h/", NULL, &env), "http://p1:1");
    assert_string_equal(choose("https://h/", NULL, &env), "http://u:pw@p2:2");
    assert_string_equal(choose("https://h/", NULL, &all), "socks5h://p3:3");
    assert_string_equal(choose("https://10.2.3.4/", NULL, &env), "");
    assert_string_equal(choose("https://a.svc/", NULL, &env), "");
    assert_string_equal(choose("https://h/", "", &env), "");
    assert_string_equal(choose("https://10.2.3.4/", "http://f:1", &env), "http://f:1");
}

static void loopback_is_never_sent_to_a_proxy_of_the_environment(void **state)
{
    const struct sw_proxy_env env = { .all_proxy = "http://p:1" };

    assert_string_equal(choose("http://localhost:80/", NULL, &env), "");
    assert_string_equal(choose("http://127.3.2.1/", NULL, &env), "");
    assert_string_equal(choose("http://[::1]/", NULL, &env), "");
    assert_string_equal(choose("http://128.0.0.1/", NULL, &env), "http://p:1");
    assert_string_equal(choose("http://127.0.0.1/", "http://f:1", &env), "http://f:1");
}

static void completes_and_checks_the_proxy(void **state)
{
    const struct sw_proxy_env none = { 0 };

    assert_string_equal(choose("http://h/", "proxy:3128", &none), "http://proxy:3128");
    assert_string_equal(choose("http://h/", "u:p@proxy:3128", &none), "http://u:p@proxy:3128");
    assert_string_equal(choose("http://h/", "HTTPS://proxy", &none), "HTTPS://proxy");
    assert_string_equal(choose("http://h/", "ftp://u:hunter2@proxy", &none), "!");
    assert_string_equal(choose("http://h/", "http://", &none), "!");
    assert_string_equal(choose("http://h/", "http://u:hunter2@", &none), "!");
    assert_string_equal(choose("http://h/", "u:hunter2@", &none), "!");
    assert_string_equal(choose("http://h/", ":3128", &none), "!");
}

static void reads_both_cases_of_the_variables(void **state)
{
    static const char *const names[] = { "http_proxy",  "HTTP_PROXY", "https_proxy",
                                         "HTTPS_PROXY", "all_proxy",  "ALL_PROXY",
                                         "no_proxy",    "NO_PROXY",   "REQUEST_METHOD" };
    struct sw_proxy_env env;

    for (size_t i = 0; i < SW_COUNT(names); i++)
        unsetenv(names[i]);
    sw_proxy_env_load(&env);
    assert_null(env.http_proxy);
    assert_null(env.no_proxy);

    setenv("HTTP_PROXY", "upper", 1);
    setenv("HTTPS_PROXY", "upper", 1);
    setenv("https_proxy", "lower", 1);
    setenv("NO_PROXY", "upper", 1);
    setenv("no_proxy", "", 1); /* empty counts as not set */
    setenv("ALL_PROXY", "upper", 1);
    sw_proxy_env_load(&env);
    assert_string_equal(env.http_proxy, "upper");
    assert_string_equal(env.https_proxy, "lower");
    assert_string_equal(env.no_proxy, "upper");
    assert_string_equal(env.all_proxy, "upper");

    setenv("REQUEST_METHOD", "GET", 1);
    sw_proxy_env_load(&env);
    assert_null(env.http_proxy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_no_proxy_entries),
        cmocka_unit_test(skips_an_entry_that_is_too_long),
        cmocka_unit_test(chooses_by_scheme),
        cmocka_unit_test(loopback_is_never_sent_to_a_proxy_of_the_environment),
        cmocka_unit_test(completes_and_checks_the_proxy),
        cmocka_unit_test(reads_both_cases_of_the_variables),
    };
    return cmocka_run_group_tests_name("net/proxy", tests, NULL, NULL);
}
