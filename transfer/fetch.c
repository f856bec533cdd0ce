/* SPDX-License-Identifier: Apache-2.0 */
/* The fetch stage: lanes take the next piece of the plan, fill a chunk each, and hand the chunks on
 * in the order of the plan.
 *
 * A chunk is taken from the pool before its place in the plan is, under one lock: so the chunk that
 * everybody waits for always has its memory, and a full pool can never lock up. */
#include <stdlib.h>

#include "common/clock.h"
#include "transfer/pipe.h"

/* Needed ranges closer than this are fetched as one: a request costs more than the bytes. */
#define GAP_MAX (256 * SW_KIB)

/* A hole of fewer bytes is read as data when clusters may lie across it; data is looked for this far. */
#define HOLE_MIN (4 * SW_MIB)
#define LOOK_MAX (16 * SW_MIB)

int sw_fetch_init(struct sw_fetch *f, struct sw_pipe *p, unsigned lanes, struct sw_err *err)
{
    *f = (struct sw_fetch){ .pipe = p,
                            .next = p->start_at,
                            .hole_end = p->start_at,
                            .window = p->fetch_pool.n,
                            .lanes_left = lanes };
    pthread_mutex_init(&f->plan_lock, NULL);
    pthread_mutex_init(&f->order_lock, NULL);
    f->done = calloc(f->window, sizeof(struct sw_chunk *));
    if (!f->done)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    return 0;
}

void sw_fetch_done(struct sw_fetch *f)
{
    for (unsigned i = 0; f->done && i < f->window; i++)
        sw_chunk_unref(f->done[i]);
    free(f->done);
    pthread_mutex_destroy(&f->plan_lock);
    pthread_mutex_destroy(&f->order_lock);
}

/* Without a digest only what ends up on the disk is fetched: move to the next such range and return
 * where the run of near ones ends. Offsets are kept on page borders for O_DIRECT's sake. */
static uint64_t skip_to_needed(struct sw_fetch *f)
{
    struct sw_pipe *p = f->pipe;
    uint64_t off, len;

    if (!p->reader->ops->needed(p->reader, f->next, &off, &len) || off >= p->source->size) {
        f->next = p->source->size;
        return f->next;
    }

    uint64_t from = sw_max_u64(f->next, sw_align_down(off, 4096));
    uint64_t end = off + len;
    uint64_t far = from + p->fetch_pool.chunk_bytes;
    while (end < far && p->reader->ops->needed(p->reader, end, &off, &len) && off - end <= GAP_MAX)
        end = off + len;

    /* What is jumped over needs no one any more. */
    sw_watermark_add(&p->placed, f->next, from);
    atomic_fetch_add(&p->done_bytes, from - f->next);
    f->next = from;
    return sw_min_u64(sw_align_up(end, 4096), p->source->size);
}

/* What the source knows about the bytes ahead: whether they are zero, and up to where. Holes cut
 * chunks: where a compressed cluster may lie across them, only large ones count, so that it never
 * has more chunks than a job can hold. */
static int look_ahead(struct sw_fetch *f, uint64_t end, struct sw_err *err)
{
    struct sw_source *s = f->pipe->source;
    uint64_t least = f->pipe->reader->any_order && !f->pipe->n_wraps ? 1 : HOLE_MIN;
    uint64_t at = f->next, run = 0;

    f->hole_zero = false;
    f->hole_end = end;
    if (!s->ops->status)
        return 0;
    while (at < end && run < least && at - f->next < LOOK_MAX) {
        uint64_t len = end - at;
        bool zero = false;

        if (s->ops->status(s, at, len, &zero, &len, err) < 0)
            return -1;
        if (run == 0 && zero && at > f->next && len >= least)
            break; /* data up to a hole */
        run = zero ? run + len : 0;
        at += len;
        if (least == 1)
            break;
    }
    f->hole_zero = run >= least && at - run == f->next;
    f->hole_end = run >= least && !f->hole_zero ? at - run : at;
    return 0;
}

/* Plan the next piece for this chunk. Returns 1, 0 at the end of the plan, -1 on error. */
static int plan_piece(struct sw_fetch *f, struct sw_chunk *c, struct sw_err *err)
{
    struct sw_pipe *p = f->pipe;
    uint64_t end = p->read_all ? p->source->size : skip_to_needed(f);

    if (f->next >= p->source->size)
        return 0;
    if (f->next >= f->hole_end && look_ahead(f, p->source->size, err) < 0)
        return -1;

    /* Chunks lie on multiples of their size, so that a disk's and a file's pages coincide. */
    uint64_t border = sw_align_down(f->next, p->fetch_pool.chunk_bytes) + p->fetch_pool.chunk_bytes;
    end = sw_min_u64(sw_min_u64(end, f->hole_end), border);
    c->off = f->next;
    c->len = (size_t)(end - f->next);
    if (f->hole_zero)
        sw_chunk_set_zero(c, c->len);
    f->next = end;
    return 1;
}

