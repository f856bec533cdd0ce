/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/extent_map.h"

#include <stdlib.h>
#include <string.h>

/* A walk restarts at the first extent that still reaches the position; short runs keep what a
 * hostile image can make it look at again short. */
#define RUN_MAX (256u << 20)

void sw_extent_map_init(struct sw_extent_map *m, size_t max_bytes)
{
    *m = (struct sw_extent_map){ .max_bytes = max_bytes };
}

void sw_extent_map_done(struct sw_extent_map *m)
{
    free(m->v);
    *m = (struct sw_extent_map){ 0 };
}

static int grow(struct sw_extent_map *m, struct sw_err *err)
{
    size_t max = m->max_bytes / sizeof(*m->v);
    size_t cap = m->cap ? m->cap * 2 : 64;

    if (cap > max)
        cap = max;
    if (cap <= m->n)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "the image's map has more than %zu extents, which need more than the "
                          "limit of %zu MiB: raise --memory",
                          m->n, m->max_bytes >> 20);

    struct sw_extent *v = realloc(m->v, cap * sizeof(*v));
    if (!v)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for %zu extents", cap);
    m->v = v;
    m->cap = cap;
    return 0;
}

static bool continues(const struct sw_extent *a, const struct sw_extent *b)
{
    return a->codec == SW_CODEC_NONE && b->codec == SW_CODEC_NONE &&
           a->file_off + a->file_len == b->file_off &&
           a->guest_off + a->guest_len == b->guest_off &&
           (uint64_t)a->file_len + b->file_len <= RUN_MAX;
}

int sw_extent_map_add(struct sw_extent_map *m, const struct sw_extent *e, struct sw_err *err)
{
    if (m->n > m->sorted && continues(&m->v[m->n - 1], e)) {
        m->v[m->n - 1].file_len += e->file_len;
        m->v[m->n - 1].guest_len += e->guest_len;
        return 0;
    }
    if (m->n == m->cap && grow(m, err) < 0)
        return -1;
    m->v[m->n++] = *e;
    return 0;
}

static int by_file_off(const void *pa, const void *pb)
{
    const struct sw_extent *a = pa, *b = pb;

    if (a->file_off != b->file_off)
        return a->file_off < b->file_off ? -1 : 1;
    if (a->guest_off != b->guest_off)
        return a->guest_off < b->guest_off ? -1 : 1;
    return 0;
}

/* Merge the sorted tail v[m->sorted..n) into the sorted head from the back, so that the head moves
 * at most once. The tail is one table's worth and is copied aside. */
static int merge(struct sw_extent_map *m, struct sw_err *err)
{
    size_t tail_n = m->n - m->sorted;
    sw_autofree struct sw_extent *tail = malloc(tail_n * sizeof(*tail));

    if (!tail)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for %zu extents", tail_n);
    memcpy(tail, m->v + m->sorted, tail_n * sizeof(*tail));

    size_t head = m->sorted, to = m->n;
    while (tail_n > 0) {
        if (head > 0 && by_file_off(&m->v[head - 1], &tail[tail_n - 1]) > 0)
            m->v[--to] = m->v[--head];
        else
            m->v[--to] = tail[--tail_n];
    }
    return 0;
}

int sw_extent_map_sort(struct sw_extent_map *m, struct sw_err *err)
{
    if (m->n == m->sorted)
        return 0;

    qsort(m->v + m->sorted, m->n - m->sorted, sizeof(*m->v), by_file_off);
    if (m->sorted && by_file_off(&m->v[m->sorted - 1], &m->v[m->sorted]) > 0 && merge(m, err) < 0)
        return -1;
    m->sorted = m->n;
    return 0;
}

size_t sw_extent_map_seek(const struct sw_extent_map *m, size_t *cursor, uint64_t pos)
{
    size_t i = *cursor;

    while (i < m->sorted && sw_extent_file_end(&m->v[i]) <= pos)
        i++;
    *cursor = i;
    return i;
}
