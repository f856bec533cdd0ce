/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/pe.h"

#include "common/macros.h"

#define LFANEW 0x3c
#define OPTIONAL 24  /* of the optional header, from the signature      */
#define SUBSYSTEM 68 /* within the optional header, PE32 and PE32+ alike */

/* IMAGE_FILE_MACHINE_*; 32-bit ARM firmware takes Thumb mixed programs only (UEFI 2.10, 2.3.5). */
static const struct {
    uint16_t machine;
    const char *arch;
} machines[] = {
    { 0x5064, "riscv64" }, { 0x8664, "x86_64" }, { 0xaa64, "aarch64" },     { 0x5032, "riscv32" },
    { 0x014c, "i386" },    { 0x01c2, "arm" },    { 0x6264, "loongarch64" },
};

uint32_t sw_pe_header_offset(const uint8_t dos[SW_PE_DOS_BYTES])
{
    return dos[0] == 'M' && dos[1] == 'Z' ? sw_le32(dos + LFANEW) : 0;
}

bool sw_pe_parse(const uint8_t header[SW_PE_HEADER_BYTES], struct sw_pe_info *ret)
{
    uint16_t magic = sw_le16(header + OPTIONAL);

    if (memcmp(header, "PE\0\0", 4) != 0 || (magic != 0x10b && magic != 0x20b))
        return false;
    ret->machine = sw_le16(header + 4);
    ret->subsystem = sw_le16(header + OPTIONAL + SUBSYSTEM);
    return true;
}

const char *sw_pe_arch(uint16_t machine)
{
    for (size_t i = 0; i < SW_COUNT(machines); i++) {
        if (machines[i].machine == machine)
            return machines[i].arch;
    }
    return NULL;
}
