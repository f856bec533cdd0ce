/* SPDX-License-Identifier: Apache-2.0 */
/* The common part of the readers whose images have tables.
 *
 * DESIGN. Ranges that were asked for are kept sorted by offset. Where the stream has passed their
 * beginning they are `behind`: parked, and asked for with want(). The others are `ahead`: want()
 * names them too, for a source that can seek; push() picks them up as they pass by. Extents that
 * turn out to lie behind the stream go to `late`, which resolve() hands out. */
#include "formats/table_reader.h"

#include <stdlib.h>
#include <string.h>

static struct sw_table_reader *self(struct sw_reader *base)
{
    return (struct sw_table_reader *)base;
}

static int wrap(const struct sw_table_reader *t, struct sw_err *err)
{
    return sw_err_wrap(err, "%s", t->format->name);
}

void sw_table_reader_init(struct sw_table_reader *t, const struct sw_table_format *format,
                          const struct sw_limits *limits, uint64_t file_size)
{
    t->base.ops = &sw_table_reader_ops;
    t->format = format;
    t->limits = *limits;
    t->file_size = file_size;
    sw_extent_map_init(&t->map, (size_t)limits->table_memory);
    sw_extent_map_init(&t->late, (size_t)limits->table_memory);
}

int sw_table_refuse_backing(struct sw_span name, struct sw_err *err)
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

/* ---- what was asked for ----------------------------------------------------------------------- */

static int truncated(const struct sw_table_reader *t, const struct sw_table_ref *ref,
                     struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA,
                      "truncated: the %s at offset %llu has %u bytes, but the file ends at %llu",
                      t->format->what(ref->tag), (unsigned long long)ref->off, ref->len,
                      (unsigned long long)t->file_size);
}

static int add_ref(struct sw_table_reader *t, struct sw_table_ref ref, struct sw_err *err)
{
    if (t->file_size != UINT64_MAX && (ref.off > t->file_size || ref.len > t->file_size - ref.off))
        return truncated(t, &ref, err);
    if (t->n_all == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 4;
        struct sw_table_ref *refs;

        if (cap * sizeof(*refs) > t->limits.table_memory)
            return sw_err_set(err, SW_ERR_UNSUPPORTED,
                              "the image has more than %zu tables, which need more than the limit "
                              "of %llu MiB: raise --memory",
                              t->n_all, (unsigned long long)t->limits.table_memory >> 20);
        refs = realloc(t->refs, cap * sizeof(*refs));
        if (!refs)
            return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for %zu tables", cap);
        t->refs = refs;
        t->cap = cap;
    }
    t->refs[t->n_all++] = ref;
    return 0;
}

int sw_table_ask(struct sw_table_reader *t, uint64_t off, uint64_t len, uint32_t tag,
                 struct sw_err *err)
{
    if (off > INT64_MAX || len > INT64_MAX - off)
        return sw_table_bad(err, "the %s at offset %llu, %llu bytes, ends beyond any file",
                            t->format->what(tag), (unsigned long long)off, (unsigned long long)len);
    while (len) {
        struct sw_table_ref ref = { .off = off,
                                    .len = (uint32_t)sw_min_u64(len, SW_TABLE_PIECE),
                                    .tag = tag };

        if (add_ref(t, ref, err) < 0)
            return -1;
        off += ref.len;
        len -= ref.len;
    }
    return 0;
}

static bool same_range(const struct sw_table_ref *a, const struct sw_table_ref *b)
{
    return a->off == b->off && a->len == b->len;
}

static int by_off(const void *pa, const void *pb)
{
    const struct sw_table_ref *a = pa, *b = pb;

    if (a->off != b->off)
        return a->off < b->off ? -1 : 1;
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    return a->tag < b->tag ? -1 : a->tag > b->tag;
}

static int check_overlap(struct sw_table_reader *t, struct sw_err *err)
{
    t->twins = false;
    for (size_t i = 1; i < t->n; i++) {
        const struct sw_table_ref *a = &t->refs[i - 1], *b = &t->refs[i];

        if (same_range(a, b))
            t->twins = true;
        else if (b->off < a->off + a->len)
            return sw_table_bad(
                err, "the %s at offset %llu (%u bytes) and the %s at offset %llu overlap",
                t->format->what(a->tag), (unsigned long long)a->off, a->len,
                t->format->what(b->tag), (unsigned long long)b->off);
    }
    return 0;
}

