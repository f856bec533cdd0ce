/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/qcow2_header.h"

#define MAGIC 0x514649fbu /* "QFI\xfb" */

#define INCOMPAT_DIRTY (1u << 0) /* refcounts may be wrong: nothing we read depends on them */
#define INCOMPAT_CORRUPT (1u << 1)
#define INCOMPAT_DATA_FILE (1u << 2)
#define INCOMPAT_COMPRESSION (1u << 3)
#define INCOMPAT_EXTENDED_L2 (1u << 4)
#define INCOMPAT_KNOWN 0x1fu

#define OFFSET_MASK UINT64_C(0x00fffffffffffe00) /* bits 9 to 55 */
#define COPIED (UINT64_C(1) << 63)
#define COMPRESSED (UINT64_C(1) << 62)
#define READS_ZERO UINT64_C(1)

#define MIN_CLUSTER_BITS 9
#define MAX_CLUSTER_BITS 21
#define MIN_EXTENDED_L2_BITS 14 /* subclusters of at least 512 bytes */
#define MAX_BACKING_NAME 1023

static int check_features(uint64_t incompat, struct sw_err *err)
{
    if (incompat & INCOMPAT_CORRUPT)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "the image is marked corrupt: repair it with 'qemu-img check -r all'");
    if (incompat & INCOMPAT_DATA_FILE)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "the guest's data is in an external data file, which is never opened: "
                          "convert the image with 'qemu-img convert -O qcow2'");
    if (incompat & ~(uint64_t)INCOMPAT_KNOWN)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "unknown incompatible features, bits 0x%llx",
                          (unsigned long long)(incompat & ~(uint64_t)INCOMPAT_KNOWN));
    return 0;
}

/* What only version 3 has: features, header length, compression type. */
static int parse_v3(struct sw_span head, struct sw_qcow2_header *h, struct sw_err *err)
{
    if (head.n < 104)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "truncated: the header needs 104 bytes, there are %zu", head.n);

    uint64_t incompat = sw_be64(head.p + 72);
    uint32_t header_length = sw_be32(head.p + 100);
    if (check_features(incompat, err) < 0)
        return -1;
    if (header_length < 104 || header_length % 8 || header_length > sw_qcow2_cluster_size(h))
        return sw_err_set(err, SW_ERR_BAD_DATA, "the header says it is %u bytes long",
                          header_length);

    uint8_t type = header_length > 104 && head.n > 104 ? head.p[104] : 0;
    if ((type != 0) != !!(incompat & INCOMPAT_COMPRESSION))
        return sw_err_set(err, SW_ERR_BAD_DATA, "compression type %u contradicts the feature bits",
                          type);
    if (type > 1)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "unknown compression type %u", type);
    h->codec = type == 1 ? SW_CODEC_ZSTD : SW_CODEC_DEFLATE;

    h->extended_l2 = incompat & INCOMPAT_EXTENDED_L2;
    if (h->extended_l2 && h->cluster_bits < MIN_EXTENDED_L2_BITS)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "extended L2 entries need clusters of 16 KiB or more");
    return 0;
}

static int parse_l1(struct sw_span head, const struct sw_limits *limits, struct sw_qcow2_header *h,
                    struct sw_err *err)
{
    uint32_t l1_size = sw_be32(head.p + 36);
    uint64_t per_table = (uint64_t)sw_qcow2_l2_entries(h) << h->cluster_bits;
    uint64_t needed = h->size / per_table + (h->size % per_table != 0);

    h->l1_off = sw_be64(head.p + 40);
    if (needed > l1_size)
        return sw_err_set(
            err, SW_ERR_BAD_DATA,
            "L1 table too small: %u entries for a disk of %llu bytes, %llu are needed", l1_size,
            (unsigned long long)h->size, (unsigned long long)needed);
    /* 16 bytes: what is remembered of each L2 table until it has been read. */
    if (needed * 16 > limits->table_memory)
        return sw_err_set(
            err, SW_ERR_UNSUPPORTED,
            "the L1 table of %llu entries needs more than the limit of %llu MiB: raise "
            "--memory",
            (unsigned long long)needed, (unsigned long long)(limits->table_memory >> 20));
    if (needed && (h->l1_off == 0 || h->l1_off % sw_qcow2_cluster_size(h) ||
                   h->l1_off > INT64_MAX - needed * 8))
        return sw_err_set(err, SW_ERR_BAD_DATA, "L1 table at offset %llu is not cluster aligned",
                          (unsigned long long)h->l1_off);
    h->l1_entries = (uint32_t)needed;
    return 0;
}

int sw_qcow2_parse_header(struct sw_span head, const struct sw_limits *limits,
                          struct sw_qcow2_header *ret, struct sw_err *err)
{
    struct sw_qcow2_header h = { .codec = SW_CODEC_DEFLATE };

