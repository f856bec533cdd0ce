/* SPDX-License-Identifier: Apache-2.0 */
/* Raw: the file is the disk. A length that is not a multiple of 512 is padded with zeroes to the
 * next one, as a guest cannot address less. */
#include <stdlib.h>

#include "formats/reader.h"

struct raw {
    struct sw_reader base;
    uint64_t max_guest_size;
    uint64_t file_size; /* UINT64_MAX until known */
};

static int set_size(struct raw *r, uint64_t file_size, struct sw_err *err)
{
    if (file_size == 0)
        return sw_err_set(err, SW_ERR_BAD_DATA, "raw: the image is empty");
    if (file_size > r->max_guest_size)
        return sw_err_set(err, SW_ERR_UNSUPPORTED, "raw: %llu bytes is more than the limit of %llu",
                          (unsigned long long)file_size, (unsigned long long)r->max_guest_size);
    r->file_size = file_size;
    r->base.guest_size = sw_align_up(file_size, 512);
    r->base.data_size = file_size;
    r->base.has_header = true;
    return 0;
}

static bool raw_want(const struct sw_reader *r, unsigned nth, uint64_t *ret_off, size_t *ret_len)
{
    (void)r, (void)nth, (void)ret_off, (void)ret_len;
    return false;
}

static int raw_give(struct sw_reader *r, struct sw_span bytes, struct sw_err *err)
{
    (void)r, (void)bytes;
    return sw_err_set(err, SW_ERR_INTERNAL, "raw: has no metadata");
}

static int raw_push(struct sw_reader *base, uint64_t off, struct sw_span bytes,
                    const struct sw_out *out, struct sw_err *err)
{
    const struct raw *r = (const struct raw *)base;
    const struct sw_placement p = {
        .file_off = off, .file_len = bytes.n, .guest_off = off, .guest_len = bytes.n
    };

    if (bytes.n == 0)
        return 0;
    if (off + bytes.n > r->max_guest_size)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "raw: the stream is longer than the limit of %llu bytes",
                          (unsigned long long)r->max_guest_size);
    return out->place(out->ctx, &p, err);
}

static uint64_t raw_keep(struct sw_reader *r, uint64_t pos)
{
    (void)r;
    return pos;
}

static bool raw_needed(struct sw_reader *base, uint64_t pos, uint64_t *ret_off, uint64_t *ret_len)
{
    const struct raw *r = (const struct raw *)base;

    if (pos >= r->file_size)
        return false;
    *ret_off = pos;
    *ret_len = r->file_size - pos;
    return true;
}

static int raw_finish(struct sw_reader *base, uint64_t file_size, const struct sw_out *out,
                      struct sw_err *err)
{
    struct raw *r = (struct raw *)base;

    (void)out;
    if (r->file_size != UINT64_MAX && r->file_size != file_size)
        return sw_err_set(err, SW_ERR_BAD_DATA, "raw: truncated: %llu of %llu bytes",
                          (unsigned long long)file_size, (unsigned long long)r->file_size);
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
    const struct raw *r = (const struct raw *)base;

    if (guest_off >= r->file_size) {
        *ret_zero_end = base->guest_size;
        return false;
    }
    *ret = (struct sw_placement){ .file_len = r->file_size, .guest_len = r->file_size };
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

int sw_raw_open(const struct sw_limits *limits, uint64_t file_size, struct sw_reader **ret,
                struct sw_err *err)
{
    struct raw *r = calloc(1, sizeof(*r));

    if (!r)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    r->base.ops = &raw_ops;
    r->base.any_order = true;
    r->max_guest_size = limits->guest_size;
    r->file_size = UINT64_MAX;
    if (file_size != UINT64_MAX && set_size(r, file_size, err) < 0) {
        free(r);
        return -1;
    }
    *ret = &r->base;
    return 0;
}
