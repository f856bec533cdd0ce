/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/world.h"

#include <assert.h>
#include <string.h>

#include "common/log.h"
#include "controller/action.h"
#include "kube/watch.h"

#define KEEP_MAX 32
/* Volumes come and go by the thousand, and a StorageProfile that looks at them can wait. */
#define LATER_NS (5 * SW_NS_PER_SEC)

struct room {
    struct sw_world *world;
    enum sw_kind kind;
    char *keep[KEEP_MAX + 1]; /* kube/projection.h writes paths through arrays without "[]" */
    struct sw_kube_cache *cache;
    struct sw_kube_watch *watch;
    bool is_absent; /* the cluster does not know the kind, and that is fine */
};

struct sw_world {
    struct sw_kube_client *client;
    struct sw_world_options o;
    struct room rooms[SW_KIND_COUNT_];
    size_t n_pending;
    bool is_synced;
};

/* --- Indexes and selectors ------------------------------------------------------------------- */

static const struct sw_kube_index pod_indexes[] = {
    { .name = "owner", .path = "metadata.ownerReferences.uid" },
    { .name = "claim",
      .path = "spec.volumes.persistentVolumeClaim.claimName",
      .in_namespace = true },
    { 0 },
};
static const struct sw_kube_index volume_indexes[] = {
    { .name = "class", .path = "spec.storageClassName" },
    { .name = "claim-ref", .path = "spec.claimRef.name" },
    { 0 },
};
static const struct sw_kube_index event_indexes[] = {
    { .name = "involved", .path = "involvedObject.uid" },
    { 0 },
};

static const struct kind_extra {
    const struct sw_kube_index *indexes;
    const char *fields; /* field selector */
    const char *keep;   /* one more path: what keys.c reads and plans do not */
    bool is_optional;   /* its CRD may be missing */
    bool is_own_ns;
} extras[SW_KIND_COUNT_] = {
    [SW_KIND_POD] = { .indexes = pod_indexes },
    [SW_KIND_VOLUME] = { .indexes = volume_indexes },
    [SW_KIND_EVENT] = { .indexes = event_indexes,
                        .fields = "involvedObject.kind=PersistentVolumeClaim",
                        .keep = "involvedObject.name" },
    [SW_KIND_SNAPSHOT_CLASS] = { .is_optional = true },
    [SW_KIND_CONFIG_MAP] = { .is_own_ns = true },
};

/* --- Changes --------------------------------------------------------------------------------- */

struct spread {
    struct sw_world *world;
    enum sw_plan_id plan;
    int64_t delay_ns;
};

static int tell(void *ctx, const char *ns, const char *name)
{
    const struct spread *s = ctx;
    char key[SW_KEY_MAX];

    sw_key_print(s->plan, ns, name, key);
    s->world->o.on_key(s->world->o.ctx, key, s->delay_ns);
    return 0;
}

static void add_delayed(struct sw_world *w, enum sw_plan_id plan, const char *ns, const char *name,
                        int64_t delay_ns)
{
    static const enum sw_kind kinds[SW_PLAN_COUNT_] = {
        [SW_PLAN_DATA_VOLUME] = SW_KIND_DATA_VOLUME,
        [SW_PLAN_CLAIM] = SW_KIND_CLAIM,
        [SW_PLAN_STORAGE_PROFILE] = SW_KIND_STORAGE_CLASS,
        [SW_PLAN_CDI] = SW_KIND_CDI,
    };
    struct spread s = { w, plan, delay_ns };

    if (name)
        tell(&s, ns, name);
    else
        (void)sw_kube_cache_each(w->rooms[kinds[plan]].cache, NULL, NULL, tell, &s);
}

static void add_now(void *ctx, enum sw_plan_id plan, const char *ns, const char *name)
{
    add_delayed(ctx, plan, ns, name, 0);
}

static void add_later(void *ctx, enum sw_plan_id plan, const char *ns, const char *name)
{
    add_delayed(ctx, plan, ns, name, LATER_NS);
}

static void tell_gone(struct sw_world *w, enum sw_plan_id plan, const struct sw_kube_change *change)
{
    char key[SW_KEY_MAX];

    sw_key_print(plan, change->ns, change->name, key);
    w->o.on_gone(w->o.ctx, key);
}

/* metrics-alerts.md 1, kubevirt_cdi_datavolume_pending. */
static bool is_pending(const struct sw_json *dv)
{
    const char *phase = sw_json_text(dv, "status.phase");

    return dv && (!phase || !*phase || strcmp(phase, "Pending") == 0) &&
           !sw_json_text(dv, "spec.pvc.storageClassName") &&
           !sw_json_text(dv, "spec.storage.storageClassName");
}

