/* SPDX-License-Identifier: Apache-2.0 */
/* Which ranges of an image file end up where on the guest's disk, sorted by file offset: the form
 * in which a stream of the file can be placed as it passes. Built from guest-ordered tables, whose
 * neighbouring entries are merged while they are added, so that an image written in order costs a
 * few extents whatever its size.
 *
 * One thread at a time. All memory is bounded by max_bytes. */
#ifndef SW_FORMATS_EXTENT_MAP_H
#define SW_FORMATS_EXTENT_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "formats/reader.h"

struct sw_extent {
    uint64_t file_off;
    uint64_t guest_off;
    uint32_t file_len;  /* bytes, > 0 */
    uint32_t guest_len; /* bytes, > 0; equals file_len without a codec */
    enum sw_codec codec;
};

struct sw_extent_map {
    struct sw_extent
        *v; /* [0, sorted) ascending by file_off, then [sorted, n) as they were added */
    size_t n, cap, sorted;
    size_t max_bytes;
};

void sw_extent_map_init(struct sw_extent_map *m, size_t max_bytes);
void sw_extent_map_done(struct sw_extent_map *m);

/* Append, merging with the extent added before when both sides continue it. Runs are cut at
 * 256 MiB. -1 with SW_ERR_UNSUPPORTED when the map would outgrow max_bytes, with the number. */
SW_MUST_CHECK
int sw_extent_map_add(struct sw_extent_map *m, const struct sw_extent *e, struct sw_err *err);

/* Take the extents added since the last call into the sorted part. -1 with SW_ERR_INTERNAL (memory). */
SW_MUST_CHECK
int sw_extent_map_sort(struct sw_extent_map *m, struct sw_err *err);

/* Index of the first sorted extent that ends after pos; m->sorted if none. *cursor is the caller's
 * memory of the last answer, 0 at first; pos may not decrease from call to call, so that a whole
 * walk is linear. Extents added later may not begin before the last pos. Only the caller's cursor
 * changes: walks on different threads may share a finished map. */
size_t sw_extent_map_seek(const struct sw_extent_map *m, size_t *cursor, uint64_t pos);

static inline uint64_t sw_extent_file_end(const struct sw_extent *e)
{
    return e->file_off + e->file_len;
}

#endif
