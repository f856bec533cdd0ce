/* SPDX-License-Identifier: Apache-2.0 */
/* One request to stop, seen by every thread of a transfer. An atomic flag for those who compute and
 * an eventfd for those who wait in poll(). Setting it is async-signal-safe and may be repeated. */
#ifndef SW_COMMON_CANCEL_H
#define SW_COMMON_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct sw_cancel {
    atomic_bool set;
    int fd; /* becomes readable, and stays so, once set; for poll() only */
};

/* 0, or -1 with SW_ERR_INTERNAL when no descriptor is to be had. */
SW_MUST_CHECK
int sw_cancel_init(struct sw_cancel *c, struct sw_err *err);
void sw_cancel_done(struct sw_cancel *c);

void sw_cancel_set(struct sw_cancel *c);

/* c may be NULL: nobody can cancel then. */
static inline bool sw_cancelled(const struct sw_cancel *c)
{
    return c && atomic_load_explicit(&c->set, memory_order_relaxed);
}

/* Sleep ns nanoseconds or until cancelled. Returns 0, or -1 with SW_ERR_CANCELLED. c may be NULL. */
SW_MUST_CHECK
int sw_cancel_sleep(struct sw_cancel *c, int64_t ns, struct sw_err *err);

#endif
