/* SPDX-License-Identifier: Apache-2.0 */
/* What every wrapper decoder must do, written once: the tests of gzip, xz, zstd and bzip2 call
 * these with their operations and seeds. Seeds are files of tests/fuzz/<wrapper>/, made by the real
 * tools (tests/fuzz/make-wrap-seeds.py). Input and output of each step lie in heap blocks of
 * exactly their size, so that ASan sees one byte too many. */
#ifndef SW_TESTS_DECODE_HARNESS_H
#define SW_TESTS_DECODE_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/fileio.h"
#include "formats/decoder.h"

struct bytes {
    uint8_t *p;
    size_t n, cap;
};

struct pieces {
    size_t in, out; /* bytes given to one step; 0: everything, and 8 KiB of room */
};

static inline void bytes_done(struct bytes *b)
{
    free(b->p);
    b->p = NULL;
    b->n = 0;
}
#define auto_bytes __attribute__((cleanup(bytes_done))) struct bytes

static inline void bytes_append(struct bytes *b, const void *p, size_t n)
{
    if (!n)
        return;
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n);
        b->p = realloc(b->p, b->cap);
        assert_non_null(b->p);
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static inline struct bytes load_seed(const char *folder, const char *name)
{
    struct sw_err err = { 0 };
    char path[512];
    char *text = NULL;
    size_t n = 0;

    snprintf(path, sizeof(path), "%s/%s/%s", SW_FUZZ_SEEDS, folder, name);
    if (sw_file_slurp(path, 1 << 20, &text, &n, &err) < 0)
        fail_msg("%s", err.msg);
    return (struct bytes){ .p = (uint8_t *)text, .n = n };
}

/* One step with exactly-sized heap blocks. Returns what step() returned; *used and *made say how
 * far it got. */
static inline int one_step(const struct sw_decoder_ops *ops, struct sw_decoder *d,
                           struct sw_span in, size_t room, struct bytes *out, size_t *used,
                           struct sw_err *err)
{
    uint8_t *in_copy = malloc(in.n ? in.n : 1);
    uint8_t *out_block = malloc(room);
    struct sw_decode_io io = { { in_copy, in.n }, out_block, room, 0 };

    assert_true(in_copy && out_block);
    if (in.n)
        memcpy(in_copy, in.p, in.n);
    int ret = ops->step(d, &io, err);

    assert_true(io.in.n <= in.n && io.out_len <= room);
    assert_ptr_equal(io.in.p, in_copy + (in.n - io.in.n));
    *used = in.n - io.in.n;
    bytes_append(out, out_block, io.out_len);
    free(out_block);
    free(in_copy);
    if (ret == 0 && in.n && !*used && !io.out_len)
        fail_msg("a step with input and room made no progress");
    return ret;
}

/* Feed everything, drain, finish. Returns 0 or -1 and err. */
static inline int decode_with(const struct sw_decoder_ops *ops, struct sw_decoder *d,
                              struct sw_span in, struct pieces pieces, struct bytes *out,
                              struct sw_err *err)
{
    size_t room = pieces.out ? pieces.out : 8192;

    while (in.n) {
        size_t n = pieces.in && pieces.in < in.n ? pieces.in : in.n;
        size_t used;

        if (one_step(ops, d, (struct sw_span){ in.p, n }, room, out, &used, err) < 0)
            return -1;
        in.p += used;
        in.n -= used;
    }
    for (;;) {
        size_t before = out->n, used;

        if (one_step(ops, d, (struct sw_span){ NULL, 0 }, room, out, &used, err) < 0)
            return -1;
        if (out->n == before)
            return ops->finish(d, err);
    }
}

static inline int decode(const struct sw_decoder_ops *ops, struct sw_span in, struct pieces pieces,
                         struct bytes *out, struct sw_err *err)
{
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    struct sw_decoder *d = NULL;

    assert_int_equal(ops->open(&limits, &d, err), 0);
    int ret = decode_with(ops, d, in, pieces, out, err);
    ops->close(d);
    return ret;
}

static inline struct sw_span span_of(const struct bytes *b)
{
    return (struct sw_span){ b->p, b->n };
}

/* How many times the plain text is inside a seed, from its name. */
static inline unsigned copies_in(const char *name)
{
    if (strncmp(name, "empty-", 6) == 0)
        return 0;
    return strncmp(name, "two-", 4) == 0 ? 2 : 1;
}

