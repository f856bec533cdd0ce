/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void sw_buf_done(struct sw_buf *b)
{
    free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
    b->failed = false;
}

static bool reserve(struct sw_buf *b, size_t more)
{
    if (b->failed || more > b->max - b->n) {
        b->failed = true;
        return false;
    }
    if (b->n + more < b->cap)
        return true;

    size_t cap = b->cap ? b->cap * 2 : 128;
    while (cap <= b->n + more)
        cap *= 2;
    char *p = realloc(b->p, cap);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void sw_buf_append(struct sw_buf *b, const void *bytes, size_t n)
{
    if (!reserve(b, n))
        return;
    if (n)
        memcpy(b->p + b->n, bytes, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void sw_buf_puts(struct sw_buf *b, const char *text)
{
    sw_buf_append(b, text, strlen(text));
}

void sw_buf_printf(struct sw_buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !reserve(b, (size_t)n)) {
        b->failed = true;
        return;
    }

    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void sw_buf_reset(struct sw_buf *b)
{
    b->n = 0;
    b->failed = false;
    if (b->p)
        b->p[0] = '\0';
}

const char *sw_buf_str(const struct sw_buf *b)
{
    return b->p ? b->p : "";
}

int sw_buf_check(const struct sw_buf *b, const char *what, struct sw_err *err)
{
    if (!b->failed)
        return 0;
    return sw_err_set(err, SW_ERR_BAD_DATA, "%s is longer than %zu bytes", what, b->max);
}
