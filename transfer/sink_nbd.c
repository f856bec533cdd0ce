/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/sink.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "transfer/nbd_io.h"

/* A lost connection is final here, unlike in the source: what the server had not flushed when it
 * went away may be gone with it, and only the engine's journal knows what that was. */

#define WRITE_PIECE SW_MIB /* bytes per write request, at most */
#define WRITE_DEPTH 8      /* writes in flight per call */
#define FAST_ZERO_PIECE (128 * SW_MIB)
#define SLOW_ZERO_PIECE (4 * SW_MIB) /* the server writes them: each must beat the stall time */
#define ZEROES_LEN (256 * SW_KIB)

enum nbd_rung { NBD_FAST_ZERO = 1, NBD_ZERO = 2 };

static uint8_t zeroes[ZEROES_LEN]; /* never written to */

struct lane_conn {
    struct sw_nbd_conn conn;
    pthread_mutex_t lock; /* conn; held for a whole request: lanes only share a connection when the
                             server allows no second one */
};

struct nbd_sink {
    struct sw_sink base;
    char *uri;
    struct sw_nbd_dial dial;
    struct sw_nbd_facts facts;
    atomic_uint rungs;         /* enum nbd_rung, not refused yet */
    pthread_mutex_t edge_lock; /* read-change-write of one minimum block at a time */
    uint8_t *edge;             /* facts.min_block bytes, guarded by edge_lock */
    unsigned n_conns;
    struct lane_conn lane[];
};

static struct nbd_sink *nbd_sink(struct sw_sink *s)
{
    return (struct nbd_sink *)s;
}

static int run(struct nbd_sink *n, unsigned lane, struct sw_nbd_job *j, struct sw_err *err)
{
    struct lane_conn *l = &n->lane[lane % n->n_conns];
    SW_LOCK_SCOPE(&l->lock);

    if (!l->conn.h)
        return sw_err_set(err, SW_ERR_TRANSIENT, "connection to '%s' lost earlier", n->base.path);
    return sw_nbd_run(&l->conn, &n->dial, j, err);
}

static uint32_t piece_of(const struct nbd_sink *n, uint64_t want)
{
    uint64_t piece = sw_min_u64(want, n->facts.max_block);

    return (uint32_t)sw_max_u64(sw_align_down(piece, n->facts.min_block), n->facts.min_block);
}

static int transfer(struct nbd_sink *n, unsigned lane, struct sw_nbd_job j, struct sw_err *err)
{
    j.depth = WRITE_DEPTH;
    j.piece = piece_of(n, WRITE_PIECE);
    return j.len ? run(n, lane, &j, err) : 0;
}

/* Part of one minimum block, in or out of the middle of it. */
static int transfer_edge(struct nbd_sink *n, unsigned lane, const struct sw_nbd_job *part,
                         struct sw_err *err)
{
    const uint64_t block = sw_align_down(part->off, n->facts.min_block);
    struct sw_nbd_job j = {
        .op = SW_NBD_READ, .buf = n->edge, .off = block, .len = n->facts.min_block
    };
    uint8_t *inside = n->edge + (part->off - block);

    if (!part->len)
        return 0;
    SW_LOCK_SCOPE(&n->edge_lock);
    if (transfer(n, lane, j, err) < 0)
        return -1;
    if (part->op == SW_NBD_READ) {
        memcpy(part->buf, inside, (size_t)part->len);
        return 0;
    }
    memcpy(inside, part->buf, (size_t)part->len);
    j.op = SW_NBD_WRITE;
    return transfer(n, lane, j, err);
}

static int check_end(const struct nbd_sink *n, uint64_t len, uint64_t off, struct sw_err *err)
{
    uint64_t end;

    if (sw_add_overflows(off, len, &end) || end > n->base.size)
        return sw_err_set(err, SW_ERR_NO_SPACE,
                          "'%s' holds %llu bytes; %llu bytes at offset %llu do not fit",
                          n->base.path, (unsigned long long)n->base.size, (unsigned long long)len,
                          (unsigned long long)off);
    return 0;
}

