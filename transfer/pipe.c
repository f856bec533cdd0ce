/* SPDX-License-Identifier: Apache-2.0 */
/* Build the pipe, run its threads, take it down. */
#include "transfer/pipe_run.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "transfer/decode_xz.h"
#include "transfer/unpack.h"

/* What is read at a time: little enough to be in a cache still when it is looked at (1 MiB reads take
 * 0.7 to 0.9 of the CPU time of 4 MiB ones), but more from far away, where each read costs a round
 * trip. */
#define FETCH_CHUNK SW_MIB
#define FETCH_CHUNK_FAR (4 * SW_MIB)
#define FETCH_CHUNKS_MIN SW_CHUNKS_MIN
#define FETCH_LEAST 3
#define DECODE_CHUNK SW_MIB
/* Every chunk of a pool may be done before the one that the watermark waits for. */
#define CHUNKS_MAX 96
_Static_assert(CHUNKS_MAX < SW_WATERMARK_AHEAD, "the watermark has room for every chunk");
#define JOBS 64

void sw_pipe_fail(struct sw_pipe *p, const struct sw_err *err)
{
    {
        SW_LOCK_SCOPE(&p->err_lock);
        if (!atomic_load(&p->failed))
            p->err = *err;
        /* Before anything is dropped: what is released from now on was not placed. */
        sw_watermark_freeze(&p->placed);
        atomic_store(&p->failed, true);
    }
    sw_pool_fail(&p->fetch_pool);
    for (unsigned i = 0; i < SW_WRAPS_MAX; i++)
        sw_pool_fail(&p->decode_pools[i]);
    sw_queue_fail(&p->to_digest);
    for (unsigned i = 0; i <= SW_WRAPS_MAX; i++)
        sw_queue_fail(&p->to_stage[i]);
    sw_queue_fail(&p->jobs);
    if (p->o->cancel)
        sw_cancel_set(p->o->cancel);

    SW_LOCK_SCOPE(&p->job_lock);
    pthread_cond_broadcast(&p->job_more);
}

int sw_pipe_check_expansion(struct sw_pipe *p, uint64_t out, struct sw_err *err)
{
    const struct sw_limits *l = &p->limits;
    uint64_t in = atomic_load(&p->unwrapped);

    if (out <= l->expansion_floor || out / l->expansion <= in)
        return 0;
    return sw_err_set(err, SW_ERR_UNSUPPORTED,
                      "%llu bytes of the source became more than %llu, over %llu times as much: "
                      "unpack it first if you trust it",
                      (unsigned long long)in, (unsigned long long)l->expansion_floor,
                      (unsigned long long)l->expansion);
}

void sw_pipe_add_time(struct sw_pipe *p, enum sw_stage stage, int64_t busy_ns)
{
    SW_LOCK_SCOPE(&p->time_lock);

    p->times[stage].threads++;
    p->times[stage].busy_ns += busy_ns;
}

static void placed(void *ctx, const struct sw_chunk *c)
{
    struct sw_pipe *p = ctx;

    /* The mark passed parked bytes when they were parked; heard of again in any order, and in pieces
     * of any number, they would only fill its memory of what is ahead. */
    if (c->again)
        return;
    if (!sw_pipe_failed(p))
        atomic_fetch_add(&p->done_bytes, c->len);
    sw_watermark_add(&p->placed, c->off, sw_chunk_end(c));
    if (p->resumable)
        sw_checkpoint_note(p, sw_watermark_get(&p->placed));
}

static unsigned count_chunks(uint64_t bytes, uint64_t chunk, unsigned least)
{
    uint64_t n = bytes / chunk;

    return n < least ? least : n > CHUNKS_MAX ? CHUNKS_MAX : (unsigned)n;
}

/* One budget, split once: a wrapped stream needs room on both sides of its decoders, a plain one
 * all of it for what is on its way. Writers and table windows take the rest. */
