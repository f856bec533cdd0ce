/* SPDX-License-Identifier: Apache-2.0 */
#include "common/cancel.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

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
    struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

    (void)ppoll(&p, 1, &t, NULL);
    if (sw_cancelled(c))
        return sw_err_set(err, SW_ERR_CANCELLED, "cancelled");
    return 0;
}
