/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/provisioner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/json_tree.h"
#include "common/parse.h"

static void the_table_is_sorted_and_each_key_is_found(void **state)
{
    for (size_t i = 0; i < sw_provisioner_count; i++) {
        const struct sw_provisioner *row = &sw_provisioner_table[i];

        if (i > 0 && strcmp(row[-1].key, row->key) >= 0)
            fail_msg("%s stands behind %s", row->key, row[-1].key);
        assert_true(strlen(row->key) < SW_PROVISIONER_KEY_MAX);
        assert_ptr_equal(sw_provisioner_find(row->key), row);
    }
    assert_null(sw_provisioner_find("UNKNOWN"));
    assert_null(sw_provisioner_find(""));
}

static void the_facts_are_well_formed(void **state)
{
    for (size_t i = 0; i < sw_provisioner_count; i++) {
        const struct sw_provisioner *row = &sw_provisioner_table[i];
        size_t n = row->sets ? strlen(row->sets) : 0;
        struct sw_err err = { 0 };
        uint64_t size;

        for (size_t at = 0; at < n; at += 3) {
            assert_non_null(strchr("XOR", row->sets[at]));
            assert_non_null(strchr("BF", row->sets[at + 1]));
            assert_true(at + 2 == n || row->sets[at + 2] == ' ');
        }
        if (row->clone && strcmp(row->clone, "copy") != 0 && strcmp(row->clone, "snapshot") != 0)
            assert_string_equal(row->clone, "csi-clone");
        if (row->min_size)
            assert_int_equal(sw_parse_size(row->min_size, &size, &err), 0);
    }
}

static void a_class_of_anything_has_a_key(void **state)
{
    static const char *const classes[] = { "{}", "[]", "{\"provisioner\":1}",
                                           "{\"provisioner\":\"\",\"parameters\":[]}" };

    for (size_t i = 0; i < SW_COUNT(classes); i++) {
        sw_auto_json struct sw_json *class = NULL;
        char key[SW_PROVISIONER_KEY_MAX];
        struct sw_err err = { 0 };

        assert_int_equal(sw_json_parse(classes[i], strlen(classes[i]), 100, &class, &err), 0);
        sw_provisioner_key(class, key);
        assert_null(sw_provisioner_find(key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sorted_and_each_key_is_found),
        cmocka_unit_test(the_facts_are_well_formed),
        cmocka_unit_test(a_class_of_anything_has_a_key),
    };

    return cmocka_run_group_tests_name("controller/provisioner", tests, NULL, NULL);
}
