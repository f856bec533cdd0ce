/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/watermark.h"

#include "common/macros.h"

void sw_watermark_init(struct sw_watermark *w, uint64_t mark)
{
    *w = (struct sw_watermark){ .mark = mark };
    pthread_mutex_init(&w->lock, NULL);
}

/* Swallow the pieces that the mark has reached. */
static void advance(struct sw_watermark *w)
{
    for (unsigned i = 0; i < w->n_ahead;) {
        if (w->ahead[i].from > w->mark) {
            i++;
            continue;
        }
        if (w->ahead[i].to > w->mark)
            w->mark = w->ahead[i].to;
        w->ahead[i] = w->ahead[--w->n_ahead];
        i = 0;
    }
}

void sw_watermark_add(struct sw_watermark *w, uint64_t from, uint64_t to)
{
    SW_LOCK_SCOPE(&w->lock);

    if (w->frozen || to <= w->mark)
        return;
    if (from <= w->mark) {
        w->mark = to;
        advance(w);
        return;
    }
    for (unsigned i = 0; i < w->n_ahead; i++) {
        if (w->ahead[i].to == from) {
            w->ahead[i].to = to;
            return;
        }
        if (w->ahead[i].from == to) {
            w->ahead[i].from = from;
            return;
        }
    }
    /* No pool has so many chunks. A piece that is forgotten holds the mark back, no more. */
    if (w->n_ahead == SW_WATERMARK_AHEAD)
        return;
    w->ahead[w->n_ahead++] = (struct sw_interval){ from, to };
}

uint64_t sw_watermark_get(struct sw_watermark *w)
{
    SW_LOCK_SCOPE(&w->lock);

    return w->mark;
}

void sw_watermark_freeze(struct sw_watermark *w)
{
    SW_LOCK_SCOPE(&w->lock);

    w->frozen = true;
}
