/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a stream that passed by before it was known where they belong.
 *
 *   regular file    a sparse side file beside the target, at the offsets they had in the image
 *   device, export  a little memory, then the target itself, between and beyond what is already
 *                   placed there (transfer/park_device.h)
 *   no target       memory, up to a limit
 *
 * What is kept of the bookkeeping is bounded: 2^20 runs of 24 bytes, and what park_device.h says.
 * At the end, whatever it is, the target shows nothing that was parked. The side file belongs to the
 * target, which removes it, or keeps it for a later run.
 *
 * One thread (the map stage), but for sync(). */
#ifndef SW_TRANSFER_PARK_H
#define SW_TRANSFER_PARK_H

#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"

struct sw_park;
struct sw_reader;
struct sw_target;

/* path: the side file, created when the first byte is parked; NULL: in memory, at most max_memory
 * bytes. */
SW_MUST_CHECK
int sw_park_open(const char *path, uint64_t max_memory, struct sw_park **ret, struct sw_err *err);

/* On a target that is a device or an export, prepared fresh, through the engine's lane; max_memory
 * bytes in memory before that. Both are borrowed; the reader is asked for its granule. Nobody else
 * uses the lane while the park is in use: an import that can be resumed, whose journal does, knows
 * its map before the stream begins and parks nothing. */
SW_MUST_CHECK
int sw_park_open_device(struct sw_target *t, const struct sw_reader *reader, uint64_t max_memory,
                        struct sw_park **ret, struct sw_err *err);
void sw_park_close(struct sw_park *p); /* accepts NULL; leaves the side file */

/* An earlier run parked [off, off + len) in the side file at path; in ascending order, before the
 * first put(). -1 with SW_ERR_BAD_DATA when the file has not that many bytes, SW_ERR_NOT_FOUND
 * without one. */
SW_MUST_CHECK
int sw_park_restore(struct sw_park *p, uint64_t off, uint64_t len, struct sw_err *err);

/* Make durable what was parked in the side file. From any thread. */
SW_MUST_CHECK
int sw_park_sync(struct sw_park *p, struct sw_err *err);

/* Keep these bytes of the stream; offsets ascend from call to call. -1 with SW_ERR_NO_SPACE, or with
 * SW_ERR_UNSUPPORTED when memory or the bound on runs is the limit; both say what to do instead. */
SW_MUST_CHECK
int sw_park_put(struct sw_park *p, uint64_t off, struct sw_span bytes, struct sw_err *err);

/* Read [off, off + len) back, all of which must have been put: otherwise -1 with SW_ERR_BAD_DATA. */
SW_MUST_CHECK
int sw_park_get(struct sw_park *p, uint64_t off, void *buf, size_t len, struct sw_err *err);

/* How many bytes from off on were put without a gap. */
uint64_t sw_park_have(const struct sw_park *p, uint64_t off);

/* Nothing before offset `upto` of the image will be read again, and nothing parked any more: what
 * that frees can be used. */
SW_MUST_CHECK
int sw_park_drop(struct sw_park *p, uint64_t upto, struct sw_err *err);

/* To be called before a writer hears of guest range [off, off + len): what is parked there moves.
 * Errors as sw_park_put(). */
SW_MUST_CHECK
int sw_park_claim(struct sw_park *p, uint64_t off, uint64_t len, struct sw_err *err);

/* Nothing is needed any more: on a device all that was parked reads as zero again. */
SW_MUST_CHECK
int sw_park_clear(struct sw_park *p, struct sw_err *err);

/* Bytes parked so far. */
uint64_t sw_park_bytes(const struct sw_park *p);

#endif
