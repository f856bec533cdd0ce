/* SPDX-License-Identifier: Apache-2.0 */
/* Write a disk through a sink in random pieces, from several lanes, and compare what it holds with a
 * plain array in memory. Pieces never overlap, but touch at any byte; some are written with garbage
 * first and then zeroed. Shared by the tests of all sinks. */
#ifndef SW_TESTS_SINK_MODEL_H
#define SW_TESTS_SINK_MODEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "transfer/sink.h"

#define MODEL_PIECES_MAX 4096
#define MODEL_PIECE_MAX ((size_t)1 << 20)
#define MODEL_LANES 4

struct model_piece {
    uint64_t off;
    size_t len;
    bool is_zero;
    bool is_misaligned; /* in memory */
};

struct model {
    struct sw_sink *sink;
    uint8_t *want;
    uint64_t size;
    size_t n;
    struct model_piece piece[MODEL_PIECES_MAX];
    uint64_t seed;
};

struct model_lane {
    struct model *m;
    unsigned lane;
    int r;
    struct sw_err err;
};

/* xorshift64: the same pieces every time. */
static inline uint64_t model_random(struct model *m)
{
    m->seed ^= m->seed << 13;
    m->seed ^= m->seed >> 7;
    m->seed ^= m->seed << 17;
    return m->seed;
}

static inline size_t model_length(struct model *m)
{
    uint64_t r = model_random(m);

    switch (r % 4) {
    case 0:
        return 1 + (r >> 8) % 5000;
    case 1:
        return 512 * (1 + (r >> 8) % 16);
    case 2:
        return 4096 * (1 + (r >> 8) % 64);
    default:
        return 1 + (r >> 8) % MODEL_PIECE_MAX;
    }
}

static inline void model_fill(struct model *m)
{
    for (uint64_t i = 0; i + 8 <= m->size; i += 8)
        sw_put_le64(m->want + i, model_random(m) | 1);
    for (size_t i = 0; i < m->n; i++) {
        if (m->piece[i].is_zero)
            memset(m->want + m->piece[i].off, 0, m->piece[i].len);
    }
}

/* Cut the disk into pieces and shuffle them. The caller frees the model with model_free(). */
static inline struct model *model_new(struct sw_sink *sink, uint64_t size, uint64_t seed)
{
    struct model *m = calloc(1, sizeof(*m));

    m->sink = sink;
    m->size = size;
    m->seed = seed;
    m->want = calloc(1, size);
    for (uint64_t off = 0; off < size && m->n < MODEL_PIECES_MAX; m->n++) {
        struct model_piece *p = &m->piece[m->n];

        p->off = off;
        p->len = m->n == MODEL_PIECES_MAX - 1 ? size - off
                                              : sw_min_u64(model_length(m), size - off);
        p->is_zero = model_random(m) % 3 == 0;
        p->is_misaligned = model_random(m) % 4 == 0;
        off += p->len;
    }
    model_fill(m);
    for (size_t i = m->n - 1; i > 0; i--) {
        size_t j = model_random(m) % (i + 1);
        struct model_piece t = m->piece[i];

        m->piece[i] = m->piece[j];
        m->piece[j] = t;
    }
    return m;
}

static inline void model_free(struct model *m)
{
    free(m->want);
    free(m);
}

static inline int model_write_piece(struct model *m, unsigned lane, const struct model_piece *p,
                                    uint8_t *memory, struct sw_err *err)
{
    uint8_t *buf = memory + (p->is_misaligned ? 1 : p->off % 4096);

    if (p->is_zero) {
        memset(buf, 0xa5, p->len);
        if (m->sink->ops->pwrite(m->sink, lane, buf, p->len, p->off, err) < 0)
            return -1;
        return m->sink->ops->zero(m->sink, lane, p->off, p->len, err);
    }
    memcpy(buf, m->want + p->off, p->len);
    return m->sink->ops->pwrite(m->sink, lane, buf, p->len, p->off, err);
}

static inline void *model_lane_main(void *arg)
{
    struct model_lane *l = arg;
    struct model *m = l->m;
    size_t longest = MODEL_PIECE_MAX;

    for (size_t i = 0; i < m->n; i++)
        longest = m->piece[i].len > longest ? m->piece[i].len : longest;

    uint8_t *memory = aligned_alloc(4096, sw_align_up(longest, 4096) + 4096);
    for (size_t i = l->lane; i < m->n && l->r == 0; i += MODEL_LANES)
        l->r = model_write_piece(m, l->lane, &m->piece[i], memory, &l->err);
    free(memory);
    return NULL;
}

/* Write everything from MODEL_LANES threads at once. 0, or -1 with the first lane's error. */
static inline int model_write(struct model *m, struct sw_err *err)
{
    struct model_lane lane[MODEL_LANES] = { 0 };
    pthread_t thread[MODEL_LANES];
    int r = 0;

    for (unsigned i = 0; i < MODEL_LANES; i++) {
        lane[i].m = m;
        lane[i].lane = i;
        pthread_create(&thread[i], NULL, model_lane_main, &lane[i]);
    }
    for (unsigned i = 0; i < MODEL_LANES; i++) {
        pthread_join(thread[i], NULL);
        if (lane[i].r < 0 && r == 0) {
            r = -1;
            *err = lane[i].err;
        }
    }
    return r;
}

/* Read everything back through the sink in other pieces than it was written in. Returns the offset
 * of the first byte that differs, m->size when none does, or UINT64_MAX with the error. */
static inline uint64_t model_differs(struct model *m, struct sw_err *err)
{
    uint8_t *memory = aligned_alloc(4096, MODEL_PIECE_MAX + 4096);
    uint64_t off = 0;

    while (off < m->size) {
        size_t len = (size_t)sw_min_u64(model_length(m), m->size - off);
        uint8_t *got = memory + off % 4096;

        if (m->sink->ops->pread(m->sink, 0, got, len, off, err) < 0) {
            free(memory);
            return UINT64_MAX;
        }
        for (size_t i = 0; i < len; i++) {
            if (got[i] != m->want[off + i]) {
                free(memory);
                return off + i;
            }
        }
        off += len;
    }
    free(memory);
    return off;
}

#endif
