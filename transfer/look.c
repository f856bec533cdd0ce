/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/look.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "formats/vhd.h"

/* Enough to sniff; enough of a wrapper to get the start of what is inside out of it (a bzip2 block
 * is up to 900 kB and comes out whole or not at all; half as much is wanted of the inside); how
 * far the disk of a container is looked for. */
#define HEAD_PLAIN (64 * SW_KIB)
#define HEAD_WRAPPED SW_MIB
#define HEAD_MOST (16 * SW_MIB)

/* A source in the same building answers a small read faster than this. */
#define FAR_NS (10 * SW_NS_PER_MS)

/* Tables are read in windows: neighbours together, several windows at once. */
#define WINDOW (1 * SW_MIB)
#define WINDOWS_MAX 8

struct sw_limits sw_look_limits(const struct sw_import_options *o)
{
    const struct sw_limits defaults = SW_LIMITS_DEFAULT;
    struct sw_limits l = o->limits;

    if (!l.guest_size)
        l.guest_size = defaults.guest_size;
    if (!l.table_memory)
        l.table_memory = defaults.table_memory;
    if (!l.decoder_memory)
        l.decoder_memory = defaults.decoder_memory;
    if (!l.members)
        l.members = defaults.members;
    if (!l.member_name)
        l.member_name = defaults.member_name;
    if (!l.member_depth)
        l.member_depth = defaults.member_depth;
    if (!l.member_head)
        l.member_head = defaults.member_head;
    if (!l.expansion) {
        l.expansion = defaults.expansion;
        l.expansion_floor = defaults.expansion_floor;
    }
    /* More memory was asked for because tables or windows did not fit. */
    l.table_memory = sw_max_u64(l.table_memory, o->memory / 2);
    l.decoder_memory = sw_max_u64(l.decoder_memory, o->memory);
    return l;
}

/* Extend head to `want` bytes, or to the end of the source. */
static int read_head(struct sw_source *s, struct sw_look *l, size_t want, struct sw_err *err)
{
    bool is_inner = l->inner == l->head;
    uint8_t *more = realloc(l->head, want);

    if (!more)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    l->head = more;
    if (is_inner)
        l->inner = more;
    if (s->seekable) {
        size_t n = (size_t)sw_min_u64(want, s->size);

        int64_t start = sw_now_ns();

        if (n > l->head_len &&
            s->ops->read_at(s, 0, l->head + l->head_len, n - l->head_len, l->head_len, err) < 0)
            return -1;
        l->far = sw_now_ns() - start > FAR_NS;
        l->head_len = n;
        l->head_is_all = n == s->size;
        return 0;
    }
    while (l->head_len < want) {
        ssize_t n = s->ops->read(s, l->head + l->head_len, want - l->head_len, err);

        if (n < 0)
            return -1;
        if (n == 0) {
            l->head_is_all = true;
            return 0;
        }
        l->head_len += (size_t)n;
    }
    return 0;
}

/* Decode the start of a wrapper, l->inner, until io is full. What follows the part that is there is
 * not an error here. *ret_is_all: nothing follows what came out. */
static int decode_head(const struct sw_look *l, const struct sw_decoder_ops *ops,
                       const struct sw_limits *limits, struct sw_decode_io *io, bool *ret_is_all,
                       struct sw_err *err)
{
    struct sw_decoder *d;
    int rc = 0;

    if (ops->open(limits, &d, err) < 0)
        return -1;
    while (io->in.n && io->out_len < io->out_cap) {
        size_t before = io->in.n + io->out_len;

        rc = ops->step(d, io, err);
        if (rc < 0 || io->in.n + io->out_len == before)
            break;
    }
    *ret_is_all = rc == 0 && l->inner_is_all && !io->in.n && io->out_len < io->out_cap;
    if (*ret_is_all && !io->out_len)
        rc = ops->finish(d, err);
    ops->close(d);
    /* Corruption further in is found again, and told, when the bytes are really used. */
    return rc < 0 && !io->out_len ? -1 : 0;
}

/* May another wrapper of this kind come below those that were found? */
static int check_wrap(const struct sw_look *l, enum sw_wrap wrap, struct sw_err *err)
{
    unsigned same = 0, most = sw_wrap_is_container(wrap) ? 1 : SW_COMPRESSIONS_MAX;

    for (unsigned i = 0; i < l->n_wraps; i++)
        same += sw_wrap_is_container(l->wraps[i]) == sw_wrap_is_container(wrap);
    if (same < most)
        return 0;
    return sw_err_set(err, SW_ERR_UNSUPPORTED,
                      "more than %u %s inside each other: unpack the outer ones", most,
                      sw_wrap_is_container(wrap) ? "container" : "compressions");
}

static void forget_wraps(struct sw_look *l)
{
    if (l->inner != l->head)
        free(l->inner);
    l->inner = l->head;
    l->inner_len = l->head_len;
    l->inner_is_all = l->head_is_all;
    l->n_wraps = 0;
    memset(l->wraps, 0, sizeof(l->wraps));
}

