/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/decode-harness.h"

#include <zlib.h>
#include <zstd.h>

#include "formats/inflate.h"

enum { CLUSTER = 65536 };

struct fixture {
    struct sw_inflater *f;
    uint8_t text[CLUSTER];
};

static int open_path(void **state, enum sw_inflate_path path)
{
    struct fixture *x = malloc(sizeof(*x));
    struct sw_err err = { 0 };
    uint32_t seed = 7;

    if (!x || sw_inflater_open(path, &x->f, &err) < 0)
        return -1;
    for (size_t i = 0; i < CLUSTER; i++) {
        seed = seed * 1664525u + 1013904223u;
        x->text[i] = i & 4096 ? (uint8_t)(seed >> 24) : "wxyz"[seed >> 30];
    }
    *state = x;
    return 0;
}

static int open_fast(void **state)
{
    return open_path(state, SW_INFLATE_FAST);
}

static int open_portable(void **state)
{
    return open_path(state, SW_INFLATE_PORTABLE);
}

static int close_it(void **state)
{
    struct fixture *x = *state;

    sw_inflater_close(x->f);
    free(x);
    return 0;
}

/* Raw deflate as QEMU writes it, or with another window or flush. */
static struct bytes deflate_raw(const uint8_t *text, size_t n, int wbits, int flush)
{
    struct bytes b = { .p = malloc(2 * n + 1000) };
    z_stream z = { 0 };

    assert_int_equal(
        deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, wbits, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)text;
    z.avail_in = (uInt)n;
    z.next_out = b.p;
    z.avail_out = (uInt)(2 * n + 1000);
    assert_true(deflate(&z, flush) >= 0);
    b.n = z.total_out;
    deflateEnd(&z);
    return b;
}

static struct bytes zstd_frame(const uint8_t *text, size_t n, bool has_size)
{
    struct bytes b = { .p = malloc(ZSTD_compressBound(n)) };
    ZSTD_CCtx *c = ZSTD_createCCtx();

    ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, has_size);
    b.n = ZSTD_compress2(c, b.p, ZSTD_compressBound(n), text, n);
    assert_false(ZSTD_isError(b.n));
    ZSTD_freeCCtx(c);
    return b;
}

/* Into a heap block of exactly n bytes, from one of exactly in.n. */
static int run(struct fixture *x, enum sw_codec codec, struct sw_span in, size_t n,
               struct sw_err *err)
{
    sw_autofree uint8_t *out = malloc(n);
    sw_autofree uint8_t *copy = malloc(in.n ? in.n : 1);

    memset(err, 0, sizeof(*err));
    if (in.n)
        memcpy(copy, in.p, in.n);
    int ret = sw_inflate(x->f, codec, (struct sw_span){ copy, in.n }, out, n, err);
    if (ret == 0)
        assert_memory_equal(out, x->text, n);
    return ret;
}

static void decodes_what_qemu_writes(void **state)
{
    struct fixture *x = *state;
    struct sw_err err;

    for (size_t n = 512; n <= CLUSTER; n *= 2) {
        auto_bytes deflated = deflate_raw(x->text, n, -12, Z_FINISH);
        auto_bytes frame = zstd_frame(x->text, n, true);
        auto_bytes streamed = zstd_frame(x->text, n, false);

        assert_int_equal(run(x, SW_CODEC_DEFLATE, span_of(&deflated), n, &err), 0);
        assert_int_equal(run(x, SW_CODEC_ZSTD, span_of(&frame), n, &err), 0);
        assert_int_equal(run(x, SW_CODEC_ZSTD, span_of(&streamed), n, &err), 0);
    }
}

static void decodes_a_full_window(void **state)
{
    struct fixture *x = *state;
    struct sw_err err;
    auto_bytes b = deflate_raw(x->text, CLUSTER, -15, Z_FINISH);

    assert_int_equal(run(x, SW_CODEC_DEFLATE, span_of(&b), CLUSTER, &err), 0);
}

static void ignores_what_follows_up_to_the_sector(void **state)
{
    struct fixture *x = *state;
    struct sw_err err;
    uint8_t garbage[511];

    memset(garbage, 0xa5, sizeof(garbage));
    for (size_t n = 0; n <= sizeof(garbage); n += 73) {
        auto_bytes d = deflate_raw(x->text, CLUSTER, -12, Z_FINISH);
        auto_bytes z = zstd_frame(x->text, CLUSTER, true);

        bytes_append(&d, garbage, n);
        bytes_append(&z, garbage, n);
        assert_int_equal(run(x, SW_CODEC_DEFLATE, span_of(&d), CLUSTER, &err), 0);
        assert_int_equal(run(x, SW_CODEC_ZSTD, span_of(&z), CLUSTER, &err), 0);
    }
}

/* QEMU asks that the cluster is full, not that the stream has ended. */
static void takes_deflate_that_goes_on_or_never_ends(void **state)
{
    struct fixture *x = *state;
    struct sw_err err;
    auto_bytes longer = deflate_raw(x->text, CLUSTER, -12, Z_FINISH);
    auto_bytes endless = deflate_raw(x->text, CLUSTER, -12, Z_SYNC_FLUSH);

    assert_int_equal(run(x, SW_CODEC_DEFLATE, span_of(&longer), CLUSTER / 2, &err), 0);
    assert_int_equal(run(x, SW_CODEC_DEFLATE, span_of(&endless), CLUSTER, &err), 0);
}

