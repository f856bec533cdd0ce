/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "common/buf.h"

static void put(struct sw_buf *out, const char *how, enum sw_plan_id plan, const char *ns,
                const char *name)
{
    char key[SW_KEY_MAX];

    sw_key_print(plan, ns, name ? name : "*", key);
    sw_buf_printf(out, "%s%s%s", out->n ? ", " : "", how, key);
}

static void add(void *ctx, enum sw_plan_id plan, const char *ns, const char *name)
{
    put(ctx, "", plan, ns, name);
}

static void add_later(void *ctx, enum sw_plan_id plan, const char *ns, const char *name)
{
    put(ctx, "later ", plan, ns, name);
}

static struct sw_json *parse(const char *text)
{
    struct sw_json *j = NULL;
    struct sw_err err = { 0 };

    if (text && sw_json_parse(text, strlen(text), 65536, &j, &err) < 0)
        fail_msg("%s: %s", err.msg, text);
    return j;
}

struct row {
    enum sw_kind kind;
    const char *before, *object; /* object NULL: `before` was deleted */
    const char *want;
};

static void check(const struct row *r)
{
    sw_auto_json struct sw_json *before = parse(r->before);
    sw_auto_json struct sw_json *object = parse(r->object);
    sw_autobuf struct sw_buf got = SW_BUF_INIT(65536);
    const struct sw_keys_sink sink = { &got, add, add_later };
    const struct sw_keys_change c = {
        .kind = r->kind,
        .is_deleted = !object,
        .ns = sw_kind_info(r->kind)->is_namespaced ? "a" : "",
        .name = "x",
        .object = object ? object : before,
        .before = object ? before : NULL,
    };

    sw_keys_of_change(&c, &sink);
    if (strcmp(sw_buf_str(&got), r->want) != 0)
        fail_msg("%s %s -> %s: got '%s', not '%s'", sw_kind_info(r->kind)->name,
                 r->before ? r->before : "nothing", r->object ? r->object : "nothing",
                 sw_buf_str(&got), r->want);
}

#define PAIR "DataVolume a/x, PersistentVolumeClaim a/x"

static const struct row rows[] = {
    /* A DataVolume: its claim too, unless only the status changed. */
    { SW_KIND_DATA_VOLUME, NULL, "{}", PAIR },
    { SW_KIND_DATA_VOLUME, "{}", NULL, PAIR },
    { SW_KIND_DATA_VOLUME, "{\"status\":{\"phase\":\"a\"}}", "{\"status\":{\"phase\":\"b\"}}",
      "DataVolume a/x" },
    { SW_KIND_DATA_VOLUME, "{\"spec\":{}}", "{\"spec\":{\"a\":1}}", PAIR },
    { SW_KIND_DATA_VOLUME, "{\"metadata\":{}}", "{\"metadata\":{\"deletionTimestamp\":\"t\"}}",
      PAIR },
    { SW_KIND_DATA_VOLUME, "{\"metadata\":{}}", "{\"metadata\":{\"annotations\":{\"k\":\"v\"}}}",
      PAIR },

    { SW_KIND_CLAIM, NULL, "{}", PAIR },
    { SW_KIND_CLAIM, "{}", NULL, PAIR },
    { SW_KIND_CLAIM, NULL,
      "{\"metadata\":{\"annotations\":{\"cdi.kubevirt.io/storage.populatedFor\":\"y\"}}}",
      PAIR ", DataVolume a/y" },

    /* A stranger's pod uses a claim; ours is also where progress comes from. */
    { SW_KIND_POD, NULL,
      "{\"spec\":{\"volumes\":[{\"name\":\"v\"},{\"persistentVolumeClaim\":{\"claimName\":\"c\"}},"
      "{\"persistentVolumeClaim\":{\"claimName\":\"d\"}}]}}",
      "PersistentVolumeClaim a/c, PersistentVolumeClaim a/d" },
    { SW_KIND_POD,
      "{\"metadata\":{\"ownerReferences\":[{\"kind\":\"PersistentVolumeClaim\"}]},"
      "\"spec\":{\"volumes\":[{\"persistentVolumeClaim\":{\"claimName\":\"c\"}}]}}",
      NULL, "PersistentVolumeClaim a/c, DataVolume a/c" },
    { SW_KIND_POD, NULL, "{}", "" },

    /* Volumes: only those that wait. */
    { SW_KIND_VOLUME, NULL,
      "{\"spec\":{\"storageClassName\":\"s\",\"claimRef\":{\"namespace\":\"a\",\"name\":\"c\"}},"
      "\"status\":{\"phase\":\"Bound\"}}",
      "later StorageProfile s" },
    { SW_KIND_VOLUME, "{}",
      "{\"spec\":{\"storageClassName\":\"s\",\"claimRef\":{\"namespace\":\"a\",\"name\":\"c\"}},"
      "\"status\":{\"phase\":\"Available\"}}",
      "DataVolume a/c" },
    { SW_KIND_VOLUME, "{}", "{\"status\":{\"phase\":\"Available\"}}", "DataVolume *" },

    { SW_KIND_EVENT, NULL, "{\"involvedObject\":{\"name\":\"x\"}}", PAIR },
    { SW_KIND_EVENT, "{\"involvedObject\":{\"name\":\"x\"}}", NULL, "" },

    { SW_KIND_STORAGE_CLASS, NULL, "{}",
      "StorageProfile x, CDI *, DataVolume *, PersistentVolumeClaim *" },
    { SW_KIND_STORAGE_PROFILE, "{}", NULL, "StorageProfile x, DataVolume *" },
    { SW_KIND_SNAPSHOT_CLASS, NULL, "{}", "StorageProfile *" },
    { SW_KIND_CDI_CONFIG, "{}", "{}", "CDI *, DataVolume *, PersistentVolumeClaim *" },
    { SW_KIND_CDI, NULL, "{}", "CDI x, StorageProfile *" },
    { SW_KIND_CDI, "{}", NULL, "CDI x, CDI cdi, StorageProfile *" },
    { SW_KIND_CONFIG_MAP, NULL, "{}", "PersistentVolumeClaim *" },
};

