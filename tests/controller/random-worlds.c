/* SPDX-License-Identifier: Apache-2.0 */
/* Worlds at random: DataVolumes, claims, classes and pods in every combination of states, changed at
 * random between plans as users, the scheduler, the kubelet and the volume controller would. Whatever
 * happens
 *   - the plans come to an end: performed, they have nothing more to change;
 *   - every action is one that the executor takes;
 *   - a claim is not written to while it is being bound, and no pod is made for one that should wait;
 *   - when at last all goes well, an import that was not refused ends Succeeded, with one claim and no
 *     pod left.
 * Arguments: how many worlds, and the first seed. Prints the seed of a world that fails, in TAP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/parse.h"
#include "controller/action.h"
#include "controller/object.h"
#include "tests/controller/world.h"

#define ROUNDS_MAX 8

struct story {
    struct world w;
    uint64_t random;
    bool is_hopeless; /* no import can come of it */
    char wrong[1024];
};

/* xorshift64*; good enough to choose with. */
static unsigned choose(struct story *s, unsigned n)
{
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return (unsigned)((s->random * 2685821657736338717ULL) >> 33) % n;
}

static bool happens(struct story *s, unsigned percent)
{
    return choose(s, 100) < percent;
}

static void fail(struct story *s, const char *what, const char *detail)
{
    if (!*s->wrong)
        (void)snprintf(s->wrong, sizeof(s->wrong), "%s: %s", what, detail);
}

static struct sw_json *parse(const char *text)
{
    struct sw_json *j = NULL;
    struct sw_err err = { 0 };

    if (sw_json_parse(text, strlen(text), 65536, &j, &err) < 0) {
        fprintf(stderr, "%s: %s\n", err.msg, text);
        abort();
    }
    return j;
}

static void add(struct story *s, const char *text)
{
    sw_auto_json struct sw_json *o = parse(text);

    world_add(&s->w, o);
}

/* A merge patch of what may be there. */
static void change(struct story *s, const char *kind, const char *name, const char *patch)
{
    sw_auto_json struct sw_json *p = parse(patch);
    struct sw_json *o = world_find(&s->w, kind, NULL, name);

    if (o)
        sw_json_merge(&s->w.m, &o, p);
}

/* --- The beginning -------------------------------------------------------------------------------- */

static const char *pick(struct story *s, const char *const *from, unsigned n)
{
    return from[choose(s, n)];
}
#define PICK(s, ...)                                                                               \
    pick(s, (const char *const[]){ __VA_ARGS__ },                                                  \
         (unsigned)SW_COUNT(((const char *const[]){ __VA_ARGS__ })))

static void add_cluster(struct story *s)
{
    char text[1024];

    snprintf(
        text, sizeof(text),
        "{\"kind\":\"CDIConfig\",\"metadata\":{\"name\":\"config\"},\"spec\":{\"featureGates\":"
        "[%s]},\"status\":{\"filesystemOverhead\":{\"global\":\"0.06\",\"storageClass\":{}}}}",
        PICK(s, "", "\"HonorWaitForFirstConsumer\"", "\"HonorWaitForFirstConsumer\"",
             "\"HonorWaitForFirstConsumer\",\"DataVolumeClaimAdoption\""));
    add(s, text);
    snprintf(text, sizeof(text),
             "{\"kind\":\"StorageClass\",\"metadata\":{\"name\":\"fast\",\"annotations\":{%s}},"
             "\"provisioner\":\"x\",\"volumeBindingMode\":\"%s\"}",
             PICK(s, "", "\"storageclass.kubernetes.io/is-default-class\":\"true\""),
             PICK(s, "Immediate", "WaitForFirstConsumer"));
    add(s, text);
    snprintf(
        text, sizeof(text),
        "{\"kind\":\"StorageProfile\",\"metadata\":{\"name\":\"fast\"},\"status\":"
        "{\"claimPropertySets\":[{\"accessModes\":[\"ReadWriteOnce\"],\"volumeMode\":\"%s\"}]}}",
        PICK(s, "Block", "Filesystem"));
    add(s, text);
}