static void refuses_output_that_is_too_short(void **state)
{
    struct fixture *x = *state;
    struct sw_err err;
    auto_bytes d = deflate_raw(x->text, 1000, -12, Z_FINISH);
    auto_bytes z = zstd_frame(x->text, 1000, true);

    assert_int_equal(run(x, SW_CODEC_DEFLATE, span_of(&d), 1001, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    assert_non_null(strstr(err.msg, "only 1000 of its 1001 bytes"));
    assert_int_equal(run(x, SW_CODEC_ZSTD, span_of(&z), 1001, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    assert_non_null(strstr(err.msg, "only 1000 of its 1001 bytes"));
    assert_int_equal(run(x, SW_CODEC_DEFLATE, (struct sw_span){ NULL, 0 }, 512, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
}

static void refuses_a_zstd_frame_that_is_too_long(void **state)
{
    struct fixture *x = *state;
    struct sw_err err;
    auto_bytes z = zstd_frame(x->text, 1000, true);
    auto_bytes streamed = zstd_frame(x->text, 1000, false);

    assert_int_equal(run(x, SW_CODEC_ZSTD, span_of(&z), 999, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    assert_non_null(strstr(err.msg, "more bytes than the cluster has"));
    assert_int_equal(run(x, SW_CODEC_ZSTD, span_of(&streamed), 999, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
}

static void decodes_several_zstd_frames_until_full(void **state)
{
    struct fixture *x = *state;
    struct sw_err err;
    auto_bytes b = zstd_frame(x->text, 1000, true);
    auto_bytes second = zstd_frame(x->text + 1000, 2000, false);

    bytes_append(&b, "\x50\x2a\x4d\x18\x03\0\0\0abc", 11); /* skippable */
    bytes_append(&b, second.p, second.n);
    bytes_append(&b, "garbage", 7);
    assert_int_equal(run(x, SW_CODEC_ZSTD, span_of(&b), 3000, &err), 0);
    assert_int_equal(run(x, SW_CODEC_ZSTD, span_of(&b), 1000, &err), 0);
    assert_int_equal(run(x, SW_CODEC_ZSTD, span_of(&b), 1001, &err), -1);
    assert_int_equal(run(x, SW_CODEC_ZSTD, span_of(&b), 3001, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
}

/* For deflate the last bytes may hold nothing but the end marker, which is not asked for: a cut is
 * accepted when everything came out, never with wrong bytes (run() compares). */
static void refuses_every_truncation(void **state)
{
    struct fixture *x = *state;
    struct sw_err err;
    auto_bytes d = deflate_raw(x->text, 2000, -12, Z_FINISH);
    auto_bytes z = zstd_frame(x->text, 2000, true);

    for (size_t cut = 0; cut + 2 < d.n; cut++) {
        assert_int_equal(run(x, SW_CODEC_DEFLATE, (struct sw_span){ d.p, cut }, 2000, &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    }
    for (size_t cut = 0; cut < z.n; cut++) {
        assert_int_equal(run(x, SW_CODEC_ZSTD, (struct sw_span){ z.p, cut }, 2000, &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    }
}

/* No checksum protects a cluster: wrong bytes may come out, nothing else may happen; and the next
 * good cluster must not notice. */
static void survives_every_bit_flip(void **state)
{
    struct fixture *x = *state;
    uint8_t out[600];

    for (unsigned codec = SW_CODEC_DEFLATE; codec <= SW_CODEC_ZSTD; codec++) {
        auto_bytes b = codec == SW_CODEC_ZSTD ? zstd_frame(x->text, 600, true)
                                              : deflate_raw(x->text, 600, -12, Z_FINISH);
        struct sw_err err = { 0 };

        for (size_t bit = 0; bit < b.n * 8; bit++) {
            b.p[bit / 8] ^= (uint8_t)(1 << (bit % 8));
            if (sw_inflate(x->f, (enum sw_codec)codec, span_of(&b), out, 600, &err) < 0)
                assert_true(err.kind == SW_ERR_BAD_DATA || err.kind == SW_ERR_UNSUPPORTED);
            b.p[bit / 8] ^= (uint8_t)(1 << (bit % 8));
        }
        assert_int_equal(run(x, (enum sw_codec)codec, span_of(&b), 600, &err), 0);
    }
}

#define BOTH(test)                                                                                 \
    cmocka_unit_test_setup_teardown(test, open_fast, close_it),                                    \
        cmocka_unit_test_setup_teardown(test, open_portable, close_it)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(decodes_what_qemu_writes),
        BOTH(decodes_a_full_window),
        BOTH(ignores_what_follows_up_to_the_sector),
        BOTH(takes_deflate_that_goes_on_or_never_ends),
        BOTH(refuses_output_that_is_too_short),
        BOTH(refuses_a_zstd_frame_that_is_too_long),
        BOTH(decodes_several_zstd_frames_until_full),
        BOTH(refuses_every_truncation),
        BOTH(survives_every_bit_flip),
    };

    return cmocka_run_group_tests_name("formats/inflate", tests, NULL, NULL);
}
