/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/decoder.h"

#include <libdeflate.h>

#include "formats/tar_header.h"

static bool begins(struct sw_span head, const void *magic, size_t n)
{
    return head.n >= n && memcmp(head.p, magic, n) == 0;
}

/* The first deflate block, RFC 1951 section 3.2.3: type 3 is reserved, and a stored block repeats
 * its length inverted. */
static bool is_deflate_start(struct sw_span s)
{
    unsigned type;

    if (s.n < 1)
        return true;
    type = (s.p[0] >> 1) & 3;
    if (type == 3)
        return false;
    if (type != 0 || s.n < 5)
        return true;
    return (sw_le16(s.p + 1) ^ sw_le16(s.p + 3)) == 0xffff;
}

/* RFC 1952 section 2.3. XFL and OS are not looked at: writers put all sorts of things there. */
static bool is_gzip(struct sw_span head)
{
    if (!begins(head, "\x1f\x8b\x08", 3))
        return false;
    if (head.n < 4)
        return true;
    if (head.p[3] & 0xe0) /* reserved flags */
        return false;
    if ((head.p[3] & 0x1e) || head.n < 10) /* optional fields push the data out of sight */
        return true;
    return is_deflate_start((struct sw_span){ head.p + 10, head.n - 10 });
}

/* The .xz File Format 1.2.0, sections 2.1.1 and 3.1: a stream header is followed by a block header
 * (its size byte is never zero) or by the index (which begins with zero): both are possible. */
static bool is_xz(struct sw_span head)
{
    if (!begins(head, "\xfd\x37zXZ\0", 6))
        return false;
    if (head.n < 8)
        return true;
    if (head.p[6] != 0 || (head.p[7] & 0xf0))
        return false;
    return head.n < 12 || libdeflate_crc32(0, head.p + 6, 2) == sw_le32(head.p + 8);
}

/* Bytes of a zstd frame header behind its magic, from the descriptor (RFC 8878, 3.1.1.1.1). */
static size_t zstd_header_size(uint8_t descriptor)
{
    static const uint8_t dict_id[4] = { 0, 1, 2, 4 };
    static const uint8_t content_size[4] = { 0, 2, 4, 8 };
    bool single_segment = descriptor & 0x20;
    unsigned fcs = descriptor >> 6;

    return 1u + (single_segment ? 0 : 1) + dict_id[descriptor & 3] +
           (fcs == 0 && single_segment ? 1u : content_size[fcs]);
}

static bool is_zstd_frame(struct sw_span head)
{
    if (!begins(head, "\x28\xb5\x2f\xfd", 4))
        return false;
    if (head.n < 5)
        return true;
    if (head.p[4] & 0x08) /* reserved bit */
        return false;

    size_t block = 4 + zstd_header_size(head.p[4]);

    return head.n <= block || ((head.p[block] >> 1) & 3) != 3; /* reserved block type */
}

/* A skippable frame (RFC 8878 section 3.1.2) announces zstd only when a zstd frame follows within
 * sight, as pzstd writes it: LZ4 has the same skippable magic. */
static bool is_zstd(struct sw_span head)
{
    uint32_t skip;

    if (is_zstd_frame(head))
        return true;
    if (head.n < 8 || (sw_le32(head.p) & 0xfffffff0u) != 0x184d2a50u)
        return false;
    skip = sw_le32(head.p + 4);
    if (skip > head.n - 8)
        return false;
    return is_zstd_frame((struct sw_span){ head.p + 8 + skip, head.n - 8 - skip });
}

/* "BZh", the level, and the magic of a block (pi) or of the end of an empty stream (sqrt pi). */
static bool is_bzip2(struct sw_span head)
{
    size_t n = head.n < 10 ? head.n : 10;

    if (!begins(head, "BZh", 3) || head.n < 4 || head.p[3] < '1' || head.p[3] > '9')
        return false;
    return memcmp(head.p + 4, "\x31\x41\x59\x26\x53\x59", n - 4) == 0 ||
           memcmp(head.p + 4, "\x17\x72\x45\x38\x50\x90", n - 4) == 0;
}

/* The header of a member, APPNOTE.TXT 4.3.7, with a version to extract that exists (4.4.3). */
static bool is_zip(struct sw_span head)
{
    if (!begins(head, "PK\3\4", 4))
        return false;
    return head.n < 6 || (head.p[4] >= 10 && head.p[4] <= 63 && head.p[5] == 0);
}

static const struct {
    const char *name;
    bool (*sniff)(struct sw_span head);
    const struct sw_decoder_ops *ops;
} wraps[SW_WRAP_COUNT_] = {
    [SW_WRAP_NONE] = { "none", NULL, NULL },
    [SW_WRAP_GZIP] = { "gzip", is_gzip, &sw_gzip_decoder },
    [SW_WRAP_XZ] = { "xz", is_xz, &sw_xz_decoder },
    [SW_WRAP_ZSTD] = { "zstd", is_zstd, &sw_zstd_decoder },
    [SW_WRAP_BZIP2] = { "bzip2", is_bzip2, &sw_bzip2_decoder },
    [SW_WRAP_TAR] = { "tar", sw_tar_is_header, &sw_tar_decoder },
    [SW_WRAP_ZIP] = { "zip", is_zip, &sw_zip_decoder },
};

enum sw_wrap sw_wrap_sniff(struct sw_span head)
{
    for (unsigned i = 0; i < SW_WRAP_COUNT_; i++) {
        if (wraps[i].sniff && wraps[i].sniff(head))
            return (enum sw_wrap)i;
    }
    return SW_WRAP_NONE;
}

bool sw_wrap_is_container(enum sw_wrap wrap)
{
    return wrap == SW_WRAP_TAR || wrap == SW_WRAP_ZIP;
}

const char *sw_wrap_name(enum sw_wrap wrap)
{
    return (unsigned)wrap < SW_WRAP_COUNT_ ? wraps[wrap].name : "unknown";
}

const struct sw_decoder_ops *sw_decoder_for(enum sw_wrap wrap)
{
    return (unsigned)wrap < SW_WRAP_COUNT_ ? wraps[wrap].ops : NULL;
}
