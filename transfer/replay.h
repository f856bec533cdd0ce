/* SPDX-License-Identifier: Apache-2.0 */
/* Bring a fresh reader to where an earlier run's was in the middle of a stream.
 *
 * A reader looks at the bytes of its metadata only (formats/reader.h: it never copies data). So its
 * state at an offset of the stream comes back by pushing everything before it again, with the true
 * bytes where it took metadata and zeroes anywhere else, and by giving it parked tables where it had
 * been given them: what it did not know then decided what was parked. What it places has been
 * placed; what was parked is still in the park's side file.
 *
 * Whether the log fits is checked: a reader that takes metadata where the log has none is told
 * nothing false, the replay fails.
 *
 * One thread. */
#ifndef SW_TRANSFER_REPLAY_H
#define SW_TRANSFER_REPLAY_H

#include <stdint.h>

#include "common/error.h"
#include "formats/reader.h"
#include "transfer/park.h"
#include "transfer/table_log.h"

/* r is fresh, park fresh and with a path, log open and unread. Afterwards the reader has been pushed
 * [0, upto), the park knows what is parked of it, and the log goes on at upto. -1 when the three do
 * not fit together, with the reason: none of them is of use any more. */
SW_MUST_CHECK
int sw_replay(struct sw_reader *r, struct sw_park *park, struct sw_table_log *log, uint64_t upto,
              struct sw_err *err);

/* With everything before pos pushed, give the reader the metadata it wants that had passed by before
 * it was known to be metadata. Returns 1 when there was any, 0, or -1. */
SW_MUST_CHECK
int sw_give_parked(struct sw_reader *r, struct sw_park *park, uint64_t pos, struct sw_err *err);

#endif
