/* SPDX-License-Identifier: Apache-2.0 */
/* Header checksums keep mutations from being looked at: a second input is made of each, in which they
 * are right. */
#include "tests/fuzz/fuzz-decoder.h"

#define BLOCK 512
#define CHECKSUM 148

static void mend(uint8_t *block)
{
    unsigned sum = 0;

    memset(block + CHECKSUM, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += block[i];
    for (size_t i = 6; i-- > 0; sum /= 8)
        block[CHECKSUM + i] = (uint8_t)('0' + sum % 8);
    block[CHECKSUM + 6] = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    FUZZ_CHECK(copy);
    fuzz_both_ways(&sw_tar_decoder, data, size);
    memcpy(copy, data, size);
    for (size_t at = 0; at + BLOCK <= size; at += BLOCK) {
        if (memcmp(copy + at + 257, "ustar", 5) == 0)
            mend(copy + at);
    }
    fuzz_both_ways(&sw_tar_decoder, copy, size);
    free(copy);
    return 0;
}
