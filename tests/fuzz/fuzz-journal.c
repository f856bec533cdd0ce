/* SPDX-License-Identifier: Apache-2.0 */
/* The journal is read from a target that anybody may have written. What is accepted must survive
 * being written and read again. The CRC keeps a fuzzer out: it is put right first, unless the input
 * begins with '!'. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "transfer/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_and_write(const char *text, size_t n)
{
    static char again[SW_JOURNAL_MAX];
    struct sw_journal j, k;
    struct sw_err err = { 0 };

    if (sw_journal_parse(text, n, &j, &err) < 0) {
        assert(err.kind == SW_ERR_BAD_DATA);
        return;
    }
    assert(j.n_digests <= SW_JOURNAL_DIGESTS);
    size_t len = sw_journal_format(&j, again);
    assert(len <= SW_JOURNAL_MAX);
    assert(sw_journal_parse(again, len, &k, &err) == 0);
    assert(strcmp(j.url, k.url) == 0 && j.watermark == k.watermark && j.head_crc == k.head_crc);
    assert(sw_journal_same_work(&j, &k) == (j.validator[0] != '\0'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && data[0] == '!') {
        char *copy = malloc(size);

        assert(copy);
        memcpy(copy, data + 1, size - 1);
        read_and_write(copy, size - 1);
        free(copy);
        return 0;
    }
    char *text = malloc(size + 32);
    assert(text);
    memcpy(text, data, size);
    int n = snprintf(text + size, 32, "crc %08lx\n", crc32(0, data, (uInt)size));
    read_and_write(text, size + (size_t)n);
    free(text);
    return 0;
}
