/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/chunk.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/clock.h"

static void *map(size_t bytes, int prot)
{
    void *p = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

int sw_pool_init(struct sw_pool *p, unsigned n, size_t chunk_bytes, struct sw_err *err)
{
    *p = (struct sw_pool){ .n = n, .n_free = n, .chunk_bytes = chunk_bytes };
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    p->chunks = calloc(n, sizeof(*p->chunks));
    p->slab = map(n * chunk_bytes, PROT_READ | PROT_WRITE);
    p->zeroes = map(chunk_bytes, PROT_READ);
    if (!p->chunks || !p->slab || !p->zeroes) {
        sw_pool_done(p);
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for %u buffers of %zu KiB", n,
                          chunk_bytes >> 10);
    }
    /* A huge page would count in full for the first byte: the budget is about what is used. */
    (void)madvise((void *)p->zeroes, chunk_bytes, MADV_NOHUGEPAGE);
    for (unsigned i = 0; i < n; i++) {
        struct sw_chunk *c = &p->chunks[i];

        c->buf = p->slab + i * chunk_bytes;
        c->pool = p;
        c->next_free = p->free;
        p->free = c;
    }
    return 0;
}

void sw_pool_done(struct sw_pool *p)
{
    if (!p->n)
        return;
    if (p->slab)
        munmap(p->slab, p->n * p->chunk_bytes);
    if (p->zeroes)
        munmap((void *)p->zeroes, p->chunk_bytes);
    free(p->chunks);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->more);
    *p = (struct sw_pool){ 0 };
}

struct sw_chunk *sw_chunk_get(struct sw_pool *p, unsigned spare)
{
    SW_LOCK_SCOPE(&p->lock);

    if (p->n_free <= spare && !p->failed) {
        int64_t start = sw_now_ns();

        while (p->n_free <= spare && !p->failed)
            pthread_cond_wait(&p->more, &p->lock);
        p->waited_ns += sw_now_ns() - start;
    }
    if (p->failed)
        return NULL;

    /* The chunk that was freed last is the one most likely to be in a cache. */
    struct sw_chunk *c = p->free;
    p->free = c->next_free;
    p->n_free--;
    c->data = c->buf;
    c->len = 0;
    c->off = 0;
    c->zero = c->again = false;
    atomic_store(&c->refs, 1);
    return c;
}

void sw_pool_fail(struct sw_pool *p)
{
    if (!p->n)
        return;
    SW_LOCK_SCOPE(&p->lock);
    p->failed = true;
    pthread_cond_broadcast(&p->more);
}

void sw_chunk_set_zero(struct sw_chunk *c, size_t len)
{
    c->data = c->pool->zeroes;
    c->len = len;
    c->zero = true;
}

struct sw_chunk *sw_chunk_ref(struct sw_chunk *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void sw_chunk_unref(struct sw_chunk *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;

    struct sw_pool *p = c->pool;
    if (p->released)
        p->released(p->released_ctx, c);

    SW_LOCK_SCOPE(&p->lock);
    c->next_free = p->free;
    p->free = c;
    p->n_free++;
    pthread_cond_broadcast(&p->more);
}
