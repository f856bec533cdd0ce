/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static void an_overhead_has_at_most_three_decimals(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = { { "0", 0 },       { "1", 1 },         { "0.5", 0.5 },
                 { "0.06", 0.06 }, { "0.055", 0.055 }, { "0.999", 0.999 } };
    static const char *const bad[] = { "",     "2",    "0.",   ".5",  "0.0001", "1.0", "-0",
                                       "0.-1", "0.1 ", " 0.1", "0,1", "00.1",   "0.x", "0.0x1" };
    double v = -1;

    for (size_t i = 0; i < SW_COUNT(good); i++) {
        assert_true(sw_overhead_parse(good[i].text, &v));
        assert_true(v == good[i].value);
    }
    for (size_t i = 0; i < SW_COUNT(bad); i++)
        if (sw_overhead_parse(bad[i], &v))
            fail_msg("took '%s'", bad[i]);
    assert_false(sw_overhead_parse(NULL, &v));
}

/* contract storage 2: required(0.06, 1 GiB) = 1138166334. */
static void a_size_grows_by_the_overhead_and_is_not_aligned_again(void **state)
{
    assert_int_equal(sw_required_size(1073741824, 0.06), 1138166334);
    assert_int_equal(sw_required_size(1073741824, 0), 1073741824);
    assert_int_equal(sw_required_size(1, 0), 1048576);
    assert_int_equal(sw_required_size(1048576, 0), 1048576);
    assert_int_equal(sw_required_size(1048577, 0), 2097152);
    assert_int_equal(sw_required_size(0, 0.5), 0);
    assert_true(sw_required_size(INT64_MAX, 0.06) == UINT64_MAX);
    assert_true(sw_required_size(UINT64_MAX, 1) == UINT64_MAX);
}

static int get(const char *json, uint64_t *ret)
{
    sw_auto_json struct sw_json *doc = NULL;
    struct sw_err err = { 0 };

    assert_int_equal(sw_json_parse(json, strlen(json), 4096, &doc, &err), 0);
    int found = sw_quantity_get(doc, "a.b", ret, &err);
    if (found < 0)
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    return found;
}

static void a_quantity_is_text_or_a_whole_number(void **state)
{
    uint64_t v = 7;

    assert_int_equal(get("{}", &v), 0);
    assert_int_equal(get("{\"a\":{\"b\":null}}", &v), 0);
    assert_int_equal(v, 7);
    assert_int_equal(get("{\"a\":{\"b\":\"1Gi\"}}", &v), 1);
    assert_int_equal(v, 1073741824);
    assert_int_equal(get("{\"a\":{\"b\":500}}", &v), 1);
    assert_int_equal(v, 500);
    assert_int_equal(get("{\"a\":{\"b\":\"-1\"}}", &v), -1);
    assert_int_equal(get("{\"a\":{\"b\":1.5}}", &v), -1);
    assert_int_equal(get("{\"a\":{\"b\":{}}}", &v), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_overhead_has_at_most_three_decimals),
        cmocka_unit_test(a_size_grows_by_the_overhead_and_is_not_aligned_again),
        cmocka_unit_test(a_quantity_is_text_or_a_whole_number),
    };

    return cmocka_run_group_tests_name("controller/quantity", tests, NULL, NULL);
}
