/* SPDX-License-Identifier: Apache-2.0 */
/* A log of tables lies beside a target, where anybody may have written it. Record after record: what
 * is accepted must be what is written for it. The CRCs keep a fuzzer out: the first is put right,
 * unless the input begins with '!'. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "transfer/table_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct sw_span bytes)
{
    struct sw_table_record r;
    size_t n;

    while ((n = sw_table_record_parse(bytes, &r)) > 0) {
        uint8_t *again = malloc(n);

        assert(again && n <= bytes.n && r.len <= SW_TABLE_RECORD_MAX);
        assert(r.off + r.len >= r.off);
        assert(sw_table_record_format(&r, again) == n);
        assert(memcmp(again, bytes.p, n) == 0);
        free(again);
        bytes.p += n;
        bytes.n -= n;
    }
}

static void mend(uint8_t *p, size_t n)
{
    size_t len = sw_le32(p + 8) & 0xffffff;
    uLong crc = crc32(0, p, 12);

    if (p[11] != SW_TABLE_BYTES)
        len = 0;
    if (len <= n - SW_TABLE_RECORD_HEAD && len)
        crc = crc32(crc, p + SW_TABLE_RECORD_HEAD, (uInt)len);
    sw_put_le32(p + 12, (uint32_t)crc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool raw = size && data[0] == '!';
    size_t n = raw ? size - 1 : size;
    uint8_t *copy = malloc(n ? n : 1);

    assert(copy);
    if (n)
        memcpy(copy, raw ? data + 1 : data, n);
    if (!raw && n >= SW_TABLE_RECORD_HEAD)
        mend(copy, n);
    walk((struct sw_span){ copy, n });
    free(copy);
    return 0;
}
