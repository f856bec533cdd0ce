/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static struct sw_json *parse(const char *text)
{
    struct sw_err err = { 0 };
    struct sw_json *doc = NULL;

    if (sw_json_parse(text, strlen(text), 4096, &doc, &err) < 0)
        fail_msg("%s: %s", text, err.msg);
    return doc;
}

static void assert_refused(const char *text, size_t n, const char *why)
{
    struct sw_err err = { 0 };
    struct sw_json *doc = NULL;

    if (sw_json_parse(text, n, 4096, &doc, &err) == 0)
        fail_msg("accepted: %s", text);
    assert_null(doc);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    if (!strstr(err.msg, why))
        fail_msg("'%s' does not say '%s'", err.msg, why);
}

static void finds_values_by_path(void **state)
{
    sw_auto_json struct sw_json *doc = parse(
        "{\"spec\":{\"source\":{\"http\":{\"url\":\"https://x/\"}},\"n\":42,\"b\":true},"
        "\"items\":[{\"name\":\"a\"},null,{\"name\":\"b\"}],\"k.with/dots\":\"v\"}");
    sw_autofree char *url = NULL, *name = NULL, *dotted = NULL;
    struct sw_err err = { 0 };
    uint64_t n = 0;
    bool b = false;

    assert_int_equal(sw_json_get_str(doc, "spec.source.http.url", 100, &url, &err), 1);
    assert_string_equal(url, "https://x/");
    assert_int_equal(sw_json_get_u64(doc, "spec.n", &n, &err), 1);
    assert_int_equal(n, 42);
    assert_int_equal(sw_json_get_bool(doc, "spec.b", &b, &err), 1);
    assert_true(b);
    assert_int_equal(sw_json_get_str(doc, "items.2.name", 100, &name, &err), 1);
    assert_string_equal(name, "b");
    assert_int_equal(sw_json_get_str(sw_json_member(doc, "k.with/dots"), "", 10, &dotted, &err), 1);
    assert_string_equal(dotted, "v");
    assert_int_equal(sw_json_length(sw_json_find(doc, "items")), 3);
    assert_null(sw_json_at(sw_json_find(doc, "items"), 1));
}

static void takes_absent_and_null_for_nothing(void **state)
{
    sw_auto_json struct sw_json *doc = parse("{\"a\":null,\"s\":\"x\",\"l\":[1]}");
    sw_auto_json struct sw_json *null = parse("null");
    static const char *const paths[] = { "a", "b", "a.b", "s.t", "l.1", "l.x", "l.-1", "..", "a." };
    struct sw_err err = { 0 };
    char *text = NULL;
    uint64_t n = 7;
    bool b = true;

    for (size_t i = 0; i < SW_COUNT(paths); i++) {
        assert_int_equal(sw_json_get_str(doc, paths[i], 10, &text, &err), 0);
        assert_int_equal(sw_json_get_u64(doc, paths[i], &n, &err), 0);
        assert_int_equal(sw_json_get_bool(doc, paths[i], &b, &err), 0);
        assert_int_equal(sw_json_get_bool(null, paths[i], &b, &err), 0);
    }
    assert_null(text);
    assert_int_equal(n, 7);
    assert_int_equal(sw_json_length(NULL), 0);
}

