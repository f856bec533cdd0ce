/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/bootcheck.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "formats/fat.h"
#include "formats/gpt.h"
#include "formats/pe.h"

/* Removable-media names (UEFI 2.10 table 3-3). When a disk has several, the first of this order is
 * reported as `arch`. */
static const struct {
    const char *file, *arch;
} loaders[] = {
    { "BOOTRISCV64.EFI", "riscv64" },
    { "BOOTX64.EFI", "x86_64" },
    { "BOOTAA64.EFI", "aarch64" },
    { "BOOTRISCV32.EFI", "riscv32" },
    { "BOOTIA32.EFI", "i386" },
    { "BOOTARM.EFI", "arm" },
    { "BOOTLOONGARCH64.EFI", "loongarch64" },
};

/* The PE header of a loader begins within its first few hundred bytes; this is generous. */
#define PE_OFFSET_MAX (64u << 10)

/* A file system without a partition table, or an ISO: not bootable by itself, but worth a name. */
static const struct {
    uint64_t off;
    uint8_t len;
    char magic[8];
    const char *what;
} bare[] = {
    { 32769, 5, "CD001", "an ISO 9660 image" },
    { 0x438, 2, "\x53\xef", "a bare ext file system" },
    { 0, 4, "XFSB", "a bare XFS file system" },
    { 0x10040, 8, "_BHRfS_M", "a bare btrfs file system" },
    { 0, 4, "hsqs", "a bare squashfs file system" },
    { 0, 6, "LUKS\xba\xbe", "an encrypted LUKS volume" },
    { 0x218, 8, "LVM2 001", "a bare LVM volume" },
};

/* The first remark stays: it names what stands in the way first. */
static void remark(struct sw_bootinfo *info, const char *text)
{
    if (!info->note[0])
        snprintf(info->note, sizeof(info->note), "%s", text);
}

static void add_arch(struct sw_bootinfo *info, const char *arch, const char *file)
{
    size_t used = strlen(info->archs);

    if (!info->arch[0]) {
        snprintf(info->arch, sizeof(info->arch), "%s", arch);
        snprintf(info->loader, sizeof(info->loader), "%s", file);
    }
    for (const char *p = info->archs; *p; p += strcspn(p, ","), p += *p == ',') {
        if (strcspn(p, ",") == strlen(arch) && strncmp(p, arch, strlen(arch)) == 0)
            return;
    }
    snprintf(info->archs + used, sizeof(info->archs) - used, "%s%s", used ? "," : "", arch);
}

/* 1 when `file` is a program that firmware can read, with what its PE header says. */
static int read_pe(const struct sw_fat *fat, const struct sw_fat_node *file, struct sw_pe_info *ret,
                   struct sw_err *err)
{
    uint8_t dos[SW_PE_DOS_BYTES], header[SW_PE_HEADER_BYTES];
    int rc = sw_fat_read(fat, file, 0, dos, sizeof(dos), err);

    if (rc <= 0)
        return rc;
    uint32_t off = sw_pe_header_offset(dos);
    if (off == 0 || off > PE_OFFSET_MAX)
        return 0;
    rc = sw_fat_read(fat, file, off, header, sizeof(header), err);
    return rc > 0 ? sw_pe_parse(header, ret) : rc;
}

/* Judge one loader. The name is what firmware looks for, the machine field what it then insists on:
 * only where both agree does anything boot. */
static int check_loader(const struct sw_fat *fat, const struct sw_fat_node *file, unsigned which,
                        const char *path, struct sw_bootinfo *info, struct sw_err *err)
{
    struct sw_pe_info pe;
    char text[sizeof(info->note)];
    int rc = read_pe(fat, file, &pe, err);

    if (rc < 0)
        return -1;
    const char *arch = rc ? sw_pe_arch(pe.machine) : NULL;
    if (rc && arch && strcmp(arch, loaders[which].arch) == 0 &&
        pe.subsystem == SW_PE_SUBSYSTEM_EFI_APPLICATION) {
        add_arch(info, arch, path);
        return 0;
    }
    if (!rc)
        snprintf(text, sizeof(text), "%.40s is not an EFI program", path);
    else if (!arch)
        snprintf(text, sizeof(text), "%.40s is a program for machine 0x%04x, not %s", path,
                 pe.machine, loaders[which].arch);
    else if (strcmp(arch, loaders[which].arch) != 0)
        snprintf(text, sizeof(text), "%.40s is a program for %s: no firmware starts it there", path,
                 arch);
    else
        snprintf(text, sizeof(text), "%.40s is not an EFI application (subsystem %u)", path,
                 pe.subsystem);
    remark(info, text);
    return 0;
}

/* Look for every removable-media loader in one FAT volume. 1 when it is a FAT volume. */
static int check_volume(const struct sw_disk_reader *r, uint64_t offset, struct sw_bootinfo *info,
                        struct sw_err *err)
{
    struct sw_fat fat;
    struct sw_fat_node root, efi, boot, file;
    char efi_name[64], boot_name[64], name[64], path[64];
    int rc = sw_fat_open(r, offset, &fat, err);

    if (rc <= 0)
        return rc;
    root = sw_fat_root(&fat);
    rc = sw_fat_lookup(&fat, &root, "EFI", &efi, efi_name, err);
    if (rc > 0)
        rc = sw_fat_lookup(&fat, &efi, "BOOT", &boot, boot_name, err);
    if (rc <= 0)
        return rc < 0 ? -1 : 1;
    for (unsigned i = 0; i < SW_COUNT(loaders); i++) {
        rc = sw_fat_lookup(&fat, &boot, loaders[i].file, &file, name, err);
        if (rc > 0) {
            snprintf(path, sizeof(path), "\\%.8s\\%.8s\\%.40s", efi_name, boot_name, name);
            rc = check_loader(&fat, &file, i, path, info, err);
        }
        if (rc < 0)
            return -1;
    }
    return 1;
}

