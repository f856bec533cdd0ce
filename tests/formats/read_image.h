/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine does with a reader, in one thread and in memory: tests and fuzz targets feed an
 * image to a reader in every way the engine would, hold the reader to its contract
 * (formats/reader.h) with assertions, and get the guest's disk. */
#ifndef SW_TESTS_READ_IMAGE_H
#define SW_TESTS_READ_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bytes.h"
#include "formats/reader.h"

struct read_how {
    enum sw_format format; /* any but AUTO                            */
    bool seek;             /* ask for the map first; false: a stream        */
    bool only_needed;      /* seek: push only what needed() names           */
    bool size_known;       /* stream: its length is known from the start    */
    size_t piece;          /* bytes per push(); 0: all at once              */
};

struct disk {
    uint8_t *p;
    uint64_t n;
    uint64_t parked; /* bytes */
    uint64_t placed; /* bytes, guest side */
};

/* file is copied piece by piece into heap blocks of exactly their size. *ret is the caller's to
 * free, on failure too. */
SW_MUST_CHECK
int read_image(struct sw_span file, const struct read_how *how, const struct sw_limits *limits,
               struct disk *ret, struct sw_err *err);

void disk_done(struct disk *d);

#endif
