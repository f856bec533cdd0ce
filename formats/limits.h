/* SPDX-License-Identifier: Apache-2.0 */
/* What an image or an archive may ask of us. One value, made once at the start and passed down,
 * never global. docs/FORMATS.md lists the defaults. */
#ifndef SW_FORMATS_LIMITS_H
#define SW_FORMATS_LIMITS_H

#include <stdint.h>

struct sw_limits {
    uint64_t guest_size;     /* largest virtual disk, bytes                                     */
    uint64_t table_memory;   /* bytes that tables and the map derived from them may take        */
    uint64_t decoder_memory; /* bytes that one wrapper's decoder may take (window, dictionary)  */

    uint64_t members;      /* of an archive or a container, directories and all                 */
    uint64_t member_name;  /* bytes of a member's name, and of what a link points to            */
    uint64_t member_depth; /* names inside each other ("a/b/c" has 3)                           */
    uint64_t member_head;  /* bytes before a member's data: long names, sparse maps             */

    /* The compressions of a source together may make `expansion` bytes out of each byte of it;
     * expansion_floor bytes are free. */
    uint64_t expansion, expansion_floor;
};

/* 64 TiB of guest disk; 24 MiB of tables (a contiguous image needs a few KiB whatever its size;
 * with every 64 KiB cluster out of order it is enough for 64 GiB); 136 MiB for a decoder, which is
 * taken only when the stream asks for it (xz -6 needs 9 MiB, xz -9 65, zstd --long=27 128).
 *
 * Names as long as Linux takes them in one call (PATH_MAX counts the NUL); as deep as there are
 * descriptors for, which is far more than people nest; 1 MiB in front of a member, which libarchive
 * turns into 25 MiB at the worst.
 *
 * Where all is zero zstd makes 32,768 bytes of one, xz 7,000, gzip 1,030, bzip2 a million. So no one
 * of the first three is ever refused, whatever is in it: the time it takes is bounded by the bytes
 * that come. Zeroes inside zeroes, and in bzip2, end at 4 GiB, after seconds. */
#define SW_LIMITS_DEFAULT                                                                          \
    {                                                                                              \
        .guest_size = UINT64_C(64) << 40, .table_memory = UINT64_C(24) << 20,                      \
        .decoder_memory = UINT64_C(136) << 20, .members = UINT64_C(1) << 20, .member_name = 4095,  \
        .member_depth = 128, .member_head = UINT64_C(1) << 20, .expansion = UINT64_C(1) << 16,     \
        .expansion_floor = UINT64_C(4) << 30,                                                      \
    }

#endif
