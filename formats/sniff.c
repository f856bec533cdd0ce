/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "formats/reader.h"
#include "formats/vhd.h"
#include "formats/vmdk.h"

#define QEMU_IMG "convert it with 'qemu-img convert -O qcow2'"

/* Formats with a reader, by their magic. */
static const struct {
    uint32_t offset;
    uint8_t len;
    char magic[17];
    enum sw_format format;
} known[] = {
    { 0, 4, "QFI\xfb", SW_FORMAT_QCOW2 },
    { 0, 4, "KDMV", SW_FORMAT_VMDK },
    { 0x40, 4, "\x7f\x10\xda\xbe", SW_FORMAT_VDI },
    { 0, 8, "conectix", SW_FORMAT_VHD },
    { 0, 8, "vhdxfile", SW_FORMAT_VHDX },
    { 0, 4, "QED\0", SW_FORMAT_QED },
    { 0, 16, "WithoutFreeSpace", SW_FORMAT_PARALLELS },
    { 0, 16, "WithouFreSpacExt", SW_FORMAT_PARALLELS },
};

/* Formats that we know well enough to refuse: writing one as a raw disk would look like success
 * and never boot. Offsets and magics are each format's own specification; those of qcow v1, cloop and
 * Bochs as QEMU documents them. */
static const struct {
    uint32_t offset;
    uint8_t len;
    char magic[19];
    const char *name;
    const char *advice;
} refused[] = {
    { 0, 8, "QFI\xfb\0\0\0\1", "qcow version 1 image", QEMU_IMG },
    { 0, 8, "\xbe\xba\xfe\xca\0\0\0\0", "VMDK (SE sparse)", QEMU_IMG },
    { 0, 4, "COWD", "VMDK (ESX COW)", QEMU_IMG },
    { 0, 6, "LUKS\xba\xbe", "LUKS container", "decrypt it first, or force it with --format raw" },
    { 0, 18, "Bochs Virtual HD I", "Bochs image", QEMU_IMG },
    { 0, 7, "#!/bin/", "script (cloop?)", "this is not a disk image" },
};

static bool has_magic(struct sw_span head, uint32_t offset, const char *magic, uint8_t len)
{
    return head.n >= (size_t)offset + len && memcmp(head.p + offset, magic, len) == 0;
}

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
    if (has_magic(head, 0, SW_VMDK_DESCRIPTOR_MAGIC, sizeof(SW_VMDK_DESCRIPTOR_MAGIC) - 1))
        return sw_vmdk_refuse_descriptor(head, err);
    for (size_t i = 0; i < SW_COUNT(refused); i++) {
        if (has_magic(head, refused[i].offset, refused[i].magic, refused[i].len))
            return sw_err_set(err, SW_ERR_UNSUPPORTED,
                              "the image is a %s, which is not supported: %s", refused[i].name,
                              refused[i].advice);
    }
    for (size_t i = 0; i < SW_COUNT(known); i++) {
        if (has_magic(head, known[i].offset, known[i].magic, known[i].len)) {
            *ret = known[i].format;
            return 0;
        }
    }
    if (refuse_markup(head, err) < 0)
        return -1;
    *ret = SW_FORMAT_RAW;
    return 0;
}

/* The trailer of Apple's UDIF: its magic, version 4, its own length. */
static bool is_dmg(const uint8_t *p)
{
    return memcmp(p, "koly\0\0\0\4\0\0\2\0", 12) == 0;
}

int sw_format_sniff_tail(struct sw_span tail, uint64_t file_size, enum sw_format *ret,
                         struct sw_err *err)
{
    int fixed = 0;

    *ret = SW_FORMAT_RAW;
    if (tail.n < SW_SNIFF_TAIL)
        return 0;
    if (is_dmg(tail.p))
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "the image is a dmg, which is not supported: convert it with 'qemu-img "
                          "convert -O qcow2'");
    if (file_size % SW_VHD_FOOTER_BYTES == 0)
        fixed = sw_vhd_judge_tail(tail.p, file_size - SW_VHD_FOOTER_BYTES, err);
    if (fixed > 0)
        *ret = SW_FORMAT_VHD_FIXED;
    return fixed < 0 ? -1 : 0;
}

const char *sw_format_raw_kind(struct sw_span head)
{
    return has_magic(head, 0x8001, "CD001", 5) ? "ISO 9660" : NULL;
}

static const struct {
    const char *name;
    sw_reader_open_fn *open;
} formats[SW_FORMAT_COUNT_] = {
    [SW_FORMAT_AUTO] = { "auto", NULL },
    [SW_FORMAT_RAW] = { "raw", sw_raw_open },
    [SW_FORMAT_QCOW2] = { "qcow2", sw_qcow2_open },
    [SW_FORMAT_VMDK] = { "vmdk", sw_vmdk_open },
    [SW_FORMAT_VDI] = { "vdi", sw_vdi_open },
    [SW_FORMAT_VHD] = { "vhd", sw_vhd_open },
    [SW_FORMAT_VHDX] = { "vhdx", sw_vhdx_open },
    [SW_FORMAT_QED] = { "qed", sw_qed_open },
    [SW_FORMAT_PARALLELS] = { "parallels", sw_parallels_open },
    [SW_FORMAT_VHD_FIXED] = { "vhd", sw_vhd_fixed_open },
    [SW_FORMAT_RAW_OR_VHD] = { "raw", sw_raw_or_vhd_open },
};

const char *sw_format_name(enum sw_format format)
{
    return (unsigned)format < SW_FORMAT_COUNT_ && formats[format].name ? formats[format].name
                                                                       : "unknown";
}

int sw_format_parse(const char *name, enum sw_format *ret, struct sw_err *err)
{
    for (unsigned i = 0; i < SW_FORMAT_COUNT_; i++) {
        if (formats[i].name && strcmp(name, formats[i].name) == 0) {
            *ret = (enum sw_format)i;
            return 0;
        }
    }
    return sw_err_set(
        err, SW_ERR_USAGE,
        "unknown format '%.32s': use auto, raw, qcow2, vmdk, vdi, vhd, vhdx, qed or parallels",
        name);
}

int sw_reader_open(enum sw_format format, const struct sw_limits *limits, uint64_t file_size,
                   struct sw_reader **ret, struct sw_err *err)
{
    if ((unsigned)format >= SW_FORMAT_COUNT_ || !formats[format].open)
        return sw_err_set(err, SW_ERR_INTERNAL, "no reader for format %d", (int)format);
    return formats[format].open(limits, file_size, ret, err);
}
