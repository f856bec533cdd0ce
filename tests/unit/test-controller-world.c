/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

#include "tests/fakes/rig.h"

#define CLAIM "/api/v1/namespaces/a/persistentvolumeclaims/x"
#define EVENT "/api/v1/namespaces/a/events/"
#define POD "/api/v1/namespaces/a/pods/"
#define VOLUME "/api/v1/persistentvolumes/"
#define DV "/apis/cdi.kubevirt.io/v1beta1/namespaces/a/datavolumes/"

static int no_plan(enum sw_plan_id id, const struct sw_view *view, const char *ns, const char *name,
                   struct sw_json **ret_actions, struct sw_err *err)
{
    (void)id;
    (void)view;
    (void)ns;
    (void)name;
    return sw_json_parse("[]", 2, 2, ret_actions, err);
}

static const struct sw_planner planner = { .plan = no_plan };
static const struct fake_kube_script script;

static void begin(struct rig *r)
{
    rig_open(r, &planner, &script);
    rig_start(r);
    rig_settle(r);
}

static void set_event(struct rig *r, const char *name)
{
    char path[100], text[400];

    (void)snprintf(path, sizeof(path), EVENT "%s", name);
    (void)snprintf(text, sizeof(text),
                   "{\"metadata\":{\"namespace\":\"a\",\"name\":\"%s\"},\"involvedObject\":{"
                   "\"kind\":\"PersistentVolumeClaim\",\"name\":\"x\",\"uid\":\"%s\"},"
                   "\"message\":\"m\"}",
                   name, sw_json_text(fake_kube_get(r->server, CLAIM), "metadata.uid"));
    fake_kube_set(r->server, path, text, false);
    rig_settle(r);
}

static void events_are_kept_until_their_claim_is_bound(void **state)
{
    struct rig r;

    begin(&r);
    fake_kube_set(r.server, CLAIM,
                  "{\"metadata\":{\"namespace\":\"a\",\"name\":\"x\"},\"status\":{\"phase\":"
                  "\"Pending\"}}",
                  false);
    rig_settle(&r);
    set_event(&r, "e1");
    set_event(&r, "e2");
    assert_int_equal(sw_world_count(r.world, SW_KIND_EVENT), 2);
    fake_kube_set(r.server, CLAIM, "{\"status\":{\"phase\":\"Bound\"}}", true);
    rig_settle(&r);
    assert_int_equal(sw_world_count(r.world, SW_KIND_EVENT), 0);
    set_event(&r, "e3");
    assert_int_equal(sw_world_count(r.world, SW_KIND_EVENT), 0);
    rig_close(&r);
}

static void pods_without_a_claim_are_not_kept(void **state)
{
    struct rig r;

    begin(&r);
    fake_kube_set(r.server, POD "lone", "{\"metadata\":{\"namespace\":\"a\",\"name\":\"lone\"}}",
                  false);
    fake_kube_set(r.server, POD "user",
                  "{\"metadata\":{\"namespace\":\"a\",\"name\":\"user\"},\"spec\":{\"volumes\":[{"
                  "\"name\":\"v\",\"persistentVolumeClaim\":{\"claimName\":\"x\"}}]}}",
                  false);
    rig_settle(&r);
    assert_int_equal(sw_world_count(r.world, SW_KIND_POD), 1);
    fake_kube_set(r.server, POD "lone", "{\"status\":{\"phase\":\"Running\"}}", true);
    rig_settle(&r);
    assert_int_equal(sw_world_count(r.world, SW_KIND_POD), 1);
    rig_close(&r);
}

/* Names in the list, in its order. */
static void expect_list(struct rig *r, enum sw_kind kind, enum sw_index index, const char *value,
                        const char *want)
{
    sw_autobuf struct sw_buf got = SW_BUF_INIT(1000);
    const struct sw_json *list = NULL;
    struct sw_world_view v;
    struct sw_err err = { 0 };

    sw_world_view_begin(r->world, &r->env, &v);
    assert_int_equal(v.view.ops->list(&v.view, kind, index, value, &list, &err), 0);
    for (size_t i = 0; i < sw_json_length(list); i++)
        sw_buf_printf(&got, "%s ", sw_json_text(sw_json_at(list, i), "metadata.name"));
    sw_world_view_end(&v);
    assert_string_equal(sw_buf_str(&got), want);
}

