/* SPDX-License-Identifier: Apache-2.0 */
#include "formats/xz_index.h"

#include <lzma.h>

/* An index of SW_XZ_INDEX_MAX bytes decodes to less than this. */
#define INDEX_MEMORY (UINT64_C(64) << 20)

size_t sw_xz_index_size(const uint8_t footer[SW_XZ_FOOTER_SIZE])
{
    lzma_stream_flags flags;

    if (lzma_stream_footer_decode(&flags, footer) != LZMA_OK ||
        flags.backward_size > SW_XZ_INDEX_MAX)
        return 0;
    return (size_t)flags.backward_size;
}

static int append_until(lzma_index *index, uint64_t in_off, uint64_t out_off,
                        struct sw_xz_tail *tail, struct sw_err *err)
{
    lzma_index_iter i;

    lzma_index_iter_init(&i, index);
    while (!lzma_index_iter_next(&i, LZMA_INDEX_ITER_BLOCK)) {
        if (i.block.compressed_file_offset >= in_off)
            return i.block.compressed_file_offset == in_off &&
                   i.block.uncompressed_file_offset == out_off;
        if (sw_xz_tail_append(tail, i.block.unpadded_size, i.block.uncompressed_size, err) < 0)
            return -1;
    }
    return 0;
}

int sw_xz_index_prefix(struct sw_span bytes, uint64_t in_off, uint64_t out_off,
                       struct sw_xz_tail *tail, struct sw_err *err)
{
    lzma_index *index = NULL;
    uint64_t limit = INDEX_MEMORY;
    size_t pos = 0;
    lzma_ret rc = lzma_index_buffer_decode(&index, &limit, NULL, bytes.p, &pos, bytes.n);

    if (rc != LZMA_OK)
        return sw_xz_error((int)rc, "index", err);
    int found = append_until(index, in_off, out_off, tail, err);
    lzma_index_end(index, NULL);
    return found;
}
