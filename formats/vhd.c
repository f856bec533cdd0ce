/* SPDX-License-Identifier: Apache-2.0 */
/* The VHD reader: dynamic images (a fixed one is raw with a footer: raw.c). Differencing images are
 * refused: most of their disk is in another file.
 *
 * Each block begins with a bitmap of the sectors that were written. It is not looked at: a block comes
 * into being with zeroes, so a sector that was not written is zero, and the tools that people make
 * images with neither keep it nor ask it.
 *
 * Source of every fact: Microsoft, "Virtual Hard Disk Image Format Specification", version 1.0. */
#include "formats/vhd.h"

#include <stdio.h>
#include <stdlib.h>

#include "formats/table_reader.h"

#define HEADER_BYTES 1024
#define TABLE_FREE 0xffffffffu
#define VERSION_1 0x00010000u
#define BLOCK_MIN 512u
#define BLOCK_MAX (256u << 20) /* tools make 512 KiB or 2 MiB */

enum { TAG_FOOTER, TAG_HEADER, TAG_TABLE };

struct vhd {
    struct sw_table_reader t;
    struct sw_vhd_footer footer;
    uint64_t table_off;
    uint32_t block, bitmap; /* bytes; the bitmap fills whole sectors */
};

/* The one's complement of the sum of all bytes but the checksum's own four. */
static uint32_t checksum(const uint8_t *p, size_t n, size_t field)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += i >= field && i < field + 4 ? 0 : p[i];
    return ~sum;
}

int sw_vhd_parse_footer(const uint8_t *p, struct sw_vhd_footer *ret, struct sw_err *err)
{
    uint32_t want = checksum(p, SW_VHD_FOOTER_BYTES, 64), have = sw_be32(p + 64);

    if (memcmp(p, SW_VHD_COOKIE, 8) != 0)
        return sw_table_bad(err, "footer: this is not a VHD image");
    if (have != want)
        return sw_table_bad(err, "footer: checksum 0x%08x, computed 0x%08x", have, want);
    ret->data_off = sw_be64(p + 16);
    ret->size = sw_be64(p + 48);
    ret->type = sw_be32(p + 60);
    return 0;
}

int sw_vhd_judge_tail(const uint8_t *p, uint64_t off, struct sw_err *err)
{
    struct sw_vhd_footer f;
    struct sw_err none = { 0 };

    if (sw_vhd_parse_footer(p, &f, &none) < 0)
        return 0;
    if (f.type != SW_VHD_FIXED)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "vhd: footer at offset %llu: disk type %u, but the file does not begin "
                          "with its copy: the image is damaged (--format raw takes it as it is)",
                          (unsigned long long)off, f.type);
    if (f.size != off)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "vhd: footer at offset %llu: it says that the disk has %llu bytes: the "
                          "image is damaged (--format raw takes it as it is)",
                          (unsigned long long)off, (unsigned long long)f.size);
    return 1;
}

static const char *vhd_what(uint32_t tag)
{
    static const char *const names[] = { "copy of the footer", "dynamic header", "block table" };

    return names[tag];
}

static int take_footer(struct vhd *v, const uint8_t *p, struct sw_err *err)
{
    if (sw_vhd_parse_footer(p, &v->footer, err) < 0)
        return -1;
    if (v->footer.type == SW_VHD_DIFFERENCING)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "footer: a differencing image needs its parent, which is never opened: "
                          "merge it with 'Merge-VHD' or 'qemu-img convert -O qcow2' first");
    if (v->footer.type != SW_VHD_DYNAMIC)
        return sw_table_bad(err, "footer: disk type %u at the start of the file; %u is legal",
                            v->footer.type, SW_VHD_DYNAMIC);
    if (v->footer.data_off < SW_VHD_FOOTER_BYTES || v->footer.data_off % 512)
        return sw_table_bad(err, "footer: the dynamic header at offset %llu",
                            (unsigned long long)v->footer.data_off);
    v->t.first_data = SW_VHD_FOOTER_BYTES;
    return sw_table_ask(&v->t, v->footer.data_off, HEADER_BYTES, TAG_HEADER, err);
}

