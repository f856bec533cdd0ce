/* SPDX-License-Identifier: Apache-2.0 */
/* A large image of mostly zeroes as the pieces of it that are not: offset (4 bytes, little-endian),
 * length (2), bytes; one after the other. tests/formats/vhdxlib.py, pieces(), writes them. */
#ifndef SW_TESTS_PIECES_H
#define SW_TESTS_PIECES_H

#include <string.h>

#include "common/bytes.h"

/* Returns how long the image is: its last piece ends it. What lies beyond max is left out. */
static inline size_t pieces_expand(struct sw_span in, uint8_t *out, size_t max)
{
    size_t end = 0;

    memset(out, 0, max);
    while (in.n >= 6) {
        uint64_t off = sw_le32(in.p);
        size_t n = sw_le16(in.p + 4);

        in.p += 6;
        in.n -= 6;
        n = n < in.n ? n : in.n;
        if (off <= max) {
            size_t fits = n < max - off ? n : max - off;

            memcpy(out + off, in.p, fits);
            end = end > off + fits ? end : off + fits;
        }
        in.p += n;
        in.n -= n;
    }
    return end;
}

#endif
