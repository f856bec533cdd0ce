/* SPDX-License-Identifier: Apache-2.0 */
/* The VMDK reader. */
#include "tests/fuzz/fuzz-image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_image(SW_FORMAT_VMDK, data, size);
    return 0;
}
