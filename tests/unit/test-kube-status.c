/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static struct sw_kube_status parse(const char *text, unsigned http)
{
    struct sw_kube_status s;

    sw_kube_status_parse(text, strlen(text), http, &s);
    return s;
}

static void reads_what_the_server_says(void **state)
{
    struct sw_kube_status s = parse("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":"
                                    "\"Failure\",\"message\":\"pods \\\"a\\\" not found\","
                                    "\"reason\":\"NotFound\",\"details\":{\"name\":\"a\",\"kind\":"
                                    "\"pods\",\"group\":\"g\",\"uid\":\"u-1\","
                                    "\"retryAfterSeconds\":7},\"code\":404}",
                                    404);
    struct sw_err err = { 0 };

    assert_int_equal(s.code, 404);
    assert_true(sw_kube_status_is(&s, "NotFound"));
    assert_false(sw_kube_status_is(&s, "Not"));
    assert_false(sw_kube_status_is(NULL, "NotFound"));
    assert_string_equal(s.message, "pods \"a\" not found");
    assert_string_equal(s.details_name, "a");
    assert_string_equal(s.details_kind, "pods");
    assert_string_equal(s.details_group, "g");
    assert_string_equal(s.details_uid, "u-1");
    assert_int_equal(s.retry_after_s, 7);
    assert_int_equal(sw_kube_status_err(&s, &err), -1);
    assert_int_equal(err.kind, SW_ERR_NOT_FOUND);
    assert_string_equal(err.msg, "404 NotFound: pods \"a\" not found");
}

static void makes_one_of_what_is_none(void **state)
{
    struct sw_kube_status s = parse("<html>\x1b[31mBad Gateway</html>", 503);
    struct sw_kube_status empty = parse("", 429);

    assert_int_equal(s.code, 503);
    assert_string_equal(s.reason, "ServiceUnavailable");
    assert_string_equal(s.message, "<html> [31mBad Gateway</html>");
    assert_int_equal(empty.code, 429);
    assert_string_equal(empty.reason, "TooManyRequests");
    assert_true(empty.is_not_performed);
    assert_string_equal(empty.message, "");
    assert_string_equal(parse("{\"kind\":\"Status\"}", 409).reason, "Conflict");
    assert_string_equal(parse("{\"kind\":\"Status\",\"code\":70000}", 409).reason, "Conflict");
    assert_string_equal(parse("{\"kind\":\"Pod\"}", 200).reason, "");
}

static void cuts_long_texts_between_characters(void **state)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(1 << 20);
    struct sw_kube_status s;

    sw_buf_puts(&text, "{\"kind\":\"Status\",\"reason\":\"");
    for (int i = 0; i < 100; i++)
        sw_buf_puts(&text, "\xc3\xa9");
    sw_buf_puts(&text, "\"}");
    sw_kube_status_parse(text.p, text.n, 500, &s);
    assert_int_equal(strlen(s.reason), 62); /* 63 would be half of a character */
}

static void every_code_is_a_decision(void **state)
{
    static const struct {
        unsigned code;
        enum sw_err_kind kind;
    } table[] = {
        { 400, SW_ERR_USAGE },     { 401, SW_ERR_DENIED },      { 403, SW_ERR_DENIED },
        { 404, SW_ERR_NOT_FOUND }, { 405, SW_ERR_UNSUPPORTED }, { 406, SW_ERR_UNSUPPORTED },
        { 408, SW_ERR_TRANSIENT }, { 409, SW_ERR_TRANSIENT },   { 410, SW_ERR_NOT_FOUND },
        { 413, SW_ERR_USAGE },     { 415, SW_ERR_UNSUPPORTED }, { 422, SW_ERR_USAGE },
        { 429, SW_ERR_TRANSIENT }, { 500, SW_ERR_TRANSIENT },   { 501, SW_ERR_UNSUPPORTED },
        { 503, SW_ERR_TRANSIENT }, { 504, SW_ERR_TRANSIENT },   { 505, SW_ERR_UNSUPPORTED },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        struct sw_kube_status s = parse("", table[i].code);
        struct sw_err err = { 0 };

        assert_int_equal(sw_kube_status_err(&s, &err), -1);
        assert_int_equal(err.kind, table[i].kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_server_says),
        cmocka_unit_test(makes_one_of_what_is_none),
        cmocka_unit_test(cuts_long_texts_between_characters),
        cmocka_unit_test(every_code_is_a_decision),
    };
    return cmocka_run_group_tests_name("kube/status", tests, NULL, NULL);
}
