/* SPDX-License-Identifier: Apache-2.0 */
/* Events about objects, written beside the real work: nothing waits for them, nothing fails with
 * them. kube/event_series.h decides which occurrences are written at all; at most max_in_flight
 * requests run at once, so that the requests that matter find room; at most max_waiting wait, and what
 * comes then is dropped and counted.
 *
 * One thread: the loop's. Source: kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1
 * (the core/v1 form, which has a count). */
#ifndef SW_KUBE_EVENTS_H
#define SW_KUBE_EVENTS_H

#include "kube/client.h"

struct sw_kube_events; /* opaque */

struct sw_kube_events_options {
    unsigned max_in_flight; /* 0: 4     */
    unsigned max_waiting;   /* 0: 10000 */
    void *ctx;
    /* A write failed for good (for a log). May be NULL. */
    void (*on_failure)(void *ctx, const struct sw_err *err);
};

/* One occurrence. Borrowed; all strings set but ns, which is NULL or "" for cluster-wide objects. */
struct sw_kube_event {
    const char *component;   /* who says it: "datavolume-import-controller" */
    const char *api_version; /* of the object: "v1"                         */
    const char *kind, *ns, *name, *uid;
    const char *type; /* "Normal", "Warning" */
    const char *reason;
    const char *message; /* longer than 1024 bytes: cut, as the API server asks */
};

struct sw_kube_events_stats {
    uint64_t created, counted; /* writes that succeeded            */
    uint64_t withheld;         /* occurrences that became no write  */
    uint64_t dropped;          /* too many were waiting             */
    uint64_t failed;
};

/* -1 with SW_ERR_INTERNAL. options may be NULL. */
SW_MUST_CHECK
int sw_kube_events_open(struct sw_kube_client *client, const struct sw_kube_events_options *options,
                        struct sw_kube_events **ret, struct sw_err *err);

/* What waits is dropped. Accepts NULL. */
void sw_kube_events_close(struct sw_kube_events *events);

void sw_kube_events_record(struct sw_kube_events *events, const struct sw_kube_event *event);

/* Requests that run or wait. */
size_t sw_kube_events_pending(const struct sw_kube_events *events);

struct sw_kube_events_stats sw_kube_events_stats(const struct sw_kube_events *events);

#endif
