/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/decode-harness.h"

#include <zlib.h>

#include "formats/gzip.h"

static const char *const seeds[] = {
    "gzip.gz",        "pigz.gz",   "igzip.gz",      "stored.gz", "all-fields.gz",
    "two-members.gz", "padded.gz", "empty-gzip.gz", NULL,
};

/* Each test runs with zlib and with the default, which is ISA-L where it was built. */
static const struct sw_decoder_ops *engine(void **state)
{
    return *state;
}

static void decodes_in_pieces_of_any_size(void **state)
{
    check_all_pieces(engine(state), "gzip", seeds);
}

static void decodes_into_buffers_of_every_size(void **state)
{
    check_every_room(engine(state), "gzip", "igzip.gz");
    check_every_room(engine(state), "gzip", "two-members.gz");
}

static void leaves_the_output_alone_when_there_is_no_room(void **state)
{
    check_without_room(engine(state), "gzip", "two-members.gz");
    check_without_room(engine(state), "gzip", "all-fields.gz");
}

static void refuses_every_truncation(void **state)
{
    check_truncations(engine(state), "gzip", "gzip.gz");
    check_truncations(engine(state), "gzip", "all-fields.gz");
    check_truncations(engine(state), "gzip", "empty-gzip.gz");
}

static void survives_every_bit_flip(void **state)
{
    const struct sw_decoder_ops *ops = engine(state);

    /* At least MTIME, XFL, OS and FTEXT (49 bits) mean nothing. The rest are codes of the dynamic
     * Huffman tables that are never used: zlib's count, which ISA-L must share. */
    unsigned accepted = check_flips(ops, "gzip", "gzip.gz");

    assert_int_equal(accepted, check_flips(&sw_gzip_decoder_portable, "gzip", "gzip.gz"));
    assert_in_range(accepted, 49, 100);
    check_flips(ops, "gzip", "all-fields.gz");
}

static void refuses_garbage_behind_the_last_member(void **state)
{
    const struct sw_decoder_ops *ops = engine(state);

    check_garbage_behind(ops, "gzip", "gzip.gz", "x", 1, "garbage");
    check_garbage_behind(ops, "gzip", "gzip.gz", "\x1f\x8c 90123456", 10, "garbage");
    check_garbage_behind(ops, "gzip", "gzip.gz", "\0\0\0x", 4, "garbage");
    check_garbage_behind(ops, "gzip", "padded.gz", "\x1f\x8b\x08", 3, "garbage");
    check_garbage_behind(ops, "gzip", "gzip.gz", "\x1f", 1, "truncated");
}

static void refuses_what_is_not_gzip(void **state)
{
    const struct sw_decoder_ops *ops = engine(state);
    static const uint8_t zeroes[20], method[] = "\x1f\x8b\x07\0\0\0\0\0\0\3",
                                     flags[] = "\x1f\x8b\x08\x20\0\0\0\0\0\3";

    check_refuses(ops, (struct sw_span){ zeroes, 20 }, SW_ERR_BAD_DATA, "not a gzip header");
    check_refuses(ops, (struct sw_span){ method, 10 }, SW_ERR_UNSUPPORTED, "method 7");
    check_refuses(ops, (struct sw_span){ flags, 10 }, SW_ERR_BAD_DATA, "reserved");
}

static void verifies_header_checksum_trailer_and_length(void **state)
{
    const struct sw_decoder_ops *ops = engine(state);
    auto_bytes fields = load_seed("gzip", "all-fields.gz");
    auto_bytes one = load_seed("gzip", "gzip.gz");

    fields.p[4] ^= 1; /* MTIME */
    check_refuses(ops, span_of(&fields), SW_ERR_BAD_DATA, "checksum of the header");
    one.p[one.n - 8] ^= 1; /* CRC32 */
    check_refuses(ops, span_of(&one), SW_ERR_BAD_DATA, "trailer is wrong");
    one.p[one.n - 8] ^= 1;
    one.p[one.n - 1] ^= 1; /* ISIZE */
    check_refuses(ops, span_of(&one), SW_ERR_BAD_DATA, "trailer is wrong");
}

static void names_the_member_that_is_bad(void **state)
{
    auto_bytes two = load_seed("gzip", "two-members.gz");

    two.p[two.n - 8] ^= 1;
    check_refuses(engine(state), span_of(&two), SW_ERR_BAD_DATA, "member 2:");
}

static void resumes_between_members_and_at_the_end(void **state)
{
    check_resumes(engine(state), "gzip", "two-members.gz", 2);
    check_resumes(engine(state), "gzip", "padded.gz", 1);
}

