/* SPDX-License-Identifier: Apache-2.0 */
/* Where the disk goes: a regular file, a block device, an NBD export. A sink takes random-access
 * writes from several threads and knows how its storage makes zeroes. It knows nothing of images,
 * journals or verification; transfer/target.h builds "verified before visible" on top of it.
 *
 * Thread rule: pwrite, zero and pread may be called at the same time from different lanes on ranges
 * that do not overlap; everything else from one thread while the lanes are idle, but flush, which may be called
 * while lanes write. */
#ifndef SW_TRANSFER_SINK_H
#define SW_TRANSFER_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct sw_sink; /* each kind's own struct begins with this one */

struct sw_sink_ops {
    const char *name; /* "file", "block", "nbd" */

    /* Write all of buf. lane < lanes. buf, len and off need no alignment, but multiples of 4096
     * take the fast path. Counts into written. -1: SW_ERR_NO_SPACE or the errno's kind. */
    int (*pwrite)(struct sw_sink *s, unsigned lane, const void *buf, size_t len, uint64_t off,
                  struct sw_err *err);

    /* Make [off, off + len) read as zero the cheapest way that works (punch hole, zero range,
     * discard that promises zeroes, write zeroes); a rung that was refused is not tried again. */
    int (*zero)(struct sw_sink *s, unsigned lane, uint64_t off, uint64_t len, struct sw_err *err);

    /* Read back exactly len bytes. */
    int (*pread)(struct sw_sink *s, unsigned lane, void *buf, size_t len, uint64_t off,
                 struct sw_err *err);

    /* Everything written so far survives a power cut when this returns 0. */
    int (*flush)(struct sw_sink *s, struct sw_err *err);

    void (*close)(struct sw_sink *s); /* accepts NULL */
};

struct sw_sink {
    const struct sw_sink_ops *ops;
    char *path;       /* for messages; owned                                              */
    uint64_t size;    /* bytes it holds: device size, export size; for a file what it was
                          last set to                                                     */
    unsigned lanes;   /* threads that may call at once                                    */
    bool reads_zero;  /* everything not yet written reads as zero                         */
    uint64_t written; /* bytes written so far (atomic add by the lanes)                   */
};

enum sw_prealloc { SW_PREALLOC_OFF, SW_PREALLOC_FALLOC, SW_PREALLOC_FULL };

/* A regular file, created with mode 0600 if it is not there, opened as it is if it is. O_DIRECT
 * when the file system takes it; unaligned pieces go through the page cache and are dropped from it
 * behind the writer. use_direct false forces the portable path (tests). */
SW_MUST_CHECK
int sw_sink_open_file(const char *path, unsigned lanes, bool use_direct, struct sw_sink **ret,
                      struct sw_err *err);

/* Set the length of a file sink (sparse growth; what is cut off is gone) and reserve space as asked. SW_ERR_NO_SPACE with both numbers when falloc does
 * not fit. */
SW_MUST_CHECK
int sw_sink_file_resize(struct sw_sink *s, uint64_t size, enum sw_prealloc prealloc,
                        struct sw_err *err);

/* A block device, opened exclusively (O_EXCL: a mounted one is refused) and never created. */
SW_MUST_CHECK
int sw_sink_open_block(const char *path, unsigned lanes, bool use_direct, struct sw_sink **ret,
                       struct sw_err *err);

/* An NBD export (nbd://, nbds://, nbd+unix://), opened for writing; one connection per lane when
 * the server allows several (can_multi_conn), else one shared. TLS options come with the URI. */
SW_MUST_CHECK
int sw_sink_open_nbd(const char *uri, unsigned lanes, struct sw_sink **ret, struct sw_err *err);

static inline void sw_sink_close(struct sw_sink *s)
{
    if (s)
        s->ops->close(s);
}

#endif
