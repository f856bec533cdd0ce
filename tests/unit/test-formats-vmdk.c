/* SPDX-License-Identifier: Apache-2.0 */
/* The VMDK reader over hand-made images. Every truncation and bit flip: tests/formats; what qemu-img
 * makes: tests/transfer/survive. */
#include "formats/vmdk.h"
#include "tests/unit/image-harness.h"

#define SIZE (40 * 512 + 512)

static void reads_every_layout(void **state)
{
    static const char *const names[] = { "vmdk/usual",        "vmdk/reverse",
                                         "vmdk/last",         "vmdk/zero-grains",
                                         "vmdk/stream-usual", "vmdk/stream-reverse",
                                         "vmdk/stream-front" };

    (void)state;
    for (size_t i = 0; i < SW_COUNT(names); i++) {
        struct disk d;

        image_read(names[i], SW_FORMAT_VMDK, &d);
        assert_int_equal(d.n, SIZE);
        assert_true(image_holds(&d, 0, 0, 4096) && image_holds(&d, 2, 2, 4096));
        assert_true(image_holds(&d, 3, 3, 4096) && image_holds(&d, 5, 5, 4096));
        assert_true(image_zero(&d, 1, 4096) && image_zero(&d, 4, 4096));
        disk_done(&d);
    }
}

static void shares_grains(void **state)
{
    struct disk d;

    (void)state;
    image_read("vmdk/shared", SW_FORMAT_VMDK, &d);
    assert_true(image_holds(&d, 0, 0, 4096) && image_holds(&d, 3, 0, 4096));
    disk_done(&d);
}

/* Its tables are behind everything; its markers say the same. */
static void streams_without_parking(void **state)
{
    struct disk d;

    (void)state;
    assert_int_equal(image_read("vmdk/stream-usual", SW_FORMAT_VMDK, &d), 0);
    disk_done(&d);
    assert_true(image_read("vmdk/last", SW_FORMAT_VMDK, &d) >= 3 * 4096);
    disk_done(&d);
}

static void refused(const char *name, size_t at, uint32_t value, enum sw_err_kind kind,
                    const char *part)
{
    struct image image = image_seed(name);

    sw_put_le32(image.p + at, value);
    image_refused(&image, SW_FORMAT_VMDK, &image_limits, kind, part);
    image_done(&image);
}

static void refuses_what_the_header_may_not_say(void **state)
{
    (void)state;
    refused("vmdk/usual", 4, 4, SW_ERR_UNSUPPORTED, "version 4");
    refused("vmdk/usual", 44, 256, SW_ERR_BAD_DATA, "256 entries");
    refused("vmdk/usual", 20, 3, SW_ERR_BAD_DATA, "3 sectors");
    refused("vmdk/usual", 28, 0, SW_ERR_UNSUPPORTED, "split");
    refused("vmdk/usual", 72, 0x0a0d0a00, SW_ERR_BAD_DATA, "ends of lines");
    refused("vmdk/stream-usual", 8, 0x10001, SW_ERR_UNSUPPORTED, "without markers");
    refused("vmdk/usual", 8, 0x30001, SW_ERR_BAD_DATA, "contradicts");
    refused("vmdk/stream-usual", 20, 4096, SW_ERR_UNSUPPORTED, "2097152");
}

