/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cancel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "common/clock.h"

static bool is_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

static void stays_set_for_flag_and_poll(void **state)
{
    struct sw_err err = { 0 };
    struct sw_cancel c;

    assert_int_equal(sw_cancel_init(&c, &err), 0);
    assert_false(sw_cancelled(&c));
    assert_false(is_readable(c.fd));
    for (int i = 0; i < 3; i++) {
        sw_cancel_set(&c);
        assert_true(sw_cancelled(&c));
        assert_true(is_readable(c.fd));
    }
    sw_cancel_done(&c);
    assert_int_equal(c.fd, -1);
}

static void is_optional(void **state)
{
    struct sw_err err = { 0 };

    assert_false(sw_cancelled(NULL));
    assert_int_equal(sw_cancel_sleep(NULL, SW_NS_PER_MS, &err), 0);
}

static void sleeps_as_long_as_asked(void **state)
{
    struct sw_err err = { 0 };
    struct sw_cancel c;

    assert_int_equal(sw_cancel_init(&c, &err), 0);
    int64_t from = sw_now_ns();
    assert_int_equal(sw_cancel_sleep(&c, 30 * SW_NS_PER_MS, &err), 0);
    assert_true(sw_now_ns() - from >= 30 * SW_NS_PER_MS);
    sw_cancel_done(&c);
}

static void *cancel_later(void *arg)
{
    usleep(30000);
    sw_cancel_set(arg);
    return NULL;
}

static void wakes_a_sleeper_at_once(void **state)
{
    struct sw_err err = { 0 };
    struct sw_cancel c;
    pthread_t t;

    assert_int_equal(sw_cancel_init(&c, &err), 0);
    int64_t from = sw_now_ns();
    assert_int_equal(pthread_create(&t, NULL, cancel_later, &c), 0);
    assert_int_equal(sw_cancel_sleep(&c, 60 * SW_NS_PER_SEC, &err), -1);
    assert_int_equal(err.kind, SW_ERR_CANCELLED);
    assert_true(sw_now_ns() - from < 30 * SW_NS_PER_SEC);
    pthread_join(t, NULL);
    sw_cancel_done(&c);
}

static void on_alarm(int sig)
{
    (void)sig;
}

/* A signal that nobody cares about must not cut a back-off short. */
static void sleeps_on_after_a_stray_signal(void **state)
{
    struct sigaction act, old;
    struct sw_err err = { 0 };
    struct sw_cancel c;

    memset(&act, 0, sizeof(act));
    act.sa_handler = on_alarm;
    assert_int_equal(sigaction(SIGALRM, &act, &old), 0);
    assert_int_equal(sw_cancel_init(&c, &err), 0);
    int64_t from = sw_now_ns();
    ualarm(20000, 0);
    assert_int_equal(sw_cancel_sleep(&c, 80 * SW_NS_PER_MS, &err), 0);
    assert_true(sw_now_ns() - from >= 80 * SW_NS_PER_MS);
    sigaction(SIGALRM, &old, NULL);
    sw_cancel_done(&c);
}

static void keeps_errno_when_set_in_a_handler(void **state)
{
    struct sw_err err = { 0 };
    struct sw_cancel c;

    assert_int_equal(sw_cancel_init(&c, &err), 0);
    close(c.fd);
    errno = ENOTTY;
    sw_cancel_set(&c); /* the write fails: EBADF */
    assert_int_equal(errno, ENOTTY);
    assert_true(sw_cancelled(&c));
    c.fd = -1;
    sw_cancel_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_set_for_flag_and_poll),
        cmocka_unit_test(is_optional),
        cmocka_unit_test(sleeps_as_long_as_asked),
        cmocka_unit_test(wakes_a_sleeper_at_once),
        cmocka_unit_test(sleeps_on_after_a_stray_signal),
        cmocka_unit_test(keeps_errno_when_set_in_a_handler),
    };
    return cmocka_run_group_tests_name("common/cancel", tests, NULL, NULL);
}
