/* SPDX-License-Identifier: Apache-2.0 */
/* What a regular file and a block device have in common as sinks: one descriptor that bypasses the
 * page cache and one that does not, write-behind on the latter, and the zero ladder.
 *
 * Every write is cut in up to three pieces: a middle that starts and ends on `align` and whose memory
 * is aligned goes through O_DIRECT, what is left at the edges (or all of it) through the page cache.
 * The two never touch the same page at the same time, because `align` is at least a page and callers
 * never overlap; and the kernel writes back and drops cached pages under a direct write or read. So
 * either descriptor reads what the other wrote. (True for the local file systems and NFS of Linux;
 * a file system for which it is not refuses O_DIRECT.)
 *
 * Internal to transfer/: only sink_file.c, sink_block.c and the tests look inside. */
#ifndef SW_TRANSFER_FD_SINK_H
#define SW_TRANSFER_FD_SINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "transfer/sink.h"
#include "transfer/write_behind.h"
#include "transfer/zero_ladder.h"

#define SW_SINK_ALIGN 4096 /* bytes; the page, and the largest logical block in use */

struct sw_fd_sink {
    struct sw_sink base;
    int fd;             /* buffered */
    int direct_fd;      /* O_DIRECT, or -1 */
    atomic_bool direct; /* direct_fd is there and has not refused a write */
    uint64_t align;     /* of offsets and lengths of direct transfers, bytes */
    uint64_t mem_align; /* of their memory, bytes */
    bool fixed_size;    /* a device: nothing past base.size */
    struct sw_zero_ladder ladder;
    struct sw_write_behind behind;
    struct sw_wb_lane lane[]; /* base.lanes of them */
};

/* Take over two open descriptors (direct_fd may be -1), also on failure. path is copied. The caller
 * sets base.size, base.reads_zero and fixed_size afterwards. */
SW_MUST_CHECK
int sw_fd_sink_new(const struct sw_sink_ops *ops, const char *path, unsigned lanes,
                   const int fds[2], struct sw_fd_sink **ret, struct sw_err *err);

/* The operations, as sink.h describes them. */
int sw_fd_sink_pwrite(struct sw_sink *s, unsigned lane, const void *buf, size_t len, uint64_t off,
                      struct sw_err *err);
int sw_fd_sink_zero(struct sw_sink *s, unsigned lane, uint64_t off, uint64_t len,
                    struct sw_err *err);
int sw_fd_sink_pread(struct sw_sink *s, unsigned lane, void *buf, size_t len, uint64_t off,
                     struct sw_err *err);
int sw_fd_sink_flush(struct sw_sink *s, struct sw_err *err);
void sw_fd_sink_close(struct sw_sink *s);

/* Write zeroes, whatever the ladder could do. */
int sw_fd_sink_write_zeroes(struct sw_sink *s, unsigned lane, uint64_t off, uint64_t len,
                            struct sw_err *err);

#endif
