/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/render.h"

#include <stdarg.h>
#include <string.h>

#include "common/parse.h"
#include "controller/cluster.h"
#include "controller/names.h"
#include "controller/object.h"
#include "controller/quantity.h"

void *sw_problem_set(struct sw_problem *problem, const char *reason, const char *fmt, ...)
{
    va_list ap;

    problem->reason = reason;
    problem->is_quiet = false;
    va_start(ap, fmt);
    (void)vsnprintf(problem->message, sizeof(problem->message), fmt, ap);
    va_end(ap);
    return NULL;
}

const char *sw_content_type(const struct sw_json *dv)
{
    const char *type = sw_json_text(dv, "spec.contentType");

    return type && *type ? type : "kubevirt";
}

bool sw_spec_is_block(const struct sw_json *spec)
{
    return sw_text_equal(sw_json_text(spec, "volumeMode"), "Block");
}

/* --- Volumes that an administrator made ---------------------------------------------------------- */

static bool has_all_modes(const struct sw_json *have, const struct sw_json *want)
{
    for (size_t i = 0; i < sw_json_length(want); i++) {
        bool found = false;

        for (size_t k = 0; k < sw_json_length(have) && !found; k++)
            found = sw_json_equal(sw_json_at(have, k), sw_json_at(want, i));
        if (!found)
            return false;
    }
    return true;
}

bool sw_volume_satisfies(const struct sw_json *volume, const struct sw_json *spec)
{
    const char *class = sw_json_text(spec, "storageClassName");
    const char *have_class = sw_json_text(volume, "spec.storageClassName");
    const char *mode = sw_json_text(spec, "volumeMode");
    const char *have_mode = sw_json_text(volume, "spec.volumeMode");
    uint64_t want = 0, have = 0;
    struct sw_err ignored;

    if (sw_object_is_deleting(volume) ||
        !sw_text_equal(sw_json_text(volume, "status.phase"), "Available") ||
        sw_quantity_get(spec, "resources.requests.storage", &want, &ignored) < 0 ||
        sw_quantity_get(volume, "spec.capacity.storage", &have, &ignored) != 1 || have < want)
        return false;
    if (class && strcmp(class, have_class ? have_class : "") != 0)
        return false;
    if (mode && *mode && strcmp(mode, have_mode ? have_mode : "Filesystem") != 0)
        return false;
    return has_all_modes(sw_json_find(volume, "spec.accessModes"),
                         sw_json_find(spec, "accessModes"));
}

/* --- Volume mode and access modes ---------------------------------------------------------------- */

static bool lacks(const struct sw_json *spec, const char *member)
{
    const struct sw_json *value = sw_json_member(spec, member);
    const char *text = sw_json_text(value, "");

    if (sw_json_type(value) == SW_JSON_ARRAY)
        return sw_json_length(value) == 0;
    return !value || (text && !*text);
}

/* There is no class: perhaps a volume of that name's class is waiting (storage 1.1 row 3). */
static bool modes_from_volume(struct sw_draft *p, struct sw_json *spec, struct sw_problem *problem)
{
    const struct sw_json *volumes = NULL;
    const char *class = sw_json_text(spec, "storageClassName");

    if (class)
        volumes = sw_draft_list(p, SW_KIND_VOLUME, SW_INDEX_CLASS, class);
    for (size_t i = 0; i < sw_json_length(volumes); i++) {
        const struct sw_json *v = sw_json_at(volumes, i);

        if (!sw_volume_satisfies(v, spec))
            continue;
        if (sw_json_text(v, "spec.volumeMode"))
            sw_json_set_copy(&p->m, spec, "volumeMode", sw_json_find(v, "spec.volumeMode"));
        if (lacks(spec, "accessModes"))
            sw_json_set_copy(&p->m, spec, "accessModes", sw_json_find(v, "spec.accessModes"));
        break;
    }
    if (lacks(spec, "accessModes"))
        sw_problem_set(problem, SW_REASON_CLAIM_NOT_VALID,
                       "PVC spec is missing accessMode and no storageClass to choose profile");
    return !problem->reason;
}

static bool shares_a_mode(const struct sw_json *set, const struct sw_json *spec)
{
    const struct sw_json *have = sw_json_find(set, "accessModes");
    const struct sw_json *want = sw_json_find(spec, "accessModes");

    for (size_t i = 0; i < sw_json_length(want); i++)
        for (size_t k = 0; k < sw_json_length(have); k++)
            if (sw_json_equal(sw_json_at(have, k), sw_json_at(want, i)))
                return true;
    return false;
}

/* The set that completes the spec: the first; or the first that fits what is given. */
static const struct sw_json *choose_set(const struct sw_json *sets, const struct sw_json *spec,
                                        bool by_volume_mode, bool by_access_modes)
{
    for (size_t i = 0; i < sw_json_length(sets); i++) {
        const struct sw_json *set = sw_json_at(sets, i);
        bool fits = true;

        if (by_volume_mode)
            fits = sw_text_equal(sw_json_text(set, "volumeMode"),
                                 sw_json_text(spec, "volumeMode")) &&
                   sw_json_length(sw_json_find(set, "accessModes")) > 0;
        else if (by_access_modes)
            fits = shares_a_mode(set, spec);
        if (fits)
            return set;
    }
    return NULL;
}

static bool modes_from_profile(struct sw_draft *p, struct sw_json *spec, const char *class,
                               struct sw_problem *problem)
{
    bool no_mode = lacks(spec, "volumeMode"), no_access = lacks(spec, "accessModes");

