/* SPDX-License-Identifier: Apache-2.0 */
/* Decode one compressed cluster of an image in one call. One inflater per thread; it owns about
 * 200 KiB, taken in open() and used again for each cluster.
 *
 * What is accepted is what QEMU's qcow2 driver accepts (block/qcow2-threads.c):
 *
 *   deflate  the output is exactly full. Whether the stream has reached its end marker then is not
 *            asked: QEMU takes zlib's Z_BUF_ERROR for success when no room is left.
 *   zstd     frames are decoded one after the other until the output is exactly full, and the last
 *            one must end there. Skippable frames are skipped.
 *   vmdk     a marker with the length of the zlib stream behind it, which is decoded as deflate is;
 *            a wrong Adler-32 is an error.
 *
 * The input may go on behind the data (the size of a cluster is known to the sector only).
 * Sources: RFC 1951, RFC 8878, QEMU docs/interop/qcow2 "Compressed Clusters Descriptor". */
#ifndef SW_FORMATS_INFLATE_H
#define SW_FORMATS_INFLATE_H

#include "common/bytes.h"
#include "common/error.h"
#include "formats/reader.h"

struct sw_inflater;

enum sw_inflate_path {
    SW_INFLATE_FAST,     /* libdeflate; what it refuses is shown to zlib, whose verdict counts */
    SW_INFLATE_PORTABLE, /* zlib alone: for tests                                              */
};

/* -1 with SW_ERR_INTERNAL (memory). */
SW_MUST_CHECK
int sw_inflater_open(enum sw_inflate_path path, struct sw_inflater **ret, struct sw_err *err);

/* Decode `in` into exactly out_len bytes at out; out_len is 1 to 2^30. On failure out holds
 * anything. codec is any but SW_CODEC_NONE.
 * -1 with SW_ERR_BAD_DATA (corrupt, or fewer or more bytes came out; the message tells which) or
 * SW_ERR_UNSUPPORTED (a zstd frame that needs a dictionary). */
SW_MUST_CHECK
int sw_inflate(struct sw_inflater *f, enum sw_codec codec, struct sw_span in, uint8_t *out,
               size_t out_len, struct sw_err *err);

void sw_inflater_close(struct sw_inflater *f); /* accepts NULL */

#endif
