/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of one occurrence of an Event: a new object, one more count on an old one, or
 * nothing. Level-triggered code says the same thing again as long as its cause lasts; the API server
 * must not store each time. Three rules, those that users of Kubernetes know:
 *
 * - Same object, type, reason and message: one series, whose count grows. Its count is written at
 *   most every SW_EVENT_COUNT_NS; occurrences in between are included the next time.
 * - More than SW_EVENT_SIMILAR_MAX different messages for one object, type and reason within
 *   SW_EVENT_SIMILAR_NS: from then on they are one series, "(combined from similar events): ...",
 *   until they stop for that long.
 * - One object may cause SW_EVENT_BURST writes at once and one more per SW_EVENT_REFILL_NS. What is
 *   over that is dropped.
 *
 * The memory of this is a table of SW_EVENT_TABLE entries in which the least recently used one gives
 * way; a forgotten series starts again as a new Event. Texts are known by a 64-bit hash only.
 *
 * Pure: time is passed in. One thread. */
#ifndef SW_KUBE_EVENT_SERIES_H
#define SW_KUBE_EVENT_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/error.h"

#define SW_EVENT_COUNT_NS (10 * SW_NS_PER_SEC)
#define SW_EVENT_SIMILAR_MAX 10
#define SW_EVENT_SIMILAR_NS (600 * SW_NS_PER_SEC)
#define SW_EVENT_BURST 25
#define SW_EVENT_REFILL_NS (300 * SW_NS_PER_SEC)
#define SW_EVENT_TABLE 4096

struct sw_event_series; /* opaque; one per process */

SW_MUST_CHECK
int sw_event_series_new(struct sw_event_series **ret, struct sw_err *err);
void sw_event_series_free(struct sw_event_series *s); /* accepts NULL */

/* What an occurrence is about. All strings are set, borrowed. */
struct sw_event_id {
    const char *uid; /* of the object */
    const char *type;
    const char *reason;
    const char *message;
};

enum sw_event_verdict {
    SW_EVENT_DROP,   /* write nothing                                     */
    SW_EVENT_CREATE, /* a new Event, its count is 1                       */
    SW_EVENT_COUNT,  /* the Event that began at first_ns has this count now */
};

struct sw_event_decision {
    enum sw_event_verdict verdict;
    int64_t first_ns; /* wall-clock time of the first occurrence: names the Event */
    uint64_t count;
    bool is_combined; /* prefix the message */
};

/* now_ns is monotonic, wall_ns since 1970. */
struct sw_event_decision sw_event_series_record(struct sw_event_series *s,
                                                const struct sw_event_id *id, int64_t now_ns,
                                                int64_t wall_ns);

/* The Event of a series is gone at the API server (it keeps them for an hour): the next occurrence is
 * a new one. */
void sw_event_series_forget(struct sw_event_series *s, const struct sw_event_id *id);

#endif