/* Take what was just asked for into the sorted list. */
static int settle(struct sw_table_reader *t, struct sw_err *err)
{
    /* What is being collected has begun to pass by, but is not behind. */
    uint64_t from = t->meta_have ? t->refs[t->ahead].off : t->pos;
    size_t n = t->split - t->behind;

    if (t->n_all == t->n)
        return 0;
    memmove(t->refs, t->refs + t->behind, n * sizeof(*t->refs));
    memmove(t->refs + n, t->refs + t->ahead, (t->n_all - t->ahead) * sizeof(*t->refs));
    t->n = t->n_all = n + t->n_all - t->ahead;
    qsort(t->refs, t->n, sizeof(*t->refs), by_off);
    t->behind = t->split = 0;
    while (t->split < t->n && t->refs[t->split].off < from)
        t->split++;
    t->ahead = t->split;
    return check_overlap(t, err);
}

static bool outstanding(const struct sw_table_reader *t)
{
    return t->behind < t->split || t->ahead < t->n;
}

/* After each table: more tables, or the end. Every round asks for something or is the last. */
static int go_on(struct sw_table_reader *t, struct sw_err *err)
{
    if (settle(t, err) < 0)
        return -1;
    while (!outstanding(t) && !t->complete) {
        if (t->format->next && t->format->next(t, err) < 0)
            return -1;
        if (settle(t, err) < 0)
            return -1;
        t->complete = !outstanding(t);
    }
    /* A source that can seek has pushed nothing yet: once at the end is enough. */
    return t->complete || t->pos ? sw_extent_map_sort(&t->map, err) : 0;
}

/* Hand a table to its format, for each time that it was asked for. */
static int take(struct sw_table_reader *t, size_t *index, size_t end, struct sw_span bytes,
                struct sw_err *err)
{
    struct sw_table_ref first = t->refs[*index];

    while (*index < end && same_range(&t->refs[*index], &first)) {
        struct sw_table_ref ref = t->refs[(*index)++];

        if (t->format->take(t, &ref, bytes, err) < 0)
            return -1;
    }
    return go_on(t, err);
}

static bool nth_ref(const struct sw_table_reader *t, size_t from, size_t to, unsigned *nth,
                    const struct sw_table_ref **ret)
{
    if (!t->twins) {
        if (*nth < to - from) {
            *ret = &t->refs[from + *nth];
            return true;
        }
        *nth -= (unsigned)(to - from);
        return false;
    }
    for (size_t i = from; i < to; i++) {
        if (i > from && same_range(&t->refs[i], &t->refs[i - 1]))
            continue;
        if ((*nth)-- == 0) {
            *ret = &t->refs[i];
            return true;
        }
    }
    return false;
}

static bool table_want(const struct sw_reader *base, unsigned nth, uint64_t *ret_off,
                       size_t *ret_len)
{
    const struct sw_table_reader *t = (const struct sw_table_reader *)base;
    const struct sw_table_ref *ref;

    if (!nth_ref(t, t->behind, t->split, &nth, &ref) && !nth_ref(t, t->ahead, t->n, &nth, &ref))
        return false;
    *ret_off = ref->off;
    *ret_len = ref->len;
    return true;
}

static int table_give(struct sw_reader *base, struct sw_span bytes, struct sw_err *err)
{
    struct sw_table_reader *t = self(base);
    bool behind = t->behind < t->split;
    size_t *index = behind ? &t->behind : &t->ahead;

    if (!outstanding(t))
        return sw_err_set(err, SW_ERR_INTERNAL, "%s: nothing was asked for", t->format->name);

    const struct sw_table_ref *ref = &t->refs[*index];
    if (bytes.n < ref->len) {
        t->file_size = sw_min_u64(t->file_size, ref->off + bytes.n);
        truncated(t, ref, err);
        return wrap(t, err);
    }
    return take(t, index, behind ? t->split : t->n, bytes, err) < 0 ? wrap(t, err) : 0;
}

int sw_table_disk(struct sw_table_reader *t, uint64_t guest_size, uint32_t granule,
                  struct sw_err *err)
{
    if (guest_size > t->limits.guest_size)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "a virtual disk of %llu bytes is larger than the limit of %llu",
                          (unsigned long long)guest_size, (unsigned long long)t->limits.guest_size);
    t->base.guest_size = sw_align_up(guest_size, 512);
    t->base.granule = granule;
    t->base.has_header = true;
    return 0;
}

int sw_table_begin(struct sw_table_reader *t, uint32_t header_len, struct sw_reader **ret,
                   struct sw_err *err)
{
    if (sw_table_ask(t, 0, header_len, 0, err) < 0 || settle(t, err) < 0) {
        (void)wrap(t, err);
        t->base.ops->close(&t->base);
        return -1;
    }
    *ret = &t->base;
    return 0;
}

/* ---- extents --------------------------------------------------------------------------------- */

static int check_end(const struct sw_table_reader *t, const struct sw_extent *e, struct sw_err *err)
{
    if (sw_extent_file_end(e) <= t->file_size)
        return 0;
    return sw_err_set(err, SW_ERR_BAD_DATA,
                      "truncated: guest offset %llu lies at file offset %llu (%u bytes), but the "
                      "file ends at %llu",
                      (unsigned long long)e->guest_off, (unsigned long long)e->file_off,
                      e->file_len, (unsigned long long)t->file_size);
}