static int make_pools(struct sw_pipe *p, struct sw_err *err)
{
    uint64_t budget = sw_memory_budget(p->o->memory);
    uint64_t fixed = SW_TARGET_WRITERS * SW_CLUSTER_MAX;
    uint64_t room = budget > fixed + 8 * SW_MIB ? budget - fixed : 8 * SW_MIB;
    uint64_t fetch = p->n_wraps ? room / 3 : room * 5 / 8;
    uint64_t decode = p->n_wraps ? room / 3 / p->n_wraps : 0;
    unsigned n_decode = count_chunks(decode, DECODE_CHUNK, SW_CHUNKS_MIN);
    size_t chunk = p->far && fetch / FETCH_CHUNK_FAR >= FETCH_CHUNKS_MIN ? FETCH_CHUNK_FAR
                                                                         : FETCH_CHUNK;

    if (sw_pool_init(&p->fetch_pool, count_chunks(fetch, chunk, FETCH_LEAST), chunk, err) < 0)
        return -1;
    for (unsigned i = 0; i < p->n_wraps; i++) {
        if (sw_pool_init(&p->decode_pools[i], n_decode, DECODE_CHUNK, err) < 0)
            return -1;
    }

    struct sw_pool *last = p->n_wraps ? &p->decode_pools[p->n_wraps - 1] : &p->fetch_pool;
    last->released = placed;
    last->released_ctx = p;
    return 0;
}

static int make_jobs(struct sw_pipe *p, struct sw_err *err)
{
    p->job_slab = calloc(JOBS, sizeof(*p->job_slab));
    if (!p->job_slab)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    for (unsigned i = 0; i < JOBS; i++) {
        p->job_slab[i].next_free = p->free_jobs;
        p->free_jobs = &p->job_slab[i];
    }
    return 0;
}

