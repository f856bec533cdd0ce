/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a stream that passed by before it was known where they belong. Kept in a sparse side
 * file of the same claim, at the offsets they had in the image, so that no index is needed to find
 * them; block targets have no side file: there they are kept in memory up to a limit.
 *
 * One thread (the map stage). */
#ifndef SW_TRANSFER_PARK_H
#define SW_TRANSFER_PARK_H

#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"

struct sw_park;

/* path: the side file, created when the first byte is parked; NULL: in memory, at most max_memory
 * bytes. */
SW_MUST_CHECK
int sw_park_open(const char *path, uint64_t max_memory, struct sw_park **ret, struct sw_err *err);
void sw_park_close(struct sw_park *p); /* accepts NULL; removes the side file */

/* Keep these bytes of the stream; offsets ascend from call to call. -1 with SW_ERR_NO_SPACE. */
SW_MUST_CHECK
int sw_park_put(struct sw_park *p, uint64_t off, struct sw_span bytes, struct sw_err *err);

/* Read [off, off + len) back, all of which must have been put: otherwise -1 with SW_ERR_BAD_DATA. */
SW_MUST_CHECK
int sw_park_get(struct sw_park *p, uint64_t off, void *buf, size_t len, struct sw_err *err);

/* Bytes parked so far. */
uint64_t sw_park_bytes(const struct sw_park *p);

#endif
