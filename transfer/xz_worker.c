/* SPDX-License-Identifier: Apache-2.0 */
/* The workers of the parallel xz stage: each decodes one block at a time. */
#include <stdlib.h>

#include "common/clock.h"
#include "transfer/xz_impl.h"

static int stopped(struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_CANCELLED, "the pipe was stopped");
}

/* ---- output ---------------------------------------------------------------------------------- */

static bool is_first(struct sw_xz_crew *x, const struct sw_xz_worker *w)
{
    SW_LOCK_SCOPE(&x->lock);

    return w->number == x->first;
}

/* Wait until all older blocks are done. */
static int wait_turn(struct sw_xz_worker *w, struct sw_err *err)
{
    struct sw_xz_crew *x = w->x;
    SW_LOCK_SCOPE(&x->lock);

    while (w->number != x->first && !x->stopping && !sw_pipe_failed(x->p))
        pthread_cond_wait(&x->changed, &x->lock);
    return w->number == x->first ? 0 : stopped(err);
}

static void send(struct sw_xz_crew *x, struct sw_chunk *c)
{
    if (c->len == 0 || sw_queue_push(x->out, c, c->len) < 0)
        sw_chunk_unref(c);
}

static void send_kept(struct sw_xz_worker *w)
{
    for (unsigned i = 0; i < w->n_kept; i++)
        send(w->x, w->kept[i]);
    w->n_kept = 0;
}

/* Pass a full chunk on, or keep it until it is this block's turn. */
static int pass_on(struct sw_xz_worker *w, struct sw_err *err)
{
    struct sw_xz_crew *x = w->x;

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

int sw_xz_worker_step(struct sw_xz_worker *w, struct sw_span *in, bool *ret_ended,
                      struct sw_err *err)
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
static int decode_block(struct sw_xz_worker *w, struct sw_err *err)
{
    bool ended = false;
    size_t header;
    void *item;

    if (sw_xz_block_start(w->decoder, &w->x->stream, (struct sw_span){ w->head, w->head_len },
                          &header, err) < 0)
        return -1;
    while (sw_queue_pop(&w->slices, &item) > 0) {
        struct sw_xz_slice *s = item;
        struct sw_span in = s ? s->bytes : (struct sw_span){ (const uint8_t *)"", 0 };
        int64_t start = sw_thread_cpu_ns();
        int rc = 0;

        if (!s)
            return ended ? 0
                         : sw_err_set(err, SW_ERR_BAD_DATA,
                                      "xz: a block is longer than its header says");
        while (rc == 0 && !ended && in.n)
            rc = sw_xz_worker_step(w, &in, &ended, err);
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
static int finish_block(struct sw_xz_worker *w, struct sw_err *err)
{
    struct sw_xz_crew *x = w->x;

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

static bool wait_for_block(struct sw_xz_worker *w)
{
    struct sw_xz_crew *x = w->x;
    SW_LOCK_SCOPE(&x->lock);

    while (!w->busy && !x->stopping)
        pthread_cond_wait(&x->changed, &x->lock);
    return w->busy && !sw_pipe_failed(x->p);
}

static void *worker_thread(void *arg)
{
    struct sw_xz_worker *w = arg;
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

int sw_xz_workers_start(struct sw_xz_crew *x, struct sw_err *err)
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
        struct sw_xz_worker *w = &x->workers[i];

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

static void clear_worker(struct sw_xz_worker *w)
{
    struct sw_xz_slice *s;

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

void sw_xz_workers_stop(struct sw_xz_crew *x)
{
    {
        SW_LOCK_SCOPE(&x->lock);
        x->stopping = true;
        pthread_cond_broadcast(&x->changed);
    }
    for (unsigned i = 0; i < x->n_workers; i++) {
        struct sw_xz_worker *w = &x->workers[i];

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
