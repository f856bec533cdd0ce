/* SPDX-License-Identifier: Apache-2.0 */
/* Up to where a stream has been dealt with without a gap, when its pieces finish in any order.
 * Any thread. */
#ifndef SW_TRANSFER_WATERMARK_H
#define SW_TRANSFER_WATERMARK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Pieces that finished ahead of the mark; a pipe has fewer chunks than this in all its pools. */
#define SW_WATERMARK_AHEAD 128

struct sw_watermark {
    pthread_mutex_t lock; /* guards everything below */
    uint64_t mark;
    struct sw_interval {
        uint64_t from, to;
    } ahead[SW_WATERMARK_AHEAD];
    unsigned n_ahead;
    bool frozen;
};

void sw_watermark_init(struct sw_watermark *w, uint64_t mark);

/* [from, to) is done. */
void sw_watermark_add(struct sw_watermark *w, uint64_t from, uint64_t to);

uint64_t sw_watermark_get(struct sw_watermark *w);

/* The pipe has failed: what is released from now on was dropped, not done. */
void sw_watermark_freeze(struct sw_watermark *w);

#endif
