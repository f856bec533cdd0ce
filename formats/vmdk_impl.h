/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the VMDK reader share: vmdk.c reads headers and tables, vmdk_walk.c follows the
 * markers of a stream-optimized image, vmdk_text.c reads descriptors. Internal to formats/.
 *
 * Source of every fact: VMware, "Virtual Disk Format 5.0" (technical note, 2011). All numbers are
 * little-endian, offsets count sectors of 512 bytes. */
#ifndef SW_FORMATS_VMDK_IMPL_H
#define SW_FORMATS_VMDK_IMPL_H

#include "formats/table_reader.h"

#define SW_VMDK_SECTOR 512u
#define SW_VMDK_GT_ENTRIES 512u
#define SW_VMDK_GT_BYTES (SW_VMDK_GT_ENTRIES * 4u)
#define SW_VMDK_MARKER_BYTES 16u /* of a grain: 12, and the first bytes of its data */
#define SW_VMDK_GD_AT_END UINT64_MAX

/* A compressed grain in the file is at most this much larger than on the disk. */
static inline uint32_t sw_vmdk_grain_file_max(uint32_t grain)
{
    return 2 * grain + 4096;
}

struct sw_vmdk_header {
    uint8_t bytes[SW_VMDK_SECTOR]; /* as it is in the file: the footer repeats it */
    uint64_t size;                 /* of the disk, bytes                          */
    uint32_t grain;                /* bytes                                       */
    uint32_t n_gt;                 /* grain tables that cover the disk            */
    uint64_t descriptor_off, descriptor_len, gd_off, data_off; /* bytes; gd_off may be _GD_AT_END */
    bool compressed;  /* every block of the file begins with a marker */
    bool zero_grains; /* table entry 1 means zeroes                   */
};

/* Grain tables by their place, as they pass by. */
struct sw_vmdk_gt_sum {
    uint64_t off;
    uint64_t sum; /* see sw_vmdk_gt_sum() */
};

enum sw_vmdk_walk_state { WALK_MARKER, WALK_GRAIN, WALK_META, WALK_SKIP, WALK_END };

struct sw_vmdk_walk {
    bool on;
    enum sw_vmdk_walk_state state;
    uint64_t at;   /* offset of the marker that is being looked at         */
    uint64_t next; /* WALK_SKIP: of the next one                           */
    uint8_t marker[SW_VMDK_MARKER_BYTES];
    size_t have; /* of the marker, or of meta                            */
    uint32_t type;
    uint32_t grain_len; /* file bytes of the grain, marker included         */

    uint8_t *meta; /* the table or footer that is passing by               */
    uint64_t meta_off;
    size_t meta_len, meta_cap;

    uint32_t **seen; /* [n_gt]: sectors of the grains that were placed, NULL: none of the table */
    uint32_t *gd;    /* [n_gt]: the grain directory                                             */
    uint64_t gd_off, gd_want, footer_off; /* where it was, where it must be, where that was said */
    struct sw_vmdk_gt_sum *sums;          /* ascending by off */
    size_t n_sums, cap_sums;
    uint64_t memory; /* bytes that seen, gd and sums take */
};

struct sw_vmdk {
    struct sw_table_reader t;
    struct sw_vmdk_header h;
    bool footer_read, tightened;
    struct sw_vmdk_walk walk;
};

/* ---- vmdk.c ---- */

/* The footer at offset off: the header once more, but for the place of the directory, which it returns
 * in bytes. -1 with SW_ERR_BAD_DATA. */
SW_MUST_CHECK
int sw_vmdk_parse_footer(const struct sw_vmdk_header *h, const uint8_t *p, uint64_t off,
                         uint64_t *ret_gd_off, struct sw_err *err);

/* ---- vmdk_walk.c ---- */

/* Begin to follow the markers: the image is a stream. */
SW_MUST_CHECK
int sw_vmdk_walk_begin(struct sw_vmdk *v, struct sw_err *err);
void sw_vmdk_walk_done(struct sw_vmdk *v);

/* Tables that stand in front of the grains, for the comparison in the end. */
SW_MUST_CHECK
int sw_vmdk_walk_gd(struct sw_vmdk *v, uint64_t off, struct sw_span part, uint64_t first,
                    struct sw_err *err);
SW_MUST_CHECK
int sw_vmdk_walk_gt(struct sw_vmdk *v, uint64_t off, struct sw_span table, struct sw_err *err);

SW_MUST_CHECK
int sw_vmdk_walk_push(struct sw_vmdk *v, uint64_t off, struct sw_span bytes,
                      const struct sw_out *out, struct sw_err *err);

/* The file has ended: everything that its tables name has passed by, and nothing else. */
SW_MUST_CHECK
int sw_vmdk_walk_finish(struct sw_vmdk *v, uint64_t file_size, struct sw_err *err);

/* ---- vmdk_text.c ---- */

/* The descriptor inside an image: -1 with SW_ERR_UNSUPPORTED when the disk needs other files. */
SW_MUST_CHECK
int sw_vmdk_check_descriptor(struct sw_span text, struct sw_err *err);

#endif
