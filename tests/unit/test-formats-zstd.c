/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/decode-harness.h"

static const struct sw_decoder_ops *const ops = &sw_zstd_decoder;
static const char *const seeds[] = {
    "zstd.zst",       "sized.zst",     "no-check.zst",   "long.zst", "pzstd.zst",
    "two-frames.zst", "skippable.zst", "empty-zstd.zst", NULL,
};

static void decodes_in_pieces_of_any_size(void **state)
{
    check_all_pieces(ops, "zstd", seeds);
}

static void decodes_into_buffers_of_every_size(void **state)
{
    check_every_room(ops, "zstd", "zstd.zst");
    check_every_room(ops, "zstd", "two-frames.zst");
}

static void leaves_the_output_alone_when_there_is_no_room(void **state)
{
    check_without_room(ops, "zstd", "two-frames.zst");
    check_without_room(ops, "zstd", "sized.zst");
}

static void refuses_every_truncation(void **state)
{
    check_truncations(ops, "zstd", "zstd.zst");
    check_truncations(ops, "zstd", "sized.zst");
    check_truncations(ops, "zstd", "no-check.zst");
    check_truncations(ops, "zstd", "empty-zstd.zst");
}

static void survives_every_bit_flip(void **state)
{
    check_flips(ops, "zstd", "zstd.zst");
    check_flips(ops, "zstd", "sized.zst");
}

static void verifies_the_checksum(void **state)
{
    auto_bytes in = load_seed("zstd", "zstd.zst");

    in.p[in.n - 1] ^= 1;
    check_refuses(ops, span_of(&in), SW_ERR_BAD_DATA, "checksum");
}

static void refuses_garbage_behind_the_last_frame(void **state)
{
    check_garbage_behind(ops, "zstd", "zstd.zst", "garbage", 7, "garbage behind the last frame");
    check_garbage_behind(ops, "zstd", "zstd.zst", "\0\0\0\0", 4, "garbage behind the last frame");
    check_garbage_behind(ops, "zstd", "zstd.zst", "\0\0", 2, "truncated in frame 2");
    check_garbage_behind(ops, "zstd", "zstd.zst", "\x50\x2a\x4d\x18\x09\0\0\0", 8,
                         "truncated in frame 2");
}

static void refuses_what_is_not_zstd(void **state)
{
    static const uint8_t reserved[] = "\x28\xb5\x2f\xfd\x0c\x58";

    check_refuses(ops, (struct sw_span){ (const uint8_t *)"12345678", 8 }, SW_ERR_BAD_DATA,
                  "not a zstd frame");
    check_refuses(ops, (struct sw_span){ reserved, 6 }, SW_ERR_BAD_DATA, "reserved bit");
}

static void refuses_a_dictionary(void **state)
{
    /* Descriptor 0x01: a dictionary ID of one byte follows the window. */
    static const uint8_t head[] = "\x28\xb5\x2f\xfd\x01\x58\x2a";

    check_refuses(ops, (struct sw_span){ head, 7 }, SW_ERR_UNSUPPORTED, "dictionary 42");
}

/* A window of 2^27, as --long=27 makes it, is within the default limit; 2^28 is not. */
static void keeps_to_the_memory_limit(void **state)
{
    static const uint8_t head27[] = "\x28\xb5\x2f\xfd\x00\x88\x01\0\0",
                         head28[] = "\x28\xb5\x2f\xfd\x00\x90\x01\0\0",
                         single[] = "\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\xff";
    struct sw_err err = { 0 };
    auto_bytes out = { 0 };

    assert_int_equal(
        decode(ops, (struct sw_span){ head27, 9 }, (struct pieces){ 0, 0 }, &out, &err), 0);
    assert_int_equal(out.n, 0);
    check_refuses(ops, (struct sw_span){ head28, 9 }, SW_ERR_UNSUPPORTED,
                  "(window 262144 KiB), more than the 139264 KiB allowed: raise --memory");
    check_refuses(ops, (struct sw_span){ single, 13 }, SW_ERR_UNSUPPORTED, "raise --memory");
}

static void resumes_between_frames_and_at_the_end(void **state)
{
    check_resumes(ops, "zstd", "two-frames.zst", 2);
    check_resumes(ops, "zstd", "skippable.zst", 3);
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
        cmocka_unit_test(verifies_the_checksum),
        cmocka_unit_test(refuses_garbage_behind_the_last_frame),
        cmocka_unit_test(refuses_what_is_not_zstd),
        cmocka_unit_test(refuses_a_dictionary),
        cmocka_unit_test(keeps_to_the_memory_limit),
        cmocka_unit_test(resumes_between_frames_and_at_the_end),
        cmocka_unit_test(closes_nothing),
    };

    return cmocka_run_group_tests_name("formats/zstd", tests, NULL, NULL);
}
