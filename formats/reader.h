/* SPDX-License-Identifier: Apache-2.0 */
/* An image reader is a stream transducer: it is fed the bytes of an image file in file order and
 * says where they belong on the guest's disk. It never touches a descriptor, a thread or a clock,
 * and it never copies data: a placement names ranges of the file, and the engine, which still holds
 * those bytes, moves them.
 *
 * Two ways to feed one reader:
 *
 *   seekable source    want()/give() until want() returns 0: the reader now knows its whole map.
 *                      Then push() the file, or only the ranges that needed() names.
 *   stream             push() from the first byte. The reader picks its metadata out of what passes
 *                      by; bytes whose meaning is not known yet are parked. Metadata that lies
 *                      behind the stream is asked for with want() and comes from the park.
 *
 * Guest bytes that no placement covers read as zero.
 *
 * One thread at a time. */
#ifndef SW_FORMATS_READER_H
#define SW_FORMATS_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"
#include "formats/limits.h"

struct sw_reader; /* each format's own struct begins with this one */

enum sw_codec {
    SW_CODEC_NONE,    /* the bytes as they are: file_len == guest_len            */
    SW_CODEC_DEFLATE, /* one raw deflate stream (RFC 1951), garbage may follow it */
    SW_CODEC_ZSTD,    /* one zstd frame (RFC 8878), garbage may follow it         */
    SW_CODEC_VMDK,    /* a VMDK grain: marker of 12 bytes, zlib stream, garbage    */
};

/* "The bytes [file_off, file_off + file_len) of the image file, decoded with codec, are the bytes
 * [guest_off, guest_off + guest_len) of the disk." With a codec, exactly guest_len bytes must come
 * out, or the image is bad. */
struct sw_placement {
    enum sw_codec codec;
    uint64_t file_off, file_len;
    uint64_t guest_off,
        guest_len;  /* begins inside the disk; decoded clusters may reach past its end:
                                      what lies there is dropped                                    */
    uint64_t spent; /* resolve() only: no later placement names bytes before this offset   */
};

/* Where a reader sends what it finds. All return 0 or -1 with err filled, which the reader passes
 * on at once. */
struct sw_out {
    /* In push() and finish() the bytes named are among those pushed, and not before the keep() of
     * the previous call; in resolve() they were parked. */
    int (*place)(void *ctx, const struct sw_placement *p, struct sw_err *err);

    /* Keep [file_off, file_off + len), part of the bytes pushed in this call: their meaning is not
     * known yet. */
    int (*park)(void *ctx, uint64_t file_off, uint64_t len, struct sw_err *err);

    /* NULL, or: these bytes, part of those pushed in this call, were taken as metadata. Who wants to
     * go on in the middle of a stream later must keep them: pushed again with anything at all
     * between them, and given again what it was given, a fresh reader comes to the same state. */
    int (*took)(void *ctx, uint64_t file_off, struct sw_span bytes, struct sw_err *err);
    void *ctx;
};

struct sw_reader_ops {
    const char *name; /* "qcow2": prefix of every error message */

    /* The nth (from 0) of the file ranges that the reader can already say it needs before its map
     * is complete. Returns false when there are not that many; want(0) false: the map is complete.
     * len is at most SW_READER_WANT_MAX: large tables are asked for in pieces. Answers stay the
     * same until give() or push(). */
    bool (*want)(const struct sw_reader *r, unsigned nth, uint64_t *ret_off, size_t *ret_len);

    /* The bytes of the range that want(0) names; fewer only when the file ends inside it.
     * -1 with SW_ERR_BAD_DATA (contradicts the specification, ends early), SW_ERR_UNSUPPORTED
     * (legal, but refused: the message says what and what to do) or SW_ERR_INTERNAL (memory). */
    int (*give)(struct sw_reader *r, struct sw_span bytes, struct sw_err *err);

    /* Feed the bytes of the file at `off`. Calls are in ascending order and do not overlap; a gap
     * is allowed only over ranges that needed() skips. Errors as give(), and out's. */
    int (*push)(struct sw_reader *r, uint64_t off, struct sw_span bytes, const struct sw_out *out,
                struct sw_err *err);

    /* The lowest file offset that a later placement may still name, given that everything before
     * `pos` has been pushed: the engine holds the bytes from there on. pos - keep(pos) is at most
     * 4 MiB. */
    uint64_t (*keep)(struct sw_reader *r, uint64_t pos);

    /* Complete map only: the first range at or after pos whose bytes end up on the disk. Returns
     * false when there is none. */
    bool (*needed)(struct sw_reader *r, uint64_t pos, uint64_t *ret_off, uint64_t *ret_len);

    /* The whole file, file_size bytes, has been pushed: place what only the end decides. -1 with
     * SW_ERR_BAD_DATA when the file ended before all that it must hold. Afterwards want(0) may
     * still name parked ranges; once it is false, resolve() follows. */
    int (*finish)(struct sw_reader *r, uint64_t file_size, const struct sw_out *out,
                  struct sw_err *err);

