/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/macros.h"
#include "formats/member_name.h"

static const struct sw_limits defaults = SW_LIMITS_DEFAULT;

static void makes_names_relative_and_plain(void **state)
{
    static const char *const pairs[][2] = {
        { "a", "a" },
        { "./a", "a" },
        { "/etc/passwd", "etc/passwd" },
        { "a//b/", "a/b" },
        { "./", "" },
        { "/", "" },
        { "", "" },
        { "a/./b", "a/b" },
        { "...", "..." },
        { "..a/b..", "..a/b.." },
        { "././/.//x", "x" },
        { ".hidden", ".hidden" },
    };

    for (size_t i = 0; i < SW_COUNT(pairs); i++) {
        char path[SW_MEMBER_PATH_MAX];
        struct sw_err err = { 0 };

        assert_int_equal(sw_member_path(pairs[i][0], &defaults, path, &err), 0);
        assert_string_equal(path, pairs[i][1]);
    }
}

static void refuses_names_that_climb(void **state)
{
    static const char *const names[] = { "..",  "../a", "a/../b",      "a/..",
                                         "/..", "./..", "a/b/../../.." };

    for (size_t i = 0; i < SW_COUNT(names); i++) {
        char path[SW_MEMBER_PATH_MAX];
        struct sw_err err = { 0 };

        assert_int_equal(sw_member_path(names[i], &defaults, path, &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
        assert_non_null(strstr(err.msg, names[i]));
    }
}

/* N-1 and N pass, N+1 does not. */
static void limits_the_length_of_a_name(void **state)
{
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    char path[SW_MEMBER_PATH_MAX];
    struct sw_err err = { 0 };

    limits.member_name = 5;
    assert_int_equal(sw_member_path("abcd", &limits, path, &err), 0);
    assert_int_equal(sw_member_path("abcde", &limits, path, &err), 0);
    assert_int_equal(sw_member_path("abcdef", &limits, path, &err), -1);
    assert_int_equal(err.kind, SW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "6 bytes is longer than the limit of 5"));
    assert_int_equal(sw_member_link("l", "abcde", &limits, &err), 0);
    assert_int_equal(sw_member_link("l", "abcdef", &limits, &err), -1);
}

/* Whatever the limit says, a path fits its buffer. */
static void never_overruns_the_buffer(void **state)
{
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    char path[SW_MEMBER_PATH_MAX];
    char name[SW_MEMBER_PATH_MAX + 2];
    struct sw_err err = { 0 };

    limits.member_name = UINT64_MAX;
    memset(name, 'a', sizeof(name));
    name[SW_MEMBER_PATH_MAX] = '\0';
    assert_int_equal(sw_member_path(name, &limits, path, &err), -1);
    name[SW_MEMBER_PATH_MAX - 1] = '\0';
    assert_int_equal(sw_member_path(name, &limits, path, &err), 0);
    assert_string_equal(path, name);
}

static void limits_the_depth_of_a_name(void **state)
{
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    char path[SW_MEMBER_PATH_MAX];
    struct sw_err err = { 0 };

    limits.member_depth = 3;
    assert_int_equal(sw_member_path("a/b", &limits, path, &err), 0);
    assert_int_equal(sw_member_path("./a/b//./c/", &limits, path, &err), 0);
    assert_int_equal(sw_member_path("a/b/c/d", &limits, path, &err), -1);
    assert_int_equal(err.kind, SW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "limit of 3"));
}

static void lets_links_through_that_stay_inside(void **state)
{
    static const char *const pairs[][2] = {
        { "l", "a" },
        { "l", "a/b/c" },
        { "d/l", "../a" },
        { "d/e/l", "../../a" },
        { "d/e/l", ".././../a" },
        { "l", "." },
        { "d/l", ".." },
        { "l", "...x/.."
               "y" },
    };

    for (size_t i = 0; i < SW_COUNT(pairs); i++) {
        struct sw_err err = { 0 };

        if (sw_member_link(pairs[i][0], pairs[i][1], &defaults, &err) < 0)
            fail_msg("%s -> %s: %s", pairs[i][0], pairs[i][1], err.msg);
    }
}

/* The last ones lead out only together with another link: a/b/c/s -> ../../.. is legal. */
static void refuses_links_that_may_lead_out(void **state)
{
    static const char *const pairs[][2] = {
        { "l", "/etc/passwd" },
        { "l", "/" },
        { "l", ".." },
        { "l", "../x" },
        { "d/l", "../../x" },
        { "d/l", "./../.././x" },
        { "l", "" },
        { "l", "a/../../x" },
        { "l", "a/b/c/s/../../x" },
        { "d/l", "../a/../b" },
    };

    for (size_t i = 0; i < SW_COUNT(pairs); i++) {
        struct sw_err err = { 0 };

        if (sw_member_link(pairs[i][0], pairs[i][1], &defaults, &err) == 0)
            fail_msg("%s -> %s was let through", pairs[i][0], pairs[i][1]);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    }
}

static void shows_names_without_what_terminals_obey(void **state)
{
    char shown[SW_MEMBER_SHOWN_MAX];
    char name[200];

    assert_string_equal(sw_member_shown("a\n\x1b[31mb\xc3\xa4", shown), "a??[31mb??");
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(strlen(sw_member_shown(name, shown)), SW_MEMBER_SHOWN_MAX - 1);
    assert_string_equal(shown + SW_MEMBER_SHOWN_MAX - 4, "...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_names_relative_and_plain),
        cmocka_unit_test(refuses_names_that_climb),
        cmocka_unit_test(limits_the_length_of_a_name),
        cmocka_unit_test(never_overruns_the_buffer),
        cmocka_unit_test(limits_the_depth_of_a_name),
        cmocka_unit_test(lets_links_through_that_stay_inside),
        cmocka_unit_test(refuses_links_that_may_lead_out),
        cmocka_unit_test(shows_names_without_what_terminals_obey),
    };

    return cmocka_run_group_tests_name("formats/member_name", tests, NULL, NULL);
}
