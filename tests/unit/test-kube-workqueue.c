/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/workqueue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>
#include <string.h>

#include "common/clock.h"

#define MS SW_NS_PER_MS

static struct sw_workqueue *make(void)
{
    const struct sw_workqueue_options o = { .retry_base_ns = 5 * MS, .retry_max_ns = 60000 * MS };
    struct sw_workqueue *q = NULL;
    struct sw_err err = { 0 };

    assert_int_equal(sw_workqueue_new(&o, &q, &err), 0);
    return q;
}

static void expect_take(struct sw_workqueue *q, int64_t now, const char *want)
{
    const char *got = sw_workqueue_take(q, now);

    if (!want)
        assert_null(got);
    else
        assert_string_equal(got, want);
}

static void a_key_added_twice_is_taken_once(void **state)
{
    struct sw_workqueue *q = make();

    sw_workqueue_add(q, "DV a/x", 0);
    sw_workqueue_add(q, "DV a/x", 1);
    expect_take(q, 2, "DV a/x");
    expect_take(q, 2, NULL);
    sw_workqueue_done(q, "DV a/x", 3);
    expect_take(q, 3, NULL);
    assert_int_equal(sw_workqueue_stats(q).adds, 1);
    assert_int_equal(sw_workqueue_stats(q).latency_max_ns, 2);
    sw_workqueue_free(q);
}

static void a_key_is_never_given_to_two_workers(void **state)
{
    struct sw_workqueue *q = make();

    sw_workqueue_add(q, "DV a/x", 0);
    expect_take(q, 0, "DV a/x");
    sw_workqueue_add(q, "DV a/x", 1);
    sw_workqueue_add(q, "DV a/x", 2);
    expect_take(q, 3, NULL); /* still being worked on */
    sw_workqueue_done(q, "DV a/x", 4);
    expect_take(q, 5, "DV a/x"); /* one more round for both */
    sw_workqueue_done(q, "DV a/x", 6);
    expect_take(q, 7, NULL);
    sw_workqueue_free(q);
}

static void a_timer_that_fires_during_the_work_causes_another_round(void **state)
{
    struct sw_workqueue *q = make();

    sw_workqueue_add(q, "DV a/x", 0);
    expect_take(q, 0, "DV a/x");
    sw_workqueue_add_after(q, "DV a/x", 0, 10);
    expect_take(q, 10, NULL);
    assert_int_equal(sw_workqueue_next_ns(q), INT64_MAX);
    sw_workqueue_done(q, "DV a/x", 11);
    expect_take(q, 11, "DV a/x");
    sw_workqueue_free(q);
}

static void the_earlier_of_two_timers_wins(void **state)
{
    struct sw_workqueue *q = make();

    sw_workqueue_add_after(q, "DV a/x", 0, 100);
    sw_workqueue_add_after(q, "DV a/x", 0, 50);
    sw_workqueue_add_after(q, "DV a/x", 0, 70);
    assert_int_equal(sw_workqueue_next_ns(q), 50);
    expect_take(q, 49, NULL);
    expect_take(q, 50, "DV a/x");
    assert_int_equal(sw_workqueue_next_ns(q), INT64_MAX);
    sw_workqueue_done(q, "DV a/x", 50);
    expect_take(q, 1000, NULL);
    sw_workqueue_free(q);
}

static void taking_a_key_forgets_its_timer(void **state)
{
    struct sw_workqueue *q = make();

    sw_workqueue_add_after(q, "DV a/x", 0, 100);
    sw_workqueue_add(q, "DV a/x", 1);
    expect_take(q, 1, "DV a/x");
    sw_workqueue_done(q, "DV a/x", 1);
    assert_int_equal(sw_workqueue_stats(q).waiting, 0);
    expect_take(q, 200, NULL);
    sw_workqueue_free(q);
}

/* Every timer in every order, some of them taken out of the middle by an early take. */
static void timers_fire_in_the_order_of_their_times(void **state)
{
    struct sw_workqueue *q = make();
    unsigned seed = 7;
    int64_t last = 0;
    unsigned n = 0;

    for (unsigned i = 0; i < 500; i++) {
        char key[32];

        seed = seed * 1103515245 + 12345;
        (void)snprintf(key, sizeof(key), "DV a/%u", i);
        sw_workqueue_add_after(q, key, 0, 1 + (seed >> 8) % 10000);
        if (i % 5 == 0) {
            sw_workqueue_add(q, key, 0);
            expect_take(q, 0, key);
            sw_workqueue_done(q, key, 0);
        }
    }
    while (sw_workqueue_next_ns(q) != INT64_MAX) {
        int64_t due = sw_workqueue_next_ns(q);
        const char *key;

        assert_true(due >= last);
        last = due;
        while ((key = sw_workqueue_take(q, due))) {
            sw_workqueue_done(q, key, due);
            n++;
        }
    }
    assert_int_equal(n, 400);
    sw_workqueue_free(q);
}

