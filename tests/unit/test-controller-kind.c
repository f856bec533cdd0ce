/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kind.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void every_kind_is_complete_and_found_by_its_name(void **state)
{
    for (enum sw_kind k = 0; k < SW_KIND_COUNT_; k++) {
        const struct sw_kind_info *info = sw_kind_info(k);

        assert_non_null(info->name);
        assert_non_null(info->group);
        assert_non_null(info->version);
        assert_non_null(info->plural);
        assert_non_null(info->keep[0]);
        assert_int_equal(sw_kind_find(info->name), k);
    }
    assert_int_equal(sw_kind_find("persistentvolumeclaim"), SW_KIND_COUNT_);
}

static void keeps_no_path_twice_and_none_below_another(void **state)
{
    for (enum sw_kind k = 0; k < SW_KIND_COUNT_; k++) {
        const char *const *keep = sw_kind_info(k)->keep;

        for (size_t i = 1; keep[i]; i++) {
            size_t n = strlen(keep[i - 1]);

            assert_true(strcmp(keep[i - 1], keep[i]) < 0);
            assert_false(strncmp(keep[i], keep[i - 1], n) == 0 && keep[i][n] == '.');
        }
    }
}

static void a_core_kind_has_no_group_in_its_version(void **state)
{
    char text[SW_API_VERSION_MAX];

    sw_kind_api_version(SW_KIND_CLAIM, text);
    assert_string_equal(text, "v1");
    sw_kind_api_version(SW_KIND_DATA_VOLUME, text);
    assert_string_equal(text, "cdi.kubevirt.io/v1beta1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_complete_and_found_by_its_name),
        cmocka_unit_test(keeps_no_path_twice_and_none_below_another),
        cmocka_unit_test(a_core_kind_has_no_group_in_its_version),
    };

    return cmocka_run_group_tests_name("controller/kind", tests, NULL, NULL);
}
