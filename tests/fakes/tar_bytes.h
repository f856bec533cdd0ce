/* SPDX-License-Identifier: Apache-2.0 */
/* Tar archives in memory, for tests in C. */
#ifndef SW_TESTS_TAR_BYTES_H
#define SW_TESTS_TAR_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct tar_bytes {
    uint8_t *p;
    size_t n, cap;
};

/* Append a member: kind '0' a file of n bytes at data, '5' a directory, ... */
void tar_add(struct tar_bytes *t, char kind, const char *name, const void *data, size_t n);

/* Append what is not a member. */
void tar_add_raw(struct tar_bytes *t, const void *p, size_t n);

/* Append the two blocks of the end. */
void tar_end(struct tar_bytes *t);

void tar_done(struct tar_bytes *t);

#endif
