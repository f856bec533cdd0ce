/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fuzz-decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_both_ways(&sw_zip_decoder, data, size);
    return 0;
}
