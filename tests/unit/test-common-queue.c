/* SPDX-License-Identifier: Apache-2.0 */
#include "common/queue.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"

/* Items are small integers in pointer's clothing. */
static void *item(uintptr_t n)
{
    return (void *)n; /* NOLINT(performance-no-int-to-ptr) */
}

static void open_queue(struct sw_queue *q, size_t max_bytes)
{
    struct sw_err err = { 0 };

    assert_int_equal(sw_queue_init(q, max_bytes, &err), 0);
}

static void keeps_the_order(void **state)
{
    struct sw_queue q;
    void *got = NULL;

    open_queue(&q, 100);
    for (uintptr_t i = 1; i <= 3; i++)
        assert_int_equal(sw_queue_push(&q, item(i), 10), 0);
    for (uintptr_t i = 1; i <= 3; i++) {
        assert_int_equal(sw_queue_pop(&q, &got), 1);
        assert_ptr_equal(got, item(i));
    }
    sw_queue_done(&q);
}

/* The queue holds between 5 and 9 items all the time, so that head passes the end of the ring at
 * every phase and is never reset by running empty; then the ring grows while it is wrapped. */
static void wraps_without_ever_running_empty(void **state)
{
    struct sw_queue q;
    struct sw_queue_stats s;
    uintptr_t in = 0, out = 0;
    void *got = NULL;

    open_queue(&q, 1 << 20);
    while (in < 5)
        assert_int_equal(sw_queue_push(&q, item(++in), 1), 0);
    for (int round = 0; round < 10000; round++) {
        for (int i = 0; i < 1 + round % 4; i++)
            assert_int_equal(sw_queue_push(&q, item(++in), 1), 0);
        for (int i = 0; i < 1 + round % 4; i++) {
            assert_int_equal(sw_queue_pop(&q, &got), 1);
            assert_ptr_equal(got, item(++out));
        }
    }
    while (in < out + 1000)
        assert_int_equal(sw_queue_push(&q, item(++in), 1), 0);
    sw_queue_stats(&q, &s);
    assert_int_equal(s.count, 1000);
    assert_int_equal(s.bytes, 1000);
    while (out < in) {
        assert_int_equal(sw_queue_pop(&q, &got), 1);
        assert_ptr_equal(got, item(++out));
    }
    sw_queue_done(&q);
}

static void drains_after_close_and_then_says_so(void **state)
{
    struct sw_queue q;
    void *got = NULL;

    open_queue(&q, 100);
    assert_int_equal(sw_queue_push(&q, item(1), 10), 0);
    sw_queue_close(&q);
    assert_int_equal(sw_queue_push(&q, item(2), 10), -1);
    assert_int_equal(sw_queue_pop(&q, &got), 1);
    assert_ptr_equal(got, item(1));
    assert_int_equal(sw_queue_pop(&q, &got), 0);
    assert_int_equal(sw_queue_pop(&q, &got), 0);
    sw_queue_done(&q);
}

static void failing_wins_and_leaves_the_items_to_take(void **state)
{
    struct sw_queue q;
    void *got = NULL;

    open_queue(&q, 100);
    assert_int_equal(sw_queue_push(&q, item(1), 10), 0);
    assert_int_equal(sw_queue_push(&q, item(2), 10), 0);
    sw_queue_close(&q);
    sw_queue_fail(&q);
    assert_int_equal(sw_queue_pop(&q, &got), -1);
    assert_int_equal(sw_queue_push(&q, item(3), 10), -1);
    assert_ptr_equal(sw_queue_take(&q), item(1));
    assert_ptr_equal(sw_queue_take(&q), item(2));
    assert_null(sw_queue_take(&q));
    sw_queue_done(&q);
}

static void lets_an_oversized_item_pass_alone(void **state)
{
    struct sw_queue q;
    void *got = NULL;

    open_queue(&q, 100);
    assert_int_equal(sw_queue_push(&q, item(1), 1000), 0);
    assert_int_equal(sw_queue_pop(&q, &got), 1);
    sw_queue_done(&q);
}

/* One blocked call on a thread of its own; results are collected, not asserted, over there. */
struct waiter {
    struct sw_queue *q;
    pthread_t thread;
    bool pushes;
    size_t bytes;
    int result;
    atomic_int tid;
    atomic_bool done;
};

static void *wait_in_queue(void *arg)
{
    struct waiter *w = arg;
    void *got = NULL;

    w->tid = gettid();
    w->result = w->pushes ? sw_queue_push(w->q, item(99), w->bytes) : sw_queue_pop(w->q, &got);
    w->done = true;
    return NULL;
}

/* What the kernel says of a thread: it waits for something. */
static bool is_asleep(int tid)
{
    char path[64], line[256] = "";
    const char *state;
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
    f = tid ? fopen(path, "re") : NULL;
    if (!f)
        return false;
    state = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
    (void)fclose(f);
    return state && strncmp(state, ") S", 3) == 0;
}

/* Returns once the call has been waiting for 20 ms, however busy the machine is. */
static void start_waiter(struct waiter *w, struct sw_queue *q, bool pushes, size_t bytes)
{
    *w = (struct waiter){ .q = q, .pushes = pushes, .bytes = bytes };
    assert_int_equal(pthread_create(&w->thread, NULL, wait_in_queue, w), 0);
    for (int i = 0; i < 60000 && !is_asleep(w->tid); i++)
        usleep(1000);
    usleep(20000);
    assert_false(w->done);
}

