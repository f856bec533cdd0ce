/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/bytes.h"
#include "common/macros.h"
#include "formats/gpt.h"
#include "tests/fakes/sparse_disk.h"

static const uint8_t esp_guid[16] = { 0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
                                      0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b };
static const uint8_t linux_guid[16] = { 0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
                                        0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4 };

static void put_protective_mbr(struct sparse_disk *d)
{
    static const uint8_t entry[16] = { [4] = 0xee, [8] = 1, [12] = 0xff, 0xff, 0xff, 0xff };

    sparse_disk_write(d, 446, entry, 16);
    sparse_disk_write(d, 510, "\x55\xaa", 2);
}

/* One copy of a GPT: header at lba, entries right behind it (or before it, for the backup). */
static void put_gpt(struct sparse_disk *d, uint32_t sector, uint64_t lba, uint64_t entries_lba,
                    uint32_t n, uint32_t entry_size)
{
    uint8_t h[92] = "EFI PART";

    h[10] = 1;
    sw_put_le32(h + 12, 92);
    sw_put_le64(h + 24, lba);
    sw_put_le64(h + 72, entries_lba);
    sw_put_le32(h + 80, n);
    sw_put_le32(h + 84, entry_size);
    sparse_disk_write(d, lba * sector, h, sizeof(h));
}

static void put_entry(struct sparse_disk *d, uint64_t off, const uint8_t *guid, uint64_t first,
                      uint64_t last, const char *name)
{
    uint8_t e[128] = { 0 };

    memcpy(e, guid, 16);
    e[16] = 1;
    sw_put_le64(e + 32, first);
    sw_put_le64(e + 40, last);
    for (size_t i = 0; name[i]; i++)
        e[56 + 2 * i] = (uint8_t)name[i];
    sparse_disk_write(d, off, e, sizeof(e));
}

static int read_map(struct sparse_disk *d, struct sw_partition_map *map)
{
    struct sw_err err = { 0 };

    return sw_partitions_read(&d->reader, map, &err);
}

/* A disk of two partitions with both copies, as a partitioning program leaves it. */
static void make_disk(struct sparse_disk *d, uint32_t sector)
{
    uint64_t last = (16 << 20) / sector - 1;

    sparse_disk_new(d, 16 << 20);
    put_protective_mbr(d);
    for (int copy = 0; copy < 2; copy++) {
        uint64_t lba = copy ? last : 1, entries = copy ? last - 16384 / sector : 2;

        put_gpt(d, sector, lba, entries, 128, 128);
        put_entry(d, entries * sector, esp_guid, 40, 99, "EFI");
        put_entry(d, entries * sector + 128, linux_guid, 100, 100, "r\xc3oot");
        sparse_disk_fix_gpt(d, lba * sector);
    }
}

static void reads_512_and_4096_byte_sectors(void **state)
{
    static const uint32_t sizes[] = { 512, 4096 };

    for (size_t i = 0; i < SW_COUNT(sizes); i++) {
        struct sparse_disk d;
        struct sw_partition_map map;
        uint32_t sector = sizes[i];

        make_disk(&d, sector);
        assert_int_equal(read_map(&d, &map), 1);
        assert_int_equal(map.table, SW_PT_GPT);
        assert_int_equal(map.sector_size, sector);
        assert_int_equal(map.n_partitions, 2);
        assert_int_equal(map.partitions[0].offset, 40 * sector);
        assert_int_equal(map.partitions[0].length, 60 * sector);
        assert_string_equal(map.partitions[0].type, "EFI system");
        assert_string_equal(map.partitions[0].name, "EFI");
        assert_int_equal(map.partitions[1].length, sector);
        assert_string_equal(map.partitions[1].type, "Linux filesystem");
        assert_string_equal(map.partitions[1].name, "r?oot");
        assert_int_equal(map.n_volumes, 1);
        assert_true(map.volumes[0].is_esp);
        assert_null(map.remark);
        assert_false(map.has_bios_boot);
        sparse_disk_done(&d);
    }
}

/* Whatever bit of the primary copy is bent, the backup answers, and the remark says so. */
static void takes_the_backup_when_the_primary_is_damaged(void **state)
{
    static const uint64_t where[] = { 512,      512 + 12, 512 + 16,  512 + 24,
                                      512 + 60, 512 + 72, 512 + 80,  512 + 84,
                                      512 + 88, 1024,     1024 + 40, 1024 + 16383 };

    for (size_t i = 0; i < SW_COUNT(where); i++) {
        struct sparse_disk d;
        struct sw_partition_map map;
        uint8_t b;

        make_disk(&d, 512);
        sparse_disk_read(&d, where[i], &b, 1);
        b ^= 4;
        sparse_disk_write(&d, where[i], &b, 1);
        assert_int_equal(read_map(&d, &map), 1);
        assert_int_equal(map.n_partitions, 2);
        assert_non_null(strstr(map.remark, "backup was used"));
        sparse_disk_done(&d);
    }
}

