/* SPDX-License-Identifier: Apache-2.0 */
/* The qcow2 reader.
 *
 * DESIGN. The tables map guest to file; a stream arrives in file order. So every L2 table is turned
 * into extents the moment it is known and thrown away, and the extents are kept sorted by file
 * offset. What has to be read first depends only on the stage:
 *
 *   HEADER -> (BACKING, to name what is refused) -> L1 -> L2 -> COMPLETE
 *
 * A seekable source is asked for these ranges with want()/give(). A stream passes by: push() picks
 * up each range when it comes. Tables that have passed by before they were known to be tables were
 * parked, and are asked for with want() too; placements that turn out to lie behind the stream are
 * collected in `late` and handed out by resolve().
 *
 * Source: QEMU docs/interop/qcow2. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/qcow2_impl.h"

static struct sw_qcow2 *self(struct sw_reader *base)
{
    return (struct sw_qcow2 *)base;
}

static int wrap(struct sw_err *err)
{
    return sw_err_wrap(err, "qcow2");
}

/* ---- stages -------------------------------------------------------------------------------- */

static int by_off(const void *pa, const void *pb)
{
    const struct sw_l2_ref *a = pa, *b = pb;

    if (a->off != b->off)
        return a->off < b->off ? -1 : 1;
    return a->l1_index < b->l1_index ? -1 : 1;
}

static void check_complete(struct sw_qcow2 *q)
{
    if (q->stage == STAGE_L2 && q->l2_behind == q->l2_split && q->l2_ahead == q->l2_n)
        q->stage = STAGE_COMPLETE;
}

static void begin_l2(struct sw_qcow2 *q)
{
    size_t split = 0;

    if (q->l2_n)
        qsort(q->l2, q->l2_n, sizeof(*q->l2), by_off);
    while (split < q->l2_n && q->l2[split].off < q->pos)
        split++;
    q->l2_behind = 0;
    q->l2_split = q->l2_ahead = split;
    q->stage = STAGE_L2;
    check_complete(q);
}

static int remember_l2(struct sw_qcow2 *q, uint64_t off, uint32_t l1_index, struct sw_err *err)
{
    if (q->l2_n == q->l2_cap) {
        size_t cap = q->l2_cap ? q->l2_cap * 2 : 64;
        struct sw_l2_ref *l2 = realloc(q->l2, cap * sizeof(*l2));

        if (!l2)
            return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for %zu L2 tables", cap);
        q->l2 = l2;
        q->l2_cap = cap;
    }
    q->l2[q->l2_n++] = (struct sw_l2_ref){ .off = off, .l1_index = l1_index };
    return 0;
}

static int take_l1(struct sw_qcow2 *q, struct sw_span part, struct sw_err *err)
{
    uint32_t index = (uint32_t)(q->l1_have / 8);

    for (size_t i = 0; i + 8 <= part.n; i += 8, index++) {
        uint64_t off;

        if (sw_qcow2_decode_l1(&q->h, sw_be64(part.p + i), &off, err) < 0)
            return -1;
        if (off && remember_l2(q, off, index, err) < 0)
            return -1;
    }
    q->l1_have += part.n;
    if (q->l1_have == (uint64_t)q->h.l1_entries * 8)
        begin_l2(q);
    return 0;
}

static void describe(struct sw_qcow2 *q)
{
    uint64_t size = sw_qcow2_cluster_size(&q->h);

    snprintf(q->base.detail, sizeof(q->base.detail), "v%u, %llu %s clusters%s%s", q->h.version,
             (unsigned long long)(size >= 1024 ? size / 1024 : size), size >= 1024 ? "KiB" : "byte",
             q->h.codec == SW_CODEC_ZSTD ? ", zstd" : "", q->h.extended_l2 ? ", extended L2" : "");
}

/* The name is shown, printable characters only, and never opened. */
static int refuse_backing(struct sw_span name, struct sw_err *err)
{
    char text[128];
    size_t n = name.n < sizeof(text) - 1 ? name.n : sizeof(text) - 1;

    for (size_t i = 0; i < n; i++)
        text[i] = name.p[i] >= 0x20 && name.p[i] < 0x7f ? (char)name.p[i] : '?';
    text[n] = '\0';
    return sw_err_set(err, SW_ERR_UNSUPPORTED,
                      "the image needs a backing file '%s', which is never opened: flatten it with "
                      "'qemu-img convert -O qcow2'",
                      text);
}