    /* After finish(), complete map: place everything that had passed by before its map entry did,
     * ascending by file_off. */
    int (*resolve)(struct sw_reader *r, const struct sw_out *out, struct sw_err *err);

    /* Complete map only: the placement that holds guest byte guest_off, if any (info, boot check
     * of a remote image). Returns true and *ret, or false: then [guest_off, *ret_zero_end) reads as
     * zero. Takes time linear in the map. */
    bool (*lookup)(const struct sw_reader *r, uint64_t guest_off, struct sw_placement *ret,
                   uint64_t *ret_zero_end);

    void (*close)(struct sw_reader *r); /* accepts NULL */
};

/* Readers that need more metadata at once split it. */
#define SW_READER_WANT_MAX (2u << 20)

struct sw_reader {
    const struct sw_reader_ops *ops;
    bool has_header; /* the fields below are valid: from the first successful give() or push() of
                            the header on (raw: when the size of the file is known)                 */
    bool any_order;  /* push() may be called with ranges in any order (raw)                     */
    uint64_t
        guest_size; /* virtual disk, bytes                                                     */
    uint64_t
        data_size;    /* bytes of guest data that the map places; grows until it is complete     */
    uint32_t granule; /* bytes of the disk that are placed together: its clusters; 0: any run   */
    char detail[64];  /* "v3, 64 KiB clusters, zstd": for people                                 */
};

enum sw_format {
    SW_FORMAT_AUTO,
    SW_FORMAT_RAW,
    SW_FORMAT_QCOW2,
    SW_FORMAT_VMDK,
    SW_FORMAT_VDI,
    SW_FORMAT_VHD, /* dynamic: begins with the copy of its footer */
    SW_FORMAT_VHDX,
    SW_FORMAT_QED,
    SW_FORMAT_PARALLELS,
    SW_FORMAT_VHD_FIXED,  /* raw with a footer behind it                          */
    SW_FORMAT_RAW_OR_VHD, /* raw, unless a stream turns out to end like a fixed VHD */
    SW_FORMAT_COUNT_,
};

/* How many bytes of the start of an image sw_format_sniff() wants to see (fewer when the image is
 * shorter). */
#define SW_SNIFF_BYTES 4096

/* Decide by content what an image is. Returns 0 and *ret, or -1 with SW_ERR_UNSUPPORTED for a
 * format that is recognised and refused by name (qcow v1, LUKS, dmg, Bochs, cloop, a VMDK descriptor,
 * an HTML or XML page: the message says which and what to do). Everything else is raw, or a fixed
 * VHD, which only its end can tell: sw_format_sniff_tail(). */
SW_MUST_CHECK
int sw_format_sniff(struct sw_span head, enum sw_format *ret, struct sw_err *err);

/* For what sw_format_sniff() takes for raw. tail: the last SW_SNIFF_TAIL bytes of the image, or all of
 * a smaller one; file_size: its length. Returns 0 and *ret, raw or fixed VHD, or -1 as above, or with
 * SW_ERR_BAD_DATA for the footer of a VHD that contradicts its file. */
#define SW_SNIFF_TAIL 512
SW_MUST_CHECK
int sw_format_sniff_tail(struct sw_span tail, uint64_t file_size, enum sw_format *ret,
                         struct sw_err *err);

/* What a raw disk is, for people: "ISO 9660", or NULL. head: its first bytes, SW_KIND_BYTES if there
 * are as many. */
#define SW_KIND_BYTES (40 * 1024)
const char *sw_format_raw_kind(struct sw_span head);

/* "vhd" for both kinds of VHD, "raw" for what may be one. */
const char *sw_format_name(enum sw_format format);

/* A name to the enum; -1 with SW_ERR_USAGE that lists the names. "vhd" is SW_FORMAT_VHD: whether the
 * image is a fixed one is for the caller to see from its beginning. */
SW_MUST_CHECK
int sw_format_parse(const char *name, enum sw_format *ret, struct sw_err *err);

/* The reader of a format. file_size is the size of the image file in bytes, or UINT64_MAX when it is
 * not known yet. */
SW_MUST_CHECK
int sw_reader_open(enum sw_format format, const struct sw_limits *limits, uint64_t file_size,
                   struct sw_reader **ret, struct sw_err *err);

/* The rows of sw_reader_open()'s table: one for each format. */
typedef int sw_reader_open_fn(const struct sw_limits *limits, uint64_t file_size,
                              struct sw_reader **ret, struct sw_err *err);
sw_reader_open_fn sw_raw_open, sw_raw_or_vhd_open, sw_qcow2_open, sw_vmdk_open, sw_vdi_open,
    sw_vhd_open, sw_vhd_fixed_open, sw_vhdx_open, sw_qed_open, sw_parallels_open;

#endif
