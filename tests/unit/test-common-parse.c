/* SPDX-License-Identifier: Apache-2.0 */
#include "common/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void takes_whole_numbers_in_range(void **state)
{
    struct sw_err err = { 0 };
    uint64_t v = 0;

    assert_int_equal(sw_parse_u64("18446744073709551615", 0, UINT64_MAX, &v, &err), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(sw_parse_u64("007", 7, 7, &v, &err), 0);
    assert_int_equal(v, 7);
}

static void refuses_every_other_text(void **state)
{
    static const char *const bad[] = { "",
                                       " 1",
                                       "1 ",
                                       "-1",
                                       "+1",
                                       "1.0",
                                       "0x10",
                                       "1e3",
                                       "x",
                                       "18446744073709551616",
                                       "99999999999999999999999",
                                       "4",
                                       "11" };

    for (size_t i = 0; i < SW_COUNT(bad); i++) {
        struct sw_err err = { 0 };
        uint64_t v = 77;

        if (sw_parse_u64(bad[i], 5, 10, &v, &err) == 0)
            fail_msg("accepted '%s'", bad[i]);
        assert_int_equal(err.kind, SW_ERR_USAGE);
        assert_int_equal(v, 77);
        assert_non_null(strstr(err.msg, bad[i]));
    }
}

static void takes_kubernetes_quantities(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } table[] = {
        { "0", 0 },
        { "1073741824", 1073741824 },
        { "1Gi", 1073741824 },
        { "1.5Gi", 1610612736 },
        { "500M", 500000000 },
        { "10k", 10000 },
        { "1e9", 1000000000 },
        { "12E2", 1200 },
        { "1E", UINT64_C(1000000000000000000) },
        { "7Ei", UINT64_C(8070450532247928832) },
        { "0.5", 1 }, /* a fraction of a byte is rounded up */
        { "0.1k", 100 },
        { "1.0000000001k", 1001 },
        { "9223372036854775807", INT64_MAX },
        { "3.", 3 },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        struct sw_err err = { 0 };
        uint64_t v = 0;

        if (sw_parse_size(table[i].text, &v, &err) < 0 || v != table[i].bytes)
            fail_msg("'%s' gave %llu: %s", table[i].text, (unsigned long long)v, err.msg);
    }
}

static void refuses_what_is_no_quantity(void **state)
{
    static const char *const bad[] = { "",
                                       "Gi",
                                       "-1Gi",
                                       "1gi",
                                       "1GiB",
                                       "1 Gi",
                                       "8Ei",
                                       "1e19",
                                       "1e",
                                       ".",
                                       "9223372036854775808",
                                       "99999999999999999999999999",
                                       "1KI",
                                       "1.5.5",
                                       "1e9Gi" };

    for (size_t i = 0; i < SW_COUNT(bad); i++) {
        struct sw_err err = { 0 };
        uint64_t v = 0;

        if (sw_parse_size(bad[i], &v, &err) == 0)
            fail_msg("accepted '%s' as %llu", bad[i], (unsigned long long)v);
        assert_int_equal(err.kind, SW_ERR_USAGE);
    }
}

static void takes_the_booleans_of_go(void **state)
{
    static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
    static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };
    static const char *const bad[] = { "", "yes", "tRUE", "2", " true" };
    struct sw_err err = { 0 };
    bool b = false;

    for (size_t i = 0; i < SW_COUNT(yes); i++) {
        assert_int_equal(sw_parse_bool(yes[i], &b, &err), 0);
        assert_true(b);
        assert_int_equal(sw_parse_bool(no[i], &b, &err), 0);
        assert_false(b);
    }
    for (size_t i = 0; i < SW_COUNT(bad); i++)
        assert_int_equal(sw_parse_bool(bad[i], &b, &err), -1);
}

static void turns_bytes_to_hex_and_back(void **state)
{
    static const uint8_t bytes[] = { 0x00, 0x7f, 0xab, 0xff };
    uint8_t back[4] = { 0 };
    char text[9];

    sw_hex_encode(bytes, sizeof(bytes), text);
    assert_string_equal(text, "007fabff");
    assert_true(sw_hex_decode("007FaBff", back, 4));
    assert_memory_equal(back, bytes, 4);
    assert_false(sw_hex_decode("007fabf", back, 4));
    assert_false(sw_hex_decode("007fabff0", back, 4));
    assert_false(sw_hex_decode("007fabfg", back, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_whole_numbers_in_range),
        cmocka_unit_test(refuses_every_other_text),
        cmocka_unit_test(takes_kubernetes_quantities),
        cmocka_unit_test(refuses_what_is_no_quantity),
        cmocka_unit_test(takes_the_booleans_of_go),
        cmocka_unit_test(turns_bytes_to_hex_and_back),
    };
    return cmocka_run_group_tests_name("common/parse", tests, NULL, NULL);
}
