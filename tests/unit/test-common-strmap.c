/* SPDX-License-Identifier: Apache-2.0 */
#include "common/strmap.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>

static int values[5000];

static void an_empty_map_has_nothing(void **state)
{
    struct sw_strmap m = SW_STRMAP_INIT;

    assert_null(sw_strmap_get(&m, "a"));
    assert_null(sw_strmap_take(&m, "a"));
    sw_strmap_done(&m, NULL);
}

static void the_last_value_of_a_key_counts(void **state)
{
    struct sw_strmap m = SW_STRMAP_INIT;
    struct sw_err err = { 0 };
    void *old = &values[9];

    assert_int_equal(sw_strmap_set(&m, "a", &values[1], &old, &err), 0);
    assert_null(old);
    assert_int_equal(sw_strmap_set(&m, "a", &values[2], &old, &err), 0);
    assert_ptr_equal(old, &values[1]);
    assert_int_equal(sw_strmap_set(&m, "", &values[3], NULL, &err), 0);
    assert_int_equal(m.n, 2);
    assert_ptr_equal(sw_strmap_get(&m, "a"), &values[2]);
    assert_ptr_equal(sw_strmap_get(&m, ""), &values[3]);
    assert_null(sw_strmap_get(&m, "b"));
    sw_strmap_done(&m, NULL);
}

static void count(void *ctx, const char *key, void *value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)ctx;
}

static unsigned dropped;

static void drop(void *value)
{
    (void)value;
    dropped++;
}

/* Never empty in between; every second key goes while others come. */
static void many_keys_come_and_go(void **state)
{
    struct sw_strmap m = SW_STRMAP_INIT;
    struct sw_err err = { 0 };
    unsigned n = 0;
    char key[32];

    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof(key), "ns/%u", i);
        assert_int_equal(sw_strmap_set(&m, key, &values[i], NULL, &err), 0);
        if (i % 2 == 0)
            continue;
        (void)snprintf(key, sizeof(key), "ns/%u", i / 2);
        if (i / 2 % 2)
            assert_ptr_equal(sw_strmap_take(&m, key), &values[i / 2]);
    }
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof(key), "ns/%u", i);
        if (i < 2500 && i % 2)
            assert_null(sw_strmap_get(&m, key));
        else
            assert_ptr_equal(sw_strmap_get(&m, key), &values[i]);
    }
    sw_strmap_each(&m, count, &n);
    assert_int_equal(n, 3750);
    assert_int_equal(m.n, 3750);
    dropped = 0;
    sw_strmap_done(&m, drop);
    assert_int_equal(dropped, 3750);
    assert_int_equal(m.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(the_last_value_of_a_key_counts),
        cmocka_unit_test(many_keys_come_and_go),
    };

    return cmocka_run_group_tests_name("common/strmap", tests, NULL, NULL);
}
