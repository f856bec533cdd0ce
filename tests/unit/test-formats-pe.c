/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "formats/pe.h"

static void finds_the_header_of_a_program(void **state)
{
    uint8_t dos[SW_PE_DOS_BYTES] = { 'M', 'Z', [0x3c] = 0x40, [0x3d] = 1 };

    assert_int_equal(sw_pe_header_offset(dos), 0x140);
    dos[0] = 'X';
    assert_int_equal(sw_pe_header_offset(dos), 0);
}

static void reads_machine_and_subsystem(void **state)
{
    uint8_t h[SW_PE_HEADER_BYTES] = {
        'P', 'E', 0, 0, 0x64, 0x50, [24] = 0x0b, [25] = 2, [92] = 10
    };
    struct sw_pe_info info;

    assert_true(sw_pe_parse(h, &info));
    assert_int_equal(info.machine, 0x5064);
    assert_int_equal(info.subsystem, SW_PE_SUBSYSTEM_EFI_APPLICATION);
    h[25] = 1; /* PE32 */
    assert_true(sw_pe_parse(h, &info));
    h[25] = 3;
    assert_false(sw_pe_parse(h, &info));
    h[25] = 2;
    h[2] = 1;
    assert_false(sw_pe_parse(h, &info));
}

static void names_the_machines_of_removable_media(void **state)
{
    assert_string_equal(sw_pe_arch(0x5064), "riscv64");
    assert_string_equal(sw_pe_arch(0x5032), "riscv32");
    assert_string_equal(sw_pe_arch(0x8664), "x86_64");
    assert_string_equal(sw_pe_arch(0x014c), "i386");
    assert_string_equal(sw_pe_arch(0xaa64), "aarch64");
    assert_string_equal(sw_pe_arch(0x01c2), "arm");
    assert_string_equal(sw_pe_arch(0x6264), "loongarch64");
    assert_null(sw_pe_arch(0x0200)); /* Itanium */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_header_of_a_program),
        cmocka_unit_test(reads_machine_and_subsystem),
        cmocka_unit_test(names_the_machines_of_removable_media),
    };
    return cmocka_run_group_tests_name("formats/pe", tests, NULL, NULL);
}
