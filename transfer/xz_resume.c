/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "formats/xz_index.h"
#include "transfer/decode_xz.h"

/* The header at the start and the index at the end, of a file with one stream and no padding. */
static int read_ends(struct sw_source *s, uint8_t header[SW_XZ_HEADER_SIZE], uint8_t **ret_index,
                     size_t *ret_size, struct sw_err *err)
{
    uint8_t footer[SW_XZ_FOOTER_SIZE];

    if (s->size < SW_XZ_HEADER_SIZE + SW_XZ_FOOTER_SIZE)
        return 0;
    if (s->ops->read_at(s, 0, header, SW_XZ_HEADER_SIZE, 0, err) < 0 ||
        s->ops->read_at(s, 0, footer, sizeof(footer), s->size - sizeof(footer), err) < 0)
        return -1;

    size_t size = sw_xz_index_size(footer);
    if (!size || size > s->size - sizeof(footer) - SW_XZ_HEADER_SIZE)
        return 0;
    sw_autofree uint8_t *index = malloc(size);
    if (!index)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for an index of %zu bytes", size);
    if (s->ops->read_at(s, 0, index, size, s->size - sizeof(footer) - size, err) < 0)
        return -1;
    *ret_index = sw_steal(index);
    *ret_size = size;
    return 1;
}

int sw_xz_resume(struct sw_pipe *p, struct sw_source *s, uint64_t in_off, uint64_t out_off,
                 struct sw_err *err)
{
    uint8_t header[SW_XZ_HEADER_SIZE];
    sw_autofree uint8_t *index = NULL;
    struct sw_xz_tail *tail;
    struct sw_err why = { 0 };
    size_t size = 0;
    int found = read_ends(s, header, &index, &size, err);

    if (found <= 0)
        return found;
    if (sw_xz_stream_header((struct sw_span){ header, sizeof(header) }, &p->xz_stream, &why) < 0 ||
        sw_xz_tail_open(&p->xz_stream, &tail, &why) < 0)
        return 0;
    if (sw_xz_index_prefix((struct sw_span){ index, size }, in_off, out_off, tail, &why) <= 0) {
        sw_xz_tail_close(tail);
        return 0;
    }
    p->xz_tail = tail;
    return 1;
}
