/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/container-harness.h"

#include "tests/fakes/tar_bytes.h"

static const char *const seeds[] = {
    "gnu", "pax",   "ustar", "sparse-gnu", "sparse-pax-0.0", "sparse-pax-0.1", "sparse-pax-1.0",
    "ova", "layer", "twins", "nvram",      "long",           "pax-size",       "globals",
    NULL,
};

static void finds_the_disk_in_pieces_of_any_size(void **state)
{
    check_disks(&sw_tar_decoder, "tar", seeds);
}

/* The seeds end with two blocks of zeroes, of which the first one is enough. */
static void refuses_every_truncation(void **state)
{
    static const char *const cut[] = { "ustar", "ova", "sparse-gnu", "sparse-pax-1.0", "long" };

    for (size_t i = 0; i < SW_COUNT(cut); i++) {
        auto_bytes in = load_seed("tar", cut[i]);

        check_cuts(&sw_tar_decoder, "tar", cut[i], in.n - 512);
    }
}

/* Data has no checksum: flips in it come out. Everything in a header is under one. */
static void survives_every_bit_flip(void **state)
{
    unsigned same = check_container_flips(&sw_tar_decoder, "tar", "ustar", SIZE_MAX);

    /* Only the padding of the data, 72 bytes; and bits that the checksum's own field ignores. */
    assert_in_range(same, 72 * 8, 72 * 8 + 64);
    check_container_flips(&sw_tar_decoder, "tar", "sparse-pax-1.0", 2560);
    check_container_flips(&sw_tar_decoder, "tar", "sparse-gnu", 1024);
}

static void says_that_there_is_no_disk(void **state)
{
    auto_bytes in = load_seed("tar", "no-disk");

    check_refuses(&sw_tar_decoder, span_of(&in), SW_ERR_UNSUPPORTED,
                  "none of the 2 members looks like a disk image");
}

static void refuses_two_disks_and_names_them(void **state)
{
    struct tar_bytes t = { 0 };

    tar_add(&t, '0', "a.img", "\0a", 2);
    tar_add(&t, '0', "readme", "text", 4);
    tar_add(&t, '0', "b.img", "\0b", 2);
    tar_end(&t);
    check_refuses(&sw_tar_decoder, (struct sw_span){ t.p, t.n }, SW_ERR_UNSUPPORTED,
                  "more than one disk inside: 'a.img' and 'b.img'");
    tar_done(&t);
}

/* Firmware variables behind a disk are not a second one; a disk behind them is. */
static void prefers_what_surely_is_a_disk(void **state)
{
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    struct tar_bytes t = { 0 };
    struct sw_err err;

    tar_add(&t, '0', "a.qcow2", "QFI\xfb\0\0\0\3", 8);
    tar_add(&t, '0', "a.nvram", "\0\1", 2);
    tar_end(&t);
    assert_int_equal(decode_within(&sw_tar_decoder, (struct sw_span){ t.p, t.n }, &limits, &err),
                     0);
    tar_done(&t);

    tar_add(&t, '0', "a.nvram", "\0\1", 2);
    tar_add(&t, '0', "a.qcow2", "QFI\xfb\0\0\0\3", 8);
    tar_end(&t);
    check_refuses(&sw_tar_decoder, (struct sw_span){ t.p, t.n }, SW_ERR_UNSUPPORTED,
                  "'a.nvram' and 'a.qcow2'");
    tar_done(&t);
}

static void limits_members(void **state)
{
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    auto_bytes in = load_seed("tar", "twins"); /* 4 members */
    struct sw_err err;

    limits.members = 3;
    assert_int_equal(decode_within(&sw_tar_decoder, span_of(&in), &limits, &err), -1);
    assert_refused(&sw_tar_decoder, -1, &err, SW_ERR_UNSUPPORTED, "members than the limit of 3");
    limits.members = 4;
    assert_int_equal(decode_within(&sw_tar_decoder, span_of(&in), &limits, &err), 0);
    limits.members = 5;
    assert_int_equal(decode_within(&sw_tar_decoder, span_of(&in), &limits, &err), 0);
}

/* A header block and what it announces count, padding does not. */
static void limits_what_stands_before_a_member(void **state)
{
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    struct tar_bytes t = { 0 };
    struct sw_err err;

    tar_add(&t, 'x', "p", "17 path=abcdefgh\n", 17);
    tar_add(&t, '0', "a", "\0", 1);
    tar_end(&t);
    for (uint64_t limit = 528; limit <= 530; limit++) {
        limits.member_head = limit;
        int rc = decode_within(&sw_tar_decoder, (struct sw_span){ t.p, t.n }, &limits, &err);

        assert_int_equal(rc, limit < 529 ? -1 : 0);
        if (rc < 0)
            assert_refused(&sw_tar_decoder, -1, &err, SW_ERR_UNSUPPORTED, "more than 528 bytes");
    }
    tar_done(&t);
}

static void refuses_garbage_behind_the_end(void **state)
{
    auto_bytes in = load_seed("tar", "ustar");

    bytes_append(&in, "x", 1);
    check_refuses(&sw_tar_decoder, span_of(&in), SW_ERR_BAD_DATA, "garbage behind the end");
}

static void is_recognised_by_magic_and_checksum(void **state)
{
    auto_bytes in = load_seed("tar", "ustar");

    assert_int_equal(sw_wrap_sniff(span_of(&in)), SW_WRAP_TAR);
    assert_int_equal(sw_wrap_sniff((struct sw_span){ in.p, 511 }), SW_WRAP_NONE);
    in.p[0] ^= 1;
    assert_int_equal(sw_wrap_sniff(span_of(&in)), SW_WRAP_NONE);
    assert_true(sw_wrap_is_container(SW_WRAP_TAR));
    assert_false(sw_wrap_is_container(SW_WRAP_XZ));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_disk_in_pieces_of_any_size),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(survives_every_bit_flip),
        cmocka_unit_test(says_that_there_is_no_disk),
        cmocka_unit_test(refuses_two_disks_and_names_them),
        cmocka_unit_test(prefers_what_surely_is_a_disk),
        cmocka_unit_test(limits_members),
        cmocka_unit_test(limits_what_stands_before_a_member),
        cmocka_unit_test(refuses_garbage_behind_the_end),
        cmocka_unit_test(is_recognised_by_magic_and_checksum),
    };

    return cmocka_run_group_tests_name("formats/tar", tests, NULL, NULL);
}
