/* SPDX-License-Identifier: Apache-2.0 */
/* One thread that waits for everything: descriptors, timers, signals, and calls from elsewhere.
 *
 * All nodes (struct sw_loop_fd, sw_loop_timer, sw_loop_call) live inside their owner's structs, so
 * that nothing here allocates and nothing can fail for want of memory. A zeroed node, with fn and
 * ctx filled in, is idle; its owner stops it before it goes away. Callbacks may start and stop any
 * node, their own included, and may free what contains it once it is stopped; they never block.
 *
 * Order within one turn: timers that are due (earliest first), then descriptors, then calls.
 *
 * Thread rule: all on the loop's thread (the one in sw_loop_run()), except sw_loop_post() and
 * sw_loop_stop(), which any thread may call as long as the loop exists. */
#ifndef SW_NET_LOOP_H
#define SW_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/error.h"

struct sw_loop; /* opaque */

/* -1 with the kind of the errno that epoll_create1() or eventfd() gave, or SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_loop_open(struct sw_loop **ret, struct sw_err *err);

/* Every node must be stopped by then, but signals. NULL is fine. */
void sw_loop_close(struct sw_loop *loop);

static inline void sw_cleanup_loop(struct sw_loop **loop)
{
    sw_loop_close(*loop);
}
#define sw_auto_loop __attribute__((cleanup(sw_cleanup_loop)))

/* Run callbacks until sw_loop_stop(); may be called again afterwards. Returns 0, or -1 when
 * epoll_wait() fails. */
SW_MUST_CHECK
int sw_loop_run(struct sw_loop *loop, struct sw_err *err);

/* One turn: wait at most wait_ns (0: not at all, -1: for ever) for something, and do it. 0 or -1. */
SW_MUST_CHECK
int sw_loop_turn(struct sw_loop *loop, int64_t wait_ns, struct sw_err *err);

/* Make sw_loop_run() return after the present turn. Any thread. */
void sw_loop_stop(struct sw_loop *loop);

/* Monotonic ns as of the present turn's beginning: cheap, and the same for all callbacks of it. */
int64_t sw_loop_now(const struct sw_loop *loop);

/* --- Descriptors ------------------------------------------------------------------------------ */

struct sw_loop_fd {
    void (*fn)(void *ctx, int fd, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP */
    void *ctx;
    int fd;
    bool is_watched; /* ours */
};

/* Watch fd for events (level-triggered), or change what it is watched for. -1 with errno's kind. */
SW_MUST_CHECK
int sw_loop_watch(struct sw_loop *loop, struct sw_loop_fd *node, int fd, uint32_t events,
                  struct sw_err *err);

/* Before the descriptor is closed. Events of this turn that did not yet reach it are dropped. */
void sw_loop_unwatch(struct sw_loop *loop, struct sw_loop_fd *node);

/* --- Timers ----------------------------------------------------------------------------------- */

/* A pairing heap: setting is O(1), the rest O(log n) amortized. */
struct sw_loop_timer {
    void (*fn)(void *ctx);
    void *ctx;
    int64_t at_ns;                              /* when it is due; ours from here on */
    struct sw_loop_timer *child, *next, **link; /* link NULL: idle */
};

/* Call fn once at at_ns (the clock of sw_now_ns()), instead of when it was set for before. A time in
 * the past is the next turn. */
void sw_loop_timer_set(struct sw_loop *loop, struct sw_loop_timer *timer, int64_t at_ns);

/* NULL and idle timers are fine. */
void sw_loop_timer_stop(struct sw_loop *loop, struct sw_loop_timer *timer);

static inline bool sw_loop_timer_is_set(const struct sw_loop_timer *timer)
{
    return timer->link;
}

/* --- Calls ------------------------------------------------------------------------------------ */

struct sw_loop_call {
    void (*fn)(void *ctx);
    void *ctx;
    struct sw_loop_call *next; /* ours from here on */
    bool is_posted;
};

/* Call fn once on the loop's thread, in a later turn or at the end of this one, in the order of
 * posting. Posting what is posted already does nothing. Any thread. */
void sw_loop_post(struct sw_loop *loop, struct sw_loop_call *call);

/* Take it back before it ran. */
void sw_loop_unpost(struct sw_loop *loop, struct sw_loop_call *call);

/* --- Signals ---------------------------------------------------------------------------------- */

/* Deliver a signal (SIGTERM, SIGINT, SIGHUP) as a call instead of to the process: it is blocked in
 * the calling thread, and in those that it starts later, so call this first. At most 8 signals, each
 * once; they stay blocked after sw_loop_close(). -1: SW_ERR_INTERNAL or errno's kind. */
SW_MUST_CHECK
int sw_loop_on_signal(struct sw_loop *loop, int signo, void (*fn)(void *ctx, int signo), void *ctx,
                      struct sw_err *err);

#endif