static uint8_t *make_long_text(size_t n)
{
    uint8_t *text = malloc(n);
    uint32_t x = 1;

    assert_non_null(text);
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        text[i] = i % 5000 < 2500 ? (uint8_t)(x >> 24) : "abcd"[x >> 30];
    }
    return text;
}

static struct bytes zip(const uint8_t *text, size_t n, int level)
{
    struct bytes b = { .p = malloc(n + n / 100 + 1024) };
    z_stream z = { 0 };

    assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)text;
    z.avail_in = (uInt)n;
    z.next_out = b.p;
    z.avail_out = (uInt)(n + n / 100 + 1024);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    b.n = z.total_out;
    deflateEnd(&z);
    return b;
}

/* Longer than the window and the engines' inner buffers, so that history must carry over between
 * calls; pieces and rooms that share no divisor with anything. */
static void carries_history_across_calls(void **state)
{
    const struct sw_decoder_ops *ops = engine(state);
    static const struct pieces ways[] = { { 0, 1 << 20 }, { 1000, 777 },   { 7, 40000 },
                                          { 65536, 33 },  { 99991, 8192 }, { 4096, 32768 } };
    const size_t n = 600000;
    sw_autofree uint8_t *text = make_long_text(n);

    for (int level = 0; level <= 9; level += 3) {
        auto_bytes gz = zip(text, n, level);

        for (size_t i = 0; i < SW_COUNT(ways); i++) {
            struct sw_err err = { 0 };
            auto_bytes out = { 0 };

            if (decode(ops, span_of(&gz), ways[i], &out, &err) < 0)
                fail_msg("level %d, way %zu: %s", level, i, err.msg);
            assert_int_equal(out.n, n);
            assert_memory_equal(out.p, text, n);
        }
    }
}

/* The trailer in two calls, at each byte, with the output full in between. */
static void takes_a_trailer_cut_anywhere(void **state)
{
    const struct sw_decoder_ops *ops = engine(state);
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    auto_bytes in = load_seed("gzip", "two-members.gz");
    auto_bytes plain = load_seed("gzip", "plain");

    for (size_t cut = 0; cut <= in.n; cut++) {
        for (size_t room = plain.n - 1; room <= plain.n + 1; room++) {
            struct sw_decoder *d = NULL;
            struct sw_err err = { 0 };
            auto_bytes out = { 0 };
            size_t used = 0;

            assert_int_equal(ops->open(&limits, &d, &err), 0);
            assert_int_equal(
                one_step(ops, d, (struct sw_span){ in.p, cut }, room, &out, &used, &err), 0);
            assert_int_equal(decode_with(ops, d, (struct sw_span){ in.p + used, in.n - used },
                                         (struct pieces){ 0, 0 }, &out, &err),
                             0);
            ops->close(d);
            assert_is_plain(&out, 2, "two-members.gz");
        }
    }
}

static void closes_nothing(void **state)
{
    engine(state)->close(NULL);
}

#define ALL_OF(ops)                                                                                \
    cmocka_unit_test_prestate(decodes_in_pieces_of_any_size, ops),                                 \
        cmocka_unit_test_prestate(decodes_into_buffers_of_every_size, ops),                        \
        cmocka_unit_test_prestate(leaves_the_output_alone_when_there_is_no_room, ops),             \
        cmocka_unit_test_prestate(refuses_every_truncation, ops),                                  \
        cmocka_unit_test_prestate(survives_every_bit_flip, ops),                                   \
        cmocka_unit_test_prestate(refuses_garbage_behind_the_last_member, ops),                    \
        cmocka_unit_test_prestate(refuses_what_is_not_gzip, ops),                                  \
        cmocka_unit_test_prestate(verifies_header_checksum_trailer_and_length, ops),               \
        cmocka_unit_test_prestate(names_the_member_that_is_bad, ops),                              \
        cmocka_unit_test_prestate(resumes_between_members_and_at_the_end, ops),                    \
        cmocka_unit_test_prestate(carries_history_across_calls, ops),                              \
        cmocka_unit_test_prestate(takes_a_trailer_cut_anywhere, ops),                              \
        cmocka_unit_test_prestate(closes_nothing, ops)

int main(void)
{
    void *portable = (void *)&sw_gzip_decoder_portable;
    void *fastest = (void *)&sw_gzip_decoder;
    const struct CMUnitTest tests[] = { ALL_OF(portable), ALL_OF(fastest) };

    return cmocka_run_group_tests_name("formats/gzip", tests, NULL, NULL);
}
