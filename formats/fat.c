/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/fat.h"

#include <string.h>
#include <strings.h>

#define DIR_BYTES_MAX (512u << 10)
#define ENTRY_BYTES 32
#define CHUNK_BYTES 4096

#define ATTR_VOLUME 0x08
#define ATTR_DIR 0x10
#define ATTR_LONG 0x0f

/* ---- the volume ---- */

/* The fields of the boot sector that matter. */
struct bpb {
    uint32_t sector_bytes, sectors_per_cluster, reserved, n_fats, root_entries;
    uint32_t total, fat_sectors, fat_sectors_32, root_cluster;
};

static bool parse_bpb(const uint8_t *s, struct bpb *b)
{
    b->sector_bytes = sw_le16(s + 11);
    b->sectors_per_cluster = s[13];
    b->reserved = sw_le16(s + 14);
    b->n_fats = s[16];
    b->root_entries = sw_le16(s + 17);
    b->total = sw_le16(s + 19) ? sw_le16(s + 19) : sw_le32(s + 32);
    b->fat_sectors = sw_le16(s + 22);
    b->fat_sectors_32 = b->fat_sectors ? 0 : sw_le32(s + 36);
    b->root_cluster = sw_le32(s + 44);

    return (s[0] == 0xeb || s[0] == 0xe9) && sw_is_pow2(b->sector_bytes) &&
           b->sector_bytes >= 512 && b->sector_bytes <= 4096 &&
           sw_is_pow2(b->sectors_per_cluster) && b->reserved > 0 &&
           (b->n_fats == 1 || b->n_fats == 2) && s[21] >= 0xf0 && b->total > 0 &&
           (b->fat_sectors || b->fat_sectors_32);
}

/* Derive the geometry. The layout decides between FAT32 and the others, as firmware has it, since
 * small FAT32 volumes exist; the count of clusters decides between 12 and 16 bits. */
static bool place(const struct bpb *b, uint64_t off, struct sw_fat *fat)
{
    uint64_t fat_sectors = b->fat_sectors ? b->fat_sectors : b->fat_sectors_32;
    uint64_t root_sectors = ((uint64_t)b->root_entries * ENTRY_BYTES + b->sector_bytes - 1) /
                            b->sector_bytes;
    uint64_t root = b->reserved + b->n_fats * fat_sectors;
    uint64_t data = root + root_sectors;

    if (data >= b->total)
        return false;

    uint64_t n = (b->total - data) / b->sectors_per_cluster;
    fat->bits = b->fat_sectors_32 ? 32 : n < 4085 ? 12 : 16;
    if (n == 0 || n >= 0x0ffffff0 || (fat->bits == 16 && n >= 0xfff0))
        return false;
    fat->n_clusters = (uint32_t)n;
    fat->cluster_bytes = b->sectors_per_cluster * b->sector_bytes;
    fat->fat_off = off + (uint64_t)b->reserved * b->sector_bytes;
    fat->root_off = off + root * b->sector_bytes;
    fat->root_bytes = b->root_entries * ENTRY_BYTES;
    fat->root_cluster = b->root_cluster;
    fat->data_off = off + data * b->sector_bytes;
    return fat->cluster_bytes <= (128u << 10);
}

int sw_fat_open(const struct sw_disk_reader *disk, uint64_t off, struct sw_fat *ret,
                struct sw_err *err)
{
    uint8_t sector[512];
    struct bpb b;
    uint64_t end;

    /* 2^32 sectors of 4096 bytes behind `off` must not wrap: then no sum below does. */
    if (sw_add_overflows(off, UINT64_C(1) << 46, &end))
        return 0;
    int rc = sw_disk_read(disk, off, sector, sizeof(sector), err);
    if (rc <= 0)
        return rc;

    memset(ret, 0, sizeof(*ret));
    ret->disk = disk;
    return sw_le16(sector + 510) == 0xaa55 && parse_bpb(sector, &b) && place(&b, off, ret);
}

