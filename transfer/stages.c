/* SPDX-License-Identifier: Apache-2.0 */
/* How busy each stage of a pipe was, told once everything has ended. */
#include "transfer/pipe_run.h"

static const char *const stage_names[SW_STAGE_COUNT_] = {
    [SW_STAGE_FETCH] = "fetch",     [SW_STAGE_DIGEST] = "digest",   [SW_STAGE_DECODE] = "decode",
    [SW_STAGE_DECODE2] = "decode2", [SW_STAGE_DECODE3] = "decode3", [SW_STAGE_MAP] = "map",
    [SW_STAGE_UNPACK] = "unpack",   [SW_STAGE_WRITE] = "write",
};

/* Time that the stage's threads waited for input and for room, where the pipe knows. */
static void add_waits(struct sw_pipe *p, enum sw_stage stage, struct sw_stage_time *t)
{
    struct sw_queue *in[SW_STAGE_COUNT_] = {
        [SW_STAGE_DIGEST] = &p->to_digest,
        [SW_STAGE_DECODE] = &p->to_stage[0],
        [SW_STAGE_DECODE2] = &p->to_stage[1],
        [SW_STAGE_DECODE3] = &p->to_stage[2],
        [SW_STAGE_MAP] = &p->to_stage[p->n_wraps],
        [SW_STAGE_UNPACK] = &p->to_stage[p->n_wraps],
        [SW_STAGE_WRITE] = &p->jobs,
    };
    const struct sw_pool *room[SW_STAGE_COUNT_] = {
        [SW_STAGE_FETCH] = &p->fetch_pool,
        [SW_STAGE_DECODE] = &p->decode_pools[0],
        [SW_STAGE_DECODE2] = &p->decode_pools[1],
        [SW_STAGE_DECODE3] = &p->decode_pools[2],
    };
    struct sw_queue_stats stats = { 0 };

    if (in[stage])
        sw_queue_stats(in[stage], &stats);
    t->starved_ns = stats.starved_ns;
    t->blocked_ns = room[stage]             ? room[stage]->waited_ns
                    : stage == SW_STAGE_MAP ? p->job_waited_ns
                                            : 0;
}

/* The stage whose threads were busy the largest part of the time is the one to make faster. */
void sw_stages_report(struct sw_pipe *p, struct sw_import_result *r)
{
    double most = -1;

    for (int i = 0; i < SW_STAGE_COUNT_; i++) {
        struct sw_stage_time t = p->times[i];

        if (!t.threads)
            continue;
        t.name = stage_names[i];
        add_waits(p, (enum sw_stage)i, &t);
        if ((double)t.busy_ns / t.threads > most) {
            most = (double)t.busy_ns / t.threads;
            r->bottleneck = t.name;
        }
        r->stages[r->n_stages++] = t;
    }
}
