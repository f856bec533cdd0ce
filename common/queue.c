/* SPDX-License-Identifier: Apache-2.0 */
#include "common/queue.h"

#include <assert.h>
#include <stdlib.h>

#include "common/clock.h"

#define FIRST_SLOTS 16

int sw_queue_init(struct sw_queue *q, size_t max_bytes, struct sw_err *err)
{
    assert(max_bytes > 0);

    *q = (struct sw_queue){ .max_bytes = max_bytes, .n_slots = FIRST_SLOTS };
    q->slots = calloc(FIRST_SLOTS, sizeof(*q->slots));
    if (!q->slots)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a queue");

    /* With default attributes none of these can fail on Linux: they only fill in the structs. */
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->changed_in, NULL);
    pthread_cond_init(&q->changed_out, NULL);
    return 0;
}

void sw_queue_done(struct sw_queue *q)
{
    assert(q->count == 0);

    pthread_cond_destroy(&q->changed_out);
    pthread_cond_destroy(&q->changed_in);
    pthread_mutex_destroy(&q->lock);
    free(q->slots);
    q->slots = NULL;
}

/* Double the ring and lay its content out from slot 0. False when there is no memory. */
static bool grow(struct sw_queue *q)
{
    size_t n = q->n_slots * 2;
    struct sw_queue_slot *slots = calloc(n, sizeof(*slots));

    if (!slots)
        return false;
    for (size_t i = 0; i < q->count; i++)
        slots[i] = q->slots[(q->head + i) % q->n_slots];
    free(q->slots);
    q->slots = slots;
    q->n_slots = n;
    q->head = 0;
    return true;
}

static bool has_room(struct sw_queue *q, size_t bytes)
{
    if (q->count == 0)
        return true;
    if (q->bytes >= q->max_bytes || bytes > q->max_bytes - q->bytes)
        return false;

    /* No memory for a longer ring only means that this producer waits for a slot. */
    return q->count < q->n_slots || grow(q);
}

int sw_queue_push(struct sw_queue *q, void *item, size_t bytes)
{
    SW_LOCK_SCOPE(&q->lock);

    if (!q->closed && !q->failed && !has_room(q, bytes)) {
        int64_t from = sw_now_ns();

        while (!q->closed && !q->failed && !has_room(q, bytes))
            pthread_cond_wait(&q->changed_out, &q->lock);
        q->blocked_ns += sw_now_ns() - from;
    }
    if (q->closed || q->failed)
        return -1;

    size_t tail = (q->head + q->count) % q->n_slots;
    q->slots[tail] = (struct sw_queue_slot){ item, bytes };
    q->count++;
    q->bytes += bytes;
    pthread_cond_signal(&q->changed_in);
    return 0;
}

/* The lock is held and count > 0. */
static void *take_first(struct sw_queue *q)
{
    struct sw_queue_slot first = q->slots[q->head];

    q->head = (q->head + 1) % q->n_slots;
    q->count--;
    q->bytes -= first.bytes;

    /* All of them: what was taken may make room for several small items, and a producer with a
     * large one that cannot go on yet must not swallow the only wake-up. */
    pthread_cond_broadcast(&q->changed_out);
    return first.item;
}

int sw_queue_pop(struct sw_queue *q, void **ret)
{
    SW_LOCK_SCOPE(&q->lock);

    if (q->count == 0 && !q->closed && !q->failed) {
        int64_t from = sw_now_ns();

        while (q->count == 0 && !q->closed && !q->failed)
            pthread_cond_wait(&q->changed_in, &q->lock);
        q->starved_ns += sw_now_ns() - from;
    }
    if (q->failed)
        return -1;
    if (q->count == 0)
        return 0;
    *ret = take_first(q);
    return 1;
}

void *sw_queue_take(struct sw_queue *q)
{
    SW_LOCK_SCOPE(&q->lock);

    return q->count ? take_first(q) : NULL;
}

static void end(struct sw_queue *q, bool *how)
{
    SW_LOCK_SCOPE(&q->lock);

    *how = true;
    pthread_cond_broadcast(&q->changed_in);
    pthread_cond_broadcast(&q->changed_out);
}

void sw_queue_close(struct sw_queue *q)
{
    end(q, &q->closed);
}

void sw_queue_fail(struct sw_queue *q)
{
    end(q, &q->failed);
}

void sw_queue_stats(struct sw_queue *q, struct sw_queue_stats *ret)
{
    SW_LOCK_SCOPE(&q->lock);

    *ret = (struct sw_queue_stats){
        .starved_ns = q->starved_ns,
        .blocked_ns = q->blocked_ns,
        .count = q->count,
        .bytes = q->bytes,
    };
}