/* A file shows only one of two contradicting sources; a stream sees both. */
static void compares_markers_with_tables(void **state)
{
    static const struct {
        const char *name;
        size_t at;
        uint32_t value;
        const char *part;
    } rows[] = {
        { "vmdk/stream-usual", 1536, 16,
          "a second time" }, /* the first grain's sector is the second's */
        { "vmdk/stream-usual", 1536, 32, "does not name" },       /* ... is one that no table has */
        { "vmdk/stream-usual", 1536, 3, "sector 3 of the disk" }, /* ... lies inside a grain */
        { "vmdk/stream-usual", 1536, 4000, "sector 4000" },       /* ... lies beyond the disk */
        { "vmdk/stream-front", 4 * 512 + 4, 9, "does not name" },
    };
    const struct read_how how = { .format = SW_FORMAT_VMDK, .piece = 100 };

    (void)state;
    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        struct image image = image_seed(rows[i].name);
        struct sw_err err = { 0 };
        struct disk d;

        sw_put_le32(image.p + rows[i].at, rows[i].value);
        assert_int_equal(
            read_image((struct sw_span){ image.p, image.n }, &how, &image_limits, &d, &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
        if (!strstr(err.msg, rows[i].part))
            fail_msg("'%s' without '%s'", err.msg, rows[i].part);
        disk_done(&d);
        image_done(&image);
    }
}

static void text_refused(const char *from, const char *to, const char *part)
{
    struct image image = image_seed("vmdk/usual");
    char *at = memmem(image.p, image.n, from, strlen(from));

    assert_non_null(at);
    memcpy(at, to, strlen(to));
    image_refused(&image, SW_FORMAT_VMDK, &image_limits, SW_ERR_UNSUPPORTED, part);
    image_done(&image);
}

static void refuses_a_disk_of_several_files(void **state)
{
    (void)state;
    text_refused("parentCID=ffffffff", "parentCID=12345678", "12345678");
    text_refused("monolithicSparse", "twoGbMaxExtentSp", "twoGbMaxExtentSp");
    text_refused("version=1\nCID=12345678", "RW 1 FLAT \"a\"\nRW 1 F ", "3 files");
}

/* Names are shown, never opened, and shown without what a terminal would obey. */
static void refuses_descriptors_by_name(void **state)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        { "# Disk DescriptorFile\ncreateType=\"monolithicFlat\"\nRW 8 FLAT \"a\x1b-flat.vmdk\" 0\n",
          "'a?-flat.vmdk': import that file with --format raw" },
        { "# Disk DescriptorFile\r\ncreateType=\"twoGbMaxExtentSparse\"\r\nRW 8 SPARSE "
          "\"a-s001.vmdk\"\r\nRW "
          "8 SPARSE \"a-s002.vmdk\"\r\n",
          "'twoGbMaxExtentSparse' disk of 2 files ('a-s001.vmdk'...)" },
        { "# Disk DescriptorFile\ncreateType=\"monolithicFlat\"\nRW 8 FLAT \"/etc/passwd\" 0",
          "/etc/passwd" },
        { "# Disk DescriptorFile", "'?' disk of 0 files" },
        { "# Disk DescriptorFile\nRW\nRW \nRW 1\nRW 1 \nRW 1 FLAT \"", "'?' disk of" },
    };

    (void)state;
    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        size_t n = strlen(rows[i].text);
        sw_autofree uint8_t *copy = malloc(n);
        enum sw_format format;
        struct sw_err err = { 0 };

        assert_non_null(copy);
        memcpy(copy, rows[i].text, n);
        assert_int_equal(sw_format_sniff((struct sw_span){ copy, n }, &format, &err), -1);
        assert_int_equal(err.kind, SW_ERR_UNSUPPORTED);
        if (!strstr(err.msg, rows[i].part))
            fail_msg("'%s' without '%s'", err.msg, rows[i].part);
    }
}

static void keeps_to_the_limits(void **state)
{
    struct image image = image_seed("vmdk/stream-usual");
    struct sw_limits l = image_limits;

    (void)state;
    image_keeps_to_limits("vmdk/usual", SW_FORMAT_VMDK, SIZE);
    l.table_memory = 100;
    image_refused(&image, SW_FORMAT_VMDK, &l, SW_ERR_UNSUPPORTED, "--memory");
    image_done(&image);
}

static void names_what_is_cut(void **state)
{
    (void)state;
    image_truncated("vmdk/usual", SW_FORMAT_VMDK, 400, "header at offset 0");
    image_truncated("vmdk/usual", SW_FORMAT_VMDK, 600, "descriptor at offset 512");
    image_truncated("vmdk/usual", SW_FORMAT_VMDK, 1537, "grain directory at offset 1536");
    image_truncated("vmdk/usual", SW_FORMAT_VMDK, 2049, "grain table at offset 2048");
    image_truncated("vmdk/usual", SW_FORMAT_VMDK, 16000, "guest offset");
    image_truncated("vmdk/stream-usual", SW_FORMAT_VMDK, 8192, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_layout),
        cmocka_unit_test(shares_grains),
        cmocka_unit_test(streams_without_parking),
        cmocka_unit_test(refuses_what_the_header_may_not_say),
        cmocka_unit_test(compares_markers_with_tables),
        cmocka_unit_test(refuses_a_disk_of_several_files),
        cmocka_unit_test(refuses_descriptors_by_name),
        cmocka_unit_test(keeps_to_the_limits),
        cmocka_unit_test(names_what_is_cut),
    };

    return cmocka_run_group_tests_name("formats/vmdk", tests, NULL, NULL);
}