struct sw_fat_node sw_fat_root(const struct sw_fat *fat)
{
    return (struct sw_fat_node){ .cluster = fat->root_cluster, .is_dir = true, .is_root = true };
}

/* ---- clusters ---- */

static bool is_cluster(const struct sw_fat *fat, uint32_t c)
{
    return c >= 2 && c - 2 < fat->n_clusters;
}

/* 1 and the cluster after c; 0 at the end of the chain or where it breaks. */
static int next_cluster(const struct sw_fat *fat, uint32_t c, uint32_t *ret, struct sw_err *err)
{
    uint64_t at = (uint64_t)c * fat->bits / 8;
    uint8_t raw[4] = { 0 };
    int rc = sw_disk_read(fat->disk, fat->fat_off + at, raw, fat->bits == 32 ? 4 : 2, err);

    if (rc <= 0)
        return rc;
    if (fat->bits == 32)
        *ret = sw_le32(raw) & 0x0fffffff;
    else if (fat->bits == 16)
        *ret = sw_le16(raw);
    else
        *ret = c & 1 ? sw_le16(raw) >> 4 : sw_le16(raw) & 0xfff;
    return is_cluster(fat, *ret);
}

/* A place in a node's bytes. Moves forward only. */
struct cursor {
    uint32_t cluster;
    uint32_t in_cluster; /* bytes */
};

static int seek_forward(const struct sw_fat *fat, struct cursor *at, uint64_t bytes,
                        struct sw_err *err)
{
    bytes += at->in_cluster;
    if (!is_cluster(fat, at->cluster))
        return 0;
    while (bytes >= fat->cluster_bytes) {
        int rc = next_cluster(fat, at->cluster, &at->cluster, err);
        if (rc <= 0)
            return rc;
        bytes -= fat->cluster_bytes;
    }
    at->in_cluster = (uint32_t)bytes;
    return 1;
}

static uint64_t disk_offset(const struct sw_fat *fat, const struct cursor *at)
{
    return fat->data_off + (uint64_t)(at->cluster - 2) * fat->cluster_bytes + at->in_cluster;
}

int sw_fat_read(const struct sw_fat *fat, const struct sw_fat_node *file, uint32_t off, void *buf,
                size_t len, struct sw_err *err)
{
    struct cursor at = { .cluster = file->cluster };
    uint8_t *to = buf;
    uint64_t step = off;

    if (file->is_dir || off > file->size || len > file->size - off)
        return 0;
    while (len) {
        int rc = seek_forward(fat, &at, step, err);
        if (rc <= 0)
            return rc;

        uint32_t room = fat->cluster_bytes - at.in_cluster;
        size_t n = len < room ? len : room;
        rc = sw_disk_read(fat->disk, disk_offset(fat, &at), to, n, err);
        if (rc <= 0)
            return rc;
        to += n;
        len -= n;
        step = n;
    }
    return 1;
}

/* ---- directories ---- */

/* A long name arrives in pieces of 13 characters, last piece first, before its short entry. */
struct long_name {
    char text[64];  /* non-ASCII characters as '?'; NUL-terminated when complete */
    uint8_t expect; /* number of the piece that must come next; 0: complete       */
    uint8_t sum;
    bool valid;
};

static uint8_t short_sum(const uint8_t *name)
{
    uint8_t sum = 0;

    for (int i = 0; i < 11; i++)
        sum = (uint8_t)((sum >> 1 | sum << 7) + name[i]);
    return sum;
}