static int check_header(struct vhd *v, const uint8_t *p, struct sw_err *err)
{
    uint32_t want = checksum(p, HEADER_BYTES, 36), have = sw_be32(p + 36);

    if (memcmp(p, "cxsparse", 8) != 0)
        return sw_table_bad(err, "dynamic header: no 'cxsparse' at offset %llu",
                            (unsigned long long)v->footer.data_off);
    if (have != want)
        return sw_table_bad(err, "dynamic header: checksum 0x%08x, computed 0x%08x", have, want);
    if (sw_be32(p + 24) >> 16 != VERSION_1 >> 16)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "dynamic header: version 0x%08x",
                          sw_be32(p + 24));
    v->table_off = sw_be64(p + 16);
    v->block = sw_be32(p + 32);
    if (!sw_is_pow2(v->block) || v->block < BLOCK_MIN || v->block > BLOCK_MAX)
        return sw_table_bad(err,
                            "dynamic header: blocks of %u bytes; a power of two of %u to %u is "
                            "legal",
                            v->block, BLOCK_MIN, BLOCK_MAX);
    v->bitmap = (uint32_t)sw_align_up(v->block / 512 / 8, 512);
    if (v->table_off < SW_VHD_FOOTER_BYTES || v->table_off % 512)
        return sw_table_bad(err, "dynamic header: the block table at offset %llu",
                            (unsigned long long)v->table_off);
    return 0;
}

static int take_header(struct vhd *v, const uint8_t *p, struct sw_err *err)
{
    uint32_t entries = sw_be32(p + 28);
    uint64_t size = v->footer.size;

    if (check_header(v, p, err) < 0 || sw_table_disk(&v->t, size, v->block, err) < 0)
        return -1;

    uint64_t needed = size / v->block + (size % v->block != 0);
    if (needed > entries)
        return sw_table_bad(err,
                            "dynamic header: a disk of %llu bytes has %llu blocks of %u bytes, but "
                            "the table has %u",
                            (unsigned long long)size, (unsigned long long)needed, v->block,
                            entries);
    snprintf(v->t.base.detail, sizeof(v->t.base.detail), "dynamic, %u KiB blocks", v->block / 1024);
    return sw_table_ask(&v->t, v->table_off, needed * 4, TAG_TABLE, err);
}

static int take_table(struct vhd *v, uint64_t first, struct sw_span part, struct sw_err *err)
{
    for (size_t i = 0; i + 4 <= part.n; i += 4) {
        uint32_t entry = sw_be32(part.p + i);
        const struct sw_extent e = { .file_off = (uint64_t)entry * 512 + v->bitmap,
                                     .guest_off = (first + i / 4) * v->block,
                                     .file_len = v->block,
                                     .guest_len = v->block };

        if (entry == TABLE_FREE)
            continue;
        if (entry == 0)
            return sw_table_bad(err, "block table: entry %llu lies in the footer's copy",
                                (unsigned long long)(first + i / 4));
        if (sw_table_extent(&v->t, e, err) < 0)
            return -1;
    }
    return 0;
}

static int vhd_take(struct sw_table_reader *t, const struct sw_table_ref *ref, struct sw_span bytes,
                    struct sw_err *err)
{
    struct vhd *v = (struct vhd *)t;

    switch (ref->tag) {
    case TAG_FOOTER:
        return take_footer(v, bytes.p, err);
    case TAG_HEADER:
        return take_header(v, bytes.p, err);
    default:
        return take_table(v, (ref->off - v->table_off) / 4, bytes, err);
    }
}

static const struct sw_table_format vhd_format = {
    .name = "vhd",
    .what = vhd_what,
    .take = vhd_take,
};

int sw_vhd_open(const struct sw_limits *limits, uint64_t file_size, struct sw_reader **ret,
                struct sw_err *err)
{
    struct vhd *v = calloc(1, sizeof(*v));

    if (!v)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    sw_table_reader_init(&v->t, &vhd_format, limits, file_size);
    return sw_table_begin(&v->t, SW_VHD_FOOTER_BYTES, ret, err);
}
