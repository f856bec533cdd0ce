/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void is_a_c_string_at_every_step(void **state)
{
    sw_autobuf struct sw_buf b = SW_BUF_INIT(4096);

    assert_string_equal(sw_buf_str(&b), "");
    for (size_t i = 1; i <= 1000; i++) {
        sw_buf_append(&b, "x", 1);
        assert_int_equal(b.n, i);
        assert_int_equal(strlen(sw_buf_str(&b)), i);
    }
    sw_buf_reset(&b);
    assert_string_equal(sw_buf_str(&b), "");
    sw_buf_puts(&b, "a");
    sw_buf_printf(&b, "%d%s", 12, "z");
    assert_string_equal(sw_buf_str(&b), "a12z");
}

static void takes_the_ceiling_and_not_one_byte_more(void **state)
{
    struct sw_err err = { 0 };
    sw_autobuf struct sw_buf b = SW_BUF_INIT(4);

    sw_buf_puts(&b, "abcd");
    assert_int_equal(sw_buf_check(&b, "the name", &err), 0);
    sw_buf_puts(&b, "");
    assert_int_equal(sw_buf_check(&b, "the name", &err), 0);
    sw_buf_puts(&b, "e");
    assert_int_equal(sw_buf_check(&b, "the name", &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    assert_string_equal(err.msg, "the name is longer than 4 bytes");
}

static void keeps_its_content_and_stays_failed(void **state)
{
    sw_autobuf struct sw_buf b = SW_BUF_INIT(4);

    sw_buf_puts(&b, "ab");
    sw_buf_printf(&b, "%s", "too long");
    sw_buf_puts(&b, "c"); /* would fit, but a hole must not go unnoticed */
    assert_string_equal(sw_buf_str(&b), "ab");
    assert_true(b.failed);
    sw_buf_reset(&b);
    sw_buf_puts(&b, "c");
    assert_string_equal(sw_buf_str(&b), "c");
    assert_false(b.failed);
}

static void carries_any_bytes(void **state)
{
    sw_autobuf struct sw_buf b = SW_BUF_INIT(16);

    sw_buf_append(&b, "a\0b", 3);
    sw_buf_append(&b, NULL, 0);
    assert_int_equal(b.n, 3);
    assert_memory_equal(b.p, "a\0b", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_a_c_string_at_every_step),
        cmocka_unit_test(takes_the_ceiling_and_not_one_byte_more),
        cmocka_unit_test(keeps_its_content_and_stays_failed),
        cmocka_unit_test(carries_any_bytes),
    };
    return cmocka_run_group_tests_name("common/buf", tests, NULL, NULL);
}
