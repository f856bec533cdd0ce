/* SPDX-License-Identifier: Apache-2.0 */
#include "common/yaml_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static int parse(const char *text, struct sw_yaml *y, struct sw_err *err)
{
    *err = (struct sw_err){ 0 };
    return sw_yaml_parse(text, strlen(text), y, err);
}

/* The documents as JSON text, one per line: what the tree holds, and in which types. */
static void expect(const char *yaml, const char *json)
{
    sw_autobuf struct sw_buf out = SW_BUF_INIT(65536);
    sw_autoyaml struct sw_yaml y = { 0 };
    struct sw_err err;

    if (parse(yaml, &y, &err) < 0)
        fail_msg("'%s': %s", yaml, err.msg);
    for (size_t i = 0; i < y.n; i++) {
        struct sw_json_writer w;

        sw_json_writer_init(&w, &out);
        sw_json_put_value(&w, NULL, y.docs[i]);
    }
    assert_string_equal(sw_buf_str(&out), json);
}

static void refuse(const char *yaml, const char *part)
{
    sw_autoyaml struct sw_yaml y = { 0 };
    struct sw_err err;

    if (parse(yaml, &y, &err) == 0)
        fail_msg("accepted '%s'", yaml);
    assert_int_equal(err.kind, SW_ERR_USAGE);
    if (!strstr(err.msg, part))
        fail_msg("'%s' says '%s', not '%s'", yaml, err.msg, part);
    assert_int_equal(y.n, 0);
}

static void makes_the_types_that_kubectl_makes(void **state)
{
    expect("a: 1\nb: -20\nc: 0\nd: 007\ne: 0x10\nf: 1.5\ng: 99999999999999999999\n",
           "{\"a\":1,\"b\":-20,\"c\":0,\"d\":\"007\",\"e\":\"0x10\",\"f\":\"1.5\","
           "\"g\":\"99999999999999999999\"}");
    expect("[yes, No, on, true, FALSE, 'true', \"no\", y]",
           "[true,false,true,true,false,\"true\",\"no\",\"y\"]");
    expect("[~, null, '', ]", "[null,null,\"\"]");
    expect("a:\nb: |\n  x\n  y\n", "{\"a\":null,\"b\":\"x\\ny\\n\"}");
    expect("!!str 12", "\"12\"");
    expect("a: 10Gi", "{\"a\":\"10Gi\"}");
}

static void takes_several_documents_and_json(void **state)
{
    expect("---\n---\na: 1\n---\n# nothing\n---\n[b]\n...\n", "{\"a\":1}[\"b\"]");
    expect("{\"kind\": \"X\", \"n\": {\"deep\": [1, {\"k\": null}]}}",
           "{\"kind\":\"X\",\"n\":{\"deep\":[1,{\"k\":null}]}}");
    expect("", "");
}

static void refuses_what_can_explode(void **state)
{
    refuse("a: &x 1\nb: *x\n", "aliases");
    refuse("a: &a [1]\nb: &b [*a, *a, *a]\n", "aliases");
    refuse("a: {}\n<<: {b: 1}\n", "merge keys");
    refuse("a: 1\nb: 2\na: 3\n", "line 3 column 1: this key is already");
    refuse("{[1]: 2}", "key");
    refuse("{{a: 1}: 2}", "key");
    refuse("a: !!python/object:os.system x\n", "tags");
    refuse("!foo {a: 1}", "tags");
}

static void refuses_what_is_no_yaml(void **state)
{
    refuse("a: [1, 2", "line");
    refuse("a: b: c", "line 1");
    refuse("\tb: 1", "line 1");
    refuse("a: \"\\0\"", "NUL");
    refuse("a: \"\\ud800\"", "line 1");
    refuse("\xff\xfe", "line");
}

static void repeat(struct sw_buf *out, const char *text, size_t n)
{
    while (n--)
        sw_buf_puts(out, text);
}

static void the_depth_limit_is_exact(void **state)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(SW_YAML_MAX_BYTES);
    sw_autoyaml struct sw_yaml y = { 0 };
    struct sw_err err;

    repeat(&text, "[", SW_JSON_MAX_DEPTH);
    sw_buf_puts(&text, "1");
    repeat(&text, "]", SW_JSON_MAX_DEPTH);
    assert_int_equal(parse(text.p, &y, &err), 0);
    sw_buf_reset(&text);
    repeat(&text, "[", SW_JSON_MAX_DEPTH + 1);
    refuse(text.p, "too deep");
    /* Quadratic in some parsers; here it ends at level 33. */
    sw_buf_reset(&text);
    repeat(&text, "[", SW_YAML_MAX_BYTES - 1);
    refuse(text.p, "too deep");
}

static void the_other_limits_hold(void **state)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(2 * SW_YAML_MAX_BYTES);

    repeat(&text, "- 1\n", SW_YAML_MAX_NODES + 1);
    refuse(text.p, "too many values");
    sw_buf_reset(&text);
    repeat(&text, "--- 1\n", SW_YAML_MAX_DOCUMENTS + 1);
    refuse(text.p, "too many documents");
    sw_buf_reset(&text);
    for (int i = 0; i <= SW_YAML_MAX_KEYS; i++)
        sw_buf_printf(&text, "k%d: 1\n", i);
    refuse(text.p, "too many keys");
    sw_buf_reset(&text);
    repeat(&text, "#", SW_YAML_MAX_BYTES + 1);
    refuse(text.p, "at most 1048576");
}

/* Every truncation of a real manifest is refused or gives documents; nothing leaks (ASan). */
static void survives_every_truncation(void **state)
{
    static const char manifest[] = "kind: DataVolume\nmetadata: {name: a, labels: {x: 'y'}}\n"
                                   "spec:\n  source:\n    http: {url: \"http://h/\\u00e9\"}\n"
                                   "  list:\n  - a\n  - b: [1, ~, {}]\n---\nkind: Secret\n";

    for (size_t cut = 0; cut < sizeof(manifest); cut++) {
        sw_autoyaml struct sw_yaml y = { 0 };
        sw_autofree char *exact = strndup(manifest, cut);
        struct sw_err err;

        if (parse(exact, &y, &err) < 0)
            assert_int_equal(err.kind, SW_ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_the_types_that_kubectl_makes),
        cmocka_unit_test(takes_several_documents_and_json),
        cmocka_unit_test(refuses_what_can_explode),
        cmocka_unit_test(refuses_what_is_no_yaml),
        cmocka_unit_test(the_depth_limit_is_exact),
        cmocka_unit_test(the_other_limits_hold),
        cmocka_unit_test(survives_every_truncation),
    };

    return cmocka_run_group_tests_name("common/yaml_tree", tests, NULL, NULL);
}
