/* SPDX-License-Identifier: Apache-2.0 */
/* The volumes are mkfs.vfat's and mtools' (tests/fuzz/bootcheck-make-seeds). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/macros.h"
#include "formats/fat.h"
#include "tests/fakes/sparse_disk.h"

static const struct {
    const char *seed, *loader;
    uint64_t volume; /* byte offset */
    unsigned bits;
} volumes[] = {
    { SW_FUZZ_SEEDS "/bootcheck/gpt-fat32-riscv64", "BOOTRISCV64.EFI", 1 << 20, 32 },
    { SW_FUZZ_SEEDS "/bootcheck/gpt-fat16-two", "BOOTAA64.EFI", 1 << 20, 16 },
    { SW_FUZZ_SEEDS "/bootcheck/mbr-fat12-wrong", "BOOTRISCV64.EFI", 1 << 20, 12 },
    { SW_FUZZ_SEEDS "/bootcheck/superfloppy", "BOOTRISCV64.EFI", 0, 12 },
};

static int lookup_loader(const struct sw_fat *fat, const char *name, struct sw_fat_node *ret,
                         char found[64])
{
    struct sw_err err = { 0 };
    struct sw_fat_node root = sw_fat_root(fat), efi, boot;

    assert_int_equal(sw_fat_lookup(fat, &root, "efi", &efi, NULL, &err), 1);
    assert_true(efi.is_dir);
    assert_int_equal(sw_fat_lookup(fat, &efi, "Boot", &boot, NULL, &err), 1);
    return sw_fat_lookup(fat, &boot, name, ret, found, &err);
}

static void finds_a_file_in_every_kind_of_fat(void **state)
{
    for (size_t i = 0; i < SW_COUNT(volumes); i++) {
        struct sparse_disk d;
        struct sw_fat fat;
        struct sw_fat_node node;
        struct sw_err err = { 0 };
        char found[64];
        uint8_t head[2];

        sparse_disk_load(&d, volumes[i].seed);
        assert_int_equal(sw_fat_open(&d.reader, volumes[i].volume, &fat, &err), 1);
        assert_int_equal(fat.bits, volumes[i].bits);
        assert_int_equal(lookup_loader(&fat, volumes[i].loader, &node, found), 1);
        assert_string_equal(found, volumes[i].loader);
        assert_false(node.is_dir);
        assert_int_equal(sw_fat_read(&fat, &node, 0, head, 2, &err), 1);
        assert_memory_equal(head, "MZ", 2);
        assert_int_equal(lookup_loader(&fat, "BOOTMIPS.EFI", &node, found), 0);
        sparse_disk_done(&d);
    }
}

/* The seed stores it in lower case. */
static void finds_names_without_regard_to_case(void **state)
{
    struct sparse_disk d;
    struct sw_fat fat;
    struct sw_fat_node node;
    struct sw_err err = { 0 };
    char found[64];

    sparse_disk_load(&d, SW_FUZZ_SEEDS "/bootcheck/gpt-fat16-two");
    assert_int_equal(sw_fat_open(&d.reader, 1 << 20, &fat, &err), 1);
    assert_int_equal(lookup_loader(&fat, "BOOTX64.EFI", &node, found), 1);
    /* 8.3 names carry their case in a flag that we do not read. */
    assert_string_equal(found, "BOOTX64.EFI");
    assert_int_equal(lookup_loader(&fat, "A FILLER file with a long name 039.TXT", &node, found),
                     1);
    assert_string_equal(found, "a filler file with a long name 039.txt");
    sparse_disk_done(&d);
}

static void reads_only_inside_a_file(void **state)
{
    struct sparse_disk d;
    struct sw_fat fat;
    struct sw_fat_node node, root;
    struct sw_err err = { 0 };
    uint8_t buf[64];

    sparse_disk_load(&d, SW_FUZZ_SEEDS "/bootcheck/superfloppy");
    assert_int_equal(sw_fat_open(&d.reader, 0, &fat, &err), 1);
    assert_int_equal(lookup_loader(&fat, "BOOTRISCV64.EFI", &node, NULL), 1);
    assert_int_equal(sw_fat_read(&fat, &node, node.size - 4, buf, 4, &err), 1);
    assert_int_equal(sw_fat_read(&fat, &node, node.size - 4, buf, 5, &err), 0);
    assert_int_equal(sw_fat_read(&fat, &node, node.size + 1, buf, 0, &err), 0);
    root = sw_fat_root(&fat);
    assert_int_equal(sw_fat_read(&fat, &root, 0, buf, 1, &err), 0);
    assert_int_equal(sw_fat_lookup(&fat, &node, "EFI", &root, NULL, &err), 0);
    sparse_disk_done(&d);
}

