/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_tree.h"
#include "common/parse.h"
#include "kube/store.h"

/* etcd takes 1.5 MiB by default; the projection of an object is smaller than the object but for what
 * escaping adds. */
#define OBJECT_MAX ((size_t)8 << 20)
/* Names and namespaces are DNS subdomains or shorter, uids have 36. */
#define NAME_MAX_BYTES 1024
#define SCRATCH_KEPT ((size_t)64 << 10)

_Static_assert(SW_KUBE_MAX_INDEXES <= SW_KUBE_STORE_INDEXES, "a table for each index");

struct sw_kube_cache {
    struct sw_kube_cache_config config;
    struct sw_kube_projection *projection;
    struct sw_kube_selector *selectors[SW_KUBE_MAX_INDEXES];
    unsigned n_indexes;
    struct sw_kube_store store;
    struct sw_buf scratch;
    uint64_t seen;    /* resourceVersion up to which the watch has told everything */
    uint32_t list_no; /* of the list under way, or the last one                    */
    bool is_synced;
};

/* What identifies an object; borrowed from its tree. */
struct identity {
    const char *ns, *name, *uid;
    uint64_t version;
    uint32_t list_no; /* of the list that names it */
};

/* --- Life ---------------------------------------------------------------------------------------- */

static int compile(struct sw_kube_cache *c, struct sw_err *err)
{
    const struct sw_kube_index *index = c->config.indexes;

    if (sw_kube_projection_compile(c->config.keep, &c->projection, err) < 0)
        return -1;
    for (; index && index->name; index++) {
        assert(c->n_indexes < SW_KUBE_MAX_INDEXES);
        if (sw_kube_selector_compile(index->path, &c->selectors[c->n_indexes], err) < 0)
            return sw_err_wrap(err, "index '%s'", index->name);
        c->n_indexes++;
    }
    return 0;
}

int sw_kube_cache_open(const struct sw_kube_cache_config *config, struct sw_kube_cache **ret,
                       struct sw_err *err)
{
    sw_auto_kube_cache struct sw_kube_cache *c = calloc(1, sizeof(*c));

    if (!c)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a cache");
    c->config = *config;
    sw_buf_init(&c->scratch, OBJECT_MAX);
    sw_kube_store_init(&c->store);
    if (compile(c, err) < 0)
        return sw_err_wrap(err, "cache of %s", config->resource->plural);
    *ret = sw_steal(c);
    return 0;
}

void sw_kube_cache_close(struct sw_kube_cache *c)
{
    if (!c)
        return;
    sw_kube_store_done(&c->store);
    sw_kube_projection_free(c->projection);
    for (unsigned i = 0; i < c->n_indexes; i++)
        sw_kube_selector_free(c->selectors[i]);
    sw_buf_done(&c->scratch);
    free(c);
}

/* --- Looking ------------------------------------------------------------------------------------- */

static int parse_entry(const struct sw_kube_entry *e, struct sw_json **ret, struct sw_err *err)
{
    if (sw_json_parse(sw_kube_entry_text(e), e->text_n, OBJECT_MAX, ret, err) == 0)
        return 0;
    /* It was printed by ourselves: only memory can be missing. */
    err->kind = SW_ERR_INTERNAL;
    return sw_err_wrap(err, "cached '%s'", sw_kube_entry_name(e));
}

int sw_kube_cache_get(const struct sw_kube_cache *c, const char *ns, const char *name,
                      struct sw_json **ret, struct sw_err *err)
{
    const struct sw_kube_entry *e = sw_kube_store_find(&c->store, ns ? ns : "", name);

    if (!e)
        return 0;
    return parse_entry(e, ret, err) < 0 ? -1 : 1;
}

const char *sw_kube_cache_uid(const struct sw_kube_cache *c, const char *ns, const char *name)
{
    const struct sw_kube_entry *e = sw_kube_store_find(&c->store, ns ? ns : "", name);

    return e ? sw_kube_entry_uid(e) : NULL;
}

static unsigned index_no(const struct sw_kube_cache *c, const char *name)
{
    unsigned i = 0;

    while (i < c->n_indexes && strcmp(c->config.indexes[i].name, name) != 0)
        i++;
    assert(i < c->n_indexes);
    return i;
}

