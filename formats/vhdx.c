/* SPDX-License-Identifier: Apache-2.0 */
/* The VHDX reader: dynamic and fixed images, every block and sector size. Differencing images are
 * refused: most of their disk is in another file.
 *
 * DESIGN. What has to be read depends on what was read before:
 *
 *   both headers, both region tables -> (log, when one is to be replayed) -> metadata table -> its
 *   items -> block allocation table
 *
 * Only the tables may be in the log. Where it writes to a block, the image is refused, as the stream
 * may have brought that block long before.
 *
 * Source of every fact: Microsoft, [MS-VHDX] v20180912. All fields are little-endian, checksums are
 * CRC-32C. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/crc32c.h"
#include "formats/table_reader.h"
#include "formats/vhdx_log.h"

#define HEADER_BYTES 4096u
#define HEADER_1 (64u << 10)
#define HEADER_2 (128u << 10)
#define TABLE_BYTES (64u << 10) /* region tables and the metadata table */
#define REGIONS_1 (192u << 10)
#define REGIONS_2 (256u << 10)
#define ALIGNMENT (1u << 20) /* of every region, the log and every block */

#define SIGNATURE_HEADER 0x64616568u  /* "head" */
#define SIGNATURE_REGIONS 0x69676572u /* "regi" */
#define REGIONS_MAX 2047u
#define ITEMS_MAX 2047u

#define BLOCK_MIN (1u << 20)
#define BLOCK_MAX (256u << 20)
#define SECTORS_PER_BITMAP (UINT64_C(1) << 23) /* one bitmap block of 1 MiB */

#define PARAM_HAS_PARENT 2u
#define FLAG_REQUIRED 1u /* of a region */
#define ITEM_REQUIRED 4u

enum { TAG_HEAD, TAG_HEADER, TAG_REGIONS, TAG_LOG, TAG_METADATA, TAG_ITEM, TAG_BAT };

enum {
    BLOCK_NOT_PRESENT,
    BLOCK_UNDEFINED,
    BLOCK_ZERO,
    BLOCK_UNMAPPED,
    BLOCK_PRESENT = 6,
    BLOCK_PARTIAL = 7
};

enum item {
    ITEM_PARAMETERS,
    ITEM_SIZE,
    ITEM_PAGE_83,
    ITEM_LOGICAL,
    ITEM_PHYSICAL,
    ITEM_PARENT,
    ITEM_COUNT_
};

/* In the order of the bytes in the file. */
static const uint8_t region_bat[16] = { 0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                                        0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08 };
static const uint8_t region_metadata[16] = { 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                             0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e };
static const struct {
    uint8_t guid[16];
    uint32_t len;
    const char *name;
} items[ITEM_COUNT_] = {
    [ITEM_PARAMETERS] = { { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0,
                            0xaa, 0x44, 0xe7, 0x6b },
                          8,
                          "file parameters" },
    [ITEM_SIZE] = { { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8,
                      0x3b, 0xf4, 0xb8 },
                    8,
                    "disk size" },
    [ITEM_PAGE_83] = { { 0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09,
                         0xe0, 0x00, 0xc7, 0x46 },
                       0,
                       "disk ID" },
    [ITEM_LOGICAL] = { { 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33,
                         0xa8, 0xfa, 0xab, 0x5f },
                       4,
                       "logical sector size" },
    [ITEM_PHYSICAL] = { { 0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c, 0xc9, 0xe9, 0x88,
                          0x52, 0x51, 0xc5, 0x56 },
                        0,
                        "physical sector size" },
    [ITEM_PARENT] = { { 0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8,
                        0x48, 0x34, 0xab, 0x0c },
                      0,
                      "parent locator" },
};

enum stage { STAGE_FRONT, STAGE_LOG, STAGE_METADATA, STAGE_ITEMS, STAGE_DONE };

struct region {
    uint64_t off;
    uint32_t len;
};

