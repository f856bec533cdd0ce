/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "transfer/watermark.h"

#define PIECES 100

/* Pieces that finish in any order: the mark is always the first gap. */
static void follows_any_order(void **state)
{
    (void)state;
    uint32_t lcg = 5;

    for (int round = 0; round < 200; round++) {
        struct sw_watermark w;
        unsigned order[PIECES], done[PIECES + 1] = { 0 };

        sw_watermark_init(&w, 0);
        for (unsigned i = 0; i < PIECES; i++)
            order[i] = i;
        for (unsigned i = PIECES - 1; i > 0; i--) {
            unsigned k, t = order[i];

            lcg = lcg * 1664525 + 1013904223;
            k = (lcg >> 8) % (i + 1);

            order[i] = order[k];
            order[k] = t;
        }
        for (unsigned i = 0; i < PIECES; i++) {
            unsigned gap = 0;

            sw_watermark_add(&w, order[i] * 10, order[i] * 10 + 10);
            done[order[i]] = 1;
            while (done[gap])
                gap++;
            assert_int_equal(sw_watermark_get(&w), gap * 10);
        }
    }
}

static void ignores_what_is_behind_and_overlaps(void **state)
{
    struct sw_watermark w;

    (void)state;
    sw_watermark_init(&w, 100);
    sw_watermark_add(&w, 0, 50);
    assert_int_equal(sw_watermark_get(&w), 100);
    sw_watermark_add(&w, 50, 120);
    assert_int_equal(sw_watermark_get(&w), 120);
    sw_watermark_add(&w, 130, 140);
    sw_watermark_add(&w, 110, 135);
    assert_int_equal(sw_watermark_get(&w), 140);
}

static void stands_still_once_frozen(void **state)
{
    struct sw_watermark w;

    (void)state;
    sw_watermark_init(&w, 0);
    sw_watermark_freeze(&w);
    sw_watermark_add(&w, 0, 10);
    assert_int_equal(sw_watermark_get(&w), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_any_order),
        cmocka_unit_test(ignores_what_is_behind_and_overlaps),
        cmocka_unit_test(stands_still_once_frozen),
    };

    return cmocka_run_group_tests_name("transfer/watermark", tests, NULL, NULL);
}
