/* SPDX-License-Identifier: Apache-2.0 */
/* Raw: the file is the disk. A length that is not a multiple of 512 is padded with zeroes to the
 * next one, as a guest cannot address less.
 *
 * A fixed VHD is a raw disk with a footer of 512 bytes behind it. Nothing at its beginning tells, so
 * the last sector of what has come is not placed while it may be that footer: one that begins like it
 * and has not come whole yet is held; one that says of itself that the disk ends where it begins is
 * the footer. */
#include <stdio.h>
#include <stdlib.h>

#include "formats/reader.h"
#include "formats/vhd.h"

#define SECTOR SW_VHD_FOOTER_BYTES

enum footer {
    FOOTER_NONE,   /* raw, whatever it ends with                       */
    FOOTER_MAY_BE, /* raw, or a fixed VHD                              */
    FOOTER_MUST_BE /* a fixed VHD                                      */
};

struct raw {
    struct sw_reader base;
    uint64_t max_guest_size;
    uint64_t file_size; /* UINT64_MAX until known */
    enum footer footer;
    bool found; /* the sector at tail_off is the footer */
    uint8_t tail[SECTOR];
    uint64_t tail_off;
    size_t tail_n; /* [tail_off, tail_off + tail_n) is held: the beginning of a sector */
    uint8_t last[SW_SNIFF_TAIL]; /* the bytes before last_end, as far as they came in order */
    size_t last_n;
    uint64_t last_end;
    uint64_t contradiction_off; /* a footer there would be wrong: see contradiction; 0: none */
    struct sw_err contradiction;
};

static int set_size(struct raw *r, uint64_t size, struct sw_err *err)
{
    if (size == 0)
        return sw_err_set(err, SW_ERR_BAD_DATA, "raw: the image is empty");
    if (size > r->max_guest_size)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "raw: %llu bytes is more than the limit of %llu",
                          (unsigned long long)size, (unsigned long long)r->max_guest_size);
    r->base.guest_size = sw_align_up(size, SECTOR);
    r->base.data_size = size;
    r->base.has_header = true;
    return 0;
}

/* Where the bytes of the disk end in the file, as far as that is known. */
static uint64_t data_end(const struct raw *r)
{
    if (r->file_size == UINT64_MAX)
        return UINT64_MAX;
    return r->footer == FOOTER_MUST_BE ? r->file_size - SECTOR : r->file_size;
}

static int found_footer(struct raw *r, uint64_t off, struct sw_err *err)
{
    r->found = true;
    r->tail_off = off;
    r->tail_n = 0;
    snprintf(r->base.detail, sizeof(r->base.detail), "%sfixed, footer left out",
             r->footer == FOOTER_MAY_BE ? "VHD, " : "");
    return set_size(r, off, err);
}

/* A whole sector that may be the last one. Returns whether it is the footer, or -1. */
static int judge(struct raw *r, const uint8_t *sector, uint64_t off, struct sw_err *err)
{
    struct sw_err why = { 0 };
    int is = sw_vhd_judge_tail(sector, off, &why);

    if (is < 0) {
        r->contradiction = why;
        r->contradiction_off = off;
    }
    if (is > 0)
        return found_footer(r, off, err) < 0 ? -1 : 1;
    if (r->footer == FOOTER_MUST_BE && off == data_end(r)) {
        if (is < 0)
            *err = why;
        else
            sw_err_set(err, SW_ERR_BAD_DATA, "vhd: no footer of a fixed image at offset %llu",
                       (unsigned long long)off);
        return -1;
    }
    return 0;
}

static bool raw_want(const struct sw_reader *base, unsigned nth, uint64_t *ret_off, size_t *ret_len)
{
    const struct raw *r = (const struct raw *)base;

    if (nth || r->footer != FOOTER_MUST_BE || r->found || r->file_size == UINT64_MAX)
        return false;
    *ret_off = data_end(r);
    *ret_len = SECTOR;
    return true;
}

static int raw_give(struct sw_reader *base, struct sw_span bytes, struct sw_err *err)
{
    struct raw *r = (struct raw *)base;

    if (r->footer != FOOTER_MUST_BE || r->found)
        return sw_err_set(err, SW_ERR_INTERNAL, "raw: has no metadata");
    if (bytes.n < SECTOR)
        return sw_err_set(err, SW_ERR_BAD_DATA, "vhd: truncated: the footer has %zu bytes",
                          bytes.n);
    return judge(r, bytes.p, data_end(r), err) < 0 ? -1 : 0;
}

static int place(const struct raw *r, uint64_t off, uint64_t len, const struct sw_out *out,
                 struct sw_err *err)
{
    const struct sw_placement p = {
        .file_off = off, .file_len = len, .guest_off = off, .guest_len = len
    };

