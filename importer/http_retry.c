/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/http_retry.h"

#include "common/clock.h"

#define DELAY_FIRST (250 * SW_NS_PER_MS)
#define DELAY_MAX (30 * SW_NS_PER_SEC)
#define RETRY_AFTER_MAX_SEC 60

void sw_http_retry_progress(struct sw_http_retry *r, uint64_t bytes)
{
    r->progress += bytes;
}

/* xorshift64: jitter needs to differ between lanes, nothing more. */
static uint64_t next_random(struct sw_http_retry *r)
{
    uint64_t x = r->random;

    if (!x)
        x = (uint64_t)sw_now_ns() ^ (uint64_t)(uintptr_t)r;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    r->random = x;
    return x;
}

int64_t sw_http_retry_delay(struct sw_http_retry *r, uint64_t retry_after_sec)
{
    int64_t asked = (int64_t)(retry_after_sec < RETRY_AFTER_MAX_SEC ? retry_after_sec
                                                                    : RETRY_AFTER_MAX_SEC) *
                    SW_NS_PER_SEC;

    if (r->progress >= SW_HTTP_RETRY_PROGRESS) {
        r->progress = 0;
        r->used = 0;
        return asked;
    }
    if (r->used >= r->max)
        return -1;
    int64_t delay = DELAY_MAX;
    if (r->used < 16 && DELAY_FIRST << r->used < DELAY_MAX)
        delay = DELAY_FIRST << r->used;
    r->used++;
    delay = delay / 2 + (int64_t)(next_random(r) % (uint64_t)(delay / 2));
    return delay > asked ? delay : asked;
}

int sw_http_retry_wait(struct sw_http_retry *r, uint64_t retry_after_sec, struct sw_err *err)
{
    if (!sw_err_is_transient(err))
        return -1;
    int64_t delay = sw_http_retry_delay(r, retry_after_sec);
    if (delay < 0)
        return sw_err_wrap(err, "gave up after %u attempts", r->used + 1);
    return sw_cancel_sleep(r->cancel, delay, err);
}
