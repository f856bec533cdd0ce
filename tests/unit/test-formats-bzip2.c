/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/decode-harness.h"

static const struct sw_decoder_ops *const ops = &sw_bzip2_decoder;
static const char *const seeds[] = {
    "bzip2.bz2", "small.bz2", "lbzip2.bz2", "two-streams.bz2", "empty-bzip2.bz2", NULL,
};

static void decodes_in_pieces_of_any_size(void **state)
{
    check_all_pieces(ops, "bzip2", seeds);
}

static void decodes_into_buffers_of_every_size(void **state)
{
    check_every_room(ops, "bzip2", "small.bz2");
}

static void leaves_the_output_alone_when_there_is_no_room(void **state)
{
    check_without_room(ops, "bzip2", "two-streams.bz2");
}

static void refuses_every_truncation(void **state)
{
    check_truncations(ops, "bzip2", "bzip2.bz2");
    check_truncations(ops, "bzip2", "empty-bzip2.bz2");
}

static void survives_every_bit_flip(void **state)
{
    /* Not all bits matter: a larger level, selectors and codes that are never used, padding. */
    check_flips(ops, "bzip2", "small.bz2");
}

static void refuses_garbage_behind_the_last_stream(void **state)
{
    check_garbage_behind(ops, "bzip2", "bzip2.bz2", "garbage", 7, "garbage");
    check_garbage_behind(ops, "bzip2", "bzip2.bz2", "\0\0\0\0", 4, "garbage");
    check_garbage_behind(ops, "bzip2", "bzip2.bz2", "BZh0", 4, "garbage");
    check_garbage_behind(ops, "bzip2", "bzip2.bz2", "BZh", 3, "truncated");
}

static void refuses_what_is_not_bzip2(void **state)
{
    check_refuses(ops, (struct sw_span){ (const uint8_t *)"BZ01234567", 10 }, SW_ERR_BAD_DATA,
                  "not a bzip2 header");
    check_refuses(ops, (struct sw_span){ (const uint8_t *)"BZh9 garbage", 12 }, SW_ERR_BAD_DATA,
                  "corrupt");
}

/* Level 9 takes 3,700,000 bytes, level 1 500,000. */
static void keeps_to_the_memory_limit(void **state)
{
    auto_bytes nine = load_seed("bzip2", "bzip2.bz2");
    auto_bytes one = load_seed("bzip2", "small.bz2");
    auto_bytes out = { 0 };
    struct sw_err err = { 0 };

    assert_refused(ops, decode_limited(ops, span_of(&nine), 3699999, &out, &err), &err,
                   SW_ERR_UNSUPPORTED, "3614 KiB of memory, more than the 3613 KiB");
    assert_int_equal(decode_limited(ops, span_of(&nine), 3700000, &out, &err), 0);
    assert_int_equal(decode_limited(ops, span_of(&one), 500000, &out, &err), 0);
    assert_is_plain(&out, 2, "both");
}

static void resumes_between_streams_and_at_the_end(void **state)
{
    check_resumes(ops, "bzip2", "two-streams.bz2", 2);
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
        cmocka_unit_test(refuses_what_is_not_bzip2),
        cmocka_unit_test(keeps_to_the_memory_limit),
        cmocka_unit_test(resumes_between_streams_and_at_the_end),
        cmocka_unit_test(closes_nothing),
    };

    return cmocka_run_group_tests_name("formats/bzip2", tests, NULL, NULL);
}
