/* SPDX-License-Identifier: Apache-2.0 */
/* The VDI reader over hand-made images. Every truncation and bit flip: tests/formats; what qemu-img
 * makes: tests/transfer/survive. */
#include "tests/unit/image-harness.h"

static void reads_every_layout(void **state)
{
    static const char *const names[] = { "vdi/usual", "vdi/reverse", "vdi/last" };

    (void)state;
    for (size_t i = 0; i < SW_COUNT(names); i++) {
        struct disk d;

        image_read(names[i], SW_FORMAT_VDI, &d);
        assert_int_equal(d.n, 40 * 512 + 512);
        assert_true(image_holds(&d, 0, 0, 512) && image_holds(&d, 3, 3, 512));
        assert_true(image_holds(&d, 4, 4, 512) && image_holds(&d, 17, 17, 512));
        assert_true(image_holds(&d, 40, 40, 512));
        assert_true(image_zero(&d, 1, 512));
        disk_done(&d);
    }
}

static void shares_blocks(void **state)
{
    struct disk d;

    (void)state;
    image_read("vdi/shared", SW_FORMAT_VDI, &d);
    assert_true(image_holds(&d, 0, 0, 512) && image_holds(&d, 3, 0, 512));
    disk_done(&d);
}

static void parks_what_precedes_its_map(void **state)
{
    struct disk d;

    (void)state;
    assert_int_equal(image_read("vdi/usual", SW_FORMAT_VDI, &d), 0);
    disk_done(&d);
    assert_true(image_read("vdi/last", SW_FORMAT_VDI, &d) >= 5 * 512);
    disk_done(&d);
}

static void refuses_what_needs_a_parent(void **state)
{
    struct image image = image_seed("vdi/usual");

    (void)state;
    image.p[0x4c] = 4;
    image_refused(&image, SW_FORMAT_VDI, &image_limits, SW_ERR_UNSUPPORTED, "differencing");
    image.p[0x4c] = 1;
    image.p[0x1c7] = 1;
    image_refused(&image, SW_FORMAT_VDI, &image_limits, SW_ERR_UNSUPPORTED, "parent");
    image_done(&image);
}

static void keeps_to_the_limits(void **state)
{
    (void)state;
    image_keeps_to_limits("vdi/usual", SW_FORMAT_VDI, 40 * 512 + 512);
}

static void names_what_is_cut(void **state)
{
    (void)state;
    image_truncated("vdi/usual", SW_FORMAT_VDI, 100, "header at offset 0");
    image_truncated("vdi/usual", SW_FORMAT_VDI, 520, "block map at offset 512");
    image_truncated("vdi/usual", SW_FORMAT_VDI, 3583, "guest offset");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_layout),
        cmocka_unit_test(shares_blocks),
        cmocka_unit_test(parks_what_precedes_its_map),
        cmocka_unit_test(refuses_what_needs_a_parent),
        cmocka_unit_test(keeps_to_the_limits),
        cmocka_unit_test(names_what_is_cut),
    };

    return cmocka_run_group_tests_name("formats/vdi", tests, NULL, NULL);
}