static void init_locks(struct sw_pipe *p)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&p->job_lock, NULL);
    pthread_cond_init(&p->job_more, NULL);
    pthread_mutex_init(&p->err_lock, NULL);
    pthread_mutex_init(&p->time_lock, NULL);
    pthread_mutex_init(&p->ck_lock, NULL);
    pthread_mutex_init(&p->boundaries.lock, NULL);
    pthread_mutex_init(&p->take_ups.lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->ck_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Unless a resume has opened them. */
static int open_side_files(struct sw_pipe *p, struct sw_err *err)
{
    uint64_t memory = sw_memory_budget(p->o->memory) / 4;

    if (sw_pipe_keeps_tables(p) && !p->tables &&
        sw_table_log_open(sw_target_tables_path(p->target), p->limits.table_memory, &p->tables,
                          err) < 0)
        return -1;
    if (p->park)
        return 0;
    if (p->target && !sw_target_is_file(p->target))
        return sw_park_open_device(p->target, p->reader, memory, &p->park, err);
    return sw_park_open(p->target ? sw_target_park_path(p->target) : NULL, memory, &p->park, err);
}

bool sw_pipe_keeps_tables(const struct sw_pipe *p)
{
    return p->resumable && p->n_wraps && !p->reader->any_order;
}

int sw_pipe_open(struct sw_pipe *p, struct sw_err *err)
{
    init_locks(p);
    sw_watermark_init(&p->placed, p->n_wraps ? p->decode_out : p->start_at);
    if (sw_queue_init(&p->to_digest, SIZE_MAX, err) < 0 ||
        sw_queue_init(&p->jobs, SIZE_MAX, err) < 0)
        return -1;
    for (unsigned i = 0; i <= SW_WRAPS_MAX; i++) {
        if (sw_queue_init(&p->to_stage[i], SIZE_MAX, err) < 0)
            return -1;
    }
    if (make_pools(p, err) < 0 || make_jobs(p, err) < 0)
        return -1;
    return open_side_files(p, err);
}

static void drain_chunks(struct sw_queue *q)
{
    struct sw_chunk *c;

    while ((c = sw_queue_take(q)))
        sw_chunk_unref(c);
}

void sw_pipe_close(struct sw_pipe *p)
{
    struct sw_job *job;

    drain_chunks(&p->to_digest);
    for (unsigned i = 0; i <= SW_WRAPS_MAX; i++)
        drain_chunks(&p->to_stage[i]);
    while ((job = sw_queue_take(&p->jobs)))
        sw_job_put(p, job);
    sw_queue_done(&p->to_digest);
    sw_queue_done(&p->jobs);
    for (unsigned i = 0; i <= SW_WRAPS_MAX; i++)
        sw_queue_done(&p->to_stage[i]);
    sw_pool_done(&p->fetch_pool);
    for (unsigned i = 0; i < SW_WRAPS_MAX; i++)
        sw_pool_done(&p->decode_pools[i]);
    sw_park_close(sw_steal(p->park));
    sw_table_log_close(sw_steal(p->tables));
    sw_xz_tail_close(p->xz_tail);
    free(p->job_slab);
    pthread_mutex_destroy(&p->job_lock);
    pthread_cond_destroy(&p->job_more);
    pthread_mutex_destroy(&p->err_lock);
    pthread_mutex_destroy(&p->time_lock);
    pthread_mutex_destroy(&p->ck_lock);
    pthread_mutex_destroy(&p->boundaries.lock);
    pthread_mutex_destroy(&p->take_ups.lock);
    pthread_cond_destroy(&p->ck_wake);
}

/* ---- threads -------------------------------------------------------------------------------- */

#define THREADS_MAX (SW_LANES_MAX + SW_WRAPS_MAX + SW_TARGET_WRITERS + 4)

struct crew {
    struct sw_pipe *p;
    pthread_t threads[THREADS_MAX];
    unsigned n;
    struct sw_fetch fetch;
    struct sw_fetch_lane lanes[SW_LANES_MAX];
    struct sw_decode_stage stages[SW_WRAPS_MAX];
    struct sw_write_lane writers[SW_TARGET_WRITERS];
};

static int start(struct crew *c, void *(*body)(void *), void *arg, struct sw_err *err)
{
    int rc = pthread_create(&c->threads[c->n], NULL, body, arg);

    if (rc)
        return sw_err_sys(err, rc, "start a thread");
    c->n++;
    return 0;
}

static int start_decoders(struct crew *c, struct sw_err *err)
{
    struct sw_pipe *p = c->p;

    for (unsigned i = 0; i < p->n_wraps; i++) {
        c->stages[i] = (struct sw_decode_stage){ .pipe = p, .index = i };
        if (start(c, i == 0 && p->xz_parallel ? sw_decode_xz_thread : sw_decode_thread,
                  &c->stages[i], err) < 0)
            return -1;
    }
    return 0;
}

/* What takes the innermost stream. */
static int start_sinks(struct crew *c, struct sw_err *err)
{
    struct sw_pipe *p = c->p;

    if (p->unpack)
        return start(c, sw_unpack_thread, p, err);
    for (unsigned i = 0; i < SW_TARGET_WRITERS; i++) {
        c->writers[i] = (struct sw_write_lane){ .pipe = p, .lane = i };
        if (start(c, sw_write_thread, &c->writers[i], err) < 0)
            return -1;
    }
    return start(c, sw_map_thread, p, err);
}

static int start_all(struct crew *c, unsigned lanes, struct sw_err *err)
{
    struct sw_pipe *p = c->p;

    if (start_sinks(c, err) < 0 || start_decoders(c, err) < 0)
        return -1;
    if (p->hash_all && start(c, sw_digest_thread, p, err) < 0)
        return -1;
    for (unsigned i = 0; i < lanes; i++) {
        c->lanes[i] = (struct sw_fetch_lane){ .fetch = &c->fetch, .lane = i };
        if (start(c, sw_fetch_thread, &c->lanes[i], err) < 0)
            return -1;
    }
    return 0;
}

static void stop_checkpoints(struct sw_pipe *p, pthread_t thread)
{
    {
        SW_LOCK_SCOPE(&p->ck_lock);
        p->ck_stop = true;
        pthread_cond_signal(&p->ck_wake);
    }
    pthread_join(thread, NULL);
}

int sw_pipe_run(struct sw_pipe *p, struct sw_err *err)
{
    struct crew c = { .p = p };
    unsigned lanes = p->source->seekable && p->source->lanes ? p->source->lanes : 1;
    struct sw_err failure = { 0 };
    pthread_t checkpoints;

    if (lanes > SW_LANES_MAX)
        lanes = SW_LANES_MAX;
    if (sw_fetch_init(&c.fetch, p, lanes, err) < 0)
        return -1;
    int rc = pthread_create(&checkpoints, NULL, sw_checkpoint_thread, p);
    if (rc) {
        sw_fetch_done(&c.fetch);
        return sw_err_sys(err, rc, "start a thread");
    }
    if (start_all(&c, lanes, &failure) < 0)
        sw_pipe_fail(p, &failure);
    for (unsigned i = 0; i < c.n; i++)
        pthread_join(c.threads[i], NULL);
    stop_checkpoints(p, checkpoints);
    sw_fetch_done(&c.fetch);
    if (!atomic_load(&p->failed))
        return 0;
    *err = p->err;
    return -1;
}
