/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/container-harness.h"

static const char *const seeds[] = {
    "deflated",         "stored",   "streamed",      "members",
    "members-streamed", "info-zip", "info-zip-file", NULL,
};

static void finds_the_disk_in_pieces_of_any_size(void **state)
{
    check_disks(&sw_zip_decoder, "zip", seeds);
}

/* No byte of a zip archive is too many. */
static void refuses_every_truncation(void **state)
{
    for (size_t i = 0; seeds[i]; i++) {
        auto_bytes in = load_seed("zip", seeds[i]);

        check_cuts(&sw_zip_decoder, "zip", seeds[i], in.n);
    }
}

/* Times, versions and attributes mean nothing to us; the data is under a checksum. */
static void survives_every_bit_flip(void **state)
{
    assert_in_range(check_container_flips(&sw_zip_decoder, "zip", "deflated", SIZE_MAX), 100, 700);
    check_container_flips(&sw_zip_decoder, "zip", "members-streamed", SIZE_MAX);
    check_container_flips(&sw_zip_decoder, "zip", "info-zip", SIZE_MAX);
}

static void refuse_patched(const char *seed, size_t at, const char *bytes, size_t n,
                           enum sw_err_kind kind, const char *says)
{
    auto_bytes in = load_seed("zip", seed);

    assert_in_range(at + n, 1, in.n);
    memcpy(in.p + at, bytes, n);
    check_refuses(&sw_zip_decoder, span_of(&in), kind, says);
}

/* Offsets in the first local header: flags 6, method 8, checksum 14, sizes 18 and 22. */
static void refuses_what_it_cannot_read_by_name(void **state)
{
    refuse_patched("deflated", 6, "\1\0", 2, SW_ERR_UNSUPPORTED, "'disk.raw' is encrypted");
    refuse_patched("deflated", 6, "\0\x20", 2, SW_ERR_UNSUPPORTED, "'disk.raw' is encrypted");
    refuse_patched("deflated", 8, "\x0c\0", 2, SW_ERR_UNSUPPORTED, "neither stored nor deflated");
    refuse_patched("stored", 6, "\x08\0", 2, SW_ERR_UNSUPPORTED, "with its length behind it");
}

static void refuses_what_contradicts_itself(void **state)
{
    auto_bytes in = load_seed("zip", "deflated");
    size_t end = in.n - 22, central = sw_le32(in.p + end + 16);

    refuse_patched("deflated", 14, "\1\2\3\4", 4, SW_ERR_BAD_DATA, "its checksum or one of");
    refuse_patched("deflated", 22, "\1\2\0\0", 4, SW_ERR_BAD_DATA, "its checksum or one of");
    refuse_patched("deflated", 18, "\1\0\0\0", 4, SW_ERR_BAD_DATA, "longer than the member");
    refuse_patched("stored", 22, "\1\0\0\0", 4, SW_ERR_BAD_DATA, "its checksum or one of");
    refuse_patched("deflated", end + 10, "\2\0", 2, SW_ERR_BAD_DATA, "other members");
    refuse_patched("deflated", end + 10, "\0\0", 2, SW_ERR_BAD_DATA, "other members");
    refuse_patched("deflated", end + 4, "\1\0", 2, SW_ERR_UNSUPPORTED, "split over several");
    refuse_patched("deflated", central, "PK\5\6", 4, SW_ERR_UNSUPPORTED, "split over several");
    refuse_patched("deflated", central, "PK\3\4", 4, SW_ERR_BAD_DATA, "");
    refuse_patched("deflated", central, "XXXX", 4, SW_ERR_BAD_DATA, "neither a member nor");
}

/* Who begins at the end would see another archive than who begins at the start. */
static void refuses_a_second_archive_behind_the_first(void **state)
{
    auto_bytes in = load_seed("zip", "deflated");
    auto_bytes other = load_seed("zip", "stored");

    bytes_append(&in, other.p, other.n);
    check_refuses(&sw_zip_decoder, span_of(&in), SW_ERR_BAD_DATA, "garbage behind the end");
}

static void says_that_there_is_no_disk(void **state)
{
    auto_bytes in = load_seed("zip", "no-disk");

    check_refuses(&sw_zip_decoder, span_of(&in), SW_ERR_UNSUPPORTED, "none of the 1 members");
}

static void limits_members(void **state)
{
    struct sw_limits limits = SW_LIMITS_DEFAULT;
    auto_bytes in = load_seed("zip", "members"); /* 4 */
    struct sw_err err;

    limits.members = 3;
    assert_int_equal(decode_within(&sw_zip_decoder, span_of(&in), &limits, &err), -1);
    assert_refused(&sw_zip_decoder, -1, &err, SW_ERR_UNSUPPORTED, "members than the limit of 3");
    limits.members = 4;
    assert_int_equal(decode_within(&sw_zip_decoder, span_of(&in), &limits, &err), 0);
    limits.members = 5;
    assert_int_equal(decode_within(&sw_zip_decoder, span_of(&in), &limits, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_disk_in_pieces_of_any_size),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(survives_every_bit_flip),
        cmocka_unit_test(refuses_what_it_cannot_read_by_name),
        cmocka_unit_test(refuses_what_contradicts_itself),
        cmocka_unit_test(refuses_a_second_archive_behind_the_first),
        cmocka_unit_test(says_that_there_is_no_disk),
        cmocka_unit_test(limits_members),
    };

    return cmocka_run_group_tests_name("formats/zip", tests, NULL, NULL);
}
