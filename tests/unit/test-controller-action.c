/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/action.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

static struct sw_json *parse(const char *text)
{
    struct sw_json *j = NULL;
    struct sw_err err = { 0 };

    if (sw_json_parse(text, strlen(text), 65536, &j, &err) < 0)
        fail_msg("%s: %s", err.msg, text);
    return j;
}

/* The request that an action makes, as one line: verb, path, preconditions, body. */
static void expect_request(const char *action, const char *want)
{
    sw_auto_json struct sw_json *json = parse(action);
    sw_autobuf struct sw_buf body = SW_BUF_INIT(65536);
    sw_autobuf struct sw_buf got = SW_BUF_INIT(65536);
    struct sw_kube_request r = { 0 };
    struct sw_action a;
    struct sw_err err = { 0 };

    if (sw_action_parse(json, &a, &err) < 0 || sw_action_request(&a, "NOW", &body, &r, &err) < 0)
        fail_msg("%s: %s", action, err.msg);
    sw_buf_printf(&got, "%d ", (int)r.verb);
    assert_int_equal(sw_kube_path(&got, &r.where, &err), 0);
    sw_buf_printf(&got, " uid=%s rv=%s %s", r.uid ? r.uid : "",
                  r.resource_version ? r.resource_version : "", r.body ? r.body : "-");
    assert_string_equal(sw_buf_str(&got), want);
}

static void each_write_becomes_its_request(void **state)
{
    expect_request("{\"do\":\"create\",\"kind\":\"PersistentVolumeClaim\",\"namespace\":\"a\","
                   "\"name\":\"x\",\"object\":{\"kind\":\"PersistentVolumeClaim\"}}",
                   "2 /api/v1/namespaces/a/persistentvolumeclaims uid= rv= "
                   "{\"kind\":\"PersistentVolumeClaim\"}");
    expect_request("{\"do\":\"apply\",\"kind\":\"ConfigMap\",\"namespace\":\"a\",\"name\":\"x\","
                   "\"object\":{\"kind\":\"ConfigMap\"}}",
                   "6 /api/v1/namespaces/a/configmaps/x uid= rv= {\"kind\":\"ConfigMap\"}");
    expect_request("{\"do\":\"patch\",\"kind\":\"DataVolume\",\"namespace\":\"a\",\"name\":\"x\","
                   "\"uid\":\"u\",\"resourceVersion\":\"7\",\"patch\":{\"a\":null}}",
                   "4 /apis/cdi.kubevirt.io/v1beta1/namespaces/a/datavolumes/x uid=u rv=7 "
                   "{\"a\":null}");
    expect_request(
        "{\"do\":\"patchStatus\",\"kind\":\"StorageProfile\",\"name\":\"x\",\"uid\":\"u\","
        "\"patch\":{\"status\":{}}}",
        "4 /apis/cdi.kubevirt.io/v1beta1/storageprofiles/x/status uid=u rv= "
        "{\"status\":{}}");
    expect_request(
        "{\"do\":\"patchStatus\",\"kind\":\"CDIConfig\",\"name\":\"config\",\"uid\":\"u\","
        "\"patch\":{\"status\":{}}}",
        "4 /apis/cdi.kubevirt.io/v1beta1/cdiconfigs/config uid=u rv= {\"status\":{}}");
    expect_request("{\"do\":\"delete\",\"kind\":\"Pod\",\"namespace\":\"a\",\"name\":\"p\","
                   "\"uid\":\"u\"}",
                   "7 /api/v1/namespaces/a/pods/p uid=u rv= -");
}

static void now_is_filled_in_where_a_time_is_meant(void **state)
{
    expect_request(
        "{\"do\":\"patchStatus\",\"kind\":\"DataVolume\",\"namespace\":\"a\",\"name\":\"x\","
        "\"uid\":\"u\",\"patch\":{\"lastHeartbeatTime\":\"$now\",\"Time\":\"$now\","
        "\"message\":\"$now\",\"m\":\"Time\\\":\\\"$now\\\"\",\"Time2\":\"$now\"}}",
        "4 /apis/cdi.kubevirt.io/v1beta1/namespaces/a/datavolumes/x/status uid=u rv= "
        "{\"lastHeartbeatTime\":\"NOW\",\"Time\":\"NOW\",\"message\":\"$now\","
        "\"m\":\"Time\\\":\\\"$now\\\"\",\"Time2\":\"$now\"}");
}

