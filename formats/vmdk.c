/* SPDX-License-Identifier: Apache-2.0 */
/* The VMDK reader: hosted sparse extents that are a whole disk (monolithicSparse, streamOptimized).
 *
 * DESIGN. A grain directory names grain tables, whose entries name grains. Without compression this is
 * one more image with tables. The grains of a stream-optimized image are compressed; nothing but a
 * marker in front of each says how long it is. A source that can seek is read by its tables all the
 * same, for which only an upper bound of a grain's length is needed: the next grain, or what a grain
 * can take at most. A stream is read by its markers, as it was written: vmdk_walk.c.
 *
 * Source of every fact: VMware, "Virtual Disk Format 5.0". */
#include <stdio.h>
#include <stdlib.h>

#include "formats/vmdk_impl.h"

#define MAGIC 0x564d444bu /* "KDMV" */

#define FLAG_NEWLINES (1u << 0)
#define FLAG_ZERO_GRAINS (1u << 2)
#define FLAG_COMPRESSED (1u << 16)
#define FLAG_MARKERS (1u << 17)

#define COMPRESSION_NONE 0
#define COMPRESSION_DEFLATE 1

#define GRAIN_MAX_SECTORS (256u << 11)
#define GRAIN_MAX_COMPRESSED (1u << 20)
#define DESCRIPTOR_MAX_SECTORS 2048u

enum { TAG_HEADER, TAG_DESCRIPTOR, TAG_FOOTER, TAG_GD, TAG_GT };
#define TAG_BITS 3 /* the rest of a grain table's tag is its index */

static struct sw_vmdk *self(struct sw_reader *base)
{
    return (struct sw_vmdk *)base;
}

static const char *vmdk_what(uint32_t tag)
{
    static const char *const names[] = { "header", "descriptor", "footer", "grain directory",
                                         "grain table" };

    return names[tag & ((1u << TAG_BITS) - 1)];
}

/* ---- header ----------------------------------------------------------------------------------- */

static int check_kind(const uint8_t *p, struct sw_err *err)
{
    uint32_t version = sw_le32(p + 4), flags = sw_le32(p + 8);

    if (sw_le32(p) != MAGIC)
        return sw_table_bad(err, "this is not a VMDK image");
    if (version < 1 || version > 3)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "header: version %u; 1 to 3 are supported",
                          version);
    if (flags & FLAG_NEWLINES && memcmp(p + 73, "\n \r\n", 4) != 0)
        return sw_table_bad(err,
                            "header: the image was damaged by a transfer that changes the ends "
                            "of lines");
    if (sw_le32(p + 44) != SW_VMDK_GT_ENTRIES)
        return sw_table_bad(err, "header: grain tables of %u entries; %u is legal", sw_le32(p + 44),
                            SW_VMDK_GT_ENTRIES);
    return 0;
}

static int check_compression(struct sw_vmdk_header *h, const uint8_t *p, struct sw_err *err)
{
    uint32_t flags = sw_le32(p + 8);
    uint16_t algorithm = sw_le16(p + 77);

    h->compressed = flags & FLAG_COMPRESSED;
    h->zero_grains = flags & FLAG_ZERO_GRAINS;
    if (algorithm != (h->compressed ? COMPRESSION_DEFLATE : COMPRESSION_NONE))
        return sw_table_bad(err, "header: compression %u contradicts the flags 0x%08x", algorithm,
                            flags);
    if (h->compressed != !!(flags & FLAG_MARKERS))
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "header: flags 0x%08x: compressed grains without markers, or markers "
                          "without compression",
                          flags);
    return 0;
}

static int check_grain(struct sw_vmdk_header *h, const uint8_t *p, struct sw_err *err)
{
    uint64_t sectors = sw_le64(p + 20), capacity = sw_le64(p + 12);

    if (!sw_is_pow2(sectors) || sectors > GRAIN_MAX_SECTORS)
        return sw_table_bad(err, "header: grains of %llu sectors; a power of two up to %u is legal",
                            (unsigned long long)sectors, GRAIN_MAX_SECTORS);
    if (capacity > INT64_MAX / SW_VMDK_SECTOR)
        return sw_table_bad(err, "header: a disk of %llu sectors", (unsigned long long)capacity);
    h->grain = (uint32_t)sectors * SW_VMDK_SECTOR;
    h->size = capacity * SW_VMDK_SECTOR;
    if (h->compressed && h->grain > GRAIN_MAX_COMPRESSED)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "header: compressed grains of %u bytes; up to %u are supported", h->grain,
                          GRAIN_MAX_COMPRESSED);
    return 0;
}

