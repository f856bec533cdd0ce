/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "net/url.h"

static void parses_the_parts(void **state)
{
    sw_autourl struct sw_url u = { 0 };
    struct sw_err err = { 0 };

    assert_int_equal(
        sw_url_parse("HTTPS://us%40er:p%3Aw@Exam.PLE:8443/a/b%20c.img?sig=1#frag", &u, &err), 0);
    assert_string_equal(u.host, "exam.ple");
    assert_string_equal(u.path, "/a/b%20c.img");
    assert_string_equal(u.user, "us@er");
    assert_string_equal(u.password, "p:w");
    assert_int_equal(u.port, 8443);
    assert_true(u.is_https);
    assert_null(strstr(u.text, "p%3Aw"));
    assert_null(strstr(u.text, "frag"));
    assert_non_null(strstr(u.text, "/a/b%20c.img?sig=1"));
}

static void knows_default_ports_and_ipv6(void **state)
{
    sw_autourl struct sw_url http = { 0 };
    sw_autourl struct sw_url six = { 0 };
    struct sw_err err = { 0 };

    assert_int_equal(sw_url_parse("http://h", &http, &err), 0);
    assert_int_equal(http.port, 80);
    assert_string_equal(http.path, "/");
    assert_int_equal(sw_url_parse("https://[FD00::1]/x", &six, &err), 0);
    assert_int_equal(six.port, 443);
    assert_string_equal(six.host, "fd00::1");
}

static void encodes_blanks_and_8bit_bytes_once(void **state)
{
    sw_autourl struct sw_url u = { 0 };
    struct sw_err err = { 0 };

    assert_int_equal(sw_url_parse("http://h/my disk%20\xc3\xa4.img", &u, &err), 0);
    assert_string_equal(u.text, "http://h/my%20disk%20%c3%a4.img");
}

static void refuses_what_is_no_http_url(void **state)
{
    static const char *const bad[] = { "",
                                       "h/x",
                                       "ftp://h/x",
                                       "file:///etc/passwd",
                                       "http://",
                                       "http:///",
                                       "http://h:0/",
                                       "http://h:99999/",
                                       "http://a b/",
                                       "http://h\x01/",
                                       "nbd://h/",
                                       "http://h\r\nX: y/",
                                       "http://h%7f/",
                                       "http://h%20x/",
                                       "http://a!b/" };

    for (size_t i = 0; i < SW_COUNT(bad); i++) {
        sw_autourl struct sw_url u = { 0 };
        struct sw_err err = { 0 };

        if (sw_url_parse(bad[i], &u, &err) == 0)
            fail_msg("accepted '%s' as '%s'", bad[i], u.text);
        assert_int_equal(err.kind, SW_ERR_USAGE);
    }
}

static void a_refusal_shows_no_secret(void **state)
{
    sw_autourl struct sw_url u = { 0 };
    struct sw_err err = { 0 };

    assert_int_equal(sw_url_parse("ftp://me:hunter2@h/x?token=abc", &u, &err), -1);
    assert_null(strstr(err.msg, "hunter2"));
    assert_null(strstr(err.msg, "abc"));
    assert_int_equal(sw_url_parse("https://me:hunt/er2@h/x", &u, &err), -1);
    assert_null(strstr(err.msg, "er2"));
}

static void resolves_redirects(void **state)
{
    static const struct {
        const char *location, *want;
    } rows[] = {
        { "http://other/z", "http://other/z" },
        { "//other:81/z", "https://other:81/z" },
        { "/z?q=1", "https://h:444/z?q=1" },
        { "z", "https://h:444/a/z" },
        { "../z", "https://h:444/z" },
        { "?q", "https://h:444/a/b?q" },
        { "https://u:p@other/z", "https://other/z" },
        { "z z", "https://h:444/a/z%20z" },
    };
    sw_autourl struct sw_url base = { 0 };
    struct sw_err err = { 0 };

    assert_int_equal(sw_url_parse("https://h:444/a/b?c", &base, &err), 0);
    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        sw_autourl struct sw_url u = { 0 };

        assert_int_equal(sw_url_resolve(&base, rows[i].location, &u, &err), 0);
        assert_string_equal(u.text, rows[i].want);
        assert_null(u.user);
        assert_null(u.password);
    }
}