/* The part of a run that is still to come goes to the map, what has passed by is late. */
static int add_late(struct sw_table_reader *t, struct sw_extent e, struct sw_err *err)
{
    if (sw_extent_file_end(&e) > t->pos) {
        uint32_t cut = (uint32_t)(t->pos - e.file_off);
        struct sw_extent ahead = { .file_off = e.file_off + cut,
                                   .guest_off = e.guest_off + cut,
                                   .file_len = e.file_len - cut,
                                   .guest_len = e.file_len - cut };

        e.file_len = e.guest_len = cut;
        if (sw_extent_map_add(&t->map, &ahead, err) < 0)
            return -1;
    }
    return sw_extent_map_add(&t->late, &e, err);
}

int sw_table_extent(struct sw_table_reader *t, struct sw_extent e, struct sw_err *err)
{
    if (e.guest_off >= t->base.guest_size)
        return 0;
    if (e.codec == SW_CODEC_NONE && e.guest_len > t->base.guest_size - e.guest_off)
        e.guest_len = e.file_len = (uint32_t)(t->base.guest_size - e.guest_off);
    if (check_end(t, &e, err) < 0)
        return -1;
    t->base.data_size += e.guest_len;
    return e.file_off < t->pos ? add_late(t, e, err) : sw_extent_map_add(&t->map, &e, err);
}

static struct sw_placement placement(const struct sw_extent *e)
{
    return (struct sw_placement){ .codec = e->codec,
                                  .file_off = e->file_off,
                                  .file_len = e->file_len,
                                  .guest_off = e->guest_off,
                                  .guest_len = e->guest_len };
}

/* ---- the stream ----------------------------------------------------------------------------- */

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

/* Place what is known of [from, to), and park the rest while it may still turn out to be data. */
static int pass_region(struct sw_table_reader *t, uint64_t from, uint64_t to, bool park,
                       const struct sw_out *out, struct sw_err *err)
{
    uint64_t covered = sw_max_u64(from, t->first_data);
    size_t i = sw_extent_map_seek(&t->map, &t->cursor, from);

    for (; i < t->map.sorted && t->map.v[i].file_off < to; i++) {
        const struct sw_extent *e = &t->map.v[i];

        if (sw_extent_file_end(e) <= from)
            continue;
        if (park && e->file_off > covered &&
            out->park(out->ctx, covered, e->file_off - covered, err) < 0)
            return -1;
        covered = sw_max_u64(covered, sw_extent_file_end(e));
        if (place_extent(e, from, to, out, err) < 0)
            return -1;
    }
    return park && covered < to ? out->park(out->ctx, covered, to - covered, err) : 0;
}

/* Add what has come of the range that is passing by; take it when it is whole. */
static int collect(struct sw_table_reader *t, struct sw_span bytes, struct sw_err *err)
{
    size_t len = t->refs[t->ahead].len;

    if (!t->meta_have) {
        uint8_t *meta = realloc(t->meta, len);

        if (!meta)
            return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a table of %zu bytes", len);
        t->meta = meta;
    }
    memcpy(t->meta + t->meta_have, bytes.p, bytes.n);
    t->meta_have += bytes.n;
    if (t->meta_have < len)
        return 0;
    t->meta_have = 0;
    return take(t, &t->ahead, t->n, (struct sw_span){ t->meta, len }, err);
}

/* Handle the stream from t->pos up to the next border between tables and the rest. */
static int push_step(struct sw_table_reader *t, struct sw_span bytes, const struct sw_out *out,
                     struct sw_err *err)
{
    uint64_t from = t->pos, to = from + bytes.n;
    const struct sw_table_ref *ref = t->ahead < t->n ? &t->refs[t->ahead] : NULL;

    if (!ref || ref->off >= to) {
        t->pos = to;
        return pass_region(t, from, to, !t->complete, out, err);
    }
    if (ref->off + t->meta_have > from) {
        t->pos = ref->off;
        return pass_region(t, from, ref->off, !t->complete, out, err);
    }

    /* Nothing forbids the disk to show a table's bytes, too. */
    size_t n = (size_t)sw_min_u64(bytes.n, ref->len - t->meta_have);
    t->pos = from + n;
    if (pass_region(t, from, t->pos, false, out, err) < 0)
        return -1;
    if (out->took && out->took(out->ctx, from, (struct sw_span){ bytes.p, n }, err) < 0)
        return -1;
    return collect(t, (struct sw_span){ bytes.p, n }, err);
}