static int take_header(struct sw_qcow2 *q, struct sw_span head, struct sw_err *err)
{
    if (sw_qcow2_parse_header(head, &q->limits, &q->h, err) < 0)
        return -1;
    q->base.guest_size = q->h.size;
    q->base.granule = (uint32_t)sw_qcow2_cluster_size(&q->h);
    q->base.has_header = true;
    describe(q);
    q->map.max_bytes = q->late.max_bytes =
        (size_t)(q->limits.table_memory - (uint64_t)q->h.l1_entries * sizeof(struct sw_l2_ref));
    if (q->h.backing_off && q->h.backing_off < head.n) {
        struct sw_span name = { head.p + q->h.backing_off, head.n - q->h.backing_off };

        name.n = name.n < q->h.backing_len ? name.n : q->h.backing_len;
        return refuse_backing(name, err);
    }
    if (q->h.backing_off)
        q->stage = STAGE_BACKING;
    else if (q->h.l1_entries)
        q->stage = STAGE_L1;
    else
        begin_l2(q);
    return 0;
}

static int take_l2(struct sw_qcow2 *q, size_t *index, size_t end, struct sw_span table,
                   struct sw_err *err)
{
    uint64_t off = q->l2[*index].off;

    /* Several L1 entries may share a table; sorted, they are neighbours. */
    while (*index < end && q->l2[*index].off == off) {
        if (sw_qcow2_load_l2(q, &q->l2[*index], table, err) < 0)
            return -1;
        ++*index;
    }
    check_complete(q);
    return 0;
}

/* ---- what comes next ------------------------------------------------------------------------ */

static bool nth_table(const struct sw_qcow2 *q, size_t from, size_t to, unsigned *nth,
                      uint64_t *ret_off)
{
    for (size_t i = from; i < to; i++) {
        if (i > from && q->l2[i].off == q->l2[i - 1].off)
            continue;
        if ((*nth)-- == 0) {
            *ret_off = q->l2[i].off;
            return true;
        }
    }
    return false;
}

static bool nth_l1_part(const struct sw_qcow2 *q, unsigned nth, uint64_t *ret_off, size_t *ret_len)
{
    uint64_t size = (uint64_t)q->h.l1_entries * 8;
    uint64_t at = q->l1_have + (uint64_t)nth * SW_READER_WANT_MAX;

    if (at >= size)
        return false;
    *ret_off = q->h.l1_off + at;
    *ret_len = (size_t)sw_min_u64(size - at, SW_READER_WANT_MAX);
    return true;
}

static bool qcow2_want(const struct sw_reader *base, unsigned nth, uint64_t *ret_off,
                       size_t *ret_len)
{
    const struct sw_qcow2 *q = (const struct sw_qcow2 *)base;

    switch (q->stage) {
    case STAGE_HEADER:
        *ret_off = 0;
        *ret_len = SW_QCOW2_HEADER_BYTES;
        return nth == 0;
    case STAGE_BACKING:
        *ret_off = q->h.backing_off;
        *ret_len = q->h.backing_len ? q->h.backing_len : 1;
        return nth == 0;
    case STAGE_L1:
        return nth_l1_part(q, nth, ret_off, ret_len);
    case STAGE_L2:
        *ret_len = (size_t)sw_qcow2_cluster_size(&q->h);
        return nth_table(q, q->l2_behind, q->l2_split, &nth, ret_off) ||
               nth_table(q, q->l2_ahead, q->l2_n, &nth, ret_off);
    case STAGE_COMPLETE:
        break;
    }
    return false;
}

/* The range that the stream will reach first of those it still has to bring. */
static bool next_ahead(const struct sw_qcow2 *q, uint64_t *ret_off, size_t *ret_len)
{
    unsigned nth = 0;

    if (q->stage == STAGE_L2) {
        *ret_len = (size_t)sw_qcow2_cluster_size(&q->h);
        return nth_table(q, q->l2_ahead, q->l2_n, &nth, ret_off);
    }
    return qcow2_want(&q->base, 0, ret_off, ret_len);
}

