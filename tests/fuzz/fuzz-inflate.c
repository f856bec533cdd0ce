/* SPDX-License-Identifier: Apache-2.0 */
/* Byte 0: bit 0 is the codec. Bytes 1 and 2: length of the output, less one. The rest: the cluster. What both
 * paths accept must be the same bytes, and what zlib accepts libdeflate's path must accept too. */
#include <stdlib.h>
#include <string.h>

#include "formats/inflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sw_inflater *fast, *portable;
    struct sw_err err = { 0 };

    if (size < 3)
        return 0;
    if (!fast && (sw_inflater_open(SW_INFLATE_FAST, &fast, &err) < 0 ||
                  sw_inflater_open(SW_INFLATE_PORTABLE, &portable, &err) < 0))
        abort();

    enum sw_codec codec = data[0] & 1 ? SW_CODEC_ZSTD : SW_CODEC_DEFLATE;
    size_t n = (size_t)sw_le16(data + 1) + 1;
    uint8_t *a = malloc(n), *b = malloc(n);

    if (!a || !b)
        abort();
    int ret_a = sw_inflate(fast, codec, (struct sw_span){ data + 3, size - 3 }, a, n, &err);
    int ret_b = sw_inflate(portable, codec, (struct sw_span){ data + 3, size - 3 }, b, n, &err);

    if (ret_b == 0 && (ret_a != 0 || memcmp(a, b, n) != 0))
        abort();
    if (ret_b != 0 && err.kind != SW_ERR_BAD_DATA && err.kind != SW_ERR_UNSUPPORTED)
        abort();
    free(a);
    free(b);
    return 0;
}
