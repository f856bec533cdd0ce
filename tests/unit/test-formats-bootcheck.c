/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/macros.h"
#include "tests/fakes/sparse_disk.h"

#define SEED(name) SW_FUZZ_SEEDS "/bootcheck/" name

static void check_disk(struct sparse_disk *d, struct sw_bootinfo *info)
{
    struct sw_err err = { 0 };

    assert_int_equal(sw_bootcheck(&d->reader, info, &err), 0);
    assert_true(info->checked);
}

static struct sw_bootinfo check_seed(const char *path)
{
    struct sparse_disk d;
    struct sw_bootinfo info;

    sparse_disk_load(&d, path);
    check_disk(&d, &info);
    sparse_disk_done(&d);
    return info;
}

static void recognises_a_riscv64_disk(void **state)
{
    struct sw_bootinfo i = check_seed(SEED("gpt-fat32-riscv64"));

    assert_int_equal(i.table, SW_PT_GPT);
    assert_int_equal(i.sector_size, 512);
    assert_int_equal(i.n_partitions, 3);
    assert_true(i.has_esp);
    assert_string_equal(i.arch, "riscv64");
    assert_string_equal(i.archs, "riscv64");
    assert_string_equal(i.loader, "\\EFI\\BOOT\\BOOTRISCV64.EFI");
    assert_string_equal(i.note, "");
    assert_string_equal(i.partitions[0].type, "EFI system");
    assert_string_equal(i.partitions[1].name, "root");
    assert_string_equal(i.partitions[2].type, "BIOS boot");
    assert_int_equal(i.partitions[0].offset, 1 << 20);
    assert_false(i.bios_bootable); /* no boot code */
}

static void lists_several_loaders(void **state)
{
    struct sw_bootinfo i = check_seed(SEED("gpt-fat16-two"));

    assert_string_equal(i.arch, "x86_64");
    assert_string_equal(i.archs, "x86_64,aarch64");
    assert_string_equal(i.note, "");
}

/* Three loaders, none of which any firmware would start. */
static void believes_the_program_and_not_its_name(void **state)
{
    struct sw_bootinfo i = check_seed(SEED("mbr-fat12-wrong"));

    assert_int_equal(i.table, SW_PT_MBR);
    assert_true(i.has_esp);
    assert_string_equal(i.arch, "");
    assert_string_equal(i.loader, "");
    assert_string_equal(i.note, "\\EFI\\BOOT\\BOOTRISCV64.EFI is a program for x86_64: no firmware "
                                "starts it there");
    assert_true(i.bios_bootable);
}

static void looks_into_a_superfloppy(void **state)
{
    struct sw_bootinfo i = check_seed(SEED("superfloppy"));

    assert_int_equal(i.table, SW_PT_NONE);
    assert_false(i.has_esp);
    assert_string_equal(i.arch, "riscv64");
}

static void says_why_there_is_no_loader(void **state)
{
    struct sw_bootinfo i = check_seed(SEED("gpt-empty-esp"));

    assert_true(i.has_esp);
    assert_non_null(strstr(i.note, "holds no FAT"));

    struct sparse_disk d;
    sparse_disk_load(&d, SEED("gpt-fat32-riscv64"));
    sparse_disk_write(&d, 512, "XX", 2); /* no primary; the backup is whole */
    check_disk(&d, &i);
    assert_string_equal(i.arch, "riscv64");
    assert_non_null(strstr(i.note, "backup"));
    sparse_disk_done(&d);
}

static void names_what_lies_bare_on_a_disk(void **state)
{
    static const struct {
        uint64_t off;
        const char *magic, *word;
    } cases[] = {
        { 32769, "CD001", "ISO 9660" },
        { 0x438, "\x53\xef", "ext" },
        { 0, "XFSB", "XFS" },
        { 0x10040, "_BHRfS_M", "btrfs" },
        { 0, "LUKS\xba\xbe", "encrypted" },
        { 4096, "nothing", "no partition table" },
    };

    for (size_t k = 0; k < SW_COUNT(cases); k++) {
        struct sparse_disk d;
        struct sw_bootinfo i;

        sparse_disk_new(&d, 1 << 20);
        sparse_disk_write(&d, cases[k].off, cases[k].magic, strlen(cases[k].magic));
        check_disk(&d, &i);
        assert_string_equal(i.arch, "");
        assert_non_null(strstr(i.note, cases[k].word));
        sparse_disk_done(&d);
    }
}