static void blocks_at_the_byte_limit_and_not_below(void **state)
{
    struct sw_queue q;
    struct sw_queue_stats s;
    struct waiter w;
    void *got = NULL;

    open_queue(&q, 100);
    assert_int_equal(sw_queue_push(&q, item(1), 60), 0);
    assert_int_equal(sw_queue_push(&q, item(2), 40), 0); /* exactly full */
    start_waiter(&w, &q, true, 50);
    assert_int_equal(sw_queue_pop(&q, &got), 1);
    pthread_join(w.thread, NULL);
    assert_int_equal(w.result, 0);

    sw_queue_stats(&q, &s);
    assert_int_equal(s.bytes, 90);
    assert_true(s.blocked_ns >= 10 * SW_NS_PER_MS);
    assert_int_equal(s.starved_ns, 0);
    while (sw_queue_take(&q))
        ;
    sw_queue_done(&q);
}

static void counts_the_time_that_consumers_starve(void **state)
{
    struct sw_queue q;
    struct sw_queue_stats s;
    struct waiter w;

    open_queue(&q, 100);
    start_waiter(&w, &q, false, 0);
    assert_int_equal(sw_queue_push(&q, item(1), 1), 0);
    pthread_join(w.thread, NULL);
    assert_int_equal(w.result, 1);
    sw_queue_stats(&q, &s);
    assert_true(s.starved_ns >= 10 * SW_NS_PER_MS);
    assert_int_equal(s.blocked_ns, 0);
    sw_queue_done(&q);
}

static void wakes_everybody_when_it_ends(void **state)
{
    for (int how = 0; how < 2; how++) {
        void (*end)(struct sw_queue *) = how ? sw_queue_fail : sw_queue_close;
        struct sw_queue full, empty;
        struct waiter pushers[3], poppers[3];

        open_queue(&full, 10);
        open_queue(&empty, 10);
        assert_int_equal(sw_queue_push(&full, item(1), 10), 0);
        for (int i = 0; i < 3; i++) {
            start_waiter(&pushers[i], &full, true, 1);
            start_waiter(&poppers[i], &empty, false, 0);
        }
        end(&full);
        end(&empty);
        for (int i = 0; i < 3; i++) {
            pthread_join(pushers[i].thread, NULL);
            pthread_join(poppers[i].thread, NULL);
            assert_int_equal(pushers[i].result, -1);
            assert_int_equal(poppers[i].result, how ? -1 : 0);
        }
        assert_ptr_equal(sw_queue_take(&full), item(1));
        sw_queue_done(&full);
        sw_queue_done(&empty);
    }
}

/* Several producers and consumers through a queue of a few items, sizes mixed: every item arrives
 * once, each producer's items arrive in its order at each consumer, the limit holds. */
#define PRODUCERS 4
#define CONSUMERS 3
#define ITEMS 4000

struct crowd {
    struct sw_queue q;
    atomic_uint seen[PRODUCERS * ITEMS + 1];
    atomic_int producers_left;
    atomic_int disorder;
    atomic_size_t peak; /* bytes inside, as the consumers saw it */
};

struct member {
    struct crowd *crowd;
    unsigned id;
    pthread_t thread;
};

static void *produce(void *arg)
{
    struct member *m = arg;

    for (unsigned i = 0; i < ITEMS; i++) {
        if (sw_queue_push(&m->crowd->q, item(m->id * ITEMS + i + 1), i % 7) < 0)
            m->crowd->disorder++;
    }
    if (--m->crowd->producers_left == 0)
        sw_queue_close(&m->crowd->q);
    return NULL;
}

static void *consume(void *arg)
{
    struct member *m = arg;
    uintptr_t last[PRODUCERS] = { 0 };
    void *got = NULL;

    while (sw_queue_pop(&m->crowd->q, &got) == 1) {
        uintptr_t n = (uintptr_t)got;
        struct sw_queue_stats s;

        m->crowd->seen[n]++;
        if (n <= last[(n - 1) / ITEMS])
            m->crowd->disorder++;
        last[(n - 1) / ITEMS] = n;
        sw_queue_stats(&m->crowd->q, &s);
        size_t peak = m->crowd->peak;
        while (s.bytes > peak && !atomic_compare_exchange_weak(&m->crowd->peak, &peak, s.bytes))
            ;
    }
    return NULL;
}

static void carries_every_item_once_between_many_threads(void **state)
{
    static struct crowd crowd;
    struct member producers[PRODUCERS], consumers[CONSUMERS];

    memset(&crowd, 0, sizeof(crowd));
    crowd.producers_left = PRODUCERS;
    open_queue(&crowd.q, 50);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        consumers[i] = (struct member){ .crowd = &crowd, .id = i };
        assert_int_equal(pthread_create(&consumers[i].thread, NULL, consume, &consumers[i]), 0);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct member){ .crowd = &crowd, .id = i };
        assert_int_equal(pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    for (unsigned i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    for (unsigned i = 0; i < CONSUMERS; i++)
        pthread_join(consumers[i].thread, NULL);

    assert_int_equal(crowd.disorder, 0);
    assert_true(crowd.peak <= 50);
    for (size_t i = 1; i <= PRODUCERS * ITEMS; i++)
        assert_int_equal(crowd.seen[i], 1);
    sw_queue_done(&crowd.q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order),
        cmocka_unit_test(wraps_without_ever_running_empty),
        cmocka_unit_test(drains_after_close_and_then_says_so),
        cmocka_unit_test(failing_wins_and_leaves_the_items_to_take),
        cmocka_unit_test(lets_an_oversized_item_pass_alone),
        cmocka_unit_test(blocks_at_the_byte_limit_and_not_below),
        cmocka_unit_test(counts_the_time_that_consumers_starve),
        cmocka_unit_test(wakes_everybody_when_it_ends),
        cmocka_unit_test(carries_every_item_once_between_many_threads),
    };
    return cmocka_run_group_tests_name("common/queue", tests, NULL, NULL);
}
