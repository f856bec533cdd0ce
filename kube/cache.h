/* SPDX-License-Identifier: Apache-2.0 */
/* The objects of one resource as far as anybody reads them: by namespace and name, and by indexes.
 *
 * An object is one allocation: compact JSON text of its projection (kube/projection.h) and the index
 * values. Trees are parsed on demand and belong to the caller.
 *
 * resourceVersions are compared as numbers (a newer one wins), which Kubernetes guarantees for its own
 * resources and custom ones since 1.35 and has always done. That lets answers of our own writes
 * enter at once (sw_kube_cache_feed) without ever undoing what the watch said later.
 *
 * One thread at a time: the loop's. */
#ifndef SW_KUBE_CACHE_H
#define SW_KUBE_CACHE_H

#include "common/json.h"
#include "kube/projection.h"
#include "kube/resource.h"

struct sw_kube_cache; /* opaque */

enum sw_kube_change_kind { SW_KUBE_ADDED, SW_KUBE_UPDATED, SW_KUBE_DELETED };

/* Borrowed for the time of the callback. */
struct sw_kube_change {
    enum sw_kube_change_kind kind;
    const struct sw_kube_resource *resource;
    const char *ns, *name, *uid;  /* ns is "" for cluster-wide objects                   */
    const struct sw_json *object; /* the projected object; of DELETED the last one known */
    const struct sw_json *before; /* UPDATED: what it was before; else NULL              */
};

/* A way to find objects: all of which one of the texts at `path` (grammar of kube/projection.h; on the
 * whole object, kept or not) is the value asked for. */
struct sw_kube_index {
    const char *name;  /* "owner"                                                               */
    const char *path;  /* "metadata.ownerReferences.uid"                                         */
    bool in_namespace; /* the values are names within the object's namespace: ask for "ns/value" */
};

#define SW_KUBE_MAX_INDEXES 8

struct sw_kube_cache_config {
    const struct sw_kube_resource *resource;
    const char *const *keep;             /* as sw_kube_projection_compile() takes it           */
    const struct sw_kube_index *indexes; /* ends with a name of NULL; NULL: none               */
    void *ctx;
    /* After the cache has changed; not when nothing but the resourceVersion is new. An object that
     * was deleted and made again under its name while nobody looked is DELETED and then ADDED. May
     * read, feed and remove from this cache. NULL: nobody wants to know. */
    void (*on_change)(void *ctx, const struct sw_kube_change *change);
};

/* The config's texts are borrowed. -1: SW_ERR_USAGE (a path), SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_kube_cache_open(const struct sw_kube_cache_config *config, struct sw_kube_cache **ret,
                       struct sw_err *err);
void sw_kube_cache_close(struct sw_kube_cache *cache); /* accepts NULL */

static inline void sw_cleanup_kube_cache(struct sw_kube_cache **cache)
{
    sw_kube_cache_close(*cache);
}
#define sw_auto_kube_cache __attribute__((cleanup(sw_cleanup_kube_cache)))

/* --- Looking ---------------------------------------------------------------------------------- */

/* ns NULL or "": a cluster-wide object. 1 and a tree that the caller frees, 0 when there is none, -1
 * with SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_kube_cache_get(const struct sw_kube_cache *cache, const char *ns, const char *name,
                      struct sw_json **ret, struct sw_err *err);

/* Whether it is there, without parsing: its uid, borrowed until the cache changes; or NULL. */
const char *sw_kube_cache_uid(const struct sw_kube_cache *cache, const char *ns, const char *name);

/* Call each(ctx, ns, name) for all objects with this value in this index (an unknown name is a bug:
 * assert), or for all there are when index is NULL, until it returns other than 0, which is then
 * returned. In no particular order. `each` may not change the cache. */
int sw_kube_cache_each(const struct sw_kube_cache *cache, const char *index, const char *value,
                       int (*each)(void *ctx, const char *ns, const char *name), void *ctx);

/* The same as an array of trees, ordered by namespace and name (a plan sees the same order whatever
 * the history): *ret_n of them, which the caller frees with sw_kube_objects_free(). -1 with
 * SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_kube_cache_list(const struct sw_kube_cache *cache, const char *index, const char *value,
                       struct sw_json ***ret, size_t *ret_n, struct sw_err *err);
void sw_kube_objects_free(struct sw_json **objects, size_t n);

size_t sw_kube_cache_count(const struct sw_kube_cache *cache);

/* Bytes allocated for all of it: objects, tables, index nodes. */
size_t sw_kube_cache_bytes(const struct sw_kube_cache *cache);

/* Whether a list was taken in completely, once. */
bool sw_kube_cache_is_synced(const struct sw_kube_cache *cache);

/* --- Changing --------------------------------------------------------------------------------- */

/* The answer of a write of our own (create, patch, ...). Only for objects that the watch's selectors
 * select. It is taken when it is newer than what is there and than what the watch has seen; an older one, or one
 * whose deletion the watch has already told, is dropped. 1 taken, 0 dropped, -1 with SW_ERR_BAD_DATA. */
SW_MUST_CHECK
int sw_kube_cache_feed(struct sw_kube_cache *cache, const struct sw_json *object,
                       struct sw_err *err);

/* The calls of a watch (kube/watch.h): an event; a list from begin to end, which then deletes what it
 * did not name; how far the watch has seen. -1 with SW_ERR_BAD_DATA (no name, resourceVersion no number),
 * SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_kube_cache_put(struct sw_kube_cache *cache, const struct sw_json *object,
                      struct sw_err *err);
SW_MUST_CHECK
int sw_kube_cache_remove(struct sw_kube_cache *cache, const struct sw_json *object,
                         struct sw_err *err);
void sw_kube_cache_list_begin(struct sw_kube_cache *cache);
/* False when the list is older than what the watch has seen: the server's storage was set back. The
 * cache is empty then, and the list has to be taken again. */
bool sw_kube_cache_list_end(struct sw_kube_cache *cache, uint64_t resource_version);
void sw_kube_cache_seen(struct sw_kube_cache *cache, uint64_t resource_version);

#endif
