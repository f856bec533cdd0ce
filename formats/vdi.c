/* SPDX-License-Identifier: Apache-2.0 */
/* The VDI reader: dynamic and static images. One block map of 32-bit entries, all blocks of one size.
 * Undo and differencing images are refused: most of their disk is in another file.
 *
 * Source of every fact: the layout of the VDI preheader and header 1.1 as VirtualBox documents them
 * (VDICore.h's comments, and the article "All about VDIs" of the VirtualBox forum); sizes and offsets
 * are little-endian. Blocks that are "zero" or were never written read as zero. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/table_reader.h"

#define HEADER_BYTES 0x1c8 /* up to and with the parent's UUID */
#define MAGIC 0xbeda107fu
#define VERSION_1_1 0x00010001u

#define TYPE_DYNAMIC 1u
#define TYPE_STATIC 2u

/* Both read as zero: never written, and discarded. */
#define BLOCK_FREE 0xffffffffu
#define BLOCK_ZERO 0xfffffffeu

#define BLOCK_MIN 512u
#define BLOCK_MAX (256u << 20) /* an extent is a 32-bit number of bytes; VirtualBox makes 1 MiB */

enum { TAG_HEADER, TAG_MAP };

struct vdi {
    struct sw_table_reader t;
    uint64_t map_off, data_off;
    uint32_t block, blocks;
};

static const char *vdi_what(uint32_t tag)
{
    return tag == TAG_HEADER ? "header" : "block map";
}

static int check_type(const uint8_t *h, struct sw_err *err)
{
    uint32_t version = sw_le32(h + 0x44), type = sw_le32(h + 0x4c);

    if (sw_le32(h + 0x40) != MAGIC)
        return sw_table_bad(err, "this is not a VDI image");
    if (version != VERSION_1_1)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "header: version 0x%08x; 0x%08x is supported",
                          version, VERSION_1_1);
    if (type != TYPE_DYNAMIC && type != TYPE_STATIC)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "header: image type %u (%s) needs another file, which is never opened: "
                          "flatten it with 'qemu-img convert -O qcow2' or 'VBoxManage clonemedium'",
                          type,
                          type == 4   ? "differencing"
                          : type == 3 ? "undo"
                                      : "unknown");
    if (!sw_is_zero(h + 0x1a8, 32))
        return sw_err_set(
            err, SW_ERR_UNSUPPORTED,
            "header: the image names a parent, which is never opened: flatten it with "
            "'VBoxManage clonemedium'");
    return 0;
}

static int check_sizes(struct vdi *v, const uint8_t *h, struct sw_err *err)
{
    uint64_t size = sw_le64(h + 0x170);
    uint32_t sector = sw_le32(h + 0x168), extra = sw_le32(h + 0x17c);

    v->map_off = sw_le32(h + 0x154);
    v->data_off = sw_le32(h + 0x158);
    v->block = sw_le32(h + 0x178);
    v->blocks = sw_le32(h + 0x180);
    if (sector != 512)
        return sw_table_bad(err, "header: sectors of %u bytes; only 512 is legal", sector);
    if (!sw_is_pow2(v->block) || v->block < BLOCK_MIN || v->block > BLOCK_MAX)
        return sw_table_bad(err, "header: blocks of %u bytes; a power of two of %u to %u is legal",
                            v->block, BLOCK_MIN, BLOCK_MAX);
    if (extra)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "header: %u bytes of extra data in each block",
                          extra);
    if (v->map_off < HEADER_BYTES || v->map_off % 512 || v->data_off < HEADER_BYTES ||
        v->data_off % 512)
        return sw_table_bad(err, "header: block map at offset %llu, data at offset %llu",
                            (unsigned long long)v->map_off, (unsigned long long)v->data_off);
    if (sw_table_disk(&v->t, size, v->block, err) < 0)
        return -1;

    uint64_t needed = size / v->block + (size % v->block != 0);
    if (needed > v->blocks)
        return sw_table_bad(err,
                            "header: a disk of %llu bytes has %llu blocks of %u bytes, but the map "
                            "has %u",
                            (unsigned long long)size, (unsigned long long)needed, v->block,
                            v->blocks);
    v->blocks = (uint32_t)needed;
    return 0;
}

static int take_header(struct vdi *v, const uint8_t *h, struct sw_err *err)
{
    if (check_type(h, err) < 0 || check_sizes(v, h, err) < 0)
        return -1;
    snprintf(v->t.base.detail, sizeof(v->t.base.detail), "%s, %u KiB blocks",
             sw_le32(h + 0x4c) == TYPE_STATIC ? "static" : "dynamic", v->block / 1024);
    v->t.first_data = v->data_off;
    return sw_table_ask(&v->t, v->map_off, (uint64_t)v->blocks * 4, TAG_MAP, err);
}

static int take_map(struct vdi *v, uint64_t first, struct sw_span part, struct sw_err *err)
{
    for (size_t i = 0; i + 4 <= part.n; i += 4) {
        uint32_t entry = sw_le32(part.p + i);
        uint64_t block = first + i / 4;

        if (entry == BLOCK_FREE || entry == BLOCK_ZERO)
            continue;
        /* An image never has more blocks in its file than on its disk. */
        if (entry >= v->blocks)
            return sw_table_bad(err, "block map: entry %llu is %u, but there are only %u blocks",
                                (unsigned long long)block, entry, v->blocks);

        const struct sw_extent e = { .file_off = v->data_off + (uint64_t)entry * v->block,
                                     .guest_off = block * v->block,
                                     .file_len = v->block,
                                     .guest_len = v->block };
        if (sw_table_extent(&v->t, e, err) < 0)
            return -1;
    }
    return 0;
}

static int vdi_take(struct sw_table_reader *t, const struct sw_table_ref *ref, struct sw_span bytes,
                    struct sw_err *err)
{
    struct vdi *v = (struct vdi *)t;

    if (ref->tag == TAG_HEADER)
        return take_header(v, bytes.p, err);
    return take_map(v, (ref->off - v->map_off) / 4, bytes, err);
}

static const struct sw_table_format vdi_format = {
    .name = "vdi",
    .what = vdi_what,
    .take = vdi_take,
};

int sw_vdi_open(const struct sw_limits *limits, uint64_t file_size, struct sw_reader **ret,
                struct sw_err *err)
{
    struct vdi *v = calloc(1, sizeof(*v));

    if (!v)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    sw_table_reader_init(&v->t, &vdi_format, limits, file_size);
    return sw_table_begin(&v->t, HEADER_BYTES, ret, err);
}