static int take(struct sw_qcow2 *q, bool behind, struct sw_span bytes, struct sw_err *err)
{
    switch (q->stage) {
    case STAGE_HEADER:
        return take_header(q, bytes, err);
    case STAGE_BACKING:
        return refuse_backing(bytes, err);
    case STAGE_L1:
        return take_l1(q, bytes, err);
    case STAGE_L2:
        return behind ? take_l2(q, &q->l2_behind, q->l2_split, bytes, err)
                      : take_l2(q, &q->l2_ahead, q->l2_n, bytes, err);
    case STAGE_COMPLETE:
        break;
    }
    return sw_err_set(err, SW_ERR_INTERNAL, "nothing was asked for");
}

static int truncated(uint64_t off, size_t len, size_t got, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA,
                      "truncated: a table at offset %llu needs %zu bytes, the file has %zu of them",
                      (unsigned long long)off, len, got);
}

static int qcow2_give(struct sw_reader *base, struct sw_span bytes, struct sw_err *err)
{
    struct sw_qcow2 *q = self(base);
    uint64_t off = 0;
    size_t len = 0;

    if (!qcow2_want(base, 0, &off, &len))
        return sw_err_set(err, SW_ERR_INTERNAL, "qcow2: nothing was asked for");
    if (bytes.n < len && q->stage != STAGE_HEADER && q->stage != STAGE_BACKING)
        return truncated(off, len, bytes.n, err), wrap(err);
    if (take(q, q->stage == STAGE_L2 && q->l2_behind < q->l2_split, bytes, err) < 0)
        return wrap(err);
    return 0;
}

/* ---- the stream ----------------------------------------------------------------------------- */

static struct sw_placement placement(const struct sw_extent *e)
{
    return (struct sw_placement){ .codec = e->codec,
                                  .file_off = e->file_off,
                                  .file_len = e->file_len,
                                  .guest_off = e->guest_off,
                                  .guest_len = e->guest_len };
}

static int place_extent(const struct sw_extent *e, uint64_t from, uint64_t to,
                        const struct sw_out *out, struct sw_err *err)
{
    struct sw_placement p = placement(e);

    if (e->codec == SW_CODEC_NONE) {
        uint64_t a = sw_max_u64(from, e->file_off);
        uint64_t b = sw_min_u64(to, sw_extent_file_end(e));

        p.guest_off += a - e->file_off;
        p.file_off = a;
        p.file_len = p.guest_len = b - a;
    } else if (sw_extent_file_end(e) > to) {
        return 0; /* its last bytes have not come yet */
    }
    return out->place(out->ctx, &p, err);
}

static int place_region(struct sw_qcow2 *q, uint64_t from, uint64_t to, const struct sw_out *out,
                        struct sw_err *err)
{
    size_t i = sw_extent_map_seek(&q->map, &q->cursor, from);

    for (; i < q->map.sorted && q->map.v[i].file_off < to; i++) {
        const struct sw_extent *e = &q->map.v[i];

        if (sw_extent_file_end(e) > from && place_extent(e, from, to, out, err) < 0)
            return -1;
    }
    return 0;
}

/* Park what no extent covers. A compressed cluster covers its range but for the last sector, which
 * may hold others that are not known yet (QEMU fills the end of a host cluster with whatever small
 * ones come later): it is parked as well, unless the compressed cluster that follows on the guest's
 * disk begins in it. Then the two are taken to adjoin, as their one writer left them. */
static int park_gaps(struct sw_qcow2 *q, uint64_t from, uint64_t to, const struct sw_out *out,
                     struct sw_err *err)
{
    uint64_t covered = from, maybe = from, guest_end = UINT64_MAX;
    size_t i = sw_extent_map_seek(&q->map, &q->cursor, from);

    for (; i < q->map.sorted && q->map.v[i].file_off < to; i++) {
        const struct sw_extent *e = &q->map.v[i];
        uint64_t end = sw_extent_file_end(e);
        uint64_t sure = e->codec == SW_CODEC_NONE
                            ? end
                            : sw_max_u64(end, SW_QCOW2_SECTOR) - SW_QCOW2_SECTOR;
        bool adjoins = e->codec != SW_CODEC_NONE && e->file_off <= maybe &&
                       e->guest_off == guest_end;

        if (!adjoins && e->file_off > covered &&
            out->park(out->ctx, covered, e->file_off - covered, err) < 0)
            return -1;
        covered = sw_max_u64(covered, sw_max_u64(sure, e->file_off));
        maybe = sw_max_u64(maybe, end);
        guest_end = e->guest_off + e->guest_len;
    }
    if (covered < to)
        return out->park(out->ctx, covered, to - covered, err);
    return 0;
}