/* Call each(ctx, entry) for what is asked for. */
static int each_entry(const struct sw_kube_cache *c, const char *index, const char *value,
                      int (*each)(void *ctx, const struct sw_kube_entry *e), void *ctx)
{
    int done = 0;

    if (!index) {
        const struct sw_kube_entry *e = NULL;

        while (!done && (e = sw_kube_store_after(&c->store, e)) != NULL)
            done = each(ctx, e);
        return done;
    }
    const struct sw_kube_node *node = sw_kube_store_first(&c->store, index_no(c, index), value);
    for (; !done && node; node = sw_kube_store_next(node))
        done = each(ctx, node->entry);
    return done;
}

struct naming {
    int (*each)(void *ctx, const char *ns, const char *name);
    void *ctx;
};

static int name_entry(void *ctx, const struct sw_kube_entry *e)
{
    const struct naming *n = ctx;

    return n->each(n->ctx, sw_kube_entry_ns(e), sw_kube_entry_name(e));
}

int sw_kube_cache_each(const struct sw_kube_cache *c, const char *index, const char *value,
                       int (*each)(void *ctx, const char *ns, const char *name), void *ctx)
{
    struct naming n = { each, ctx };

    return each_entry(c, index, value, name_entry, &n);
}

struct collecting {
    const struct sw_kube_entry **all; /* NULL: only count */
    size_t n;
};

static int collect(void *ctx, const struct sw_kube_entry *e)
{
    struct collecting *l = ctx;

    if (l->all)
        l->all[l->n] = e;
    l->n++;
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct sw_kube_entry *const *x = a, *const *y = b;
    int by_ns = strcmp(sw_kube_entry_ns(*x), sw_kube_entry_ns(*y));

    return by_ns ? by_ns : strcmp(sw_kube_entry_name(*x), sw_kube_entry_name(*y));
}

int sw_kube_cache_list(const struct sw_kube_cache *c, const char *index, const char *value,
                       struct sw_json ***ret, size_t *ret_n, struct sw_err *err)
{
    struct collecting count = { 0 }, l = { 0 };
    sw_autofree const struct sw_kube_entry **all = NULL;
    struct sw_json **objects;

    each_entry(c, index, value, collect, &count);
    all = calloc(count.n + 1, sizeof(struct sw_kube_entry *));
    objects = calloc(count.n + 1, sizeof(struct sw_json *));
    if (!all || !objects) {
        free(objects);
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a list");
    }
    l.all = all;
    each_entry(c, index, value, collect, &l);
    qsort(all, l.n, sizeof(struct sw_kube_entry *), compare_entries);
    for (size_t i = 0; i < l.n; i++) {
        if (parse_entry(all[i], &objects[i], err) < 0) {
            sw_kube_objects_free(objects, i);
            return -1;
        }
    }
    *ret = objects;
    *ret_n = l.n;
    return 0;
}

void sw_kube_objects_free(struct sw_json **objects, size_t n)
{
    for (size_t i = 0; objects && i < n; i++)
        sw_json_free(objects[i]);
    free(objects);
}

size_t sw_kube_cache_count(const struct sw_kube_cache *c)
{
    return c->store.entries.n;
}

size_t sw_kube_cache_bytes(const struct sw_kube_cache *c)
{
    return sizeof(*c) + c->scratch.cap + sw_kube_store_bytes(&c->store);
}

bool sw_kube_cache_is_synced(const struct sw_kube_cache *c)
{
    return c->is_synced;
}

/* --- Telling what changed ------------------------------------------------------------------------ */

/* The texts of a change come from its tree: whatever the callback does to the cache, they stay. A
 * change that cannot be parsed for want of memory is not told; the next one of the object is. */
static void tell(const struct sw_kube_cache *c, enum sw_kube_change_kind kind,
                 const struct sw_json *object, const struct sw_json *before)
{
    const struct sw_json *metadata = sw_json_member(object, "metadata");
    const char *ns = sw_json_member_text(metadata, "namespace");
    const char *uid = sw_json_member_text(metadata, "uid");
    struct sw_kube_change change = {
        .kind = kind,
        .resource = c->config.resource,
        .ns = ns ? ns : "",
        .name = sw_json_member_text(metadata, "name"),
        .uid = uid ? uid : "",
        .object = object,
        .before = before,
    };

    c->config.on_change(c->config.ctx, &change);
}

/* --- Changing ------------------------------------------------------------------------------------ */

