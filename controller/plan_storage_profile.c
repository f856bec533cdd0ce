/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a StorageProfile: one per StorageClass, saying which claims the class can serve (contract
 * storage 3 to 5). */
#include <string.h>

#include "controller/cluster.h"
#include "controller/condition.h"
#include "controller/draft.h"
#include "controller/names.h"
#include "controller/object.h"
#include "controller/provisioner.h"

#define NO_PROVISIONER "kubernetes.io/no-provisioner"

struct profile {
    struct sw_draft *p;
    const struct sw_json *class;
    const struct sw_json *obj; /* the StorageProfile, if it is there */
    const struct sw_provisioner *known;
    char key[SW_PROVISIONER_KEY_MAX];
    const char *snapshot_class; /* found this time */
};

/* --- Snapshot classes ----------------------------------------------------------------------------- */

static bool is_driver(const struct profile *f, const struct sw_json *snapshot_class)
{
    return sw_text_equal(sw_json_text(snapshot_class, "driver"),
                         sw_json_text(f->class, "provisioner"));
}

/* The driver's class that is the default, else the first by name; only those whose parameter
 * snapshot-type has that value, unless it is NULL. */
static const char *find_snapshot_class(struct profile *f, const char *type)
{
    const struct sw_json *all = sw_draft_list(f->p, SW_KIND_SNAPSHOT_CLASS, SW_INDEX_ALL, "");
    const struct sw_json *best = NULL;

    for (size_t i = 0; i < sw_json_length(all); i++) {
        const struct sw_json *c = sw_json_at(all, i);
        bool is_default = sw_object_annotation_is(c, SW_ANNO_SNAPSHOT_DEFAULT, "true");
        bool was_default = sw_object_annotation_is(best, SW_ANNO_SNAPSHOT_DEFAULT, "true");
        const struct sw_json *parameters = sw_json_find(c, "parameters");

        if (!is_driver(f, c) || !sw_object_name(c) ||
            (type && !sw_text_equal(sw_json_member_text(parameters, "snapshot-type"), type)))
            continue;
        if (!best || (is_default && !was_default) ||
            (is_default == was_default && strcmp(sw_object_name(c), sw_object_name(best)) < 0))
            best = c;
    }
    return sw_object_name(best);
}

static const char *choose_snapshot_class(struct profile *f)
{
    const char *wish = sw_json_text(f->obj, "spec.snapshotClass");
    const struct sw_json *wished = sw_draft_get(f->p, SW_KIND_SNAPSHOT_CLASS, NULL, wish);

    if (!wish || !*wish)
        return find_snapshot_class(f, NULL);
    return wished && is_driver(f, wished) ? wish : NULL;
}

/* --- Claim property sets -------------------------------------------------------------------------- */

static void add_set(struct profile *f, struct sw_json *sets, const char *access_mode,
                    const char *volume_mode)
{
    struct sw_json_maker *m = &f->p->m;
    struct sw_json *set = sw_json_enter_object(m, sets, NULL);

    sw_json_set_str(m, sw_json_enter_array(m, set, "accessModes"), NULL, access_mode);
    sw_json_set_str(m, set, "volumeMode", volume_mode);
}

static bool has_set(const struct sw_json *sets, const char *access_mode, const char *volume_mode)
{
    for (size_t i = 0; i < sw_json_length(sets); i++)
        if (sw_text_equal(sw_json_text(sw_json_at(sets, i), "accessModes.0"), access_mode) &&
            sw_text_equal(sw_json_text(sw_json_at(sets, i), "volumeMode"), volume_mode))
            return true;
    return false;
}

static void add_coded_sets(struct profile *f, struct sw_json *sets, const char *codes)
{
    for (; *codes; codes += codes[2] ? 3 : 2)
        add_set(f, sets,
                codes[0] == 'X'   ? "ReadWriteMany"
                : codes[0] == 'O' ? "ReadWriteOnce"
                                  : "ReadOnlyMany",
                codes[1] == 'B' ? "Block" : "Filesystem");
}

/* Without a provisioner the class can do what its volumes can. Order: Block first, then as named. */
static void add_volumes_sets(struct profile *f, struct sw_json *sets)
{
    static const char *const accesses[] = { "ReadWriteMany", "ReadWriteOnce", "ReadOnlyMany",
                                            "ReadWriteOncePod" };
    static const char *const modes[] = { "Block", "Filesystem" };
    const struct sw_json *volumes = sw_draft_list(f->p, SW_KIND_VOLUME, SW_INDEX_CLASS,
                                                  sw_object_name(f->class));
    struct sw_json *all = sw_json_new_array(&f->p->m);

    for (size_t i = 0; i < sw_json_length(volumes); i++) {
        const struct sw_json *v = sw_json_at(volumes, i);
        const struct sw_json *access = sw_json_find(v, "spec.accessModes");
        const char *mode = sw_json_text(v, "spec.volumeMode");

        for (size_t k = 0; k < sw_json_length(access); k++) {
            const char *text = sw_json_text(sw_json_at(access, k), "");

            if (text)
                add_set(f, all, text, mode ? mode : "Filesystem");
        }
    }
    for (size_t m = 0; m < SW_COUNT(modes); m++)
        for (size_t a = 0; a < SW_COUNT(accesses); a++)
            if (has_set(all, accesses[a], modes[m]))
                add_set(f, sets, accesses[a], modes[m]);
    sw_json_free(all);
}

