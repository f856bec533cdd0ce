/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct fixture {
    struct sw_loop *loop;
    unsigned n_done;
};

static struct fixture open_fixture(void)
{
    struct fixture f = { 0 };
    struct sw_err err = { 0 };

    assert_int_equal(sw_loop_open(&f.loop, &err), 0);
    return f;
}

static void turn(struct fixture *f, int64_t wait_ns)
{
    struct sw_err err = { 0 };

    assert_int_equal(sw_loop_turn(f->loop, wait_ns, &err), 0);
}

/* --- Timers ----------------------------------------------------------------------------------- */

#define N_TIMERS 500

struct clocked {
    struct sw_loop_timer timer;
    struct crowd *crowd;
    unsigned times;
};

struct crowd {
    struct clocked all[N_TIMERS];
    int64_t last_ns;
    bool is_in_order;
};

static void note(void *ctx)
{
    struct clocked *c = ctx;

    c->times++;
    c->crowd->is_in_order &= c->timer.at_ns >= c->crowd->last_ns;
    c->crowd->last_ns = c->timer.at_ns;
}

/* Set, moved and stopped in every order, the rest comes in time's order, once each. */
static void timers_run_once_in_the_order_of_their_times(void **state)
{
    struct fixture f = open_fixture();
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    uint32_t seed = 12345;
    unsigned ran = 0, stopped = 0;

    assert_non_null(crowd);
    crowd->is_in_order = true;
    for (unsigned i = 0; i < 4 * N_TIMERS; i++) {
        struct clocked *c = &crowd->all[i % N_TIMERS];

        seed = seed * 1664525 + 1013904223;
        c->crowd = crowd;
        c->timer.fn = note;
        c->timer.ctx = c;
        if (seed >> 16 & 3)
            sw_loop_timer_set(f.loop, &c->timer, 1 + (seed >> 8) % 1000);
        else
            sw_loop_timer_stop(f.loop, &c->timer);
    }
    for (unsigned i = 0; i < N_TIMERS; i++)
        stopped += !sw_loop_timer_is_set(&crowd->all[i].timer);
    turn(&f, 0);
    for (unsigned i = 0; i < N_TIMERS; i++) {
        assert_in_range(crowd->all[i].times, 0, 1);
        ran += crowd->all[i].times;
        assert_false(sw_loop_timer_is_set(&crowd->all[i].timer));
    }
    assert_true(crowd->is_in_order);
    assert_int_equal(ran + stopped, N_TIMERS);
    assert_true(ran > N_TIMERS / 2 && stopped > 0);
    free(crowd);
    sw_loop_close(f.loop);
}

struct chain {
    struct sw_loop *loop;
    struct sw_loop_timer first, second, again;
    unsigned n_first, n_second, n_again;
};

static void run_first(void *ctx)
{
    struct chain *c = ctx;

    c->n_first++;
    sw_loop_timer_stop(c->loop, &c->second);
}

static void run_second(void *ctx)
{
    ((struct chain *)ctx)->n_second++;
}

static void run_again(void *ctx)
{
    struct chain *c = ctx;

    c->n_again++;
    sw_loop_timer_set(c->loop, &c->again, 0);
}

static void a_timer_may_stop_one_that_is_due_and_set_itself(void **state)
{
    struct fixture f = open_fixture();
    struct chain c = { .loop = f.loop,
                       .first = { .fn = run_first, .ctx = &c },
                       .second = { .fn = run_second, .ctx = &c },
                       .again = { .fn = run_again, .ctx = &c } };

    sw_loop_timer_set(f.loop, &c.first, 1);
    sw_loop_timer_set(f.loop, &c.second, 2);
    sw_loop_timer_set(f.loop, &c.again, 3);
    turn(&f, 0);
    assert_int_equal(c.n_first, 1);
    assert_int_equal(c.n_second, 0);
    assert_int_equal(c.n_again, 1); /* and not for ever */
    turn(&f, -1);                   /* does not sleep: it is due */
    assert_int_equal(c.n_again, 2);
    sw_loop_timer_stop(f.loop, &c.again);
    sw_loop_close(f.loop);
}

static void a_turn_sleeps_until_the_first_timer(void **state)
{
    struct fixture f = open_fixture();
    struct chain c = { .loop = f.loop, .first = { .fn = run_first, .ctx = &c } };
    int64_t due = sw_now_ns() + 20 * SW_NS_PER_MS;

    sw_loop_timer_set(f.loop, &c.first, due);
    while (!c.n_first)
        turn(&f, -1);
    assert_true(sw_now_ns() >= due);
    sw_loop_close(f.loop);
}

/* --- Descriptors ------------------------------------------------------------------------------ */

struct pair {
    struct sw_loop *loop;
    struct sw_loop_fd nodes[2];
    int fds[2][2];
    unsigned n_events;
};

/* Whichever comes first takes the other one away. */
static void close_other(void *ctx, int fd, uint32_t events)
{
    struct pair *p = ctx;
    int other = p->nodes[0].fd == fd ? 1 : 0;

    p->n_events++;
    sw_loop_unwatch(p->loop, &p->nodes[other]);
}

