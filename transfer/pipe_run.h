/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a pipe, for import.c: fill in the fields that say what to do (o, limits, source,
 * target, reader, wraps, prefix, start_at, digests, ...), then open, run, close. */
#ifndef SW_TRANSFER_PIPE_RUN_H
#define SW_TRANSFER_PIPE_RUN_H

#include "transfer/pipe.h"

/* Takes all memory of the pipe. On failure sw_pipe_close() is still due. */
SW_MUST_CHECK
int sw_pipe_open(struct sw_pipe *p, struct sw_err *err);

/* Run to the end: every thread has been joined when this returns. */
SW_MUST_CHECK
int sw_pipe_run(struct sw_pipe *p, struct sw_err *err);

/* Each stage's times and the bottleneck, into ret; after a run. */
void sw_stages_report(struct sw_pipe *p, struct sw_import_result *ret);

void sw_pipe_close(struct sw_pipe *p);

#endif
