/* SPDX-License-Identifier: Apache-2.0 */
/* One item per key, in a hash table. An item may stand in one flow's list (ready) and in one heap
 * (its timer) at a time; both hold pointers to it. Items leave the table when nothing is known of
 * them any more. */
#include "kube/workqueue.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define NO_TIMER SIZE_MAX
#define BUCKETS_MIN ((size_t)64)
#define JITTER_PARTS 4 /* a back-off is cut by up to 1/4 */

struct item {
    struct item *bucket_next;
    struct item *flow_next;
    size_t heap_at; /* index in the heap, or NO_TIMER */
    int64_t due_ns; /* of the timer                   */
    int64_t ready_ns;
    uint32_t hash;
    unsigned failures;
    uint8_t flow;
    bool is_ready, is_working, is_dirty;
    char key[];
};

struct flow {
    struct item *head, **tail;
};

struct sw_workqueue {
    struct sw_workqueue_options o;
    struct item **buckets;
    size_t n_buckets, n_items;
    struct flow flows[SW_WORKQUEUE_FLOWS];
    unsigned turn; /* the flow that was served last */
    struct item **heap;
    size_t n_heap, cap_heap;
    struct sw_workqueue_stats stats;
};

/* FNV-1a, 32 bit: short strings, no attacker gains anything by collisions but their own delay. */
static uint32_t hash_bytes(const char *p, size_t n)
{
    uint32_t h = 2166136261U;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 16777619U;
    return h;
}

static uint8_t flow_of(const char *key)
{
    const char *blank = strchr(key, ' ');
    const char *from = blank ? blank + 1 : key;

    return (uint8_t)(hash_bytes(from, strcspn(from, "/")) % SW_WORKQUEUE_FLOWS);
}

/* --- The table ------------------------------------------------------------------------------- */

static struct item **slot_of(const struct sw_workqueue *q, const char *key, uint32_t hash)
{
    struct item **at = &q->buckets[hash & (q->n_buckets - 1)];

    while (*at && ((*at)->hash != hash || strcmp((*at)->key, key) != 0))
        at = &(*at)->bucket_next;
    return at;
}

static struct item *find(const struct sw_workqueue *q, const char *key)
{
    return *slot_of(q, key, hash_bytes(key, strlen(key)));
}

/* Twice the buckets. Without memory for them the chains just grow. */
static void grow_table(struct sw_workqueue *q)
{
    size_t n = q->n_buckets * 2;
    struct item **bigger = calloc(n, sizeof(struct item *));

    if (!bigger)
        return;
    for (size_t i = 0; i < q->n_buckets; i++) {
        while (q->buckets[i]) {
            struct item *it = q->buckets[i];

            q->buckets[i] = it->bucket_next;
            it->bucket_next = bigger[it->hash & (n - 1)];
            bigger[it->hash & (n - 1)] = it;
        }
    }
    free(q->buckets);
    q->buckets = bigger;
    q->n_buckets = n;
}

static struct item *find_or_make(struct sw_workqueue *q, const char *key)
{
    size_t n = strlen(key);
    uint32_t hash = hash_bytes(key, n);
    struct item **at = slot_of(q, key, hash);
    struct item *it = *at;

    if (it)
        return it;
    it = calloc(1, sizeof(*it) + n + 1);
    assert(it);
    memcpy(it->key, key, n + 1);
    it->hash = hash;
    it->flow = flow_of(key);
    it->heap_at = NO_TIMER;
    *at = it;
    if (++q->n_items > q->n_buckets)
        grow_table(q);
    return it;
}

static void drop_if_idle(struct sw_workqueue *q, struct item *it)
{
    if (it->is_ready || it->is_working || it->heap_at != NO_TIMER || it->failures)
        return;
    struct item **at = slot_of(q, it->key, it->hash);
    *at = it->bucket_next;
    q->n_items--;
    free(it);
}

/* --- Timers: a binary heap, earliest first --------------------------------------------------- */

static void heap_put(struct sw_workqueue *q, size_t at, struct item *it)
{
    q->heap[at] = it;
    it->heap_at = at;
}