struct vhdx {
    struct sw_table_reader t;
    enum stage stage;
    bool has_header, has_regions;
    uint64_t sequence; /* of the current header */
    uint8_t log_guid[16];
    struct region log, bat, metadata;
    uint8_t *log_bytes;
    struct sw_vhdx_overlay overlay;
    uint64_t item_off[ITEM_COUNT_]; /* in the file; 0: not there */
    uint8_t item[ITEM_COUNT_][8];
    uint32_t block, sector;
    uint64_t bat_entries;
    uint32_t chunk_ratio; /* entries of blocks between two of bitmaps */
};

static const char *vhdx_what(uint32_t tag)
{
    static const char *const names[] = { "file type identifier",  "header",
                                         "region table",          "log",
                                         "metadata table",        "metadata item",
                                         "block allocation table" };

    return names[tag & 7];
}

static uint32_t checksum(const uint8_t *p, size_t n)
{
    static const uint8_t none[4];
    uint32_t crc = sw_crc32c(0, p, 4);

    crc = sw_crc32c(crc, none, 4);
    return sw_crc32c(crc, p + 8, n - 8);
}

static bool is_valid(const uint8_t *p, size_t n, uint32_t signature)
{
    return sw_le32(p) == signature && checksum(p, n) == sw_le32(p + 4);
}

/* ---- the front: two headers, two region tables ---------------------------------------------------- */

/* Of two valid headers the one with the higher sequence number counts. */
static int take_header(struct vhdx *v, const uint8_t *p, struct sw_err *err)
{
    uint64_t sequence = sw_le64(p + 8);

    if (!is_valid(p, HEADER_BYTES, SIGNATURE_HEADER) || (v->has_header && sequence <= v->sequence))
        return 0;
    if (sw_le16(p + 66) != 1)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "header: version %u; 1 is supported",
                          sw_le16(p + 66));
    v->has_header = true;
    v->sequence = sequence;
    memcpy(v->log_guid, p + 48, 16);
    v->log = (struct region){ .off = sw_le64(p + 72), .len = sw_le32(p + 68) };
    if (sw_is_zero(v->log_guid, 16))
        return 0;
    if (sw_le16(p + 64) != 0)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "header: log version %u", sw_le16(p + 64));
    if (v->log.off < ALIGNMENT || v->log.off % ALIGNMENT || v->log.len % ALIGNMENT ||
        v->log.len == 0 || v->log.off > INT64_MAX)
        return sw_table_bad(err, "header: a log of %u bytes at offset %llu", v->log.len,
                            (unsigned long long)v->log.off);
    return 0;
}

static int take_region(struct vhdx *v, const uint8_t *p, struct sw_err *err)
{
    struct region r = { .off = sw_le64(p + 16), .len = sw_le32(p + 24) };
    struct region *to = memcmp(p, region_bat, 16) == 0        ? &v->bat
                        : memcmp(p, region_metadata, 16) == 0 ? &v->metadata
                                                              : NULL;

    if (!to && sw_le32(p + 28) & FLAG_REQUIRED)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "region table: an unknown region (%02x%02x%02x%02x...) is required", p[3],
                          p[2], p[1], p[0]);
    if (!to)
        return 0;
    if (to->len)
        return sw_table_bad(err, "region table: a region at offset %llu stands twice in it",
                            (unsigned long long)r.off);
    if (r.off < ALIGNMENT || r.off % ALIGNMENT || r.len % ALIGNMENT || r.len == 0 ||
        r.off > INT64_MAX)
        return sw_table_bad(err, "region table: a region of %u bytes at offset %llu", r.len,
                            (unsigned long long)r.off);
    *to = r;
    return 0;
}

/* The first valid one of the two counts; they are alike. */
static int take_regions(struct vhdx *v, const uint8_t *p, struct sw_err *err)
{
    uint32_t n = sw_le32(p + 8);

    if (v->has_regions || !is_valid(p, TABLE_BYTES, SIGNATURE_REGIONS))
        return 0;
    if (n > REGIONS_MAX)
        return sw_table_bad(err, "region table: %u entries; %u are legal", n, REGIONS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        if (take_region(v, p + 16 + (size_t)i * 32, err) < 0)
            return -1;
    }
    if (!v->bat.len || !v->metadata.len)
        return sw_table_bad(err, "region table: no %s region", v->bat.len ? "metadata" : "BAT");
    v->has_regions = true;
    return 0;
}