    if (len == 0)
        return 0;
    if (off + len > r->max_guest_size)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "raw: the stream is longer than the limit of %llu bytes",
                          (unsigned long long)r->max_guest_size);
    return out->place(out->ctx, &p, err);
}

/* Whether the sector at off, of which n bytes have come, may be the footer; what is said to be a fixed
 * VHD of known length has it at its end, whatever stands there. */
static bool may_be_footer(const struct raw *r, uint64_t off, const uint8_t *p, size_t n)
{
    return memcmp(p, SW_VHD_COOKIE, n < 8 ? n : 8) == 0 ||
           (r->footer == FOOTER_MUST_BE && off == data_end(r));
}

/* Add to the sector that is held. What turns out to be data is placed, in two parts: no placement
 * names bytes of two pushes. Returns how many bytes were used, or -1. */
static ssize_t add_to_tail(struct raw *r, uint64_t off, struct sw_span bytes,
                           const struct sw_out *out, struct sw_err *err)
{
    size_t n = bytes.n < SECTOR - r->tail_n ? bytes.n : SECTOR - r->tail_n, had = r->tail_n;

    memcpy(r->tail + had, bytes.p, n);
    r->tail_n += n;
    if (r->tail_n < SECTOR && may_be_footer(r, r->tail_off, r->tail, r->tail_n))
        return (ssize_t)n;
    if (r->tail_n == SECTOR) {
        int is = judge(r, r->tail, r->tail_off, err);

        if (is)
            return is < 0 ? -1 : (ssize_t)n;
    }
    r->tail_n = 0;
    if (place(r, r->tail_off, had, out, err) < 0 || place(r, off, n, out, err) < 0)
        return -1;
    return (ssize_t)n;
}

/* [off, off + bytes.n) with what may be the beginning of the footer at its end. */
static int watch_end(struct raw *r, uint64_t off, struct sw_span bytes, const struct sw_out *out,
                     struct sw_err *err)
{
    uint64_t end = off + bytes.n, last = sw_align_down(end - 1, SECTOR);
    const uint8_t *sector = bytes.p + (sw_max_u64(last, off) - off);
    size_t n = (size_t)(end - last);
    int is = 0;

    if (last < off || !may_be_footer(r, last, sector, n))
        return place(r, off, bytes.n, out, err);
    if (n < SECTOR) {
        memcpy(r->tail, sector, n);
        r->tail_off = last;
        r->tail_n = n;
        is = 1;
    } else {
        is = judge(r, sector, last, err);
    }
    if (is < 0)
        return -1;
    return place(r, off, is ? last - off : bytes.n, out, err);
}

/* Remember the last bytes of what has come. */
static void roll_last(struct raw *r, uint64_t off, struct sw_span bytes)
{
    size_t n = bytes.n < sizeof(r->last) ? bytes.n : sizeof(r->last);
    size_t stay = off == r->last_end ? r->last_n : 0;

    if (off + bytes.n <= r->last_end)
        return;
    stay = stay < sizeof(r->last) - n ? stay : sizeof(r->last) - n;
    memmove(r->last, r->last + r->last_n - stay, stay);
    memcpy(r->last + stay, bytes.p + bytes.n - n, n);
    r->last_n = stay + n;
    r->last_end = off + bytes.n;
}

static int data_follows(const struct raw *r, struct sw_err *err)
{
    return sw_err_set(
        err, SW_ERR_BAD_DATA,
        "vhd: data follows the footer at offset %llu (--format raw takes all of it as "
        "a disk)",
        (unsigned long long)r->tail_off);
}

static int raw_push(struct sw_reader *base, uint64_t off, struct sw_span bytes,
                    const struct sw_out *out, struct sw_err *err)
{
    struct raw *r = (struct raw *)base;

    if (bytes.n == 0)
        return 0;
    if (r->footer == FOOTER_NONE)
        return place(r, off, bytes.n, out, err);
    roll_last(r, off, bytes);
    if (r->found && off >= r->tail_off && off + bytes.n <= r->tail_off + SECTOR)
        return 0; /* looked at before */
    if (r->found && off + bytes.n > r->tail_off + SECTOR)
        return data_follows(r, err);
    if (r->found && off + bytes.n > r->tail_off)
        return place(r, off, r->tail_off - off, out, err);
    if (r->tail_n && off == r->tail_off + r->tail_n) {
        ssize_t used = add_to_tail(r, off, bytes, out, err);

        if (used < 0)
            return -1;
        off += (size_t)used;
        bytes.p += used;
        bytes.n -= (size_t)used;
        if (r->found && bytes.n)
            return data_follows(r, err);
    }
    return bytes.n ? watch_end(r, off, bytes, out, err) : 0;
}

static uint64_t raw_keep(struct sw_reader *base, uint64_t pos)
{
    const struct raw *r = (const struct raw *)base;

    return r->tail_n ? sw_min_u64(r->tail_off, pos) : pos;
}