    if (head.n < 72)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "truncated: the header needs 72 bytes, there are %zu", head.n);
    /* The format may have been given by the user, not found by its magic. */
    if (sw_be32(head.p) != MAGIC)
        return sw_err_set(err, SW_ERR_BAD_DATA, "this is not a qcow2 image");
    h.version = sw_be32(head.p + 4);
    h.backing_off = sw_be64(head.p + 8);
    h.backing_len = sw_be32(head.p + 16);
    h.cluster_bits = sw_be32(head.p + 20);
    h.size = sw_be64(head.p + 24);

    if (h.version != 2 && h.version != 3)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "unknown version %u", h.version);
    if (h.cluster_bits < MIN_CLUSTER_BITS || h.cluster_bits > MAX_CLUSTER_BITS)
        return sw_err_set(err, SW_ERR_BAD_DATA, "cluster size of 2^%u bytes; 2^9 to 2^21 are legal",
                          h.cluster_bits);
    if (h.size > limits->guest_size)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "a virtual disk of %llu bytes is larger than the limit of %llu",
                          (unsigned long long)h.size, (unsigned long long)limits->guest_size);
    if (sw_be32(head.p + 32) != 0)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "the image is encrypted: decrypt it with 'qemu-img convert'");
    if (h.backing_len > MAX_BACKING_NAME)
        return sw_err_set(err, SW_ERR_BAD_DATA, "a backing file name of %u bytes", h.backing_len);
    if (h.version == 3 && parse_v3(head, &h, err) < 0)
        return -1;
    if (parse_l1(head, limits, &h, err) < 0)
        return -1;
    *ret = h;
    return 0;
}

int sw_qcow2_decode_l1(const struct sw_qcow2_header *h, uint64_t entry, uint64_t *ret_off,
                       struct sw_err *err)
{
    uint64_t off = entry & OFFSET_MASK;

    if (entry & ~(OFFSET_MASK | COPIED) || off % sw_qcow2_cluster_size(h))
        return sw_err_set(err, SW_ERR_BAD_DATA, "L1 entry 0x%016llx is not legal",
                          (unsigned long long)entry);
    *ret_off = off;
    return 0;
}

static int bad_l2(uint64_t entry, uint64_t bitmap, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA, "L2 entry 0x%016llx (bitmap 0x%016llx) is not legal",
                      (unsigned long long)entry, (unsigned long long)bitmap);
}

static int decode_compressed(const struct sw_qcow2_header *h, uint64_t entry,
                             struct sw_qcow2_cluster *ret)
{
    /* Bits 0 to x-1: offset; x to 61: sectors beyond the one that the offset lies in. */
    uint32_t x = 62 - (h->cluster_bits - 8);
    uint64_t sectors = (entry & ~(COPIED | COMPRESSED)) >> x;

    ret->kind = SW_QCOW2_COMPRESSED;
    ret->file_off = entry & ((UINT64_C(1) << x) - 1);
    ret->file_len = (uint32_t)((sectors + 1) * 512 - ret->file_off % 512);
    return 0;
}

static int decode_subclusters(uint64_t entry, uint64_t bitmap, struct sw_qcow2_cluster *ret,
                              struct sw_err *err)
{
    uint32_t allocated = (uint32_t)bitmap;
    uint32_t zero = (uint32_t)(bitmap >> 32);

    if (allocated & zero || (allocated && !ret->file_off) || entry & READS_ZERO)
        return bad_l2(entry, bitmap, err);
    ret->present = allocated;
    ret->kind = allocated == UINT32_MAX ? SW_QCOW2_DATA
                : allocated             ? SW_QCOW2_PARTIAL
                                        : SW_QCOW2_HOLE;
    return 0;
}

int sw_qcow2_decode_l2(const struct sw_qcow2_header *h, uint64_t entry, uint64_t bitmap,
                       struct sw_qcow2_cluster *ret, struct sw_err *err)
{
    *ret = (struct sw_qcow2_cluster){ .kind = SW_QCOW2_HOLE };
    if (entry & COMPRESSED)
        return bitmap ? bad_l2(entry, bitmap, err) : decode_compressed(h, entry, ret);

    if (entry & ~(OFFSET_MASK | COPIED | READS_ZERO) ||
        (entry & OFFSET_MASK) % sw_qcow2_cluster_size(h) || (entry & READS_ZERO && h->version < 3))
        return bad_l2(entry, bitmap, err);

    ret->file_off = entry & OFFSET_MASK;
    if (h->extended_l2)
        return decode_subclusters(entry, bitmap, ret, err);
    ret->kind = ret->file_off && !(entry & READS_ZERO) ? SW_QCOW2_DATA : SW_QCOW2_HOLE;
    return 0;
}