/* What the bytes at l->inner are wrapped in, and what is in that. */
static int unwrap_once(struct sw_look *l, enum sw_wrap wrap, size_t most,
                       const struct sw_limits *limits, struct sw_err *err)
{
    sw_autofree uint8_t *out = malloc(most);
    struct sw_decode_io io = { { l->inner, l->inner_len }, out, most, 0 };
    bool is_all;

    if (check_wrap(l, wrap, err) < 0)
        return -1;
    if (!out)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (decode_head(l, sw_decoder_for(wrap), limits, &io, &is_all, err) < 0)
        return -1;
    l->wraps[l->n_wraps++] = wrap;
    if (l->inner != l->head)
        free(l->inner);
    l->inner = sw_steal(out);
    l->inner_len = io.out_len;
    l->inner_is_all = is_all;
    return 0;
}

/* The wrapper that these bytes begin with, as far as it counts. */
static enum sw_wrap next_wrap(const struct sw_look *l, const struct sw_import_options *o)
{
    enum sw_wrap wrap = sw_wrap_sniff((struct sw_span){ l->inner, l->inner_len });

    return o->format == SW_FORMAT_RAW && sw_wrap_is_container(wrap) ? SW_WRAP_NONE : wrap;
}

/* Whether what a container holds has not come into sight yet: other members may lie before it. */
static bool needs_more(const struct sw_look *l)
{
    bool is_contained = false;

    for (unsigned i = 0; i < l->n_wraps; i++)
        is_contained |= sw_wrap_is_container(l->wraps[i]);
    return is_contained && l->inner_len < SW_SNIFF_BYTES && !l->inner_is_all;
}

static int unwrap_head(struct sw_source *s, struct sw_look *l, const struct sw_import_options *o,
                       const struct sw_limits *limits, struct sw_err *err)
{
    enum sw_wrap wrap;

    if (next_wrap(l, o) == SW_WRAP_NONE)
        return 0;
    for (size_t want = HEAD_WRAPPED; want <= HEAD_MOST; want *= 4) {
        if (read_head(s, l, want, err) < 0)
            return -1;
        forget_wraps(l);
        while ((wrap = next_wrap(l, o)) != SW_WRAP_NONE) {
            if (unwrap_once(l, wrap, want / 2, limits, err) < 0)
                return -1;
        }
        if (!needs_more(l))
            return 0;
    }
    if (l->inner_len)
        return 0;
    return sw_err_set(err, SW_ERR_UNSUPPORTED,
                      "no disk image begins in the first %u MiB: put it first in the %s",
                      (unsigned)(HEAD_MOST / 2 / SW_MIB), sw_wrap_name(l->wraps[l->n_wraps - 1]));
}

static struct sw_span start_of(const struct sw_look *l, size_t max)
{
    return (struct sw_span){ l->inner, l->inner_len < max ? l->inner_len : max };
}

/* What begins like nothing in particular is raw or a fixed VHD. A stream tells in the end. */
static int find_end(struct sw_source *s, struct sw_look *l, struct sw_err *err)
{
    uint8_t tail[SW_SNIFF_TAIL];
    size_t n = (size_t)sw_min_u64(s->size, sizeof(tail));

    if (!s->seekable || l->n_wraps) {
        l->format = SW_FORMAT_RAW_OR_VHD;
        return 0;
    }
    if (l->head_is_all)
        memcpy(tail, l->head + l->head_len - n, n);
    else if (s->ops->read_at(s, 0, tail, n, s->size - n, err) < 0)
        return sw_err_wrap(err, "read the end of the image");
    return sw_format_sniff_tail((struct sw_span){ tail, n }, s->size, &l->format, err);
}

static int find_format(struct sw_source *s, const struct sw_import_options *o, struct sw_look *l,
                       struct sw_err *err)
{
    struct sw_span start = start_of(l, SW_SNIFF_BYTES);

    l->format = o->format;
    if (l->format == SW_FORMAT_VHD && (start.n < 8 || memcmp(start.p, SW_VHD_COOKIE, 8) != 0))
        l->format = SW_FORMAT_VHD_FIXED;
    if (l->format != SW_FORMAT_AUTO)
        return 0;
    if (sw_format_sniff(start, &l->format, err) < 0)
        return -1;
    return l->format == SW_FORMAT_RAW ? find_end(s, l, err) : 0;
}

static void describe_raw(struct sw_look *l)
{
    const char *kind = sw_format_raw_kind(start_of(l, SW_KIND_BYTES));

    if (kind && (l->format == SW_FORMAT_RAW || l->format == SW_FORMAT_RAW_OR_VHD))
        snprintf(l->reader->detail, sizeof(l->reader->detail), "%s", kind);
}

