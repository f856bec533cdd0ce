/* SPDX-License-Identifier: Apache-2.0 */
/* The checkpoint thread: keeps the journal a few megabytes behind the writers, makes what is written
 * durable every few seconds without stopping them, and publishes progress.
 *
 * Two records: one after every CHECKPOINT_STEP that holds as long as the kernel runs (a killed
 * process loses nothing that it had handed to the kernel), and one after every flush that also
 * survives a power cut. */
#include <errno.h>

#include "common/clock.h"
#include "transfer/unpack.h"

#define CHECKPOINT_STEP (8 * SW_MIB)
#define DURABLE_EVERY (5 * SW_NS_PER_SEC)
#define TICK (100 * SW_NS_PER_MS)

/* The newest boundary of the wrapper whose output is all placed. */
static bool find_boundary(struct sw_pipe *p, uint64_t placed, struct sw_journal *j)
{
    struct sw_boundaries *b = &p->boundaries;
    SW_LOCK_SCOPE(&b->lock);

    for (unsigned back = 1; back <= SW_BOUNDARIES && back <= b->n; back++) {
        unsigned i = (b->n - back) % SW_BOUNDARIES;

        if (b->at[i].out <= placed) {
            j->decode_in = b->at[i].in;
            j->decode_out = b->at[i].out;
            return true;
        }
    }
    return false;
}

/* From where the reader needs the stream again, with everything before `placed` in the target. */
static bool find_take_up(struct sw_pipe *p, uint64_t placed, uint64_t *ret_from)
{
    struct sw_take_ups *t = &p->take_ups;
    SW_LOCK_SCOPE(&t->lock);

    for (unsigned back = 1; back <= SW_TAKE_UPS && back <= t->n; back++) {
        unsigned i = (t->n - back) % SW_TAKE_UPS;

        if (t->at[i].pos <= placed) {
            *ret_from = t->at[i].from;
            return true;
        }
    }
    return false;
}

/* Fill in where a restart could begin. False: nowhere better than at the start. */
static bool describe_position(struct sw_pipe *p, struct sw_journal *j)
{
    uint64_t placed = sw_watermark_get(&p->placed);

    j->watermark = placed;
    if (!p->n_wraps)
        return sw_digests_snapshot(&p->digests, placed, j);
    if (p->tables && !find_take_up(p, placed, &placed))
        return false;
    if (!find_boundary(p, placed, j))
        return false;
    j->watermark = p->tables ? placed : j->decode_out;
    return sw_digests_snapshot(&p->digests, j->decode_in, j);
}

/* What the record relies on beside the disk. */
static int sync_side_files(struct sw_pipe *p, struct sw_err *err)
{
    if (!p->tables)
        return 0;
    return sw_table_log_sync(p->tables, err) < 0 ? -1 : sw_park_sync(p->park, err);
}

static void save(struct sw_pipe *p, bool durable)
{
    struct sw_journal j = p->journal;
    struct sw_err err = { 0 };

    if (!describe_position(p, &j) || sw_pipe_failed(p))
        return;
    if ((durable && sync_side_files(p, &err) < 0) ||
        sw_target_checkpoint(p->target, &j, durable, &err) < 0)
        sw_pipe_fail(p, &err);
}

static void publish_progress(struct sw_pipe *p)
{
    struct sw_progress *g = p->o->progress;

    if (!g)
        return;
    atomic_store(&g->source_done, p->n_wraps ? atomic_load(&p->consumed)
                                             : p->start_at + atomic_load(&p->done_bytes));
    atomic_store(&g->fetched, __atomic_load_n(&p->source->fetched, __ATOMIC_RELAXED));
    atomic_store(&g->guest_size, atomic_load(&p->progress_size));
    if (p->target)
        atomic_store(&g->written,
                     __atomic_load_n(&sw_target_sink(p->target)->written, __ATOMIC_RELAXED));
    else if (p->unpack)
        atomic_store(&g->written, atomic_load(&p->unpack->written));
}

/* Called under the pool's lock of nobody: wake the thread when the mark has moved far enough. */
void sw_checkpoint_note(struct sw_pipe *p, uint64_t mark)
{
    uint64_t next = atomic_load_explicit(&p->ck_next, memory_order_relaxed);

    if (mark < next)
        return;
    SW_LOCK_SCOPE(&p->ck_lock);
    pthread_cond_signal(&p->ck_wake);
}

/* Wait for a tick, a call or the end. True: go on. */
static bool wait_tick(struct sw_pipe *p)
{
    struct timespec until;
    int64_t at = sw_now_ns() + TICK;
    SW_LOCK_SCOPE(&p->ck_lock);

    until.tv_sec = at / SW_NS_PER_SEC;
    until.tv_nsec = at % SW_NS_PER_SEC;
    if (!p->ck_stop)
        (void)pthread_cond_timedwait(&p->ck_wake, &p->ck_lock, &until);
    return !p->ck_stop;
}

void *sw_checkpoint_thread(void *arg)
{
    struct sw_pipe *p = arg;
    int64_t last_durable = sw_now_ns();

    while (wait_tick(p)) {
        uint64_t mark = sw_watermark_get(&p->placed);

        if (sw_cancelled(p->o->cancel) && !sw_pipe_failed(p)) {
            struct sw_err err = { 0 };

            sw_err_set(&err, SW_ERR_CANCELLED, "cancelled");
            sw_pipe_fail(p, &err);
        }
        publish_progress(p);
        if (!p->resumable || sw_pipe_failed(p))
            continue;
        if (mark >= atomic_load(&p->ck_next)) {
            save(p, false);
            atomic_store(&p->ck_next, mark + CHECKPOINT_STEP);
        }
        if (sw_now_ns() - last_durable >= DURABLE_EVERY) {
            save(p, true);
            last_durable = sw_now_ns();
        }
    }
    publish_progress(p);
    return NULL;
}
