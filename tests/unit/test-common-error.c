/* SPDX-License-Identifier: Apache-2.0 */
#include "common/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void gives_every_kind_a_name_and_an_exit_code_of_its_own(void **state)
{
    for (int a = 0; a < SW_ERR_KIND_COUNT_; a++) {
        assert_non_null(sw_err_kind_name(a));
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(sw_err_kind_name(a), sw_err_kind_name(b));
            assert_int_not_equal(sw_err_exit_code(a), sw_err_exit_code(b));
        }
    }
    assert_string_equal(sw_err_kind_name(SW_ERR_BAD_DATA), "bad_data");
    assert_string_equal(sw_err_kind_name(SW_ERR_KIND_COUNT_), "unknown");
    assert_int_equal(sw_err_exit_code(SW_ERR_KIND_COUNT_), 1);
}

/* The numbers are part of the command line's contract. */
static void keeps_the_documented_exit_codes(void **state)
{
    static const struct {
        enum sw_err_kind kind;
        int code;
    } table[] = {
        { SW_ERR_NONE, 0 },      { SW_ERR_INTERNAL, 1 },    { SW_ERR_USAGE, 2 },
        { SW_ERR_TRANSIENT, 3 }, { SW_ERR_DENIED, 4 },      { SW_ERR_NOT_FOUND, 5 },
        { SW_ERR_BAD_DATA, 6 },  { SW_ERR_UNSUPPORTED, 7 }, { SW_ERR_NO_SPACE, 8 },
        { SW_ERR_CANCELLED, 9 },
    };

    assert_int_equal(SW_COUNT(table), SW_ERR_KIND_COUNT_);
    for (size_t i = 0; i < SW_COUNT(table); i++)
        assert_int_equal(sw_err_exit_code(table[i].kind), table[i].code);
}

static void derives_the_kind_from_errno(void **state)
{
    static const struct {
        int sys;
        enum sw_err_kind kind;
    } table[] = {
        { ENOENT, SW_ERR_NOT_FOUND },     { EACCES, SW_ERR_DENIED },
        { EROFS, SW_ERR_DENIED },         { ENOSPC, SW_ERR_NO_SPACE },
        { EDQUOT, SW_ERR_NO_SPACE },      { EFBIG, SW_ERR_NO_SPACE },
        { ECONNRESET, SW_ERR_TRANSIENT }, { ECANCELED, SW_ERR_CANCELLED },
        { EIO, SW_ERR_INTERNAL },
    };

    for (size_t i = 0; i < SW_COUNT(table); i++) {
        struct sw_err err = { 0 };

        assert_int_equal(sw_err_sys(&err, table[i].sys, "open '%s'", "x"), -1);
        assert_int_equal(err.kind, table[i].kind);
        assert_int_equal(err.sys, table[i].sys);
        assert_int_equal(sw_err_is_transient(&err), table[i].kind == SW_ERR_TRANSIENT);
        assert_int_equal(strncmp(err.msg, "open 'x': ", 10), 0);
        assert_string_equal(err.msg + 10, strerror(table[i].sys));
    }
}

static void reads_from_the_outside_in(void **state)
{
    struct sw_err err = { 0 };

    assert_int_equal(sw_err_set(&err, SW_ERR_BAD_DATA, "L1 table at %d", 7), -1);
    assert_int_equal(sw_err_wrap(&err, "qcow2"), -1);
    assert_int_equal(sw_err_wrap(&err, "import '%s'", "u"), -1);
    assert_string_equal(err.msg, "import 'u': qcow2: L1 table at 7");
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
}

/* For a root of every length: the context is what gives way, and nothing is written past the end. */
static void cuts_the_context_and_never_the_root(void **state)
{
    struct {
        struct sw_err err;
        char guard[16];
    } box;
    char root[sizeof(box.err.msg)];

    for (size_t n = 0; n < sizeof(root); n++) {
        memset(&box, 0x5a, sizeof(box));
        memset(root, 'r', n);
        root[n] = '\0';
        sw_err_set(&box.err, SW_ERR_INTERNAL, "%s", root);
        for (int i = 0; i < 3; i++)
            sw_err_wrap(&box.err, "%0400d", 1);

        size_t len = strlen(box.err.msg);
        assert_true(len < sizeof(box.err.msg));
        assert_string_equal(box.err.msg + len - n, root);
        assert_int_equal(box.guard[0], 0x5a);
    }
}

static void keeps_the_reason_of_a_long_message(void **state)
{
    struct sw_err err = { 0 };

    sw_err_sys(&err, ENOSPC, "%0600d", 1);
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
    assert_non_null(strstr(err.msg, strerror(ENOSPC)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_every_kind_a_name_and_an_exit_code_of_its_own),
        cmocka_unit_test(keeps_the_documented_exit_codes),
        cmocka_unit_test(derives_the_kind_from_errno),
        cmocka_unit_test(reads_from_the_outside_in),
        cmocka_unit_test(cuts_the_context_and_never_the_root),
        cmocka_unit_test(keeps_the_reason_of_a_long_message),
    };
    return cmocka_run_group_tests_name("common/error", tests, NULL, NULL);
}