#define FAST "\"storageClassName\":\"fast\""

static void add_datavolume(struct story *s)
{
    const char *source = PICK(
        s, "{\"blank\":{}}", "{\"blank\":{}}", "{\"http\":{\"url\":\"https://h/z\"}}",
        "{\"http\":{\"url\":\"https://h/x\"}}", "{\"http\":{\"url\":\"x\"}}",
        "{\"http\":{\"url\":\"http://h/x\",\"certConfigMap\":\"c\",\"secretRef\":\"s\"}}",
        "{\"upload\":{}}", "{}");
    const char *annotations = PICK(s, "", "",
                                   "\"cdi.kubevirt.io/storage.bind.immediate.requested\":\"\"",
                                   "\"cdi.kubevirt.io/allowClaimAdoption\":\"true\"",
                                   "\"cdi.kubevirt.io/storage.pod.retainAfterCompletion\":\"true\"",
                                   "\"cdi.kubevirt.io/storage.prePopulated\":\"dv\"",
                                   "\"cdi.kubevirt.io/storage.usePopulator\":\"true\"");
    const char *storage = PICK(s, "\"storageClassName\":\"none\"", "\"volumeMode\":\"Block\"",
                               "\"accessModes\":[\"ReadWriteMany\"]", FAST, FAST, FAST, FAST);
    char text[2048];

    snprintf(text, sizeof(text),
             "{\"kind\":\"DataVolume\",\"metadata\":{\"name\":\"dv\",\"namespace\":\"ns\","
             "\"annotations\":{%s}},\"spec\":{\"source\":%s,\"contentType\":\"%s\",\"storage\":{%s,"
             "\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}}",
             annotations, source, PICK(s, "kubevirt", "kubevirt", "archive"), storage);
    add(s, text);
    s->is_hopeless = strstr(source, "\"x\"") || strstr(source, "upload") || !strcmp(source, "{}") ||
                     strstr(annotations, "prePopulated") || strstr(annotations, "retain") ||
                     strstr(text, "archive") || strstr(storage, "none") || !strstr(storage, "fast");
}

/* Somebody else's claim of that name, or one of an earlier life. */
static void add_old_claim(struct story *s)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "{\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"dv\",\"namespace\":"
             "\"ns\",\"annotations\":{%s}},\"spec\":{\"storageClassName\":\"fast\",\"resources\":"
             "{\"requests\":{\"storage\":\"1Gi\"}}},\"status\":{\"phase\":\"%s\"}}",
             PICK(s, "", "\"cdi.kubevirt.io/storage.populatedFor\":\"dv\"",
                  "\"cdi.kubevirt.io/storage.import.endpoint\":\"http://h/y\"",
                  "\"cdi.kubevirt.io/storage.pod.phase\":\"Succeeded\""),
             PICK(s, "Bound", "Pending", "Lost"));
    add(s, text);
    s->is_hopeless = true;
}

/* --- What happens --------------------------------------------------------------------------------- */

#define POD "importer-dv"

static void set_container(struct story *s, const char *phase, const char *state)
{
    char text[2048];

    snprintf(text, sizeof(text),
             "{\"status\":{\"phase\":\"%s\",\"podIP\":\"10.0.0.1\",\"conditions\":null,"
             "\"containerStatuses\":[{\"name\":\"importer\",\"restartCount\":%u,\"state\":%s}]}}",
             phase, choose(s, 3), state);
    change(s, "Pod", POD, text);
}

static void remove_object(struct story *s, const char *kind, const char *name)
{
    sw_autobuf struct sw_buf text = SW_BUF_INIT(4096);
    struct sw_json *o = world_find(&s->w, kind, "ns", name);
    struct sw_err err = { 0 };

    if (!o)
        return;
    sw_buf_printf(&text,
                  "[{\"do\":\"delete\",\"kind\":\"%s\",\"namespace\":\"ns\",\"name\":\"%s\"}]",
                  kind, name);
    sw_auto_json struct sw_json *actions = parse(sw_buf_str(&text));
    world_apply(&s->w, actions, &err);
}

