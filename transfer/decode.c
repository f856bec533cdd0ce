/* SPDX-License-Identifier: Apache-2.0 */
/* The decode stage: one wrapper taken off, one thread. */
#include "common/clock.h"
#include "transfer/pipe.h"

struct decode {
    struct sw_pipe *p;
    unsigned index;
    struct sw_decoder *decoder;
    const struct sw_decoder_ops *ops;
    struct sw_pool *pool;
    struct sw_queue *in, *out;
    struct sw_chunk *chunk;   /* being filled */
    uint64_t in_off, out_off; /* of the next byte consumed / produced */
    int64_t waited;
};

/* Remember places where decoding can be taken up again: for the outermost wrapper of one, no more
 * than one for each stretch, or small frames would push the useful ones out of the ring. */
static void note_boundary(struct decode *d)
{
    struct sw_boundaries *b = &d->p->boundaries;

    if (d->index != 0 || d->p->n_wraps != 1 || !d->ops->at_boundary(d->decoder))
        return;
    SW_LOCK_SCOPE(&b->lock);
    if (b->n && d->in_off < b->at[(b->n - 1) % SW_BOUNDARIES].in + SW_MIB)
        return;
    b->at[b->n % SW_BOUNDARIES].in = d->in_off;
    b->at[b->n % SW_BOUNDARIES].out = d->out_off;
    b->n++;
}

static int pass_on(struct decode *d)
{
    struct sw_chunk *c = d->chunk;

    d->chunk = NULL;
    if (c->len == 0 || sw_queue_push(d->out, c, c->len) < 0)
        sw_chunk_unref(c);
    return 0;
}

static int need_chunk(struct decode *d, struct sw_err *err)
{
    if (d->chunk)
        return 0;

    int64_t start = sw_now_ns();
    d->chunk = sw_chunk_get(d->pool, 0);
    d->waited += sw_now_ns() - start;
    if (!d->chunk)
        return sw_err_set(err, SW_ERR_CANCELLED, "the pipe was stopped");
    d->chunk->off = d->out_off;
    return 0;
}

/* One step of the decoder. Returns whether anything moved: 1, 0 or -1. */
static int step(struct decode *d, struct sw_span *in, struct sw_err *err)
{
    if (need_chunk(d, err) < 0)
        return -1;

    /* Chunks lie on multiples of their size, also after a resume in between. */
    size_t cap = d->pool->chunk_bytes - (size_t)(d->chunk->off % d->pool->chunk_bytes);
    struct sw_decode_io io = {
        .in = *in, .out = d->chunk->buf, .out_cap = cap, .out_len = d->chunk->len
    };
    if (d->ops->step(d->decoder, &io, err) < 0)
        return -1;

    size_t eaten = in->n - io.in.n, made = io.out_len - d->chunk->len;
    *in = io.in;
    d->in_off += eaten;
    if (d->index == 0)
        atomic_store(&d->p->unwrapped, d->in_off);
    d->out_off += made;
    d->chunk->len = io.out_len;
    note_boundary(d);
    if (io.out_len < cap)
        return eaten || made;
    if (sw_pipe_check_expansion(d->p, d->out_off, err) < 0)
        return -1;
    pass_on(d);
    return 1;
}

static int decode_chunk(struct decode *d, const struct sw_chunk *c, struct sw_err *err)
{
    uint64_t begin = d->p->decode_in;
    size_t skip = d->index == 0 && c->off < begin ? (size_t)sw_min_u64(begin - c->off, c->len) : 0;
    struct sw_span in = { c->data + skip, c->len - skip };

    while (in.n) {
        int moved = step(d, &in, err);

        if (moved < 0)
            return -1;
        if (!moved)
            return sw_err_set(err, SW_ERR_INTERNAL, "the %s decoder is stuck", d->ops->name);
    }
    return 0;
}

static int drain(struct decode *d, struct sw_err *err)
{
    struct sw_span none = { (const uint8_t *)"", 0 };
    int moved;

    while ((moved = step(d, &none, err)) > 0)
        ;
    if (moved < 0 || d->ops->finish(d->decoder, err) < 0)
        return -1;
    return d->chunk ? pass_on(d) : 0;
}

static int run(struct decode *d, int64_t *busy, struct sw_err *err)
{
    void *item;
    int rc;

    while ((rc = sw_queue_pop(d->in, &item)) > 0) {
        struct sw_chunk *c = item;
        int64_t start = sw_now_ns(), waited = d->waited;

        rc = decode_chunk(d, c, err);
        if (d->index == 0)
            atomic_store(&d->p->consumed, sw_chunk_end(c));
        sw_chunk_unref(c);
        *busy += sw_now_ns() - start - (d->waited - waited);
        if (rc < 0)
            return -1;
    }
    if (rc < 0)
        return sw_err_set(err, SW_ERR_CANCELLED, "the pipe was stopped");
    return drain(d, err);
}

static int open_decoder(struct decode *d, struct sw_err *err)
{
    if (d->ops->open(&d->p->limits, &d->decoder, err) < 0)
        return -1;
    if (d->in_off) /* taken up between two members: what follows may be only padding */
        d->ops->set_resumed(d->decoder);
    return 0;
}

void *sw_decode_thread(void *arg)
{
    struct sw_decode_stage *s = arg;
    struct sw_pipe *p = s->pipe;
    struct decode d = { .p = p,
                        .index = s->index,
                        .ops = sw_decoder_for(p->wraps[s->index]),
                        .pool = &p->decode_pools[s->index],
                        .in = &p->to_stage[s->index],
                        .out = &p->to_stage[s->index + 1] };
    struct sw_err err = { 0 };
    int64_t busy = 0;

    if (s->index == 0) {
        d.in_off = p->decode_in;
        d.out_off = p->decode_out;
    }
    if (open_decoder(&d, &err) < 0 || run(&d, &busy, &err) < 0)
        sw_pipe_fail(p, &err);
    else if (s->index + 1 == p->n_wraps)
        p->stream_size = d.out_off;
    d.ops->close(d.decoder);
    sw_chunk_unref(d.chunk);
    sw_pipe_add_time(p, SW_STAGE_DECODE + s->index, busy);
    sw_queue_close(d.out);
    return NULL;
}
