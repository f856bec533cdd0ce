/* SPDX-License-Identifier: Apache-2.0 */
/* The whole control process with its real plans, killed at every request it makes, on an API server
 * in memory beside which a binder and a kubelet play the rest of the cluster. Whatever moment it
 * dies at, the next process brings everything to the same end. */
#include "controller/executor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

#include "common/log.h"
#include "tests/fakes/rig.h"

#define DVS "/apis/cdi.kubevirt.io/v1beta1/namespaces/a/datavolumes/"
#define CLAIMS "/api/v1/namespaces/a/persistentvolumeclaims/"
#define PODS "/api/v1/namespaces/a/pods/"
#define NEVER UINT64_MAX
#define TURNS_MAX 20000U

static const char *const names[] = { "disk", "blank", "plain" };

/* --- The rest of the cluster ----------------------------------------------------------------- */

struct paths {
    char *at[64];
    size_t n;
};

static void collect(void *ctx, const char *path, const struct sw_json *object)
{
    struct paths *p = ctx;

    (void)object;
    if (strstr(path, "/persistentvolumeclaims/") || strstr(path, "/pods/")) {
        assert_true(p->n < SW_COUNT(p->at));
        p->at[p->n++] = strdup(path);
    }
}

static const char *phase_of(const struct sw_json *object)
{
    const char *phase = sw_json_text(object, "status.phase");

    return phase ? phase : "";
}

static void bind_claim(struct fake_kube *f, const char *path, const char *phase)
{
    if (!*phase)
        fake_kube_set(f, path, "{\"status\":{\"phase\":\"Pending\"}}", true);
    else if (strcmp(phase, "Pending") == 0)
        fake_kube_set(f, path,
                      "{\"spec\":{\"volumeName\":\"pv\"},\"status\":{\"phase\":\"Bound\","
                      "\"capacity\":{\"storage\":\"2Gi\"}}}",
                      true);
}

#define CONTAINER(state)                                                                           \
    "\"containerStatuses\":[{\"name\":\"importer\",\"restartCount\":0,\"started\":true,"           \
    "\"state\":{" state "}}]"

static void run_pod(struct fake_kube *f, const char *path, const char *phase)
{
    if (!*phase)
        fake_kube_set(f, path, "{\"status\":{\"phase\":\"Pending\"}}", true);
    else if (strcmp(phase, "Pending") == 0)
        fake_kube_set(f, path,
                      "{\"status\":{\"phase\":\"Running\",\"podIP\":\"127.0.0.1\"," CONTAINER(
                          "\"running\":{}") "}}",
                      true);
    else if (strcmp(phase, "Running") == 0)
        fake_kube_set(f, path,
                      "{\"status\":{\"phase\":\"Succeeded\"," CONTAINER(
                          "\"terminated\":{\"exitCode\":0,\"reason\":\"Completed\","
                          "\"message\":\"{\\\"preallocationApplied\\\":false,"
                          "\\\"message\\\":\\\"Import Complete\\\"}\"}") "}}",
                      true);
}

/* Everything in the cluster takes one step. */
static void cluster_turn(struct fake_kube *f)
{
    struct paths p = { .n = 0 };

    fake_kube_each(f, collect, &p);
    for (size_t i = 0; i < p.n; i++) {
        const struct sw_json *object = fake_kube_get(f, p.at[i]);
        sw_autofree char *phase = object ? strdup(phase_of(object)) : NULL;

        if (phase && strstr(p.at[i], "/pods/"))
            run_pod(f, p.at[i], phase);
        else if (phase)
            bind_claim(f, p.at[i], phase);
        free(p.at[i]);
    }
}

/* --- Lives of the process -------------------------------------------------------------------- */

struct world {
    struct rig rig;
    struct fake_kube_script script;
    unsigned turn;
    unsigned claims_made, pods_made; /* how often one appeared that was not there */
};

static void on_write(void *ctx, const char *path, const struct sw_json *object)
{
    struct world *w = ctx;

    /* Only creation leaves an object without a status. */
    if (object && !sw_json_member(object, "status")) {
        w->claims_made += strncmp(path, CLAIMS, strlen(CLAIMS)) == 0;
        w->pods_made += strncmp(path, PODS, strlen(PODS)) == 0;
    }
}

static void begin(struct world *w)
{
    char path[200], text[1000];

    *w = (struct world){ .script = { .ctx = w, .on_write = on_write } };
    rig_open(&w->rig, &sw_planner_real, &w->script);
    fake_kube_set(w->rig.server, "/apis/storage.k8s.io/v1/storageclasses/fast",
                  "{\"metadata\":{\"name\":\"fast\",\"annotations\":{\"storageclass.kubernetes.io/"
                  "is-default-class\":\"true\"}},\"provisioner\":\"rancher.io/local-path\","
                  "\"volumeBindingMode\":\"Immediate\"}",
                  false);
    fake_kube_set(w->rig.server, "/apis/cdi.kubevirt.io/v1beta1/cdis/cdi",
                  "{\"metadata\":{\"name\":\"cdi\"},\"spec\":{\"config\":{\"featureGates\":"
                  "[\"HonorWaitForFirstConsumer\"]}}}",
                  false);
    for (size_t i = 0; i < SW_COUNT(names); i++) {
        (void)snprintf(path, sizeof(path), DVS "%s", names[i]);
        (void)snprintf(
            text, sizeof(text),
            "{\"apiVersion\":\"cdi.kubevirt.io/v1beta1\",\"kind\":\"DataVolume\","
            "\"metadata\":{\"namespace\":\"a\",\"name\":\"%s\"},\"spec\":{\"source\":%s,"
            "\"%s\":{%s\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}}",
            names[i], i == 1 ? "{\"blank\":{}}" : "{\"http\":{\"url\":\"https://example.org/d\"}}",
            i == 2 ? "pvc" : "storage", i == 2 ? "\"accessModes\":[\"ReadWriteOnce\"]," : "");
        fake_kube_set(w->rig.server, path, text, false);
    }
}

