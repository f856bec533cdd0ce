/* SPDX-License-Identifier: Apache-2.0 */
/* What the objects of 5,000 DataVolumes take. */
#include "kube/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdlib.h>

static const struct sw_kube_resource resource = { "", "v1", "things", "Thing", false };
static const struct sw_kube_index indexes[] = {
    { "owner", "metadata.ownerReferences.uid", false },
    { "claim", "spec.volumes.persistentVolumeClaim.claimName", true },
    { NULL, NULL, false },
};

#define MANY 5000

static void put_many(struct sw_kube_cache *cache, const char *rest)
{
    for (unsigned i = 0; i < MANY; i++) {
        sw_autobuf struct sw_buf text = SW_BUF_INIT(65536);
        struct sw_err err = { 0 };

        sw_buf_printf(&text,
                      "{\"metadata\":{\"name\":\"volume-%u\",\"namespace\":\"tenant-%u\",\"uid\":"
                      "\"6f1c5e0a-8a52-4a6c-9d7e-%012u\",\"resourceVersion\":\"%u\",%s",
                      i, i % 50, i, 1000000 + i, rest);
        sw_auto_json struct sw_json *object = NULL;
        assert_int_equal(sw_json_parse(text.p, text.n, text.max, &object, &err), 0);
        assert_int_equal(sw_kube_cache_put(cache, object, &err), 0);
    }
}

#define OWNER                                                                                      \
    "\"ownerReferences\":[{\"apiVersion\":\"cdi.kubevirt.io/"                                      \
    "v1beta1\",\"kind\":\"DataVolume\",\"name\":\"v\","                                            \
    "\"uid\":\"6f1c5e0a-8a52-4a6c-9d7e-000000000001\",\"controller\":true,\"blockOwnerDeletion\":" \
    "true}]"
#define NOISE                                                                                      \
    "\"managedFields\":[{\"manager\":\"kubectl\",\"fieldsV1\":{\"f:spec\":{\"f:source\":{}}}}],"
#define DATAVOLUME                                                                                 \
    NOISE "\"annotations\":{\"cdi.kubevirt.io/storage.usePopulator\":\"false\","                   \
          "\"kubectl.kubernetes.io/last-applied-configuration\":\"{...}\"}},"                      \
          "\"spec\":{\"source\":{\"http\":{\"url\":\"https://images.example.com/"                  \
          "d.qcow2\"}},\"storage\":"                                                               \
          "{\"resources\":{\"requests\":{\"storage\":\"10Gi\"}}}},\"status\":{\"phase\":"          \
          "\"ImportInProgress\","                                                                  \
          "\"progress\":\"12.34%\",\"claimName\":\"v\",\"conditions\":[{\"type\":\"Bound\","       \
          "\"status\":\"True\","                                                                   \
          "\"reason\":\"Bound\",\"message\":\"PVC v "                                              \
          "Bound\",\"lastHeartbeatTime\":\"2026-11-25T12:00:00Z\","                                \
          "\"lastTransitionTime\":\"2026-11-25T12:00:00Z\"},{\"type\":\"Ready\",\"status\":"       \
          "\"False\","                                                                             \
          "\"reason\":\"TransferRunning\"},{\"type\":\"Running\",\"status\":\"True\",\"reason\":"  \
          "\"Pod is running\"}]}}"
#define CLAIM                                                                                      \
    NOISE OWNER                                                                                    \
        ",\"annotations\":{\"cdi.kubevirt.io/storage.pod.phase\":\"Running\","                     \
        "\"cdi.kubevirt.io/storage.import.endpoint\":\"https://images.example.com/d.qcow2\","      \
        "\"cdi.kubevirt.io/storage.import.source\":\"http\",\"pv.kubernetes.io/"                   \
        "bind-completed\":\"yes\"}},"                                                              \
        "\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":"  \
        "\"10Gi\"}},"                                                                              \
        "\"volumeName\":\"pvc-6f1c5e0a-8a52-4a6c-9d7e-000000000001\",\"storageClassName\":"        \
        "\"local\","                                                                               \
        "\"volumeMode\":\"Filesystem\"},\"status\":{\"phase\":\"Bound\",\"capacity\":{"            \
        "\"storage\":\"10Gi\"}}}"
#define IMPORTER                                                                                   \
    NOISE OWNER                                                                                    \
        ",\"labels\":{\"app\":\"containerized-data-importer\"}},\"spec\":{\"volumes\":[{\"name\":" \
        "\"d\","                                                                                   \
        "\"persistentVolumeClaim\":{\"claimName\":\"v\"}}],\"containers\":[{\"name\":"             \
        "\"importer\",\"env\":["                                                                   \
        "{\"name\":\"IMPORTER_ENDPOINT\",\"value\":\"https://images.example.com/"                  \
        "d.qcow2\"}]}]},\"status\":"                                                               \
        "{\"phase\":\"Running\",\"podIP\":\"10.244.0.17\",\"containerStatuses\":[{\"name\":"       \
        "\"importer\","                                                                            \
        "\"restartCount\":0,\"state\":{\"running\":{\"startedAt\":\"2026-11-25T12:00:00Z\"}}}]}}"

/* What 5,000 DataVolumes, each with claim and pod, cost. The limit is the project's promise of 4 KiB for
 * the three together; how it is shared among them is printed. */
static void five_thousand_datavolumes_take_less_than_4_kib_each(void **state)
{
    static const char *const dv[] = { "metadata.annotations", "spec", "status", NULL };
    static const char *const pvc[] = { "metadata.annotations", "metadata.ownerReferences", "spec",
                                       "status", NULL };
    static const char *const pod_keep[] = { "metadata.labels",
                                            "metadata.ownerReferences.uid",
                                            "spec.volumes.persistentVolumeClaim.claimName",
                                            "status.phase",
                                            "status.podIP",
                                            "status.containerStatuses",
                                            NULL };
    static const struct {
        const char *name, *const *keep, *text;
    } table[] = { { "datavolume", dv, DATAVOLUME },
                  { "claim", pvc, CLAIM },
                  { "pod", pod_keep, IMPORTER } };
    size_t counted = 0, before = mallinfo2().uordblks;
    struct sw_kube_cache *caches[3] = { NULL };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        const struct sw_kube_cache_config config = { .resource = &resource,
                                                     .keep = table[i].keep,
                                                     .indexes = indexes };
        struct sw_err err = { 0 };

        assert_int_equal(sw_kube_cache_open(&config, &caches[i], &err), 0);
        put_many(caches[i], table[i].text);
        assert_int_equal(sw_kube_cache_count(caches[i]), MANY);
        counted += sw_kube_cache_bytes(caches[i]);
        print_message("# %s: %zu bytes each\n", table[i].name,
                      sw_kube_cache_bytes(caches[i]) / MANY);
    }
    size_t taken = mallinfo2().uordblks - before;
    print_message("# together: %zu bytes counted, %zu taken from malloc\n", counted / MANY,
                  taken / MANY);
    assert_in_range(counted / MANY, 1000, 4096);
    /* What it says of itself is what malloc says (sanitizers have another one that says nothing). */
    if (taken)
        assert_in_range(counted, taken - taken / 20, taken + taken / 20);
    for (size_t i = 0; i < SW_COUNT(table); i++)
        sw_kube_cache_close(caches[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_thousand_datavolumes_take_less_than_4_kib_each),
    };
    return cmocka_run_group_tests_name("kube/cache_memory", tests, NULL, NULL);
}
