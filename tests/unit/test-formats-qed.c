/* SPDX-License-Identifier: Apache-2.0 */
/* The QED reader over hand-made images. Every truncation and bit flip: tests/formats; what qemu-img
 * makes: tests/transfer/survive. */
#include "tests/unit/image-harness.h"

static void reads_every_layout(void **state)
{
    static const char *const names[] = { "qed/usual", "qed/reverse", "qed/last", "qed/two-tables" };

    (void)state;
    for (size_t i = 0; i < SW_COUNT(names); i++) {
        struct disk d;

        image_read(names[i], SW_FORMAT_QED, &d);
        assert_int_equal(d.n, 8 * 4096 + 512);
        assert_true(image_holds(&d, 0, 0, 4096) && image_holds(&d, 3, 3, 4096));
        assert_true(image_holds(&d, 4, 4, 4096) && image_holds(&d, 8, 8, 4096));
        assert_true(image_zero(&d, 1, 4096));
        disk_done(&d);
    }
}

static void shares_blocks(void **state)
{
    struct disk d;

    (void)state;
    image_read("qed/shared", SW_FORMAT_QED, &d);
    assert_true(image_holds(&d, 0, 0, 4096) && image_holds(&d, 3, 0, 4096));
    disk_done(&d);
}

static void parks_what_precedes_its_map(void **state)
{
    struct disk d;

    (void)state;
    /* The L1 table of one entry is followed by the rest of its cluster. */
    assert_true(image_read("qed/usual", SW_FORMAT_QED, &d) < 4096);
    disk_done(&d);
    assert_true(image_read("qed/last", SW_FORMAT_QED, &d) >= 3 * 4096);
    disk_done(&d);
}

static void names_the_backing_file(void **state)
{
    struct image image = image_seed("qed/usual");

    (void)state;
    image.p[16] = 1;
    image.p[56] = 100;
    image.p[60] = 8;
    memcpy(image.p + 100, "base\nimg", 8);
    image_refused(&image, SW_FORMAT_QED, &image_limits, SW_ERR_UNSUPPORTED, "'base?img'");
    image_done(&image);
}

static void keeps_to_the_limits(void **state)
{
    (void)state;
    image_keeps_to_limits("qed/usual", SW_FORMAT_QED, 8 * 4096 + 512);
}

static void names_what_is_cut(void **state)
{
    (void)state;
    image_truncated("qed/usual", SW_FORMAT_QED, 10, "header at offset 0");
    image_truncated("qed/usual", SW_FORMAT_QED, 4100, "L1 table at offset 4096");
    image_truncated("qed/usual", SW_FORMAT_QED, 8200, "L2 table at offset 8192");
    image_truncated("qed/usual", SW_FORMAT_QED, 25087, "guest offset");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_layout),          cmocka_unit_test(shares_blocks),
        cmocka_unit_test(parks_what_precedes_its_map), cmocka_unit_test(names_the_backing_file),
        cmocka_unit_test(keeps_to_the_limits),         cmocka_unit_test(names_what_is_cut),
    };

    return cmocka_run_group_tests_name("formats/qed", tests, NULL, NULL);
}
