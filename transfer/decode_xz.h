/* SPDX-License-Identifier: Apache-2.0 */
/* Block-parallel decoding of .xz. Internal to transfer/. */
#ifndef SW_TRANSFER_DECODE_XZ_H
#define SW_TRANSFER_DECODE_XZ_H

#include "transfer/pipe.h"

/* Whether the file that begins with these bytes says how long its first block is, which all writers
 * of several blocks do. */
bool sw_xz_parallel_possible(struct sw_span head);

/* Stage body in place of sw_decode_thread(), for the outermost wrapper. */
void *sw_decode_xz_thread(void *stage); /* struct sw_decode_stage */

/* Prepare to go on at a block border: check it against the index at the end of the file and leave
 * in p->xz_tail what lies before it. Returns 1, or 0 when the file's index does not know the border
 * (the import then starts over). -1: the source failed. */
SW_MUST_CHECK
int sw_xz_resume(struct sw_pipe *p, struct sw_source *s, uint64_t in_off, uint64_t out_off,
                 struct sw_err *err);

#endif
