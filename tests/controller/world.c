/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/controller/world.h"

#include <stdlib.h>
#include <string.h>

#include "controller/object.h"

static bool is_object(const struct sw_json *o, const char *kind, const char *ns, const char *name)
{
    const char *have = sw_object_namespace(o);

    return sw_text_equal(sw_json_text(o, "kind"), kind) && sw_text_equal(sw_object_name(o), name) &&
           (!ns || sw_text_equal(have, ns));
}

struct sw_json *world_find(const struct world *w, const char *kind, const char *ns,
                           const char *name)
{
    for (size_t i = 0; i < sw_json_length(w->objects); i++)
        if (is_object(sw_json_at(w->objects, i), kind, ns, name))
            return (struct sw_json *)sw_json_at(w->objects, i);
    return NULL;
}

/* Whether this is the look that fails. */
static int looked(struct world *w, struct sw_err *err)
{
    if (w->fail_at && --w->fail_at == 0)
        return sw_err_set(err, SW_ERR_INTERNAL, "the view failed");
    return 0;
}

static int get(const struct sw_view *view, enum sw_kind kind, const char *ns, const char *name,
               const struct sw_json **ret, struct sw_err *err)
{
    if (looked(view->ctx, err) < 0)
        return -1;
    *ret = world_find(view->ctx, sw_kind_info(kind)->name, ns, name);
    return *ret != NULL;
}

static bool mounts(const struct sw_json *pod, const char *key)
{
    const struct sw_json *volumes = sw_json_find(pod, "spec.volumes");
    const char *ns = sw_object_namespace(pod);
    size_t n = ns ? strlen(ns) : 0;

    if (!ns || strncmp(key, ns, n) != 0 || key[n] != '/')
        return false;
    for (size_t i = 0; i < sw_json_length(volumes); i++)
        if (sw_text_equal(sw_json_text(sw_json_at(volumes, i), "persistentVolumeClaim.claimName"),
                          key + n + 1))
            return true;
    return false;
}

static bool is_in_index(const struct sw_json *o, enum sw_index index, const char *value)
{
    const char *ns, *name, *class;

    switch (index) {
    case SW_INDEX_ALL:
        return true;
    case SW_INDEX_OWNER:
        return sw_text_equal(sw_json_text(sw_object_controller(o), "uid"), value);
    case SW_INDEX_CLAIM:
        return mounts(o, value);
    case SW_INDEX_CLASS:
        class = sw_json_text(o, "spec.storageClassName");
        return strcmp(class ? class : "", value) == 0;
    case SW_INDEX_CLAIM_REF:
        ns = sw_json_text(o, "spec.claimRef.namespace");
        name = sw_json_text(o, "spec.claimRef.name");
        return ns && name && strncmp(value, ns, strlen(ns)) == 0 && value[strlen(ns)] == '/' &&
               strcmp(value + strlen(ns) + 1, name) == 0;
    case SW_INDEX_INVOLVED:
        return sw_text_equal(sw_json_text(o, "involvedObject.uid"), value);
    case SW_INDEX_COUNT_:
        break;
    }
    abort();
}

static int list(const struct sw_view *view, enum sw_kind kind, enum sw_index index,
                const char *value, const struct sw_json **ret, struct sw_err *err)
{
    struct world *w = view->ctx;

    if (looked(w, err) < 0)
        return -1;

    struct sw_json *found = sw_json_new_array(&w->m);

    for (size_t i = 0; i < sw_json_length(w->objects); i++) {
        const struct sw_json *o = sw_json_at(w->objects, i);

        if (sw_text_equal(sw_json_text(o, "kind"), sw_kind_info(kind)->name) &&
            is_in_index(o, index, value))
            sw_json_set_copy(&w->m, found, NULL, o);
    }
    if (w->n_lists == WORLD_LISTS_MAX)
        abort(); /* a plan that asks so often is a loop */
    w->lists[w->n_lists++] = found;
    *ret = found;
    return 0;
}