static void bind_claim(struct story *s)
{
    change(s, "PersistentVolumeClaim", "dv",
           "{\"status\":{\"phase\":\"Bound\"},\"spec\":{\"volumeName\":\"v\"}}");
}

static void end_badly(struct story *s)
{
    set_container(s, "Running",
                  PICK(s,
                       "{\"terminated\":{\"exitCode\":1,\"reason\":\"Error\",\"message\":\"no\"}}",
                       "{\"terminated\":{\"exitCode\":137,\"reason\":\"Error\"}}",
                       "{\"terminated\":{\"exitCode\":137,\"reason\":\"OOMKilled\"}}",
                       "{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}}",
                       "{\"waiting\":{\"reason\":\"ErrImagePull\"}}"));
}

static void happen(struct story *s)
{
    switch (choose(s, 10)) {
    case 0:
    case 1:
        bind_claim(s);
        break;
    case 2:
        set_container(s, "Pending", "{\"waiting\":{\"reason\":\"ContainerCreating\"}}");
        break;
    case 3:
        set_container(s, "Running", "{\"running\":{}}");
        break;
    case 4:
        end_badly(s);
        break;
    case 5:
        change(s, "Pod", POD,
               "{\"status\":{\"phase\":\"Pending\",\"containerStatuses\":null,\"conditions\":[{"
               "\"type\":\"PodScheduled\",\"status\":\"False\",\"reason\":\"Unschedulable\"}]}}");
        break;
    case 6:
        change(s, "Pod", POD, "{\"status\":{\"phase\":\"Failed\",\"reason\":\"Evicted\"}}");
        break;
    case 7:
        remove_object(s, "Pod", POD);
        break;
    case 8:
        s->w.view.progress_centi = choose(s, 10001);
        break;
    default:
        if (happens(s, 10))
            remove_object(s, "PersistentVolumeClaim", "dv");
        break;
    }
}

/* --- What must not happen ------------------------------------------------------------------------- */

static bool may_bind_by_pod(struct story *s)
{
    const struct sw_json *claim = world_find(&s->w, "PersistentVolumeClaim", "ns", "dv");
    const struct sw_json *class = world_find(&s->w, "StorageClass", NULL, "fast");
    const struct sw_json *config = world_find(&s->w, "CDIConfig", NULL, "config");

    return sw_text_equal(sw_json_text(class, "volumeBindingMode"), "WaitForFirstConsumer") &&
           (sw_object_has_annotation(claim, "cdi.kubevirt.io/storage.bind.immediate.requested") ||
            sw_json_length(sw_json_find(config, "spec.featureGates")) == 0);
}

static void check_action(struct story *s, const struct sw_json *json)
{
    const struct sw_json *claim = world_find(&s->w, "PersistentVolumeClaim", "ns", "dv");
    const struct sw_json *pod = world_find(&s->w, "Pod", "ns", POD);
    bool is_pending = sw_text_equal(sw_json_text(claim, "status.phase"), "Pending");
    struct sw_action a;
    struct sw_err err = { 0 };

    if (sw_action_parse(json, &a, &err) < 0) {
        fail(s, "an action that the executor refuses", err.msg);
        return;
    }
    if (a.what == SW_DO_CREATE && a.kind == SW_KIND_POD && is_pending && !may_bind_by_pod(s))
        fail(s, "a pod for a claim that should wait", a.name);
    if (a.what == SW_DO_PATCH && a.kind == SW_KIND_CLAIM && is_pending && pod &&
        sw_json_length(sw_json_find(pod, "status.conditions")) == 0 &&
        !sw_json_find(a.body, "metadata.ownerReferences"))
        fail(s, "a write to a claim that is being bound", a.name);
}

