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

#include "common/clock.h"
#include "formats/xz_blocks.h"
#include "transfer/decode_xz.h"

#define WORKERS_MAX 8
/* Chunks that the map stage and the writers may hold while the oldest block still gets one. */
#define POOL_RESERVE 8

struct slice {
    struct sw_chunk *chunk;
    struct sw_span bytes;
};

struct worker {
    struct xz *x;
    pthread_t thread;
    bool started;
    struct sw_xz_block_decoder *decoder;
    struct sw_queue slices; /* of the block at hand; a NULL slice ends it       */

    bool busy;              /* has a block; guarded by x->lock                  */
    uint64_t number;        /* of the block, counted through the file           */
    uint64_t out_off, out_len;
    uint8_t head[SW_XZ_BLOCK_HEADER_MAX];
    size_t head_len;

    struct sw_chunk *kept[64]; /* finished output that must wait for its turn */
    unsigned n_kept;
    struct sw_chunk *chunk;    /* being filled */
    int64_t busy_ns;
};

enum coordinator_state { STREAM_HEADER, LOOK, BLOCK, SOLO, TAIL };

struct xz {
    struct sw_pipe *p;
    struct sw_pool *pool;
    struct sw_queue *in, *out;
    bool ordered;
    unsigned keep_max; /* chunks that a worker may keep */

    pthread_mutex_t lock; /* guards workers' busy, todo, done_blocks, stopping */
    pthread_cond_t changed;
    bool stopping;
    uint64_t first; /* number of the oldest block not finished */
    uint64_t done_ahead; /* bit i: block first + i is finished   */
    struct worker workers[WORKERS_MAX];
    unsigned n_workers;

    enum coordinator_state state;
    struct sw_xz_stream stream;
    struct sw_xz_tail *tail;
    uint8_t head[SW_XZ_BLOCK_HEADER_MAX];
    size_t head_len, head_need;
    struct worker *feeding;
    uint64_t left;          /* bytes of the block still to feed   */
    uint64_t block_number;
    unsigned stream_number;
    uint64_t in_off, out_off;
    struct worker solo;     /* decodes a block without sizes in the coordinator's thread */
};

static int stopped(struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_CANCELLED, "the pipe was stopped");
}

/* ---- output ---------------------------------------------------------------------------------- */

static bool is_first(struct xz *x, const struct worker *w)
{
    SW_LOCK_SCOPE(&x->lock);

    return w->number == x->first;
}

/* Wait until all older blocks are done. */
static int wait_turn(struct worker *w, struct sw_err *err)
{
    struct xz *x = w->x;
    SW_LOCK_SCOPE(&x->lock);

    while (w->number != x->first && !x->stopping && !sw_pipe_failed(x->p))
        pthread_cond_wait(&x->changed, &x->lock);
    return w->number == x->first ? 0 : stopped(err);
}

static void send(struct xz *x, struct sw_chunk *c)
{
    if (c->len == 0 || sw_queue_push(x->out, c, c->len) < 0)
        sw_chunk_unref(c);
}

static void send_kept(struct worker *w)
{
    for (unsigned i = 0; i < w->n_kept; i++)
        send(w->x, w->kept[i]);
    w->n_kept = 0;
}

/* Pass a full chunk on, or keep it until it is this block's turn. */
static int pass_on(struct worker *w, struct sw_err *err)
{
    struct xz *x = w->x;

    if (x->ordered && !is_first(x, w)) {
        if (w->n_kept < x->keep_max) {
            w->kept[w->n_kept++] = sw_steal(w->chunk);
            return 0;
        }
        if (wait_turn(w, err) < 0)
            return -1;
    }
    send_kept(w);
    send(x, sw_steal(w->chunk));
    return 0;
}

static int step(struct worker *w, struct sw_span *in, bool *ret_ended, struct sw_err *err)
{
    struct sw_pool *pool = w->x->pool;

    if (!w->chunk) {
        w->chunk = sw_chunk_get(pool, 0);
        if (!w->chunk)
            return stopped(err);
        w->chunk->off = w->out_off;
    }
    size_t cap = pool->chunk_bytes - (size_t)(w->chunk->off % pool->chunk_bytes);
    struct sw_decode_io io = {
        .in = *in, .out = w->chunk->buf, .out_cap = cap, .out_len = w->chunk->len
    };
    if (sw_xz_block_step(w->decoder, &io, ret_ended, err) < 0)
        return -1;
    w->out_off += io.out_len - w->chunk->len;
    w->chunk->len = io.out_len;
    *in = io.in;
    return io.out_len == cap || *ret_ended ? pass_on(w, err) : 0;
}

/* ---- workers --------------------------------------------------------------------------------- */

