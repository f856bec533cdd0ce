/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's ways to make a range of a descriptor read as zero, cheapest first. A rung that a
 * target refused is taken away for good, so that each refusal costs one system call per target and
 * not one per range.
 *
 *   PUNCH   fallocate(PUNCH_HOLE | KEEP_SIZE): a file gives the blocks back; a block device unmaps
 *           them, and the kernel does so only when it can promise that they read as zero
 *   RANGE   fallocate(ZERO_RANGE | KEEP_SIZE): a file keeps the blocks, marked unwritten; a block
 *           device zeroes them itself (WRITE SAME, WRITE ZEROES) or the kernel writes zeroes
 *   OUT     ioctl(BLKZEROOUT), for kernels whose block devices have no fallocate (before 4.9)
 *
 * Below the last rung the caller writes zeroes. BLKDISCARD is no rung: what it leaves behind is not
 * defined. Source: fallocate(2); Linux block/fops.c, blkdev_fallocate(). */
#ifndef SW_TRANSFER_ZERO_LADDER_H
#define SW_TRANSFER_ZERO_LADDER_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/error.h"

enum sw_zero_rung {
    SW_ZERO_PUNCH = 1,
    SW_ZERO_RANGE = 2,
    SW_ZERO_OUT = 4,
};

struct sw_zero_ladder {
    atomic_uint rungs; /* SW_ZERO_* that were not refused yet; any thread */
};

/* Make [off, off + len) of fd read as zero. Returns 1 when it does, 0 when no rung is left (nothing
 * is promised about the range; write zeroes), or -1 with the errno's kind. A block device wants off
 * and len in multiples of its logical block. Callable from several threads on ranges that do not
 * overlap. */
SW_MUST_CHECK
int sw_zero_ladder_try(struct sw_zero_ladder *l, int fd, uint64_t off, uint64_t len,
                       struct sw_err *err);

#endif
