/* SPDX-License-Identifier: Apache-2.0 */
/* The QED reader. Two levels of tables, all of one size; a backing file is refused by its name.
 *
 * Source of every fact: QEMU docs/interop/qed_spec. All fields are little-endian. An image that was
 * not closed ("needs a check") is read as it is: only its count of clusters may be wrong. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/table_reader.h"

#define HEADER_BYTES 64
#define MAGIC 0x00444551u /* "QED\0" */

#define FEATURE_BACKING UINT64_C(1)
#define FEATURES_KNOWN UINT64_C(7)

#define CLUSTER_MIN 4096u
#define CLUSTER_MAX (64u << 20)
#define TABLE_CLUSTERS_MAX 16u

#define BACKING_NAME_MAX 1023u

enum { TAG_HEADER, TAG_BACKING, TAG_L1, TAG_L2 };
#define TAG_BITS 2 /* the rest of an L2 table's tag is its index */

struct qed {
    struct sw_table_reader t;
    uint32_t cluster;
    uint64_t data_off;             /* the header's end: nothing else lies before it */
    uint64_t table_bytes, entries; /* of each table */
    uint64_t l1_off;
    uint64_t *l2_off; /* of each L2 table, for the place of its pieces */
    uint32_t l2_n;
};

static const char *qed_what(uint32_t tag)
{
    static const char *const names[] = { "header", "name of the backing file", "L1 table",
                                         "L2 table" };

    return names[tag & ((1u << TAG_BITS) - 1)];
}

static int check_geometry(struct qed *q, const uint8_t *h, struct sw_err *err)
{
    uint32_t table_size = sw_le32(h + 8), header_size = sw_le32(h + 12);
    uint64_t features = sw_le64(h + 16);

    q->cluster = sw_le32(h + 4);
    if (sw_le32(h) != MAGIC)
        return sw_table_bad(err, "this is not a QED image");
    if (!sw_is_pow2(q->cluster) || q->cluster < CLUSTER_MIN || q->cluster > CLUSTER_MAX)
        return sw_table_bad(err,
                            "header: clusters of %u bytes; a power of two of %u to %u is legal",
                            q->cluster, CLUSTER_MIN, CLUSTER_MAX);
    if (!sw_is_pow2(table_size) || table_size > TABLE_CLUSTERS_MAX)
        return sw_table_bad(err, "header: tables of %u clusters; 1, 2, 4, 8 and 16 are legal",
                            table_size);
    if (features & ~FEATURES_KNOWN)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "header: unknown features, bits 0x%llx",
                          (unsigned long long)(features & ~FEATURES_KNOWN));
    if (header_size == 0 || header_size > UINT32_MAX / q->cluster)
        return sw_table_bad(err, "header: it says it is %u clusters long", header_size);
    q->data_off = (uint64_t)header_size * q->cluster;
    q->table_bytes = (uint64_t)table_size * q->cluster;
    q->entries = q->table_bytes / 8;
    return 0;
}

static int check_size(struct qed *q, const uint8_t *h, struct sw_err *err)
{
    uint64_t size = sw_le64(h + 48), most;

    q->l1_off = sw_le64(h + 40);
    if (size % 512)
        return sw_table_bad(err, "header: a disk of %llu bytes is not a multiple of 512",
                            (unsigned long long)size);
    if (!sw_mul_overflows(q->entries * q->entries, q->cluster, &most) && size > most)
        return sw_table_bad(err, "header: a disk of %llu bytes; the tables cover %llu",
                            (unsigned long long)size, (unsigned long long)most);
    if (q->l1_off < q->data_off || q->l1_off % q->cluster)
        return sw_table_bad(err, "header: the L1 table at offset %llu is not that of a cluster",
                            (unsigned long long)q->l1_off);
    return sw_table_disk(&q->t, size, q->cluster, err);
}

static int ask_backing(struct qed *q, const uint8_t *h, struct sw_err *err)
{
    uint32_t off = sw_le32(h + 56), len = sw_le32(h + 60);

    if (off < HEADER_BYTES || len == 0 || len > BACKING_NAME_MAX)
        return sw_table_bad(err, "header: a backing file name of %u bytes at offset %u", len, off);
    return sw_table_ask(&q->t, off, len, TAG_BACKING, err);
}

