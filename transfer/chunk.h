/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of the pipe: pools of equal, page-aligned, reference-counted buffers, all taken when
 * the pipe is built. A stage that finds its pool empty waits, and that is the back-pressure.
 *
 * Thread rule: everything may be called from any thread. A chunk's fields are written by the stage
 * that got it and are read-only once it is passed on. */
#ifndef SW_TRANSFER_CHUNK_H
#define SW_TRANSFER_CHUNK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct sw_pool;

struct sw_chunk {
    const uint8_t *data; /* len bytes: buf, or a shared page of zeroes         */
    uint8_t *buf;        /* the pool's chunk_bytes bytes, aligned to 4096       */
    size_t len;
    uint64_t off; /* of data[0] in the stream that this stage works on   */
    bool zero;    /* all zero, known without looking                     */
    bool again;   /* holds parked bytes: this part of the stream had its turn already */
    struct sw_pool *pool;
    struct sw_chunk *next_free;
    atomic_uint refs;
};

/* Called with the chunk when its last reference goes, before it is used again. */
typedef void sw_chunk_released(void *ctx, const struct sw_chunk *chunk);

struct sw_pool {
    pthread_mutex_t lock; /* guards free list, n_free, failed, waits */
    pthread_cond_t more;
    struct sw_chunk *chunks, *free;
    unsigned n, n_free;
    size_t chunk_bytes;
    uint8_t *slab;
    const uint8_t *zeroes; /* chunk_bytes of them, one physical page */
    bool failed;
    int64_t waited_ns; /* summed over threads */
    sw_chunk_released *released;
    void *released_ctx;
};

/* n chunks of chunk_bytes (a multiple of 4096) each. Memory is only touched when a chunk is first
 * filled. -1 with SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_pool_init(struct sw_pool *p, unsigned n, size_t chunk_bytes, struct sw_err *err);
void sw_pool_done(struct sw_pool *p); /* accepts a zeroed one; no chunk is referenced any more */

/* A chunk with one reference, len 0, data == buf. Waits until more than `spare` chunks are free
 * (spare > 0 leaves some to whoever must not starve). NULL when the pool has failed. */
struct sw_chunk *sw_chunk_get(struct sw_pool *p, unsigned spare);

/* Everyone who waits or will wait gets NULL. */
void sw_pool_fail(struct sw_pool *p);

/* Make it stand for `len` zero bytes (len <= chunk_bytes) without touching its buffer. */
void sw_chunk_set_zero(struct sw_chunk *c, size_t len);

struct sw_chunk *sw_chunk_ref(struct sw_chunk *c);
void sw_chunk_unref(struct sw_chunk *c); /* accepts NULL */

static inline uint64_t sw_chunk_end(const struct sw_chunk *c)
{
    return c->off + c->len;
}

#endif
