/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), as RFC 3720, appendix B.4, defines it. Pure; for tables, not for bulk data: a
 * byte at a time, some 400 MB/s. */
#ifndef SW_FORMATS_CRC32C_H
#define SW_FORMATS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* crc: 0, or the result for the bytes before these. */
uint32_t sw_crc32c(uint32_t crc, const void *bytes, size_t n);

#endif
