/* SPDX-License-Identifier: Apache-2.0 */
/* The Parallels reader over hand-made images. Every truncation and bit flip: tests/formats; what qemu-img
 * makes: tests/transfer/survive. */
#include "tests/unit/image-harness.h"

static void reads_every_layout(void **state)
{
    static const char *const names[] = { "parallels/usual", "parallels/reverse", "parallels/old" };

    (void)state;
    for (size_t i = 0; i < SW_COUNT(names); i++) {
        struct disk d;

        image_read(names[i], SW_FORMAT_PARALLELS, &d);
        assert_int_equal(d.n, 40 * 512 + 512);
        assert_true(image_holds(&d, 0, 0, 2048) && image_holds(&d, 3, 3, 2048));
        assert_true(image_holds(&d, 4, 4, 2048) && image_holds(&d, 10, 10, 2048));
        assert_true(image_zero(&d, 1, 2048));
        disk_done(&d);
    }
}

static void shares_blocks(void **state)
{
    struct disk d;

    (void)state;
    image_read("parallels/shared", SW_FORMAT_PARALLELS, &d);
    assert_true(image_holds(&d, 0, 0, 2048) && image_holds(&d, 3, 0, 2048));
    disk_done(&d);
}

/* The table ends where its entries do, used or not. */
static void refuses_a_block_inside_the_table(void **state)
{
    struct image image = image_seed("parallels/old");
    const struct read_how how = { .format = SW_FORMAT_PARALLELS };
    struct sw_err err = { 0 };
    struct disk d;

    (void)state;
    sw_put_le32(image.p + 64, 1); /* sector 1: behind a table of 44 bytes, and legal */
    assert_int_equal(
        read_image((struct sw_span){ image.p, image.n }, &how, &image_limits, &d, &err), 0);
    disk_done(&d);
    sw_put_le32(image.p + 32, 112); /* entries: to the end of sector 0 */
    assert_int_equal(
        read_image((struct sw_span){ image.p, image.n }, &how, &image_limits, &d, &err), 0);
    disk_done(&d);
    sw_put_le32(image.p + 32, 113);
    image_refused(&image, SW_FORMAT_PARALLELS, &image_limits, SW_ERR_BAD_DATA, "entry 0");
    image_done(&image);
}

static void keeps_to_the_limits(void **state)
{
    (void)state;
    image_keeps_to_limits("parallels/usual", SW_FORMAT_PARALLELS, 40 * 512 + 512);
}

static void names_what_is_cut(void **state)
{
    (void)state;
    image_truncated("parallels/usual", SW_FORMAT_PARALLELS, 10, "header at offset 0");
    image_truncated("parallels/usual", SW_FORMAT_PARALLELS, 70, "block table at offset 64");
    image_truncated("parallels/usual", SW_FORMAT_PARALLELS, 8703, "guest offset");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_layout),
        cmocka_unit_test(shares_blocks),
        cmocka_unit_test(refuses_a_block_inside_the_table),
        cmocka_unit_test(keeps_to_the_limits),
        cmocka_unit_test(names_what_is_cut),
    };

    return cmocka_run_group_tests_name("formats/parallels", tests, NULL, NULL);
}
