/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets of the wrapper decoders share: decode the input whole, then again in pieces
 * whose sizes are taken from the input, and abort when the two do not agree. */
#ifndef SW_TESTS_FUZZ_DECODER_H
#define SW_TESTS_FUZZ_DECODER_H

#include <stdlib.h>
#include <string.h>

#include "formats/decoder.h"

#define FUZZ_OUT_MAX (256u << 10) /* a bomb is left alone after this many bytes */

struct fuzz_run {
    uint8_t *out;
    size_t n;
    bool ok, full; /* full: gave up at FUZZ_OUT_MAX */
};

#define FUZZ_CHECK(claim)                                                                          \
    do {                                                                                           \
        if (!(claim))                                                                              \
            abort();                                                                               \
    } while (0)

static const struct sw_limits fuzz_limits = {
    .guest_size = UINT64_C(1) << 30,
    .table_memory = 1u << 20,
    .decoder_memory = 8u << 20,
    .members = 100,
    .member_head = 16u << 10,
};

/* One step; the room lies in a block of its own, for ASan. Returns bytes used, or -1. */
static long fuzz_step(const struct sw_decoder_ops *ops, struct sw_decoder *d, struct sw_span in,
                      size_t room, struct fuzz_run *r)
{
    struct sw_err err = { 0 };
    uint8_t *block = malloc(room);
    struct sw_decode_io io = { in, block, room, 0 };
    int ret = ops->step(d, &io, &err);

    FUZZ_CHECK(io.in.n <= in.n && io.out_len <= room);
    if (ret < 0)
        FUZZ_CHECK(err.kind == SW_ERR_BAD_DATA || err.kind == SW_ERR_UNSUPPORTED);
    else
        FUZZ_CHECK(!in.n || io.in.n < in.n || io.out_len);
    if (r->n + io.out_len > FUZZ_OUT_MAX)
        r->full = true;
    else if (io.out_len)
        memcpy(r->out + r->n, block, io.out_len);
    r->n += r->full ? 0 : io.out_len;
    free(block);
    return ret < 0 ? -1 : (long)(in.n - io.in.n);
}

static bool fuzz_feed(const struct sw_decoder_ops *ops, struct sw_decoder *d, struct sw_span in,
                      unsigned seed, struct fuzz_run *r)
{
    struct sw_err err = { 0 };

    for (;;) {
        size_t n = in.n, room = 16384, before = r->n;
        long used;

        if (seed) {
            seed = seed * 1664525u + 1013904223u;
            n = (seed >> 8) % 97 + 1 < in.n ? (seed >> 8) % 97 + 1 : in.n;
            room = (seed >> 16) % 5 ? (seed >> 20) % 4093 + 1 : 1;
        }
        used = fuzz_step(ops, d, (struct sw_span){ in.p, n }, room, r);
        if (used < 0 || r->full)
            return false;
        in.p += used;
        in.n -= (size_t)used;
        if (!n && r->n == before)
            return ops->finish(d, &err) == 0;
    }
}

/* seed 0: whole; else pieces. The caller frees ret.out. */
static struct fuzz_run fuzz_decode(const struct sw_decoder_ops *ops, const uint8_t *data,
                                   size_t size, unsigned seed)
{
    struct fuzz_run r = { .out = malloc(FUZZ_OUT_MAX) };
    struct sw_decoder *d = NULL;
    struct sw_err err = { 0 };

    FUZZ_CHECK(r.out && ops->open(&fuzz_limits, &d, &err) == 0);
    r.ok = fuzz_feed(ops, d, (struct sw_span){ data, size }, seed, &r);
    ops->close(d);
    return r;
}

/* Both gave up, or both gave the same verdict, and on success the same bytes. */
static void fuzz_compare(const struct fuzz_run *a, const struct fuzz_run *b)
{
    if (a->full || b->full)
        return;
    FUZZ_CHECK(a->ok == b->ok);
    if (a->ok)
        FUZZ_CHECK(a->n == b->n && memcmp(a->out, b->out, a->n) == 0);
}

static inline void fuzz_both_ways(const struct sw_decoder_ops *ops, const uint8_t *data,
                                  size_t size)
{
    unsigned seed = (unsigned)size * 2654435761u | 1;
    struct fuzz_run whole = fuzz_decode(ops, data, size, 0);
    struct fuzz_run pieces = fuzz_decode(ops, data, size, seed);

    fuzz_compare(&whole, &pieces);
    free(whole.out);
    free(pieces.out);
}

#endif