static inline void assert_is_plain(const struct bytes *out, unsigned copies, const char *name)
{
    auto_bytes plain = load_seed("gzip", "plain");

    if (out->n != copies * plain.n)
        fail_msg("%s: %zu bytes came out, not %zu", name, out->n, copies * plain.n);
    for (unsigned i = 0; i < copies; i++)
        assert_memory_equal(out->p + i * plain.n, plain.p, plain.n);
}

static inline void check_decodes(const struct sw_decoder_ops *ops, struct sw_span in,
                                 struct pieces pieces, unsigned copies, const char *name)
{
    struct sw_err err = { 0 };
    auto_bytes out = { 0 };

    if (decode(ops, in, pieces, &out, &err) < 0)
        fail_msg("%s, pieces of %zu and %zu: %s", name, pieces.in, pieces.out, err.msg);
    assert_is_plain(&out, copies, name);
}

/* names: NULL-terminated. Whole, byte by byte, and with every size of piece up to 40. */
static inline void check_all_pieces(const struct sw_decoder_ops *ops, const char *folder,
                                    const char *const *names)
{
    for (; *names; names++) {
        auto_bytes in = load_seed(folder, *names);
        unsigned copies = copies_in(*names);

        check_decodes(ops, span_of(&in), (struct pieces){ 0, 0 }, copies, *names);
        check_decodes(ops, span_of(&in), (struct pieces){ 1, 1 }, copies, *names);
        for (size_t n = 1; n <= 40; n++) {
            check_decodes(ops, span_of(&in), (struct pieces){ n, 0 }, copies, *names);
            check_decodes(ops, span_of(&in), (struct pieces){ 0, n }, copies, *names);
        }
    }
}

/* Every output buffer size from 1 to past the whole text. */
static inline void check_every_room(const struct sw_decoder_ops *ops, const char *folder,
                                    const char *name)
{
    auto_bytes in = load_seed(folder, name);

    for (size_t n = 1; n < 2700; n += n < 300 ? 1 : 13)
        check_decodes(ops, span_of(&in), (struct pieces){ 0, n }, copies_in(name), name);
}

static inline void assert_refused(const struct sw_decoder_ops *ops, int ret,
                                  const struct sw_err *err, enum sw_err_kind kind, const char *says)
{
    char prefix[16];

    snprintf(prefix, sizeof(prefix), "%s: ", ops->name);
    assert_int_equal(ret, -1);
    if (err->kind != kind || strncmp(err->msg, prefix, strlen(prefix)) != 0 ||
        !strstr(err->msg, says))
        fail_msg("wanted kind %d, '%s' and '%s', got kind %d: %s", kind, prefix, says, err->kind,
                 err->msg);
}

static inline void check_refuses(const struct sw_decoder_ops *ops, struct sw_span in,
                                 enum sw_err_kind kind, const char *says)
{
    static const struct pieces ways[] = { { 0, 0 }, { 1, 0 }, { 7, 5 } };

    for (size_t i = 0; i < SW_COUNT(ways); i++) {
        struct sw_err err = { 0 };
        auto_bytes out = { 0 };
        int ret = decode(ops, in, ways[i], &out, &err);

        assert_refused(ops, ret, &err, kind, says);
    }
}

/* The seed has one piece: every cut of it is refused as truncated. */
static inline void check_truncations(const struct sw_decoder_ops *ops, const char *folder,
                                     const char *name)
{
    auto_bytes in = load_seed(folder, name);

    for (size_t cut = 0; cut < in.n; cut++) {
        struct sw_err err = { 0 };
        auto_bytes out = { 0 };

        if (decode(ops, (struct sw_span){ in.p, cut }, (struct pieces){ 0, 0 }, &out, &err) == 0)
            fail_msg("%s: accepted %zu of %zu bytes", name, cut, in.n);
        assert_refused(ops, -1, &err, SW_ERR_BAD_DATA, "truncated");
    }
}

/* Each bit flipped: refused, or accepted with the right text (some header bits mean nothing).
 * Returns how many were accepted. */