static int sectors_to_bytes(uint64_t sectors, const char *what, uint64_t *ret, struct sw_err *err)
{
    if (sectors > INT64_MAX / SW_VMDK_SECTOR)
        return sw_table_bad(err, "header: %s at sector %llu", what, (unsigned long long)sectors);
    *ret = sectors * SW_VMDK_SECTOR;
    return 0;
}

static int check_places(struct sw_vmdk_header *h, const uint8_t *p, struct sw_err *err)
{
    uint64_t gd = sw_le64(p + 56), length = sw_le64(p + 36);

    if (sw_le64(p + 28) == 0)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "header: no descriptor: the file is one part of a split disk: join the "
                          "parts with 'qemu-img convert -O qcow2'");
    if (length == 0 || length > DESCRIPTOR_MAX_SECTORS)
        return sw_table_bad(err, "header: a descriptor of %llu sectors; 1 to %u are legal",
                            (unsigned long long)length, DESCRIPTOR_MAX_SECTORS);
    h->descriptor_len = length * SW_VMDK_SECTOR;
    if (sectors_to_bytes(sw_le64(p + 28), "descriptor", &h->descriptor_off, err) < 0 ||
        sectors_to_bytes(sw_le64(p + 64), "first grain", &h->data_off, err) < 0)
        return -1;
    if (gd == SW_VMDK_GD_AT_END && h->compressed) {
        h->gd_off = SW_VMDK_GD_AT_END;
        return 0;
    }
    if (gd == 0)
        return sw_table_bad(err, "header: the grain directory at sector 0");
    return sectors_to_bytes(gd, "grain directory", &h->gd_off, err);
}

int sw_vmdk_parse_footer(const struct sw_vmdk_header *h, const uint8_t *p, uint64_t off,
                         uint64_t *ret_gd_off, struct sw_err *err)
{
    uint64_t gd = sw_le64(p + 56);

    if (memcmp(p, h->bytes, 56) != 0 || memcmp(p + 64, h->bytes + 64, SW_VMDK_SECTOR - 64) != 0)
        return sw_table_bad(err,
                            "footer at offset %llu: it is not the header with another place of "
                            "the grain directory",
                            (unsigned long long)off);
    if (gd == 0 || gd > INT64_MAX / SW_VMDK_SECTOR)
        return sw_table_bad(err, "footer at offset %llu: the grain directory at sector %llu",
                            (unsigned long long)off, (unsigned long long)gd);
    *ret_gd_off = gd * SW_VMDK_SECTOR;
    return 0;
}

/* ---- tables ----------------------------------------------------------------------------------- */

static int ask_gd(struct sw_vmdk *v, struct sw_err *err)
{
    return sw_table_ask(&v->t, v->h.gd_off, (uint64_t)v->h.n_gt * 4, TAG_GD, err);
}

/* Where the directory is said at the end of the file only, a source that can seek knows that end. */
static int ask_footer(struct sw_vmdk *v, struct sw_err *err)
{
    if (v->walk.on)
        return 0;
    if (v->t.file_size == UINT64_MAX)
        return sw_err_set(err, SW_ERR_INTERNAL, "the length of the file is not known");
    if (v->t.file_size < 3 * SW_VMDK_SECTOR || v->t.file_size % SW_VMDK_SECTOR)
        return sw_table_bad(err, "truncated: no footer fits a file of %llu bytes",
                            (unsigned long long)v->t.file_size);
    return sw_table_ask(&v->t, v->t.file_size - 2 * SW_VMDK_SECTOR, SW_VMDK_SECTOR, TAG_FOOTER,
                        err);
}

static int take_header(struct sw_vmdk *v, const uint8_t *p, struct sw_err *err)
{
    struct sw_vmdk_header *h = &v->h;

    if (check_kind(p, err) < 0 || check_compression(h, p, err) < 0 || check_grain(h, p, err) < 0 ||
        check_places(h, p, err) < 0 || sw_table_disk(&v->t, h->size, h->grain, err) < 0)
        return -1;
    memcpy(h->bytes, p, sizeof(h->bytes));

    uint64_t per_gt = (uint64_t)h->grain * SW_VMDK_GT_ENTRIES;
    uint64_t n_gt = h->size / per_gt + (h->size % per_gt != 0);
    if (n_gt * 16 > v->t.limits.table_memory)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "header: %llu grain tables need more than the limit of %llu MiB: raise "
                          "--memory",
                          (unsigned long long)n_gt,
                          (unsigned long long)v->t.limits.table_memory >> 20);
    h->n_gt = (uint32_t)n_gt;
    snprintf(v->t.base.detail, sizeof(v->t.base.detail), "%s, %u KiB grains",
             h->compressed ? "stream-optimized" : "sparse", h->grain / 1024);
    if (h->compressed && v->t.pos && sw_vmdk_walk_begin(v, err) < 0)
        return -1;
    if (sw_table_ask(&v->t, h->descriptor_off, h->descriptor_len, TAG_DESCRIPTOR, err) < 0)
        return -1;
    return h->gd_off == SW_VMDK_GD_AT_END ? ask_footer(v, err) : ask_gd(v, err);
}

