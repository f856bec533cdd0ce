/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/gpt.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define MBR_BYTES 512
#define MBR_CODE 440
#define MBR_ENTRIES 446
#define MBR_TYPE_PROTECTIVE 0xee
#define MBR_TYPE_ESP 0xef
#define LOGICAL_MAX 32

#define GPT_HEADER_MIN 92
#define GPT_ENTRY_MIN 128
#define GPT_ENTRY_MAX 4096
#define GPT_ENTRIES_BYTES_MAX (1u << 20) /* the usual table is 128 entries of 128 bytes, 16 KiB */

/* GUIDs as they lie on disk (first three fields little endian). Sources: UEFI 2.10 table 5-7;
 * the Discoverable Partitions Specification; Microsoft and GNU GRUB documentation. */
static const struct {
    const char *guid; /* upper case text */
    const char *name;
} guid_names[] = {
    { "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "EFI system" },
    { "21686148-6449-6E6F-744E-656564454649", "BIOS boot" },
    { "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "Linux filesystem" },
    { "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", "Linux swap" },
    { "E6D6D379-F507-44C2-A23C-238F2A3DF928", "Linux LVM" },
    { "A19D880F-05FC-4D3B-A006-743F0F84911E", "Linux RAID" },
    { "BC13C2FF-59E6-4262-A352-B275FD6F7172", "Linux extended boot" },
    { "72EC70A6-CF74-40E6-BD49-4BDA08E8F224", "Linux root (riscv64)" },
    { "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "Linux root (x86-64)" },
    { "B921B045-1DF0-41C3-AF44-4C6F280D3FAE", "Linux root (arm64)" },
    { "933AC7E1-2EB4-4F13-B844-0E14E2AEF915", "Linux home" },
    { "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "Microsoft basic data" },
    { "E3C9E316-0B5C-4DB8-817D-F92DF00215AE", "Microsoft reserved" },
    { "9E1A2D38-C612-4316-AA26-8B49521E5A8B", "PReP boot" },
    { "516E7CB6-6ECF-11D6-8FF8-00022D09712B", "FreeBSD UFS" },
};

#define TYPE_ESP guid_names[0].name
#define TYPE_BIOS_BOOT guid_names[1].name
#define TYPE_BASIC_DATA guid_names[11].name

struct gpt_header {
    uint64_t entries_off; /* bytes */
    uint32_t n_entries, entry_size;
    uint32_t entries_crc;
    uint32_t sector_size;
};

/* ---- the map ---- */

static void add_volume(struct sw_partition_map *map, uint64_t offset, uint64_t length, bool is_esp)
{
    unsigned at = map->n_volumes;

    if (at == SW_BOOT_VOLUMES_MAX) {
        if (!is_esp || map->volumes[at - 1].is_esp)
            return;
        at--; /* an ESP is worth more than the last of the others */
    } else {
        map->n_volumes++;
    }
    for (; is_esp && at > 0 && !map->volumes[at - 1].is_esp; at--)
        map->volumes[at] = map->volumes[at - 1];
    map->volumes[at] = (struct sw_boot_volume){ offset, length, is_esp };
}

static void add_partition(struct sw_partition_map *map, const struct sw_partition *p)
{
    if (map->n_partitions < SW_BOOT_PARTITIONS_MAX)
        map->partitions[map->n_partitions] = *p;
    map->n_partitions++;
}

/* ---- GPT ---- */

static void guid_text(const uint8_t *g, char text[40])
{
    snprintf(text, 40, "%08X-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X", sw_le32(g),
             sw_le16(g + 4), sw_le16(g + 6), g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

static void guid_name(const uint8_t *g, char text[40])
{
    guid_text(g, text);
    for (size_t i = 0; i < SW_COUNT(guid_names); i++) {
        if (strcmp(text, guid_names[i].guid) == 0) {
            snprintf(text, 40, "%s", guid_names[i].name);
            return;
        }
    }
}

/* UTF-16LE, up to 36 units. */
static void gpt_name(const uint8_t *utf16, char text[40])
{
    size_t n = 0;

    for (; n < 36 && sw_le16(utf16 + 2 * n); n++) {
        uint16_t c = sw_le16(utf16 + 2 * n);
        text[n] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    text[n] = '\0';
}

/* Whether `sector`, read from LBA `lba`, is a sound GPT header. */
static bool parse_header(const uint8_t *sector, uint32_t sector_size, uint64_t lba,
                         struct gpt_header *ret)
{
    static const uint8_t zero[4];
    uint32_t header_size = sw_le32(sector + 12);
    uint64_t entries_lba = sw_le64(sector + 72);
    uint64_t table;

    if (memcmp(sector, "EFI PART", 8) != 0 || header_size < GPT_HEADER_MIN ||
        header_size > sector_size || sw_le64(sector + 24) != lba)
        return false;

    /* The CRC is taken with its own field zeroed. */
    uLong crc = crc32(0, sector, 16);
    crc = crc32(crc, zero, 4);
    crc = crc32(crc, sector + 20, header_size - 20);
    if (crc != sw_le32(sector + 16))
        return false;

    ret->n_entries = sw_le32(sector + 80);
    ret->entry_size = sw_le32(sector + 84);
    ret->entries_crc = sw_le32(sector + 88);
    ret->sector_size = sector_size;
    return ret->entry_size >= GPT_ENTRY_MIN && ret->entry_size <= GPT_ENTRY_MAX &&
           ret->entry_size % 8 == 0 && ret->n_entries > 0 &&
           !sw_mul_overflows(ret->n_entries, ret->entry_size, &table) &&
           table <= GPT_ENTRIES_BYTES_MAX &&
           !sw_mul_overflows(entries_lba, sector_size, &ret->entries_off);
}

static void add_gpt_entry(const uint8_t *e, const struct gpt_header *h,
                          const struct sw_disk_reader *r, struct sw_partition_map *map)
{
    uint64_t first = sw_le64(e + 32), last = sw_le64(e + 40), end;
    struct sw_partition p = { 0 };

    if (sw_is_zero(e, 16))
        return;
    if (last < first || last == UINT64_MAX || sw_mul_overflows(first, h->sector_size, &p.offset) ||
        sw_mul_overflows(last + 1, h->sector_size, &end) || end > r->size) {
        map->remark = "a GPT partition lies outside the disk";
        return;
    }
    p.length = end - p.offset;
    guid_name(e, p.type);
    gpt_name(e + 56, p.name);
    add_partition(map, &p);
    if (strcmp(p.type, TYPE_BIOS_BOOT) == 0)
        map->has_bios_boot = true;
    if (strcmp(p.type, TYPE_ESP) == 0)
        add_volume(map, p.offset, p.length, true);
    else if (strcmp(p.type, TYPE_BASIC_DATA) == 0)
        add_volume(map, p.offset, p.length, false);
}

/* Read the entries twice, first for their CRC: nothing of a damaged table gets into the map, and no
 * memory is needed for it. */
static int read_entries(const struct sw_disk_reader *r, const struct gpt_header *h,
                        struct sw_partition_map *map, struct sw_err *err)
{
    uint8_t chunk[GPT_ENTRY_MAX];
    uint32_t per_chunk = GPT_ENTRY_MAX / h->entry_size;

    for (int pass = 0; pass < 2; pass++) {
        uLong crc = 0;

        for (uint32_t i = 0; i < h->n_entries; i += per_chunk) {
            uint32_t n = h->n_entries - i < per_chunk ? h->n_entries - i : per_chunk;
            uint64_t off;

            if (sw_add_overflows(h->entries_off, (uint64_t)i * h->entry_size, &off))
                return 0;
            int rc = sw_disk_read(r, off, chunk, (size_t)n * h->entry_size, err);
            if (rc <= 0)
                return rc;
            crc = crc32(crc, chunk, n * h->entry_size);
            for (uint32_t k = 0; pass == 1 && k < n; k++)
                add_gpt_entry(chunk + (size_t)k * h->entry_size, h, r, map);
        }
        if (pass == 0 && crc != h->entries_crc)
            return 0;
    }
    return 1;
}

/* One copy of the GPT: its header at `lba`. */
static int read_gpt_at(const struct sw_disk_reader *r, uint32_t sector_size, uint64_t lba,
                       struct sw_partition_map *map, struct sw_err *err)
{
    uint8_t sector[4096];
    struct gpt_header h;
    uint64_t off;

    if (sw_mul_overflows(lba, sector_size, &off))
        return 0;
    int rc = sw_disk_read(r, off, sector, sector_size, err);
    if (rc <= 0)
        return rc;
    if (!parse_header(sector, sector_size, lba, &h))
        return 0;

    rc = read_entries(r, &h, map, err);
    if (rc > 0) {
        map->table = SW_PT_GPT;
        map->sector_size = sector_size;
    }
    return rc;
}

/* Whether a header stands at LBA 1, sound or not. */
static int has_gpt_magic(const struct sw_disk_reader *r, uint32_t sector_size, struct sw_err *err)
{
    uint8_t magic[8];
    int rc = sw_disk_read(r, sector_size, magic, sizeof(magic), err);

    return rc > 0 ? memcmp(magic, "EFI PART", 8) == 0 : rc;
}

/* The copy in the last sector, when there should be one. */
static int read_backup_gpt(const struct sw_disk_reader *r, uint32_t sector_size, bool is_protected,
                           struct sw_partition_map *map, struct sw_err *err)
{
    int was_there = has_gpt_magic(r, sector_size, err);

    if (was_there < 0)
        return -1;
    if ((!was_there && !is_protected) || r->size / sector_size < 3)
        return 0;

    int rc = read_gpt_at(r, sector_size, r->size / sector_size - 1, map, err);
    if (rc > 0)
        map->remark = "the primary GPT is damaged, its backup was used";
    else if (rc == 0 && was_there)
        map->remark = "the GPT is damaged (bad CRC or sizes), and so is its backup";
    return rc;
}

static int read_gpt(const struct sw_disk_reader *r, bool is_protected, struct sw_partition_map *map,
                    struct sw_err *err)
{
    static const uint32_t sizes[] = { 512, 4096 };
    int rc = 0;

    for (size_t i = 0; i < SW_COUNT(sizes) && rc == 0; i++)
        rc = read_gpt_at(r, sizes[i], 1, map, err);
    for (size_t i = 0; i < SW_COUNT(sizes) && rc == 0; i++)
        rc = read_backup_gpt(r, sizes[i], is_protected, map, err);
    if (rc > 0 && !is_protected && !map->remark)
        map->remark = "there is a GPT but no protective MBR before it: most firmware ignores it";
    return rc;
}

/* ---- MBR ---- */

struct mbr_entry {
    bool active;
    uint8_t type;
    uint64_t offset, length; /* bytes; offset from wherever the table says */
};

static struct mbr_entry mbr_entry(const uint8_t *sector, unsigned i)
{
    const uint8_t *e = sector + MBR_ENTRIES + 16 * (size_t)i;

    return (struct mbr_entry){ e[0] == 0x80, e[4], (uint64_t)sw_le32(e + 8) * 512,
                               (uint64_t)sw_le32(e + 12) * 512 };
}

static bool is_extended(uint8_t type)
{
    return type == 0x05 || type == 0x0f || type == 0x85;
}

static bool is_fat_type(uint8_t type)
{
    return type == 0x01 || type == 0x04 || type == 0x06 || type == 0x0b || type == 0x0c ||
           type == 0x0e;
}

/* All four entries could be partitions of this disk, and one of them is. A boot sector with code
 * where the table would be fails this. */
static bool is_plausible_mbr(const uint8_t *sector, uint64_t size)
{
    unsigned used = 0;

    for (unsigned i = 0; i < 4; i++) {
        uint8_t status = sector[MBR_ENTRIES + 16 * (size_t)i];
        struct mbr_entry e = mbr_entry(sector, i);

        if (status & 0x7f)
            return false;
        if (!e.type)
            continue;
        if (e.length == 0 || e.offset >= size)
            return false;
        used++;
    }
    return used > 0;
}

static void add_mbr_entry(const struct mbr_entry *e, uint64_t offset,
                          const struct sw_disk_reader *r, struct sw_partition_map *map)
{
    if (!e->type || !e->length || offset >= r->size)
        return;

    struct sw_partition p = { .offset = offset, .length = sw_min_u64(e->length, r->size - offset) };
    snprintf(p.type, sizeof(p.type), "0x%02x", e->type);
    add_partition(map, &p);
    if (e->type == MBR_TYPE_ESP || is_fat_type(e->type))
        add_volume(map, p.offset, p.length, e->type == MBR_TYPE_ESP);
}

/* The chain of logical partitions: each link is a sector with one partition, relative to the link,
 * and the next link, relative to the extended partition. */
static int read_logical(const struct sw_disk_reader *r, uint64_t extended,
                        struct sw_partition_map *map, struct sw_err *err)
{
    uint8_t sector[MBR_BYTES];
    uint64_t link = extended;

    for (unsigned i = 0; i < LOGICAL_MAX; i++) {
        int rc = sw_disk_read(r, link, sector, sizeof(sector), err);
        if (rc <= 0)
            return rc;
        if (sw_le16(sector + 510) != 0xaa55)
            return 0;

        struct mbr_entry partition = mbr_entry(sector, 0), next = mbr_entry(sector, 1);
        add_mbr_entry(&partition, link + partition.offset, r, map);
        if (!is_extended(next.type) || next.offset == 0)
            return 1;
        link = extended + next.offset;
    }
    return 1;
}

static int read_mbr(const struct sw_disk_reader *r, const uint8_t *sector,
                    struct sw_partition_map *map, struct sw_err *err)
{
    if (sw_le16(sector + 510) != 0xaa55 || !is_plausible_mbr(sector, r->size))
        return 0;

    map->table = SW_PT_MBR;
    map->sector_size = 512;
    for (unsigned i = 0; i < 4; i++) {
        struct mbr_entry e = mbr_entry(sector, i);

        add_mbr_entry(&e, e.offset, r, map);
        if (is_extended(e.type) && read_logical(r, e.offset, map, err) < 0)
            return -1;
    }
    return 1;
}

static bool is_protective(const uint8_t *sector)
{
    if (sw_le16(sector + 510) != 0xaa55)
        return false;
    for (unsigned i = 0; i < 4; i++) {
        if (mbr_entry(sector, i).type == MBR_TYPE_PROTECTIVE)
            return true;
    }
    return false;
}

int sw_partitions_read(const struct sw_disk_reader *r, struct sw_partition_map *ret,
                       struct sw_err *err)
{
    uint8_t mbr[MBR_BYTES];

    memset(ret, 0, sizeof(*ret));
    int rc = sw_disk_read(r, 0, mbr, sizeof(mbr), err);
    if (rc <= 0)
        return rc;

    ret->has_boot_code = !sw_is_zero(mbr, MBR_CODE);
    for (unsigned i = 0; i < 4; i++) {
        if (sw_le16(mbr + 510) == 0xaa55 && mbr[MBR_ENTRIES + 16 * (size_t)i] == 0x80)
            ret->has_bios_boot = true;
    }

    rc = read_gpt(r, is_protective(mbr), ret, err);
    return rc != 0 ? rc : read_mbr(r, mbr, ret, err);
}
