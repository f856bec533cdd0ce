/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of VDI, VHD, VHDX, VMDK, QED and Parallels share: images whose tables say where in
 * the file each block of the disk is. A format says which ranges of the file hold its tables and
 * turns them into extents; everything else of formats/reader.h (the stream, parking, what lies behind
 * it, the order of placements, the end of the file) is done here.
 *
 * A format begins with struct sw_table_reader, asks for its header when it is opened, and from then
 * on for what each table tells it. Tables come in any order, each exactly once and whole; who needs
 * an order asks for the next one in next().
 *
 * One thread at a time. Memory: the ranges asked for and the map take at most limits.table_memory
 * each. Internal to formats/. */
#ifndef SW_FORMATS_TABLE_READER_H
#define SW_FORMATS_TABLE_READER_H

#include "formats/extent_map.h"
#include "formats/limits.h"
#include "formats/reader.h"

struct sw_table_reader;

/* A range of the file, with what the format remembers it by. */
struct sw_table_ref {
    uint64_t off;
    uint32_t len;
    uint32_t tag;
};

struct sw_table_format {
    const char *name;
    const char *(*what)(uint32_t tag); /* "block map": for messages */

    /* The bytes of a range that was asked for, ref->len of them. Long ranges come in pieces of
     * SW_TABLE_PIECE, each with its own offset. */
    int (*take)(struct sw_table_reader *t, const struct sw_table_ref *ref, struct sw_span bytes,
                struct sw_err *err);

    /* All that was asked for has come. Ask for more, or the map is complete. NULL: it is. */
    int (*next)(struct sw_table_reader *t, struct sw_err *err);

    /* Free what the format itself owns, not t. May be NULL. */
    void (*done)(struct sw_table_reader *t);
};

#define SW_TABLE_PIECE (1u << 20)

struct sw_table_reader {
    struct sw_reader base;
    const struct sw_table_format *format;
    struct sw_limits limits;
    uint64_t file_size; /* UINT64_MAX until known */

    struct sw_table_ref *refs; /* [0, n) by offset, but for those just asked for: [n, n_all)      */
    size_t n, n_all, cap;
    size_t behind, split; /* [behind, split): had passed by before they were asked for            */
    size_t ahead;         /* [ahead, n): still to come                                            */
    bool twins;           /* some ranges are asked for more than once                             */
    bool complete;

    uint8_t *meta; /* the range that is passing by, as far as it has come */
    size_t meta_have;

    uint64_t pos;        /* the stream up to here has been pushed */
    uint64_t first_data; /* for the format to set: nothing before it is a block or a table that is
                            still to be asked for, so nothing before it is parked */
    struct sw_extent_map map, late;
    size_t cursor, need_cursor;
};

/* Fill the common part of a zeroed reader. */
void sw_table_reader_init(struct sw_table_reader *t, const struct sw_table_format *format,
                          const struct sw_limits *limits, uint64_t file_size);

/* The end of an open(): ask for the header, [0, header_len), with tag 0. Takes t, on failure too. */
SW_MUST_CHECK
int sw_table_begin(struct sw_table_reader *t, uint32_t header_len, struct sw_reader **ret,
                   struct sw_err *err);

/* Ask for [off, off + len). -1 with SW_ERR_BAD_DATA when that is not inside the file,
 * SW_ERR_UNSUPPORTED when it is more than may be remembered. */
SW_MUST_CHECK
int sw_table_ask(struct sw_table_reader *t, uint64_t off, uint64_t len, uint32_t tag,
                 struct sw_err *err);

/* The header is known: the size of the disk in bytes (rounded up to 512 here) and of its blocks. -1
 * with SW_ERR_UNSUPPORTED above the limit. */
SW_MUST_CHECK
int sw_table_disk(struct sw_table_reader *t, uint64_t guest_size, uint32_t granule,
                  struct sw_err *err);

/* An extent of the map; a plain one is cut at the end of the disk. -1 with SW_ERR_BAD_DATA when the
 * file ends before it does, or as sw_extent_map_add(). Compressed ones only when the map is complete
 * before the first push(). */
SW_MUST_CHECK
int sw_table_extent(struct sw_table_reader *t, struct sw_extent e, struct sw_err *err);

/* SW_ERR_UNSUPPORTED that shows the name of a backing file, printable characters only. */
int sw_table_refuse_backing(struct sw_span name, struct sw_err *err);

/* For a table that contradicts the specification. */
#define sw_table_bad(err, ...) sw_err_set((err), SW_ERR_BAD_DATA, __VA_ARGS__)

extern const struct sw_reader_ops sw_table_reader_ops;

#endif