static struct sw_json *make_sets(struct profile *f)
{
    const struct sw_json *wish = sw_json_find(f->obj, "spec.claimPropertySets");
    struct sw_json *sets;

    if (sw_json_length(wish))
        return sw_json_copy(&f->p->m, wish);
    sets = sw_json_new_array(&f->p->m);
    if (strcmp(f->key, NO_PROVISIONER) == 0)
        add_volumes_sets(f, sets);
    else if (f->known && f->known->sets)
        add_coded_sets(f, sets, f->known->sets);
    else
        add_set(f, sets, "ReadWriteOnce", "Filesystem"); /* what every provisioner can do */
    return sets;
}

/* The schema asks for both; a profile from before it may lack them. */
static bool has_valid_wish(const struct profile *f)
{
    const struct sw_json *wish = sw_json_find(f->obj, "spec.claimPropertySets");

    for (size_t i = 0; i < sw_json_length(wish); i++)
        if (!sw_json_text(sw_json_at(wish, i), "volumeMode") ||
            !sw_json_length(sw_json_find(sw_json_at(wish, i), "accessModes")))
            return false;
    return true;
}

/* --- The rest of the status ----------------------------------------------------------------------- */

static const char *clone_strategy(const struct profile *f)
{
    const char *wish = sw_json_text(f->obj, "spec.cloneStrategy");
    const char *class = sw_object_annotation(f->class, SW_ANNO_CLONE_STRATEGY);
    const char *known = f->known ? f->known->clone : NULL;

    if (wish && *wish)
        return wish;
    if (class)
        return strcmp(class, "copy") == 0 || strcmp(class, "snapshot") == 0 ||
                       strcmp(class, "csi-clone") == 0
                   ? class
                   : "";
    if (!known)
        return f->snapshot_class ? "snapshot" : "copy";
    return strcmp(known, "snapshot") == 0 && !f->snapshot_class ? "copy" : known;
}

static const char *cron_format(const struct profile *f)
{
    const char *wish = sw_json_text(f->obj, "spec.dataImportCronSourceFormat");

    if (wish && *wish)
        return wish;
    return f->known && f->known->cron_wants_snapshot && f->snapshot_class ? "snapshot" : "pvc";
}

static struct sw_condition recognize(const struct profile *f)
{
    if (strcmp(f->key, SW_PROVISIONER_UNKNOWN) == 0)
        return (struct sw_condition){ "Recognized", "False", "UnrecognizedStorageClassParameters",
                                      "Storage class parameters are not recognized: "
                                      "ReadWriteOnce, Filesystem is assumed" };
    if (f->known && f->known->sets && *f->known->sets)
        return (struct sw_condition){ "Recognized", "True", "RecognizedProvisioner",
                                      "Provisioner is recognized" };
    if (f->known && f->known->sets)
        return (struct sw_condition){ "Recognized", "False", "UnrecognizedProvisioner",
                                      "Provisioner is not recognized" };
    return (struct sw_condition){ "Recognized", "False", "UnrecognizedProvisioner",
                                  "Provisioner is not recognized: ReadWriteOnce, Filesystem is "
                                  "assumed" };
}

static void put_text(struct profile *f, struct sw_json *status, const char *member,
                     const char *text)
{
    if (text)
        sw_json_set_str(&f->p->m, status, member, text);
}

static struct sw_json *make_status(struct profile *f)
{
    struct sw_json *status = sw_json_new_object(&f->p->m);
    const char *had = sw_json_text(f->obj, "status.snapshotClass");

    put_text(f, status, "storageClass", sw_object_name(f->class));
    put_text(f, status, "provisioner", sw_json_text(f->class, "provisioner"));
    put_text(f, status, "snapshotClass", f->snapshot_class ? f->snapshot_class : had);
    put_text(f, status, "cloneStrategy", clone_strategy(f));
    put_text(f, status, "dataImportCronSourceFormat", cron_format(f));
    sw_json_set(&f->p->m, status, "claimPropertySets", make_sets(f));
    const struct sw_condition recognized = recognize(f);
    sw_condition_put(&f->p->m, sw_json_enter_array(&f->p->m, status, "conditions"),
                     sw_json_find(f->obj, "status.conditions"), &recognized);
    return status;
}

/* --- Metadata ------------------------------------------------------------------------------------- */

static bool is_google(const struct profile *f)
{
    return strcmp(f->key, "pd.csi.storage.gke.io") == 0 ||
           strcmp(f->key, "pd.csi.storage.gke.io/hyperdisk") == 0;
}

