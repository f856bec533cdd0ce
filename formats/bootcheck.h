/* SPDX-License-Identifier: Apache-2.0 */
/* Look at a raw disk the way firmware does and say whether, how and on which architecture it would
 * boot: protective MBR and GPT, the EFI system partition, its FAT directory, the loader's PE
 * header. Natively, reading a few dozen sectors; no mount, no child process.
 *
 * Everything read is untrusted: all loops are bounded, a malformed structure only ever means "not
 * found", with a note that says why. Pure but for the read callback; one thread. Fuzzed by
 * tests/fuzz/fuzz-bootcheck.c.
 *
 * Sources: UEFI 2.10 sections 5 (GPT), 3.5.1.1 (removable media boot), 13.3 (FAT); Microsoft FAT
 * specification (fatgen103); Microsoft PE format. */
#ifndef SW_FORMATS_BOOTCHECK_H
#define SW_FORMATS_BOOTCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* Reads exactly len bytes of the disk at off; bytes past its end are never asked for. */
struct sw_disk_reader {
    int (*read)(void *ctx, uint64_t off, void *buf, size_t len, struct sw_err *err);
    void *ctx;
    uint64_t size; /* bytes */
};

enum sw_partition_table { SW_PT_NONE, SW_PT_MBR, SW_PT_GPT };

#define SW_BOOT_PARTITIONS_MAX 16

struct sw_partition {
    uint64_t offset, length; /* bytes */
    char type[40];           /* "EFI system", "Linux filesystem", GUID in text, or "0x83" */
    char name[40];           /* GPT name, ASCII only, '?' for the rest; "" if none */
};

struct sw_bootinfo {
    bool checked; /* false: nobody looked (archive, unreachable bytes)         */
    enum sw_partition_table table;
    uint32_t sector_size;  /* 512 or 4096, as the GPT header was found                  */
    unsigned n_partitions; /* entries in use, also those past the array                 */
    struct sw_partition partitions[SW_BOOT_PARTITIONS_MAX];
    bool has_esp;
    char arch[16];      /* of the removable-media loader: "riscv64", "x86_64",
                                         "aarch64", "riscv32", "i386", "arm", "loongarch64"; "" none */
    char loader[64];    /* "\\EFI\\BOOT\\BOOTRISCV64.EFI" as found; "" none          */
    bool bios_bootable; /* MBR boot code and an active or BIOS-boot partition        */
    char archs[64];     /* all loaders found, comma separated                         */
    char note[160];     /* for people: why there is no architecture, or what is odd
                                         about a disk that has one (damaged GPT); "" otherwise     */
};

/* Returns 0 whatever the disk holds (see note), or -1 only when reader->read failed. */
SW_MUST_CHECK
int sw_bootcheck(const struct sw_disk_reader *reader, struct sw_bootinfo *ret, struct sw_err *err);

/* Enforce --expect-arch: 0, or -1 with SW_ERR_BAD_DATA naming both. Accepts the aliases amd64 and
 * arm64. A disk on which several loaders were found passes when one of them is the one. */
SW_MUST_CHECK
int sw_bootcheck_expect(const struct sw_bootinfo *info, const char *arch, struct sw_err *err);

#endif
