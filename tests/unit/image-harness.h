/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests of the image readers share: hand-made images (tests/fuzz/make-image-seeds.py), in
 * which every block holds a pattern that names it. */
#ifndef SW_TESTS_IMAGE_HARNESS_H
#define SW_TESTS_IMAGE_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/fileio.h"
#include "tests/formats/pieces.h"
#include "tests/formats/read_image.h"

static const struct sw_limits image_limits = { .guest_size = 4 << 20,
                                               .table_memory = 1 << 20,
                                               .decoder_memory = 1 << 20 };

struct image {
    uint8_t *p;
    size_t n;
};

/* "vdi/usual"; to be freed with image_done(). A VHDX is kept in pieces. */
static inline struct image image_seed(const char *name)
{
    char path[512];
    char *text = NULL;
    struct sw_err err = { 0 };
    struct image image = { 0 };

    snprintf(path, sizeof(path), "%s/%s", SW_FUZZ_SEEDS, name);
    if (sw_file_slurp(path, 8 << 20, &text, &image.n, &err) < 0)
        fail_msg("%s", err.msg);
    image.p = (uint8_t *)text;
    if (strncmp(name, "vhdx/", 5) == 0) {
        const size_t max = 6 << 20;
        uint8_t *whole = malloc(max);

        assert_non_null(whole);
        image.n = pieces_expand((struct sw_span){ image.p + 1, image.n - 1 }, whole, max);
        free(image.p);
        image.p = whole;
    }
    return image;
}

static inline void image_done(struct image *image)
{
    free(image->p);
}

static inline bool image_holds(const struct disk *d, size_t block, size_t as, size_t size)
{
    for (size_t i = 0; i < size && block * size + i < d->n; i++) {
        if (d->p[block * size + i] != (as * 7 + i * 13 + (i >> 8) + 1) % 255 + 1)
            return false;
    }
    return true;
}

static inline bool image_zero(const struct disk *d, size_t block, size_t size)
{
    return sw_is_zero(d->p + block * size, sw_min_u64(size, d->n - block * size));
}

/* Read in every way; all must give the same disk. Returns bytes parked by the stream. */
static inline uint64_t image_read(const char *name, enum sw_format format, struct disk *ret)
{
    const struct read_how ways[] = {
        { .format = format, .seek = true },
        { .format = format, .seek = true, .only_needed = true, .piece = 1000 },
        { .format = format, .piece = 333 },
        { .format = format, .size_known = true, .piece = 512 },
    };
    struct image image = image_seed(name);
    uint64_t parked = 0;

    for (size_t i = 0; i < SW_COUNT(ways); i++) {
        struct sw_err err = { 0 };
        struct disk d;

        if (read_image((struct sw_span){ image.p, image.n }, &ways[i], &image_limits, &d, &err) < 0)
            fail_msg("%s, way %zu: %s", name, i, err.msg);
        parked = d.parked;
        if (i == 0) {
            *ret = d;
            continue;
        }
        assert_int_equal(d.n, ret->n);
        assert_memory_equal(d.p, ret->p, d.n);
        disk_done(&d);
    }
    image_done(&image);
    return parked;
}

/* The image as it is now is refused as a file and as a stream, with this kind, its format's name and
 * `part` in the message. */
static inline void image_refused(const struct image *image, enum sw_format format,
                                 const struct sw_limits *limits, enum sw_err_kind kind,
                                 const char *part)
{
    for (int seek = 0; seek < 2; seek++) {
        const struct read_how how = { .format = format, .seek = seek, .piece = 512 };
        struct sw_err err = { 0 };
        struct disk d;

        if (read_image((struct sw_span){ image->p, image->n }, &how, limits, &d, &err) == 0)
            fail_msg("accepted, where '%s' was to be said", part);
        if (err.kind != kind || !strstr(err.msg, part) ||
            strncmp(err.msg, sw_format_name(format), strlen(sw_format_name(format))) != 0)
            fail_msg("kind %s: '%s', without '%s'", sw_err_kind_name(err.kind), err.msg, part);
        disk_done(&d);
    }
}

/* The limits on the disk's size and on the map's memory, at N and N - 1. */
static inline void image_keeps_to_limits(const char *name, enum sw_format format, uint64_t size)
{
    char reverse[64];
    struct image image = image_seed(name);
    struct sw_limits l = image_limits;
    const struct read_how how = { .format = format, .piece = 512 };
    struct sw_err err = { 0 };
    struct disk d;

    l.guest_size = size;
    assert_int_equal(read_image((struct sw_span){ image.p, image.n }, &how, &l, &d, &err), 0);
    assert_int_equal(d.n, size);
    disk_done(&d);
    l.guest_size = size - 1;
    image_refused(&image, format, &l, SW_ERR_UNSUPPORTED, "larger than the limit");
    image_done(&image);
    snprintf(reverse, sizeof(reverse), "%.*s/reverse", (int)strcspn(name, "/"), name);
    image = image_seed(reverse);
    l = image_limits;
    l.table_memory = 64 + 8; /* four tables, or two runs of blocks */
    image_refused(&image, format, &l, SW_ERR_UNSUPPORTED, "--memory");
    image_done(&image);
}

static inline void image_truncated(const char *name, enum sw_format format, size_t n,
                                   const char *part)
{
    struct image image = image_seed(name);

    image.n = n;
    image_refused(&image, format, &image_limits, SW_ERR_BAD_DATA, part);
    image_done(&image);
}

#endif
