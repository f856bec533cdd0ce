/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "formats/reader.h"

/* Formats that we know well enough to refuse: writing one as a raw disk would look like success
 * and never boot. Their own readers replace rows here. Offsets and magics are each format's own
 * specification; those of qcow v1, qed, parallels, dmg, cloop and bochs as QEMU documents them. */
static const struct {
    uint32_t offset;
    uint8_t len;
    char magic[19];
    const char *name;
    const char *advice;
} refused[] = {
    { 0, 4, "KDMV", "VMDK", "convert it with 'qemu-img convert -O qcow2'" },
    { 0, 4, "COWD", "VMDK (ESX COW)", "convert it with 'qemu-img convert -O qcow2'" },
    { 0, 21 - 3, "# Disk DescriptorF", "VMDK descriptor",
      "import the extent file it names instead" },
    { 0x40, 4, "\x7f\x10\xda\xbe", "VDI", "convert it with 'qemu-img convert -O qcow2'" },
    { 0, 8, "conectix", "VHD", "convert it with 'qemu-img convert -O qcow2'" },
    { 0, 8, "vhdxfile", "VHDX", "convert it with 'qemu-img convert -O qcow2'" },
    { 0, 4, "QED\0", "QED", "convert it with 'qemu-img convert -O qcow2'" },
    { 0, 16, "WithoutFreeSpace", "Parallels", "convert it with 'qemu-img convert -O qcow2'" },
    { 0, 16, "WithouFreSpacExt", "Parallels", "convert it with 'qemu-img convert -O qcow2'" },
    { 0, 6, "LUKS\xba\xbe", "LUKS", "decrypt it first, or force it with --format raw" },
    { 0, 18, "Bochs Virtual HD I", "Bochs", "convert it with 'qemu-img convert -O qcow2'" },
    { 0, 7, "#!/bin/", "script (cloop?)", "this is not a disk image" },
    { 0x101, 5, "ustar", "tar archive", "unpack the disk image from it first" },
    { 0, 4, "PK\x03\x04", "zip archive", "unpack the disk image from it first" },
};

static bool starts_with_text(struct sw_span head, const char *lower)
{
    size_t i = 0;

    /* A byte order mark and blanks may stand before markup. */
    if (head.n >= 3 && memcmp(head.p, "\xef\xbb\xbf", 3) == 0)
        i = 3;
    while (i < head.n &&
           (head.p[i] == ' ' || head.p[i] == '\t' || head.p[i] == '\r' || head.p[i] == '\n'))
        i++;
    for (; *lower; lower++, i++) {
        if (i >= head.n)
            return false;
        uint8_t c = head.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c + 32);
        if (c != (uint8_t)*lower)
            return false;
    }
    return true;
}

static int refuse_markup(struct sw_span head, struct sw_err *err)
{
    static const char *const markup[] = { "<!doctype html", "<html", "<?xml", "<error>" };

    for (size_t i = 0; i < SW_COUNT(markup); i++) {
        if (starts_with_text(head, markup[i]))
            return sw_err_set(err, SW_ERR_UNSUPPORTED,
                              "this is an %s page, not a disk image: check the URL (a login or "
                              "error page?)",
                              markup[i][1] == '?' || markup[i][1] == 'e' ? "XML" : "HTML");
    }
    return 0;
}

int sw_format_sniff(struct sw_span head, enum sw_format *ret, struct sw_err *err)
{
    if (head.n >= 8 && memcmp(head.p, "QFI\xfb", 4) == 0) {
        uint32_t version = sw_be32(head.p + 4);

        if (version == 1)
            return sw_err_set(err, SW_ERR_UNSUPPORTED,
                              "qcow version 1 is not supported: convert it with 'qemu-img convert "
                              "-O qcow2'");
        *ret = SW_FORMAT_QCOW2;
        return 0;
    }
    for (size_t i = 0; i < SW_COUNT(refused); i++) {
        if (head.n >= refused[i].offset + refused[i].len &&
            memcmp(head.p + refused[i].offset, refused[i].magic, refused[i].len) == 0)
            return sw_err_set(err, SW_ERR_UNSUPPORTED,
                              "the image is a %s, which is not supported: %s", refused[i].name,
                              refused[i].advice);
    }
    if (refuse_markup(head, err) < 0)
        return -1;
    *ret = SW_FORMAT_RAW;
    return 0;
}

static const char *const names[SW_FORMAT_COUNT_] = { "auto", "raw", "qcow2" };

const char *sw_format_name(enum sw_format format)
{
    return (unsigned)format < SW_FORMAT_COUNT_ ? names[format] : "unknown";
}

int sw_format_parse(const char *name, enum sw_format *ret, struct sw_err *err)
{
    for (unsigned i = 0; i < SW_FORMAT_COUNT_; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret = (enum sw_format)i;
            return 0;
        }
    }
    return sw_err_set(err, SW_ERR_USAGE, "unknown format '%.32s': use auto, raw or qcow2", name);
}

int sw_reader_open(enum sw_format format, const struct sw_limits *limits, uint64_t file_size,
                   struct sw_reader **ret, struct sw_err *err)
{
    switch (format) {
    case SW_FORMAT_RAW:
        return sw_raw_open(limits, file_size, ret, err);
    case SW_FORMAT_QCOW2:
        return sw_qcow2_open(limits, file_size, ret, err);
    case SW_FORMAT_AUTO:
    case SW_FORMAT_COUNT_:
        break;
    }
    return sw_err_set(err, SW_ERR_INTERNAL, "no reader for format %d", (int)format);
}