/* Plan a key and do what it says; how much changed. */
static int turn(struct story *s, const char *plan)
{
    sw_auto_json struct sw_json *actions = NULL;
    struct sw_err err = { 0 };
    int changed;

    world_forget(&s->w);
    if (world_plan(&s->w, plan, "ns/dv", &actions, &err) < 0) {
        fail(s, "the plan fails", err.msg);
        return 0;
    }
    for (size_t i = 0; i < sw_json_length(actions); i++)
        check_action(s, sw_json_at(actions, i));
    changed = world_apply(&s->w, actions, &err);
    if (changed < 0)
        fail(s, "an action cannot be performed", err.msg);
    return changed;
}

static void settle(struct story *s)
{
    int changed = 1;

    for (int i = 0; i < ROUNDS_MAX && changed > 0 && !*s->wrong; i++)
        changed = turn(s, "datavolume") + turn(s, "claim");
    /* A pod that failed as a whole is gone by then; its successor has nothing to say yet. */
    if (changed > 0)
        fail(s, "the plans never come to an end", "");
}

/* --- A whole story -------------------------------------------------------------------------------- */

static void end_well(struct story *s)
{
    settle(s);
    bind_claim(s);
    settle(s);
    set_container(s, "Running", "{\"running\":{}}");
    settle(s);
    set_container(s, "Running",
                  "{\"terminated\":{\"exitCode\":0,\"reason\":\"Completed\",\"message\":"
                  "\"{\\\"message\\\":\\\"Import Complete\\\"}\"}}");
    settle(s);

    const struct sw_json *dv = world_find(&s->w, "DataVolume", "ns", "dv");
    const char *phase = sw_json_text(dv, "status.phase");
    if (!sw_text_equal(phase, "Succeeded"))
        fail(s, "the end is not Succeeded", phase ? phase : "(none)");
    if (!world_find(&s->w, "PersistentVolumeClaim", "ns", "dv"))
        fail(s, "no claim is left", "");
    if (world_find(&s->w, "Pod", "ns", POD))
        fail(s, "a pod is left", POD);
}

static bool tell(uint64_t seed, bool *ret_had_hope)
{
    struct story s = { .random = seed * 0x9e3779b97f4a7c15ULL + 1 };

    world_init(&s.w, NULL);
    add_cluster(&s);
    add_datavolume(&s);
    if (happens(&s, 20))
        add_old_claim(&s);
    for (unsigned n = choose(&s, 24); n > 0 && !*s.wrong; n--) {
        settle(&s);
        happen(&s);
    }
    settle(&s);
    *ret_had_hope = !s.is_hopeless;
    if (!s.is_hopeless && !*s.wrong)
        end_well(&s);
    if (*s.wrong) {
        sw_autobuf struct sw_buf text = SW_BUF_INIT(1 << 20);

        sw_json_print(&text, s.w.objects);
        printf("# seed %llu: %s\n# %s\n", (unsigned long long)seed, s.wrong, sw_buf_str(&text));
    }
    world_done(&s.w);
    return !*s.wrong;
}

int main(int argc, char **argv)
{
    uint64_t n = 2000, first = 1, hopeful = 0, bad = 0;
    struct sw_err err = { 0 };

    if ((argc > 1 && sw_parse_u64(argv[1], 1, UINT32_MAX, &n, &err) < 0) ||
        (argc > 2 && sw_parse_u64(argv[2], 0, UINT32_MAX, &first, &err) < 0)) {
        fprintf(stderr, "%s\n", err.msg);
        return 2;
    }
    for (uint64_t i = 0; i < n && bad < 5; i++) {
        bool had_hope = false;

        bad += !tell(first + i, &had_hope);
        hopeful += had_hope;
    }
    printf("1..2\n%sok 1 - worlds_come_to_an_end\n", bad ? "not " : "");
    printf("%sok 2 - many_of_them_end_well # %llu\n", hopeful * 10 > n || bad ? "" : "not ",
           (unsigned long long)hopeful);
    return bad || hopeful * 10 <= n;
}
