/* SPDX-License-Identifier: Apache-2.0 */
#include "common/yaml_put.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "common/yaml_tree.h"

static struct sw_json *tree(const char *json)
{
    struct sw_err err = { 0 };
    struct sw_json *doc = NULL;

    if (sw_json_parse(json, strlen(json), 65536, &doc, &err) < 0)
        fail_msg("'%s': %s", json, err.msg);
    return doc;
}

static void expect(const char *json, const char *yaml)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(65536);
    sw_auto_json struct sw_json *doc = tree(json);

    sw_yaml_put(&out, doc);
    assert_string_equal(sw_buf_str(&out), yaml);
}

static void looks_as_kubectl_prints_it(void **state)
{
    (void)state;
    expect(
        "{\"apiVersion\":\"v1\",\"items\":[{\"kind\":\"DataVolume\",\"metadata\":{\"name\":\"a\"}},"
        "{\"kind\":\"X\"}],\"kind\":\"List\"}",
        "apiVersion: v1\n"
        "items:\n"
        "- kind: DataVolume\n"
        "  metadata:\n"
        "    name: a\n"
        "- kind: X\n"
        "kind: List\n");
    expect("[[1,[2]],{\"a\":[true,null]}]", "- - 1\n  - - 2\n- a:\n  - true\n  - null\n");
    expect("{\"none\":{},\"empty\":[],\"list\":[[],{}],\"nothing\":null}",
           "none: {}\nempty: []\nlist:\n- []\n- {}\nnothing: null\n");
    expect("\"word\"", "word\n");
}

static void quotes_what_would_be_read_as_something_else(void **state)
{
    (void)state;
    expect(
        "[\"true\",\"No\",\"Y\",\"null\",\"~\",\"\",\"1\",\"0x10\",\"2026-11-25\",\"-\",\"- a\"]",
        "- \"true\"\n- \"No\"\n- \"Y\"\n- \"null\"\n- \"~\"\n- \"\"\n- \"1\"\n- \"0x10\"\n"
        "- \"2026-11-25\"\n- \"-\"\n- \"- a\"\n");
    expect(
        "{\"a: b\":\"c:\",\"#\":\"x #y\",\"u\":\"https://h:1/p?q=a\",\"v\":\"https://h:1/p.img\"}",
        "\"a: b\": \"c:\"\n\"#\": \"x #y\"\nu: \"https://h:1/p?q=a\"\nv: https://h:1/p.img\n");
    expect("{\"lines\":\"a\\nb\",\"umlaut\":\"\xc3\xa4\"}",
           "lines: \"a\\u000ab\"\numlaut: \"\xc3\xa4\"\n");
}

/* What is printed reads as the same tree, for every text of one and two characters that matter. */
static void reads_as_the_same_tree(void **state)
{
    static const char matter[] = "aNy0-.:/#&*!|>%@`'\"{}[], ?~\n\t=+_";
    struct sw_err err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(matter); i++) {
        for (size_t k = 0; k < sizeof(matter); k++) {
            sw_autobuf struct sw_buf json = SW_BUF_INIT(1024), out = SW_BUF_INIT(1024);
            const char text[3] = { matter[i], matter[k], '\0' };
            sw_autoyaml struct sw_yaml y = { 0 };

            sw_buf_puts(&json, "[{");
            sw_json_quote(&json, text);
            sw_buf_puts(&json, ":[");
            sw_json_quote(&json, text);
            sw_buf_puts(&json, ",15,-2]}]");
            sw_auto_json struct sw_json *doc = tree(sw_buf_str(&json));
            sw_yaml_put(&out, doc);
            if (sw_yaml_parse(sw_buf_str(&out), out.n, &y, &err) < 0)
                fail_msg("%s gives %s: %s", sw_buf_str(&json), sw_buf_str(&out), err.msg);
            if (y.n != 1 || !sw_json_equal(y.docs[0], doc))
                fail_msg("%s gives %s", sw_buf_str(&json), sw_buf_str(&out));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_as_kubectl_prints_it),
        cmocka_unit_test(quotes_what_would_be_read_as_something_else),
        cmocka_unit_test(reads_as_the_same_tree),
    };
    return cmocka_run_group_tests_name("common/yaml_put", tests, NULL, NULL);
}
