/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "controller/pods.h"

static struct sw_json *parse(const char *text)
{
    struct sw_json *doc = NULL;
    struct sw_err err = { 0 };

    if (sw_json_parse(text, strlen(text), 4096, &doc, &err) < 0)
        fail_msg("%s: %s", text, err.msg);
    return doc;
}

static void expect(const char *template, const char *values, const char *want)
{
    struct sw_json_maker m = { 0 };
    sw_auto_json struct sw_json *t = parse(template);
    sw_auto_json struct sw_json *v = parse(values);
    sw_auto_json struct sw_json *got = sw_template_fill(&m, t, v);
    sw_autobuf struct sw_buf text = SW_BUF_INIT(4096);

    assert_false(m.failed);
    sw_json_print(&text, got);
    assert_string_equal(sw_buf_str(&text), want);
}

static void a_hole_takes_a_value_of_any_type(void **state)
{
    expect("{\"a\":\"${x}\",\"b\":[\"${x}\",1]}", "{\"x\":{\"y\":[2]}}",
           "{\"a\":{\"y\":[2]},\"b\":[{\"y\":[2]},1]}");
}

static void a_hole_without_a_value_is_left_out(void **state)
{
    expect("{\"a\":\"${x}\",\"b\":[\"${x}\",1],\"c\":2}", "{}", "{\"b\":[1],\"c\":2}");
}

static void a_list_is_spread_into_another(void **state)
{
    expect("[0,\"${...x}\",\"${...none}\",9]", "{\"x\":[1,2]}", "[0,1,2,9]");
}

static void an_object_may_depend_on_a_value(void **state)
{
    expect("[{\"?\":\"x\",\"a\":1},{\"?\":\"y\",\"a\":2}]", "{\"y\":false}", "[{\"a\":2}]");
    expect("{\"m\":{\"?\":\"x\",\"a\":1}}", "{}", "{}");
}

static void text_inside_values_is_never_looked_at(void **state)
{
    expect("[\"${x}\",\"${...l}\"]", "{\"x\":\"${y}\",\"y\":1,\"l\":[\"${y}\",{\"?\":\"no\"}]}",
           "[\"${y}\",\"${y}\",{\"?\":\"no\"}]");
}

static void other_text_is_no_hole(void **state)
{
    expect("[\"$x\",\"${x\",\"x${x}\",\"${}\",\"\"]", "{\"x\":1}",
           "[\"$x\",\"${x\",\"x${x}\",\"${}\",\"\"]");
}

static void the_pods_are_json(void **state)
{
    struct sw_json_maker m = { 0 };
    sw_auto_json struct sw_json *importer = sw_pod_template_importer(&m);

    assert_false(m.failed);
    assert_string_equal(sw_json_text(importer, "kind"), "Pod");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hole_takes_a_value_of_any_type),
        cmocka_unit_test(a_hole_without_a_value_is_left_out),
        cmocka_unit_test(a_list_is_spread_into_another),
        cmocka_unit_test(an_object_may_depend_on_a_value),
        cmocka_unit_test(text_inside_values_is_never_looked_at),
        cmocka_unit_test(other_text_is_no_hole),
        cmocka_unit_test(the_pods_are_json),
    };

    return cmocka_run_group_tests_name("controller/template", tests, NULL, NULL);
}
