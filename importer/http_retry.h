/* SPDX-License-Identifier: Apache-2.0 */
/* When to try a failed request again, and when to give up.
 *
 * The n-th attempt in a row without progress waits 250 ms * 2^n, at most 30 s, of which a random
 * half is taken off so that lanes do not come back in step; a server's Retry-After is honoured up to
 * 60 s. Progress, 64 KiB of new bytes, starts the count again and makes the next attempt immediate:
 * a connection that is cut every MiB costs nothing but the reconnect, and one that dribbles a byte
 * per attempt still ends.
 *
 * One thread per struct. */
#ifndef SW_IMPORTER_HTTP_RETRY_H
#define SW_IMPORTER_HTTP_RETRY_H

#include <stdint.h>

#include "common/cancel.h"

#define SW_HTTP_RETRIES 8
#define SW_HTTP_RETRY_PROGRESS (UINT64_C(64) << 10)

struct sw_http_retry {
    unsigned max; /* attempts after the first that may fail in a row */
    unsigned used;
    uint64_t progress; /* bytes since the last failure that counted       */
    uint64_t random;   /* state of the jitter; 0 is replaced              */
    struct sw_cancel *cancel;
};

void sw_http_retry_progress(struct sw_http_retry *r, uint64_t bytes);

/* How long to wait before the next attempt, ns, or -1 when there is none. Counts it as used. */
int64_t sw_http_retry_delay(struct sw_http_retry *r, uint64_t retry_after_sec);

/* err is what the attempt failed with. 0: it is worth another attempt, and the wait is over. -1: it
 * is not (err stands, with the number of attempts in front), or SW_ERR_CANCELLED. */
SW_MUST_CHECK
int sw_http_retry_wait(struct sw_http_retry *r, uint64_t retry_after_sec, struct sw_err *err);

#endif