static bool has_ended(const struct world *w)
{
    char path[200];

    for (size_t i = 0; i < SW_COUNT(names); i++) {
        (void)snprintf(path, sizeof(path), DVS "%s", names[i]);
        const struct sw_json *dv = fake_kube_get(w->rig.server, path);

        if (dv && strcmp(phase_of(dv), "Succeeded") != 0)
            return false;
    }
    return fake_kube_count(w->rig.server, "/pods/") == 0 && rig_is_idle(&w->rig);
}

/* One process, until all is done (true) or it has made so many requests and is killed. */
static bool live(struct world *w, uint64_t max_requests)
{
    uint64_t before = fake_kube_requests(w->rig.server);

    rig_start(&w->rig);
    for (unsigned turns = 0; turns < TURNS_MAX; turns++) {
        rig_turn(&w->rig, rig_is_idle(&w->rig) ? SW_NS_PER_MS : 0);
        if (++w->turn % 4 == 0)
            cluster_turn(w->rig.server);
        if (fake_kube_requests(w->rig.server) - before >= max_requests) {
            rig_kill(&w->rig);
            return false;
        }
        if (has_ended(w)) {
            rig_settle(&w->rig);
            rig_kill(&w->rig);
            return true;
        }
    }
    fail_msg("not done after %u turns", TURNS_MAX);
    return false;
}

static void print_object(void *ctx, const char *path, const struct sw_json *object)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(65536);

    (void)ctx;
    sw_json_print(&text, object);
    (void)fprintf(stderr, "# %s %s\n", path, sw_buf_str(&text));
}

/* One claim and no pod per DataVolume, and each of them was made once. */
static void check_end(struct world *w, uint64_t killed_at)
{
    bool is_good = fake_kube_count(w->rig.server, CLAIMS) == SW_COUNT(names) &&
                   fake_kube_count(w->rig.server, PODS) == 0 && w->claims_made == SW_COUNT(names) &&
                   w->pods_made == SW_COUNT(names);

    if (!is_good)
        fake_kube_each(w->rig.server, print_object, NULL);
    if (!is_good)
        fail_msg("killed at request %llu: %zu claims (%u made), %zu pods (%u made)",
                 (unsigned long long)killed_at, fake_kube_count(w->rig.server, CLAIMS),
                 w->claims_made, fake_kube_count(w->rig.server, PODS), w->pods_made);
    for (size_t i = 0; i < SW_COUNT(names); i++) {
        char path[200];

        (void)snprintf(path, sizeof(path), DVS "%s", names[i]);
        const char *progress = sw_json_text(fake_kube_get(w->rig.server, path), "status.progress");
        assert_non_null(progress);
        assert_string_equal(progress, "100.0%");
    }
}

static void end(struct world *w)
{
    rig_close(&w->rig);
}

static void undisturbed_it_needs_few_requests(void **state)
{
    struct world w;

    begin(&w);
    assert_true(live(&w, NEVER));
    check_end(&w, 0);
    /* A bound that notices a plan that writes without need: 3 DataVolumes with their claims, pods,
     * annotations, states and events, and the storage profile and CDI objects. */
    print_message("# %llu requests\n", (unsigned long long)fake_kube_requests(w.rig.server));
    assert_in_range(fake_kube_requests(w.rig.server), 20, 120);
    end(&w);
}

static void killed_once_at_any_request_it_ends_the_same(void **state)
{
    bool was_killed = true;

    for (uint64_t n = 1; was_killed; n++) {
        struct world w;

        begin(&w);
        was_killed = !live(&w, n);
        if (was_killed)
            assert_true(live(&w, NEVER));
        check_end(&w, n);
        end(&w);
    }
}

/* The first request of a life may be an Event that is said again, so a few are allowed. */
static void killed_again_and_again_it_gets_there(void **state)
{
    for (uint64_t n = 6; n < 12; n++) {
        struct world w;
        unsigned lives = 1;

        begin(&w);
        while (!live(&w, n) && lives < 500)
            lives++;
        assert_true(lives < 500);
        check_end(&w, n);
        end(&w);
    }
}

static void deleted_at_any_request_nothing_is_left(void **state)
{
    bool has_ended_first = false;

    for (uint64_t n = 1; !has_ended_first; n++) {
        struct world w;
        char path[200];

        begin(&w);
        has_ended_first = live(&w, n);
        for (size_t i = 0; i < SW_COUNT(names); i++) {
            (void)snprintf(path, sizeof(path), DVS "%s", names[i]);
            fake_kube_delete(w.rig.server, path);
        }
        assert_true(live(&w, NEVER));
        if (fake_kube_count(w.rig.server, CLAIMS) || fake_kube_count(w.rig.server, PODS)) {
            fake_kube_each(w.rig.server, print_object, NULL);
            fail_msg("deleted at request %llu: something is left", (unsigned long long)n);
        }
        end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(undisturbed_it_needs_few_requests),
        cmocka_unit_test(killed_once_at_any_request_it_ends_the_same),
        cmocka_unit_test(killed_again_and_again_it_gets_there),
        cmocka_unit_test(deleted_at_any_request_nothing_is_left),
    };

    sw_log_setup(2, SW_LOG_JSON, SW_LOG_ERROR);
    return cmocka_run_group_tests_name("controller/survival", tests, NULL, NULL);
}
