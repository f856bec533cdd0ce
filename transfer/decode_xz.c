/* SPDX-License-Identifier: Apache-2.0 */
/* The decode stage of an .xz whose blocks announce their sizes: several blocks at once.
 *
 * DESIGN. One coordinator walks the stream: it parses block headers, hands each block to the next
 * free worker and passes it the compressed bytes as they arrive, in slices of the source's chunks.
 * Where a block's output belongs is known from the headers before it is decoded. A reader that takes
 * its input in any order (raw) gets every chunk at once; for the others a worker keeps what it
 * has until the blocks before its own are done, up to a bound.
 *
 * No lock-up: bytes arrive in order, so the oldest block always gets its own before a younger one
 * does; and younger blocks never hold the last chunks of the output pool. */
#include <stdlib.h>
#include <string.h>

#include "transfer/xz_impl.h"

static int stopped(struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_CANCELLED, "the pipe was stopped");
}

/* ---- the coordinator ------------------------------------------------------------------------- */

static struct sw_xz_worker *idle_worker(struct sw_xz_crew *x)
{
    for (unsigned i = 0; i < x->n_workers; i++) {
        if (!x->workers[i].busy)
            return &x->workers[i];
    }
    return NULL;
}

static int wait_idle(struct sw_xz_crew *x, bool all, struct sw_xz_worker **ret, struct sw_err *err)
{
    SW_LOCK_SCOPE(&x->lock);

    for (;;) {
        if (x->stopping || sw_pipe_failed(x->p))
            return stopped(err);
        *ret = idle_worker(x);
        if (all ? x->first == x->block_number : *ret != NULL)
            return 0;
        pthread_cond_wait(&x->changed, &x->lock);
    }
}

static void note_boundary(struct sw_xz_crew *x)
{
    struct sw_boundaries *b = &x->p->boundaries;

    if (x->stream_number || x->p->n_wraps != 1)
        return;
    SW_LOCK_SCOPE(&b->lock);
    b->at[b->n % SW_BOUNDARIES].in = x->in_off - x->head_len;
    b->at[b->n % SW_BOUNDARIES].out = x->out_off;
    b->n++;
}

static int start_block(struct sw_xz_crew *x, const struct sw_xz_look *look, struct sw_err *err)
{
    struct sw_xz_worker *w;

    note_boundary(x);
    if (wait_idle(x, false, &w, err) < 0 ||
        sw_xz_tail_append(x->tail, look->unpadded_size, look->uncompressed_size, err) < 0)
        return -1;
    memcpy(w->head, x->head, x->head_len);
    w->head_len = x->head_len;
    w->out_off = x->out_off;
    w->number = x->block_number++;
    x->feeding = w;
    x->left = look->total_size - x->head_len;
    x->out_off += look->uncompressed_size;
    x->state = BLOCK;
    atomic_store(&x->p->unwrapped, x->in_off + x->left); /* it is known what they become */
    if (sw_pipe_check_expansion(x->p, x->out_off, err) < 0)
        return -1;

    SW_LOCK_SCOPE(&x->lock);
    w->busy = true;
    pthread_cond_broadcast(&x->changed);
    return 0;
}

/* A block that does not say how long it is: decode it here, with nothing else under way. */
static int start_solo(struct sw_xz_crew *x, struct sw_err *err)
{
    struct sw_xz_worker *none;
    size_t header;

    if (wait_idle(x, true, &none, err) < 0)
        return -1;
    if (!x->solo.decoder && sw_xz_block_open(&x->p->limits, &x->solo.decoder, err) < 0)
        return -1;
    x->solo.x = x;
    x->solo.out_off = x->out_off;
    x->solo.number = x->block_number++;
    x->state = SOLO;
    return sw_xz_block_start(x->solo.decoder, &x->stream, (struct sw_span){ x->head, x->head_len },
                             &header, err);
}

