/* SPDX-License-Identifier: Apache-2.0 */
/* From the tables of a qcow2 image to extents. */
#include "formats/qcow2_impl.h"

/* What lies beyond the end of the file can only be the tail of its last cluster, which the writer
 * had no reason to fill: it reads as zero. More is a truncated file. */
int sw_qcow2_clip(const struct sw_qcow2 *q, struct sw_extent *e, struct sw_err *err)
{
    uint64_t end = sw_extent_file_end(e);
    uint64_t slack = e->codec == SW_CODEC_NONE ? 0 : SW_QCOW2_SECTOR;

    if (end <= q->file_size)
        return 0;
    if ((e->codec != SW_CODEC_NONE && e->file_off >= q->file_size) ||
        end > sw_align_up(q->file_size, sw_qcow2_cluster_size(&q->h)) + slack)
        return sw_err_set(
            err, SW_ERR_BAD_DATA,
            "truncated: guest offset %llu lies at file offset %llu, but the file ends "
            "at %llu",
            (unsigned long long)e->guest_off, (unsigned long long)e->file_off,
            (unsigned long long)q->file_size);
    /* Subclusters of the last cluster may lie past the end as a whole: nothing is left of them. */
    e->file_len = (uint32_t)(q->file_size - sw_min_u64(e->file_off, q->file_size));
    if (e->codec == SW_CODEC_NONE)
        e->guest_len = e->file_len;
    return 0;
}

/* An extent that begins behind the stream. The part of a plain run that is still to come goes to
 * the map; a compressed cluster waits until all of it is in the park. */
static int add_late(struct sw_qcow2 *q, const struct sw_extent *e, struct sw_err *err)
{
    struct sw_extent behind = *e;

    if (sw_extent_file_end(e) > q->pos) {
        if (e->codec != SW_CODEC_NONE) {
            q->park_until = sw_max_u64(q->park_until, sw_extent_file_end(e));
        } else {
            struct sw_extent ahead = *e;
            uint32_t cut = (uint32_t)(q->pos - e->file_off);

            behind.file_len = behind.guest_len = cut;
            ahead.file_off += cut;
            ahead.guest_off += cut;
            ahead.file_len = ahead.guest_len = e->file_len - cut;
            if (sw_extent_map_add(&q->map, &ahead, err) < 0)
                return -1;
        }
    }
    return sw_extent_map_add(&q->late, &behind, err);
}

static int add_extent(struct sw_qcow2 *q, struct sw_extent *e, struct sw_err *err)
{
    /* The disk may end inside its last cluster; decoded clusters are cut by whoever writes them. */
    if (e->codec == SW_CODEC_NONE && e->guest_off + e->guest_len > q->h.size)
        e->guest_len = e->file_len = (uint32_t)(q->h.size - e->guest_off);
    if (q->file_size != UINT64_MAX && sw_qcow2_clip(q, e, err) < 0)
        return -1;
    if (!e->file_len)
        return 0;
    q->base.data_size += e->guest_len;
    if (e->file_off < q->pos)
        return add_late(q, e, err);
    return sw_extent_map_add(&q->map, e, err);
}

/* The subclusters that have data, one extent for each run of them. */
static int add_partial(struct sw_qcow2 *q, const struct sw_qcow2_cluster *c, uint64_t guest_off,
                       struct sw_err *err)
{
    uint32_t step = (uint32_t)(sw_qcow2_cluster_size(&q->h) / 32);

    for (unsigned i = 0; i < 32; i++) {
        uint64_t guest = guest_off + (uint64_t)i * step;
        struct sw_extent e = { .file_off = c->file_off + (uint64_t)i * step,
                               .guest_off = guest,
                               .file_len = step,
                               .guest_len = step };

        if (c->present >> i & 1 && guest < q->h.size && add_extent(q, &e, err) < 0)
            return -1;
    }
    return 0;
}

static int add_cluster(struct sw_qcow2 *q, const struct sw_qcow2_cluster *c, uint64_t guest_off,
                       struct sw_err *err)
{
    uint32_t size = (uint32_t)sw_qcow2_cluster_size(&q->h);
    struct sw_extent e = {
        .file_off = c->file_off, .guest_off = guest_off, .file_len = size, .guest_len = size
    };

    switch (c->kind) {
    case SW_QCOW2_HOLE:
        return 0;
    case SW_QCOW2_PARTIAL:
        return add_partial(q, c, guest_off, err);
    case SW_QCOW2_COMPRESSED:
        e.codec = q->h.codec;
        e.file_len = c->file_len;
        break;
    case SW_QCOW2_DATA:
        break;
    }
    return add_extent(q, &e, err);
}

int sw_qcow2_load_l2(struct sw_qcow2 *q, const struct sw_l2_ref *ref, struct sw_span table,
                     struct sw_err *err)
{
    uint32_t entries = sw_qcow2_l2_entries(&q->h);
    size_t width = q->h.extended_l2 ? 16 : 8;
    uint64_t first = (uint64_t)ref->l1_index * entries;

    for (uint32_t i = 0; i < entries; i++) {
        uint64_t guest_off = (first + i) << q->h.cluster_bits;
        const uint8_t *p = table.p + i * width;
        struct sw_qcow2_cluster c;

        if (guest_off >= q->h.size)
            break;
        if (sw_qcow2_decode_l2(&q->h, sw_be64(p), width == 16 ? sw_be64(p + 8) : 0, &c, err) < 0 ||
            add_cluster(q, &c, guest_off, err) < 0)
            return sw_err_wrap(err, "L2 table at offset %llu", (unsigned long long)ref->off);
    }
    return sw_extent_map_sort(&q->map, err);
}
