/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json_split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_tree.h"

struct heard {
    struct sw_buf text; /* the objects, one a line */
    unsigned n;
    int fail_at; /* the object that each() fails at; 0: none */
};

static int hear(void *ctx, const struct sw_json *object, struct sw_err *err)
{
    struct heard *h = ctx;

    if (h->fail_at && ++h->n == (unsigned)h->fail_at)
        return sw_err_set(err, SW_ERR_CANCELLED, "enough");
    sw_json_print(&h->text, object);
    sw_buf_puts(&h->text, "\n");
    return 0;
}

/* Push text in two pieces, each in a heap block of its own size; 0 or -1. */
static int split(const char *text, size_t n, size_t border, const char *array, size_t max,
                 struct heard *h, struct sw_json **rest, struct sw_err *err)
{
    struct sw_json_split s;
    size_t at[] = { 0, border, n };
    int done = 0;

    sw_json_split_init(&s, array, max);
    for (int i = 0; done == 0 && i < 2; i++) {
        size_t len = at[i + 1] - at[i];
        sw_autofree char *piece = malloc(len + !len);

        assert_non_null(piece);
        memcpy(piece, text + at[i], len);
        done = sw_json_split_push(&s, piece, len, hear, h, err);
    }
    if (done == 0)
        done = sw_json_split_end(&s, rest, err);
    sw_json_split_done(&s);
    return done;
}

#define STREAM "{\"a\":\"}{\\\"\\\\\"}\n{\"b\":[{},[]]}  {\"c\":\"\\u007b\"}\r\n{}"
#define STREAM_HEARD "{\"a\":\"}{\\\"\\\\\"}\n{\"b\":[{},[]]}\n{\"c\":\"{\"}\n{}\n"

static void a_sequence_is_the_same_for_every_border(void **state)
{
    for (size_t border = 0; border <= strlen(STREAM); border++) {
        struct heard h = { .text = SW_BUF_INIT(4096) };
        struct sw_err err = { 0 };

        if (split(STREAM, strlen(STREAM), border, NULL, 100, &h, NULL, &err) < 0)
            fail_msg("border %zu: %s", border, err.msg);
        assert_string_equal(sw_buf_str(&h.text), STREAM_HEARD);
        sw_buf_done(&h.text);
    }
}

#define LIST                                                                                       \
    "{\"kind\":\"items\",\"x\":{\"items\":[1]},\"metadata\":{\"continue\":\"[{\"}, \"items\" : [ " \
    "{\"n\":1}\n,"                                                                                 \
    "{\"n\":[{\"items\":[{}]}]} ] ,\"z\":null}\n"

static void a_list_is_the_same_for_every_border(void **state)
{
    for (size_t border = 0; border <= strlen(LIST); border++) {
        struct heard h = { .text = SW_BUF_INIT(4096) };
        sw_auto_json struct sw_json *rest = NULL;
        struct sw_err err = { 0 };

        if (split(LIST, strlen(LIST), border, "items", 100, &h, &rest, &err) < 0)
            fail_msg("border %zu: %s", border, err.msg);
        assert_string_equal(sw_buf_str(&h.text), "{\"n\":1}\n{\"n\":[{\"items\":[{}]}]}\n");
        assert_string_equal(sw_json_text(rest, "metadata.continue"), "[{");
        assert_int_equal(sw_json_type(sw_json_find(rest, "items")), SW_JSON_ARRAY);
        assert_int_equal(sw_json_length(sw_json_find(rest, "items")), 0);
        assert_int_equal(sw_json_length(sw_json_find(rest, "x.items")), 1);
        sw_buf_done(&h.text);
    }
}

