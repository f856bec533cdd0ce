/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#define MAX_SIGNALS 8
/* Events taken from the kernel at once: more wait there for the next turn. */
#define BATCH 64

struct signal_row {
    int signo;
    void (*fn)(void *ctx, int signo);
    void *ctx;
};

struct sw_loop {
    int epoll_fd, event_fd, signal_fd;
    int64_t now_ns;
    struct sw_loop_timer *timers; /* root of the heap: the earliest */

    struct epoll_event batch[BATCH]; /* of this turn; data.ptr NULL: unwatched meanwhile */
    int n_batch;

    pthread_mutex_t lock; /* guards calls and last_call */
    struct sw_loop_call *calls, **last_call;
    atomic_bool is_stopping;

    struct sw_loop_fd wake, signals;
    sigset_t signal_set;
    struct signal_row rows[MAX_SIGNALS];
    unsigned n_rows;
};

/* --- Timers: a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986) -------------------------- */

/* Both are roots; the earlier one becomes the other's parent. */
static struct sw_loop_timer *meld(struct sw_loop_timer *a, struct sw_loop_timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->at_ns < a->at_ns) {
        struct sw_loop_timer *swap = a;

        a = b;
        b = swap;
    }
    b->next = a->child;
    if (b->next)
        b->next->link = &b->next;
    b->link = &a->child;
    a->child = b;
    return a;
}

/* Melds a list of siblings into one heap: in pairs from the left, then the pairs from the right. */
static struct sw_loop_timer *meld_siblings(struct sw_loop_timer *first)
{
    struct sw_loop_timer *pairs = NULL, *all = NULL;

    while (first) {
        struct sw_loop_timer *a = first, *b = a->next;

        first = b ? b->next : NULL;
        a->next = NULL;
        if (b)
            b->next = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct sw_loop_timer *a = pairs;

        pairs = a->next;
        a->next = NULL;
        all = meld(all, a);
    }
    return all;
}

static void set_root(struct sw_loop *loop, struct sw_loop_timer *root)
{
    loop->timers = root;
    if (root)
        root->link = &loop->timers;
}

void sw_loop_timer_stop(struct sw_loop *loop, struct sw_loop_timer *t)
{
    struct sw_loop_timer *children;

    if (!t || !t->link)
        return;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    children = meld_siblings(t->child);
    t->child = t->next = NULL;
    t->link = NULL;
    set_root(loop, meld(loop->timers, children));
}

void sw_loop_timer_set(struct sw_loop *loop, struct sw_loop_timer *t, int64_t at_ns)
{
    sw_loop_timer_stop(loop, t);
    t->at_ns = at_ns;
    set_root(loop, meld(loop->timers, t));
}

/* Timers that a callback sets for the present or the past wait for the next turn, so that a turn
 * ends: only those that are due at its beginning run. */
static void run_timers(struct sw_loop *loop)
{
    struct sw_loop_timer *due = NULL, **last = &due;

    /* Detached from the heap, they hang in a list by `next`; `link` keeps them stoppable. */
    while (loop->timers && loop->timers->at_ns <= loop->now_ns) {
        struct sw_loop_timer *t = loop->timers;

        sw_loop_timer_stop(loop, t);
        *last = t;
        t->link = last;
        last = &t->next;
    }
    while (due) {
        struct sw_loop_timer *t = due;

        due = t->next;
        if (due)
            due->link = &due;
        t->next = NULL;
        t->link = NULL;
        t->fn(t->ctx);
    }
}

/* --- Descriptors ------------------------------------------------------------------------------ */

int sw_loop_watch(struct sw_loop *loop, struct sw_loop_fd *node, int fd, uint32_t events,
                  struct sw_err *err)
{
    struct epoll_event e = { .events = events, .data.ptr = node };

    assert(!node->is_watched || node->fd == fd);
    if (epoll_ctl(loop->epoll_fd, node->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) < 0)
        return sw_err_sys(err, errno, "watch descriptor %d", fd);
    node->fd = fd;
    node->is_watched = true;
    return 0;
}

void sw_loop_unwatch(struct sw_loop *loop, struct sw_loop_fd *node)
{
    if (!node->is_watched)
        return;
    /* Fails when the descriptor was closed already, which took it out as well. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, node->fd, NULL);
    node->is_watched = false;
    for (int i = 0; i < loop->n_batch; i++) {
        if (loop->batch[i].data.ptr == node)
            loop->batch[i].data.ptr = NULL;
    }
}

static void run_descriptors(struct sw_loop *loop)
{
    for (int i = 0; i < loop->n_batch; i++) {
        struct sw_loop_fd *node = loop->batch[i].data.ptr;

        if (node)
            node->fn(node->ctx, node->fd, loop->batch[i].events);
    }
    loop->n_batch = 0;
}

/* --- Calls ------------------------------------------------------------------------------------ */

static void wake_up(struct sw_loop *loop)
{
    uint64_t one = 1;

    /* Fails only when the counter is full: then it wakes already. */
    (void)!write(loop->event_fd, &one, sizeof(one));
}

void sw_loop_post(struct sw_loop *loop, struct sw_loop_call *call)
{
    SW_LOCK_SCOPE(&loop->lock);

    if (call->is_posted)
        return;
    call->is_posted = true;
    call->next = NULL;
    *loop->last_call = call;
    loop->last_call = &call->next;
    wake_up(loop);
}

void sw_loop_unpost(struct sw_loop *loop, struct sw_loop_call *call)
{
    SW_LOCK_SCOPE(&loop->lock);
    struct sw_loop_call **at = &loop->calls;

    if (!call->is_posted)
        return;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    if (!*at)
        loop->last_call = at;
    call->is_posted = false;
}

static struct sw_loop_call *next_call(struct sw_loop *loop)
{
    SW_LOCK_SCOPE(&loop->lock);
    struct sw_loop_call *call = loop->calls;

    if (!call)
        return NULL;
    loop->calls = call->next;
    if (!loop->calls)
        loop->last_call = &loop->calls;
    call->is_posted = false;
    return call;
}

/* Those that are there now, and not what they post: that is for the next turn, so that descriptors
 * and timers are never starved. */
static size_t count_calls(struct sw_loop *loop)
{
    SW_LOCK_SCOPE(&loop->lock);
    size_t n = 0;

    for (struct sw_loop_call *c = loop->calls; c; c = c->next)
        n++;
    return n;
}

static void run_calls(struct sw_loop *loop)
{
    for (size_t n = count_calls(loop); n; n--) {
        struct sw_loop_call *call = next_call(loop);

        if (!call)
            return; /* one was taken back */
        call->fn(call->ctx);
    }
}

static bool has_calls(struct sw_loop *loop)
{
    SW_LOCK_SCOPE(&loop->lock);

    return loop->calls;
}

static void on_wake(void *ctx, int fd, uint32_t events)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof(count));
}

