/* SPDX-License-Identifier: Apache-2.0 */
/* A stream-optimized VMDK as the stream it was made for: grains one after the other, each behind a
 * marker that says where it belongs and how long it is.
 *
 * What such an image says in its tables, in front (as qemu-img writes it) or behind all grains (as
 * VMware and VirtualBox do), counts for everybody who can seek. So it is compared in the end: every
 * grain that a table names has passed by at that place, and no other one. Of each table only a sum is
 * kept, which does not need its index.
 *
 * Memory: 4 bytes for each grain of the tables that have any, i.e. 64 MiB for 1 TiB of data in grains
 * of 64 KiB; limits.table_memory bounds it. */
#include <stdlib.h>

#include "formats/vmdk_impl.h"

enum { MARKER_EOS, MARKER_GT, MARKER_GD, MARKER_FOOTER };

static int reserve(struct sw_vmdk *v, uint64_t bytes, struct sw_err *err)
{
    v->walk.memory += bytes;
    if (v->walk.memory > v->t.limits.table_memory)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "the grains of the disk need more than the limit of %llu MiB to be kept "
                          "track of: raise --memory",
                          (unsigned long long)v->t.limits.table_memory >> 20);
    return 0;
}

static int no_memory(uint64_t bytes, struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for %llu bytes of tables",
                      (unsigned long long)bytes);
}

int sw_vmdk_walk_begin(struct sw_vmdk *v, struct sw_err *err)
{
    struct sw_vmdk_walk *w = &v->walk;
    size_t n = v->h.n_gt ? v->h.n_gt : 1;

    if (v->h.data_off < SW_VMDK_SECTOR)
        return sw_table_bad(err, "header: the first grain at offset %llu",
                            (unsigned long long)v->h.data_off);
    if (reserve(v, n * (sizeof(*w->seen) + sizeof(*w->gd)), err) < 0)
        return -1;
    w->seen = calloc(n, sizeof(*w->seen));
    w->gd = calloc(n, sizeof(*w->gd));
    if (!w->seen || !w->gd)
        return no_memory(n, err);
    w->on = true;
    w->at = v->h.data_off;
    w->gd_want = v->h.gd_off;
    v->t.first_data = v->h.data_off;
    return 0;
}

void sw_vmdk_walk_done(struct sw_vmdk *v)
{
    struct sw_vmdk_walk *w = &v->walk;

    for (uint32_t i = 0; w->seen && i < v->h.n_gt; i++)
        free(w->seen[i]);
    free(w->seen);
    free(w->gd);
    free(w->sums);
    free(w->meta);
}

/* ---- tables ----------------------------------------------------------------------------------- */

/* FNV-1a of a table's entries; those that mean zeroes count as empty. NULL: an empty table. */
static uint64_t sum_entries(const struct sw_vmdk *v, const uint8_t *raw, const uint32_t *entries)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    for (uint32_t i = 0; i < SW_VMDK_GT_ENTRIES; i++) {
        uint32_t entry = raw ? sw_le32(raw + 4 * (size_t)i) : entries ? entries[i] : 0;

        if (entry == 1 && v->h.zero_grains)
            entry = 0;
        for (int shift = 0; shift < 32; shift += 8)
            sum = (sum ^ (entry >> shift & 0xff)) * UINT64_C(0x100000001b3);
    }
    return sum;
}

int sw_vmdk_walk_gd(struct sw_vmdk *v, uint64_t off, struct sw_span part, uint64_t first,
                    struct sw_err *err)
{
    (void)err;
    for (size_t i = 0; i + 4 <= part.n && first + i / 4 < v->h.n_gt; i += 4)
        v->walk.gd[first + i / 4] = sw_le32(part.p + i);
    v->walk.gd_off = off;
    return 0;
}

