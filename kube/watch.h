/* SPDX-License-Identifier: Apache-2.0 */
/* Keep a cache equal to what the server has: list it, watch it, and begin again where that breaks.
 *
 *   LIST   pages of `page` objects; objects enter the cache as they arrive, what the list did not name
 *          leaves it at the end
 *   WATCH  from the list's resourceVersion, with bookmarks, for a random time between timeout_min_s
 *          and timeout_max_s; a stream that ends is opened again at once from the last resourceVersion
 *   410    as an HTTP status or as an ERROR event: LIST again, without waiting
 *   else   a failure of either: again after a back-off of 100 ms, doubling up to 30 s, +-20 %, or after
 *          Retry-After when that is longer. A list goes on with the page that failed, a watch from the
 *          last version; only what is no JSON, or too large, makes a watch LIST again
 *
 * An event is one whole JSON text of at most max_event bytes or a failure, never a part of one. */
#ifndef SW_KUBE_WATCH_H
#define SW_KUBE_WATCH_H

#include "kube/cache.h"
#include "kube/client.h"

struct sw_kube_watch; /* opaque */

struct sw_kube_watch_config {
    const struct sw_kube_resource *resource;
    const char *ns;              /* NULL: all                                                   */
    const char *label_selector;  /* "a=b,!c"; NULL: none                                        */
    const char *field_selector;  /* NULL: none                                                  */
    struct sw_kube_cache *cache; /* borrowed until sw_kube_watch_close()                       */

    unsigned page;    /* objects a page; 0: 500                                           */
    size_t max_event; /* bytes; 0: 3 MiB                                                  */
    unsigned timeout_min_s, timeout_max_s;    /* 0: 300 and 600                                   */
    int64_t backoff_first_ns, backoff_max_ns; /* 0: 100 ms and 30 s                            */

    void *ctx;
    void (*on_synced)(void *ctx); /* once, after the first complete list; may be NULL           */
    /* Each failure that brings a back-off, for a log; may be NULL. */
    void (*on_failure)(void *ctx, const struct sw_kube_resource *resource,
                       const struct sw_err *err);
};

/* Begins in the next turn of the loop. The config's texts are borrowed; label and field selectors are
 * copied. -1: SW_ERR_USAGE, SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_kube_watch_open(struct sw_kube_client *client, const struct sw_kube_watch_config *config,
                       struct sw_kube_watch **ret, struct sw_err *err);
/* Not from inside on_synced, on_failure or the cache's on_change (assert). NULL is fine. */
void sw_kube_watch_close(struct sw_kube_watch *watch);

bool sw_kube_watch_is_synced(const struct sw_kube_watch *watch);

#endif
