/* SPDX-License-Identifier: Apache-2.0 */
/* Where the bytes of an image come from. A source is opened once and then read in one of two ways:
 *
 *   seekable    read_at() from up to `lanes` threads at once, each with its own lane number
 *   stream      read() from one thread, in order
 *
 * The engine makes the threads; a source makes none of its own. Retries, back-off and stall
 * detection happen inside read_at() and read(): what comes out as an error is final.
 *
 * Implemented by importer/source_file.c, importer/source_http.c, importer/source_nbd.c. */
#ifndef SW_TRANSFER_SOURCE_H
#define SW_TRANSFER_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cancel.h"
#include "common/error.h"

#define SW_SIZE_UNKNOWN UINT64_MAX

struct sw_source; /* each kind's own struct begins with this one */

struct sw_source_ops {
    const char *name; /* "http" */

    /* Seekable sources. Fill exactly len bytes from `off` (off + len <= size). lane < lanes; one
     * thread per lane at a time. Returns 0, or -1: SW_ERR_TRANSIENT (retries used up),
     * SW_ERR_BAD_DATA (the object changed under us, a lying server), SW_ERR_DENIED,
     * SW_ERR_NOT_FOUND, SW_ERR_CANCELLED. */
    int (*read_at)(struct sw_source *s, unsigned lane, void *buf, size_t len, uint64_t off,
                   struct sw_err *err);

    /* Streams. Up to len bytes (len > 0): the number read, 0 at the end of the stream, or -1. An
     * end before the promised length is an error, never a short success. */
    ssize_t (*read)(struct sw_source *s, void *buf, size_t len, struct sw_err *err);

    /* Seekable sources, may be NULL (then all is data): whether the bytes at `off` are known to be
     * zero without reading them, and for how many bytes (at least 1, at most len) that answer
     * holds. Called from one thread, not at the same time as itself, maybe while lanes read. */
    int (*status)(struct sw_source *s, uint64_t off, uint64_t len, bool *ret_zero,
                  uint64_t *ret_len, struct sw_err *err);

    void (*close)(struct sw_source *s); /* accepts NULL; all lanes are idle */
};

struct sw_source {
    const struct sw_source_ops *ops;
    bool seekable;
    unsigned lanes;   /* threads that may call read_at() at once, at least 1                  */
    uint64_t size;    /* bytes; SW_SIZE_UNKNOWN only when not seekable                         */
    char *url;        /* for people and the journal: no password, no query secrets; owned     */
    char *name;       /* last path segment, percent-decoded ("disk.qcow2"); "" if none; owned  */
    char *validator;  /* what changes when the content does (strong ETag, or Last-Modified and
                            length; device and inode and mtime for a file); NULL: cannot resume;
                            owned                                                                */
    uint64_t fetched; /* bytes taken from the network so far (atomic add by the lanes)         */
};

#define SW_LANES_MAX 16

/* Release what the common part owns; called by each kind's close(). */
void sw_source_done(struct sw_source *s);

static inline void sw_source_close(struct sw_source *s)
{
    if (s)
        s->ops->close(s);
}

#endif