static void each_change_wakes_those_who_read_it(void **state)
{
    bool is_covered[SW_KIND_COUNT_] = { 0 };

    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        check(&rows[i]);
        is_covered[rows[i].kind] = true;
    }
    for (size_t k = 0; k < SW_KIND_COUNT_; k++) {
        if (!is_covered[k])
            fail_msg("no row for %s", sw_kind_info((enum sw_kind)k)->name);
    }
}

static void hostile_objects_wake_nobody_and_crash_nothing(void **state)
{
    static const char *const hostile[] = {
        "[]", "7", "\"x\"", "{\"spec\":7,\"metadata\":[]}",
        "{\"spec\":{\"volumes\":[7,null,[],{\"persistentVolumeClaim\":7}]}}"
    };
    sw_autobuf struct sw_buf got = SW_BUF_INIT(65536);
    const struct sw_keys_sink sink = { &got, add, add_later };

    for (size_t k = 0; k < SW_KIND_COUNT_; k++) {
        for (size_t i = 0; i < SW_COUNT(hostile); i++) {
            sw_auto_json struct sw_json *j = parse(hostile[i]);

            sw_keys_of_change(
                &(struct sw_keys_change){
                    .kind = (enum sw_kind)k, .ns = "a", .name = "x", .object = j, .before = j },
                &sink);
        }
    }
    assert_false(got.failed);
}

static void a_key_is_text_and_back(void **state)
{
    struct sw_err err = { 0 };
    struct sw_key k = { 0 };
    char text[SW_KEY_MAX];

    sw_key_print(SW_PLAN_CLAIM, "ns", "c.d", text);
    assert_string_equal(text, "PersistentVolumeClaim ns/c.d");
    assert_int_equal(sw_key_parse(text, &k, &err), 0);
    assert_int_equal(k.plan, SW_PLAN_CLAIM);
    assert_string_equal(k.ns, "ns");
    assert_string_equal(k.name, "c.d");
    sw_key_print(SW_PLAN_STORAGE_PROFILE, NULL, "fast", text);
    assert_string_equal(text, "StorageProfile fast");
    assert_int_equal(sw_key_parse(text, &k, &err), 0);
    assert_int_equal(k.plan, SW_PLAN_STORAGE_PROFILE);
    assert_string_equal(k.ns, "");
    assert_string_equal(k.name, "fast");
    assert_int_equal(sw_key_parse("Nonsense a/b", &k, &err), -1);
    assert_int_equal(sw_key_parse("CDI", &k, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_wakes_those_who_read_it),
        cmocka_unit_test(hostile_objects_wake_nobody_and_crash_nothing),
        cmocka_unit_test(a_key_is_text_and_back),
    };

    return cmocka_run_group_tests_name("controller/keys", tests, NULL, NULL);
}
