/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic time in nanoseconds: for durations and rates, never for dates. */
#ifndef SW_COMMON_CLOCK_H
#define SW_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

#define SW_NS_PER_SEC INT64_C(1000000000)
#define SW_NS_PER_MS INT64_C(1000000)

static inline int64_t sw_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SW_NS_PER_SEC + t.tv_nsec;
}

/* CPU time of the calling thread so far. */
static inline int64_t sw_thread_cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * SW_NS_PER_SEC + t.tv_nsec;
}

#endif