/* Cut at the server's minimum block: an edge, whole blocks, an edge. */
static int transfer_any(struct nbd_sink *n, unsigned lane, struct sw_nbd_job all,
                        struct sw_err *err)
{
    const uint64_t end = all.off + all.len;
    const uint64_t from = sw_min_u64(sw_align_up(all.off, n->facts.min_block), end);
    const uint64_t to = sw_max_u64(sw_align_down(end, n->facts.min_block), from);
    struct sw_nbd_job part = all;

    part.len = from - all.off;
    if (transfer_edge(n, lane, &part, err) < 0)
        return -1;
    part.off = from;
    part.len = to - from;
    part.buf = all.buf + (from - all.off);
    if (transfer(n, lane, part, err) < 0)
        return -1;
    part.off = to;
    part.len = end - to;
    part.buf = all.buf + (to - all.off);
    return transfer_edge(n, lane, &part, err);
}

static int nbd_pwrite(struct sw_sink *s, unsigned lane, const void *buf, size_t len, uint64_t off,
                      struct sw_err *err)
{
    struct nbd_sink *n = nbd_sink(s);
    struct sw_nbd_job j = {
        .op = SW_NBD_WRITE, .buf = (uint8_t *)(uintptr_t)buf, .off = off, .len = len
    };

    assert(lane < s->lanes);
    if (check_end(n, len, off, err) < 0 || transfer_any(n, lane, j, err) < 0)
        return -1;
    __atomic_fetch_add(&s->written, len, __ATOMIC_RELAXED);
    return 0;
}

static int nbd_pread(struct sw_sink *s, unsigned lane, void *buf, size_t len, uint64_t off,
                     struct sw_err *err)
{
    struct nbd_sink *n = nbd_sink(s);
    struct sw_nbd_job j = { .op = SW_NBD_READ, .buf = buf, .off = off, .len = len };

    assert(lane < s->lanes);
    if (check_end(n, len, off, err) < 0)
        return -1;
    return transfer_any(n, lane, j, err);
}

static int write_zeroes(struct sw_sink *s, unsigned lane, uint64_t off, uint64_t len,
                        struct sw_err *err)
{
    while (len) {
        uint64_t part = sw_min_u64(len, ZEROES_LEN - off % ZEROES_LEN);

        if (nbd_pwrite(s, lane, zeroes, (size_t)part, off, err) < 0)
            return -1;
        off += part;
        len -= part;
    }
    return 0;
}

/* 1: the range reads as zero; 0: this rung was refused and is gone; -1. */
static int try_rung(struct nbd_sink *n, unsigned lane, enum nbd_rung rung, struct sw_nbd_job j,
                    struct sw_err *err)
{
    struct sw_err why = { 0 };

    if (!(atomic_load(&n->rungs) & rung))
        return 0;
    j.fast = rung == NBD_FAST_ZERO;
    j.depth = j.fast ? WRITE_DEPTH : 1;
    /* max_block does not bind WRITE_ZEROES: it carries no data (proto.md, "Block size
     * constraints"). */
    j.piece = (uint32_t)(j.fast ? FAST_ZERO_PIECE : SLOW_ZERO_PIECE);
    if (run(n, lane, &j, &why) == 0)
        return 1;
    if (why.sys == EOPNOTSUPP || why.sys == EINVAL || why.sys == ENOSYS) {
        atomic_fetch_and(&n->rungs, ~(unsigned)rung);
        return 0;
    }
    *err = why;
    return -1;
}

/* Without NBD_CMD_FLAG_NO_HOLE: the server may unmap. A slow zero still beats sending zeroes over
 * the wire. */
static int nbd_zero(struct sw_sink *s, unsigned lane, uint64_t off, uint64_t len,
                    struct sw_err *err)
{
    struct nbd_sink *n = nbd_sink(s);
    const uint64_t end = off + len;
    const uint64_t from = sw_align_up(off, n->facts.min_block);
    const uint64_t to = sw_align_down(end, n->facts.min_block);
    struct sw_nbd_job j = { .op = SW_NBD_ZERO, .off = from, .len = to - from };
    int done;