static void says_when_both_copies_are_damaged(void **state)
{
    struct sparse_disk d;
    struct sw_partition_map map;

    make_disk(&d, 512);
    sparse_disk_write(&d, 512 + 16, "XXXX", 4);
    sparse_disk_write(&d, (16 << 20) - 512 + 16, "XXXX", 4);
    assert_int_equal(read_map(&d, &map), 1);
    assert_int_equal(map.table, SW_PT_MBR); /* what is left is the protective entry */
    assert_string_equal(map.partitions[0].type, "0xee");
    assert_non_null(strstr(map.remark, "so is its backup"));
    sparse_disk_done(&d);
}

static void remarks_a_missing_protective_mbr(void **state)
{
    struct sparse_disk d;
    struct sw_partition_map map;

    make_disk(&d, 512);
    sparse_disk_write(&d, 510, "\0\0", 2);
    assert_int_equal(read_map(&d, &map), 1);
    assert_non_null(strstr(map.remark, "protective MBR"));
    sparse_disk_done(&d);
}

/* Table sizes at their limits; the CRC is right each time, so only the limits decide. */
static void bounds_the_entry_table(void **state)
{
    static const struct {
        uint32_t n, size;
        bool accepted;
    } cases[] = {
        { 1, 128, true },
        { 4, 256, true },
        { 8192, 128, true },
        { 8193, 128, false },
        { 256, 4096, true },
        { 257, 4096, false },
        { 4, 120, false },
        { 4, 132, false },
        { 4, 8192, false },
        { 0, 128, false },
        { 0x80000000u, 128, false },
        { 0x20000001u, 0x80, false },
    };

    for (size_t i = 0; i < SW_COUNT(cases); i++) {
        struct sparse_disk d;
        struct sw_partition_map map;

        sparse_disk_new(&d, 16 << 20);
        put_protective_mbr(&d);
        put_gpt(&d, 512, 1, 2, cases[i].n, cases[i].size);
        put_entry(&d, 1024, esp_guid, 4000, 4001, "EFI");
        sparse_disk_fix_gpt(&d, 512);
        read_map(&d, &map);
        assert_int_equal(map.table == SW_PT_GPT, cases[i].accepted);
        sparse_disk_done(&d);
    }
}

static void refuses_partitions_outside_the_disk(void **state)
{
    static const struct {
        uint64_t first, last;
    } ranges[] = { { 40, 32768 },
                   { 50, 49 },
                   { 0, UINT64_MAX },
                   { UINT64_MAX - 1, UINT64_MAX - 1 },
                   { UINT64_C(1) << 55, UINT64_C(1) << 55 } };

    for (size_t i = 0; i < SW_COUNT(ranges); i++) {
        struct sparse_disk d;
        struct sw_partition_map map;

        sparse_disk_new(&d, 16 << 20);
        put_protective_mbr(&d);
        put_gpt(&d, 512, 1, 2, 128, 128);
        put_entry(&d, 1024, esp_guid, ranges[i].first, ranges[i].last, "EFI");
        sparse_disk_fix_gpt(&d, 512);
        assert_int_equal(read_map(&d, &map), 1);
        assert_int_equal(map.n_partitions, 0);
        assert_int_equal(map.n_volumes, 0);
        assert_non_null(strstr(map.remark, "outside"));
        sparse_disk_done(&d);
    }
}

static void counts_more_partitions_than_it_lists(void **state)
{
    static const uint8_t basic[16] = { 0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44,
                                       0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7 };
    struct sparse_disk d;
    struct sw_partition_map map;

    sparse_disk_new(&d, 16 << 20);
    put_protective_mbr(&d);
    put_gpt(&d, 512, 1, 2, 128, 128);
    for (uint64_t i = 0; i < 127; i++)
        put_entry(&d, 1024 + 128 * i, basic, 40 + i, 40 + i, "x");
    put_entry(&d, 1024 + 128 * 127, esp_guid, 1000, 1001, "EFI");
    sparse_disk_fix_gpt(&d, 512);
    assert_int_equal(read_map(&d, &map), 1);
    assert_int_equal(map.n_partitions, 128);
    assert_int_equal(map.n_volumes, SW_BOOT_VOLUMES_MAX);
    assert_true(map.volumes[0].is_esp); /* the last of 128 is looked at first */
    assert_int_equal(map.volumes[0].offset, 1000 * 512);
    assert_false(map.volumes[1].is_esp);
    sparse_disk_done(&d);
}