static void refuses_every_truncation(void **state)
{
    static const char one[] = "{\"a\":[{\"b\":\"c\"}]}";

    for (size_t cut = 1; cut < strlen(one); cut++) {
        struct heard h = { .text = SW_BUF_INIT(4096) };
        struct sw_err err = { 0 };

        assert_int_equal(split(one, cut, cut / 2, NULL, 100, &h, NULL, &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
        assert_int_equal(h.text.n, 0);
    }
    for (size_t cut = 0; cut < strlen(LIST) - 1; cut++) {
        struct heard h = { .text = SW_BUF_INIT(4096) };
        sw_auto_json struct sw_json *rest = NULL;
        struct sw_err err = { 0 };

        assert_int_equal(split(LIST, cut, cut / 2, "items", 100, &h, &rest, &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
        sw_buf_done(&h.text);
    }
}

static void refuses_what_is_no_sequence_of_objects(void **state)
{
    static const struct {
        const char *text, *array;
    } table[] = {
        { "[{}]", NULL },
        { "{},{}", NULL },
        { "{}x", NULL },
        { "}", NULL },
        { "null", NULL },
        { "\"s\"", NULL },
        { "{\"a\":]}", NULL },
        { "{\"a\" 1}", NULL },
        { "[]", "items" },
        { "{\"items\":[]}{}", "items" },
        { "{\"items\":[]}]", "items" },
        { "{\"items\":[1]}", "items" },
        { "{\"items\":[null]}", "items" },
        { "{\"items\":[{}{}]}", "items" },
        { "{\"items\":[{},]}", "items" },
        { "{\"items\":[,{}]}", "items" },
        { "{\"items\":[{},,{}]}", "items" },
        { "{\"items\":[{]}]}", "items" },
        { "{\"items\":[}", "items" },
        { "{\"items\" []}", "items" },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        struct heard h = { .text = SW_BUF_INIT(4096) };
        sw_auto_json struct sw_json *rest = NULL;
        struct sw_err err = { 0 };

        if (split(table[i].text, strlen(table[i].text), 1, table[i].array, 100, &h, &rest, &err) ==
            0)
            fail_msg("taken: %s", table[i].text);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
        sw_buf_done(&h.text);
    }
}

static void a_list_without_items_is_told_from_an_empty_one(void **state)
{
    static const char *const texts[] = { "{\"items\":null}", "{\"kind\":\"Status\"}",
                                         "{\"it\\u0065ms\":[{}]}" };

    for (size_t i = 0; i < SW_COUNT(texts); i++) {
        struct heard h = { .text = SW_BUF_INIT(4096) };
        sw_auto_json struct sw_json *rest = NULL;
        struct sw_err err = { 0 };

        assert_int_equal(split(texts[i], strlen(texts[i]), 3, "items", 100, &h, &rest, &err), 0);
        assert_int_equal(h.text.n, 0);
        /* An escaped name goes with the rest, where the parser sees it. */
        assert_int_equal(sw_json_length(sw_json_find(rest, "items")), i == 2 ? 1 : 0);
    }
}

static void bounds_one_object_and_not_their_number(void **state)
{
    static const char text[] = "{\"a\":12345}{\"a\":12345}{\"a\":12345}";

    for (size_t max = 10; max <= 12; max++) {
        struct heard h = { .text = SW_BUF_INIT(4096) };
        struct sw_err err = { 0 };
        int done = split(text, strlen(text), 5, NULL, max, &h, NULL, &err);

        assert_int_equal(done, max < 11 ? -1 : 0);
        if (done < 0)
            assert_int_equal(err.kind, SW_ERR_BAD_DATA);
        sw_buf_done(&h.text);
    }
}

static void stops_where_its_caller_fails(void **state)
{
    struct heard h = { .text = SW_BUF_INIT(4096), .fail_at = 2 };
    struct sw_err err = { 0 };

    assert_int_equal(split("{\"a\":1}{}{}", 11, 0, NULL, 100, &h, NULL, &err), -1);
    assert_int_equal(err.kind, SW_ERR_CANCELLED);
    assert_int_equal(h.n, 2);
    sw_buf_done(&h.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sequence_is_the_same_for_every_border),
        cmocka_unit_test(a_list_is_the_same_for_every_border),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(refuses_what_is_no_sequence_of_objects),
        cmocka_unit_test(a_list_without_items_is_told_from_an_empty_one),
        cmocka_unit_test(bounds_one_object_and_not_their_number),
        cmocka_unit_test(stops_where_its_caller_fails),
    };
    return cmocka_run_group_tests_name("common/json_split", tests, NULL, NULL);
}