static void add_long_piece(struct long_name *l, const uint8_t *e)
{
    static const uint8_t where[13] = { 1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30 };
    uint8_t number = e[0] & 0x1f;

    if (e[0] & 0x40) {
        memset(l, 0, sizeof(*l));
        l->expect = number;
        l->sum = e[13];
        l->valid = number > 0;
    }
    if (!l->valid || number != l->expect || e[13] != l->sum) {
        l->valid = false;
        return;
    }
    l->expect--;
    for (size_t i = 0; i < 13; i++) {
        uint16_t c = sw_le16(e + where[i]);
        size_t at = 13 * (size_t)(number - 1) + i;

        if (c == 0 || c == 0xffff)
            break;
        if (at >= sizeof(l->text) - 1) {
            l->valid = false; /* longer than any name that is looked for */
            return;
        }
        l->text[at] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
}

/* "BOOTX64 EFI" as "BOOTX64.EFI". */
static void short_name(const uint8_t *e, char text[64])
{
    size_t n = 0;

    for (size_t i = 0; i < 11; i++) {
        if (i == 8 && e[8] != ' ')
            text[n++] = '.';
        if (e[i] != ' ')
            text[n++] = e[i] > 0x20 && e[i] < 0x7f ? (char)e[i] : '?';
    }
    text[n] = '\0';
}

static void fill_node(const struct sw_fat *fat, const uint8_t *e, struct sw_fat_node *ret)
{
    uint32_t high = fat->bits == 32 ? sw_le16(e + 20) : 0;

    *ret = (struct sw_fat_node){ .cluster = (high << 16 | sw_le16(e + 26)) & 0x0fffffff,
                                 .is_dir = e[11] & ATTR_DIR };
    ret->size = ret->is_dir ? 0 : sw_le32(e + 28);
}

struct search {
    const char *name;
    struct long_name l;
    struct sw_fat_node *ret;
    char *name_found;
    bool ended; /* a free entry after which there are no more */
};

/* Whether this entry (after the long pieces before it) is the one. */
static bool match_entry(const struct sw_fat *fat, const uint8_t *e, struct search *s)
{
    char text[64];

    s->ended = e[0] == 0;
    if (e[0] == 0 || e[0] == 0xe5) {
        s->l.valid = false;
        return false;
    }
    if ((e[11] & 0x3f) == ATTR_LONG) {
        add_long_piece(&s->l, e);
        return false;
    }
    bool has_long = s->l.valid && s->l.expect == 0 && s->l.sum == short_sum(e);
    s->l.valid = false;
    if (e[11] & ATTR_VOLUME)
        return false;

    short_name(e, text);
    bool is_long = has_long && strcasecmp(s->l.text, s->name) == 0;
    if (!is_long && strcasecmp(text, s->name) != 0)
        return false;
    if (s->name_found)
        memcpy(s->name_found, is_long ? s->l.text : text, sizeof(text));
    fill_node(fat, e, s->ret);
    return true;
}

/* Search n bytes of directory at `off` of the disk. */
static int search_bytes(const struct sw_fat *fat, uint64_t off, uint32_t n, struct search *s,
                        struct sw_err *err)
{
    uint8_t chunk[CHUNK_BYTES];

    for (uint32_t done = 0; done < n && !s->ended; done += sizeof(chunk)) {
        size_t len = n - done < sizeof(chunk) ? n - done : sizeof(chunk);
        int rc = sw_disk_read(fat->disk, off + done, chunk, len, err);
        if (rc <= 0)
            return rc;
        for (size_t i = 0; i + ENTRY_BYTES <= len && !s->ended; i += ENTRY_BYTES) {
            if (match_entry(fat, chunk + i, s))
                return 1;
        }
    }
    return 0;
}

int sw_fat_lookup(const struct sw_fat *fat, const struct sw_fat_node *dir, const char *name,
                  struct sw_fat_node *ret, char name_found[64], struct sw_err *err)
{
    struct search s = { .name = name, .ret = ret, .name_found = name_found };
    struct cursor at = { .cluster = dir->cluster };

    if (!dir->is_dir)
        return 0;
    if (dir->is_root && fat->bits != 32)
        return search_bytes(fat, fat->root_off, fat->root_bytes, &s, err);

    for (uint32_t done = 0; done < DIR_BYTES_MAX; done += fat->cluster_bytes) {
        int rc = seek_forward(fat, &at, done ? fat->cluster_bytes : 0, err);
        if (rc <= 0)
            return rc;
        rc = search_bytes(fat, disk_offset(fat, &at), fat->cluster_bytes, &s, err);
        if (rc != 0 || s.ended)
            return rc;
    }
    return 0;
}