static void put_mbr_entry(struct sparse_disk *d, uint64_t sector, unsigned i, uint8_t status,
                          uint8_t type, uint32_t first, uint32_t n)
{
    uint8_t e[16] = { status, [4] = type };

    sw_put_le32(e + 8, first);
    sw_put_le32(e + 12, n);
    sparse_disk_write(d, sector * 512 + 446 + 16 * (uint64_t)i, e, 16);
    sparse_disk_write(d, sector * 512 + 510, "\x55\xaa", 2);
}

static void reads_mbr_with_logical_partitions(void **state)
{
    struct sparse_disk d;
    struct sw_partition_map map;

    sparse_disk_new(&d, 1 << 20);
    sparse_disk_write(&d, 0, "\xfa", 1);
    put_mbr_entry(&d, 0, 0, 0x80, 0x83, 10, 20);
    put_mbr_entry(&d, 0, 1, 0, 0x0f, 100, 1000);
    put_mbr_entry(&d, 100, 0, 0, 0x0c, 5, 10);
    put_mbr_entry(&d, 100, 1, 0, 0x05, 50, 20);
    put_mbr_entry(&d, 150, 0, 0, 0xef, 7, 8);
    assert_int_equal(read_map(&d, &map), 1);
    assert_int_equal(map.table, SW_PT_MBR);
    assert_int_equal(map.n_partitions, 4);
    assert_string_equal(map.partitions[1].type, "0x0f");
    assert_int_equal(map.partitions[3].offset, 157 * 512);
    assert_true(map.has_bios_boot && map.has_boot_code);
    assert_int_equal(map.n_volumes, 2);
    assert_int_equal(map.volumes[0].offset, 157 * 512); /* the ESP before the other FAT */
    sparse_disk_done(&d);
}

static void ends_on_a_circle_of_logical_partitions(void **state)
{
    struct sparse_disk d;
    struct sw_partition_map map;

    sparse_disk_new(&d, 1 << 20);
    put_mbr_entry(&d, 0, 0, 0, 0x05, 100, 1000);
    put_mbr_entry(&d, 100, 0, 0, 0x83, 5, 10);
    put_mbr_entry(&d, 100, 1, 0, 0x05, 50, 20);
    put_mbr_entry(&d, 150, 0, 0, 0x83, 5, 10);
    put_mbr_entry(&d, 150, 1, 0, 0x05, 50, 20);
    assert_int_equal(read_map(&d, &map), 1);
    assert_int_equal(map.n_partitions, 1 + 32);
    sparse_disk_done(&d);
}

static void finds_no_table_where_there_is_none(void **state)
{
    struct sparse_disk d;
    struct sw_partition_map map;

    sparse_disk_new(&d, 1 << 20);
    assert_int_equal(read_map(&d, &map), 0);
    sparse_disk_write(&d, 510, "\x55\xaa", 2);
    assert_int_equal(read_map(&d, &map), 0);
    put_mbr_entry(&d, 0, 0, 0x11, 0x83, 10, 20); /* no status byte: code */
    assert_int_equal(read_map(&d, &map), 0);
    sparse_disk_done(&d);
    sparse_disk_new(&d, 511);
    assert_int_equal(read_map(&d, &map), 0);
    sparse_disk_done(&d);
}

static void fails_when_any_read_fails(void **state)
{
    for (unsigned n = 1;; n++) {
        struct sparse_disk d;
        struct sw_partition_map map;
        struct sw_err err = { 0 };

        make_disk(&d, 4096);
        sparse_disk_write(&d, 4096 + 16, "XXXX", 4); /* so that all of it is read */
        d.fail_at = n;
        int rc = sw_partitions_read(&d.reader, &map, &err);
        bool reached = d.n_reads >= n;
        sparse_disk_done(&d);
        if (!reached) {
            assert_int_equal(rc, 1);
            assert_true(n > 8);
            return;
        }
        assert_int_equal(rc, -1);
        assert_int_equal(err.kind, SW_ERR_TRANSIENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_512_and_4096_byte_sectors),
        cmocka_unit_test(takes_the_backup_when_the_primary_is_damaged),
        cmocka_unit_test(says_when_both_copies_are_damaged),
        cmocka_unit_test(remarks_a_missing_protective_mbr),
        cmocka_unit_test(bounds_the_entry_table),
        cmocka_unit_test(refuses_partitions_outside_the_disk),
        cmocka_unit_test(counts_more_partitions_than_it_lists),
        cmocka_unit_test(reads_mbr_with_logical_partitions),
        cmocka_unit_test(ends_on_a_circle_of_logical_partitions),
        cmocka_unit_test(finds_no_table_where_there_is_none),
        cmocka_unit_test(fails_when_any_read_fails),
    };
    return cmocka_run_group_tests_name("formats/gpt", tests, NULL, NULL);
}
