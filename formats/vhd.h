/* SPDX-License-Identifier: Apache-2.0 */
/* The VHD footer: the last 512 bytes of every VHD, and the first of a dynamic one. Pure.
 *
 * Source: Microsoft, "Virtual Hard Disk Image Format Specification", version 1.0 (2006), "Hard Disk
 * Footer Format". All fields are big-endian. */
#ifndef SW_FORMATS_VHD_H
#define SW_FORMATS_VHD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

#define SW_VHD_FOOTER_BYTES 512
#define SW_VHD_COOKIE "conectix"

enum sw_vhd_type { SW_VHD_FIXED = 2, SW_VHD_DYNAMIC = 3, SW_VHD_DIFFERENCING = 4 };

struct sw_vhd_footer {
    uint64_t data_off; /* of the dynamic header                */
    uint64_t size;     /* "current size" of the disk, in bytes */
    uint32_t type;     /* enum sw_vhd_type, or something else  */
};

/* p: SW_VHD_FOOTER_BYTES bytes. -1 with SW_ERR_BAD_DATA: not a footer, or its checksum is wrong. */
SW_MUST_CHECK
int sw_vhd_parse_footer(const uint8_t *p, struct sw_vhd_footer *ret, struct sw_err *err);

/* The last 512 bytes of a file that begins like no VHD, at offset `off` of it. Returns 1 when they are
 * the footer of a fixed VHD, whose disk is everything before; 0 when they are no footer at all; -1
 * with SW_ERR_BAD_DATA for a footer that says something else about this file. */
SW_MUST_CHECK
int sw_vhd_judge_tail(const uint8_t *p, uint64_t off, struct sw_err *err);

#endif
