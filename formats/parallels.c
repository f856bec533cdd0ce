/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of Parallels expandable images (.hdd), both magics. One table of 32-bit entries behind
 * the header.
 *
 * Source of every fact: QEMU docs/interop/parallels. All fields are little-endian. An image whose
 * header still says "in use" is read as it is. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/table_reader.h"

#define HEADER_BYTES 64
#define MAGIC_OLD "WithoutFreeSpace" /* entries count sectors */
#define MAGIC_EXT "WithouFreSpacExt" /* entries count clusters */
#define VERSION 2u
#define CLUSTER_MAX_SECTORS (256u << 11) /* 256 MiB: an extent is a 32-bit number of bytes */

enum { TAG_HEADER, TAG_BAT };

struct parallels {
    struct sw_table_reader t;
    uint32_t cluster;  /* bytes */
    uint32_t unit;     /* bytes that an entry counts */
    uint64_t data_off; /* no cluster lies before it */
};

static const char *parallels_what(uint32_t tag)
{
    return tag == TAG_HEADER ? "header" : "block table";
}

static int check_header(struct parallels *p, const uint8_t *h, uint64_t *ret_size,
                        struct sw_err *err)
{
    bool ext = memcmp(h, MAGIC_EXT, 16) == 0;
    uint32_t version = sw_le32(h + 16), sectors = sw_le32(h + 28);
    uint64_t size = ext ? sw_le64(h + 36) : sw_le32(h + 36);

    if (!ext && memcmp(h, MAGIC_OLD, 16) != 0)
        return sw_table_bad(err, "this is not a Parallels image");
    if (version != VERSION)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "header: version %u; %u is supported", version,
                          VERSION);
    if (sectors == 0 || sectors > CLUSTER_MAX_SECTORS)
        return sw_table_bad(err, "header: clusters of %u sectors; 1 to %u are legal", sectors,
                            CLUSTER_MAX_SECTORS);
    if (size > INT64_MAX / 512)
        return sw_table_bad(err, "header: a disk of %llu sectors", (unsigned long long)size);
    p->cluster = sectors * 512;
    p->unit = ext ? p->cluster : 512;
    *ret_size = size * 512;
    return 0;
}

static int take_header(struct parallels *p, const uint8_t *h, struct sw_err *err)
{
    uint32_t entries = sw_le32(h + 32);
    uint64_t size = 0;

    if (check_header(p, h, &size, err) < 0 || sw_table_disk(&p->t, size, p->cluster, err) < 0)
        return -1;

    uint64_t needed = size / p->cluster + (size % p->cluster != 0);
    if (needed > entries)
        return sw_table_bad(err,
                            "header: a disk of %llu bytes has %llu clusters of %u bytes, but the "
                            "table has %u",
                            (unsigned long long)size, (unsigned long long)needed, p->cluster,
                            entries);
    p->data_off = HEADER_BYTES + (uint64_t)entries * 4;
    snprintf(p->t.base.detail, sizeof(p->t.base.detail), "%u KiB clusters%s", p->cluster / 1024,
             p->unit == 512 ? "" : ", ext");
    p->t.first_data = p->data_off;
    return sw_table_ask(&p->t, HEADER_BYTES, needed * 4, TAG_BAT, err);
}

static int take_bat(struct parallels *p, uint64_t first, struct sw_span part, struct sw_err *err)
{
    for (size_t i = 0; i + 4 <= part.n; i += 4) {
        uint32_t entry = sw_le32(part.p + i);
        const struct sw_extent e = { .file_off = (uint64_t)entry * p->unit,
                                     .guest_off = (first + i / 4) * p->cluster,
                                     .file_len = p->cluster,
                                     .guest_len = p->cluster };

        if (entry == 0)
            continue;
        if (e.file_off < p->data_off)
            return sw_table_bad(
                err,
                "block table: entry %llu, offset %llu, lies inside the table, which "
                "ends at %llu",
                (unsigned long long)(first + i / 4), (unsigned long long)e.file_off,
                (unsigned long long)p->data_off);
        if (sw_table_extent(&p->t, e, err) < 0)
            return -1;
    }
    return 0;
}

static int parallels_take(struct sw_table_reader *t, const struct sw_table_ref *ref,
                          struct sw_span bytes, struct sw_err *err)
{
    struct parallels *p = (struct parallels *)t;

    if (ref->tag == TAG_HEADER)
        return take_header(p, bytes.p, err);
    return take_bat(p, (ref->off - HEADER_BYTES) / 4, bytes, err);
}

static const struct sw_table_format parallels_format = {
    .name = "parallels",
    .what = parallels_what,
    .take = parallels_take,
};

int sw_parallels_open(const struct sw_limits *limits, uint64_t file_size, struct sw_reader **ret,
                      struct sw_err *err)
{
    struct parallels *p = calloc(1, sizeof(*p));

    if (!p)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    sw_table_reader_init(&p->t, &parallels_format, limits, file_size);
    return sw_table_begin(&p->t, HEADER_BYTES, ret, err);
}
