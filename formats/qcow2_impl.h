/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the qcow2 reader share: qcow2.c follows the stream, qcow2_tables.c turns
 * tables into extents. Internal to formats/. */
#ifndef SW_FORMATS_QCOW2_IMPL_H
#define SW_FORMATS_QCOW2_IMPL_H

#include "formats/extent_map.h"
#include "formats/qcow2_header.h"
#include "formats/reader.h"

enum sw_qcow2_stage { STAGE_HEADER, STAGE_BACKING, STAGE_L1, STAGE_L2, STAGE_COMPLETE };

/* Compressed clusters are addressed in sectors: the last one may hold the start of another. */
#define SW_QCOW2_SECTOR 512

struct sw_l2_ref {
    uint64_t off; /* of the table in the file */
    uint32_t l1_index;
};

struct sw_qcow2 {
    struct sw_reader base;
    struct sw_limits limits;
    struct sw_qcow2_header h;
    uint64_t file_size; /* UINT64_MAX until known */
    enum sw_qcow2_stage stage;

    struct sw_l2_ref *l2; /* in L1 order while the L1 is read, then sorted by off       */
    size_t l2_n, l2_cap;
    uint64_t l1_have; /* bytes of the L1 table read                                  */
    size_t l2_behind; /* [l2_behind, l2_split): had passed by before the L1 said so */
    size_t l2_split;
    size_t l2_ahead; /* [l2_ahead, l2_n): still to come                             */

    uint8_t *meta; /* the range that is passing by, as far as it has come         */
    size_t meta_have;

    uint64_t pos;        /* the stream up to here has been pushed                      */
    uint64_t park_until; /* park up to here although the map is complete               */
    struct sw_extent_map map, late;
    size_t cursor;      /* push() and keep()                                           */
    size_t need_cursor; /* needed(), which another thread may call                     */
};

/* Turn one L2 table, a whole cluster, into extents of q->map (or q->late, behind the stream).
 * -1 with SW_ERR_BAD_DATA, or as sw_extent_map_add(). */
SW_MUST_CHECK
int sw_qcow2_load_l2(struct sw_qcow2 *q, const struct sw_l2_ref *ref, struct sw_span table,
                     struct sw_err *err);

/* Cut what lies beyond the end of the file off an extent, where that is legal; q->file_size is
 * known. -1 with SW_ERR_BAD_DATA: the file is truncated. */
SW_MUST_CHECK
int sw_qcow2_clip(const struct sw_qcow2 *q, struct sw_extent *e, struct sw_err *err);

#endif
