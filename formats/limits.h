/* SPDX-License-Identifier: Apache-2.0 */
/* What an image may ask of us. One value, made once at the start and passed down, never global. */
#ifndef SW_FORMATS_LIMITS_H
#define SW_FORMATS_LIMITS_H

#include <stdint.h>

struct sw_limits {
    uint64_t guest_size;     /* largest virtual disk, bytes                                     */
    uint64_t table_memory;   /* bytes that tables and the map derived from them may take        */
    uint64_t decoder_memory; /* bytes that one wrapper's decoder may take (window, dictionary)  */
};

/* 64 TiB of guest disk; 24 MiB of tables (a contiguous image needs a few KiB whatever its size;
 * with every 64 KiB cluster out of order it is enough for 64 GiB); 136 MiB for a decoder, which is
 * taken only when the stream asks for it (xz -6 needs 9 MiB, xz -9 65, zstd --long=27 128). */
#define SW_LIMITS_DEFAULT                                                                          \
    {                                                                                              \
        .guest_size = UINT64_C(64) << 40, .table_memory = UINT64_C(24) << 20,                      \
        .decoder_memory = UINT64_C(136) << 20,                                                     \
    }

#endif