static void stamp(struct world *w, struct sw_json *object, bool is_new)
{
    struct sw_json *metadata = sw_json_enter_object(&w->m, object, "metadata");
    char text[512];

    if (is_new && !sw_json_text(metadata, "uid")) {
        const char *kind = sw_json_text(object, "kind"), *name = sw_json_text(metadata, "name");

        snprintf(text, sizeof(text), "uid-%.60s-%.300s", kind ? kind : "", name ? name : "");
        sw_json_set_str(&w->m, metadata, "uid", text);
    }
    snprintf(text, sizeof(text), "%u", ++w->clock);
    if (!is_new || !sw_json_text(metadata, "resourceVersion"))
        sw_json_set_str(&w->m, metadata, "resourceVersion", text);
}

bool world_add(struct world *w, const struct sw_json *object)
{
    if (world_find(w, sw_json_text(object, "kind"), sw_object_namespace(object),
                   sw_object_name(object)))
        return false;
    sw_json_set_copy(&w->m, w->objects, NULL, object);
    stamp(w, (struct sw_json *)sw_json_at(w->objects, sw_json_length(w->objects) - 1), true);
    return true;
}

void world_init(struct world *w, const struct sw_json *objects)
{
    static const struct sw_view_ops ops = { .get = get, .list = list };

    *w = (struct world){
        .env = { .namespace = "cdi",
                 .image = "slipway:test",
                 .pull_policy = "IfNotPresent",
                 .version = "9.9.9",
                 .verbosity = 1 },
    };
    w->objects = sw_json_new_array(&w->m);
    w->view = (struct sw_view){ .ops = &ops, .progress_centi = SW_PROGRESS_UNKNOWN };
    /* Objects without a name are none: the API server keeps none, and no cache takes one. */
    for (size_t i = 0; i < sw_json_length(objects); i++)
        if (sw_json_type(sw_json_at(objects, i)) == SW_JSON_OBJECT &&
            sw_json_text(sw_json_at(objects, i), "metadata.name"))
            world_add(w, sw_json_at(objects, i));
}

void world_forget(struct world *w)
{
    while (w->n_lists)
        sw_json_free(w->lists[--w->n_lists]);
}

void world_done(struct world *w)
{
    world_forget(w);
    sw_json_free(w->objects);
    sw_json_free(w->last_error);
}

const struct sw_view *world_view(struct world *w)
{
    w->view.ctx = w;
    w->view.env = &w->env;
    w->view.last_error = w->last_error;
    return &w->view;
}

int world_plan(struct world *w, const char *plan, const char *key, struct sw_json **ret_actions,
               struct sw_err *err)
{
    const struct sw_view *view = world_view(w);
    sw_autofree char *ns = strdup(key);
    char *name = strchr(ns, '/');

    if (name)
        *name++ = '\0';
    if (name && strcmp(plan, "datavolume") == 0)
        return sw_plan_datavolume(view, ns, name, ret_actions, err);
    if (name && strcmp(plan, "claim") == 0)
        return sw_plan_claim(view, ns, name, ret_actions, err);
    if (!name && strcmp(plan, "storage-profile") == 0)
        return sw_plan_storage_profile(view, key, ret_actions, err);
    if (!name && strcmp(plan, "cdi") == 0)
        return sw_plan_cdi(view, key, ret_actions, err);
    return sw_err_set(err, SW_ERR_USAGE, "no plan '%s' with a key like '%s'", plan, key);
}

/* --- The API server ------------------------------------------------------------------------------- */

/* "$now" is the time of the write, in members whose name ends in Time. */
static void put_times(struct world *w, struct sw_json *value);

struct timing {
    struct world *w;
    struct sw_json *object;
};

static int put_time(void *ctx, const char *key, const struct sw_json *value)
{
    struct timing *t = ctx;
    size_t n = strlen(key);

    if (sw_text_equal(sw_json_text(value, ""), "$now") && n > 4 && !strcmp(key + n - 4, "Time")) {
        char text[64];

        snprintf(text, sizeof(text), "2026-01-01T%02u:%02u:%02uZ", t->w->clock / 3600 % 24,
                 t->w->clock / 60 % 60, t->w->clock % 60);
        sw_json_set_str(&t->w->m, t->object, key, text);
    } else {
        put_times(t->w, (struct sw_json *)value);
    }
    return 0;
}

