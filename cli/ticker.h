/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that calls one function at a steady pace while the main thread is busy with an import:
 * the progress display and the status file live on it. */
#ifndef SW_CLI_TICKER_H
#define SW_CLI_TICKER_H

#include <stdint.h>

#include "common/error.h"

struct cli_ticker; /* opaque */

typedef void cli_tick(void *ctx);

/* Call tick(ctx) on a thread of its own every period_ns nanoseconds, the first time one period from
 * now. All signals are blocked there. -1 with SW_ERR_INTERNAL. */
SW_MUST_CHECK
int cli_ticker_start(int64_t period_ns, cli_tick *tick, void *ctx, struct cli_ticker **ret,
                     struct sw_err *err);

/* Wait for a running tick, end the thread, free. After this tick is not called again. Accepts
 * NULL. */
void cli_ticker_stop(struct cli_ticker *t);

#endif