static ssize_t read_stream(struct sw_pipe *p, struct sw_chunk *c, struct sw_err *err)
{
    size_t cap = p->fetch_pool.chunk_bytes;
    size_t have = 0;

    if (c->off < p->prefix_len) {
        have = (size_t)sw_min_u64(cap, p->prefix_len - c->off);
        memcpy(c->buf, p->prefix + c->off, have);
    }
    while (have < cap && !p->prefix_is_all) {
        ssize_t n = p->source->ops->read(p->source, c->buf + have, cap - have, err);

        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

/* The next chunk of a stream: 1, 0 at its end, -1. */
static int next_of_stream(struct sw_fetch *f, struct sw_chunk *c, struct sw_err *err)
{
    c->off = f->next;
    ssize_t n = read_stream(f->pipe, c, err);

    if (n <= 0)
        return (int)n;
    c->len = (size_t)n;
    f->next += (uint64_t)n;
    return 1;
}

/* A chunk with its place in the order: 1, 0 at the end, -1. A stream is read under the plan lock:
 * it has one lane. */
static int take_piece(struct sw_fetch *f, struct sw_chunk **ret, unsigned *ret_seq,
                      struct sw_err *err)
{
    SW_LOCK_SCOPE(&f->plan_lock);
    struct sw_chunk *c;

    if (f->ended)
        return 0;
    c = sw_chunk_get(&f->pipe->fetch_pool, 0);
    if (!c)
        return 0;

    int rc = f->pipe->source->seekable ? plan_piece(f, c, err) : next_of_stream(f, c, err);
    if (rc <= 0) {
        f->ended = true;
        atomic_store(&f->pipe->source_end, f->next);
        c->off = c->len = 0;
        sw_chunk_unref(c);
        return rc;
    }
    *ret = c;
    *ret_seq = f->next_seq++;
    return 1;
}

/* Hand on, in order, every chunk that is ready. The queues take any number: the pool is the bound. */
static void deliver(struct sw_fetch *f, struct sw_chunk *c, unsigned seq)
{
    struct sw_pipe *p = f->pipe;
    SW_LOCK_SCOPE(&f->order_lock);

    f->done[seq % f->window] = c;
    for (;;) {
        struct sw_chunk **slot = &f->done[f->deliver_seq % f->window];
        struct sw_chunk *next = *slot;

        if (!next)
            return;
        *slot = NULL;
        f->deliver_seq++;
        if (p->hash_all && sw_queue_push(&p->to_digest, sw_chunk_ref(next), next->len) < 0)
            sw_chunk_unref(next);
        if (sw_queue_push(&p->to_stage[0], next, next->len) < 0)
            sw_chunk_unref(next);
    }
}

static void lane_ended(struct sw_fetch *f)
{
    SW_LOCK_SCOPE(&f->order_lock);

    if (--f->lanes_left == 0) {
        sw_queue_close(&f->pipe->to_digest);
        sw_queue_close(&f->pipe->to_stage[0]);
    }
}

static int fill(struct sw_pipe *p, unsigned lane, struct sw_chunk *c, struct sw_err *err)
{
    if (c->zero || !p->source->seekable)
        return 0;
    if (p->source->ops->read_at(p->source, lane, c->buf, c->len, c->off, err) < 0)
        return -1;
    /* Sparse disks are mostly such chunks: seen here, their digest reads one cached page and nobody
     * looks at them again. Any other chunk fails the test in its first bytes. */
    if (sw_is_zero(c->buf, c->len))
        sw_chunk_set_zero(c, c->len);
    return 0;
}

void *sw_fetch_thread(void *arg)
{
    struct sw_fetch_lane *l = arg;
    struct sw_fetch *f = l->fetch;
    struct sw_err err = { 0 };
    int64_t waited = 0, start = sw_now_ns();

    for (;;) {
        struct sw_chunk *c = NULL;
        unsigned seq = 0;
        int64_t before = sw_now_ns();
        int rc = take_piece(f, &c, &seq, &err);

        if (f->pipe->source->seekable)
            waited += sw_now_ns() - before;
        if (rc > 0 && fill(f->pipe, l->lane, c, &err) < 0) {
            sw_pipe_fail(f->pipe, &err);
            sw_chunk_unref(c);
            break;
        }
        if (rc < 0)
            sw_pipe_fail(f->pipe, &err);
        if (rc <= 0 || sw_pipe_failed(f->pipe)) {
            if (rc > 0)
                sw_chunk_unref(c);
            break;
        }
        deliver(f, c, seq);
    }
    sw_pipe_add_time(f->pipe, SW_STAGE_FETCH, sw_now_ns() - start - waited);
    lane_ended(f);
    return NULL;
}