static void back_off_doubles_up_to_its_ceiling_and_starts_over(void **state)
{
    struct sw_workqueue *q = make();
    int64_t now = 0, want = 5 * MS;

    for (unsigned i = 0; i < 40; i++) {
        sw_workqueue_add(q, "DV a/x", now);
        expect_take(q, now, "DV a/x");
        int64_t delay = sw_workqueue_retry(q, "DV a/x", now);
        sw_workqueue_done(q, "DV a/x", now);
        assert_true(delay <= want && delay > want - want / 4 - 2);
        assert_int_equal(sw_workqueue_failures(q, "DV a/x"), i + 1);
        assert_int_equal(sw_workqueue_next_ns(q), now + delay);
        now += delay;
        want = want * 2 > 60000 * MS ? 60000 * MS : want * 2;
        expect_take(q, now - 1, NULL);
    }
    expect_take(q, now, "DV a/x");
    sw_workqueue_forget(q, "DV a/x");
    assert_int_equal(sw_workqueue_failures(q, "DV a/x"), 0);
    assert_true(sw_workqueue_retry(q, "DV a/x", now) <= 5 * MS);
    sw_workqueue_done(q, "DV a/x", now);
    sw_workqueue_free(q);
}

/* What fails in the same instant does not come back in the same instant. */
static void back_off_spreads_keys(void **state)
{
    struct sw_workqueue *q = make();
    int64_t least = INT64_MAX, most = 0;

    for (unsigned i = 0; i < 100; i++) {
        char key[32];

        (void)snprintf(key, sizeof(key), "DV a/%u", i);
        int64_t delay = sw_workqueue_retry(q, key, 0);
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    assert_true(most - least > MS / 2);
    sw_workqueue_free(q);
}

static void namespaces_take_turns(void **state)
{
    struct sw_workqueue *q = make();

    for (unsigned i = 0; i < 1000; i++) {
        char key[32];

        (void)snprintf(key, sizeof(key), "DV crowd/%u", i);
        sw_workqueue_add(q, key, 0);
    }
    sw_workqueue_add(q, "DV lone/x", 0);
    sw_workqueue_add(q, "DV lone/y", 0);

    unsigned before_x = 0;
    const char *key;
    while ((key = sw_workqueue_take(q, 0)) && strcmp(key, "DV lone/x") != 0)
        before_x++;
    assert_true(before_x <= 1);
    expect_take(q, 0, before_x ? "DV crowd/1" : "DV crowd/0");
    expect_take(q, 0, "DV lone/y");
    sw_workqueue_free(q);
}

static void one_namespace_is_served_in_the_order_of_arrival(void **state)
{
    struct sw_workqueue *q = make();
    char key[32];

    /* Never empty in between, and the head is re-added at the tail. */
    for (unsigned i = 0; i < 10; i++) {
        (void)snprintf(key, sizeof(key), "DV a/%u", i);
        sw_workqueue_add(q, key, 0);
    }
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "DV a/%u", i % 10);
        expect_take(q, 0, key);
        sw_workqueue_add(q, key, 0);
        sw_workqueue_done(q, key, 0);
    }
    assert_int_equal(sw_workqueue_stats(q).depth, 10);
    sw_workqueue_free(q);
}

/* Thousands of keys come and go: the table grows and nothing is lost or given out twice. */
static void no_key_is_lost_among_many(void **state)
{
    struct sw_workqueue *q = make();
    enum { N = 5000 };
    static unsigned char seen[N];
    const char *key;

    memset(seen, 0, sizeof(seen));
    for (unsigned i = 0; i < N; i++) {
        char text[40];

        (void)snprintf(text, sizeof(text), "DV ns-%u/dv-%u", i % 97, i);
        if (i % 2)
            sw_workqueue_add(q, text, 0);
        else
            sw_workqueue_add_after(q, text, 0, 1 + i);
    }
    while ((key = sw_workqueue_take(q, N + 1))) {
        const char *digits = strrchr(key, '-') + 1;
        unsigned i = 0;

        for (; *digits; digits++)
            i = i * 10 + (unsigned)(*digits - '0');
        assert_in_range(i, 0, N - 1);
        seen[i]++;
        sw_workqueue_done(q, key, N + 1);
    }
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(sw_workqueue_stats(q).working, 0);
    assert_int_equal(sw_workqueue_stats(q).taken, N);
    sw_workqueue_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_added_twice_is_taken_once),
        cmocka_unit_test(a_key_is_never_given_to_two_workers),
        cmocka_unit_test(a_timer_that_fires_during_the_work_causes_another_round),
        cmocka_unit_test(the_earlier_of_two_timers_wins),
        cmocka_unit_test(taking_a_key_forgets_its_timer),
        cmocka_unit_test(timers_fire_in_the_order_of_their_times),
        cmocka_unit_test(back_off_doubles_up_to_its_ceiling_and_starts_over),
        cmocka_unit_test(back_off_spreads_keys),
        cmocka_unit_test(namespaces_take_turns),
        cmocka_unit_test(one_namespace_is_served_in_the_order_of_arrival),
        cmocka_unit_test(no_key_is_lost_among_many),
    };

    return cmocka_run_group_tests_name("kube/workqueue", tests, NULL, NULL);
}
