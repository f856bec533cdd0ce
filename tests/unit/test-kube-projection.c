/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/projection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static struct sw_json *parse(const char *text)
{
    struct sw_json *doc = NULL;
    struct sw_err err = { 0 };

    if (sw_json_parse(text, strlen(text), 65536, &doc, &err) < 0)
        fail_msg("%s", err.msg);
    return doc;
}

#define POD                                                                                        \
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"annotations\":{\"a.io/"               \
    "x\":\"1\",\"a.io/y\":\"2\","                                                                  \
    "\"b.io/z\":\"3\",\"kubectl.kubernetes.io/"                                                    \
    "last-applied-configuration\":\"{}\"},\"managedFields\":[{\"m\":1}],"                          \
    "\"name\":\"p\",\"namespace\":\"n\",\"resourceVersion\":\"17\",\"uid\":\"u\"},"                \
    "\"spec\":{\"volumes\":[{\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":\"c\"}},{"    \
    "\"name\":\"e\",\"emptyDir\":{}}],"                                                            \
    "\"n\":null,\"containers\":[{\"name\":\"i\",\"env\":[{\"name\":\"E\"}]}]},"                    \
    "\"status\":{\"phase\":\"Running\",\"ready\":true,\"restarts\":3,\"odd\":\"\\u0000\\n\\\"\"}}"

#define META "{\"metadata\":{\"resourceVersion\":\"17\","
#define ID "\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u\"}"

static void keeps_what_the_paths_say(void **state)
{
    static const struct {
        const char *keep[4];
        const char *want;
    } table[] = {
        { { NULL }, META ID "}" },
        { { "status.phase" }, META ID ",\"status\":{\"phase\":\"Running\"}}" },
        { { "status", "-status.odd", "-status.ready" },
          META ID ",\"status\":{\"phase\":\"Running\",\"restarts\":3}}" },
        { { "status.odd" }, META ID ",\"status\":{\"odd\":\"\\u0000\\n\\\"\"}}" },
        { { "spec.volumes.persistentVolumeClaim.claimName" },
          META ID ",\"spec\":{\"volumes\":[{\"persistentVolumeClaim\":{\"claimName\":\"c\"}}]}}" },
        { { "spec.volumes" },
          META ID ",\"spec\":{\"volumes\":[{\"name\":\"v\",\"persistentVolumeClaim\":{"
                  "\"claimName\":\"c\"}},"
                  "{\"name\":\"e\",\"emptyDir\":{}}]}}" },
        { { "spec.n" }, META ID ",\"spec\":{\"n\":null}}" },
        { { "spec.nothing.at.all", "status.phase.deeper" }, META ID "}" },
        { { "metadata.annotations" },
          META "\"annotations\":{\"a.io/x\":\"1\",\"a.io/y\":\"2\",\"b.io/z\":\"3\"}," ID "}" },
        { { "metadata.annotations[a.io/*]" },
          META "\"annotations\":{\"a.io/x\":\"1\",\"a.io/y\":\"2\"}," ID "}" },
        { { "metadata.annotations[a.io/*]", "-metadata.annotations[a.io/y]" },
          META "\"annotations\":{\"a.io/x\":\"1\"}," ID "}" },
        { { "metadata.annotations[b.io/z]", "metadata.managedFields" },
          META "\"annotations\":{\"b.io/z\":\"3\"}," ID "}" },
        { { "-metadata.uid", "-metadata.name" }, META ID "}" },
        { { "spec.containers.*.name" },
          META ID ",\"spec\":{\"containers\":[{\"env\":[{\"name\":\"E\"}]}]}}" },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        sw_auto_json struct sw_json *pod = parse(POD);
        sw_autobuf struct sw_buf out = SW_BUF_INIT(4096);
        struct sw_kube_projection *p = NULL;
        struct sw_err err = { 0 };
        size_t rest = 0;

        assert_int_equal(sw_kube_projection_compile(table[i].keep, &p, &err), 0);
        assert_int_equal(sw_kube_project(p, pod, &out, &rest, &err), 0);
        assert_string_equal(sw_buf_str(&out), table[i].want);
        assert_memory_equal(out.p + rest, strchr(table[i].want, '7') + 2, out.n - rest);
        sw_kube_projection_free(p);
    }
}