/* Counted as they come and go: looking at all of them for each page would cost more than the rest. */
static void count_pending(struct sw_world *w, const struct sw_kube_change *change)
{
    if (change->kind == SW_KUBE_DELETED)
        w->n_pending -= is_pending(change->object);
    else
        w->n_pending += (size_t)is_pending(change->object) - is_pending(change->before);
}

/* --- What is not worth its memory ------------------------------------------------------------ */

static void remove_from(struct room *room, const struct sw_json *object)
{
    struct sw_err err = { 0 };

    if (sw_kube_cache_remove(room->cache, object, &err) < 0)
        sw_log_debug("controller.not_fed", SW_ERR(&err));
}

static bool is_bound(const struct sw_json *claim)
{
    const char *phase = sw_json_text(claim, "status.phase");

    return phase && strcmp(phase, "Bound") == 0;
}

/* Events are read while their claim is not bound, and a claim collects more of them than it weighs. */
static bool is_old_news(struct sw_world *w, const struct sw_kube_change *event)
{
    const char *name = sw_json_text(event->object, "involvedObject.name");
    sw_auto_json struct sw_json *claim = NULL;
    struct sw_err err = { 0 };

    return name &&
           sw_kube_cache_get(w->rooms[SW_KIND_CLAIM].cache, event->ns, name, &claim, &err) == 1 &&
           is_bound(claim);
}

/* A pod that mounts no claim is nobody's business here, and most pods of a cluster are like that. */
static bool is_stranger(const struct sw_kube_change *pod)
{
    return !sw_json_find(pod->object, "spec.volumes");
}

