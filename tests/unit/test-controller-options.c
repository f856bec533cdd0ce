/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/options.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "common/macros.h"

#define PARSE(ret, err, ...)                                                                       \
    sw_controller_parse((int)SW_COUNT(((char *[]){ "x", __VA_ARGS__ })),                           \
                        (char *[]){ "x", __VA_ARGS__ }, ret, err)

static void defaults_are_those_that_help_names(void **state)
{
    struct sw_controller_args a;
    struct sw_err err = { 0 };
    char *argv[] = { "x" };

    assert_int_equal(sw_controller_parse(1, argv, &a, &err), 0);
    assert_string_equal(a.image, "slipway:" SW_VERSION);
    assert_string_equal(a.pull_policy, "IfNotPresent");
    assert_string_equal(a.log_level, "info");
    assert_int_equal(a.port, 8080);
    assert_int_equal(a.jobs, 64);
    assert_false(a.leader_elect);
    assert_null(a.ns);
}

static void values_follow_in_either_form(void **state)
{
    struct sw_controller_args a;
    struct sw_err err = { 0 };

    assert_int_equal(PARSE(&a, &err, "--leader-elect", "--image=i:1", "--namespace", "n", "--port",
                           "0", "--jobs=7", "--kubeconfig", "--odd"),
                     0);
    assert_true(a.leader_elect);
    assert_string_equal(a.image, "i:1");
    assert_string_equal(a.ns, "n");
    assert_int_equal(a.port, 0);
    assert_int_equal(a.jobs, 7);
    assert_string_equal(a.kubeconfig, "--odd");
}

static void what_cannot_be_meant_is_refused(void **state)
{
    static char *const wrong[][3] = {
        { "word", NULL },         { "-h", NULL },
        { "--", NULL },           { "--prot=1", NULL },
        { "--port", NULL },       { "--port=", NULL },
        { "--port=65536", NULL }, { "--port=-1", NULL },
        { "--jobs=0", NULL },     { "--leader-elect=1", NULL },
        { "--image=", NULL },     { "--pull-policy", "Sometimes" },
        { "--imag", "x" },        { "--images", "x" },
    };

    for (size_t i = 0; i < SW_COUNT(wrong); i++) {
        char *argv[] = { "x", wrong[i][0], wrong[i][1] };
        struct sw_controller_args a;
        struct sw_err err = { 0 };

        if (sw_controller_parse(wrong[i][1] ? 3 : 2, argv, &a, &err) == 0)
            fail_msg("took %s", wrong[i][0]);
        assert_int_equal(err.kind, SW_ERR_USAGE);
    }
}

static void help_stops_further_checks(void **state)
{
    struct sw_controller_args a;
    struct sw_err err = { 0 };

    assert_int_equal(PARSE(&a, &err, "--pull-policy=x", "--help", "--nonsense"), 0);
    assert_true(a.help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_that_help_names),
        cmocka_unit_test(values_follow_in_either_form),
        cmocka_unit_test(what_cannot_be_meant_is_refused),
        cmocka_unit_test(help_stops_further_checks),
    };

    return cmocka_run_group_tests_name("controller/options", tests, NULL, NULL);
}
