/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define M "kubevirt_cdi_import_progress_total"

/* The value in hundredths, -1 when there is none. */
static int64_t find(const char *page)
{
    int64_t centi = -1;

    return sw_sample_find(page, M, "u-1", &centi) ? centi : -1;
}

static void finds_the_sample_of_this_owner(void **state)
{
    assert_int_equal(find("# HELP x\n# TYPE " M " counter\n" M "{ownerUID=\"u-1\"} 42.17\n"), 4217);
    assert_int_equal(find(M "{ownerUID=\"u-1\"} 0\n"), 0);
    assert_int_equal(find(M "{ownerUID=\"u-1\"} 100"), 10000);
    assert_int_equal(find(M "{ownerUID=\"u-1\"} 1e+02\n"), 10000);
    assert_int_equal(find(M "{ownerUID=\"u-1\"} 12.5 1700000000\n"), 1250);
    assert_int_equal(find("\n\n" M "{ownerUID=\"u-2\"} 7\n" M "{ownerUID=\"u-1\"} 8\n"), 800);
}

static void takes_nothing_else(void **state)
{
    static const char *const pages[] = {
        "",
        "\n",
        M,
        M "{",
        M "{ownerUID=\"u-1\"}",
        M "{ownerUID=\"u-1\"} ",
        M "{ownerUID=\"u-1\"} \n",
        M "{ownerUID=\"u-1\"} x",
        M "{ownerUID=\"u-1\"} -1",
        M "{ownerUID=\"u-1\"} nan",
        M "{ownerUID=\"u-1\"} inf",
        M "{ownerUID=\"u-1\"} 0x10",
        M "{ownerUID=\"u-1\"} 100.01",
        M "{ownerUID=\"u-1\"} 5x",
        M "{ownerUID=\"u-11\"} 5",
        M "{ownerUID=\"u-1\",a=\"b\"} 5",
        M "x{ownerUID=\"u-1\"} 5",
        "x" M "{ownerUID=\"u-1\"} 5",
        "# " M "{ownerUID=\"u-1\"} 5",
    };

    for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
        if (find(pages[i]) != -1)
            fail_msg("took '%s'", pages[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_sample_of_this_owner),
        cmocka_unit_test(takes_nothing_else),
    };

    return cmocka_run_group_tests_name("controller/sample", tests, NULL, NULL);
}