int sw_vmdk_walk_gt(struct sw_vmdk *v, uint64_t off, struct sw_span table, struct sw_err *err)
{
    struct sw_vmdk_walk *w = &v->walk;

    if (w->n_sums && w->sums[w->n_sums - 1].off == off)
        return 0; /* asked for twice */
    if (w->n_sums == w->cap_sums) {
        size_t cap = w->cap_sums ? w->cap_sums * 2 : 16;
        struct sw_vmdk_gt_sum *sums;

        if (reserve(v, (cap - w->cap_sums) * sizeof(*sums), err) < 0)
            return -1;
        sums = realloc(w->sums, cap * sizeof(*sums));
        if (!sums)
            return no_memory(cap * sizeof(*sums), err);
        w->sums = sums;
        w->cap_sums = cap;
    }
    w->sums[w->n_sums++] = (struct sw_vmdk_gt_sum){ .off = off,
                                                    .sum = sum_entries(v, table.p, NULL) };
    return 0;
}

static int by_off(const void *pa, const void *pb)
{
    const struct sw_vmdk_gt_sum *a = pa, *b = pb;

    return a->off < b->off ? -1 : a->off > b->off;
}

static int compare_table(const struct sw_vmdk *v, uint32_t index, struct sw_err *err)
{
    const struct sw_vmdk_walk *w = &v->walk;
    const struct sw_vmdk_gt_sum key = { .off = (uint64_t)w->gd[index] * SW_VMDK_SECTOR };
    const struct sw_vmdk_gt_sum *found;

    if (w->gd[index] == 0 && !w->seen[index])
        return 0;
    found = w->n_sums ? bsearch(&key, w->sums, w->n_sums, sizeof(key), by_off) : NULL;
    if (!found)
        return sw_table_bad(
            err,
            "grain directory: entry %u names a table at offset %llu, where none has "
            "passed by",
            index, (unsigned long long)key.off);
    if (found->sum != sum_entries(v, NULL, w->seen[index]))
        return sw_table_bad(
            err,
            "grain table at offset %llu: it does not name the grains that passed by "
            "as markers say",
            (unsigned long long)key.off);
    return 0;
}

