/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of the CDI object and of CDIConfig "config" (contract operator-deploy 9, kubevirt-client 3 and
 * 6): KubeVirt looks for exactly one CDI and a CDIConfig whose filesystem overhead is filled in, so the
 * CDIConfig is written before the CDI says that it is deployed. */
#include <string.h>

#include "controller/cluster.h"
#include "controller/condition.h"
#include "controller/draft.h"
#include "controller/names.h"
#include "controller/object.h"
#include "controller/pods.h"
#include "controller/quantity.h"

#define DEFAULT_OVERHEAD "0.06"

struct cdi {
    struct sw_draft *p;
    const struct sw_json *obj;    /* the CDI                          */
    const struct sw_json *config; /* the CDIConfig, if it is there    */
    const struct sw_json *spec;   /* of CDIConfig, as it is to become */
};

/* --- CDIConfig's status --------------------------------------------------------------------------- */

static void put_overhead(struct cdi *c, struct sw_json *status)
{
    struct sw_json_maker *m = &c->p->m;
    struct sw_json *overhead = sw_json_enter_object(m, status, "filesystemOverhead");
    struct sw_json *classes = sw_json_enter_object(m, overhead, "storageClass");
    const struct sw_json *wish = sw_json_find(c->spec, "filesystemOverhead");
    const struct sw_json *all = sw_draft_list(c->p, SW_KIND_STORAGE_CLASS, SW_INDEX_ALL, "");
    const char *global = sw_json_text(wish, "global");
    double ignored;

    if (!sw_overhead_parse(global, &ignored))
        global = DEFAULT_OVERHEAD;
    sw_json_set_str(m, overhead, "global", global);
    for (size_t i = 0; i < sw_json_length(all); i++) {
        const char *name = sw_object_name(sw_json_at(all, i));
        const char *own = name ? sw_json_member_text(sw_json_find(wish, "storageClass"), name)
                               : NULL;

        if (name)
            sw_json_set_str(m, classes, name, sw_overhead_parse(own, &ignored) ? own : global);
    }
}

static void put_resources(struct cdi *c, struct sw_json *status)
{
    static const struct {
        const char *group, *resource, *otherwise;
    } rows[] = {
        { "limits", "cpu", "750m" },
        { "limits", "memory", "600M" },
        { "requests", "cpu", "100m" },
        { "requests", "memory", "60M" },
    };
    struct sw_json_maker *m = &c->p->m;
    struct sw_json *to = sw_json_enter_object(m, status, "defaultPodResourceRequirements");

    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        const struct sw_json *wish = sw_json_member(
            sw_json_find(c->spec, "podResourceRequirements"), rows[i].group);
        struct sw_json *group = sw_json_enter_object(m, to, rows[i].group);

        if (sw_json_member(wish, rows[i].resource))
            sw_json_set_copy(m, group, rows[i].resource, sw_json_member(wish, rows[i].resource));
        else
            sw_json_set_str(m, group, rows[i].resource, rows[i].otherwise);
    }
}

static void put_proxy(struct cdi *c, struct sw_json *status)
{
    static const char *const members[] = { "HTTPProxy", "HTTPSProxy", "noProxy", "trustedCAProxy" };
    struct sw_json *to = sw_json_enter_object(&c->p->m, status, "importProxy");

    for (size_t i = 0; i < SW_COUNT(members); i++) {
        const char *text = sw_json_member_text(sw_json_find(c->spec, "importProxy"), members[i]);

        sw_json_set_str(&c->p->m, to, members[i], text ? text : "");
    }
}

static struct sw_json *make_status(struct cdi *c)
{
    struct sw_json_maker *m = &c->p->m;
    struct sw_json *status = sw_json_new_object(m);
    const char *scratch = sw_json_text(c->spec, "scratchSpaceStorageClass");
    const char *url = sw_json_text(c->spec, "uploadProxyURLOverride");
    const struct sw_json *pull = sw_json_find(c->spec, "imagePullSecrets");
    struct sw_err ignored;
    bool preallocates = false;

    if (sw_json_get_bool(c->spec, "preallocation", &preallocates, &ignored) != 1)
        preallocates = false;
    put_overhead(c, status);
    put_resources(c, status);
    put_proxy(c, status);
    sw_json_set_bool(m, status, "preallocation", preallocates);
    sw_json_set_str(m, status, "scratchSpaceStorageClass",
                    scratch && sw_cluster_class(c->p, scratch, false) ? scratch : "");
    if (url)
        sw_json_set_str(m, status, "uploadProxyURL", url);
    if (sw_json_length(pull))
        sw_json_set_copy(m, status, "imagePullSecrets", pull);
    return status;
}

/* --- CDIConfig ------------------------------------------------------------------------------------ */