static void refuses_other_types_by_name(void **state)
{
    sw_auto_json struct sw_json *doc = parse("{\"s\":\"1\",\"i\":1,\"d\":1.0,\"neg\":-1,"
                                             "\"nan\":NaN,\"o\":{},\"zero\":0,"
                                             "\"max\":18446744073709551614}");
    static const char *const not_u64[] = { "s", "d", "neg", "nan", "o", "" };
    struct sw_err err = { 0 };
    char *text = NULL;
    uint64_t n = 0;
    bool b = false;

    for (size_t i = 0; i < SW_COUNT(not_u64); i++) {
        assert_int_equal(sw_json_get_u64(doc, not_u64[i], &n, &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    }
    assert_int_equal(sw_json_get_u64(doc, "zero", &n, &err), 1);
    assert_int_equal(sw_json_get_u64(doc, "max", &n, &err), 1);
    assert_true(n == UINT64_MAX - 1);
    assert_int_equal(sw_json_get_str(doc, "i", 10, &text, &err), -1);
    assert_string_equal(err.msg, "'i' is not a string but of type int");
    assert_int_equal(sw_json_get_bool(doc, "i", &b, &err), -1);
}

/* json-c 0.16 clamps such numbers, 0.18 refuses them when it parses. */
static void refuses_numbers_past_64_bits(void **state)
{
    static const char *const texts[] = { "18446744073709551616", "-99999999999999999999", "1e30" };

    for (size_t i = 0; i < SW_COUNT(texts); i++) {
        sw_auto_json struct sw_json *doc = NULL;
        struct sw_err err = { 0 };
        uint64_t n = 0;

        if (sw_json_parse(texts[i], strlen(texts[i]), 100, &doc, &err) == 0)
            assert_int_equal(sw_json_get_u64(doc, "", &n, &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    }
}

static void keeps_every_character(void **state)
{
    sw_auto_json struct sw_json *doc = parse("{\"n\xc3\xa4"
                                             "me\":\"\xc2\x80 \xe6\xbc\xa2 \xf0\x9f\x98\x80 "
                                             "\xf4\x8f\xbf\xbf\"}");
    sw_autofree char *text = NULL;
    struct sw_err err = { 0 };

    assert_int_equal(sw_json_get_str(doc,
                                     "n\xc3\xa4"
                                     "me",
                                     100, &text, &err),
                     1);
    assert_string_equal(text, "\xc2\x80 \xe6\xbc\xa2 \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf");
}

static void refuses_what_is_not_utf8(void **state)
{
    static const char *const bad[] = { "\"\xff\"",     "\"\xc3\"",         "\"\xc3(\"",
                                       "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
                                       "\"\xe6\xbc" };

    for (size_t i = 0; i < SW_COUNT(bad); i++)
        assert_refused(bad[i], strlen(bad[i]), "invalid UTF-8 at byte 1");
}

static void bounds_strings(void **state)
{
    sw_auto_json struct sw_json *doc = parse("{\"four\":\"abcd\",\"nul\":\"a\\u0000b\"}");
    sw_autofree char *text = NULL;
    struct sw_err err = { 0 };

    assert_int_equal(sw_json_get_str(doc, "four", 3, &text, &err), -1);
    assert_string_equal(err.msg, "'four' is 4 bytes long, at most 3 are taken");
    assert_int_equal(sw_json_get_str(doc, "nul", 10, &text, &err), -1);
    assert_null(text);
    assert_int_equal(sw_json_get_str(doc, "four", 4, &text, &err), 1);
    assert_string_equal(text, "abcd");
}

static void refuses_what_is_not_json(void **state)
{
    static const char *const bad[] = { "{}x",        "[1,]",    "'a'",   "nullx", "01",
                                       "{\"a\":1,}", "// c\n1", "{a:1}", "[1]]" };
    static const char *const cut[] = { "", " ", "[", "{\"a\"", "\"abc", "tru", "-" };

    for (size_t i = 0; i < SW_COUNT(bad); i++)
        assert_refused(bad[i], strlen(bad[i]), "at byte");
    for (size_t i = 0; i < SW_COUNT(cut); i++)
        assert_refused(cut[i], strlen(cut[i]), "not JSON");
    assert_refused("[1]\0", 4, "at byte 3");
}

static void refuses_every_truncation(void **state)
{
    static const char whole[] = "{\"a\":[1,-2.5e3,true,null,\"x\\u00e9\\n\"],\"b\":{\"c\":\"\"}}";

    for (size_t n = 0; n < sizeof(whole) - 1; n++) {
        char *cut = malloc(n ? n : 1); /* exactly as long: ASan sees any byte read past it */

        assert_non_null(cut);
        memcpy(cut, whole, n);
        assert_refused(cut, n, "not JSON");
        free(cut);
    }
    sw_json_free(parse(whole));
}

static void limits_depth_and_length(void **state)
{
    char text[2 * SW_JSON_MAX_DEPTH + 4];
    struct sw_err err = { 0 };
    struct sw_json *doc = NULL;

    for (size_t depth = SW_JSON_MAX_DEPTH; depth <= SW_JSON_MAX_DEPTH + 1; depth++) {
        memset(text, '[', depth);
        text[depth] = '1';
        memset(text + depth + 1, ']', depth);
        text[2 * depth + 1] = '\0';
        if (depth <= SW_JSON_MAX_DEPTH)
            sw_json_free(parse(text));
        else
            assert_refused(text, 2 * depth + 1, "too deep");
    }

    assert_int_equal(sw_json_parse("[1]", 3, 2, &doc, &err), -1);
    assert_string_equal(err.msg, "JSON text of 3 bytes, at most 2 are taken");
    assert_int_equal(sw_json_parse("[1]", 3, 3, &doc, &err), 0);
    sw_json_free(doc);
}

static void writes_nested_values_with_commas_where_they_belong(void **state)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(1024);
    struct sw_json_writer w;

    sw_json_writer_init(&w, &out);
    sw_json_begin_object(&w, NULL);
    sw_json_put_str(&w, "s", "a\"b\\");
    sw_json_put_str(&w, "none", NULL);
    sw_json_begin_array(&w, "list");
    sw_json_put_u64(&w, NULL, UINT64_MAX);
    sw_json_put_i64(&w, NULL, INT64_MIN);
    sw_json_begin_object(&w, NULL);
    sw_json_end(&w);
    sw_json_begin_array(&w, NULL);
    sw_json_end(&w);
    sw_json_end(&w);
    sw_json_put_bool(&w, "last", false);
    sw_json_end(&w);
    assert_string_equal(out.p, "{\"s\":\"a\\\"b\\\\\",\"none\":null,"
                               "\"list\":[18446744073709551615,-9223372036854775808,{},[]],"
                               "\"last\":false}");
    sw_json_free(parse(out.p));
}

static void quotes_any_bytes_as_valid_json(void **state)
{
    static const struct {
        const char *in, *out;
    } table[] = {
        { "plain é 漢 😀", "\"plain é 漢 😀\"" },
        { "\n\t\x1f\x7f", "\"\\u000a\\u0009\\u001f\\u007f\"" },
        { "\xc2\x9b", "\"\\u009b\"" },                  /* CSI: drives a terminal       */
        { "\xff", "\"\xef\xbf\xbd\"" },                 /* no such byte                 */
        { "\xc3", "\"\xef\xbf\xbd\"" },                 /* cut                          */
        { "\xc3(", "\"\xef\xbf\xbd(\"" },               /* what follows is kept         */
        { "\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\"" }, /* overlong NUL                 */
        { "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* a surrogate      */
        { "\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        sw_autobuf struct sw_buf out = SW_BUF_INIT(1024);

        sw_json_quote(&out, table[i].in);
        assert_string_equal(out.p, table[i].out);
        sw_json_free(parse(out.p));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_values_by_path),
        cmocka_unit_test(takes_absent_and_null_for_nothing),
        cmocka_unit_test(refuses_other_types_by_name),
        cmocka_unit_test(refuses_numbers_past_64_bits),
        cmocka_unit_test(keeps_every_character),
        cmocka_unit_test(refuses_what_is_not_utf8),
        cmocka_unit_test(bounds_strings),
        cmocka_unit_test(refuses_what_is_not_json),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(limits_depth_and_length),
        cmocka_unit_test(writes_nested_values_with_commas_where_they_belong),
        cmocka_unit_test(quotes_any_bytes_as_valid_json),
    };
    return cmocka_run_group_tests_name("common/json", tests, NULL, NULL);
}