static int pass_region(struct sw_qcow2 *q, uint64_t from, uint64_t to, const struct sw_out *out,
                       struct sw_err *err)
{
    if (q->stage != STAGE_COMPLETE || from < q->park_until) {
        uint64_t end = q->stage != STAGE_COMPLETE ? to : sw_min_u64(to, q->park_until);

        if (park_gaps(q, from, end, out, err) < 0)
            return -1;
    }
    return place_region(q, from, to, out, err);
}

/* Add what has come of the range [off, off + len) that is passing by; take it when it is whole. */
static int collect(struct sw_qcow2 *q, size_t len, struct sw_span bytes, struct sw_err *err)
{
    if (!q->meta_have) {
        uint8_t *meta = realloc(q->meta, len);

        if (!meta)
            return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a table of %zu bytes", len);
        q->meta = meta;
    }
    memcpy(q->meta + q->meta_have, bytes.p, bytes.n);
    q->meta_have += bytes.n;
    if (q->meta_have < len)
        return 0;
    q->meta_have = 0;
    return take(q, false, (struct sw_span){ q->meta, len }, err);
}

/* Handle the stream from q->pos up to the next border between metadata and the rest. */
static int push_step(struct sw_qcow2 *q, struct sw_span bytes, const struct sw_out *out,
                     struct sw_err *err)
{
    uint64_t from = q->pos, to = from + bytes.n;
    uint64_t meta_off = 0;
    size_t meta_len = 0;

    if (!next_ahead(q, &meta_off, &meta_len) || meta_off >= to) {
        q->pos = to;
        return pass_region(q, from, to, out, err);
    }
    if (meta_off + q->meta_have > from) {
        q->pos = meta_off;
        return pass_region(q, from, meta_off, out, err);
    }
    if (meta_off + q->meta_have < from)
        return sw_err_set(err, SW_ERR_BAD_DATA, "tables overlap at offset %llu",
                          (unsigned long long)meta_off);

    /* Nothing forbids a guest cluster to read a table's bytes. */
    size_t n = (size_t)sw_min_u64(bytes.n, meta_len - q->meta_have);
    q->pos = from + n;
    if (place_region(q, from, q->pos, out, err) < 0)
        return -1;
    if (out->took && out->took(out->ctx, from, (struct sw_span){ bytes.p, n }, err) < 0)
        return -1;
    return collect(q, meta_len, (struct sw_span){ bytes.p, n }, err);
}

static int qcow2_push(struct sw_reader *base, uint64_t off, struct sw_span bytes,
                      const struct sw_out *out, struct sw_err *err)
{
    struct sw_qcow2 *q = self(base);
    uint64_t end = off + bytes.n;

    q->pos = off;
    while (q->pos < end) {
        struct sw_span rest = { bytes.p + (q->pos - off), (size_t)(end - q->pos) };

        if (push_step(q, rest, out, err) < 0)
            return wrap(err);
    }
    return 0;
}

static uint64_t qcow2_keep(struct sw_reader *base, uint64_t pos)
{
    struct sw_qcow2 *q = self(base);

    for (size_t i = sw_extent_map_seek(&q->map, &q->cursor, pos); i < q->map.sorted; i++) {
        const struct sw_extent *e = &q->map.v[i];

        if (e->file_off >= pos)
            break;
        if (e->codec != SW_CODEC_NONE && sw_extent_file_end(e) > pos)
            return e->file_off;
    }
    return pos;
}

static bool qcow2_needed(struct sw_reader *base, uint64_t pos, uint64_t *ret_off, uint64_t *ret_len)
{
    struct sw_qcow2 *q = self(base);
    size_t i = sw_extent_map_seek(&q->map, &q->need_cursor, pos);

    if (i >= q->map.sorted)
        return false;

    uint64_t off = sw_max_u64(pos, q->map.v[i].file_off);
    uint64_t end = sw_extent_file_end(&q->map.v[i]);
    while (++i < q->map.sorted && q->map.v[i].file_off <= end)
        end = sw_max_u64(end, sw_extent_file_end(&q->map.v[i]));
    *ret_off = off;
    *ret_len = end - off;
    return true;
}