static int take_footer(struct sw_vmdk *v, const uint8_t *p, uint64_t off, struct sw_err *err)
{
    if (sw_vmdk_parse_footer(&v->h, p, off, &v->h.gd_off, err) < 0)
        return -1;
    return ask_gd(v, err);
}

static int take_gd(struct sw_vmdk *v, uint64_t off, struct sw_span part, struct sw_err *err)
{
    uint64_t first = (off - v->h.gd_off) / 4;

    if (v->walk.on && sw_vmdk_walk_gd(v, v->h.gd_off, part, first, err) < 0)
        return -1;
    for (size_t i = 0; i + 4 <= part.n; i += 4) {
        uint32_t index = (uint32_t)(first + i / 4), sector = sw_le32(part.p + i);

        if (sector && sw_table_ask(&v->t, (uint64_t)sector * SW_VMDK_SECTOR, SW_VMDK_GT_BYTES,
                                   index << TAG_BITS | TAG_GT, err) < 0)
            return -1;
    }
    return 0;
}

static int add_grain(struct sw_vmdk *v, uint64_t grain, uint32_t sector, struct sw_err *err)
{
    struct sw_extent e = { .file_off = (uint64_t)sector * SW_VMDK_SECTOR,
                           .guest_off = grain * v->h.grain,
                           .file_len = v->h.grain,
                           .guest_len = v->h.grain };

    if (e.guest_off >= v->h.size || sector == 0 || (sector == 1 && v->h.zero_grains))
        return 0;
    if (sector == 1)
        return sw_table_bad(err,
                            "grain table: grain %llu at sector 1, which means zeroes only with "
                            "a flag that the header has not",
                            (unsigned long long)grain);
    if (v->h.compressed) {
        uint64_t max = sw_vmdk_grain_file_max(v->h.grain), size = v->t.file_size;

        if (size - sw_min_u64(e.file_off, size) < SW_VMDK_MARKER_BYTES)
            return sw_table_bad(err,
                                "truncated: grain %llu at offset %llu, but the file ends at %llu",
                                (unsigned long long)grain, (unsigned long long)e.file_off,
                                (unsigned long long)size);
        e.codec = SW_CODEC_VMDK;
        e.file_len = (uint32_t)sw_min_u64(max, size - e.file_off);
        e.guest_len = (uint32_t)sw_min_u64(v->h.grain, v->h.size - e.guest_off);
    }
    return sw_table_extent(&v->t, e, err);
}

static int take_gt(struct sw_vmdk *v, const struct sw_table_ref *ref, struct sw_span table,
                   struct sw_err *err)
{
    uint64_t first = (uint64_t)(ref->tag >> TAG_BITS) * SW_VMDK_GT_ENTRIES;

    if (v->walk.on)
        return sw_vmdk_walk_gt(v, ref->off, table, err);
    for (size_t i = 0; i + 4 <= table.n; i += 4) {
        if (add_grain(v, first + i / 4, sw_le32(table.p + i), err) < 0)
            return sw_err_wrap(err, "at offset %llu", (unsigned long long)ref->off);
    }
    return 0;
}

static int vmdk_take(struct sw_table_reader *t, const struct sw_table_ref *ref,
                     struct sw_span bytes, struct sw_err *err)
{
    struct sw_vmdk *v = (struct sw_vmdk *)t;

    switch (ref->tag & ((1u << TAG_BITS) - 1)) {
    case TAG_HEADER:
        return take_header(v, bytes.p, err);
    case TAG_DESCRIPTOR:
        return sw_vmdk_check_descriptor(bytes, err);
    case TAG_FOOTER:
        return take_footer(v, bytes.p, ref->off, err);
    case TAG_GD:
        return take_gd(v, ref->off, bytes, err);
    default:
        return take_gt(v, ref, bytes, err);
    }
}

