/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

static void loads_both_byte_orders_unaligned(void **state)
{
    static const uint8_t b[] = { 0xee, 0x81, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x88 };

    assert_int_equal(sw_be16(b + 1), 0x8102);
    assert_int_equal(sw_le16(b + 1), 0x0281);
    assert_int_equal(sw_be32(b + 1), 0x81020304);
    assert_int_equal(sw_le32(b + 1), 0x04030281);
    assert_true(sw_be64(b + 1) == UINT64_C(0x8102030405060788));
    assert_true(sw_le64(b + 1) == UINT64_C(0x8807060504030281));
}

static void stores_what_it_loads(void **state)
{
    uint8_t b[9] = { 0 };

    sw_put_le32(b + 1, 0xfedcba98);
    assert_int_equal(sw_le32(b + 1), 0xfedcba98);
    assert_int_equal(b[5], 0);
    sw_put_le64(b + 1, UINT64_C(0xfedcba9876543210));
    assert_true(sw_le64(b + 1) == UINT64_C(0xfedcba9876543210));
    assert_int_equal(b[1], 0x10);
}

static void aligns_to_powers_of_two(void **state)
{
    assert_int_equal(sw_align_down(4097, 4096), 4096);
    assert_int_equal(sw_align_up(4097, 4096), 8192);
    assert_int_equal(sw_align_up(4096, 4096), 4096);
    assert_int_equal(sw_align_up(0, 512), 0);
    assert_true(sw_is_pow2(1) && sw_is_pow2(UINT64_C(1) << 63));
    assert_false(sw_is_pow2(0) || sw_is_pow2(3));
}

static void notices_overflow(void **state)
{
    uint64_t v = 0;

    assert_false(sw_add_overflows(UINT64_MAX, 0, &v));
    assert_true(v == UINT64_MAX);
    assert_true(sw_add_overflows(UINT64_MAX, 1, &v));
    assert_true(sw_mul_overflows(UINT64_C(1) << 32, UINT64_C(1) << 32, &v));
    assert_false(sw_mul_overflows(UINT64_C(1) << 32, 7, &v));
}

/* Every length around the 16-byte step, with the one bit that is not zero at every place. The block
 * is as long as the range, so that ASan sees any byte read past it. */
static void finds_one_bit_anywhere(void **state)
{
    for (size_t n = 0; n <= 70; n++) {
        uint8_t *p = calloc(n ? n : 1, 1);

        assert_non_null(p);
        assert_true(sw_is_zero(p, n));
        for (size_t i = 0; i < n; i++) {
            p[i] = 0x80;
            if (sw_is_zero(p, n))
                fail_msg("missed byte %zu of %zu", i, n);
            p[i] = 0;
        }
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_both_byte_orders_unaligned), cmocka_unit_test(stores_what_it_loads),
        cmocka_unit_test(aligns_to_powers_of_two),          cmocka_unit_test(notices_overflow),
        cmocka_unit_test(finds_one_bit_anywhere),
    };
    return cmocka_run_group_tests_name("common/bytes", tests, NULL, NULL);
}