static int take_header(struct qed *q, const uint8_t *h, struct sw_err *err)
{
    if (check_geometry(q, h, err) < 0)
        return -1;
    if (sw_le64(h + 16) & FEATURE_BACKING)
        return ask_backing(q, h, err);
    if (check_size(q, h, err) < 0)
        return -1;
    snprintf(q->t.base.detail, sizeof(q->t.base.detail), "%u KiB clusters", q->cluster / 1024);

    q->t.first_data = q->data_off;
    uint64_t per_l2 = q->entries * q->cluster, size = q->t.base.guest_size;
    q->l2_n = (uint32_t)(size / per_l2 + (size % per_l2 != 0));
    if ((uint64_t)q->l2_n * sizeof(*q->l2_off) > q->t.limits.table_memory)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "header: %u L2 tables need more than the limit of %llu MiB: raise "
                          "--memory",
                          q->l2_n, (unsigned long long)(q->t.limits.table_memory >> 20));
    q->l2_off = calloc(q->l2_n ? q->l2_n : 1, sizeof(*q->l2_off));
    if (!q->l2_off)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for %u tables", q->l2_n);
    return sw_table_ask(&q->t, q->l1_off, (uint64_t)q->l2_n * 8, TAG_L1, err);
}

/* How much of L2 table `index` maps anything of the disk, in bytes. */
static uint64_t l2_bytes(const struct qed *q, uint32_t index)
{
    uint64_t from = (uint64_t)index * q->entries * q->cluster;
    uint64_t rest = q->t.base.guest_size - from;

    return sw_min_u64(q->entries, rest / q->cluster + (rest % q->cluster != 0)) * 8;
}

static int take_l1(struct qed *q, uint64_t first, struct sw_span part, struct sw_err *err)
{
    for (size_t i = 0; i + 8 <= part.n; i += 8) {
        uint32_t index = (uint32_t)(first + i / 8);
        uint64_t off = sw_le64(part.p + i);

        if (off == 0)
            continue;
        if (off < q->data_off || off % q->cluster)
            return sw_table_bad(err, "L1 table: entry %u, offset %llu, is not that of a cluster",
                                index, (unsigned long long)off);
        q->l2_off[index] = off;
        if (sw_table_ask(&q->t, off, l2_bytes(q, index), index << TAG_BITS | TAG_L2, err) < 0)
            return -1;
    }
    return 0;
}

static int take_l2(struct qed *q, uint32_t index, uint64_t first, struct sw_span part,
                   struct sw_err *err)
{
    for (size_t i = 0; i + 8 <= part.n; i += 8) {
        uint64_t off = sw_le64(part.p + i), cluster = index * q->entries + first + i / 8;
        const struct sw_extent e = { .file_off = off,
                                     .guest_off = cluster * q->cluster,
                                     .file_len = q->cluster,
                                     .guest_len = q->cluster };

        if (off <= 1) /* not allocated; zero */
            continue;
        if (off < q->data_off || off % q->cluster || off > (uint64_t)INT64_MAX - q->cluster)
            return sw_table_bad(err,
                                "L2 table at offset %llu: entry %llu, offset %llu, is not that of "
                                "a cluster",
                                (unsigned long long)q->l2_off[index],
                                (unsigned long long)(first + i / 8), (unsigned long long)off);
        if (sw_table_extent(&q->t, e, err) < 0)
            return -1;
    }
    return 0;
}

static int qed_take(struct sw_table_reader *t, const struct sw_table_ref *ref, struct sw_span bytes,
                    struct sw_err *err)
{
    struct qed *q = (struct qed *)t;
    uint32_t index = ref->tag >> TAG_BITS;

    switch (ref->tag & ((1u << TAG_BITS) - 1)) {
    case TAG_HEADER:
        return take_header(q, bytes.p, err);
    case TAG_BACKING:
        return sw_table_refuse_backing(bytes, err);
    case TAG_L1:
        return take_l1(q, (ref->off - q->l1_off) / 8, bytes, err);
    default:
        return take_l2(q, index, (ref->off - q->l2_off[index]) / 8, bytes, err);
    }
}

static void qed_done(struct sw_table_reader *t)
{
    free(((struct qed *)t)->l2_off);
}

static const struct sw_table_format qed_format = {
    .name = "qed",
    .what = qed_what,
    .take = qed_take,
    .done = qed_done,
};

int sw_qed_open(const struct sw_limits *limits, uint64_t file_size, struct sw_reader **ret,
                struct sw_err *err)
{
    struct qed *q = calloc(1, sizeof(*q));

    if (!q)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    sw_table_reader_init(&q->t, &qed_format, limits, file_size);
    return sw_table_begin(&q->t, HEADER_BYTES, ret, err);
}