static void put_times(struct world *w, struct sw_json *value)
{
    struct timing t = { w, value };

    for (size_t i = 0; i < sw_json_length(value); i++)
        put_times(w, (struct sw_json *)sw_json_at(value, i));
    sw_json_each(value, put_time, &t);
}

/* Remove the object by building the list anew. */
static void drop(struct world *w, const struct sw_json *victim)
{
    struct sw_json *rest = sw_json_new_array(&w->m);

    for (size_t i = 0; i < sw_json_length(w->objects); i++)
        if (sw_json_at(w->objects, i) != victim)
            sw_json_set_copy(&w->m, rest, NULL, sw_json_at(w->objects, i));
    sw_json_free(w->objects);
    w->objects = rest;
}

static int apply_patch(struct world *w, struct sw_json *object, const struct sw_json *action,
                       struct sw_err *err)
{
    const char *version = sw_json_text(action, "resourceVersion");
    sw_auto_json struct sw_json *patch = sw_json_copy(&w->m, sw_json_find(action, "patch"));

    if (!object || !sw_text_equal(sw_json_text(action, "uid"), sw_object_uid(object)))
        return sw_err_set(err, SW_ERR_BAD_DATA, "patches an object that is not there");
    if (version && !sw_text_equal(version, sw_json_text(object, "metadata.resourceVersion")))
        return sw_err_set(err, SW_ERR_BAD_DATA, "patches resource version %s", version);
    put_times(w, patch);
    sw_json_merge(&w->m, &object, patch);
    stamp(w, object, false);
    return 1;
}

static int apply_create(struct world *w, const struct sw_json *action, struct sw_err *err)
{
    sw_auto_json struct sw_json *object = sw_json_copy(&w->m, sw_json_find(action, "object"));

    if (!sw_text_equal(sw_object_name(object), sw_json_text(action, "name")) ||
        !sw_text_equal(sw_object_namespace(object), sw_json_text(action, "namespace")) ||
        !sw_text_equal(sw_json_text(object, "kind"), sw_json_text(action, "kind")) ||
        !sw_json_text(object, "apiVersion"))
        return sw_err_set(err, SW_ERR_BAD_DATA, "the object is not what the action names");
    put_times(w, object);
    if (!world_add(w, object))
        return sw_err_set(err, SW_ERR_BAD_DATA, "creates what is there");
    return 1;
}

static int apply_one(struct world *w, const struct sw_json *action, struct sw_err *err)
{
    const char *what = sw_json_text(action, "do");
    struct sw_json *object = world_find(w, sw_json_text(action, "kind"),
                                        sw_json_text(action, "namespace"),
                                        sw_json_text(action, "name"));

    if (!what)
        return sw_err_set(err, SW_ERR_BAD_DATA, "an action without \"do\"");
    if (strcmp(what, "create") == 0)
        return apply_create(w, action, err);
    if (strcmp(what, "apply") == 0)
        return object ? 0 : apply_create(w, action, err);
    if (strcmp(what, "patch") == 0 || strcmp(what, "patchStatus") == 0)
        return apply_patch(w, object, action, err);
    if (strcmp(what, "delete") == 0) {
        if (object)
            drop(w, object);
        return object != NULL;
    }
    if (strcmp(what, "event") == 0 || strcmp(what, "scrape") == 0 || strcmp(what, "requeue") == 0 ||
        strcmp(what, "retry") == 0)
        return 0;
    return sw_err_set(err, SW_ERR_BAD_DATA, "an action '%s'", what);
}

int world_apply(struct world *w, const struct sw_json *actions, struct sw_err *err)
{
    int changed = 0;

    for (size_t i = 0; i < sw_json_length(actions); i++) {
        int one = apply_one(w, sw_json_at(actions, i), err);

        if (one < 0)
            return sw_err_wrap(err, "action %zu", i);
        changed += one;
    }
    return changed;
}