static int table_push(struct sw_reader *base, uint64_t off, struct sw_span bytes,
                      const struct sw_out *out, struct sw_err *err)
{
    struct sw_table_reader *t = self(base);
    uint64_t end = off + bytes.n;

    t->pos = off;
    while (t->pos < end) {
        struct sw_span rest = { bytes.p + (t->pos - off), (size_t)(end - t->pos) };

        if (push_step(t, rest, out, err) < 0)
            return wrap(t, err);
    }
    return 0;
}

static uint64_t table_keep(struct sw_reader *base, uint64_t pos)
{
    struct sw_table_reader *t = self(base);

    for (size_t i = sw_extent_map_seek(&t->map, &t->cursor, pos); i < t->map.sorted; i++) {
        const struct sw_extent *e = &t->map.v[i];

        if (e->file_off >= pos)
            break;
        if (e->codec != SW_CODEC_NONE && sw_extent_file_end(e) > pos)
            return e->file_off;
    }
    return pos;
}

static bool table_needed(struct sw_reader *base, uint64_t pos, uint64_t *ret_off, uint64_t *ret_len)
{
    struct sw_table_reader *t = self(base);
    size_t i = sw_extent_map_seek(&t->map, &t->need_cursor, pos);

    if (i >= t->map.sorted)
        return false;

    uint64_t off = sw_max_u64(pos, t->map.v[i].file_off);
    uint64_t end = sw_extent_file_end(&t->map.v[i]);
    while (++i < t->map.sorted && t->map.v[i].file_off <= end)
        end = sw_max_u64(end, sw_extent_file_end(&t->map.v[i]));
    *ret_off = off;
    *ret_len = end - off;
    return true;
}

static int check_extents(struct sw_table_reader *t, struct sw_err *err)
{
    size_t i = sw_extent_map_seek(&t->map, &t->cursor, t->file_size);

    for (; i < t->map.sorted; i++) {
        if (check_end(t, &t->map.v[i], err) < 0)
            return -1;
    }
    return 0;
}

static int table_finish(struct sw_reader *base, uint64_t file_size, const struct sw_out *out,
                        struct sw_err *err)
{
    struct sw_table_reader *t = self(base);

    (void)out;
    if (t->file_size != UINT64_MAX && file_size != t->file_size)
        return sw_err_set(err, SW_ERR_BAD_DATA, "%s: truncated: %llu of %llu bytes",
                          t->format->name, (unsigned long long)file_size,
                          (unsigned long long)t->file_size);
    t->file_size = file_size;
    t->pos = sw_max_u64(t->pos, file_size);
    if (t->ahead < t->n) {
        truncated(t, &t->refs[t->ahead], err);
        return wrap(t, err);
    }
    for (size_t i = t->behind; i < t->split; i++) {
        const struct sw_table_ref *ref = &t->refs[i];

        if (ref->len > file_size - sw_min_u64(ref->off, file_size))
            return truncated(t, ref, err), wrap(t, err);
    }
    return check_extents(t, err) < 0 ? wrap(t, err) : 0;
}

static int table_resolve(struct sw_reader *base, const struct sw_out *out, struct sw_err *err)
{
    struct sw_table_reader *t = self(base);

    if (!t->complete)
        return sw_err_set(err, SW_ERR_INTERNAL, "%s: resolved before the map was complete",
                          t->format->name);
    if (sw_extent_map_sort(&t->late, err) < 0)
        return wrap(t, err);
    for (size_t i = 0; i < t->late.n; i++) {
        struct sw_placement p = placement(&t->late.v[i]);

        p.spent = i + 1 < t->late.n ? t->late.v[i + 1].file_off : UINT64_MAX;
        if (out->place(out->ctx, &p, err) < 0)
            return wrap(t, err);
    }
    return 0;
}

static bool table_lookup(const struct sw_reader *base, uint64_t guest_off, struct sw_placement *ret,
                         uint64_t *ret_zero_end)
{
    const struct sw_table_reader *t = (const struct sw_table_reader *)base;
    uint64_t next = base->guest_size;

    for (size_t i = 0; i < t->map.sorted; i++) {
        const struct sw_extent *e = &t->map.v[i];

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

static void table_close(struct sw_reader *base)
{
    struct sw_table_reader *t = self(base);

    if (!t)
        return;
    if (t->format->done)
        t->format->done(t);
    sw_extent_map_done(&t->map);
    sw_extent_map_done(&t->late);
    free(t->refs);
    free(t->meta);
    free(t);
}

const struct sw_reader_ops sw_table_reader_ops = {
    .name = "tables",
    .want = table_want,
    .give = table_give,
    .push = table_push,
    .keep = table_keep,
    .needed = table_needed,
    .finish = table_finish,
    .resolve = table_resolve,
    .lookup = table_lookup,
    .close = table_close,
};
