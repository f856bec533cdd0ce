/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/macros.h"
#include "net/http_head.h"

static struct sw_http_head head;

/* Lines separated by '\n', each from a block of its own size. */
static const struct sw_http_head *parse(const char *text)
{
    head = (struct sw_http_head){ 0 };
    while (*text) {
        size_t n = strcspn(text, "\n");
        char *line = malloc(n + 2);

        memcpy(line, text, n);
        memcpy(line + n, "\r\n", 2);
        sw_http_head_line(&head, line, n + 2);
        free(line);
        text += n + (text[n] == '\n');
    }
    return &head;
}

static void reads_a_range_answer(void **state)
{
    const struct sw_http_head *h = parse(
        "HTTP/1.1 206 Partial Content\ncontent-length:  10 \nCONTENT-RANGE: bytes 5-14/100\n"
        "ETag: \"a\"\nLast-Modified: Sun, 01 Mar 2026 10:00:00 GMT\nContent-Type: Text/HTML ; "
        "x=y\n");

    assert_int_equal(h->status, 206);
    assert_string_equal(h->reason, "Partial Content");
    assert_int_equal(h->length, 10);
    assert_int_equal(h->range, SW_HTTP_RANGE_OK);
    assert_int_equal(h->first, 5);
    assert_int_equal(h->last, 14);
    assert_int_equal(h->total, 100);
    assert_string_equal(h->etag, "\"a\"");
    assert_string_equal(h->modified, "Sun, 01 Mar 2026 10:00:00 GMT");
    assert_string_equal(h->type, "text/html");
    assert_false(h->chunked);
}

static void a_status_line_forgets_the_answer_before(void **state)
{
    const struct sw_http_head *h = parse(
        "HTTP/1.1 100 Continue\nETag: \"old\"\n\nHTTP/1.1 200 OK\n");

    assert_int_equal(h->status, 200);
    assert_string_equal(h->etag, "");
    assert_true(h->length == SW_HTTP_UNKNOWN);
}

static void judges_content_range(void **state)
{
    static const struct {
        const char *value;
        enum sw_http_range_answer want;
    } rows[] = {
        { "bytes 0-0/1", SW_HTTP_RANGE_OK },
        { "Bytes 0-9/*", SW_HTTP_RANGE_OK },
        { "bytes */77", SW_HTTP_RANGE_UNSAT },
        { "bytes 0-1/1", SW_HTTP_RANGE_BAD },
        { "bytes 2-1/9", SW_HTTP_RANGE_BAD },
        { "bytes -1/9", SW_HTTP_RANGE_BAD },
        { "bytes 1-/9", SW_HTTP_RANGE_BAD },
        { "bytes 1/9", SW_HTTP_RANGE_BAD },
        { "bytes 0-1", SW_HTTP_RANGE_BAD },
        { "bytes 0-1/", SW_HTTP_RANGE_BAD },
        { "bytes 0-1/x", SW_HTTP_RANGE_BAD },
        { "bytes 0-1/9 ", SW_HTTP_RANGE_OK },
        { "bytes 0-1/9x", SW_HTTP_RANGE_BAD },
        { "bytes=0-1/9", SW_HTTP_RANGE_BAD },
        { "items 0-1/9", SW_HTTP_RANGE_BAD },
        { "bytes 0-9223372036854775807/*", SW_HTTP_RANGE_OK },
        { "bytes 0-9223372036854775808/*", SW_HTTP_RANGE_BAD },
        { "bytes 0-99999999999999999999999/*", SW_HTTP_RANGE_BAD },
        { "bytes +0-1/9", SW_HTTP_RANGE_BAD },
        { "", SW_HTTP_RANGE_BAD },
        { "/", SW_HTTP_RANGE_BAD },
    };

    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        char text[128];

        snprintf(text, sizeof(text), "HTTP/1.1 206 x\nContent-Range: %s\n", rows[i].value);
        if (parse(text)->range != rows[i].want)
            fail_msg("'%s' gives %d, not %d", rows[i].value, (int)head.range, (int)rows[i].want);
    }
    assert_int_equal(
        parse("HTTP/1.1 206 x\nContent-Range: bytes 0-0/1\nContent-Range: bytes 0-0/1")->range,
        SW_HTTP_RANGE_BAD);
}

static void refuses_odd_status_lines(void **state)
{
    static const char *const bad[] = { "HTTP/1.1",       "HTTP/1.1 ",      "HTTP/1.1 20",
                                       "HTTP/1.1 999 x", "HTTP/1.1 099 x", "HTTP/1.1 +20 x",
                                       "HTTP/1.1 2x0 x" };

    for (size_t i = 0; i < SW_COUNT(bad); i++)
        assert_int_equal(parse(bad[i])->status, 0);
    assert_int_equal(parse("HTTP/1.0 200")->status, 200);
    assert_string_equal(parse("HTTP/1.0 200 a\x1b[1mb\xff")->reason, "a?[1mb?");
}

static void drops_what_is_too_long_or_contradictory(void **state)
{
    char text[SW_HTTP_VALUE_MAX + 64];

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text, "ETag: \"", 7);
    assert_string_equal(parse(text)->etag, "");
    assert_string_equal(parse("ETag: \"a\"\nETag: \"b\"")->etag, "");
    assert_string_equal(parse("ETag: \"a\"\nETag: \"a\"")->etag, "\"a\"");
    assert_string_equal(parse("ETag: \"a\x01\"")->etag, "");
    assert_string_equal(parse("Content-Encoding: \x01")->encoding, "?");
    assert_true(parse("HTTP/1.1 200 x\nContent-Length: -1")->length == SW_HTTP_UNKNOWN);
    assert_int_equal(parse("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT")->retry_after_sec, 0);
    assert_int_equal(parse("Retry-After: 120")->retry_after_sec, 120);
    assert_true(parse("Transfer-Encoding: chunked")->chunked);
}

static void knows_strong_etags(void **state)
{
    assert_true(sw_http_etag_is_strong("\"abc\""));
    assert_true(sw_http_etag_is_strong("\"\""));
    assert_false(sw_http_etag_is_strong("W/\"abc\""));
    assert_false(sw_http_etag_is_strong("abc"));
    assert_false(sw_http_etag_is_strong("\"a\"b\""));
    assert_false(sw_http_etag_is_strong("\"a b\""));
    assert_false(sw_http_etag_is_strong("\""));
    assert_false(sw_http_etag_is_strong(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_range_answer),
        cmocka_unit_test(a_status_line_forgets_the_answer_before),
        cmocka_unit_test(judges_content_range),
        cmocka_unit_test(refuses_odd_status_lines),
        cmocka_unit_test(drops_what_is_too_long_or_contradictory),
        cmocka_unit_test(knows_strong_etags),
    };
    return cmocka_run_group_tests_name("net/http_head", tests, NULL, NULL);
}
