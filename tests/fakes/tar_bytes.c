/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/tar_bytes.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 512

void tar_add_raw(struct tar_bytes *t, const void *p, size_t n)
{
    if (t->n + n > t->cap) {
        t->cap = 2 * (t->n + n);
        t->p = realloc(t->p, t->cap);
        if (!t->p)
            abort();
    }
    if (n)
        memcpy(t->p + t->n, p, n);
    t->n += n;
}

/* Octal digits and a NUL. */
static void put_octal(char *field, size_t width, unsigned long long v)
{
    for (size_t i = width - 1; i-- > 0; v /= 8)
        field[i] = (char)('0' + v % 8);
}

void tar_add(struct tar_bytes *t, char kind, const char *name, const void *data, size_t n)
{
    static const char zeroes[BLOCK];
    char h[BLOCK] = { 0 };
    unsigned sum = 0;

    memcpy(h, name, strlen(name) < 100 ? strlen(name) : 100);
    put_octal(h + 100, 8, 0644);
    put_octal(h + 124, 12, n);
    put_octal(h + 136, 12, 1000000000);
    memcpy(h + 148, "        ", 8);
    h[156] = kind;
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (uint8_t)h[i];
    put_octal(h + 148, 7, sum);
    tar_add_raw(t, h, BLOCK);
    tar_add_raw(t, data, n);
    tar_add_raw(t, zeroes, -n % BLOCK);
}

void tar_end(struct tar_bytes *t)
{
    static const char zeroes[2 * BLOCK];

    tar_add_raw(t, zeroes, sizeof(zeroes));
}

void tar_done(struct tar_bytes *t)
{
    free(t->p);
    *t = (struct tar_bytes){ 0 };
}