static void forget_events(struct sw_world *w, const struct sw_kube_change *claim)
{
    struct room *events = &w->rooms[SW_KIND_EVENT];
    struct sw_json **found = NULL;
    struct sw_err err = { 0 };
    size_t n = 0;

    if (sw_kube_cache_list(events->cache, "involved", claim->uid, &found, &n, &err) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        remove_from(events, found[i]);
    sw_kube_objects_free(found, n);
}

/* Whether the change was only a reason to forget the object. */
static bool is_not_kept(struct room *room, const struct sw_kube_change *change)
{
    if (change->kind == SW_KUBE_DELETED)
        return false;
    if (!(room->kind == SW_KIND_EVENT && is_old_news(room->world, change)) &&
        !(room->kind == SW_KIND_POD && is_stranger(change)))
        return false;
    remove_from(room, change->object);
    return true;
}

static void on_change(void *ctx, const struct sw_kube_change *change)
{
    struct room *room = ctx;
    struct sw_world *w = room->world;
    const struct sw_keys_sink sink = { .ctx = w, .add = add_now, .add_later = add_later };
    const struct sw_keys_change c = {
        .kind = room->kind,
        .is_deleted = change->kind == SW_KUBE_DELETED,
        .ns = change->ns,
        .name = change->name,
        .object = change->object,
        .before = change->before,
    };

    if (is_not_kept(room, change))
        return;
    if (room->kind == SW_KIND_CLAIM && (c.is_deleted || is_bound(c.object)) && !is_bound(c.before))
        forget_events(w, change);
    if (room->kind == SW_KIND_DATA_VOLUME)
        count_pending(w, change);
    if (c.is_deleted && room->kind == SW_KIND_DATA_VOLUME)
        tell_gone(w, SW_PLAN_DATA_VOLUME, change);
    if (c.is_deleted && room->kind == SW_KIND_CLAIM)
        tell_gone(w, SW_PLAN_CLAIM, change);
    sw_keys_of_change(&c, &sink);
}

/* --- Whether all is there -------------------------------------------------------------------- */

static bool is_ready(const struct room *room)
{
    return room->is_absent || sw_kube_watch_is_synced(room->watch);
}

bool sw_world_is_synced(const struct sw_world *world)
{
    return world->is_synced;
}

const char *sw_world_waits_for(const struct sw_world *world)
{
    for (size_t k = 0; k < SW_KIND_COUNT_; k++) {
        if (!is_ready(&world->rooms[k]))
            return sw_kind_info((enum sw_kind)k)->name;
    }
    return NULL;
}

static void check_synced(struct sw_world *w)
{
    if (w->is_synced || sw_world_waits_for(w))
        return;
    w->is_synced = true;
    w->o.on_synced(w->o.ctx);
}

static void on_watch_synced(void *ctx)
{
    struct room *room = ctx;

    room->is_absent = false;
    check_synced(room->world);
}

static void on_watch_failure(void *ctx, const struct sw_kube_resource *resource SW_UNUSED,
                             const struct sw_err *err)
{
    struct room *room = ctx;
    bool was_absent = room->is_absent;

    if (extras[room->kind].is_optional && err->kind == SW_ERR_NOT_FOUND) {
        room->is_absent = true;
        check_synced(room->world);
        if (was_absent)
            return; /* said once */
    }
    room->world->o.on_failure(room->world->o.ctx, sw_kind_info(room->kind)->name, err);
}

/* --- The view -------------------------------------------------------------------------------- */

/* Remember a tree until the view ends; takes it. */
static int lend(struct sw_world_view *v, struct sw_json *tree, struct sw_err *err)
{
    if (v->n == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 16;
        struct sw_json **bigger = reallocarray(v->trees, cap, sizeof(struct sw_json *));

        if (!bigger) {
            sw_json_free(tree);
            return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a view");
        }
        v->trees = bigger;
        v->cap = cap;
    }
    v->trees[v->n++] = tree;
    return 0;
}

static int view_get(const struct sw_view *view, enum sw_kind kind, const char *namespace,
                    const char *name, const struct sw_json **ret, struct sw_err *err)
{
    struct sw_world_view *v = view->ctx;
    struct sw_json *tree = NULL;
    int got = sw_kube_cache_get(v->world->rooms[kind].cache, namespace, name, &tree, err);

    if (got <= 0)
        return got;
    *ret = tree;
    return lend(v, tree, err) < 0 ? -1 : 1;
}

/* The index of the cache that finds at least what is asked for. */
static const char *index_of(enum sw_index index, const char *value)
{
    switch (index) {
    case SW_INDEX_OWNER:
        return "owner";
    case SW_INDEX_CLAIM:
        return "claim";
    case SW_INDEX_CLASS:
        return *value ? "class" : NULL;
    case SW_INDEX_CLAIM_REF:
        return "claim-ref";
    case SW_INDEX_INVOLVED:
        return "involved";
    case SW_INDEX_ALL:
    case SW_INDEX_COUNT_:
        break;
    }
    return NULL;
}

static bool is_controlled_by(const struct sw_json *object, const char *uid)
{
    const struct sw_json *owners = sw_json_find(object, "metadata.ownerReferences");

    for (size_t i = 0; i < sw_json_length(owners); i++) {
        const struct sw_json *o = sw_json_at(owners, i);
        const char *text = sw_json_text(o, "uid");
        struct sw_err ignored;
        bool is_controller = false;

        if (text && strcmp(text, uid) == 0 &&
            sw_json_get_bool(o, "controller", &is_controller, &ignored) == 1 && is_controller)
            return true;
    }
    return false;
}

/* What a cache's index cannot say, as it is the value of one field. */
static bool is_meant(const struct sw_json *object, enum sw_index index, const char *value)
{
    if (index == SW_INDEX_OWNER)
        return is_controlled_by(object, value);
    if (index == SW_INDEX_CLASS && !*value) {
        const char *class = sw_json_text(object, "spec.storageClassName");

        return !class || !*class;
    }
    if (index == SW_INDEX_CLAIM_REF) {
        const char *ns = sw_json_text(object, "spec.claimRef.namespace");
        const char *name = sw_json_text(object, "spec.claimRef.name");
        size_t n = ns ? strlen(ns) : 0;

        return ns && name && strncmp(value, ns, n) == 0 && value[n] == '/' &&
               strcmp(value + n + 1, name) == 0;
    }
    return true;
}

static int view_list(const struct sw_view *view, enum sw_kind kind, enum sw_index index,
                     const char *value, const struct sw_json **ret, struct sw_err *err)
{
    struct sw_world_view *v = view->ctx;
    const char *name = index_of(index, value);
    const char *slash = strchr(value, '/');
    const char *asked = index == SW_INDEX_CLAIM_REF && slash ? slash + 1 : value;
    struct sw_json_maker m = { 0 };
    struct sw_json **found = NULL;
    size_t n = 0;

    if (sw_kube_cache_list(v->world->rooms[kind].cache, name, name ? asked : NULL, &found, &n,
                           err) < 0)
        return -1;
    struct sw_json *array = sw_json_new_array(&m);
    for (size_t i = 0; i < n; i++) {
        if (is_meant(found[i], index, value))
            sw_json_set(&m, array, NULL, sw_steal(found[i]));
    }
    sw_kube_objects_free(found, n);
    *ret = array;
    if (lend(v, array, err) < 0)
        return -1;
    return sw_json_maker_check(&m, "a list of objects", err);
}

void sw_world_view_begin(struct sw_world *world, const struct sw_plan_env *env,
                         struct sw_world_view *ret)
{
    static const struct sw_view_ops ops = { .get = view_get, .list = view_list };

    *ret = (struct sw_world_view){ .world = world };
    ret->view = (struct sw_view){
        .ops = &ops, .ctx = ret, .env = env, .progress_centi = SW_PROGRESS_UNKNOWN
    };
}

void sw_world_view_end(struct sw_world_view *v)
{
    for (size_t i = 0; i < v->n; i++)
        sw_json_free(v->trees[i]);
    free(v->trees);
    *v = (struct sw_world_view){ 0 };
}

/* --- Life ------------------------------------------------------------------------------------ */

static int fill_keep(struct room *room, struct sw_err *err)
{
    const char *const *from = sw_kind_info(room->kind)->keep;
    const char *extra = extras[room->kind].keep;
    size_t n = 0;

    for (; from[n]; n++) {
        assert(n + 1 < KEEP_MAX);
        room->keep[n] = strdup(from[n]);
        if (!room->keep[n])
            return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
        for (char *at = strstr(room->keep[n], "[]"); at; at = strstr(at, "[]"))
            memmove(at, at + 2, strlen(at + 2) + 1);
    }
    if (extra && !(room->keep[n] = strdup(extra)))
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    return 0;
}

static int open_room(struct sw_world *w, enum sw_kind kind, struct sw_err *err)
{
    const struct kind_extra *x = &extras[kind];
    struct room *room = &w->rooms[kind];

    room->world = w;
    room->kind = kind;
    if (fill_keep(room, err) < 0)
        return -1;
    const struct sw_kube_cache_config cache = {
        .resource = sw_kind_resource(kind),
        .keep = (const char *const *)room->keep,
        .indexes = x->indexes,
        .ctx = room,
        .on_change = on_change,
    };
    return sw_kube_cache_open(&cache, &room->cache, err);
}

static int open_watch(struct sw_world *w, enum sw_kind kind, struct sw_err *err)
{
    const struct kind_extra *x = &extras[kind];
    struct room *room = &w->rooms[kind];
    const struct sw_kube_watch_config watch = {
        .resource = sw_kind_resource(kind),
        .ns = x->is_own_ns ? w->o.ns : NULL,
        .field_selector = x->fields,
        .cache = room->cache,
        /* After an installation the kinds appear one after the other. */
        .backoff_max_ns = 5 * SW_NS_PER_SEC,
        .ctx = room,
        .on_synced = on_watch_synced,
        .on_failure = on_watch_failure,
    };

    return sw_kube_watch_open(w->client, &watch, &room->watch, err);
}

int sw_world_open(struct sw_kube_client *client, const struct sw_world_options *options,
                  struct sw_world **ret, struct sw_err *err)
{
    struct sw_world *w = calloc(1, sizeof(*w));
    int done = 0;

    if (!w)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    w->client = client;
    w->o = *options;
    for (size_t k = 0; k < SW_KIND_COUNT_ && done == 0; k++)
        done = open_room(w, (enum sw_kind)k, err);
    for (size_t k = 0; k < SW_KIND_COUNT_ && done == 0; k++)
        done = open_watch(w, (enum sw_kind)k, err);
    if (done < 0) {
        sw_world_close(w);
        return -1;
    }
    *ret = w;
    return 0;
}

void sw_world_close(struct sw_world *w)
{
    if (!w)
        return;
    for (size_t k = 0; k < SW_KIND_COUNT_; k++) {
        struct room *room = &w->rooms[k];

        sw_kube_watch_close(room->watch);
        sw_kube_cache_close(room->cache);
        for (size_t i = 0; i < KEEP_MAX; i++)
            free(room->keep[i]);
    }
    free(w);
}

void sw_world_feed(struct sw_world *world, enum sw_kind kind, const struct sw_json *object)
{
    struct sw_err err = { 0 };

    /* What cannot be taken now comes with the watch. */
    if (sw_kube_cache_feed(world->rooms[kind].cache, object, &err) < 0)
        sw_log_debug("controller.not_fed", SW_ERR(&err));
}

size_t sw_world_count(const struct sw_world *world, enum sw_kind kind)
{
    return sw_kube_cache_count(world->rooms[kind].cache);
}

size_t sw_world_bytes(const struct sw_world *world, enum sw_kind kind)
{
    return sw_kube_cache_bytes(world->rooms[kind].cache);
}

size_t sw_world_pending(const struct sw_world *world)
{
    return world->n_pending;
}
