/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that have to be looked at again, each at most once, and never two workers on one key.
 *
 * A key is a string such as "DataVolume ns/name". It is queued, or waits for its time, or is being
 * worked on, or none of these; what arrives for it meanwhile melts into one more round:
 *
 *     add ----> queued --take--> working --done--> forgotten
 *                 ^                 |
 *     waiting ----+<--- added again meanwhile (seen at done)
 *
 * - Exclusive: a key that is being worked on is not given out again before sw_workqueue_done().
 * - Fair: keys are sorted into flows by their namespace (what stands between the first blank and
 *   '/'); flows take turns, first come first served within one. 5,000 objects of one namespace do
 *   not delay the single one of another. Flows are hashed into SW_WORKQUEUE_FLOWS lists, so two
 *   namespaces may have to share a turn.
 * - Patient: sw_workqueue_retry() waits base * 2^failures, at most max, cut by up to a quarter so
 *   that keys that failed together do not come back together. The cut depends on the key and the
 *   number only. sw_workqueue_forget() starts again from base.
 * - Taking a key forgets its timer: who works on it sees everything and asks again if need be.
 *
 * Pure: time is passed in (monotonic, nanoseconds), nothing is random. One thread. A key in any
 * state costs its own length and about 100 bytes; a key without state costs nothing. */
#ifndef SW_KUBE_WORKQUEUE_H
#define SW_KUBE_WORKQUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define SW_WORKQUEUE_FLOWS 64

struct sw_workqueue; /* opaque */

struct sw_workqueue_options {
    int64_t retry_base_ns; /* first back-off, > 0        */
    int64_t retry_max_ns;  /* longest one, >= base       */
};

struct sw_workqueue_stats {
    uint64_t adds;    /* calls that made a key ready that was not                          */
    uint64_t retries; /* calls of sw_workqueue_retry()                                     */
    uint64_t taken;
    size_t depth;           /* ready now                                                   */
    size_t waiting;         /* with a timer                                                */
    size_t working;         /* taken, not done                                             */
    int64_t latency_sum_ns; /* from ready to taken, over all that were taken               */
    int64_t latency_max_ns;
};

/* -1 with SW_ERR_INTERNAL (memory). */
SW_MUST_CHECK
int sw_workqueue_new(const struct sw_workqueue_options *options, struct sw_workqueue **ret,
                     struct sw_err *err);

/* Accepts NULL. */
void sw_workqueue_free(struct sw_workqueue *q);

/* Make a key ready. The key is copied. Where there is no memory for it the process ends by assert:
 * a lost key would be a silent bug, and the next process lists everything anew. */
void sw_workqueue_add(struct sw_workqueue *q, const char *key, int64_t now_ns);

/* Make it ready at now + delay (at once when delay <= 0). The earlier of two timers wins. */
void sw_workqueue_add_after(struct sw_workqueue *q, const char *key, int64_t now_ns,
                            int64_t delay_ns);

/* It failed: make it ready after its back-off. Returns the delay. */
int64_t sw_workqueue_retry(struct sw_workqueue *q, const char *key, int64_t now_ns);

/* It succeeded: the next failure is its first. */
void sw_workqueue_forget(struct sw_workqueue *q, const char *key);

/* How often it failed in a row. */
unsigned sw_workqueue_failures(const struct sw_workqueue *q, const char *key);

/* The next ready key, now being worked on; NULL when there is none. The string lives until
 * sw_workqueue_done() for it. */
const char *sw_workqueue_take(struct sw_workqueue *q, int64_t now_ns);

/* The work on a taken key is over (a bug of the caller otherwise: assert). The string is gone. */
void sw_workqueue_done(struct sw_workqueue *q, const char *key, int64_t now_ns);

/* When the next timer fires (monotonic ns), INT64_MAX without timers. */
int64_t sw_workqueue_next_ns(const struct sw_workqueue *q);

struct sw_workqueue_stats sw_workqueue_stats(const struct sw_workqueue *q);

#endif
