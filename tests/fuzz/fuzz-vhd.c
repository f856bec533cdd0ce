/* SPDX-License-Identifier: Apache-2.0 */
/* The VHD reader. */
#include "tests/fuzz/fuzz-image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_image(SW_FORMAT_VHD, data, size);
    fuzz_image(SW_FORMAT_VHD_FIXED, data, size);
    fuzz_image(SW_FORMAT_RAW_OR_VHD, data, size);
    return 0;
}
