/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/keys.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/json_tree.h"
#include "controller/names.h"

#define POPULATED_FOR "cdi.kubevirt.io/storage.populatedFor"

static const char *const plan_names[SW_PLAN_COUNT_] = {
    [SW_PLAN_DATA_VOLUME] = "DataVolume",
    [SW_PLAN_CLAIM] = "PersistentVolumeClaim",
    [SW_PLAN_STORAGE_PROFILE] = "StorageProfile",
    [SW_PLAN_CDI] = "CDI",
};

void sw_key_print(enum sw_plan_id plan, const char *ns, const char *name, char *ret)
{
    bool has_ns = ns && *ns;

    assert(plan < SW_PLAN_COUNT_);
    (void)snprintf(ret, SW_KEY_MAX, "%s %.253s%s%.253s", plan_names[plan], has_ns ? ns : "",
                   has_ns ? "/" : "", name);
}

int sw_key_parse(const char *key, struct sw_key *ret, struct sw_err *err)
{
    const char *blank = strchr(key, ' ');
    const char *slash = blank ? strchr(blank, '/') : NULL;

    for (unsigned i = 0; blank && i < SW_PLAN_COUNT_; i++) {
        size_t n = strlen(plan_names[i]);

        if ((size_t)(blank - key) != n || memcmp(key, plan_names[i], n) != 0)
            continue;
        ret->plan = (enum sw_plan_id)i;
        ret->name = slash ? slash + 1 : blank + 1;
        (void)snprintf(ret->ns, sizeof(ret->ns), "%.*s",
                       slash && slash - blank < 256 ? (int)(slash - blank - 1) : 0, blank + 1);
        return 0;
    }
    return sw_err_set(err, SW_ERR_INTERNAL, "'%.128s' is no key", key);
}

/* --- What depends on what -------------------------------------------------------------------- */

static void add(const struct sw_keys_sink *sink, enum sw_plan_id plan, const char *ns,
                const char *name)
{
    sink->add(sink->ctx, plan, ns, name);
}

/* A claim and the DataVolume of its name look at the same things. */
static void add_pair(const struct sw_keys_sink *sink, const char *ns, const char *name)
{
    add(sink, SW_PLAN_DATA_VOLUME, ns, name);
    add(sink, SW_PLAN_CLAIM, ns, name);
}

static bool differs(const struct sw_keys_change *c, const char *path)
{
    return !sw_json_equal(sw_json_find(c->before, path), sw_json_find(c->object, path));
}

/* The claim's plan does not read the status, which changes most often. */
static void of_data_volume(const struct sw_keys_change *c, const struct sw_keys_sink *sink)
{
    add(sink, SW_PLAN_DATA_VOLUME, c->ns, c->name);
    if (!c->before || c->is_deleted || differs(c, "metadata.annotations") ||
        differs(c, "metadata.labels") || differs(c, "metadata.deletionTimestamp") ||
        differs(c, "spec"))
        add(sink, SW_PLAN_CLAIM, c->ns, c->name);
}

static void of_claim(const struct sw_keys_change *c, const struct sw_keys_sink *sink)
{
    const struct sw_json *annotations = sw_json_find(c->object, "metadata.annotations");
    const char *populated_for = sw_json_member_text(annotations, POPULATED_FOR);

    add_pair(sink, c->ns, c->name);
    if (populated_for && strcmp(populated_for, c->name) != 0)
        add(sink, SW_PLAN_DATA_VOLUME, c->ns, populated_for);
}

/* Every claim that the pod mounts; its DataVolume only when the pod is one of ours. */
static void of_pod(const struct sw_keys_change *c, const struct sw_keys_sink *sink)
{
    const struct sw_json *volumes = sw_json_find(c->object, "spec.volumes");
    const char *owner = sw_json_text(c->object, "metadata.ownerReferences.0.kind");
    bool is_ours = owner && strcmp(owner, "PersistentVolumeClaim") == 0;

    for (size_t i = 0; i < sw_json_length(volumes); i++) {
        const char *claim = sw_json_text(sw_json_at(volumes, i), "persistentVolumeClaim.claimName");

        if (!claim)
            continue;
        add(sink, SW_PLAN_CLAIM, c->ns, claim);
        if (is_ours)
            add(sink, SW_PLAN_DATA_VOLUME, c->ns, claim);
    }
}

/* A volume that waits for its claim, or for any: static provisioning. A volume that a provisioner
 * made for a claim is that claim's news, not ours. */
static void of_volume(const struct sw_keys_change *c, const struct sw_keys_sink *sink)
{
    const char *class = sw_json_text(c->object, "spec.storageClassName");
    const char *ns = sw_json_text(c->object, "spec.claimRef.namespace");
    const char *name = sw_json_text(c->object, "spec.claimRef.name");
    const char *phase = sw_json_text(c->object, "status.phase");
    bool is_available = phase && strcmp(phase, "Available") == 0;

    if (class && *class && (!c->before || c->is_deleted))
        sink->add_later(sink->ctx, SW_PLAN_STORAGE_PROFILE, NULL, class);
    if (!is_available || c->is_deleted)
        return;
    if (ns && name)
        add(sink, SW_PLAN_DATA_VOLUME, ns, name);
    else
        add(sink, SW_PLAN_DATA_VOLUME, NULL, NULL);
}

static void of_event(const struct sw_keys_change *c, const struct sw_keys_sink *sink)
{
    const char *claim = sw_json_text(c->object, "involvedObject.name");

    if (claim && !c->is_deleted)
        add_pair(sink, c->ns, claim);
}

void sw_keys_of_change(const struct sw_keys_change *c, const struct sw_keys_sink *sink)
{
    switch (c->kind) {
    case SW_KIND_DATA_VOLUME:
        of_data_volume(c, sink);
        break;
    case SW_KIND_CLAIM:
        of_claim(c, sink);
        break;
    case SW_KIND_POD:
        of_pod(c, sink);
        break;
    case SW_KIND_VOLUME:
        of_volume(c, sink);
        break;
    case SW_KIND_EVENT:
        of_event(c, sink);
        break;
    case SW_KIND_STORAGE_CLASS:
        add(sink, SW_PLAN_STORAGE_PROFILE, NULL, c->name);
        add(sink, SW_PLAN_CDI, NULL, NULL);
        add_pair(sink, NULL, NULL);
        break;
    case SW_KIND_STORAGE_PROFILE:
        add(sink, SW_PLAN_STORAGE_PROFILE, NULL, c->name);
        add(sink, SW_PLAN_DATA_VOLUME, NULL, NULL);
        break;
    case SW_KIND_SNAPSHOT_CLASS:
        add(sink, SW_PLAN_STORAGE_PROFILE, NULL, NULL);
        break;
    case SW_KIND_CDI_CONFIG:
        add(sink, SW_PLAN_CDI, NULL, NULL);
        add_pair(sink, NULL, NULL);
        break;
    case SW_KIND_CDI:
        add(sink, SW_PLAN_CDI, NULL, c->name);
        if (c->is_deleted && strcmp(c->name, SW_CDI_NAME) != 0)
            add(sink, SW_PLAN_CDI, NULL, SW_CDI_NAME);
        add(sink, SW_PLAN_STORAGE_PROFILE, NULL, NULL);
        break;
    case SW_KIND_CONFIG_MAP:
        add(sink, SW_PLAN_CLAIM, NULL, NULL);
        break;
    case SW_KIND_COUNT_:
        break;
    }
}