static void no_event_reaches_a_descriptor_that_is_not_watched_any_more(void **state)
{
    struct fixture f = open_fixture();
    struct pair p = { .loop = f.loop };
    struct sw_err err = { 0 };

    for (int i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p.fds[i]), 0);
        p.nodes[i] = (struct sw_loop_fd){ .fn = close_other, .ctx = &p };
        assert_int_equal(sw_loop_watch(f.loop, &p.nodes[i], p.fds[i][0], EPOLLIN, &err), 0);
        assert_int_equal(send(p.fds[i][1], "x", 1, 0), 1);
    }
    turn(&f, -1);
    assert_int_equal(p.n_events, 1);
    for (int i = 0; i < 2; i++) {
        sw_loop_unwatch(f.loop, &p.nodes[i]);
        close(p.fds[i][0]);
        close(p.fds[i][1]);
    }
    turn(&f, 0);
    assert_int_equal(p.n_events, 1);
    sw_loop_close(f.loop);
}

static void reports_a_descriptor_that_cannot_be_watched(void **state)
{
    struct fixture f = open_fixture();
    struct sw_loop_fd node = { .fn = close_other };
    struct sw_err err = { 0 };

    assert_int_equal(sw_loop_watch(f.loop, &node, 1 << 20, EPOLLIN, &err), -1);
    assert_int_equal(err.sys, EBADF);
    assert_false(node.is_watched);
    sw_loop_close(f.loop);
}

/* --- Calls ------------------------------------------------------------------------------------ */

#define N_POSTS 20000

struct poster {
    struct sw_loop *loop;
    struct sw_loop_call call, last;
    unsigned n_calls;
    bool is_over;
};

static void on_call(void *ctx)
{
    ((struct poster *)ctx)->n_calls++;
}

static void on_last(void *ctx)
{
    struct poster *p = ctx;

    p->is_over = true;
    sw_loop_stop(p->loop);
}

static void *post_many(void *ctx)
{
    struct poster *p = ctx;

    for (unsigned i = 0; i < N_POSTS; i++)
        sw_loop_post(p->loop, &p->call);
    sw_loop_post(p->loop, &p->last);
    return NULL;
}

static void calls_come_from_other_threads(void **state)
{
    struct fixture f = open_fixture();
    struct poster p = { .loop = f.loop,
                        .call = { .fn = on_call, .ctx = &p },
                        .last = { .fn = on_last, .ctx = &p } };
    struct sw_err err = { 0 };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, post_many, &p), 0);
    assert_int_equal(sw_loop_run(f.loop, &err), 0);
    pthread_join(thread, NULL);
    assert_true(p.is_over);
    assert_in_range(p.n_calls, 1, N_POSTS);
    sw_loop_close(f.loop);
}

static void a_call_is_taken_back(void **state)
{
    struct fixture f = open_fixture();
    struct poster p = { .loop = f.loop,
                        .call = { .fn = on_call, .ctx = &p },
                        .last = { .fn = on_last, .ctx = &p } };

    sw_loop_post(f.loop, &p.call);
    sw_loop_post(f.loop, &p.last);
    sw_loop_unpost(f.loop, &p.last);
    sw_loop_unpost(f.loop, &p.last);
    turn(&f, 0);
    assert_int_equal(p.n_calls, 1);
    assert_false(p.is_over);
    sw_loop_post(f.loop, &p.last); /* the list's end is right again */
    turn(&f, -1);
    assert_true(p.is_over);
    sw_loop_close(f.loop);
}

static void post_itself(void *ctx)
{
    struct poster *p = ctx;

    p->n_calls++;
    sw_loop_post(p->loop, &p->call);
}

static void a_call_that_posts_itself_lets_the_turn_end(void **state)
{
    struct fixture f = open_fixture();
    struct poster p = { .loop = f.loop, .call = { .fn = post_itself, .ctx = &p } };

    sw_loop_post(f.loop, &p.call);
    turn(&f, -1);
    turn(&f, -1);
    assert_int_equal(p.n_calls, 2);
    sw_loop_unpost(f.loop, &p.call);
    sw_loop_close(f.loop);
}

/* --- Signals ---------------------------------------------------------------------------------- */

static void on_signal(void *ctx, int signo)
{
    *(int *)ctx += signo;
}

static void signals_arrive_as_calls(void **state)
{
    struct fixture f = open_fixture();
    struct sw_err err = { 0 };
    int usr1 = 0, usr2 = 0;

    assert_int_equal(sw_loop_on_signal(f.loop, SIGUSR1, on_signal, &usr1, &err), 0);
    assert_int_equal(sw_loop_on_signal(f.loop, SIGUSR2, on_signal, &usr2, &err), 0);
    raise(SIGUSR2);
    turn(&f, -1);
    assert_int_equal(usr1, 0);
    assert_int_equal(usr2, SIGUSR2);
    raise(SIGUSR1);
    turn(&f, -1);
    assert_int_equal(usr1, SIGUSR1);
    sw_loop_close(f.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_run_once_in_the_order_of_their_times),
        cmocka_unit_test(a_timer_may_stop_one_that_is_due_and_set_itself),
        cmocka_unit_test(a_turn_sleeps_until_the_first_timer),
        cmocka_unit_test(no_event_reaches_a_descriptor_that_is_not_watched_any_more),
        cmocka_unit_test(reports_a_descriptor_that_cannot_be_watched),
        cmocka_unit_test(calls_come_from_other_threads),
        cmocka_unit_test(a_call_is_taken_back),
        cmocka_unit_test(a_call_that_posts_itself_lets_the_turn_end),
        cmocka_unit_test(signals_arrive_as_calls),
    };
    return cmocka_run_group_tests_name("net/loop", tests, NULL, NULL);
}
