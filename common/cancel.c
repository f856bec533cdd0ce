/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cancel.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "common/clock.h"

int sw_cancel_init(struct sw_cancel *c, struct sw_err *err)
{
    atomic_init(&c->set, false);
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->fd < 0)
        return sw_err_sys(err, errno, "create an eventfd");
    return 0;
}

void sw_cancel_done(struct sw_cancel *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

void sw_cancel_set(struct sw_cancel *c)
{
    int saved = errno;

    atomic_store(&c->set, true);
    (void)!eventfd_write(c->fd, 1);
    errno = saved;
}

int sw_cancel_sleep(struct sw_cancel *c, int64_t ns, struct sw_err *err)
{
    struct pollfd p = { .fd = c ? c->fd : -1, .events = POLLIN };
    int64_t end = sw_now_ns() + ns;

    /* Again after a signal: an EINTR must not turn a back-off into a busy loop. */
    for (int64_t left = ns; left > 0 && !sw_cancelled(c); left = end - sw_now_ns()) {
        struct timespec t = { .tv_sec = left / SW_NS_PER_SEC, .tv_nsec = left % SW_NS_PER_SEC };

        (void)ppoll(&p, 1, &t, NULL);
    }
    if (sw_cancelled(c))
        return sw_err_set(err, SW_ERR_CANCELLED, "cancelled");
    return 0;
}