static int feed_solo(struct sw_xz_crew *x, struct sw_span *in, struct sw_err *err)
{
    uint64_t unpadded, uncompressed;
    const uint8_t *before = in->p;
    bool ended = false;

    while (in->n && !ended) {
        if (sw_xz_worker_step(&x->solo, in, &ended, err) < 0)
            return -1;
        atomic_store(&x->p->unwrapped, x->in_off + (uint64_t)(in->p - before));
        if (sw_pipe_check_expansion(x->p, x->solo.out_off, err) < 0)
            return -1;
    }
    if (!ended)
        return 0;
    sw_xz_block_sizes(x->solo.decoder, &unpadded, &uncompressed);
    x->out_off = x->solo.out_off;
    {
        SW_LOCK_SCOPE(&x->lock);
        x->first = x->block_number; /* no worker has a block */
    }
    x->state = LOOK;
    x->head_len = 0;
    x->head_need = 1;
    return sw_xz_tail_append(x->tail, unpadded, uncompressed, err);
}

static int feed_block(struct sw_xz_crew *x, struct sw_chunk *c, struct sw_span *in,
                      struct sw_err *err)
{
    size_t n = (size_t)sw_min_u64(in->n, x->left);
    struct sw_xz_slice *s = n ? malloc(sizeof(*s)) : NULL;

    if (n && !s)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (n) {
        *s = (struct sw_xz_slice){ sw_chunk_ref(c), { in->p, n } };
        if (sw_queue_push(&x->feeding->slices, s, n) < 0) {
            sw_chunk_unref(c);
            free(s);
            return stopped(err);
        }
    }
    in->p += n;
    in->n -= n;
    x->left -= n;
    if (x->left)
        return 0;
    if (sw_queue_push(&x->feeding->slices, NULL, 0) < 0)
        return stopped(err);
    x->state = LOOK;
    x->head_len = 0;
    x->head_need = 1;
    return 0;
}

/* Collect head_need bytes. True when they are there. */
static bool collect(struct sw_xz_crew *x, struct sw_span *in)
{
    size_t n = (size_t)sw_min_u64(in->n, x->head_need - x->head_len);

    memcpy(x->head + x->head_len, in->p, n);
    x->head_len += n;
    in->p += n;
    in->n -= n;
    return x->head_len == x->head_need;
}

static int begin_stream(struct sw_xz_crew *x, struct sw_err *err)
{
    if (sw_xz_stream_header((struct sw_span){ x->head, x->head_len }, &x->stream, err) < 0)
        return -1;
    x->state = LOOK;
    x->head_len = 0;
    x->head_need = 1;
    return x->tail ? sw_xz_tail_reset(x->tail, &x->stream, err)
                   : sw_xz_tail_open(&x->stream, &x->tail, err);
}

static int feed_tail(struct sw_xz_crew *x, struct sw_span *in, struct sw_err *err)
{
    enum sw_xz_tail_state state;
    struct sw_xz_worker *none;

    if (sw_xz_tail_feed(x->tail, in, &state, err) < 0)
        return -1;
    if (state != SW_XZ_TAIL_NEXT)
        return 0;
    /* Workers read the stream's parameters: let them end first. */
    if (wait_idle(x, true, &none, err) < 0)
        return -1;
    x->state = STREAM_HEADER;
    x->stream_number++;
    x->head_len = 0;
    x->head_need = SW_XZ_HEADER_SIZE;
    return 0;
}

static int look_at_head(struct sw_xz_crew *x, struct sw_err *err)
{
    struct sw_xz_look look;
    struct sw_span head = { x->head, x->head_len };

    if (sw_xz_look(&x->stream, head, &look, err) < 0)
        return -1;
    switch (look.what) {
    case SW_XZ_MORE:
        x->head_need = look.need;
        return 0;
    case SW_XZ_BLOCK:
        return look.total_size && look.has_uncompressed_size ? start_block(x, &look, err)
                                                             : start_solo(x, err);
    case SW_XZ_INDEX:
        x->state = TAIL;
        return feed_tail(x, &head, err);
    }
    return 0;
}

