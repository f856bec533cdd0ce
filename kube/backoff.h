/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before trying again: doubling, bounded, and never the same for two clients that a
 * server has thrown off at the same moment. Pure apart from the seed; one thread at a time. */
#ifndef SW_KUBE_BACKOFF_H
#define SW_KUBE_BACKOFF_H

#include <stdint.h>

struct sw_kube_dice {
    uint64_t state;
};

/* Seeded by the kernel, or by the clock where that has no entropy yet. */
void sw_kube_dice_init(struct sw_kube_dice *dice);

/* Evenly from [min, max]; min <= max. */
uint64_t sw_kube_dice_roll(struct sw_kube_dice *dice, uint64_t min, uint64_t max);

/* ns until attempt n (1: the second one) : first << (n - 1), at most max, give or take 20 %. */
int64_t sw_kube_backoff(struct sw_kube_dice *dice, int64_t first_ns, int64_t max_ns, unsigned n);

#endif
