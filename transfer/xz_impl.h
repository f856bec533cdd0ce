/* SPDX-License-Identifier: Apache-2.0 */
/* What the coordinator (decode_xz.c) and the workers (xz_worker.c) of the parallel xz stage share.
 * Internal to transfer/. */
#ifndef SW_TRANSFER_XZ_IMPL_H
#define SW_TRANSFER_XZ_IMPL_H

#include "formats/xz_blocks.h"
#include "transfer/decode_xz.h"

#define WORKERS_MAX 8
/* Chunks that the map stage and the writers may hold while the oldest block still gets one. */
#define POOL_RESERVE 8

struct sw_xz_slice {
    struct sw_chunk *chunk;
    struct sw_span bytes;
};

struct sw_xz_crew;

struct sw_xz_worker {
    struct sw_xz_crew *x;
    pthread_t thread;
    bool started;
    struct sw_xz_block_decoder *decoder;
    struct sw_queue slices; /* of the block at hand; a NULL slice ends it       */

    bool busy;       /* has a block; guarded by x->lock                  */
    uint64_t number; /* of the block, counted through the file           */
    uint64_t out_off, out_len;
    uint8_t head[SW_XZ_BLOCK_HEADER_MAX];
    size_t head_len;

    struct sw_chunk *kept[64]; /* finished output that must wait for its turn */
    unsigned n_kept;
    struct sw_chunk *chunk; /* being filled */
    int64_t busy_ns;
};

enum coordinator_state { STREAM_HEADER, LOOK, BLOCK, SOLO, TAIL };

struct sw_xz_crew {
    struct sw_pipe *p;
    struct sw_pool *pool;
    struct sw_queue *in, *out;
    bool ordered;
    unsigned keep_max; /* chunks that a worker may keep */

    pthread_mutex_t lock; /* guards workers' busy, todo, done_blocks, stopping */
    pthread_cond_t changed;
    bool stopping;
    uint64_t first;      /* number of the oldest block not finished */
    uint64_t done_ahead; /* bit i: block first + i is finished   */
    struct sw_xz_worker workers[WORKERS_MAX];
    unsigned n_workers;

    enum coordinator_state state;
    struct sw_xz_stream stream;
    struct sw_xz_tail *tail;
    uint8_t head[SW_XZ_BLOCK_HEADER_MAX];
    size_t head_len, head_need;
    struct sw_xz_worker *feeding;
    uint64_t left; /* bytes of the block still to feed   */
    uint64_t block_number;
    unsigned stream_number;
    uint64_t in_off, out_off;
    struct sw_xz_worker solo; /* decodes a block without sizes in the coordinator's thread */
};

/* Decode what `in` holds, passing on every chunk that is full; stops at the end of the block. */
SW_MUST_CHECK
int sw_xz_worker_step(struct sw_xz_worker *w, struct sw_span *in, bool *ret_ended,
                      struct sw_err *err);

/* As many workers as there are processors and memory for. */
SW_MUST_CHECK
int sw_xz_workers_start(struct sw_xz_crew *x, struct sw_err *err);

/* Ends and joins them; drops what they still hold. */
void sw_xz_workers_stop(struct sw_xz_crew *x);

#endif