static void refuses_redirects_to_other_schemes(void **state)
{
    static const char *const bad[] = { "file:///etc/passwd", "ftp://h/x", "gopher://h/",
                                       "javascript:alert(1)", "http://:80/" };
    sw_autourl struct sw_url base = { 0 };
    struct sw_err err = { 0 };

    assert_int_equal(sw_url_parse("https://h/a", &base, &err), 0);
    for (size_t i = 0; i < SW_COUNT(bad); i++) {
        sw_autourl struct sw_url u = { 0 };

        if (sw_url_resolve(&base, bad[i], &u, &err) == 0)
            fail_msg("followed '%s' to '%s'", bad[i], u.text);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    }
}

static void compares_origins(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        { "http://h/a", "http://H:80/b?c", true }, { "https://h/", "https://h:443/", true },
        { "http://h/", "https://h/", false },      { "https://h/", "http://h:443/", false },
        { "http://h/", "http://h:8080/", false },  { "http://h/", "http://x.h/", false },
        { "http://h/", "http://h.evil/", false },  { "http://h@evil/", "http://h/", false },
    };

    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        sw_autourl struct sw_url a = { 0 };
        sw_autourl struct sw_url b = { 0 };
        struct sw_err err = { 0 };

        assert_int_equal(sw_url_parse(rows[i].a, &a, &err), 0);
        assert_int_equal(sw_url_parse(rows[i].b, &b, &err), 0);
        assert_int_equal(sw_url_same_origin(&a, &b), rows[i].same);
    }
}

static void copies_are_independent(void **state)
{
    sw_autourl struct sw_url copy = { 0 };
    struct sw_url u = { 0 };
    struct sw_err err = { 0 };

    assert_int_equal(sw_url_parse("https://u:p@h/a", &u, &err), 0);
    assert_int_equal(sw_url_copy(&u, &copy, &err), 0);
    assert_true(sw_url_same_origin(&u, &copy));
    sw_url_done(&u);
    assert_string_equal(copy.text, "https://h/a");
    assert_string_equal(copy.password, "p");
}

static void names_the_last_segment(void **state)
{
    static const struct {
        const char *path, *want;
    } rows[] = {
        { "/a/disk.qcow2", "disk.qcow2" },
        { "/", "" },
        { "/a/", "" },
        { "/disk%2B1%20x.img", "disk+1 x.img" },
        { "/a%2fb", "a%2fb" },
        { "/a%00b", "a%00b" },
        { "/100%", "100%" },
        { "/x%4", "x%4" },
        { "/%41", "A" },
        { "/d.img?x=/y", "y" },
        { "plain", "plain" },
        { "/a%zz", "a%zz" },
    };

    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        sw_autofree char *name = sw_url_last_segment(rows[i].path);

        assert_string_equal(name, rows[i].want);
    }
}

static void redacts(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "https://h/a", "https://h/a" },
        { "https://u:p@h:1/a", "https://h:1/a" },
        { "https://u@h/a", "https://h/a" },
        { "https://u:p@ss@h/a", "https://h/a" },
        { "https://u:p/w@h/a", "https://h/a" },
        { "https://h:8080/a@b", "https://h:8080/a@b" },
        { "https://[::1]:80/a@b", "https://[::1]:80/a@b" },
        { "https://h/a?X-Amz-Signature=s3cr3t", "https://h/a?..." },
        { "https://h/a#t", "https://h/a" },
        { "https://h/a#t?x", "https://h/a" },
        { "https://h?k=v", "https://h?..." },
        { "nbd+unix:///x?socket=/s", "nbd+unix:///x?socket=/s" },
        { "/srv/disk.img", "/srv/disk.img" },
        { "/srv/me@home.img", "/srv/me@home.img" },
        { "", "" },
    };

    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        sw_autofree char *shown = sw_url_redact(rows[i].text);

        assert_string_equal(shown, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_the_parts),
        cmocka_unit_test(knows_default_ports_and_ipv6),
        cmocka_unit_test(encodes_blanks_and_8bit_bytes_once),
        cmocka_unit_test(refuses_what_is_no_http_url),
        cmocka_unit_test(a_refusal_shows_no_secret),
        cmocka_unit_test(resolves_redirects),
        cmocka_unit_test(refuses_redirects_to_other_schemes),
        cmocka_unit_test(compares_origins),
        cmocka_unit_test(copies_are_independent),
        cmocka_unit_test(names_the_last_segment),
        cmocka_unit_test(redacts),
    };
    return cmocka_run_group_tests_name("net/url", tests, NULL, NULL);
}