static void the_other_actions_are_read(void **state)
{
    sw_auto_json struct sw_json *event = parse(
        "{\"do\":\"event\",\"kind\":\"DataVolume\",\"namespace\":\"a\",\"name\":\"x\",\"uid\":"
        "\"u\",\"type\":\"Normal\",\"reason\":\"Bound\",\"message\":\"m\"}");
    sw_auto_json struct sw_json *scrape = parse(
        "{\"do\":\"scrape\",\"namespace\":\"a\",\"name\":\"p\",\"address\":\"10.0.0.1\",\"port\":"
        "8443,\"metric\":\"m\",\"ownerUID\":\"u\",\"ms\":2000}");
    sw_auto_json struct sw_json *requeue = parse("{\"do\":\"requeue\",\"ms\":5}");
    sw_auto_json struct sw_json *retry = parse("{\"do\":\"retry\"}");
    struct sw_err err = { 0 };
    struct sw_action a;

    assert_int_equal(sw_action_parse(event, &a, &err), 0);
    assert_int_equal(a.what, SW_DO_EVENT);
    assert_string_equal(a.reason, "Bound");
    assert_int_equal(sw_action_parse(scrape, &a, &err), 0);
    assert_int_equal(a.what, SW_DO_SCRAPE);
    assert_int_equal(a.port, 8443);
    assert_string_equal(a.address, "10.0.0.1");
    assert_int_equal(sw_action_parse(requeue, &a, &err), 0);
    assert_int_equal(a.ms, 5);
    assert_int_equal(sw_action_parse(retry, &a, &err), 0);
    assert_int_equal(a.what, SW_DO_RETRY);
}

static void what_is_incomplete_is_refused(void **state)
{
    static const char *const wrong[] = {
        "{}",
        "[]",
        "{\"do\":\"dance\"}",
        "{\"do\":\"create\",\"kind\":\"Pod\",\"name\":\"x\",\"object\":{}}",
        "{\"do\":\"create\",\"kind\":\"Pod\",\"namespace\":\"a\",\"name\":\"x\"}",
        "{\"do\":\"apply\",\"kind\":\"ConfigMap\",\"namespace\":\"a\",\"name\":\"x\"}",
        "{\"do\":\"create\",\"kind\":\"Secret\",\"namespace\":\"a\",\"name\":\"x\",\"object\":{}}",
        "{\"do\":\"patch\",\"kind\":\"Pod\",\"namespace\":\"a\",\"name\":\"x\",\"patch\":{}}",
        ("{\"do\":\"patch\",\"kind\":\"Pod\",\"namespace\":\"a\",\"name\":\"x\","
         "\"uid\":\"u\",\"patch\":[]}"),
        "{\"do\":\"delete\",\"kind\":\"Pod\",\"namespace\":\"a\",\"name\":\"x\"}",
        "{\"do\":\"event\",\"kind\":\"Pod\",\"namespace\":\"a\",\"name\":\"x\",\"uid\":\"u\"}",
        "{\"do\":\"requeue\"}",
        "{\"do\":\"requeue\",\"ms\":-1}",
        "{\"do\":\"scrape\",\"namespace\":\"a\"}",
    };

    for (size_t i = 0; i < SW_COUNT(wrong); i++) {
        sw_auto_json struct sw_json *json = parse(wrong[i]);
        struct sw_err err = { 0 };
        struct sw_action a;

        if (sw_action_parse(json, &a, &err) == 0)
            fail_msg("took %s", wrong[i]);
        assert_int_equal(err.kind, SW_ERR_INTERNAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_write_becomes_its_request),
        cmocka_unit_test(now_is_filled_in_where_a_time_is_meant),
        cmocka_unit_test(the_other_actions_are_read),
        cmocka_unit_test(what_is_incomplete_is_refused),
    };

    return cmocka_run_group_tests_name("controller/action", tests, NULL, NULL);
}
