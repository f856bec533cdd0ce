/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* 0x1edc6f41, reflected */

/* The effect of four bits. */
static uint32_t nibble(uint32_t v)
{
    for (int i = 0; i < 4; i++)
        v = v >> 1 ^ (v & 1 ? POLYNOMIAL : 0);
    return v;
}

uint32_t sw_crc32c(uint32_t crc, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint32_t table[16];

    for (uint32_t i = 0; i < 16; i++)
        table[i] = nibble(i);
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}