static int consume(struct sw_xz_crew *x, struct sw_chunk *c, struct sw_span *in, struct sw_err *err)
{
    const uint8_t *before = in->p;
    int rc = 0;

    switch (x->state) {
    case STREAM_HEADER:
        if (collect(x, in))
            rc = begin_stream(x, err);
        x->in_off += (uint64_t)(in->p - before);
        return rc;
    case LOOK: {
        bool whole = collect(x, in);

        x->in_off += (uint64_t)(in->p - before);
        return whole ? look_at_head(x, err) : 0;
    }
    case BLOCK:
        rc = feed_block(x, c, in, err);
        break;
    case SOLO:
        rc = feed_solo(x, in, err);
        break;
    case TAIL:
        rc = feed_tail(x, in, err);
        break;
    }
    x->in_off += (uint64_t)(in->p - before);
    return rc;
}

static int walk(struct sw_xz_crew *x, struct sw_err *err)
{
    void *item;
    int rc;

    while ((rc = sw_queue_pop(x->in, &item)) > 0) {
        struct sw_chunk *c = item;
        size_t skip = c->off < x->p->decode_in
                          ? (size_t)sw_min_u64(x->p->decode_in - c->off, c->len)
                          : 0;
        struct sw_span in = { c->data + skip, c->len - skip };

        rc = 0;
        while (rc == 0 && in.n)
            rc = consume(x, c, &in, err);
        atomic_store(&x->p->consumed, sw_chunk_end(c));
        sw_chunk_unref(c);
        if (rc < 0)
            return -1;
    }
    return rc < 0 ? stopped(err) : 0;
}

static int finish(struct sw_xz_crew *x, struct sw_err *err)
{
    struct sw_xz_worker *none;

    if (x->state != TAIL || !x->tail)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "xz: truncated after %llu bytes: the index at its end is missing",
                          (unsigned long long)x->in_off);
    if (wait_idle(x, true, &none, err) < 0)
        return -1;
    return sw_xz_tail_finish(x->tail, err);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void open_xz(struct sw_xz_crew *x, struct sw_decode_stage *s)
{
    struct sw_pipe *p = s->pipe;

    x->p = p;
    x->pool = &p->decode_pools[s->index];
    x->in = &p->to_stage[s->index];
    x->out = &p->to_stage[s->index + 1];
    x->ordered = p->n_wraps > 1 || p->unpack || !p->reader->any_order;
    x->in_off = p->decode_in;
    x->out_off = p->decode_out;
    x->head_need = SW_XZ_HEADER_SIZE;
    if (p->xz_tail) { /* taken up between two blocks */
        x->tail = sw_steal(p->xz_tail);
        x->stream = p->xz_stream;
        x->state = LOOK;
        x->head_need = 1;
    }
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->changed, NULL);
}

void *sw_decode_xz_thread(void *arg)
{
    struct sw_decode_stage *s = arg;
    struct sw_pipe *p = s->pipe;
    struct sw_err err = { 0 };
    struct sw_xz_crew *x = calloc(1, sizeof(*x));

    if (!x) {
        sw_err_set(&err, SW_ERR_INTERNAL, "out of memory");
        sw_pipe_fail(p, &err);
        sw_queue_close(&p->to_stage[s->index + 1]);
        return NULL;
    }
    open_xz(x, s);
    if (sw_xz_workers_start(x, &err) < 0 || walk(x, &err) < 0 || finish(x, &err) < 0)
        sw_pipe_fail(p, &err);
    else if (p->n_wraps == 1)
        p->stream_size = x->out_off;
    sw_xz_workers_stop(x);
    sw_xz_tail_close(x->tail);
    pthread_mutex_destroy(&x->lock);
    pthread_cond_destroy(&x->changed);
    sw_queue_close(x->out);
    free(x);
    return NULL;
}

bool sw_xz_parallel_possible(struct sw_span head)
{
    struct sw_xz_stream stream;
    struct sw_xz_look look;
    struct sw_err err = { 0 };

    if (head.n < SW_XZ_HEADER_SIZE || sw_xz_stream_header(head, &stream, &err) < 0)
        return false;
    head.p += SW_XZ_HEADER_SIZE;
    head.n -= SW_XZ_HEADER_SIZE;
    return sw_xz_look(&stream, head, &look, &err) == 0 && look.what == SW_XZ_BLOCK &&
           look.total_size && look.has_uncompressed_size;
}
