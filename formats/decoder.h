/* SPDX-License-Identifier: Apache-2.0 */
/* A decoder turns the bytes of one wrapper into what is inside: of a compression (gzip, xz, zstd,
 * bzip2) all of it, of a container (tar, zip) the one member that is a disk image.
 * Pure: no descriptors, no threads, no logging; all memory is taken in open() or at the first
 * header and checked against limits->decoder_memory before it is taken.
 *
 * A decoder sees the stream in order and may be given it in pieces of any size, one byte included.
 * One thread at a time. */
#ifndef SW_FORMATS_DECODER_H
#define SW_FORMATS_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"
#include "formats/limits.h"

struct sw_decoder;

/* What one step consumes from and appends to. step() advances in.p/in.n and out_len. */
struct sw_decode_io {
    struct sw_span in; /* not yet consumed                         */
    uint8_t *out;      /* room for out_cap bytes                   */
    size_t out_cap;
    size_t out_len; /* bytes of out that are filled             */
};

enum sw_wrap {
    SW_WRAP_NONE,
    SW_WRAP_GZIP,
    SW_WRAP_XZ,
    SW_WRAP_ZSTD,
    SW_WRAP_BZIP2,
    SW_WRAP_TAR,
    SW_WRAP_ZIP,
    SW_WRAP_COUNT_,
};

struct sw_decoder_ops {
    const char *name; /* "gzip": prefix of every error message */

    /* Take the memory that is needed. Returns 0 and *ret, or -1 with SW_ERR_INTERNAL. */
    int (*open)(const struct sw_limits *limits, struct sw_decoder **ret, struct sw_err *err);

    /* Decode until the input is used up or the output is full, whichever comes first, or until a
     * boundary (below), so that the caller can note it. Always makes progress when in.n > 0 and out
     * has room. With in.n == 0 it may still append output that it holds back; when it appends
     * none, there is no more.
     * All members, streams and frames of the wrapper are decoded one after the other; bytes behind
     * the last one that do not begin another (other than the padding that the format allows) are
     * SW_ERR_BAD_DATA.
     * Returns 0, or -1 with SW_ERR_BAD_DATA (corrupt, checksum wrong), SW_ERR_UNSUPPORTED (window
     * or dictionary over the limit, with both numbers; filter unknown). */
    int (*step)(struct sw_decoder *d, struct sw_decode_io *io, struct sw_err *err);

    /* The input has ended and step() appends nothing more: returns 0 when the last member is
     * complete, else -1 with SW_ERR_BAD_DATA ("truncated ..."). */
    int (*finish)(struct sw_decoder *d, struct sw_err *err);

    /* Whether the decoder stands exactly between two independently decodable pieces (gzip members,
     * zstd frames, xz streams, bzip2 streams), with everything it consumed given out: decoding can
     * be resumed here by a new decoder that is fed from the next byte on, after set_resumed().
     * False at the very start. */
    bool (*at_boundary)(const struct sw_decoder *d);

    /* Tell a decoder fresh from open() that it stands at such a boundary: then padding, or the end
     * of the input, may come first. */
    void (*set_resumed)(struct sw_decoder *d);

    void (*close)(struct sw_decoder *d); /* accepts NULL */
};

/* Which wrapper these first bytes of a stream announce, by content alone: SW_WRAP_NONE when none.
 * The whole fixed part of the magic and every header field that can be checked in the bytes given
 * is checked (a disk that begins with 1f 8b is not gzip). n may be anything from 0; 512, a block of
 * tar, are enough. */
enum sw_wrap sw_wrap_sniff(struct sw_span head);

/* Whether it is a container rather than a compression. */
bool sw_wrap_is_container(enum sw_wrap wrap);

/* "gzip", "xz", ...; "none". Never NULL. */
const char *sw_wrap_name(enum sw_wrap wrap);

/* The operations of a wrapper; NULL for SW_WRAP_NONE. */
const struct sw_decoder_ops *sw_decoder_for(enum sw_wrap wrap);

extern const struct sw_decoder_ops sw_gzip_decoder;  /* RFC 1952; formats/gzip.c  */
extern const struct sw_decoder_ops sw_xz_decoder;    /* The .xz File Format 1.2.0; formats/xz.c */
extern const struct sw_decoder_ops sw_zstd_decoder;  /* RFC 8878; formats/zstd.c  */
extern const struct sw_decoder_ops sw_bzip2_decoder; /* formats/bzip2.c           */
extern const struct sw_decoder_ops sw_tar_decoder;   /* formats/tar.c: POSIX pax, GNU tar  */
extern const struct sw_decoder_ops sw_zip_decoder;   /* formats/zip.c: APPNOTE.TXT 6.3.10  */

#endif
