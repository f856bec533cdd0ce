/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/decode-harness.h"

static const struct sw_decoder_ops *const ops = &sw_xz_decoder;
static const char *const seeds[] = {
    "xz.xz",       "threads.xz",     "flushed.xz", "pixz.xz",     "crc32.xz",  "sha256.xz",
    "no-check.xz", "two-streams.xz", "filters.xz", "empty-xz.xz", "padded.xz", NULL,
};

static void decodes_in_pieces_of_any_size(void **state)
{
    check_all_pieces(ops, "xz", seeds);
}

static void decodes_into_buffers_of_every_size(void **state)
{
    check_every_room(ops, "xz", "threads.xz");
    check_every_room(ops, "xz", "two-streams.xz");
}

static void leaves_the_output_alone_when_there_is_no_room(void **state)
{
    check_without_room(ops, "xz", "two-streams.xz");
}

static void refuses_every_truncation(void **state)
{
    check_truncations(ops, "xz", "xz.xz");
    check_truncations(ops, "xz", "threads.xz");
    check_truncations(ops, "xz", "empty-xz.xz");
}

static void survives_every_bit_flip(void **state)
{
    assert_int_equal(check_flips(ops, "xz", "xz.xz"), 0); /* xz protects every bit */
    assert_int_equal(check_flips(ops, "xz", "threads.xz"), 0);
    check_flips(ops, "xz", "filters.xz");
}

static void refuses_garbage_behind_the_last_stream(void **state)
{
    check_garbage_behind(ops, "xz", "xz.xz", "garbage behind", 14, "garbage behind stream 1");
    check_garbage_behind(ops, "xz", "padded.xz", "garbage behind", 14, "garbage behind stream 1");
    check_garbage_behind(ops, "xz", "xz.xz", "\xfd\x37zXZ", 5, "truncated in stream 2");
}

static void wants_padding_in_fours(void **state)
{
    check_garbage_behind(ops, "xz", "xz.xz", "\0", 1, "truncated in the padding");
    check_garbage_behind(ops, "xz", "padded.xz", "\0\0\0", 3, "truncated in the padding");
    check_garbage_behind(ops, "xz", "xz.xz", "\0\0\xfd\x37zXZ", 7, "multiple of four");
}

static void refuses_what_is_not_xz(void **state)
{
    static const uint8_t zeroes[32];

    check_refuses(ops, (struct sw_span){ zeroes, 32 }, SW_ERR_BAD_DATA, "not an xz stream header");
}

/* Check ID 2 is reserved: the flags' CRC32 is right, so only the check can be the complaint. */
static void refuses_a_check_it_cannot_verify(void **state)
{
    static const uint8_t head[] = "\xfd\x37zXZ\0\0\x02\xd3\x73\xd7\xaf";

    check_refuses(ops, (struct sw_span){ head, 12 }, SW_ERR_UNSUPPORTED, "integrity check");
}

/* xz -0 has a dictionary of 256 KiB. */
static void keeps_to_the_memory_limit(void **state)
{
    auto_bytes in = load_seed("xz", "xz.xz");
    auto_bytes out = { 0 };
    struct sw_err err = { 0 };

    assert_refused(ops, decode_limited(ops, span_of(&in), 200 << 10, &out, &err), &err,
                   SW_ERR_UNSUPPORTED, "more than the 200 KiB allowed: raise --memory");
    assert_int_equal(decode_limited(ops, span_of(&in), 512 << 10, &out, &err), 0);
    assert_is_plain(&out, 1, "limited");
}

static void resumes_between_streams_in_padding_and_at_the_end(void **state)
{
    /* Behind stream 1, behind each four of its eight bytes of padding, behind stream 2. */
    check_resumes(ops, "xz", "two-streams.xz", 4);
    check_resumes(ops, "xz", "padded.xz", 2);
}

static void closes_nothing(void **state)
{
    ops->close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_in_pieces_of_any_size),
        cmocka_unit_test(decodes_into_buffers_of_every_size),
        cmocka_unit_test(leaves_the_output_alone_when_there_is_no_room),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(survives_every_bit_flip),
        cmocka_unit_test(refuses_garbage_behind_the_last_stream),
        cmocka_unit_test(wants_padding_in_fours),
        cmocka_unit_test(refuses_what_is_not_xz),
        cmocka_unit_test(refuses_a_check_it_cannot_verify),
        cmocka_unit_test(keeps_to_the_memory_limit),
        cmocka_unit_test(resumes_between_streams_in_padding_and_at_the_end),
        cmocka_unit_test(closes_nothing),
    };

    return cmocka_run_group_tests_name("formats/xz", tests, NULL, NULL);
}