/* Whether the disk is an ISO 9660 image that also has a partition table (hybrid). */
static int check_iso(const struct sw_disk_reader *r, struct sw_bootinfo *info, struct sw_err *err)
{
    uint8_t magic[5];
    int rc = sw_disk_read(r, 32769, magic, sizeof(magic), err);

    if (rc > 0 && memcmp(magic, "CD001", 5) == 0)
        remark(info, "this is an ISO 9660 image (hybrid, with a partition table)");
    return rc < 0 ? -1 : 0;
}

/* Nothing was found to start: say what kind of nothing. */
static void remark_no_loader(struct sw_bootinfo *info, bool esp_is_fat)
{
    if (!info->has_esp)
        remark(info, "no EFI system partition: UEFI firmware finds nothing to start (U-Boot with "
                     "extlinux, or a kernel given from outside, may)");
    else if (!esp_is_fat)
        remark(info, "the EFI system partition holds no FAT file system");
    else
        remark(info, "no \\EFI\\BOOT\\BOOT*.EFI in the EFI system partition: firmware without "
                     "stored boot entries finds nothing to start");
}

static int check_volumes(const struct sw_disk_reader *r, const struct sw_partition_map *map,
                         struct sw_bootinfo *info, struct sw_err *err)
{
    bool esp_is_fat = false;

    for (unsigned i = 0; i < map->n_volumes; i++) {
        const struct sw_boot_volume *v = &map->volumes[i];

        info->has_esp = info->has_esp || v->is_esp;
        int rc = check_volume(r, v->offset, info, err);
        if (rc < 0)
            return -1;
        esp_is_fat = esp_is_fat || (v->is_esp && rc > 0);
    }
    if (info->arch[0])
        return 0;
    if (check_iso(r, info, err) < 0)
        return -1;
    remark_no_loader(info, esp_is_fat);
    return 0;
}

/* A disk without partitions: FAT on the whole of it, or something that at least has a name. */
static int check_bare(const struct sw_disk_reader *r, struct sw_bootinfo *info, struct sw_err *err)
{
    char text[sizeof(info->note)];
    uint8_t magic[8];
    int rc = check_volume(r, 0, info, err);

    if (rc < 0)
        return -1;
    if (rc > 0) {
        if (!info->arch[0])
            remark(info, "a FAT file system without partition table and without a loader");
        return 0;
    }
    for (size_t i = 0; i < SW_COUNT(bare); i++) {
        rc = sw_disk_read(r, bare[i].off, magic, bare[i].len, err);
        if (rc < 0)
            return -1;
        if (rc > 0 && memcmp(magic, bare[i].magic, bare[i].len) == 0) {
            snprintf(text, sizeof(text), "no partition table: this is %s", bare[i].what);
            remark(info, text);
            return 0;
        }
    }
    remark(info, "no partition table");
    return 0;
}

int sw_bootcheck(const struct sw_disk_reader *reader, struct sw_bootinfo *ret, struct sw_err *err)
{
    struct sw_partition_map map;
    struct sw_fat fat;

    memset(ret, 0, sizeof(*ret));
    ret->sector_size = 512;
    int rc = sw_partitions_read(reader, &map, err);
    if (rc < 0)
        return -1;

    /* The boot sector of a FAT volume can pass for a partition table. */
    if (map.table == SW_PT_MBR) {
        rc = sw_fat_open(reader, 0, &fat, err);
        if (rc < 0)
            return -1;
        if (rc > 0)
            memset(&map, 0, sizeof(map));
    }
    ret->checked = true;
    ret->table = map.table;
    if (map.table != SW_PT_NONE)
        ret->sector_size = map.sector_size;
    ret->n_partitions = map.n_partitions;
    memcpy(ret->partitions, map.partitions, sizeof(ret->partitions));
    ret->bios_bootable = map.has_bios_boot && map.has_boot_code;
    if (map.remark)
        remark(ret, map.remark);

    if (map.table == SW_PT_NONE)
        return check_bare(reader, ret, err);
    return check_volumes(reader, &map, ret, err);
}

static const char *canonical_arch(const char *arch)
{
    static const struct {
        const char *alias, *arch;
    } aliases[] = { { "amd64", "x86_64" },  { "x86-64", "x86_64" }, { "x64", "x86_64" },
                    { "arm64", "aarch64" }, { "x86", "i386" },      { "loong64", "loongarch64" } };

    for (size_t i = 0; i < SW_COUNT(aliases); i++) {
        if (strcasecmp(arch, aliases[i].alias) == 0)
            return aliases[i].arch;
    }
    return arch;
}

int sw_bootcheck_expect(const struct sw_bootinfo *info, const char *arch, struct sw_err *err)
{
    const char *want = canonical_arch(arch);
    size_t n = strlen(want);

    if (!info->checked)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "expected a bootable %.32s disk, but the content could not be looked at",
                          arch);
    for (const char *p = info->archs; *p; p += strcspn(p, ","), p += *p == ',') {
        if (n > 0 && strcspn(p, ",") == n && strncasecmp(p, want, n) == 0)
            return 0;
    }
    if (info->archs[0])
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "expected a disk that boots on %.32s, found one "
                          "for %s (%s)",
                          arch, info->archs, info->loader);
    return sw_err_set(err, SW_ERR_BAD_DATA,
                      "expected a disk that boots on %.32s, found none that boots: %s", arch,
                      info->note);
}
