/* SPDX-License-Identifier: Apache-2.0 */
/* Both engines, whole and in pieces, must agree. The checksums keep mutations from being accepted,
 * so a second input is made of each: the same bytes as the deflate stream of a member with a
 * trailer that is computed from what zlib makes of it. */
#include "tests/fuzz/fuzz-decoder.h"

#include <zlib.h>

#include "formats/gzip.h"

static void check_engines(const uint8_t *data, size_t size)
{
    const struct sw_decoder_ops *isal = sw_gzip_decoder_isal();

    fuzz_both_ways(&sw_gzip_decoder_portable, data, size);
    if (!isal)
        return;
    fuzz_both_ways(isal, data, size);

    struct fuzz_run a = fuzz_decode(&sw_gzip_decoder_portable, data, size, 0);
    struct fuzz_run b = fuzz_decode(isal, data, size, 0);

    fuzz_compare(&a, &b);
    free(a.out);
    free(b.out);
}

/* Wrap the deflate stream at the start of data into a correct member; false when there is none. */
static bool wrap(const uint8_t *data, size_t size, uint8_t *ret, size_t *ret_n)
{
    static uint8_t out[FUZZ_OUT_MAX];
    z_stream z = {
        .next_in = (Bytef *)data, .avail_in = (uInt)size, .next_out = out, .avail_out = sizeof(out)
    };
    int end;

    FUZZ_CHECK(inflateInit2(&z, -15) == Z_OK);
    end = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    if (end != Z_STREAM_END)
        return false;
    memcpy(ret, "\x1f\x8b\x08\0\0\0\0\0\0\3", 10);
    memcpy(ret + 10, data, z.total_in);
    sw_put_le32(ret + 10 + z.total_in, (uint32_t)crc32(0, out, (uInt)z.total_out));
    sw_put_le32(ret + 14 + z.total_in, (uint32_t)z.total_out);
    *ret_n = 18 + z.total_in;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *member = malloc(size + 18);
    size_t n;

    FUZZ_CHECK(member);
    check_engines(data, size);
    for (size_t skip = 0; skip <= 10 && skip <= size; skip += 10) {
        if (wrap(data + skip, size - skip, member, &n))
            check_engines(member, n);
    }
    (void)sw_wrap_sniff((struct sw_span){ data, size });
    free(member);
    return 0;
}