static int bad_object(const char *what, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA, "an object %s", what);
}

static int identify(const struct sw_json *object, struct identity *ret, struct sw_err *err)
{
    const struct sw_json *metadata = sw_json_member(object, "metadata");
    const char *ns = sw_json_member_text(metadata, "namespace");
    const char *uid = sw_json_member_text(metadata, "uid");
    const char *version = sw_json_member_text(metadata, "resourceVersion");

    ret->name = sw_json_member_text(metadata, "name");
    if (!ret->name || strlen(ret->name) > NAME_MAX_BYTES)
        return bad_object("without metadata.name, or with one that is too long", err);
    ret->ns = ns ? ns : "";
    ret->uid = uid ? uid : "";
    if (strlen(ret->ns) > NAME_MAX_BYTES || strlen(ret->uid) > NAME_MAX_BYTES)
        return bad_object("whose namespace or uid is too long", err);
    if (!version || sw_parse_u64(version, 0, UINT64_MAX, &ret->version, err) < 0)
        return bad_object("without a metadata.resourceVersion that is a number", err);
    return 0;
}

struct indexing {
    struct sw_kube_cache *cache;
    struct sw_kube_entry *entry;
    unsigned index;
    bool failed;
};

static void index_value(void *ctx, const char *value)
{
    struct indexing *x = ctx;
    sw_autobuf struct sw_buf joined = SW_BUF_INIT(OBJECT_MAX);

    if (x->cache->config.indexes[x->index].in_namespace) {
        sw_buf_printf(&joined, "%s/%s", sw_kube_entry_ns(x->entry), value);
        x->failed |= joined.failed;
        value = sw_buf_str(&joined);
    }
    x->failed |= !sw_kube_store_index(&x->cache->store, x->entry, x->index, value);
}

/* Into the table and the indexes. False: out of memory, and e is freed. */
static bool enter_entry(struct sw_kube_cache *c, struct sw_kube_entry *e,
                        const struct sw_json *object)
{
    struct indexing x = { .cache = c, .entry = e };

    if (!sw_kube_store_insert(&c->store, e)) {
        sw_kube_entry_free(e);
        return false;
    }
    for (x.index = 0; x.index < c->n_indexes; x.index++)
        sw_kube_select(c->selectors[x.index], object, index_value, &x);
    if (x.failed) {
        sw_kube_store_take(&c->store, e);
        sw_kube_entry_free(e);
    }
    return !x.failed;
}

static struct sw_kube_entry *make_entry(struct sw_kube_cache *c, const struct identity *id,
                                        const struct sw_json *object, struct sw_err *err)
{
    struct sw_kube_entry_parts parts = {
        .ns = id->ns, .name = id->name, .uid = id->uid, .version = id->version
    };
    struct sw_kube_entry *e;

    if (c->scratch.cap > SCRATCH_KEPT)
        sw_buf_done(&c->scratch);
    sw_buf_reset(&c->scratch);
    if (sw_kube_project(c->projection, object, &c->scratch, &parts.rest, err) < 0)
        return NULL;
    parts.text = sw_buf_str(&c->scratch);
    parts.text_n = c->scratch.n;
    e = sw_kube_entry_make(&parts);
    if (!e)
        sw_err_set(err, SW_ERR_INTERNAL, "out of memory for an object");
    else
        e->list_no = id->list_no;
    return e;
}

static bool is_same_but_version(const struct sw_kube_entry *a, const struct sw_kube_entry *b)
{
    return a->text_n - a->rest == b->text_n - b->rest &&
           memcmp(sw_kube_entry_text(a) + a->rest, sw_kube_entry_text(b) + b->rest,
                  a->text_n - a->rest) == 0;
}

/* Tell what the entry that came means beside the one that went. */
static void tell_replaced(const struct sw_kube_cache *c, const struct sw_kube_entry *now,
                          const struct sw_kube_entry *old)
{
    sw_auto_json struct sw_json *object = NULL;
    sw_auto_json struct sw_json *before = NULL;
    struct sw_err ignored;

    if (!c->config.on_change || (old && is_same_but_version(now, old)))
        return;
    if (parse_entry(now, &object, &ignored) < 0 || (old && parse_entry(old, &before, &ignored) < 0))
        return;
    if (!old) {
        tell(c, SW_KUBE_ADDED, object, NULL);
    } else if (strcmp(sw_kube_entry_uid(now), sw_kube_entry_uid(old)) == 0) {
        tell(c, SW_KUBE_UPDATED, object, before);
    } else {
        tell(c, SW_KUBE_DELETED, before, NULL);
        tell(c, SW_KUBE_ADDED, object, NULL);
    }
}