/* One block, from its slices. */
static int decode_block(struct worker *w, struct sw_err *err)
{
    bool ended = false;
    size_t header;
    void *item;

    if (sw_xz_block_start(w->decoder, &w->x->stream, (struct sw_span){ w->head, w->head_len },
                          &header, err) < 0)
        return -1;
    while (sw_queue_pop(&w->slices, &item) > 0) {
        struct slice *s = item;
        struct sw_span in = s ? s->bytes : (struct sw_span){ (const uint8_t *)"", 0 };
        int64_t start = sw_thread_cpu_ns();
        int rc = 0;

        if (!s)
            return ended ? 0 : sw_err_set(err, SW_ERR_BAD_DATA, "xz: a block is longer than its header says");
        while (rc == 0 && !ended && in.n)
            rc = step(w, &in, &ended, err);
        sw_chunk_unref(s->chunk);
        free(s);
        w->busy_ns += sw_thread_cpu_ns() - start;
        if (rc == 0 && in.n)
            rc = sw_err_set(err, SW_ERR_BAD_DATA, "xz: a block is shorter than its header says");
        if (rc < 0)
            return -1;
    }
    return stopped(err);
}

/* The block is done: who comes next may be waiting for its turn, and the coordinator for a worker. */
static int finish_block(struct worker *w, struct sw_err *err)
{
    struct xz *x = w->x;

    if (x->ordered && wait_turn(w, err) < 0)
        return -1;
    send_kept(w);
    SW_LOCK_SCOPE(&x->lock);
    x->done_ahead |= UINT64_C(1) << (w->number - x->first);
    while (x->done_ahead & 1) {
        x->done_ahead >>= 1;
        x->first++;
    }
    w->busy = false;
    pthread_cond_broadcast(&x->changed);
    return 0;
}

static bool wait_for_block(struct worker *w)
{
    struct xz *x = w->x;
    SW_LOCK_SCOPE(&x->lock);

    while (!w->busy && !x->stopping)
        pthread_cond_wait(&x->changed, &x->lock);
    return w->busy && !sw_pipe_failed(x->p);
}

static void *worker_thread(void *arg)
{
    struct worker *w = arg;
    struct sw_err err = { 0 };

    while (wait_for_block(w)) {
        if (decode_block(w, &err) < 0 || finish_block(w, &err) < 0) {
            sw_pipe_fail(w->x->p, &err);
            SW_LOCK_SCOPE(&w->x->lock);
            w->x->stopping = true;
            pthread_cond_broadcast(&w->x->changed);
            break;
        }
    }
    return NULL;
}

/* ---- the coordinator ------------------------------------------------------------------------- */

static struct worker *idle_worker(struct xz *x)
{
    for (unsigned i = 0; i < x->n_workers; i++) {
        if (!x->workers[i].busy)
            return &x->workers[i];
    }
    return NULL;
}

static int wait_idle(struct xz *x, bool all, struct worker **ret, struct sw_err *err)
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

static void note_boundary(struct xz *x)
{
    struct sw_boundaries *b = &x->p->boundaries;

    if (x->stream_number || x->p->n_wraps != 1)
        return;
    SW_LOCK_SCOPE(&b->lock);
    b->at[b->n % SW_BOUNDARIES].in = x->in_off - x->head_len;
    b->at[b->n % SW_BOUNDARIES].out = x->out_off;
    b->n++;
}

static int start_block(struct xz *x, const struct sw_xz_look *look, struct sw_err *err)
{
    struct worker *w;

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

    SW_LOCK_SCOPE(&x->lock);
    w->busy = true;
    pthread_cond_broadcast(&x->changed);
    return 0;
}