/* --- Signals ---------------------------------------------------------------------------------- */

static void on_signal(void *ctx, int fd, uint32_t events)
{
    struct sw_loop *loop = ctx;
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    for (unsigned i = 0; i < loop->n_rows; i++) {
        if (loop->rows[i].signo == (int)info.ssi_signo)
            loop->rows[i].fn(loop->rows[i].ctx, loop->rows[i].signo);
    }
}

int sw_loop_on_signal(struct sw_loop *loop, int signo, void (*fn)(void *ctx, int signo), void *ctx,
                      struct sw_err *err)
{
    if (loop->n_rows == MAX_SIGNALS)
        return sw_err_set(err, SW_ERR_INTERNAL, "more than %d signals", MAX_SIGNALS);
    sigaddset(&loop->signal_set, signo);

    int failed = pthread_sigmask(SIG_BLOCK, &loop->signal_set, NULL);
    if (failed)
        return sw_err_sys(err, failed, "block signal %d", signo);

    int fd = signalfd(loop->signal_fd, &loop->signal_set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return sw_err_sys(err, errno, "signalfd for signal %d", signo);
    loop->signal_fd = fd;
    loop->signals.fn = on_signal;
    loop->signals.ctx = loop;
    loop->rows[loop->n_rows++] = (struct signal_row){ signo, fn, ctx };
    return sw_loop_watch(loop, &loop->signals, fd, EPOLLIN, err);
}

/* --- Life ------------------------------------------------------------------------------------- */

static int loop_init(struct sw_loop *loop, struct sw_err *err)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return sw_err_sys(err, errno, "epoll_create1");
    loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->event_fd < 0)
        return sw_err_sys(err, errno, "eventfd");
    loop->wake.fn = on_wake;
    return sw_loop_watch(loop, &loop->wake, loop->event_fd, EPOLLIN, err);
}

int sw_loop_open(struct sw_loop **ret, struct sw_err *err)
{
    sw_auto_loop struct sw_loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for the loop");
    loop->epoll_fd = loop->event_fd = loop->signal_fd = -1;
    pthread_mutex_init(&loop->lock, NULL);
    sigemptyset(&loop->signal_set);
    loop->last_call = &loop->calls;
    loop->now_ns = sw_now_ns();
    if (loop_init(loop, err) < 0)
        return -1;
    *ret = sw_steal(loop);
    return 0;
}

void sw_loop_close(struct sw_loop *loop)
{
    if (!loop)
        return;
    sw_cleanup_close(&loop->signal_fd);
    sw_cleanup_close(&loop->event_fd);
    sw_cleanup_close(&loop->epoll_fd);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

int64_t sw_loop_now(const struct sw_loop *loop)
{
    return loop->now_ns;
}

/* How long to sleep, in ms, rounded up so that a timer is due when we wake. */
static int sleep_ms(struct sw_loop *loop, int64_t wait_ns)
{
    if (has_calls(loop))
        return 0;
    if (loop->timers) {
        int64_t until = loop->timers->at_ns - sw_now_ns();

        until = until > 0 ? until : 0;
        wait_ns = wait_ns < 0 || until < wait_ns ? until : wait_ns;
    }
    if (wait_ns < 0)
        return -1;

    int64_t ms = (wait_ns + SW_NS_PER_MS - 1) / SW_NS_PER_MS;
    return ms < 1000000 ? (int)ms : 1000000;
}

int sw_loop_turn(struct sw_loop *loop, int64_t wait_ns, struct sw_err *err)
{
    int n = epoll_wait(loop->epoll_fd, loop->batch, BATCH, sleep_ms(loop, wait_ns));

    if (n < 0 && errno != EINTR)
        return sw_err_sys(err, errno, "epoll_wait");
    loop->n_batch = n < 0 ? 0 : n;
    loop->now_ns = sw_now_ns();
    run_timers(loop);
    run_descriptors(loop);
    run_calls(loop);
    return 0;
}

int sw_loop_run(struct sw_loop *loop, struct sw_err *err)
{
    while (!atomic_exchange(&loop->is_stopping, false)) {
        if (sw_loop_turn(loop, -1, err) < 0)
            return -1;
    }
    return 0;
}

void sw_loop_stop(struct sw_loop *loop)
{
    atomic_store(&loop->is_stopping, true);
    wake_up(loop);
}