/* The new state of an object that is newer than what is there. */
static int replace(struct sw_kube_cache *c, const struct identity *id, const struct sw_json *object,
                   struct sw_kube_entry *old, struct sw_err *err)
{
    struct sw_kube_entry *now = make_entry(c, id, object, err);

    if (!now)
        return -1;
    if (old)
        sw_kube_store_take(&c->store, old);
    if (!enter_entry(c, now, object)) {
        sw_kube_entry_free(old);
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for an object");
    }
    tell_replaced(c, now, old);
    sw_kube_entry_free(old);
    return 0;
}

int sw_kube_cache_put(struct sw_kube_cache *c, const struct sw_json *object, struct sw_err *err)
{
    struct identity id;
    struct sw_kube_entry *old;

    if (identify(object, &id, err) < 0)
        return -1;
    id.list_no = c->list_no;
    old = sw_kube_store_find(&c->store, id.ns, id.name);
    if (!old || old->version < id.version)
        return replace(c, &id, object, old, err);
    old->list_no = c->list_no;
    return 0;
}

int sw_kube_cache_feed(struct sw_kube_cache *c, const struct sw_json *object, struct sw_err *err)
{
    struct identity id;
    struct sw_kube_entry *old;

    if (identify(object, &id, err) < 0)
        return -1;
    id.list_no = c->list_no - 1; /* a list under way did not name it */
    old = sw_kube_store_find(&c->store, id.ns, id.name);
    /* The watch tells in the order of versions: what it has passed it has told, its deletion too. */
    if (id.version <= c->seen || (old && old->version >= id.version))
        return 0;
    return replace(c, &id, object, old, err) < 0 ? -1 : 1;
}

/* e is out of the store already. */
static void tell_gone(const struct sw_kube_cache *c, const struct sw_kube_entry *e)
{
    sw_auto_json struct sw_json *object = NULL;
    struct sw_err ignored;

    if (c->config.on_change && parse_entry(e, &object, &ignored) == 0)
        tell(c, SW_KUBE_DELETED, object, NULL);
}

int sw_kube_cache_remove(struct sw_kube_cache *c, const struct sw_json *object, struct sw_err *err)
{
    struct identity id;
    struct sw_kube_entry *e;

    if (identify(object, &id, err) < 0)
        return -1;
    e = sw_kube_store_find(&c->store, id.ns, id.name);
    if (!e || e->version > id.version)
        return 0;
    sw_kube_store_take(&c->store, e);
    tell_gone(c, e);
    sw_kube_entry_free(e);
    return 0;
}

void sw_kube_cache_list_begin(struct sw_kube_cache *c)
{
    c->list_no++;
}

/* Take out all that the list did not name, but what is newer than it (fed meanwhile): a chain. */
static struct sw_kube_entry *take_unlisted(struct sw_kube_cache *c, uint64_t version)
{
    struct sw_kube_entry *gone = NULL, *e = sw_kube_store_after(&c->store, NULL), *next;

    for (; e; e = next) {
        next = sw_kube_store_after(&c->store, e);
        if (e->list_no == c->list_no || e->version > version)
            continue;
        sw_kube_store_take(&c->store, e);
        e->next = gone;
        gone = e;
    }
    return gone;
}

static void drop_all(struct sw_kube_cache *c, struct sw_kube_entry *gone)
{
    while (gone) {
        struct sw_kube_entry *e = gone;

        gone = e->next;
        tell_gone(c, e);
        sw_kube_entry_free(e);
    }
}

bool sw_kube_cache_list_end(struct sw_kube_cache *c, uint64_t version)
{
    if (version < c->seen) {
        c->seen = 0;
        c->list_no++;
        drop_all(c, take_unlisted(c, UINT64_MAX));
        return false;
    }
    c->seen = version;
    drop_all(c, take_unlisted(c, version));
    c->is_synced = true;
    return true;
}

void sw_kube_cache_seen(struct sw_kube_cache *c, uint64_t version)
{
    if (version > c->seen)
        c->seen = version;
}