static inline unsigned check_flips(const struct sw_decoder_ops *ops, const char *folder,
                                   const char *name)
{
    auto_bytes in = load_seed(folder, name);
    unsigned accepted = 0;

    for (size_t bit = 0; bit < in.n * 8; bit++) {
        struct sw_err err = { 0 };
        auto_bytes out = { 0 };

        in.p[bit / 8] ^= (uint8_t)(1 << (bit % 8));
        if (decode(ops, span_of(&in), (struct pieces){ 0, 0 }, &out, &err) == 0) {
            assert_is_plain(&out, copies_in(name), name);
            accepted++;
        } else if (err.kind != SW_ERR_BAD_DATA && err.kind != SW_ERR_UNSUPPORTED) {
            fail_msg("%s, bit %zu: kind %d: %s", name, bit, err.kind, err.msg);
        }
        in.p[bit / 8] ^= (uint8_t)(1 << (bit % 8));
    }
    return accepted;
}

/* The seed with garbage behind it. */
static inline void check_garbage_behind(const struct sw_decoder_ops *ops, const char *folder,
                                        const char *name, const char *garbage, size_t n,
                                        const char *says)
{
    auto_bytes in = load_seed(folder, name);

    bytes_append(&in, garbage, n);
    check_refuses(ops, span_of(&in), SW_ERR_BAD_DATA, says);
}

/* Decode byte by byte; at each boundary start over with a new decoder that is told so. The
 * boundaries found must be `want` in number, and the text must come out whole. */
static inline void check_resumes(const struct sw_decoder_ops *ops, const char *folder,
                                 const char *name, unsigned want)
{
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    struct sw_decoder *d = NULL;
    struct sw_err err = { 0 };
    auto_bytes in = load_seed(folder, name);
    auto_bytes out = { 0 };
    unsigned boundaries = 0;

    assert_int_equal(ops->open(&limits, &d, &err), 0);
    assert_false(ops->at_boundary(d));
    for (size_t i = 0; i < in.n; i++) {
        size_t used = 0;

        while (!used) /* room for everything that comes of one byte of a seed */
            assert_int_equal(
                one_step(ops, d, (struct sw_span){ in.p + i, 1 }, 8192, &out, &used, &err), 0);
        if (!ops->at_boundary(d))
            continue;
        boundaries++;
        ops->close(d);
        assert_int_equal(ops->open(&limits, &d, &err), 0);
        ops->set_resumed(d);
        assert_true(ops->at_boundary(d));
    }
    assert_int_equal(ops->finish(d, &err), 0);
    ops->close(d);
    assert_is_plain(&out, copies_in(name), name);
    assert_int_equal(boundaries, want);
}

/* Offer each byte without any room first: a step may take it or leave it, and must not touch the
 * output, which is NULL. */
static inline void check_without_room(const struct sw_decoder_ops *ops, const char *folder,
                                      const char *name)
{
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    struct sw_decoder *d = NULL;
    struct sw_err err = { 0 };
    auto_bytes in = load_seed(folder, name);
    auto_bytes out = { 0 };

    assert_int_equal(ops->open(&limits, &d, &err), 0);
    for (size_t i = 0; i < in.n; i++) {
        struct sw_decode_io io = { { in.p + i, 1 }, NULL, 0, 0 };
        size_t used = 0;

        if (ops->step(d, &io, &err) < 0)
            fail_msg("%s, byte %zu: %s", name, i, err.msg);
        assert_int_equal(io.out_len, 0);
        for (used = 1 - io.in.n; !used;)
            assert_int_equal(
                one_step(ops, d, (struct sw_span){ in.p + i, 1 }, 8192, &out, &used, &err), 0);
    }
    assert_int_equal(
        decode_with(ops, d, (struct sw_span){ NULL, 0 }, (struct pieces){ 0, 0 }, &out, &err), 0);
    ops->close(d);
    assert_is_plain(&out, copies_in(name), name);
}

/* Decode whole with this decoder_memory, bytes. */
static inline int decode_limited(const struct sw_decoder_ops *ops, struct sw_span in,
                                 uint64_t limit, struct bytes *out, struct sw_err *err)
{
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    struct sw_decoder *d = NULL;

    limits.decoder_memory = limit;
    assert_int_equal(ops->open(&limits, &d, err), 0);
    int ret = decode_with(ops, d, in, (struct pieces){ 0, 0 }, out, err);
    ops->close(d);
    return ret;
}

#endif