static void create_config(struct cdi *c, struct sw_json *spec, struct sw_json *status)
{
    struct sw_json_maker *m = &c->p->m;
    struct sw_json *obj = sw_object_new(m, SW_KIND_CDI_CONFIG, NULL, SW_CONFIG_NAME);
    struct sw_json *metadata = sw_json_enter_object(m, obj, "metadata");
    struct sw_json *labels = sw_json_enter_object(m, metadata, "labels");

    sw_json_set_str(m, labels, SW_LABEL_APP, SW_LABEL_APP_VALUE);
    sw_json_set_str(m, labels, SW_LABEL_CDI, "");
    sw_cluster_put_labels(c->p, labels);
    sw_object_add_controller(m, sw_json_enter_array(m, metadata, "ownerReferences"), SW_KIND_CDI,
                             c->obj);
    sw_json_set(m, obj, "spec", spec);
    sw_json_set(m, obj, "status", status);
    sw_act_create(c->p, NULL, SW_KIND_CDI_CONFIG, obj);
}

static void plan_config(struct cdi *c)
{
    struct sw_json_maker *m = &c->p->m;
    sw_auto_json struct sw_json *spec = c->spec ? sw_json_copy(m, c->spec) : sw_json_new_object(m);
    sw_auto_json struct sw_json *status = make_status(c);

    if (!c->config) {
        create_config(c, sw_steal(spec), sw_steal(status));
        return;
    }

    sw_auto_json struct sw_json *want = sw_json_new_object(m);
    sw_auto_json struct sw_json *have = sw_json_new_object(m);
    sw_json_set(m, want, "spec", sw_steal(spec));
    sw_json_set(m, want, "status", sw_steal(status));
    sw_json_set_copy(m, have, "spec", sw_json_find(c->config, "spec"));
    sw_json_set_copy(m, have, "status", sw_json_find(c->config, "status"));
    struct sw_json *patch = sw_json_diff(m, have, want);
    if (patch)
        sw_act_patch(c->p, SW_KIND_CDI_CONFIG, c->config, patch);
}

/* --- CDI ------------------------------------------------------------------------------------------ */

/* From now on the CDI object rules; settings that were made in CDIConfig before are carried over. */
static bool take_authority(struct cdi *c)
{
    struct sw_json_maker *m = &c->p->m;
    const struct sw_json *before = sw_json_find(c->config, "spec");
    struct sw_json *patch, *metadata;

    if (sw_object_has_annotation(c->obj, SW_ANNO_CONFIG_AUTHORITY))
        return false;
    patch = sw_json_new_object(m);
    metadata = sw_json_enter_object(m, patch, "metadata");
    sw_json_set_str(m, sw_json_enter_object(m, metadata, "annotations"), SW_ANNO_CONFIG_AUTHORITY,
                    "");
    if (before && !sw_json_find(c->obj, "spec.config"))
        sw_json_set_copy(m, sw_json_enter_object(m, patch, "spec"), "config", before);
    sw_act_patch(c->p, SW_KIND_CDI, c->obj, patch);
    return true;
}

static void plan_status(struct cdi *c)
{
    static const struct sw_condition conditions[] = {
        { "Available", "True", "DeployCompleted", "Deployment Completed" },
        { "Progressing", "False", "", "" },
        { "Degraded", "False", "", "" },
    };
    static const char *const versions[] = { "operatorVersion", "targetVersion", "observedVersion" };
    struct sw_json_maker *m = &c->p->m;
    const struct sw_json *have = sw_json_find(c->obj, "status");
    sw_auto_json struct sw_json *want = sw_json_new_object(m);
    struct sw_json *list = sw_json_enter_array(m, want, "conditions");

    for (size_t i = 0; i < SW_COUNT(conditions); i++)
        sw_condition_put(m, list, sw_json_find(have, "conditions"), &conditions[i]);
    sw_json_set_str(m, want, "phase", "Deployed");
    for (size_t i = 0; i < SW_COUNT(versions); i++)
        sw_json_set_str(m, want, versions[i], c->p->view->env->version);

    struct sw_json *patch = sw_json_diff(m, have, want);
    if (patch)
        sw_act_patch_status(c->p, SW_KIND_CDI, c->obj, patch);
}

/* kubectl applies no object of a kind that the same file defines, so the one of a fresh installation is
 * made here. One that somebody made, under whatever name, is as good. */
static void create_cdi(struct sw_draft *p)
{
    if (sw_json_length(sw_draft_list(p, SW_KIND_CDI, SW_INDEX_ALL, "")) == 0)
        sw_act_create(p, NULL, SW_KIND_CDI, sw_object_template_cdi(&p->m));
}

int sw_plan_cdi(const struct sw_view *view, const char *name, struct sw_json **ret_actions,
                struct sw_err *err)
{
    struct sw_draft p;

    sw_draft_init(&p, view, err);
    struct cdi c = {
        .p = &p,
        .obj = sw_draft_get(&p, SW_KIND_CDI, NULL, name),
        .config = sw_cluster_config(&p),
    };
    if (!c.obj && strcmp(name, SW_CDI_NAME) == 0)
        create_cdi(&p);
    /* A second CDI object is a mistake that the first must not suffer from. */
    if (sw_object_uid(c.obj) && !sw_object_is_deleting(c.obj) &&
        sw_text_equal(sw_object_name(sw_cluster_cdi(&p)), name) && !take_authority(&c)) {
        c.spec = sw_json_find(c.obj, "spec.config");
        if (!sw_object_is_deleting(c.config))
            plan_config(&c);
        plan_status(&c);
    }
    return sw_draft_finish(&p, ret_actions);
}
