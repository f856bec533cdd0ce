/* SPDX-License-Identifier: Apache-2.0 */
/* Buffered writes that do not stay in the page cache. Each lane collects the ranges it wrote; when
 * they reach a window it starts their write-back without waiting, waits for the window before (by
 * then usually done) and drops that one's pages. So a lane never has more than two windows of page
 * cache, disk and writer overlap, and each page goes to the disk once.
 *
 * Source: sync_file_range(2), posix_fadvise(2). */
#ifndef SW_TRANSFER_WRITE_BEHIND_H
#define SW_TRANSFER_WRITE_BEHIND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

#define SW_WB_RANGES 64 /* pieces that do not touch; more of them end a window early */

struct sw_wb_window {
    struct {
        uint64_t off, end;
    } range[SW_WB_RANGES];
    unsigned n;
    uint64_t bytes;
};

/* One thread at a time; zeroed at the start. */
struct sw_wb_lane {
    struct sw_wb_window now, before;
};

struct sw_write_behind {
    int fd;              /* the buffered descriptor; borrowed */
    uint64_t window;     /* bytes per lane */
    atomic_bool refused; /* sync_file_range() does not work here (some FUSE and network file
                            systems); the kernel's own write-back has to do */
};

/* Note that [off, off + len) was just written through wb->fd. -1 when the write-back of this lane's
 * earlier bytes failed (EIO, ENOSPC, EDQUOT): sync_file_range() consumes the error, a later
 * fdatasync() would not report it again. */
SW_MUST_CHECK
int sw_write_behind_add(struct sw_write_behind *wb, struct sw_wb_lane *lane, uint64_t off,
                        uint64_t len, struct sw_err *err);

#endif
