/* SPDX-License-Identifier: Apache-2.0 */
/* The VHD reader over hand-made images. Every truncation and bit flip: tests/formats; what qemu-img
 * makes: tests/transfer/survive. */
#include "tests/unit/image-harness.h"

static void reads_every_layout(void **state)
{
    static const char *const names[] = { "vhd/usual", "vhd/reverse", "vhd/last" };

    (void)state;
    for (size_t i = 0; i < SW_COUNT(names); i++) {
        struct disk d;

        image_read(names[i], SW_FORMAT_VHD, &d);
        assert_int_equal(d.n, 40 * 512 + 512);
        assert_true(image_holds(&d, 0, 0, 4096) && image_holds(&d, 2, 2, 4096));
        assert_true(image_holds(&d, 3, 3, 4096) && image_holds(&d, 5, 5, 4096));
        assert_true(image_zero(&d, 1, 4096));
        disk_done(&d);
    }
}

static void shares_blocks(void **state)
{
    struct disk d;

    (void)state;
    image_read("vhd/shared", SW_FORMAT_VHD, &d);
    assert_true(image_holds(&d, 0, 0, 4096) && image_holds(&d, 2, 0, 4096));
    disk_done(&d);
}

static void parks_what_precedes_its_map(void **state)
{
    struct disk d;

    (void)state;
    assert_int_equal(image_read("vhd/usual", SW_FORMAT_VHD, &d), 0);
    disk_done(&d);
    assert_true(image_read("vhd/last", SW_FORMAT_VHD, &d) >= 3 * 4096);
    disk_done(&d);
}

/* A disk with a footer behind it, read as it is said to be, and found to be in a stream. */
static void leaves_the_footer_out(void **state)
{
    struct image image = image_seed("vhd/fixed");
    struct disk d;

    (void)state;
    image_read("vhd/fixed", SW_FORMAT_VHD_FIXED, &d);
    assert_int_equal(d.n, 40 * 512);
    assert_memory_equal(d.p, image.p, d.n);
    disk_done(&d);
    image_read("vhd/fixed", SW_FORMAT_RAW_OR_VHD, &d);
    assert_int_equal(d.n, 40 * 512);
    disk_done(&d);
    image_read("vhd/fixed", SW_FORMAT_RAW, &d);
    assert_int_equal(d.n, 41 * 512);
    disk_done(&d);
    image_done(&image);
}

/* A footer is only what is last; anywhere else it is a guest's data. */
static void keeps_what_only_looks_like_a_footer(void **state)
{
    struct image image = image_seed("vhd/fixed");
    const struct read_how how = { .format = SW_FORMAT_RAW_OR_VHD, .piece = 300 };
    struct sw_err err = { 0 };
    struct disk d;

    (void)state;
    /* A cookie without a footer at the end of each piece, and in the middle of the last sector. */
    for (size_t at = 0; at < image.n; at += 512)
        memcpy(image.p + at, "conectix", 8);
    memset(image.p + image.n - 100, 7, 100);
    for (size_t cut = 0; cut < 600; cut += 100) {
        const struct sw_span part = { image.p, image.n - cut };

        assert_int_equal(read_image(part, &how, &image_limits, &d, &err), 0);
        assert_memory_equal(d.p, image.p, part.n);
        disk_done(&d);
    }
    image_done(&image);
}

static void refuses_a_footer_that_contradicts_its_file(void **state)
{
    struct image image = image_seed("vhd/fixed");
    const struct read_how how = { .format = SW_FORMAT_RAW_OR_VHD, .piece = 512 };
    enum sw_format format;
    struct sw_err err = { 0 };
    struct disk d;

    (void)state;
    memmove(image.p + 512, image.p + 1024, image.n - 1024);
    image.n -= 512;
    assert_int_equal(sw_format_sniff_tail((struct sw_span){ image.p + image.n - 512, 512 }, image.n,
                                          &format, &err),
                     -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    assert_int_equal(
        read_image((struct sw_span){ image.p, image.n }, &how, &image_limits, &d, &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    assert_non_null(strstr(err.msg, "20480 bytes"));
    disk_done(&d);
    image_refused(&image, SW_FORMAT_VHD_FIXED, &image_limits, SW_ERR_BAD_DATA, "20480 bytes");
    image_done(&image);
}

/* Said to be a fixed VHD, of a length that is known, it is not: nothing behind the disk is placed. */
static void refuses_a_fixed_image_without_footer(void **state)
{
    struct image image = image_seed("vhd/fixed");

    (void)state;
    memset(image.p + image.n - 512, 7, 512);
    for (size_t piece = 300; piece < 1200; piece += 100) {
        const struct read_how how = { .format = SW_FORMAT_VHD_FIXED,
                                      .size_known = true,
                                      .piece = piece };
        struct sw_err err = { 0 };
        struct disk d;

        assert_int_equal(
            read_image((struct sw_span){ image.p, image.n }, &how, &image_limits, &d, &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
        assert_non_null(strstr(err.msg, "no footer"));
        assert_true(d.placed <= 40 * 512);
        disk_done(&d);
    }
    image_refused(&image, SW_FORMAT_VHD_FIXED, &image_limits, SW_ERR_BAD_DATA, "footer");
    image_done(&image);
}

static void checks_checksums(void **state)
{
    struct image image = image_seed("vhd/usual");

    (void)state;
    image.p[30] ^= 1;
    image_refused(&image, SW_FORMAT_VHD, &image_limits, SW_ERR_BAD_DATA, "footer: checksum");
    image.p[30] ^= 1;
    image.p[600] ^= 1;
    image_refused(&image, SW_FORMAT_VHD, &image_limits, SW_ERR_BAD_DATA,
                  "dynamic header: checksum");
    image_done(&image);
}

static void keeps_to_the_limits(void **state)
{
    (void)state;
    image_keeps_to_limits("vhd/usual", SW_FORMAT_VHD, 40 * 512 + 512);
}

static void names_what_is_cut(void **state)
{
    (void)state;
    image_truncated("vhd/usual", SW_FORMAT_VHD, 500, "footer at offset 0");
    image_truncated("vhd/usual", SW_FORMAT_VHD, 700, "dynamic header at offset 512");
    image_truncated("vhd/usual", SW_FORMAT_VHD, 1540, "block table at offset 1536");
    image_truncated("vhd/usual", SW_FORMAT_VHD, 16000, "guest offset");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_layout),
        cmocka_unit_test(shares_blocks),
        cmocka_unit_test(parks_what_precedes_its_map),
        cmocka_unit_test(leaves_the_footer_out),
        cmocka_unit_test(keeps_what_only_looks_like_a_footer),
        cmocka_unit_test(refuses_a_footer_that_contradicts_its_file),
        cmocka_unit_test(refuses_a_fixed_image_without_footer),
        cmocka_unit_test(checks_checksums),
        cmocka_unit_test(keeps_to_the_limits),
        cmocka_unit_test(names_what_is_cut),
    };

    return cmocka_run_group_tests_name("formats/vhd", tests, NULL, NULL);
}
