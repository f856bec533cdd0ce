/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static struct sw_json *parse(const char *text)
{
    struct sw_json *doc = NULL;
    struct sw_err err = { 0 };

    if (sw_json_parse(text, strlen(text), 4096, &doc, &err) < 0)
        fail_msg("%s: %s", text, err.msg);
    return doc;
}

static void assert_json(const struct sw_json *have, const char *want)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(4096);

    sw_json_print(&out, have);
    assert_string_equal(sw_buf_str(&out), want);
}

static void builds_objects_and_arrays_of_every_type(void **state)
{
    struct sw_json_maker m = { 0 };
    struct sw_err err = { 0 };
    sw_auto_json struct sw_json *root = sw_json_new_object(&m);

    sw_json_set_str(&m, root, "a.b", "text");
    sw_json_set_i64(&m, root, "n", -5);
    sw_json_set_bool(&m, root, "yes", true);
    sw_json_set_null(&m, root, "gone");
    struct sw_json *list = sw_json_enter_array(&m, root, "list");
    sw_json_set_str(&m, list, NULL, "x");
    sw_json_set_copy(&m, list, NULL, root);
    assert_int_equal(sw_json_maker_check(&m, "it", &err), 0);
    assert_json(root, "{\"a.b\":\"text\",\"n\":-5,\"yes\":true,\"gone\":null,\"list\":[\"x\","
                      "{\"a.b\":\"text\",\"n\":-5,\"yes\":true,\"gone\":null,\"list\":[\"x\"]}]}");
}

static void text_that_is_cut_in_a_character_becomes_valid(void **state)
{
    struct sw_json_maker m = { 0 };
    sw_auto_json struct sw_json *root = sw_json_new_object(&m);

    sw_json_set_str(&m, root, "whole", "a\xc3\xa4");
    sw_json_set_str(&m, root, "cut", "a\xc3");
    sw_json_set_str(&m, root, "bad",
                    "\xff\xfe"
                    "b");
    assert_json(root, "{\"whole\":\"a\xc3\xa4\",\"cut\":\"a\xef\xbf\xbd\","
                      "\"bad\":\"\xef\xbf\xbd\xef\xbf\xbd"
                      "b\"}");
}

static void enters_what_is_there_and_replaces_what_has_another_type(void **state)
{
    struct sw_json_maker m = { 0 };
    sw_auto_json struct sw_json *root = parse("{\"o\":{\"x\":1},\"s\":\"text\"}");

    sw_json_set_i64(&m, sw_json_enter_object(&m, root, "o"), "y", 2);
    sw_json_set_i64(&m, sw_json_enter_object(&m, root, "s"), "z", 3);
    assert_json(root, "{\"o\":{\"x\":1,\"y\":2},\"s\":{\"z\":3}}");
}

static void remove_takes_a_literal_key_or_nothing(void **state)
{
    sw_auto_json struct sw_json *root = parse("{\"a.b\":1,\"a\":{\"b\":2}}");

    sw_json_remove(root, "a.b");
    sw_json_remove(root, "never");
    assert_json(root, "{\"a\":{\"b\":2}}");
}

/* The table of RFC 7386, appendix A, without the rows whose documents are no objects at all. */
static void merges_as_rfc_7386_says(void **state)
{
    static const struct {
        const char *target, *patch, *want;
    } rows[] = {
        { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
        { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
        { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
        { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
        { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
        { "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
        { "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
        { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
        { "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
    };

    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        struct sw_json_maker m = { 0 };
        sw_auto_json struct sw_json *target = parse(rows[i].target);
        sw_auto_json struct sw_json *patch = parse(rows[i].patch);

        sw_json_merge(&m, &target, patch);
        assert_false(m.failed);
        assert_json(target, rows[i].want);
    }
}

static void a_difference_merged_gives_the_other_one(void **state)
{
    static const struct {
        const char *from, *to, *patch;
    } rows[] = {
        { "{}", "{}", NULL },
        { "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}", NULL },
        { "{\"a\":1}", "{\"a\":2}", "{\"a\":2}" },
        { "{\"a\":1,\"b\":2}", "{\"b\":2}", "{\"a\":null}" },
        { "{}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}" },
        { "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":3}}", "{\"a\":{\"b\":null,\"c\":3}}" },
        { "{\"a\":[1,2]}", "{\"a\":[1]}", "{\"a\":[1]}" },
        { "{\"a\":{\"b\":1}}", "{\"a\":\"b\"}", "{\"a\":\"b\"}" },
        { "{\"a\":\"b\"}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}" },
    };

    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        struct sw_json_maker m = { 0 };
        sw_auto_json struct sw_json *from = parse(rows[i].from);
        sw_auto_json struct sw_json *to = parse(rows[i].to);
        sw_auto_json struct sw_json *patch = sw_json_diff(&m, from, to);

        if (!rows[i].patch) {
            assert_null(patch);
            continue;
        }
        assert_json(patch, rows[i].patch);
        sw_json_merge(&m, &from, patch);
        assert_true(sw_json_equal(from, to));
    }
}

static void a_failed_maker_does_nothing_and_says_so(void **state)
{
    struct sw_json_maker m = { .failed = true };
    struct sw_err err = { 0 };
    sw_auto_json struct sw_json *root = parse("{}");

    sw_json_set_str(&m, root, "a", "b");
    assert_null(sw_json_enter_object(&m, root, "o"));
    sw_json_set(&m, NULL, "a", NULL);
    assert_json(root, "{}");
    assert_int_equal(sw_json_maker_check(&m, "the claim", &err), -1);
    assert_int_equal(err.kind, SW_ERR_INTERNAL);
    assert_string_equal(err.msg, "out of memory for the claim");
}

static void text_is_borrowed_and_only_of_strings(void **state)
{
    sw_auto_json struct sw_json *root = parse(
        "{\"a\":{\"b\":\"x\"},\"n\":1,\"nul\":\"a\\u0000b\",\"k.l\":\"y\"}");

    assert_string_equal(sw_json_text(root, "a.b"), "x");
    assert_string_equal(sw_json_member_text(root, "k.l"), "y");
    assert_null(sw_json_text(root, "n"));
    assert_null(sw_json_text(root, "nul"));
    assert_null(sw_json_text(NULL, "a"));
    assert_int_equal(sw_json_type(root), SW_JSON_OBJECT);
    assert_int_equal(sw_json_type(NULL), SW_JSON_NULL);
    assert_int_equal(sw_json_type(sw_json_find(root, "n")), SW_JSON_NUMBER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_objects_and_arrays_of_every_type),
        cmocka_unit_test(text_that_is_cut_in_a_character_becomes_valid),
        cmocka_unit_test(enters_what_is_there_and_replaces_what_has_another_type),
        cmocka_unit_test(remove_takes_a_literal_key_or_nothing),
        cmocka_unit_test(merges_as_rfc_7386_says),
        cmocka_unit_test(a_difference_merged_gives_the_other_one),
        cmocka_unit_test(a_failed_maker_does_nothing_and_says_so),
        cmocka_unit_test(text_is_borrowed_and_only_of_strings),
    };

    return cmocka_run_group_tests_name("common/json_tree", tests, NULL, NULL);
}
