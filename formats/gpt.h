/* SPDX-License-Identifier: Apache-2.0 */
/* Partition tables: GPT (UEFI 2.10 section 5.3) and MBR (section 5.2.1) with logical partitions.
 * One thread; reads at most the tables themselves: 1 MiB of GPT entries, 32 logical partitions. */
#ifndef SW_FORMATS_GPT_H
#define SW_FORMATS_GPT_H

#include "formats/disk.h"

/* Places where firmware looks for a loader, in the order in which we look. */
#define SW_BOOT_VOLUMES_MAX 8

struct sw_boot_volume {
    uint64_t offset, length; /* bytes */
    bool is_esp;             /* by its type; others are FAT volumes that firmware tries as well */
};

struct sw_partition_map {
    enum sw_partition_table table;
    uint32_t sector_size; /* bytes, as the GPT header was found; 512 for MBR */
    unsigned n_partitions;
    struct sw_partition partitions[SW_BOOT_PARTITIONS_MAX];
    struct sw_boot_volume volumes[SW_BOOT_VOLUMES_MAX]; /* ESPs first */
    unsigned n_volumes;
    bool has_bios_boot; /* a BIOS boot partition, or a partition marked active */
    bool has_boot_code; /* the first 440 bytes of the disk hold something      */
    const char *remark; /* what is wrong with the tables; static; NULL: nothing */
};

/* Returns 1 when there is a table, 0 when there is none (ret is filled all the same), -1 when the
 * disk could not be read. A GPT whose primary header or entries fail their CRC is taken from the
 * backup, with a remark; when that is damaged too there is no GPT. */
SW_MUST_CHECK
int sw_partitions_read(const struct sw_disk_reader *r, struct sw_partition_map *ret,
                       struct sw_err *err);

#endif
