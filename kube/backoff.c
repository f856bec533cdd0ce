/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/backoff.h"

#include <assert.h>
#include <sys/random.h>

#include "common/clock.h"

void sw_kube_dice_init(struct sw_kube_dice *dice)
{
    if (getrandom(&dice->state, sizeof(dice->state), GRND_NONBLOCK) != (ssize_t)sizeof(dice->state))
        dice->state = (uint64_t)sw_now_ns();
    dice->state |= 1; /* xorshift never leaves 0 */
}

uint64_t sw_kube_dice_roll(struct sw_kube_dice *dice, uint64_t min, uint64_t max)
{
    uint64_t x = dice->state;

    assert(min <= max && max - min < UINT64_MAX);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    dice->state = x;
    return min + x % (max - min + 1);
}

int64_t sw_kube_backoff(struct sw_kube_dice *dice, int64_t first_ns, int64_t max_ns, unsigned n)
{
    int64_t wait = first_ns;

    while (--n && wait < max_ns)
        wait *= 2;
    wait = wait < max_ns ? wait : max_ns;
    return (int64_t)sw_kube_dice_roll(dice, (uint64_t)(wait - wait / 5),
                                      (uint64_t)(wait + wait / 5));
}
