/* SPDX-License-Identifier: Apache-2.0 */
/* A tar archive, read as a stream: members, and their data with its holes. libarchive does it, and
 * no other file includes its headers. Names and links come out as the archive has them: hostile
 * until formats/member_name.h has seen them.
 *
 * ustar, pax, GNU (long names, sparse members of all kinds) and old tar are read; compressions are
 * not: those are taken off before.
 *
 * One thread at a time; the thread that opens it also closes it. */
#ifndef SW_TRANSFER_ARCHIVE_READ_H
#define SW_TRANSFER_ARCHIVE_READ_H

#include <stdint.h>
#include <time.h>

#include "common/bytes.h"
#include "common/error.h"
#include "formats/limits.h"

enum sw_member_kind {
    SW_MEMBER_FILE,
    SW_MEMBER_DIR,
    SW_MEMBER_SYMLINK,
    SW_MEMBER_HARDLINK, /* `link` names an earlier member      */
    SW_MEMBER_SPECIAL,  /* a device node, a fifo, a socket     */
};

/* Strings are valid until the next call. */
struct sw_member {
    enum sw_member_kind kind;
    const char *name; /* as in the archive                                        */
    const char *link; /* what a link points to; NULL otherwise                    */
    uint64_t size;    /* bytes of the file, holes included                        */
    uint64_t stored;  /* of them in the archive: not more than size               */
    unsigned mode;    /* permission bits, set-id bits and all: 07777              */
    struct timespec mtime;
};

/* Where the bytes come from: the next ones, at least one, which stay where they are until the next
 * call. Returns 1, 0 at the end of the stream, or -1. */
struct sw_archive_feed {
    int (*more)(void *ctx, struct sw_span *ret, struct sw_err *err);
    void *ctx;
};

struct sw_archive;

SW_MUST_CHECK
int sw_archive_open(const struct sw_archive_feed *feed, const struct sw_limits *limits,
                    struct sw_archive **ret, struct sw_err *err);

/* The next member; what was left of the data of the one before is skipped. Returns 1; 0 at the end
 * of the archive, which is where its end mark is and not where the stream ends; -1 with
 * SW_ERR_BAD_DATA (no tar archive, damaged, cut), SW_ERR_UNSUPPORTED (more than
 * limits->member_head bytes in front of a member) or the feed's error. */
SW_MUST_CHECK
int sw_archive_next(struct sw_archive *a, struct sw_member *ret, struct sw_err *err);

/* The next bytes of the member's data and where in the file they belong, ascending; between them are
 * holes. Returns 1, 0 at the end of the member, -1. */
SW_MUST_CHECK
int sw_archive_data(struct sw_archive *a, struct sw_span *ret, uint64_t *ret_off,
                    struct sw_err *err);

void sw_archive_close(struct sw_archive *a); /* accepts NULL */

#endif