static int front_done(struct vhdx *v, struct sw_err *err)
{
    if (!v->has_header)
        return sw_table_bad(err, "header: neither of the two at offsets %u and %u is valid",
                            HEADER_1, HEADER_2);
    if (!v->has_regions)
        return sw_table_bad(err, "region table: neither of the two at offsets %u and %u is valid",
                            REGIONS_1, REGIONS_2);
    if (sw_is_zero(v->log_guid, 16))
        return 0;
    if (v->log.len > v->t.limits.table_memory / 2)
        return sw_err_set(
            err, SW_ERR_UNSUPPORTED,
            "log: %u bytes have to be replayed, the limit is %llu: raise --memory, or "
            "let its owner open and close the image",
            v->log.len, (unsigned long long)v->t.limits.table_memory / 2);
    v->log_bytes = malloc(v->log.len);
    if (!v->log_bytes)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for the log");
    return sw_table_ask(&v->t, v->log.off, v->log.len, TAG_LOG, err);
}

static int log_done(struct vhdx *v, struct sw_err *err)
{
    if (v->log_bytes && sw_vhdx_replay((struct sw_span){ v->log_bytes, v->log.len }, v->log_guid,
                                       v->t.limits.table_memory / 16, &v->overlay, err) < 0)
        return -1;
    free(v->log_bytes);
    v->log_bytes = NULL;
    return sw_table_ask(&v->t, v->metadata.off, TABLE_BYTES, TAG_METADATA, err);
}

/* ---- metadata ------------------------------------------------------------------------------------- */

static int find_item(struct vhdx *v, const uint8_t *p, struct sw_err *err)
{
    uint32_t off = sw_le32(p + 16), len = sw_le32(p + 20), flags = sw_le32(p + 24);
    unsigned i = 0;

    while (i < ITEM_COUNT_ && memcmp(p, items[i].guid, 16) != 0)
        i++;
    if (i == ITEM_COUNT_ && flags & ITEM_REQUIRED)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "metadata table: an unknown item (%02x%02x%02x%02x...) is required", p[3],
                          p[2], p[1], p[0]);
    if (i == ITEM_COUNT_ || !items[i].len)
        return 0;
    if (v->item_off[i])
        return sw_table_bad(err, "metadata table: the %s stands twice in it", items[i].name);
    if (off < TABLE_BYTES || len < items[i].len || off > v->metadata.len - items[i].len)
        return sw_table_bad(err, "metadata table: %s of %u bytes at offset %u", items[i].name, len,
                            off);
    v->item_off[i] = v->metadata.off + off;
    return sw_table_ask(&v->t, v->item_off[i], items[i].len, i << 3 | TAG_ITEM, err);
}

static int take_metadata(struct vhdx *v, const uint8_t *p, struct sw_err *err)
{
    uint32_t n = sw_le16(p + 10);

    if (memcmp(p, "metadata", 8) != 0)
        return sw_table_bad(err, "metadata table: no signature at offset %llu",
                            (unsigned long long)v->metadata.off);
    if (n > ITEMS_MAX)
        return sw_table_bad(err, "metadata table: %u entries; %u are legal", n, ITEMS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        if (find_item(v, p + 32 + (size_t)i * 32, err) < 0)
            return -1;
    }
    for (unsigned i = 0; i < ITEM_COUNT_; i++) {
        if (items[i].len && !v->item_off[i])
            return sw_table_bad(err, "metadata table: there is no %s", items[i].name);
    }
    return 0;
}