    assert(lane < s->lanes);
    if (check_end(n, len, off, err) < 0)
        return -1;
    if (to <= from)
        return write_zeroes(s, lane, off, len, err);
    done = try_rung(n, lane, NBD_FAST_ZERO, j, err);
    if (!done)
        done = try_rung(n, lane, NBD_ZERO, j, err);
    if (done < 0)
        return -1;
    if (!done)
        return write_zeroes(s, lane, off, len, err);
    if (write_zeroes(s, lane, off, from - off, err) < 0)
        return -1;
    return write_zeroes(s, lane, to, end - to, err);
}

/* With multi-conn a flush on one connection covers what all wrote (proto.md,
 * NBD_FLAG_CAN_MULTI_CONN); without it there is only one. A server that has no flush is, by the
 * protocol, one that needs none. */
static int nbd_flush(struct sw_sink *s, struct sw_err *err)
{
    struct nbd_sink *n = nbd_sink(s);
    struct lane_conn *l = &n->lane[0];

    if (!n->facts.flush)
        return 0;
    SW_LOCK_SCOPE(&l->lock);
    if (!l->conn.h)
        return sw_err_set(err, SW_ERR_TRANSIENT, "connection to '%s' lost earlier", s->path);
    return sw_nbd_flush(&l->conn, &n->dial, err);
}

static void nbd_sink_close(struct sw_sink *s)
{
    struct nbd_sink *n = nbd_sink(s);

    if (!n)
        return;
    for (unsigned i = 0; i < s->lanes; i++) {
        sw_nbd_disconnect(&n->lane[i].conn);
        pthread_mutex_destroy(&n->lane[i].lock);
    }
    pthread_mutex_destroy(&n->edge_lock);
    free(n->edge);
    free(n->uri);
    free(s->path);
    free(n);
}

static const struct sw_sink_ops nbd_ops = {
    .name = "nbd",
    .pwrite = nbd_pwrite,
    .zero = nbd_zero,
    .pread = nbd_pread,
    .flush = nbd_flush,
    .close = nbd_sink_close,
};

static int check_export(struct nbd_sink *n, struct sw_err *err)
{
    if (n->facts.read_only)
        return sw_err_set(err, SW_ERR_DENIED,
                          "'%s' is a read-only export; start the server without its read-only "
                          "option",
                          n->base.path);
    n->edge = malloc(n->facts.min_block);
    if (!n->edge)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    n->base.size = n->facts.size;
    atomic_store(&n->rungs, (n->facts.zero ? NBD_ZERO : 0u) |
                                (n->facts.zero && n->facts.fast_zero ? NBD_FAST_ZERO : 0u));
    return 0;
}

static int connect_all(struct nbd_sink *n, struct sw_err *err)
{
    if (sw_nbd_connect(&n->lane[0].conn, &n->dial, err) < 0)
        return -1;
    n->facts = n->lane[0].conn.facts;
    n->n_conns = n->facts.multi_conn ? n->base.lanes : 1;
    if (check_export(n, err) < 0)
        return -1;
    for (unsigned i = 1; i < n->n_conns; i++) {
        if (sw_nbd_connect(&n->lane[i].conn, &n->dial, err) < 0)
            return -1;
        if (n->lane[i].conn.facts.size != n->facts.size)
            return sw_err_set(err, SW_ERR_BAD_DATA,
                              "'%s' has %llu bytes on one connection and %llu on another",
                              n->base.path, (unsigned long long)n->facts.size,
                              (unsigned long long)n->lane[i].conn.facts.size);
    }
    return 0;
}

int sw_sink_open_nbd(const char *uri, unsigned lanes, struct sw_sink **ret, struct sw_err *err)
{
    struct nbd_sink *n = calloc(1, sizeof(*n) + lanes * sizeof(n->lane[0]));

    assert(lanes > 0);
    if (!n)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    n->base.ops = &nbd_ops;
    n->base.lanes = lanes;
    n->base.path = sw_nbd_redact(uri);
    n->uri = strdup(uri);
    n->dial = (struct sw_nbd_dial){ .uri = n->uri, .where = n->base.path };
    pthread_mutex_init(&n->edge_lock, NULL);
    for (unsigned i = 0; i < lanes; i++)
        pthread_mutex_init(&n->lane[i].lock, NULL);

    int r = n->uri && n->base.path ? connect_all(n, err)
                                   : sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (r < 0) {
        nbd_sink_close(&n->base);
        return -1;
    }
    *ret = &n->base;
    return 0;
}
