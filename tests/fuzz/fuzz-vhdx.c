/* SPDX-License-Identifier: Apache-2.0 */
/* The VHDX reader. An image has at least 4 MiB, nearly all of them zeroes: the input is its pieces
 * (tests/formats/pieces.h). Checksums are put right where a byte before the pieces says so, or no
 * mutation would ever come past them. */
#include "formats/crc32c.h"
#include "tests/formats/pieces.h"
#include "tests/fuzz/fuzz-image.h"

#define IMAGE_MAX (6u << 20)

enum { FIX_FRONT = 1, FIX_LOG = 2 };

static void seal(uint8_t *p, size_t n)
{
    memset(p + 4, 0, 4);
    sw_put_le32(p + 4, sw_crc32c(0, p, n));
}

static void fix(uint8_t *image, size_t n, uint8_t what)
{
    for (size_t at = 64 << 10; what & FIX_FRONT && at <= 256 << 10; at += 64 << 10) {
        size_t len = at < 192 << 10 ? 4096 : 64 << 10;

        if (at + len <= n)
            seal(image + at, len);
    }
    for (size_t at = 1 << 20; what & FIX_LOG && at + 4096 <= n && at < 2 << 20; at += 4096) {
        uint32_t len = sw_le32(image + at + 8);

        if (memcmp(image + at, "loge", 4) == 0 && len >= 4096 && len <= n - at && len <= 1 << 20)
            seal(image + at, len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t image[IMAGE_MAX];
    size_t n;

    if (size < 1)
        return 0;
    n = pieces_expand((struct sw_span){ data + 1, size - 1 }, image, sizeof(image));
    fix(image, n, data[0]);
    fuzz_image(SW_FORMAT_VHDX, image, n);
    return 0;
}