static int check_items(struct vhdx *v, uint64_t *ret_size, struct sw_err *err)
{
    uint32_t flags = sw_le32(v->item[ITEM_PARAMETERS] + 4);

    v->block = sw_le32(v->item[ITEM_PARAMETERS]);
    v->sector = sw_le32(v->item[ITEM_LOGICAL]);
    *ret_size = sw_le64(v->item[ITEM_SIZE]);
    if (flags & PARAM_HAS_PARENT)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "file parameters: a differencing image needs its parent, which is never "
                          "opened: merge it with 'Merge-VHD' or 'qemu-img convert -O qcow2' first");
    if (!sw_is_pow2(v->block) || v->block < BLOCK_MIN || v->block > BLOCK_MAX)
        return sw_table_bad(err,
                            "file parameters: blocks of %u bytes; a power of two of %u to %u is "
                            "legal",
                            v->block, BLOCK_MIN, BLOCK_MAX);
    if (v->sector != 512 && v->sector != 4096)
        return sw_table_bad(err, "logical sector size: %u; 512 and 4096 are legal", v->sector);
    if (*ret_size % v->sector)
        return sw_table_bad(err, "disk size: %llu bytes are no multiple of the sector size %u",
                            (unsigned long long)*ret_size, v->sector);
    return 0;
}

static int items_done(struct vhdx *v, struct sw_err *err)
{
    uint64_t size, blocks;

    if (check_items(v, &size, err) < 0 || sw_table_disk(&v->t, size, v->block, err) < 0)
        return -1;
    v->chunk_ratio = (uint32_t)(SECTORS_PER_BITMAP * v->sector / v->block);
    blocks = size / v->block + (size % v->block != 0);
    v->bat_entries = blocks ? blocks + (blocks - 1) / v->chunk_ratio : 0;
    if (v->bat_entries * 8 > v->bat.len)
        return sw_table_bad(err,
                            "block allocation table: a disk of %llu bytes needs %llu entries, but "
                            "the region has room for %u",
                            (unsigned long long)size, (unsigned long long)v->bat_entries,
                            v->bat.len / 8);
    snprintf(v->t.base.detail, sizeof(v->t.base.detail), "%s, %u MiB blocks%s%s",
             sw_le32(v->item[ITEM_PARAMETERS] + 4) & 1 ? "fixed" : "dynamic", v->block >> 20,
             v->sector == 4096 ? ", 4 KiB sectors" : "", v->overlay.n ? ", log replayed" : "");
    return sw_table_ask(&v->t, v->bat.off, v->bat_entries * 8, TAG_BAT, err);
}

/* ---- blocks --------------------------------------------------------------------------------------- */

static int take_entry(struct vhdx *v, uint64_t index, uint64_t entry, struct sw_err *err)
{
    uint64_t chunk = (uint64_t)v->chunk_ratio + 1, block = index - index / chunk;
    const struct sw_extent e = { .file_off = (entry >> 20) << 20,
                                 .guest_off = block * v->block,
                                 .file_len = v->block,
                                 .guest_len = v->block };

    if (index % chunk == v->chunk_ratio) /* of a bitmap, which only differencing images have */
        return 0;
    switch (entry & 7) {
    case BLOCK_NOT_PRESENT:
    case BLOCK_UNDEFINED:
    case BLOCK_ZERO:
    case BLOCK_UNMAPPED:
        return 0;
    case BLOCK_PRESENT:
        break;
    default:
        return sw_table_bad(err, "block allocation table: entry %llu has the state %llu",
                            (unsigned long long)index, (unsigned long long)(entry & 7));
    }
    if (e.file_off < ALIGNMENT || e.file_off > (uint64_t)INT64_MAX - v->block)
        return sw_table_bad(err, "block allocation table: entry %llu lies at offset %llu",
                            (unsigned long long)index, (unsigned long long)e.file_off);
    if (sw_vhdx_overlay_touches(&v->overlay, e.file_off, e.file_len))
        return sw_err_set(
            err, SW_ERR_UNSUPPORTED,
            "log: it writes into the block at offset %llu: let its owner open and close "
            "the image",
            (unsigned long long)e.file_off);
    return sw_table_extent(&v->t, e, err);
}

static int take_bat(struct vhdx *v, uint64_t off, struct sw_span part, struct sw_err *err)
{
    for (size_t i = 0; i + 8 <= part.n; i += 8) {
        if (take_entry(v, (off - v->bat.off + i) / 8, sw_le64(part.p + i), err) < 0)
            return -1;
    }
    return 0;
}