static int look(struct sw_source *s, const struct sw_import_options *o,
                const struct sw_limits *limits, struct sw_look *l, struct sw_err *err)
{
    if (read_head(s, l, HEAD_PLAIN, err) < 0)
        return -1;
    forget_wraps(l);
    if (l->head_len == 0)
        return sw_err_set(err, SW_ERR_BAD_DATA, "the source is empty");
    if (unwrap_head(s, l, o, limits, err) < 0)
        return -1;

    l->file_size = l->n_wraps ? SW_SIZE_UNKNOWN : s->size;
    if (find_format(s, o, l, err) < 0 ||
        sw_reader_open(l->format, limits, l->file_size, &l->reader, err) < 0)
        return -1;
    describe_raw(l);
    return 0;
}

int sw_look_open(struct sw_source *s, const struct sw_import_options *o,
                 const struct sw_limits *limits, struct sw_look *ret, struct sw_err *err)
{
    struct sw_look l = { 0 };

    if (look(s, o, limits, &l, err) < 0) {
        sw_look_done(&l);
        return -1;
    }
    *ret = l;
    return 0;
}

void sw_look_done(struct sw_look *l)
{
    if (l->reader)
        l->reader->ops->close(l->reader);
    if (l->inner != l->head)
        free(l->inner);
    free(l->head);
    *l = (struct sw_look){ 0 };
}

/* ---- the map -------------------------------------------------------------------------------- */

struct window {
    struct sw_source *source;
    unsigned lane;
    uint64_t off;
    size_t len;
    uint8_t *buf;
    int rc;
    struct sw_err err;
};

static void *read_window(void *arg)
{
    struct window *w = arg;

    w->rc = w->source->ops->read_at(w->source, w->lane, w->buf, w->len, w->off, &w->err);
    return NULL;
}

/* Put the next wants into windows. Returns how many windows; *ret_wants: how many wants they hold.
 * A want that reaches past the end of the file gets a window with what there is. */
static unsigned plan_windows(struct sw_source *s, const struct sw_look *l, struct window *w,
                             unsigned *ret_wants)
{
    unsigned max = s->lanes < WINDOWS_MAX ? s->lanes : WINDOWS_MAX, n = 0, nth = 0;
    uint64_t off;
    size_t len;

    for (; l->reader->ops->want(l->reader, nth, &off, &len); nth++) {
        uint64_t end = sw_min_u64(off + len, s->size);

        off = sw_min_u64(off, s->size);
        if (n && off >= w[n - 1].off && end - w[n - 1].off <= WINDOW) {
            if (end > w[n - 1].off + w[n - 1].len)
                w[n - 1].len = (size_t)(end - w[n - 1].off);
            continue;
        }
        if (n == max)
            break;
        w[n] = (struct window){ .source = s, .lane = n, .off = off, .len = (size_t)(end - off) };
        n++;
    }
    *ret_wants = nth;
    return n;
}

static int read_windows(struct window *w, unsigned n, struct sw_err *err)
{
    pthread_t threads[WINDOWS_MAX];
    bool started[WINDOWS_MAX] = { false };

    for (unsigned i = 0; i < n; i++) {
        w[i].buf = malloc(w[i].len ? w[i].len : 1);
        if (!w[i].buf)
            return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for tables");
    }
    for (unsigned i = 1; i < n; i++)
        started[i] = pthread_create(&threads[i], NULL, read_window, &w[i]) == 0;
    for (unsigned i = 0; i < n; i++) {
        if (!started[i])
            read_window(&w[i]);
    }
    for (unsigned i = 1; i < n; i++) {
        if (started[i])
            pthread_join(threads[i], NULL);
    }
    for (unsigned i = 0; i < n; i++) {
        if (w[i].rc < 0) {
            *err = w[i].err;
            return sw_err_wrap(err, "read the image's tables");
        }
    }
    return 0;
}

static int give_windows(struct sw_reader *r, const struct window *w, unsigned n_wants,
                        struct sw_err *err)
{
    const uint64_t file_size = w->source->size;
    uint64_t off;
    size_t len;

    while (n_wants-- && r->ops->want(r, 0, &off, &len)) {
        off = sw_min_u64(off, file_size);
        while (off < w->off || off > w->off + w->len)
            w++;
        size_t there = (size_t)(w->off + w->len - off);
        if (r->ops->give(r, (struct sw_span){ w->buf + (off - w->off), there < len ? there : len },
                         err) < 0)
            return -1;
    }
    return 0;
}

int sw_look_load_map(struct sw_source *s, struct sw_look *l, struct sw_err *err)
{
    for (;;) {
        struct window w[WINDOWS_MAX] = { 0 };
        unsigned n_wants, n = plan_windows(s, l, w, &n_wants);
        int rc;

        if (n == 0)
            return 0;
        rc = read_windows(w, n, err);
        if (rc == 0)
            rc = give_windows(l->reader, w, n_wants, err);
        for (unsigned i = 0; i < n; i++)
            free(w[i].buf);
        if (rc < 0)
            return -1;
    }
}