/* A chain that bites its tail must end: the directory's only cluster points at itself, and its
 * end-of-directory mark is gone. */
static void ends_on_a_circular_chain(void **state)
{
    struct sparse_disk d;
    struct sw_fat fat;
    struct sw_fat_node root, efi, node;
    struct sw_err err = { 0 };
    uint8_t entry[4], junk[512];

    sparse_disk_load(&d, SW_FUZZ_SEEDS "/bootcheck/gpt-fat32-riscv64");
    assert_int_equal(sw_fat_open(&d.reader, 1 << 20, &fat, &err), 1);
    root = sw_fat_root(&fat);
    assert_int_equal(sw_fat_lookup(&fat, &root, "EFI", &efi, NULL, &err), 1);
    entry[0] = (uint8_t)efi.cluster;
    entry[1] = entry[2] = entry[3] = 0;
    sparse_disk_write(&d, fat.fat_off + 4 * (uint64_t)efi.cluster, entry, 4);
    memset(junk, 0xe5, sizeof(junk));
    sparse_disk_write(&d, fat.data_off + (uint64_t)(efi.cluster - 2) * fat.cluster_bytes, junk,
                      sizeof(junk));
    d.n_reads = 0;
    assert_int_equal(sw_fat_lookup(&fat, &efi, "BOOT", &node, NULL, &err), 0);
    assert_true(d.n_reads <= 2 * (512u << 10) / fat.cluster_bytes);
    sparse_disk_done(&d);
}

/* Every value of every byte of the boot sector that is read: accepted or not, but never a read
 * outside the disk (the fake aborts) and never an endless search. */
static void survives_every_boot_sector(void **state)
{
    struct sparse_disk d;
    struct sw_err err = { 0 };

    sparse_disk_load(&d, SW_FUZZ_SEEDS "/bootcheck/superfloppy");
    for (unsigned at = 0; at < 48; at++) {
        uint8_t good, bad;

        sparse_disk_read(&d, at, &good, 1);
        for (unsigned v = 0; v < 256; v++) {
            struct sw_fat fat;
            struct sw_fat_node node, root;

            bad = (uint8_t)v;
            sparse_disk_write(&d, at, &bad, 1);
            if (sw_fat_open(&d.reader, 0, &fat, &err) <= 0)
                continue;
            root = sw_fat_root(&fat);
            assert_true(sw_fat_lookup(&fat, &root, "EFI", &node, NULL, &err) >= 0);
        }
        sparse_disk_write(&d, at, &good, 1);
    }
    sparse_disk_done(&d);
}

static void reports_a_failed_read(void **state)
{
    struct sparse_disk d;
    struct sw_fat fat;
    struct sw_err err = { 0 };

    sparse_disk_load(&d, SW_FUZZ_SEEDS "/bootcheck/superfloppy");
    d.fail_at = 1;
    assert_int_equal(sw_fat_open(&d.reader, 0, &fat, &err), -1);
    assert_int_equal(err.kind, SW_ERR_TRANSIENT);
    assert_int_equal(sw_fat_open(&d.reader, d.reader.size, &fat, &err), 0);
    assert_int_equal(sw_fat_open(&d.reader, UINT64_MAX - 511, &fat, &err), 0);
    sparse_disk_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_file_in_every_kind_of_fat),
        cmocka_unit_test(finds_names_without_regard_to_case),
        cmocka_unit_test(reads_only_inside_a_file),
        cmocka_unit_test(ends_on_a_circular_chain),
        cmocka_unit_test(survives_every_boot_sector),
        cmocka_unit_test(reports_a_failed_read),
    };
    return cmocka_run_group_tests_name("formats/fat", tests, NULL, NULL);
}