    if (!no_mode && !no_access)
        return true;

    const struct sw_json *profile = sw_draft_get(p, SW_KIND_STORAGE_PROFILE, NULL, class);
    if (!profile) {
        sw_problem_set(problem, SW_REASON_CLAIM_NOT_VALID, "there is no StorageProfile %.253s yet",
                       class);
        problem->is_quiet = true;
        return false;
    }

    const struct sw_json *set = choose_set(sw_json_find(profile, "status.claimPropertySets"), spec,
                                           !no_mode, !no_access);
    if (no_access && !sw_json_length(sw_json_find(set, "accessModes"))) {
        if (no_mode)
            sw_problem_set(problem, SW_REASON_CLAIM_NOT_VALID,
                           "no accessMode specified and StorageProfile %.253s has none", class);
        else
            sw_problem_set(problem, SW_REASON_CLAIM_NOT_VALID,
                           "no accessMode specified and StorageProfile %.253s has none for "
                           "volumeMode %.32s",
                           class, sw_json_text(spec, "volumeMode"));
        return false;
    }
    if (no_access)
        sw_json_set_copy(&p->m, spec, "accessModes", sw_json_find(set, "accessModes"));
    if (no_mode && set)
        sw_json_set_copy(&p->m, spec, "volumeMode", sw_json_find(set, "volumeMode"));
    return true;
}

static bool render_modes(struct sw_draft *p, const struct sw_json *dv, struct sw_json *spec,
                         struct sw_problem *problem)
{
    bool is_archive = strcmp(sw_content_type(dv), "archive") == 0;

    if (is_archive && sw_spec_is_block(spec)) {
        sw_problem_set(problem, SW_REASON_CLAIM_NOT_VALID,
                       "ContentType Archive cannot have block volumeMode");
        return false;
    }
    if (is_archive)
        sw_json_set_str(&p->m, spec, "volumeMode", "Filesystem");

    const struct sw_json *class = sw_cluster_class(p, sw_json_text(spec, "storageClassName"),
                                                   !is_archive);
    if (!class)
        return modes_from_volume(p, spec, problem);
    sw_json_set_copy(&p->m, spec, "storageClassName", sw_json_find(class, "metadata.name"));
    return modes_from_profile(p, spec, sw_object_name(class), problem);
}

/* --- Size ---------------------------------------------------------------------------------------- */

static uint64_t minimum_size(struct sw_draft *p, const char *class)
{
    const struct sw_json *profile = sw_draft_get(p, SW_KIND_STORAGE_PROFILE, NULL, class);
    const char *text = sw_object_annotation(profile, SW_ANNO_MIN_SIZE);
    struct sw_err ignored;
    uint64_t n = 0;

    if (!text || sw_parse_size(text, &n, &ignored) < 0)
        return 0;
    return n;
}

static bool render_size(struct sw_draft *p, struct sw_json *spec, struct sw_problem *problem)
{
    const char *class = sw_json_text(spec, "storageClassName");
    struct sw_err err = { 0 };
    double overhead;
    uint64_t size = 0;

    if (sw_quantity_get(spec, "resources.requests.storage", &size, &err) < 0) {
        sw_problem_set(problem, SW_REASON_CLAIM_NOT_VALID, "%s", err.msg);
        return false;
    }
    if (!sw_spec_is_block(spec)) {
        sw_cluster_overhead(p, class, &overhead);
        size = sw_required_size(size, overhead);
    }
    if (class && minimum_size(p, class) > size)
        size = minimum_size(p, class);
    if (size > INT64_MAX) {
        sw_problem_set(problem, SW_REASON_CLAIM_NOT_VALID, "the size with overhead is too large");
        return false;
    }

    struct sw_json *resources = sw_json_enter_object(&p->m, spec, "resources");
    struct sw_json *requests = sw_json_enter_object(&p->m, resources, "requests");
    sw_autobuf struct sw_buf text = SW_BUF_INIT(32);
    sw_buf_printf(&text, "%llu", (unsigned long long)size);
    sw_json_set_str(&p->m, requests, "storage", sw_buf_str(&text));
    return true;
}

/* --- All of it ----------------------------------------------------------------------------------- */

static void copy_storage(struct sw_draft *p, const struct sw_json *storage, struct sw_json *spec)
{
    static const char *const members[] = { "accessModes", "selector",         "resources",
                                           "volumeName",  "storageClassName", "volumeMode",
                                           "dataSource",  "dataSourceRef" };

    for (size_t i = 0; i < SW_COUNT(members); i++) {
        const struct sw_json *value = sw_json_member(storage, members[i]);

        if (value)
            sw_json_set_copy(&p->m, spec, members[i], value);
    }
    /* The reference's mark for "the webhook completes it", which we do ourselves. */
    if (sw_text_equal(sw_json_text(spec, "volumeMode"), "FromStorageProfile"))
        sw_json_remove(spec, "volumeMode");
}

struct sw_json *sw_render_claim_spec(struct sw_draft *p, const struct sw_json *dv,
                                     struct sw_problem *problem)
{
    const struct sw_json *as_is = sw_json_find(dv, "spec.pvc");

    if (as_is)
        return sw_json_copy(&p->m, as_is);

    sw_auto_json struct sw_json *spec = sw_json_new_object(&p->m);
    copy_storage(p, sw_json_find(dv, "spec.storage"), spec);
    if (!spec || !render_modes(p, dv, spec, problem) || !render_size(p, spec, problem))
        return NULL;
    return sw_steal(spec);
}