/* A block that does not say how long it is: decode it here, with nothing else under way. */
static int start_solo(struct xz *x, struct sw_err *err)
{
    struct worker *none;
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

static int feed_solo(struct xz *x, struct sw_span *in, struct sw_err *err)
{
    uint64_t unpadded, uncompressed;
    bool ended = false;

    while (in->n && !ended) {
        if (step(&x->solo, in, &ended, err) < 0)
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

static int feed_block(struct xz *x, struct sw_chunk *c, struct sw_span *in, struct sw_err *err)
{
    size_t n = (size_t)sw_min_u64(in->n, x->left);
    struct slice *s = n ? malloc(sizeof(*s)) : NULL;

    if (n && !s)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (n) {
        *s = (struct slice){ sw_chunk_ref(c), { in->p, n } };
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
static bool collect(struct xz *x, struct sw_span *in)
{
    size_t n = (size_t)sw_min_u64(in->n, x->head_need - x->head_len);

    memcpy(x->head + x->head_len, in->p, n);
    x->head_len += n;
    in->p += n;
    in->n -= n;
    return x->head_len == x->head_need;
}

static int begin_stream(struct xz *x, struct sw_err *err)
{
    if (sw_xz_stream_header((struct sw_span){ x->head, x->head_len }, &x->stream, err) < 0)
        return -1;
    x->state = LOOK;
    x->head_len = 0;
    x->head_need = 1;
    return x->tail ? sw_xz_tail_reset(x->tail, &x->stream, err)
                   : sw_xz_tail_open(&x->stream, &x->tail, err);
}

static int feed_tail(struct xz *x, struct sw_span *in, struct sw_err *err)
{
    enum sw_xz_tail_state state;
    struct worker *none;

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

static int look_at_head(struct xz *x, struct sw_err *err)
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

static int consume(struct xz *x, struct sw_chunk *c, struct sw_span *in, struct sw_err *err)
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

static int walk(struct xz *x, struct sw_err *err)
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

static int finish(struct xz *x, struct sw_err *err)
{
    struct worker *none;

    if (x->state != TAIL || !x->tail)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "xz: truncated after %llu bytes: the index at its end is missing",
                          (unsigned long long)x->in_off);
    if (wait_idle(x, true, &none, err) < 0)
        return -1;
    return sw_xz_tail_finish(x->tail, err);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int start_workers(struct xz *x, struct sw_err *err)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    /* Each worker has a chunk in hand, and the oldest block must still find one. */
    x->n_workers = cpus < 2 ? 2 : cpus > WORKERS_MAX ? WORKERS_MAX : (unsigned)cpus;
    if (x->n_workers > x->pool->n / 3)
        x->n_workers = x->pool->n < 6 ? 1 : x->pool->n / 3;
    unsigned room = x->pool->n > POOL_RESERVE ? x->pool->n - POOL_RESERVE : 0;
    x->keep_max = x->n_workers > 1 ? room / (x->n_workers - 1) : 0;
    if (x->keep_max > SW_COUNT(x->workers[0].kept))
        x->keep_max = SW_COUNT(x->workers[0].kept);

    for (unsigned i = 0; i < x->n_workers; i++) {
        struct worker *w = &x->workers[i];

        w->x = x;
        if (sw_xz_block_open(&x->p->limits, &w->decoder, err) < 0 ||
            sw_queue_init(&w->slices, SIZE_MAX, err) < 0)
            return -1;
        if (pthread_create(&w->thread, NULL, worker_thread, w) != 0)
            return sw_err_set(err, SW_ERR_INTERNAL, "cannot start a thread");
        w->started = true;
    }
    return 0;
}

static void clear_worker(struct worker *w)
{
    struct slice *s;

    /* The end mark is a NULL item: count, not contents, says when the queue is empty. */
    struct sw_queue_stats stats;
    for (sw_queue_stats(&w->slices, &stats); w->decoder && stats.count; stats.count--) {
        s = sw_queue_take(&w->slices);
        if (s)
            sw_chunk_unref(s->chunk);
        free(s);
    }
    for (unsigned i = 0; i < w->n_kept; i++)
        sw_chunk_unref(w->kept[i]);
    sw_chunk_unref(w->chunk);
    sw_xz_block_close(w->decoder);
}

static void stop_workers(struct xz *x)
{
    {
        SW_LOCK_SCOPE(&x->lock);
        x->stopping = true;
        pthread_cond_broadcast(&x->changed);
    }
    for (unsigned i = 0; i < x->n_workers; i++) {
        struct worker *w = &x->workers[i];

        if (w->started) {
            if (sw_pipe_failed(x->p))
                sw_queue_fail(&w->slices);
            pthread_join(w->thread, NULL);
            sw_pipe_add_time(x->p, SW_STAGE_DECODE, w->busy_ns);
        }
        if (w->decoder) {
            clear_worker(w);
            sw_queue_done(&w->slices);
        }
    }
    sw_chunk_unref(x->solo.chunk);
    sw_xz_block_close(x->solo.decoder);
}

static void open_xz(struct xz *x, struct sw_decode_stage *s)
{
    struct sw_pipe *p = s->pipe;

    x->p = p;
    x->pool = &p->decode_pools[s->index];
    x->in = &p->to_stage[s->index];
    x->out = &p->to_stage[s->index + 1];
    x->ordered = p->n_wraps > 1 || !p->reader->any_order;
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
    struct xz *x = calloc(1, sizeof(*x));

    if (!x) {
        sw_err_set(&err, SW_ERR_INTERNAL, "out of memory");
        sw_pipe_fail(p, &err);
        sw_queue_close(&p->to_stage[s->index + 1]);
        return NULL;
    }
    open_xz(x, s);
    if (start_workers(x, &err) < 0 || walk(x, &err) < 0 || finish(x, &err) < 0)
        sw_pipe_fail(p, &err);
    else if (p->n_wraps == 1)
        p->stream_size = x->out_off;
    stop_workers(x);
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
