/* SPDX-License-Identifier: Apache-2.0 */
/* A disk of which only a few sectors hold something, for tests of the boot check. Its file form
 * keeps whole disks small and suits a fuzzer: 8 bytes of header, then 516-byte records.
 *
 *   0  4  size of the disk in 512-byte sectors, little endian; at most 2^24 (8 GiB)
 *   4  1  bit 0: make the CRCs of the GPT right before use (a fuzzer cannot)
 *   5  3  unused
 *   8     records: sector number (4 bytes, little endian), 512 bytes of content; later ones win
 *
 * tests/fuzz/bootcheck-make-seeds writes this form from images made by sgdisk, mtools and
 * mkfs.vfat. */
#ifndef SW_TESTS_SPARSE_DISK_H
#define SW_TESTS_SPARSE_DISK_H

#include "formats/bootcheck.h"

struct sparse_disk {
    struct sw_disk_reader reader; /* ctx is this struct: it must not move */
    uint8_t *records;
    size_t n_records, cap;
    unsigned n_reads, fail_at; /* the fail_at-th read fails; 0: none does */
};

/* False when the bytes are no such file. Aborts without memory. */
bool sparse_disk_parse(struct sparse_disk *d, const uint8_t *bytes, size_t n);
void sparse_disk_load(struct sparse_disk *d, const char *path); /* aborts on error */
void sparse_disk_new(struct sparse_disk *d, uint64_t size);
void sparse_disk_done(struct sparse_disk *d);

void sparse_disk_write(struct sparse_disk *d, uint64_t off, const void *bytes, size_t n);
void sparse_disk_read(struct sparse_disk *d, uint64_t off, void *bytes, size_t n);

/* Put the CRCs of the GPT header at byte `off` right, entries first. */
void sparse_disk_fix_gpt(struct sparse_disk *d, uint64_t off);

#endif
