/* SPDX-License-Identifier: Apache-2.0 */
/* A digest manifest of any bytes: an answer of a known length or an error, never more. */
#include <stdlib.h>

#include "formats/digest_manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "disk.qcow2", "a", "debian-13-nocloud-riscv64.qcow2" };

    for (unsigned i = 0; i < 3; i++) {
        struct sw_manifest_digest got = { 0 };
        struct sw_err err = { 0 };
        int rc = sw_digest_manifest_find((struct sw_span){ data, size }, names[i], i, &got, &err);

        if (rc == 0 && got.n != 16 && got.n != 20 && got.n != 32 && got.n != 64)
            abort();
        if (rc < 0 && (err.kind == SW_ERR_NONE || !err.msg[0]))
            abort();
    }
    return 0;
}