static int compare_tables(struct sw_vmdk *v, struct sw_err *err)
{
    struct sw_vmdk_walk *w = &v->walk;

    if (w->gd_want != w->gd_off)
        return sw_table_bad(err,
                            "grain directory: it is said to be at offset %llu, and was at %llu",
                            (unsigned long long)w->gd_want, (unsigned long long)w->gd_off);
    if (w->n_sums)
        qsort(w->sums, w->n_sums, sizeof(*w->sums), by_off);
    for (uint32_t i = 0; i < v->h.n_gt; i++) {
        if (compare_table(v, i, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- markers ---------------------------------------------------------------------------------- */

static int begin_grain(struct sw_vmdk *v, uint64_t lba, uint32_t size, struct sw_err *err)
{
    struct sw_vmdk_walk *w = &v->walk;
    uint64_t grain = lba / (v->h.grain / SW_VMDK_SECTOR), table = grain / SW_VMDK_GT_ENTRIES;
    uint32_t **seen, entry = (uint32_t)(grain % SW_VMDK_GT_ENTRIES);

    if (lba >= v->h.size / SW_VMDK_SECTOR || lba % (v->h.grain / SW_VMDK_SECTOR))
        return sw_table_bad(err, "marker at offset %llu: a grain for sector %llu of the disk",
                            (unsigned long long)w->at, (unsigned long long)lba);
    if (size > sw_vmdk_grain_file_max(v->h.grain) - 12)
        return sw_table_bad(err, "marker at offset %llu: a grain of %u bytes",
                            (unsigned long long)w->at, size);
    seen = &w->seen[table];
    if (!*seen) {
        if (reserve(v, SW_VMDK_GT_BYTES, err) < 0)
            return -1;
        *seen = calloc(SW_VMDK_GT_ENTRIES, sizeof(**seen));
        if (!*seen)
            return no_memory(SW_VMDK_GT_BYTES, err);
    }
    if ((*seen)[entry])
        return sw_table_bad(err, "marker at offset %llu: sector %llu of the disk a second time",
                            (unsigned long long)w->at, (unsigned long long)lba);
    (*seen)[entry] = (uint32_t)(w->at / SW_VMDK_SECTOR);
    w->grain_len = 12 + size;
    w->next = sw_align_up(w->at + w->grain_len, SW_VMDK_SECTOR);
    w->state = WALK_GRAIN;
    return 0;
}

static int begin_meta(struct sw_vmdk *v, uint64_t sectors, struct sw_err *err)
{
    static const char *const names[] = { "end", "grain table", "grain directory", "footer" };
    struct sw_vmdk_walk *w = &v->walk;
    uint64_t want = SW_VMDK_SECTOR;

    if (w->type == MARKER_GT)
        want = SW_VMDK_GT_BYTES;
    else if (w->type == MARKER_GD)
        want = sw_align_up((uint64_t)v->h.n_gt * 4, SW_VMDK_SECTOR);
    if (sectors != want / SW_VMDK_SECTOR)
        return sw_table_bad(err, "marker at offset %llu: a %s of %llu sectors; %llu are legal",
                            (unsigned long long)w->at, names[w->type], (unsigned long long)sectors,
                            (unsigned long long)(want / SW_VMDK_SECTOR));
    w->meta_off = w->at + SW_VMDK_SECTOR;
    w->meta_len = (size_t)want;
    w->next = w->meta_off + want;
    w->state = WALK_META;
    if (w->meta_len <= w->meta_cap)
        return 0;
    if (reserve(v, w->meta_len, err) < 0)
        return -1;
    free(w->meta);
    w->meta = malloc(w->meta_len);
    w->meta_cap = w->meta ? w->meta_len : 0;
    return w->meta ? 0 : no_memory(w->meta_len, err);
}

static int take_marker(struct sw_vmdk *v, struct sw_err *err)
{
    struct sw_vmdk_walk *w = &v->walk;
    uint64_t value = sw_le64(w->marker);
    uint32_t size = sw_le32(w->marker + 8);

    w->have = 0;
    if (w->at / SW_VMDK_SECTOR > UINT32_MAX)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "the file is longer than its tables can say");
    if (size)
        return begin_grain(v, value, size, err);
    w->type = sw_le32(w->marker + 12);
    if (w->type == MARKER_EOS) {
        w->state = WALK_END;
        return 0;
    }
    if (w->type > MARKER_FOOTER)
        return sw_table_bad(err, "marker at offset %llu: unknown type %u",
                            (unsigned long long)w->at, w->type);
    return begin_meta(v, value, err);
}

static int take_meta(struct sw_vmdk *v, struct sw_err *err)
{
    struct sw_vmdk_walk *w = &v->walk;
    struct sw_span bytes = { w->meta, w->meta_len };

    w->have = 0;
    w->state = WALK_SKIP;
    if (w->type == MARKER_GT)
        return sw_vmdk_walk_gt(v, w->meta_off, bytes, err);
    if (w->type == MARKER_GD)
        return sw_vmdk_walk_gd(v, w->meta_off, bytes, 0, err);
    w->footer_off = w->meta_off;
    if (v->h.gd_off != SW_VMDK_GD_AT_END)
        return 0; /* the header said where it is, and that is where it was read */
    return sw_vmdk_parse_footer(&v->h, w->meta, w->meta_off, &w->gd_want, err);
}

/* ---- the stream --------------------------------------------------------------------------------- */

/* Collect `want` bytes that begin at `start`. Returns how many of `bytes` were used. */
static size_t collect(struct sw_vmdk_walk *w, uint8_t *to, size_t want, struct sw_span bytes)
{
    size_t n = bytes.n < want - w->have ? bytes.n : want - w->have;

    memcpy(to + w->have, bytes.p, n);
    w->have += n;
    return n;
}

static ssize_t step_marker(struct sw_vmdk *v, uint64_t pos, struct sw_span bytes,
                           const struct sw_out *out, struct sw_err *err)
{
    struct sw_vmdk_walk *w = &v->walk;
    size_t n = collect(w, w->marker, sizeof(w->marker), bytes);

    if (out->took && out->took(out->ctx, pos, (struct sw_span){ bytes.p, n }, err) < 0)
        return -1;
    if (w->have == sizeof(w->marker) && take_marker(v, err) < 0)
        return -1;
    return (ssize_t)n;
}

static ssize_t step_meta(struct sw_vmdk *v, uint64_t pos, struct sw_span bytes,
                         const struct sw_out *out, struct sw_err *err)
{
    struct sw_vmdk_walk *w = &v->walk;
    size_t n;

    if (pos < w->meta_off) /* the rest of the marker's sector */
        return (ssize_t)sw_min_u64(bytes.n, w->meta_off - pos);
    n = collect(w, w->meta, w->meta_len, bytes);
    if (out->took && out->took(out->ctx, pos, (struct sw_span){ bytes.p, n }, err) < 0)
        return -1;
    if (w->have == w->meta_len && take_meta(v, err) < 0)
        return -1;
    return (ssize_t)n;
}

static ssize_t step_grain(struct sw_vmdk *v, uint64_t pos, struct sw_span bytes,
                          const struct sw_out *out, struct sw_err *err)
{
    struct sw_vmdk_walk *w = &v->walk;
    uint64_t end = w->at + w->grain_len, lba = sw_le64(w->marker);
    const struct sw_placement p = {
        .codec = SW_CODEC_VMDK,
        .file_off = w->at,
        .file_len = w->grain_len,
        .guest_off = lba * SW_VMDK_SECTOR,
        .guest_len = sw_min_u64(v->h.grain, v->h.size - lba * SW_VMDK_SECTOR),
    };

    if (pos + bytes.n < end)
        return (ssize_t)bytes.n;
    w->state = WALK_SKIP;
    v->t.base.data_size += p.guest_len;
    if (out->place(out->ctx, &p, err) < 0)
        return -1;
    return (ssize_t)(end > pos ? end - pos : 0);
}

static ssize_t step_skip(struct sw_vmdk_walk *w, uint64_t pos, struct sw_span bytes)
{
    if (pos + bytes.n < w->next)
        return (ssize_t)bytes.n;
    w->at = w->next;
    w->state = WALK_MARKER;
    return (ssize_t)(w->next - pos);
}

static ssize_t step(struct sw_vmdk *v, uint64_t pos, struct sw_span bytes, const struct sw_out *out,
                    struct sw_err *err)
{
    switch (v->walk.state) {
    case WALK_MARKER:
        return step_marker(v, pos, bytes, out, err);
    case WALK_GRAIN:
        return step_grain(v, pos, bytes, out, err);
    case WALK_META:
        return step_meta(v, pos, bytes, out, err);
    case WALK_SKIP:
        return step_skip(&v->walk, pos, bytes);
    case WALK_END:
        break;
    }
    return (ssize_t)bytes.n;
}

int sw_vmdk_walk_push(struct sw_vmdk *v, uint64_t off, struct sw_span bytes,
                      const struct sw_out *out, struct sw_err *err)
{
    if (!v->t.complete)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "its tables stand among its grains, but are not announced by markers: it "
                          "can be read from a file or a server with ranges only");
    while (bytes.n) {
        ssize_t n = step(v, off, bytes, out, err);

        if (n < 0)
            return -1;
        off += (uint64_t)n;
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
    return 0;
}

int sw_vmdk_walk_finish(struct sw_vmdk *v, uint64_t file_size, struct sw_err *err)
{
    struct sw_vmdk_walk *w = &v->walk;
    bool between = w->state == WALK_SKIP || (w->state == WALK_MARKER && w->have == 0);

    if (w->state != WALK_END && (!between || v->h.gd_off == SW_VMDK_GD_AT_END))
        return sw_table_bad(err,
                            "truncated: the file ends at %llu, after the marker at offset %llu",
                            (unsigned long long)file_size, (unsigned long long)w->at);
    if (v->h.gd_off == SW_VMDK_GD_AT_END && w->footer_off + 2 * SW_VMDK_SECTOR != file_size)
        return sw_table_bad(err, "footer: it was at offset %llu of a file of %llu bytes",
                            (unsigned long long)w->footer_off, (unsigned long long)file_size);
    return compare_tables(v, err);
}
