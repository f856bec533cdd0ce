/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/clock.h"
#include "importer/http_retry.h"

static void backs_off_and_gives_up(void **state)
{
    struct sw_http_retry r = { .max = 12, .random = 42 };
    int64_t full = 250 * SW_NS_PER_MS;

    for (unsigned i = 0; i < r.max; i++) {
        int64_t delay = sw_http_retry_delay(&r, 0);

        assert_true(delay >= full / 2 && delay < full);
        full = full * 2 < 30 * SW_NS_PER_SEC ? full * 2 : 30 * SW_NS_PER_SEC;
    }
    assert_true(sw_http_retry_delay(&r, 0) == -1);
}

static void jitter_differs_between_lanes(void **state)
{
    struct sw_http_retry a = { .max = 8, .random = 1 };
    struct sw_http_retry b = { .max = 8, .random = 2 };

    assert_true(sw_http_retry_delay(&a, 0) != sw_http_retry_delay(&b, 0));
}

static void progress_starts_again_at_once(void **state)
{
    struct sw_http_retry r = { .max = 1, .random = 42 };

    sw_http_retry_progress(&r, SW_HTTP_RETRY_PROGRESS - 1);
    assert_true(sw_http_retry_delay(&r, 0) > 0);
    assert_true(sw_http_retry_delay(&r, 0) == -1);
    sw_http_retry_progress(&r, 1); /* small gains add up */
    assert_true(sw_http_retry_delay(&r, 0) == 0);
    assert_true(sw_http_retry_delay(&r, 0) > 0);
    assert_true(sw_http_retry_delay(&r, 0) == -1);
}

static void honours_the_server_up_to_a_minute(void **state)
{
    struct sw_http_retry r = { .max = 8, .random = 42 };

    assert_true(sw_http_retry_delay(&r, 7) == 7 * SW_NS_PER_SEC);
    assert_true(sw_http_retry_delay(&r, UINT64_MAX) == 60 * SW_NS_PER_SEC);
    sw_http_retry_progress(&r, SW_HTTP_RETRY_PROGRESS);
    assert_true(sw_http_retry_delay(&r, 7) == 7 * SW_NS_PER_SEC);
}

static void waits_only_for_what_may_pass(void **state)
{
    struct sw_http_retry r = { .max = 0 };
    struct sw_err err = { 0 };

    sw_err_set(&err, SW_ERR_DENIED, "no");
    assert_int_equal(sw_http_retry_wait(&r, 0, &err), -1);
    assert_string_equal(err.msg, "no");
    sw_err_set(&err, SW_ERR_TRANSIENT, "busy");
    assert_int_equal(sw_http_retry_wait(&r, 0, &err), -1);
    assert_int_equal(err.kind, SW_ERR_TRANSIENT);
    assert_string_equal(err.msg, "gave up after 1 attempts: busy");
}

static void a_cancel_ends_the_wait(void **state)
{
    struct sw_cancel cancel;
    struct sw_err err = { 0 };

    assert_int_equal(sw_cancel_init(&cancel, &err), 0);
    struct sw_http_retry r = { .max = 8, .cancel = &cancel };
    sw_cancel_set(&cancel);
    sw_err_set(&err, SW_ERR_TRANSIENT, "busy");
    int64_t started = sw_now_ns();
    assert_int_equal(sw_http_retry_wait(&r, 60, &err), -1);
    assert_int_equal(err.kind, SW_ERR_CANCELLED);
    assert_true(sw_now_ns() - started < SW_NS_PER_SEC);
    sw_cancel_done(&cancel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backs_off_and_gives_up),
        cmocka_unit_test(jitter_differs_between_lanes),
        cmocka_unit_test(progress_starts_again_at_once),
        cmocka_unit_test(honours_the_server_up_to_a_minute),
        cmocka_unit_test(waits_only_for_what_may_pass),
        cmocka_unit_test(a_cancel_ends_the_wait),
    };
    return cmocka_run_group_tests_name("importer/http_retry", tests, NULL, NULL);
}