/* Annotations that are missing; those that users set stay. */
static void put_annotations(struct profile *f, struct sw_json *to)
{
    struct sw_json_maker *m = &f->p->m;
    const char *images = is_google(f) ? find_snapshot_class(f, "images") : NULL;
    const char *had = sw_object_annotation(f->obj, SW_ANNO_CRON_SNAPSHOT_CLASS);

    if (f->known && f->known->min_size && !sw_object_has_annotation(f->obj, SW_ANNO_MIN_SIZE))
        sw_json_set_str(m, to, SW_ANNO_MIN_SIZE, f->known->min_size);
    if (is_google(f) && !sw_object_has_annotation(f->obj, SW_ANNO_CRON_RWO))
        sw_json_set_str(m, to, SW_ANNO_CRON_RWO, "true");
    if (images && !sw_text_equal(images, had))
        sw_json_set_str(m, to, SW_ANNO_CRON_SNAPSHOT_CLASS, images);
    else if (!images && had && is_google(f))
        sw_json_set_null(m, to, SW_ANNO_CRON_SNAPSHOT_CLASS);
}

static void put_labels(struct profile *f, struct sw_json *labels)
{
    sw_json_set_str(&f->p->m, labels, SW_LABEL_APP, SW_LABEL_APP_VALUE);
    sw_json_set_str(&f->p->m, labels, SW_LABEL_CDI, "");
    sw_cluster_put_labels(f->p, labels);
}

static void create(struct profile *f)
{
    struct sw_json_maker *m = &f->p->m;
    struct sw_json *obj = sw_object_new(m, SW_KIND_STORAGE_PROFILE, NULL, sw_object_name(f->class));
    struct sw_json *metadata = sw_json_enter_object(m, obj, "metadata");
    const struct sw_json *cdi = sw_cluster_cdi(f->p);

    put_labels(f, sw_json_enter_object(m, metadata, "labels"));
    put_annotations(f, sw_json_enter_object(m, metadata, "annotations"));
    if (cdi)
        sw_object_add_controller(m, sw_json_enter_array(m, metadata, "ownerReferences"),
                                 SW_KIND_CDI, cdi);
    sw_json_enter_object(m, obj, "spec");
    sw_act_create(f->p, NULL, SW_KIND_STORAGE_PROFILE, obj);
}

/* Whether an object has a member that is not among the texts of another one with the same value. */
struct missing {
    struct profile *f;
    struct sw_json *to;
    unsigned n;
};

static int find_missing(void *ctx, const char *key, const struct sw_json *value)
{
    struct missing *s = ctx;

    if (!sw_text_equal(sw_object_label(s->f->obj, key), sw_json_text(value, ""))) {
        sw_json_set_copy(&s->f->p->m, s->to, key, value);
        s->n++;
    }
    return 0;
}

static int count(void *ctx, const char *key SW_UNUSED, const struct sw_json *value SW_UNUSED)
{
    ++*(unsigned *)ctx;
    return 0;
}

static void update_metadata(struct profile *f)
{
    struct sw_json_maker *m = &f->p->m;
    sw_auto_json struct sw_json *patch = sw_json_new_object(m);
    sw_auto_json struct sw_json *labels = sw_json_new_object(m);
    struct sw_json *metadata = sw_json_enter_object(m, patch, "metadata");
    struct sw_json *annotations = sw_json_enter_object(m, metadata, "annotations");
    struct missing missing = { .f = f, .to = sw_json_enter_object(m, metadata, "labels") };

    put_labels(f, labels);
    sw_json_each(labels, find_missing, &missing);
    put_annotations(f, annotations);
    sw_json_each(annotations, count, &missing.n);
    if (missing.n)
        sw_act_patch(f->p, SW_KIND_STORAGE_PROFILE, f->obj, sw_steal(patch));
}

static void update_status(struct profile *f)
{
    sw_auto_json struct sw_json *status = make_status(f);
    struct sw_json *patch = sw_json_diff(&f->p->m, sw_json_find(f->obj, "status"), status);

    if (patch)
        sw_act_patch_status(f->p, SW_KIND_STORAGE_PROFILE, f->obj, patch);
}

static void plan(struct profile *f)
{
    sw_provisioner_key(f->class, f->key);
    f->known = sw_provisioner_find(f->key);
    if (!f->obj) {
        create(f); /* its status is written when it is there */
        return;
    }
    f->snapshot_class = choose_snapshot_class(f);
    if (sw_object_is_deleting(f->obj) || !has_valid_wish(f))
        return;
    update_metadata(f);
    update_status(f);
}

int sw_plan_storage_profile(const struct sw_view *view, const char *name,
                            struct sw_json **ret_actions, struct sw_err *err)
{
    struct sw_draft p;

    sw_draft_init(&p, view, err);
    struct profile f = {
        .p = &p,
        .class = sw_draft_get(&p, SW_KIND_STORAGE_CLASS, NULL, name),
        .obj = sw_draft_get(&p, SW_KIND_STORAGE_PROFILE, NULL, name),
    };
    if (sw_object_name(f.class) && !sw_object_is_deleting(f.class))
        plan(&f);
    else if (sw_object_uid(f.obj) && !sw_object_is_deleting(f.obj))
        sw_act_delete(&p, SW_KIND_STORAGE_PROFILE, f.obj);
    return sw_draft_finish(&p, ret_actions);
}
