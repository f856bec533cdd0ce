/* SPDX-License-Identifier: Apache-2.0 */
/* Find and read files of a FAT12, FAT16 or FAT32 file system, read-only, without a cache: made for
 * looking up \EFI\BOOT\BOOTRISCV64.EFI. Long names are known, names compare without ASCII case.
 *
 * Source: Microsoft "FAT: General Overview of On-Disk Format" (fatgen103); UEFI 2.10 section 13.3.
 *
 * Untrusted: a directory is read to at most 512 KiB, a chain of clusters followed for at most as
 * long as that or the requested offset needs. Answers as formats/disk.h says. One thread. */
#ifndef SW_FORMATS_FAT_H
#define SW_FORMATS_FAT_H

#include "formats/disk.h"

struct sw_fat {
    const struct sw_disk_reader *disk;
    unsigned bits;          /* 12, 16 or 32                              */
    uint32_t cluster_bytes; /* 512 to 128 KiB, a power of two            */
    uint32_t n_clusters;    /* valid cluster numbers are 2 .. n + 1      */
    uint64_t fat_off;       /* bytes from the start of the disk          */
    uint64_t root_off;      /* of the fixed root directory, FAT12 and 16 */
    uint32_t root_bytes;
    uint32_t root_cluster; /* FAT32 */
    uint64_t data_off;     /* of cluster 2                              */
};

struct sw_fat_node {
    uint32_t cluster; /* the first one */
    uint32_t size;    /* bytes; 0 for directories */
    bool is_dir;
    bool is_root;
};

/* 1 when a FAT file system begins at byte `off` of the disk. */
SW_MUST_CHECK
int sw_fat_open(const struct sw_disk_reader *disk, uint64_t off, struct sw_fat *ret,
                struct sw_err *err);

struct sw_fat_node sw_fat_root(const struct sw_fat *fat);

/* 1 when the directory holds an entry of this name (ASCII, at most 63 characters). name_found, when
 * not NULL, gets the name as the directory spells it. */
SW_MUST_CHECK
int sw_fat_lookup(const struct sw_fat *fat, const struct sw_fat_node *dir, const char *name,
                  struct sw_fat_node *ret, char name_found[64], struct sw_err *err);

/* Exactly len bytes of a file from byte `off`; 0 when the file is shorter or its chain is broken. */
SW_MUST_CHECK
int sw_fat_read(const struct sw_fat *fat, const struct sw_fat_node *file, uint32_t off, void *buf,
                size_t len, struct sw_err *err);

#endif