static bool raw_needed(struct sw_reader *base, uint64_t pos, uint64_t *ret_off, uint64_t *ret_len)
{
    const struct raw *r = (const struct raw *)base;

    if (pos >= data_end(r))
        return false;
    *ret_off = pos;
    *ret_len = data_end(r) - pos;
    return true;
}

/* The end is known: what was held is data, and what looked like a wrong footer is one if it is last. */
static int finish_watch(struct raw *r, const struct sw_out *out, struct sw_err *err)
{
    const struct sw_span last = { r->last, r->last_end == r->file_size ? r->last_n : 0 };
    enum sw_format format;

    if (r->footer == FOOTER_MAY_BE && sw_format_sniff_tail(last, r->file_size, &format, err) < 0)
        return -1;
    if (r->contradiction_off && r->contradiction_off + SECTOR == r->file_size) {
        *err = r->contradiction;
        return -1;
    }
    if (r->footer == FOOTER_MUST_BE)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "vhd: the image does not end with the footer of a fixed VHD");
    size_t n = r->tail_n;
    r->tail_n = 0;
    return place(r, r->tail_off, n, out, err);
}

static int raw_finish(struct sw_reader *base, uint64_t file_size, const struct sw_out *out,
                      struct sw_err *err)
{
    struct raw *r = (struct raw *)base;

    if (r->file_size != UINT64_MAX && r->file_size != file_size)
        return sw_err_set(err, SW_ERR_BAD_DATA, "raw: truncated: %llu of %llu bytes",
                          (unsigned long long)file_size, (unsigned long long)r->file_size);
    r->file_size = file_size;
    if (r->found)
        return 0;
    if (r->footer != FOOTER_NONE && finish_watch(r, out, err) < 0)
        return -1;
    return set_size(r, file_size, err);
}

static int raw_resolve(struct sw_reader *r, const struct sw_out *out, struct sw_err *err)
{
    (void)r, (void)out, (void)err;
    return 0;
}

static bool raw_lookup(const struct sw_reader *base, uint64_t guest_off, struct sw_placement *ret,
                       uint64_t *ret_zero_end)
{
    uint64_t end = data_end((const struct raw *)base);

    if (guest_off >= end) {
        *ret_zero_end = base->guest_size;
        return false;
    }
    *ret = (struct sw_placement){ .file_len = end, .guest_len = end };
    return true;
}

static void raw_close(struct sw_reader *r)
{
    free(r);
}

static const struct sw_reader_ops raw_ops = {
    .name = "raw",
    .want = raw_want,
    .give = raw_give,
    .push = raw_push,
    .keep = raw_keep,
    .needed = raw_needed,
    .finish = raw_finish,
    .resolve = raw_resolve,
    .lookup = raw_lookup,
    .close = raw_close,
};

/* What the length alone says. A disk that may have a footer behind it has no size yet when that
 * footer would make it too large for a volume of whole pages that it fits without. */
static int open_size(struct raw *r, uint64_t file_size, struct sw_err *err)
{
    if (file_size == UINT64_MAX)
        return 0;
    if (r->footer == FOOTER_MUST_BE && (file_size < 2 * SECTOR || file_size % SECTOR))
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "vhd: a file of %llu bytes is not a disk and a footer of 512 bytes",
                          (unsigned long long)file_size);
    r->file_size = file_size;
    if (r->footer == FOOTER_MAY_BE && file_size % 4096 == SECTOR)
        return 0;
    return set_size(r, data_end(r), err);
}

static int open_raw(enum footer footer, const struct sw_limits *limits, uint64_t file_size,
                    struct sw_reader **ret, struct sw_err *err)
{
    struct raw *r = calloc(1, sizeof(*r));

    if (!r)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    r->base.ops = &raw_ops;
    r->base.any_order = true;
    r->max_guest_size = limits->guest_size;
    r->file_size = UINT64_MAX;
    r->footer = footer;
    if (open_size(r, file_size, err) < 0) {
        free(r);
        return -1;
    }
    *ret = &r->base;
    return 0;
}

int sw_raw_open(const struct sw_limits *limits, uint64_t file_size, struct sw_reader **ret,
                struct sw_err *err)
{
    return open_raw(FOOTER_NONE, limits, file_size, ret, err);
}

int sw_raw_or_vhd_open(const struct sw_limits *limits, uint64_t file_size, struct sw_reader **ret,
                       struct sw_err *err)
{
    return open_raw(FOOTER_MAY_BE, limits, file_size, ret, err);
}

int sw_vhd_fixed_open(const struct sw_limits *limits, uint64_t file_size, struct sw_reader **ret,
                      struct sw_err *err)
{
    return open_raw(FOOTER_MUST_BE, limits, file_size, ret, err);
}