/* All grains are known: none reaches into the next one. */
static int vmdk_next(struct sw_table_reader *t, struct sw_err *err)
{
    struct sw_vmdk *v = (struct sw_vmdk *)t;
    uint64_t next = t->file_size;

    if (!v->h.compressed || v->walk.on)
        return 0;
    if (sw_extent_map_sort(&t->map, err) < 0)
        return -1;
    for (size_t i = t->map.n; i-- > 0;) {
        struct sw_extent *e = &t->map.v[i];

        /* Several may be one and the same. */
        if (i + 1 < t->map.n && t->map.v[i + 1].file_off > e->file_off)
            next = t->map.v[i + 1].file_off;
        e->file_len = (uint32_t)sw_min_u64(e->file_len, next - e->file_off);
    }
    return 0;
}

static void vmdk_done(struct sw_table_reader *t)
{
    sw_vmdk_walk_done((struct sw_vmdk *)t);
}

static const struct sw_table_format vmdk_format = {
    .name = "vmdk",
    .what = vmdk_what,
    .take = vmdk_take,
    .next = vmdk_next,
    .done = vmdk_done,
};

/* ---- the reader: by its tables, or as a stream by its markers ------------------------------------ */

static bool vmdk_want(const struct sw_reader *base, unsigned nth, uint64_t *ret_off,
                      size_t *ret_len)
{
    return sw_table_reader_ops.want(base, nth, ret_off, ret_len);
}

static int vmdk_give(struct sw_reader *base, struct sw_span bytes, struct sw_err *err)
{
    return sw_table_reader_ops.give(base, bytes, err);
}

/* What comes before the first grain is headers and tables, for both ways. */
static int vmdk_push(struct sw_reader *base, uint64_t off, struct sw_span bytes,
                     const struct sw_out *out, struct sw_err *err)
{
    struct sw_vmdk *v = self(base);
    uint64_t border = !base->has_header ? SW_VMDK_SECTOR : v->walk.on ? v->h.data_off : UINT64_MAX;
    size_t n = (size_t)sw_min_u64(bytes.n, border - sw_min_u64(off, border));

    if (n && sw_table_reader_ops.push(base, off, (struct sw_span){ bytes.p, n }, out, err) < 0)
        return -1;
    if (n == bytes.n)
        return 0;
    if (n)
        return vmdk_push(base, off + n, (struct sw_span){ bytes.p + n, bytes.n - n }, out, err);
    if (sw_vmdk_walk_push(v, off, bytes, out, err) < 0)
        return sw_err_wrap(err, "vmdk");
    return 0;
}

static uint64_t vmdk_keep(struct sw_reader *base, uint64_t pos)
{
    const struct sw_vmdk_walk *w = &self(base)->walk;

    if (!w->on)
        return sw_table_reader_ops.keep(base, pos);
    return w->state == WALK_GRAIN || w->state == WALK_MARKER ? sw_min_u64(w->at, pos) : pos;
}

static bool vmdk_needed(struct sw_reader *base, uint64_t pos, uint64_t *ret_off, uint64_t *ret_len)
{
    return sw_table_reader_ops.needed(base, pos, ret_off, ret_len);
}

static int vmdk_finish(struct sw_reader *base, uint64_t file_size, const struct sw_out *out,
                       struct sw_err *err)
{
    if (sw_table_reader_ops.finish(base, file_size, out, err) < 0)
        return -1;
    if (self(base)->walk.on && sw_vmdk_walk_finish(self(base), file_size, err) < 0)
        return sw_err_wrap(err, "vmdk");
    return 0;
}

static int vmdk_resolve(struct sw_reader *base, const struct sw_out *out, struct sw_err *err)
{
    return sw_table_reader_ops.resolve(base, out, err);
}

static bool vmdk_lookup(const struct sw_reader *base, uint64_t guest_off, struct sw_placement *ret,
                        uint64_t *ret_zero_end)
{
    return sw_table_reader_ops.lookup(base, guest_off, ret, ret_zero_end);
}

static void vmdk_close(struct sw_reader *base)
{
    sw_table_reader_ops.close(base);
}

static const struct sw_reader_ops vmdk_ops = {
    .name = "vmdk",
    .want = vmdk_want,
    .give = vmdk_give,
    .push = vmdk_push,
    .keep = vmdk_keep,
    .needed = vmdk_needed,
    .finish = vmdk_finish,
    .resolve = vmdk_resolve,
    .lookup = vmdk_lookup,
    .close = vmdk_close,
};

int sw_vmdk_open(const struct sw_limits *limits, uint64_t file_size, struct sw_reader **ret,
                 struct sw_err *err)
{
    struct sw_vmdk *v = calloc(1, sizeof(*v));

    if (!v)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    sw_table_reader_init(&v->t, &vmdk_format, limits, file_size);
    v->t.base.ops = &vmdk_ops;
    return sw_table_begin(&v->t, SW_VMDK_SECTOR, ret, err);
}