static void looks_at_disks_of_every_tiny_size(void **state)
{
    for (uint64_t size = 0; size < 1200; size++) {
        struct sparse_disk d;
        struct sw_bootinfo i;

        sparse_disk_new(&d, size);
        check_disk(&d, &i);
        assert_string_equal(i.note, "no partition table");
        sparse_disk_done(&d);
    }
}

static void fails_only_when_a_read_fails(void **state)
{
    for (unsigned n = 1;; n++) {
        struct sparse_disk d;
        struct sw_bootinfo i;
        struct sw_err err = { 0 };

        sparse_disk_load(&d, SEED("gpt-fat32-riscv64"));
        d.fail_at = n;
        int rc = sw_bootcheck(&d.reader, &i, &err);
        bool reached = d.n_reads >= n;
        sparse_disk_done(&d);
        if (!reached) {
            assert_int_equal(rc, 0);
            /* A remote disk pays a round trip for each: the usual disk must stay cheap. */
            assert_in_range(n, 10, 40);
            return;
        }
        assert_int_equal(rc, -1);
        assert_int_equal(err.kind, SW_ERR_TRANSIENT);
    }
}

/* Every single bit of every sector that holds something. The fake aborts on a read outside. */
static void survives_every_bit_flip(void **state)
{
    struct sparse_disk d;

    sparse_disk_load(&d, SEED("gpt-fat32-riscv64"));
    for (size_t r = 0; r < d.n_records; r++) {
        for (size_t bit = 0; bit < 512 * 8; bit++) {
            uint8_t *p = d.records + r * 516 + 4 + bit / 8;
            struct sw_bootinfo i;

            *p ^= (uint8_t)(1 << bit % 8);
            check_disk(&d, &i);
            assert_true(i.arch[0] || i.note[0]);
            *p ^= (uint8_t)(1 << bit % 8);
        }
    }
    sparse_disk_done(&d);
}

static void enforces_the_expected_architecture(void **state)
{
    struct sw_bootinfo two = check_seed(SEED("gpt-fat16-two"));
    struct sw_bootinfo wrong = check_seed(SEED("mbr-fat12-wrong"));
    struct sw_bootinfo unchecked = { 0 };
    static const char *const fit[] = { "x86_64", "amd64", "AMD64", "aarch64", "arm64" };
    static const char *const unfit[] = { "riscv64", "x86", "aarch6", "", "x86_64,aarch64" };

    for (size_t k = 0; k < SW_COUNT(fit); k++) {
        struct sw_err err = { 0 };

        assert_int_equal(sw_bootcheck_expect(&two, fit[k], &err), 0);
    }
    for (size_t k = 0; k < SW_COUNT(unfit); k++) {
        struct sw_err err = { 0 };

        assert_int_equal(sw_bootcheck_expect(&two, unfit[k], &err), -1);
        assert_int_equal(err.kind, SW_ERR_BAD_DATA);
    }

    struct sw_err err = { 0 };
    assert_int_equal(sw_bootcheck_expect(&two, "riscv64", &err), -1);
    assert_string_equal(err.msg, "expected a disk that boots on riscv64, found one for "
                                 "x86_64,aarch64 (\\EFI\\BOOT\\BOOTX64.EFI)");
    assert_int_equal(sw_bootcheck_expect(&wrong, "x86_64", &err), -1);
    assert_non_null(strstr(err.msg, "no firmware starts it"));
    assert_int_equal(sw_bootcheck_expect(&unchecked, "riscv64", &err), -1);
    assert_int_equal(err.kind, SW_ERR_BAD_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recognises_a_riscv64_disk),
        cmocka_unit_test(lists_several_loaders),
        cmocka_unit_test(believes_the_program_and_not_its_name),
        cmocka_unit_test(looks_into_a_superfloppy),
        cmocka_unit_test(says_why_there_is_no_loader),
        cmocka_unit_test(names_what_lies_bare_on_a_disk),
        cmocka_unit_test(looks_at_disks_of_every_tiny_size),
        cmocka_unit_test(fails_only_when_a_read_fails),
        cmocka_unit_test(survives_every_bit_flip),
        cmocka_unit_test(enforces_the_expected_architecture),
    };
    return cmocka_run_group_tests_name("formats/bootcheck", tests, NULL, NULL);
}