static void sift_up(struct sw_workqueue *q, size_t at)
{
    struct item *it = q->heap[at];

    while (at > 0 && it->due_ns < q->heap[(at - 1) / 2]->due_ns) {
        heap_put(q, at, q->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(q, at, it);
}

static void sift_down(struct sw_workqueue *q, size_t at)
{
    struct item *it = q->heap[at];

    for (size_t child = 2 * at + 1; child < q->n_heap; child = 2 * at + 1) {
        if (child + 1 < q->n_heap && q->heap[child + 1]->due_ns < q->heap[child]->due_ns)
            child++;
        if (it->due_ns <= q->heap[child]->due_ns)
            break;
        heap_put(q, at, q->heap[child]);
        at = child;
    }
    heap_put(q, at, it);
}

static void clear_timer(struct sw_workqueue *q, struct item *it)
{
    size_t at = it->heap_at;

    if (at == NO_TIMER)
        return;
    it->heap_at = NO_TIMER;
    q->n_heap--;
    if (at == q->n_heap)
        return;
    struct item *last = q->heap[q->n_heap];
    heap_put(q, at, last);
    sift_up(q, at);
    sift_down(q, last->heap_at);
}

static void set_timer(struct sw_workqueue *q, struct item *it, int64_t due_ns)
{
    if (it->heap_at != NO_TIMER) {
        if (due_ns < it->due_ns) {
            it->due_ns = due_ns;
            sift_up(q, it->heap_at);
        }
        return;
    }
    if (q->n_heap == q->cap_heap) {
        size_t cap = q->cap_heap ? q->cap_heap * 2 : 64;
        struct item **bigger = reallocarray(q->heap, cap, sizeof(struct item *));

        assert(bigger);
        q->heap = bigger;
        q->cap_heap = cap;
    }
    it->due_ns = due_ns;
    heap_put(q, q->n_heap++, it);
    sift_up(q, it->heap_at);
}

/* --- Ready keys ------------------------------------------------------------------------------ */

static void make_ready(struct sw_workqueue *q, struct item *it, int64_t now_ns)
{
    struct flow *f = &q->flows[it->flow];

    if (it->is_working) {
        it->is_dirty = true;
        return;
    }
    if (it->is_ready)
        return;
    it->is_ready = true;
    it->ready_ns = now_ns;
    it->flow_next = NULL;
    *f->tail = it;
    f->tail = &it->flow_next;
    q->stats.adds++;
    q->stats.depth++;
}

static void fire_timers(struct sw_workqueue *q, int64_t now_ns)
{
    while (q->n_heap && q->heap[0]->due_ns <= now_ns) {
        struct item *it = q->heap[0];

        clear_timer(q, it);
        make_ready(q, it, now_ns);
    }
}

/* The head of the next flow in turn that has one. */
static struct item *next_ready(struct sw_workqueue *q)
{
    for (unsigned i = 1; i <= SW_WORKQUEUE_FLOWS; i++) {
        unsigned at = (q->turn + i) % SW_WORKQUEUE_FLOWS;
        struct flow *f = &q->flows[at];
        struct item *it = f->head;

        if (!it)
            continue;
        f->head = it->flow_next;
        if (!f->head)
            f->tail = &f->head;
        q->turn = at;
        return it;
    }
    return NULL;
}

/* --- Exported -------------------------------------------------------------------------------- */

int sw_workqueue_new(const struct sw_workqueue_options *options, struct sw_workqueue **ret,
                     struct sw_err *err)
{
    struct sw_workqueue *q = calloc(1, sizeof(*q));

    assert(options->retry_base_ns > 0 && options->retry_max_ns >= options->retry_base_ns);
    if (q)
        q->buckets = calloc(BUCKETS_MIN, sizeof(struct item *));
    if (!q || !q->buckets) {
        free(q);
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a work queue");
    }
    q->n_buckets = BUCKETS_MIN;
    q->o = *options;
    for (size_t i = 0; i < SW_WORKQUEUE_FLOWS; i++)
        q->flows[i].tail = &q->flows[i].head;
    *ret = q;
    return 0;
}

void sw_workqueue_free(struct sw_workqueue *q)
{
    if (!q)
        return;
    for (size_t i = 0; i < q->n_buckets; i++) {
        while (q->buckets[i]) {
            struct item *it = q->buckets[i];

            q->buckets[i] = it->bucket_next;
            free(it);
        }
    }
    free(q->buckets);
    free(q->heap);
    free(q);
}

void sw_workqueue_add(struct sw_workqueue *q, const char *key, int64_t now_ns)
{
    make_ready(q, find_or_make(q, key), now_ns);
}

void sw_workqueue_add_after(struct sw_workqueue *q, const char *key, int64_t now_ns,
                            int64_t delay_ns)
{
    struct item *it = find_or_make(q, key);

    if (delay_ns <= 0)
        make_ready(q, it, now_ns);
    else if (!it->is_ready)
        set_timer(q, it, now_ns + delay_ns);
}

int64_t sw_workqueue_retry(struct sw_workqueue *q, const char *key, int64_t now_ns)
{
    struct item *it = find_or_make(q, key);
    int64_t delay = q->o.retry_base_ns;

    for (unsigned i = 0; i < it->failures && delay < q->o.retry_max_ns; i++)
        delay = delay > q->o.retry_max_ns / 2 ? q->o.retry_max_ns : delay * 2;
    it->failures++;

    /* A quarter of the delay, spread by the key and the number of the try. */
    uint32_t spread = (it->hash ^ (it->failures * 2654435761U)) >> 16;
    delay -= delay / JITTER_PARTS * (int64_t)spread / 65536;
    q->stats.retries++;
    sw_workqueue_add_after(q, key, now_ns, delay);
    return delay;
}

void sw_workqueue_forget(struct sw_workqueue *q, const char *key)
{
    struct item *it = find(q, key);

    if (!it)
        return;
    it->failures = 0;
    drop_if_idle(q, it);
}

unsigned sw_workqueue_failures(const struct sw_workqueue *q, const char *key)
{
    const struct item *it = find(q, key);

    return it ? it->failures : 0;
}

const char *sw_workqueue_take(struct sw_workqueue *q, int64_t now_ns)
{
    fire_timers(q, now_ns);
    struct item *it = next_ready(q);

    if (!it)
        return NULL;
    int64_t waited = now_ns - it->ready_ns;

    it->is_ready = false;
    it->is_working = true;
    clear_timer(q, it);
    q->stats.depth--;
    q->stats.working++;
    q->stats.taken++;
    q->stats.latency_sum_ns += waited;
    if (waited > q->stats.latency_max_ns)
        q->stats.latency_max_ns = waited;
    return it->key;
}

void sw_workqueue_done(struct sw_workqueue *q, const char *key, int64_t now_ns)
{
    struct item *it = find(q, key);

    assert(it && it->is_working);
    it->is_working = false;
    q->stats.working--;
    if (it->is_dirty) {
        it->is_dirty = false;
        make_ready(q, it, now_ns);
    }
    drop_if_idle(q, it);
}

int64_t sw_workqueue_next_ns(const struct sw_workqueue *q)
{
    return q->n_heap ? q->heap[0]->due_ns : INT64_MAX;
}

struct sw_workqueue_stats sw_workqueue_stats(const struct sw_workqueue *q)
{
    struct sw_workqueue_stats s = q->stats;

    s.waiting = q->n_heap;
    return s;
}
