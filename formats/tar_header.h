/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of a tar archive as numbers and names. Private to formats/tar*.c and their tests.
 *
 * Sources: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; the GNU tar
 * manual, "Basic Tar Format", "Storing Sparse Files". */
#ifndef SW_FORMATS_TAR_HEADER_H
#define SW_FORMATS_TAR_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "common/error.h"
#include "formats/member_name.h"

#define SW_TAR_BLOCK 512

/* Where in a file the next `len` stored bytes belong. */
struct sw_tar_extent {
    uint64_t off, len;
};

/* Ascending, without overlaps; what lies between is zero. */
struct sw_tar_map {
    struct sw_tar_extent *at; /* owned */
    size_t n, cap;
};

struct sw_tar_header {
    char kind;                     /* the type flag; '0' also for what old archives have instead */
    uint64_t size;                 /* bytes that follow, without padding                         */
    char name[SW_MEMBER_PATH_MAX]; /* prefix and name; cut when it is longer     */
};

/* What long names and pax records say about the next member. Zeroed: nothing. */
struct sw_tar_extra {
    char name[SW_MEMBER_PATH_MAX]; /* "" : none; cut when it is longer */
    bool has_size;
    uint64_t size;
    bool is_sparse, map_in_data; /* map_in_data: pax 1.0, the map stands in front of the data */
    bool has_real_size;
    uint64_t real_size;    /* of a sparse file, holes included */
    uint64_t next_offset;  /* pax 0.0: of the extent whose length comes in the next record */
    struct sw_tar_map map; /* pax 0.0 and 0.1 */
};

/* Whether this block begins a tar archive: magic and checksum. */
bool sw_tar_is_header(struct sw_span block);

/* Parse a block whose checksum has to be right. -1 with SW_ERR_BAD_DATA. `at`: offset of the block,
 * for messages. */
SW_MUST_CHECK
int sw_tar_header_parse(const uint8_t block[SW_TAR_BLOCK], uint64_t at, struct sw_tar_header *ret,
                        struct sw_err *err);

/* The records of a pax header into *extra. -1 with SW_ERR_BAD_DATA, SW_ERR_UNSUPPORTED (a sparse
 * version that we do not know), SW_ERR_INTERNAL (memory). */
SW_MUST_CHECK
int sw_tar_pax_parse(struct sw_span records, struct sw_tar_extra *extra, struct sw_err *err);

/* The four extents in an old GNU sparse header, or the 21 of a block that continues one.
 * *ret_more: another such block follows. */
SW_MUST_CHECK
int sw_tar_gnu_extents(const uint8_t block[SW_TAR_BLOCK], bool is_header, struct sw_tar_map *map,
                       bool *ret_more, struct sw_err *err);
/* The size of the file that such a header speaks of. */
SW_MUST_CHECK
int sw_tar_gnu_real_size(const uint8_t block[SW_TAR_BLOCK], uint64_t *ret, struct sw_err *err);

/* Append. An extent of no bytes only says where the file ends, and is left out. */
SW_MUST_CHECK
int sw_tar_map_add(struct sw_tar_map *map, uint64_t off, uint64_t len, struct sw_err *err);

/* Whether the map can be that of a file of `size` bytes of which `stored` are in the archive: -1
 * with SW_ERR_BAD_DATA. */
SW_MUST_CHECK
int sw_tar_map_check(const struct sw_tar_map *map, uint64_t size, uint64_t stored,
                     struct sw_err *err);

void sw_tar_extra_reset(struct sw_tar_extra *extra); /* frees the map */

#endif
