/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ticker.h"

#include <pthread.h>
#include <signal.h>

#include "common/cancel.h"

struct cli_ticker {
    int64_t period_ns;
    cli_tick *tick;
    void *ctx;
    struct sw_cancel stop;
    pthread_t thread;
};

static void *ticker_main(void *arg)
{
    struct cli_ticker *t = arg;
    struct sw_err err = { 0 };

    while (sw_cancel_sleep(&t->stop, t->period_ns, &err) == 0)
        t->tick(t->ctx);
    return NULL;
}

/* Signals belong to the main thread: a new thread inherits the mask, so block them around it. */
static int spawn_quietly(struct cli_ticker *t)
{
    sigset_t all;
    sigset_t old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int sys = pthread_create(&t->thread, NULL, ticker_main, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return sys;
}

int cli_ticker_start(int64_t period_ns, cli_tick *tick, void *ctx, struct cli_ticker **ret,
                     struct sw_err *err)
{
    sw_autofree struct cli_ticker *t = calloc(1, sizeof(*t));

    if (!t)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    t->period_ns = period_ns;
    t->tick = tick;
    t->ctx = ctx;
    if (sw_cancel_init(&t->stop, err) < 0)
        return -1;
    int sys = spawn_quietly(t);
    if (sys) {
        sw_cancel_done(&t->stop);
        return sw_err_sys(err, sys, "start a thread");
    }
    *ret = sw_steal(t);
    return 0;
}

void cli_ticker_stop(struct cli_ticker *t)
{
    if (!t)
        return;
    sw_cancel_set(&t->stop);
    pthread_join(t->thread, NULL);
    sw_cancel_done(&t->stop);
    free(t);
}