/* Whatever the projection keeps, it is JSON, and a second projection changes nothing. */
static void projecting_twice_is_projecting_once(void **state)
{
    static const char *const keep[] = { "metadata.annotations", "spec.volumes.name", "status",
                                        NULL };
    sw_auto_json struct sw_json *pod = parse(POD);
    sw_autobuf struct sw_buf once = SW_BUF_INIT(4096), twice = SW_BUF_INIT(4096);
    struct sw_kube_projection *p = NULL;
    struct sw_err err = { 0 };
    size_t rest;

    assert_int_equal(sw_kube_projection_compile(keep, &p, &err), 0);
    assert_int_equal(sw_kube_project(p, pod, &once, &rest, &err), 0);
    sw_auto_json struct sw_json *again = parse(sw_buf_str(&once));
    assert_int_equal(sw_kube_project(p, again, &twice, &rest, &err), 0);
    assert_string_equal(sw_buf_str(&once), sw_buf_str(&twice));
    sw_kube_projection_free(p);
}

static void refuses_paths_and_objects_that_are_none(void **state)
{
    static const char *const paths[] = {
        "", "-", "a..b", "a.", ".a", "a[b", "a[]", "a[b]c", "a.b.c.d.e.f.g.h.i.j.k.l.m",
    };
    static const char *const objects[] = {
        "{}",
        "[]",
        "null",
        "{\"metadata\":{}}",
        "{\"metadata\":{\"name\":7}}",
        "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"x\"}}",
    };
    static const char *const all[] = { "spec", NULL };
    struct sw_kube_projection *p = NULL;
    struct sw_err err = { 0 };
    size_t rest;

    for (size_t i = 0; i < SW_COUNT(paths); i++) {
        const char *const keep[] = { paths[i], NULL };

        err.kind = SW_ERR_NONE;
        if (sw_kube_projection_compile(keep, &p, &err) == 0)
            fail_msg("taken: '%s'", paths[i]);
        assert_int_equal(err.kind, SW_ERR_USAGE);
    }
    assert_int_equal(sw_kube_projection_compile(all, &p, &err), 0);
    for (size_t i = 0; i < SW_COUNT(objects); i++) {
        sw_auto_json struct sw_json *object = parse(objects[i]);
        sw_autobuf struct sw_buf out = SW_BUF_INIT(4096);

        assert_int_equal(sw_kube_project(p, object, &out, &rest, &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    }
    sw_kube_projection_free(p);
}

static void join(void *ctx, const char *text)
{
    sw_buf_puts(ctx, text);
    sw_buf_puts(ctx, "|");
}

static void selects_every_text_at_the_end_of_a_path(void **state)
{
    static const struct {
        const char *path, *want;
    } table[] = {
        { "metadata.uid", "u|" },
        { "metadata.annotations[b.io/z]", "3|" },
        { "metadata.annotations[a.io/*]", "1|2|" },
        { "spec.volumes.name", "v|e|" },
        { "spec.containers.env.name", "E|" },
        { "status.restarts", "3|" },
        { "status.ready", "true|" },
        { "status.odd", "" }, /* a NUL inside */
        { "spec.n", "" },
        { "spec", "" },
        { "metadata.uid.more", "" },
    };
    sw_auto_json struct sw_json *pod = parse(POD);

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        sw_autobuf struct sw_buf out = SW_BUF_INIT(4096);
        struct sw_kube_selector *s = NULL;
        struct sw_err err = { 0 };

        assert_int_equal(sw_kube_selector_compile(table[i].path, &s, &err), 0);
        sw_kube_select(s, pod, join, &out);
        assert_string_equal(sw_buf_str(&out), table[i].want);
        sw_kube_selector_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_the_paths_say),
        cmocka_unit_test(projecting_twice_is_projecting_once),
        cmocka_unit_test(refuses_paths_and_objects_that_are_none),
        cmocka_unit_test(selects_every_text_at_the_end_of_a_path),
    };
    return cmocka_run_group_tests_name("kube/projection", tests, NULL, NULL);
}
