/* SPDX-License-Identifier: Apache-2.0 */
/* The gatherer: one watch and one cache for each kind in controller/kind.h, and the view that plans
 * have of them.
 *
 * What changes is told as keys (controller/keys.h), one call per key; a key may be told often and for
 * nothing. One thread: the loop's. */
#ifndef SW_CONTROLLER_WORLD_H
#define SW_CONTROLLER_WORLD_H

#include "controller/keys.h"
#include "controller/plan.h"
#include "kube/cache.h"
#include "kube/client.h"

struct sw_world; /* opaque */

struct sw_world_options {
    const char *ns; /* the controller's own; borrowed */
    void *ctx;
    /* Plan this key again, after delay_ns (0: now). */
    void (*on_key)(void *ctx, const char *key, int64_t delay_ns);
    /* The object that the key names is gone: forget what is remembered of it. on_key comes as well. */
    void (*on_gone)(void *ctx, const char *key);
    /* Everything has been listed once: plans may begin. */
    void (*on_synced)(void *ctx);
    /* A watch failed and tries again by itself (for a log). */
    void (*on_failure)(void *ctx, const char *kind, const struct sw_err *err);
};

/* Begins to watch. options->ctx and the client are borrowed. -1: SW_ERR_INTERNAL, SW_ERR_USAGE. */
SW_MUST_CHECK
int sw_world_open(struct sw_kube_client *client, const struct sw_world_options *options,
                  struct sw_world **ret, struct sw_err *err);
void sw_world_close(struct sw_world *world); /* accepts NULL */

bool sw_world_is_synced(const struct sw_world *world);

/* The kind that is not listed yet, for a person who wonders why nothing happens; NULL when all are. */
const char *sw_world_waits_for(const struct sw_world *world);

/* The answer to a write of our own, so that plans see it before the watch tells it. */
void sw_world_feed(struct sw_world *world, enum sw_kind kind, const struct sw_json *object);

/* Objects in the cache of a kind, and the bytes that it takes. */
size_t sw_world_count(const struct sw_world *world, enum sw_kind kind);
size_t sw_world_bytes(const struct sw_world *world, enum sw_kind kind);

/* DataVolumes in phase Pending or none that name no storage class: they may wait for a default. */
size_t sw_world_pending(const struct sw_world *world);

/* A view for one call of a plan: what it lends lives until sw_world_view_end(). The world must not
 * change in between. */
struct sw_world_view {
    struct sw_view view; /* give this to the plan */
    struct sw_world *world;
    struct sw_json **trees;
    size_t n, cap;
};

void sw_world_view_begin(struct sw_world *world, const struct sw_plan_env *env,
                         struct sw_world_view *ret);
void sw_world_view_end(struct sw_world_view *view);

#endif
