/* SPDX-License-Identifier: Apache-2.0 */
/* The body of the readers' fuzz targets: one image, read in every way. All ways that accept it must
 * agree, and a stream may accept only what a file does. The contract between reader and engine is
 * asserted on the way (tests/formats/read_image.c). */
#ifndef SW_TESTS_FUZZ_IMAGE_H
#define SW_TESTS_FUZZ_IMAGE_H

#include <assert.h>
#include <string.h>

#include "tests/formats/read_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LARGE (1u << 20) /* in small pieces it would take too long */

static inline void fuzz_image(enum sw_format format, const uint8_t *data, size_t size)
{
    const struct read_how ways[] = {
        { .format = format, .seek = true },
        { .format = format,
          .seek = true,
          .only_needed = true,
          .piece = size < LARGE ? 4096 : 1 << 20 },
        { .format = format, .size_known = true, .piece = size < LARGE ? 4096 : 1 << 20 },
        { .format = format, .piece = size < LARGE ? 333 : 99999 },
    };
    const struct sw_limits limits = { .guest_size = 4 << 20,
                                      .table_memory = 4 << 20,
                                      .decoder_memory = 1 << 20 };
    struct disk first = { 0 };
    bool accepted = false;

    for (size_t i = 0; i < SW_COUNT(ways); i++) {
        struct sw_err err = { 0 };
        struct disk disk;
        int rc = read_image((struct sw_span){ data, size }, &ways[i], &limits, &disk, &err);

        assert(rc == 0 || (err.kind == SW_ERR_BAD_DATA || err.kind == SW_ERR_UNSUPPORTED));
        if (i == 0) {
            accepted = rc == 0;
            first = disk;
            continue;
        }
        assert(rc < 0 || accepted);
        if (rc == 0)
            assert(disk.n == first.n && (!disk.n || memcmp(disk.p, first.p, disk.n) == 0));
        disk_done(&disk);
    }
    disk_done(&first);
}

#endif
