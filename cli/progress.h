/* SPDX-License-Identifier: Apache-2.0 */
/* Progress on standard error while an import runs: a bar on a terminal, JSON lines elsewhere.
 *
 * The engine writes a struct sw_progress; a ticker samples it here. The width of the terminal is
 * asked for at every redraw, so a resized window needs no signal handler. */
#ifndef SW_CLI_PROGRESS_H
#define SW_CLI_PROGRESS_H

#include "cli/options.h"
#include "common/buf.h"
#include "transfer/import.h"

struct cli_progress_view; /* opaque */

/* Show `progress` (borrowed) until cli_progress_stop(). CLI_PROGRESS_AUTO becomes a bar when
 * standard error is a terminal, JSON lines otherwise; with CLI_PROGRESS_NONE *ret is NULL. -1 with
 * SW_ERR_INTERNAL when there is no thread to be had. */
SW_MUST_CHECK
int cli_progress_start(unsigned mode, struct sw_progress *progress, struct cli_progress_view **ret,
                       struct sw_err *err);

/* Print the last state (JSON) or wipe the bar, end the thread. Accepts NULL. */
void cli_progress_stop(struct cli_progress_view *view);

/* One look at an import, as the two renderings need it. */
struct cli_sample {
    int phase;            /* enum sw_import_phase                                 */
    uint64_t done, total; /* source bytes; total may be SW_SIZE_UNKNOWN            */
    uint64_t written;     /* bytes                                                */
    uint64_t rate;        /* source bytes per second, averaged over some seconds  */
};

/* Percentage 0 to 100, or -1 when the total is not known. 100 only when all is done. */
double cli_percent(const struct cli_sample *s);

/* The bar for a terminal of `columns` columns, without newline: what does not fit is left out, from
 * the least to the most important. Never longer than columns - 1. */
void cli_progress_bar(const struct cli_sample *s, unsigned columns, struct sw_buf *out);

/* One JSON object without newline: {"event":"progress",...}; the keys are in slipway(1). */
void cli_progress_json(const struct cli_sample *s, struct sw_buf *out);

#endif
