/* SPDX-License-Identifier: Apache-2.0 */
/* The three fields of a PE program that firmware looks at before it starts it. Pure.
 * Source: Microsoft "PE Format", sections "MS-DOS Stub", "COFF File Header", "Optional Header". */
#ifndef SW_FORMATS_PE_H
#define SW_FORMATS_PE_H

#include <stdbool.h>

#include "common/bytes.h"

#define SW_PE_DOS_BYTES 64    /* of the file's start, for sw_pe_header_offset()           */
#define SW_PE_HEADER_BYTES 94 /* from that offset on: signature, COFF, optional up to Subsystem */

#define SW_PE_SUBSYSTEM_EFI_APPLICATION 10

struct sw_pe_info {
    uint16_t machine;   /* 0x5064: RISC-V 64 */
    uint16_t subsystem; /* 10: EFI application */
};

/* Where the PE header is, from the first SW_PE_DOS_BYTES of a file; 0 when it is no PE program. */
uint32_t sw_pe_header_offset(const uint8_t dos[SW_PE_DOS_BYTES]);

/* False when these bytes are not a PE header. */
bool sw_pe_parse(const uint8_t header[SW_PE_HEADER_BYTES], struct sw_pe_info *ret);

/* "riscv64" for 0x5064; NULL for a machine that UEFI has no removable-media name for. */
const char *sw_pe_arch(uint16_t machine);

#endif