/* The size of the file is known only now (a stream): cut or refuse what reaches past it. */
static int finish_extents(struct sw_qcow2 *q, const struct sw_out *out, struct sw_err *err)
{
    size_t i = sw_extent_map_seek(&q->map, &q->cursor, q->file_size);

    for (; i < q->map.sorted; i++) {
        struct sw_extent *e = &q->map.v[i];

        if (sw_extent_file_end(e) <= q->file_size)
            continue;
        if (sw_qcow2_clip(q, e, err) < 0)
            return -1;
        if (e->codec != SW_CODEC_NONE &&
            place_extent(e, e->file_off, sw_extent_file_end(e), out, err) < 0)
            return -1;
    }
    for (i = 0; i < q->late.n; i++) {
        if (sw_qcow2_clip(q, &q->late.v[i], err) < 0)
            return -1;
    }
    return 0;
}

static int qcow2_finish(struct sw_reader *base, uint64_t file_size, const struct sw_out *out,
                        struct sw_err *err)
{
    struct sw_qcow2 *q = self(base);
    bool known = q->file_size != UINT64_MAX;
    uint64_t off = 0;
    size_t len = 0;

    if (known && file_size != q->file_size)
        return sw_err_set(err, SW_ERR_BAD_DATA, "qcow2: truncated: %llu of %llu bytes",
                          (unsigned long long)file_size, (unsigned long long)q->file_size);
    q->file_size = file_size;
    q->pos = sw_max_u64(q->pos, file_size);
    if (q->stage == STAGE_HEADER)
        return sw_err_set(err, SW_ERR_BAD_DATA, "qcow2: truncated: the file has only %llu bytes",
                          (unsigned long long)file_size);
    if (next_ahead(q, &off, &len))
        return truncated(off, len, q->meta_have, err), wrap(err);
    if (q->l2_behind < q->l2_split) {
        off = q->l2[q->l2_split - 1].off;
        len = (size_t)sw_qcow2_cluster_size(&q->h);
        if (off > file_size || len > file_size - off)
            return truncated(off, len, (size_t)(file_size - sw_min_u64(off, file_size)), err),
                   wrap(err);
    }
    if (!known && finish_extents(q, out, err) < 0)
        return wrap(err);
    return 0;
}

static int qcow2_resolve(struct sw_reader *base, const struct sw_out *out, struct sw_err *err)
{
    struct sw_qcow2 *q = self(base);

    if (q->stage != STAGE_COMPLETE)
        return sw_err_set(err, SW_ERR_INTERNAL, "qcow2: resolved before the map was complete");
    if (sw_extent_map_sort(&q->late, err) < 0)
        return wrap(err);
    for (size_t i = 0; i < q->late.n; i++) {
        struct sw_placement p = placement(&q->late.v[i]);

        p.spent = i + 1 < q->late.n ? q->late.v[i + 1].file_off : UINT64_MAX;
        if (out->place(out->ctx, &p, err) < 0)
            return wrap(err);
    }
    return 0;
}

static bool qcow2_lookup(const struct sw_reader *base, uint64_t guest_off, struct sw_placement *ret,
                         uint64_t *ret_zero_end)
{
    const struct sw_qcow2 *q = (const struct sw_qcow2 *)base;
    uint64_t next = q->h.size;

    for (size_t i = 0; i < q->map.sorted; i++) {
        const struct sw_extent *e = &q->map.v[i];

        if (e->guest_off > guest_off) {
            next = sw_min_u64(next, e->guest_off);
        } else if (guest_off - e->guest_off < e->guest_len) {
            *ret = placement(e);
            return true;
        }
    }
    *ret_zero_end = next;
    return false;
}

static void qcow2_close(struct sw_reader *base)
{
    struct sw_qcow2 *q = self(base);

    if (!q)
        return;
    sw_extent_map_done(&q->map);
    sw_extent_map_done(&q->late);
    free(q->l2);
    free(q->meta);
    free(q);
}

static const struct sw_reader_ops qcow2_ops = {
    .name = "qcow2",
    .want = qcow2_want,
    .give = qcow2_give,
    .push = qcow2_push,
    .keep = qcow2_keep,
    .needed = qcow2_needed,
    .finish = qcow2_finish,
    .resolve = qcow2_resolve,
    .lookup = qcow2_lookup,
    .close = qcow2_close,
};

int sw_qcow2_open(const struct sw_limits *limits, uint64_t file_size, struct sw_reader **ret,
                  struct sw_err *err)
{
    struct sw_qcow2 *q = calloc(1, sizeof(*q));

    if (!q)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    q->base.ops = &qcow2_ops;
    q->limits = *limits;
    q->file_size = file_size;
    *ret = &q->base;
    return 0;
}
