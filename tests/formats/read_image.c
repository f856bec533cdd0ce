/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/formats/read_image.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "formats/inflate.h"

struct feed {
    struct sw_span file;
    struct sw_reader *reader;
    struct disk *disk;
    uint64_t keep, pos; /* the bytes that a placement may name now */
    uint64_t from;      /* of the push that is running             */
    uint8_t *parked;    /* one flag per byte of the file           */
    bool resolving;
    uint64_t spent; /* resolving: what no placement may name any more */
    struct sw_inflater *inflater;
};

static void grow(struct disk *d, uint64_t n)
{
    if (n <= d->n)
        return;
    d->p = realloc(d->p, n);
    assert(d->p);
    memset(d->p + d->n, 0, n - d->n);
    d->n = n;
}

static bool all_parked(const struct feed *f, uint64_t off, uint64_t len)
{
    for (uint64_t i = off; i < off + len; i++) {
        if (!f->parked[i])
            return false;
    }
    return true;
}

/* The last sector of a compressed cluster may hold the start of one that was placed already. */
static uint64_t must_be_parked(const struct sw_placement *p)
{
    uint64_t slack = p->codec == SW_CODEC_NONE ? 0 : sw_min_u64(511, p->file_len - 1);

    return p->file_len - slack;
}

static int used_twice(struct sw_err *err)
{
    return sw_err_set(err, SW_ERR_BAD_DATA,
                      "bytes are used twice: a stream cannot go back to them");
}

static int inflate_to(struct feed *f, const struct sw_placement *p, struct sw_err *err)
{
    sw_autofree uint8_t *out = malloc(p->guest_len);
    struct sw_span in = { f->file.p + p->file_off, p->file_len };

    assert(out);
    if (sw_inflate(f->inflater, p->codec, in, out, p->guest_len, err) < 0)
        return -1;
    memcpy(f->disk->p + p->guest_off, out, sw_min_u64(p->guest_len, f->disk->n - p->guest_off));
    return 0;
}

static int place(void *ctx, const struct sw_placement *p, struct sw_err *err)
{
    struct feed *f = ctx;

    assert(p->file_len > 0 && p->guest_len > 0);
    assert(p->file_off + p->file_len <= f->pos);
    assert(p->file_off >= f->spent && p->spent >= f->spent);
    f->spent = p->spent;
    if (f->resolving && !all_parked(f, p->file_off, must_be_parked(p)))
        return used_twice(err);
    assert(f->resolving || p->file_off >= f->keep);
    assert(f->pos - p->file_off <= (UINT64_C(4) << 20) + (f->pos - f->from) || f->resolving);
    if (f->reader->has_header)
        grow(f->disk, f->reader->guest_size);
    else
        grow(f->disk, p->guest_off + p->guest_len);
    assert(p->guest_off < f->disk->n);
    f->disk->placed += p->guest_len;
    if (p->codec != SW_CODEC_NONE)
        return inflate_to(f, p, err);
    assert(p->file_len == p->guest_len && p->guest_off + p->guest_len <= f->disk->n);
    memcpy(f->disk->p + p->guest_off, f->file.p + p->file_off, p->file_len);
    return 0;
}

static int park(void *ctx, uint64_t off, uint64_t len, struct sw_err *err)
{
    struct feed *f = ctx;

    (void)err;
    assert(len > 0 && off >= f->from && off + len <= f->pos);
    assert(!f->parked[off]);
    memset(f->parked + off, 1, len);
    f->disk->parked += len;
    return 0;
}

/* Tables from where `limit` allows: the whole file for a source that can seek, the park otherwise. */
static int give(struct feed *f, bool from_park, struct sw_err *err)
{
    struct sw_reader *r = f->reader;
    uint64_t off;
    size_t len;

    while (r->ops->want(r, 0, &off, &len)) {
        if (from_park && off + len > f->pos)
            return 0;
        if (from_park && !all_parked(f, off, len))
            return used_twice(err);

        assert(len <= SW_READER_WANT_MAX);
        uint64_t at = sw_min_u64(off, f->file.n);
        size_t n = (size_t)sw_min_u64(len, f->file.n - at);
        sw_autofree uint8_t *copy = malloc(n ? n : 1);
        assert(copy);
        memcpy(copy, f->file.p + at, n);
        if (r->ops->give(r, (struct sw_span){ copy, n }, err) < 0)
            return -1;
    }
    return 0;
}

static int push(struct feed *f, uint64_t off, size_t n, struct sw_err *err)
{
    const struct sw_out out = { .place = place, .park = park, .ctx = f };
    sw_autofree uint8_t *copy = malloc(n);

    assert(copy && n > 0);
    memcpy(copy, f->file.p + off, n);
    f->from = off;
    f->pos = off + n;
    if (f->reader->ops->push(f->reader, off, (struct sw_span){ copy, n }, &out, err) < 0 ||
        give(f, true, err) < 0)
        return -1;
    f->keep = f->reader->ops->keep(f->reader, f->pos);
    assert(f->keep <= f->pos && f->pos - f->keep <= (4u << 20));
    return 0;
}

static int push_all(struct feed *f, const struct read_how *how, struct sw_err *err)
{
    uint64_t at = 0, end = 0;

    while (at < f->file.n) {
        if (how->only_needed && at >= end) {
            uint64_t off, len;

            if (!f->reader->ops->needed(f->reader, at, &off, &len) || off >= f->file.n)
                break;
            assert(off >= at && len > 0);
            at = off;
            end = sw_min_u64(off + len, f->file.n);
        } else if (!how->only_needed) {
            end = f->file.n;
        }
        size_t n = (size_t)(how->piece ? sw_min_u64(how->piece, end - at) : end - at);
        if (push(f, at, n, err) < 0)
            return -1;
        at += n;
    }
    return 0;
}

static int feed(struct feed *f, const struct read_how *how, struct sw_err *err)
{
    const struct sw_out out = { .place = place, .park = park, .ctx = f };
    struct sw_reader *r = f->reader;

    if (how->seek && give(f, false, err) < 0)
        return -1;
    if (push_all(f, how, err) < 0)
        return -1;
    f->from = f->pos = f->file.n;
    if (r->ops->finish(r, f->file.n, &out, err) < 0 || give(f, true, err) < 0)
        return -1;
    f->resolving = true;
    if (r->ops->resolve(r, &out, err) < 0)
        return -1;
    assert(r->has_header);
    grow(f->disk, r->guest_size);
    assert(f->disk->n == r->guest_size);
    return 0;
}

int read_image(struct sw_span file, const struct read_how *how, const struct sw_limits *limits,
               struct disk *ret, struct sw_err *err)
{
    struct feed f = { .file = file, .disk = ret };
    uint64_t size = how->seek || how->size_known ? file.n : UINT64_MAX;
    int rc = sw_reader_open(how->format, limits, size, &f.reader, err);

    *ret = (struct disk){ 0 };
    if (rc < 0)
        return -1;
    f.parked = calloc(1, file.n ? file.n : 1);
    assert(f.parked);
    rc = sw_inflater_open(SW_INFLATE_PORTABLE, &f.inflater, err);
    if (rc == 0)
        rc = feed(&f, how, err);
    sw_inflater_close(f.inflater);
    f.reader->ops->close(f.reader);
    free(f.parked);
    return rc;
}

void disk_done(struct disk *d)
{
    free(d->p);
    *d = (struct disk){ 0 };
}