/* What the log has written to this table; *copy is freed by the caller. */
static int apply_log(struct vhdx *v, uint64_t off, struct sw_span *bytes, uint8_t **copy,
                     struct sw_err *err)
{
    if (!sw_vhdx_overlay_touches(&v->overlay, off, bytes->n))
        return 0;
    *copy = malloc(bytes->n);
    if (!*copy)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a table");
    memcpy(*copy, bytes->p, bytes->n);
    sw_vhdx_overlay_apply(&v->overlay, off, *copy, bytes->n);
    bytes->p = *copy;
    return 0;
}

static int vhdx_take(struct sw_table_reader *t, const struct sw_table_ref *ref,
                     struct sw_span bytes, struct sw_err *err)
{
    struct vhdx *v = (struct vhdx *)t;
    sw_autofree uint8_t *copy = NULL;

    if (apply_log(v, ref->off, &bytes, &copy, err) < 0)
        return -1;
    switch (ref->tag & 7) {
    case TAG_HEAD:
        return memcmp(bytes.p, "vhdxfile", 8) == 0 ? 0
                                                   : sw_table_bad(err, "this is not a VHDX image");
    case TAG_HEADER:
        return take_header(v, bytes.p, err);
    case TAG_REGIONS:
        return take_regions(v, bytes.p, err);
    case TAG_LOG:
        memcpy(v->log_bytes + (ref->off - v->log.off), bytes.p, bytes.n);
        return 0;
    case TAG_METADATA:
        return take_metadata(v, bytes.p, err);
    case TAG_ITEM:
        memcpy(v->item[ref->tag >> 3], bytes.p, bytes.n);
        return 0;
    default:
        return take_bat(v, ref->off, bytes, err);
    }
}

static int ask_front(struct vhdx *v, struct sw_err *err)
{
    v->t.first_data = ALIGNMENT;
    if (sw_table_ask(&v->t, HEADER_1, HEADER_BYTES, TAG_HEADER, err) < 0 ||
        sw_table_ask(&v->t, HEADER_2, HEADER_BYTES, TAG_HEADER, err) < 0 ||
        sw_table_ask(&v->t, REGIONS_1, TABLE_BYTES, TAG_REGIONS, err) < 0)
        return -1;
    return sw_table_ask(&v->t, REGIONS_2, TABLE_BYTES, TAG_REGIONS, err);
}

/* Everything of one stage has come. */
static int vhdx_next(struct sw_table_reader *t, struct sw_err *err)
{
    struct vhdx *v = (struct vhdx *)t;

    switch (v->stage) {
    case STAGE_FRONT:
        v->stage = STAGE_LOG;
        return ask_front(v, err);
    case STAGE_LOG:
        v->stage = STAGE_METADATA;
        if (front_done(v, err) < 0)
            return -1;
        if (v->log_bytes)
            return 0;
        return vhdx_next(t, err);
    case STAGE_METADATA:
        v->stage = STAGE_ITEMS;
        return log_done(v, err);
    case STAGE_ITEMS:
        v->stage = STAGE_DONE;
        return items_done(v, err);
    case STAGE_DONE:
        break;
    }
    return 0;
}

static void vhdx_done(struct sw_table_reader *t)
{
    struct vhdx *v = (struct vhdx *)t;

    free(v->log_bytes);
    sw_vhdx_overlay_done(&v->overlay);
}

static const struct sw_table_format vhdx_format = {
    .name = "vhdx",
    .what = vhdx_what,
    .take = vhdx_take,
    .next = vhdx_next,
    .done = vhdx_done,
};

int sw_vhdx_open(const struct sw_limits *limits, uint64_t file_size, struct sw_reader **ret,
                 struct sw_err *err)
{
    struct vhdx *v = calloc(1, sizeof(*v));

    if (!v)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    sw_table_reader_init(&v->t, &vhdx_format, limits, file_size);
    return sw_table_begin(&v->t, 8, ret, err);
}
