/* SPDX-License-Identifier: Apache-2.0 */
/* What two stages of a pipeline share: a first-in-first-out queue of pointers, bounded by the bytes
 * they stand for, for any number of producers and consumers.
 *
 * A queue is open, then closed (no more pushes; pops drain what is there, then say so), or failed
 * (every call returns at once; what is still inside is taken out with sw_queue_take). Failing wins
 * over closing and neither is undone.
 *
 * The queue never touches the items: whoever holds a pointer owns it, and the queue owns those
 * inside only in the sense that the last user must take them out before sw_queue_done().
 *
 * Thread rule: push, pop, take, close, fail and stats from any thread at any time; init before the
 * first and done after the last of them. No call is async-signal-safe. */
#ifndef SW_COMMON_QUEUE_H
#define SW_COMMON_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct sw_queue_slot {
    void *item;
    size_t bytes;
};

struct sw_queue {
    pthread_mutex_t lock;       /* guards everything below */
    pthread_cond_t changed_in;  /* something to pop, or the end    */
    pthread_cond_t changed_out; /* room to push, or the end        */

    /* A ring given by head and count, not by two indices: full and empty need no reserved slot. */
    struct sw_queue_slot *slots;
    size_t n_slots, head, count;

    size_t bytes, max_bytes;
    bool closed, failed;
    int64_t starved_ns, blocked_ns;
};

struct sw_queue_stats {
    int64_t starved_ns; /* time that consumers waited for an item, summed over threads */
    int64_t blocked_ns; /* time that producers waited for room, summed over threads    */
    size_t count;       /* items inside                                                */
    size_t bytes;       /* what they stand for                                         */
};

/* max_bytes > 0. Returns 0, or -1 with SW_ERR_INTERNAL (memory). */
SW_MUST_CHECK
int sw_queue_init(struct sw_queue *q, size_t max_bytes, struct sw_err *err);

/* Frees the queue's own memory. No thread is inside any more, and it is empty. */
void sw_queue_done(struct sw_queue *q);

/* Append item, which stands for `bytes` bytes (may be 0). Blocks while the queue holds items and
 * this one would take it over max_bytes; an item larger than max_bytes therefore passes alone.
 * Returns 0, or -1 when the queue was or became closed or failed: the item is still the caller's. */
SW_MUST_CHECK
int sw_queue_push(struct sw_queue *q, void *item, size_t bytes);

/* Take the oldest item; blocks while the queue is open and empty. Returns 1 and *ret, 0 when it is
 * closed and drained, -1 when it failed (items may be left inside). */
SW_MUST_CHECK
int sw_queue_pop(struct sw_queue *q, void **ret);

/* Take the oldest item without waiting, in every state, failed included; NULL when it is empty.
 * For cleaning up behind a failure. */
SW_MUST_CHECK
void *sw_queue_take(struct sw_queue *q);

/* No more pushes. Wakes everybody. May be repeated. */
void sw_queue_close(struct sw_queue *q);

/* Give up: every waiting and later push and pop returns -1. May be repeated. */
void sw_queue_fail(struct sw_queue *q);

void sw_queue_stats(struct sw_queue *q, struct sw_queue_stats *ret);

#endif