static void set_pod(struct rig *r, const char *name, const char *owner, bool is_controller)
{
    char path[100], text[500];

    (void)snprintf(path, sizeof(path), POD "%s", name);
    (void)snprintf(
        text, sizeof(text),
        "{\"metadata\":{\"namespace\":\"a\",\"name\":\"%s\",\"ownerReferences\":[{"
        "\"kind\":\"PersistentVolumeClaim\",\"uid\":\"%s\",\"controller\":%s}]},\"spec\":{"
        "\"volumes\":[{\"persistentVolumeClaim\":{\"claimName\":\"x\"}}]}}",
        name, owner, is_controller ? "true" : "false");
    fake_kube_set(r->server, path, text, false);
}

static void set_volume(struct rig *r, const char *name, const char *spec)
{
    char path[100], text[400];

    (void)snprintf(path, sizeof(path), VOLUME "%s", name);
    (void)snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s}}", name,
                   spec);
    fake_kube_set(r->server, path, text, false);
}

static void a_view_lists_by_each_index(void **state)
{
    struct rig r;

    begin(&r);
    set_pod(&r, "p2", "u1", true);
    set_pod(&r, "p1", "u1", true);
    set_pod(&r, "p3", "u1", false);
    set_pod(&r, "p4", "u2", true);
    set_volume(&r, "v1", "\"storageClassName\":\"s\"");
    set_volume(&r, "v2", "\"claimRef\":{\"namespace\":\"a\",\"name\":\"x\"}");
    set_volume(&r, "v3", "\"claimRef\":{\"namespace\":\"b\",\"name\":\"x\"}");
    rig_settle(&r);
    expect_list(&r, SW_KIND_POD, SW_INDEX_OWNER, "u1", "p1 p2 ");
    expect_list(&r, SW_KIND_POD, SW_INDEX_OWNER, "u3", "");
    expect_list(&r, SW_KIND_POD, SW_INDEX_CLAIM, "a/x", "p1 p2 p3 p4 ");
    expect_list(&r, SW_KIND_POD, SW_INDEX_CLAIM, "b/x", "");
    expect_list(&r, SW_KIND_VOLUME, SW_INDEX_CLASS, "s", "v1 ");
    expect_list(&r, SW_KIND_VOLUME, SW_INDEX_CLASS, "", "v2 v3 ");
    expect_list(&r, SW_KIND_VOLUME, SW_INDEX_CLAIM_REF, "a/x", "v2 ");
    expect_list(&r, SW_KIND_VOLUME, SW_INDEX_ALL, "", "v1 v2 v3 ");
    rig_close(&r);
}

static void set_dv(struct rig *r, const char *name, const char *spec, const char *phase)
{
    char path[100], text[400];

    (void)snprintf(path, sizeof(path), DV "%s", name);
    (void)snprintf(text, sizeof(text),
                   "{\"metadata\":{\"namespace\":\"a\",\"name\":\"%s\"},\"spec\":{%s},\"status\":{"
                   "\"phase\":\"%s\"}}",
                   name, spec, phase);
    fake_kube_set(r->server, path, text, false);
    rig_settle(r);
}

static void pending_datavolumes_are_counted(void **state)
{
    struct rig r;

    begin(&r);
    set_dv(&r, "one", "\"storage\":{}", "");
    set_dv(&r, "two", "\"pvc\":{}", "Pending");
    set_dv(&r, "named", "\"storage\":{\"storageClassName\":\"s\"}", "Pending");
    set_dv(&r, "done", "\"storage\":{}", "Succeeded");
    assert_int_equal(sw_world_pending(r.world), 2);
    set_dv(&r, "one", "\"storage\":{}", "Succeeded");
    assert_int_equal(sw_world_pending(r.world), 1);
    fake_kube_delete(r.server, DV "two");
    fake_kube_delete(r.server, DV "done");
    rig_settle(&r);
    assert_int_equal(sw_world_pending(r.world), 0);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_kept_until_their_claim_is_bound),
        cmocka_unit_test(pods_without_a_claim_are_not_kept),
        cmocka_unit_test(a_view_lists_by_each_index),
        cmocka_unit_test(pending_datavolumes_are_counted),
    };

    return cmocka_run_group_tests_name("controller/world", tests, NULL, NULL);
}
