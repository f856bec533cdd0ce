/* SPDX-License-Identifier: Apache-2.0 */
/* What an image is, by its first and last bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/reader.h"

static const struct {
    size_t offset;
    const char *magic;
    size_t len;
    enum sw_format format; /* AUTO: refused, and named so: */
    const char *name;
} rows[] = {
    { 0, "QFI\xfb\0\0\0\3", 8, SW_FORMAT_QCOW2, "qcow2" },
    { 0, "QFI\xfb\0\0\0\2", 8, SW_FORMAT_QCOW2, "qcow2" },
    { 0, "QFI\xfb\0\0\0\1", 8, SW_FORMAT_AUTO, "qcow version 1" },
    { 0, "KDMV", 4, SW_FORMAT_VMDK, "vmdk" },
    { 0, "\xbe\xba\xfe\xca\0\0\0\0", 8, SW_FORMAT_AUTO, "SE sparse" },
    { 0, "# Disk DescriptorFile", 21, SW_FORMAT_AUTO, "descriptor" },
    { 64, "\x7f\x10\xda\xbe", 4, SW_FORMAT_VDI, "vdi" },
    { 0, "conectix", 8, SW_FORMAT_VHD, "vhd" },
    { 0, "vhdxfile", 8, SW_FORMAT_VHDX, "vhdx" },
    { 0, "QED\0", 4, SW_FORMAT_QED, "qed" },
    { 0, "WithoutFreeSpace", 16, SW_FORMAT_PARALLELS, "parallels" },
    { 0, "WithouFreSpacExt", 16, SW_FORMAT_PARALLELS, "parallels" },
    { 0, "LUKS\xba\xbe", 6, SW_FORMAT_AUTO, "LUKS" },
    { 0, "COWD", 4, SW_FORMAT_AUTO, "ESX COW" },
    { 0, "Bochs Virtual HD Image", 22, SW_FORMAT_AUTO, "Bochs" },
    { 0, "#!/bin/sh\n#V2.0 Format\n", 23, SW_FORMAT_AUTO, "cloop" },
    { 0, "  <!DOCTYPE HTML>", 17, SW_FORMAT_AUTO, "HTML" },
    { 0, "<?xml version", 13, SW_FORMAT_AUTO, "XML" },
};

static void tells_formats_by_their_magic(void **state)
{
    (void)state;
    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        /* The magic ends where the memory does. */
        size_t n = rows[i].offset + rows[i].len;
        sw_autofree uint8_t *head = calloc(1, n);
        enum sw_format format = SW_FORMAT_AUTO;
        struct sw_err err = { 0 };

        assert_non_null(head);
        memcpy(head + rows[i].offset, rows[i].magic, rows[i].len);
        int rc = sw_format_sniff((struct sw_span){ head, n }, &format, &err);
        if (rows[i].format == SW_FORMAT_AUTO) {
            assert_int_equal(rc, -1);
            assert_int_equal(err.kind, SW_ERR_UNSUPPORTED);
            assert_non_null(strstr(err.msg, rows[i].name));
            continue;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(format, rows[i].format);
        assert_string_equal(sw_format_name(format), rows[i].name);
    }
}

static void takes_the_rest_for_raw(void **state)
{
    /* One byte less than each magic. */
    (void)state;
    for (size_t i = 0; i < SW_COUNT(rows); i++) {
        size_t n = rows[i].offset + 3;
        sw_autofree uint8_t *head = calloc(1, n);
        enum sw_format format = SW_FORMAT_AUTO;
        struct sw_err err = { 0 };

        assert_non_null(head);
        memcpy(head + rows[i].offset, rows[i].magic, 3);
        assert_int_equal(sw_format_sniff((struct sw_span){ head, n }, &format, &err), 0);
        assert_int_equal(format, SW_FORMAT_RAW);
    }
}

static void refuses_a_dmg_by_its_trailer(void **state)
{
    uint8_t tail[SW_SNIFF_TAIL] = "koly\0\0\0\4\0\0\2\0";
    enum sw_format format = SW_FORMAT_AUTO;
    struct sw_err err = { 0 };

    (void)state;
    assert_int_equal(
        sw_format_sniff_tail((struct sw_span){ tail, sizeof(tail) }, 99999, &format, &err), -1);
    assert_int_equal(err.kind, SW_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "dmg"));
    tail[7] = 5;
    assert_int_equal(
        sw_format_sniff_tail((struct sw_span){ tail, sizeof(tail) }, 99999, &format, &err), 0);
    assert_int_equal(format, SW_FORMAT_RAW);
    assert_int_equal(sw_format_sniff_tail((struct sw_span){ tail, 511 }, 511, &format, &err), 0);
}

static void says_that_an_iso_is_one(void **state)
{
    sw_autofree uint8_t *head = calloc(1, SW_KIND_BYTES);

    (void)state;
    assert_non_null(head);
    assert_null(sw_format_raw_kind((struct sw_span){ head, SW_KIND_BYTES }));
    memcpy(head + 32769, "CD001", 5);
    assert_string_equal(sw_format_raw_kind((struct sw_span){ head, SW_KIND_BYTES }), "ISO 9660");
    assert_null(sw_format_raw_kind((struct sw_span){ head, 32773 }));
}

static void parses_names(void **state)
{
    enum sw_format format;
    struct sw_err err = { 0 };

    (void)state;
    assert_int_equal(sw_format_parse("vhd", &format, &err), 0);
    assert_int_equal(format, SW_FORMAT_VHD);
    assert_int_equal(sw_format_parse("raw", &format, &err), 0);
    assert_int_equal(format, SW_FORMAT_RAW);
    assert_int_equal(sw_format_parse("dmg", &format, &err), -1);
    assert_int_equal(err.kind, SW_ERR_USAGE);
    assert_string_equal(sw_format_name(SW_FORMAT_VHD_FIXED), "vhd");
    assert_string_equal(sw_format_name(SW_FORMAT_RAW_OR_VHD), "raw");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_formats_by_their_magic),
        cmocka_unit_test(takes_the_rest_for_raw),
        cmocka_unit_test(refuses_a_dmg_by_its_trailer),
        cmocka_unit_test(says_that_an_iso_is_one),
        cmocka_unit_test(parses_names),
    };

    return cmocka_run_group_tests_name("formats/sniff", tests, NULL, NULL);
}
