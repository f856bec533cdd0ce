/* SPDX-License-Identifier: Apache-2.0 */
/* A growable byte string that cannot exist without a ceiling. Always NUL-terminated, so that
 * buf.p is a C string as long as no NUL was appended.
 *
 * Growing past the ceiling or running out of memory marks the buffer as failed: it keeps what it
 * had, later appends do nothing, and the one check at the end (sw_buf_check) reports it. That is
 * what lets callers append a dozen times without a dozen checks.
 *
 * One thread at a time. */
#ifndef SW_COMMON_BUF_H
#define SW_COMMON_BUF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct sw_buf {
    char *p;    /* never NULL after the first append; NUL-terminated */
    size_t n;   /* bytes in use, without the NUL                      */
    size_t cap; /* bytes allocated                                    */
    size_t max; /* ceiling for n                                      */
    bool failed;
};

#define SW_BUF_INIT(ceiling)                                                                       \
    {                                                                                              \
        .max = (ceiling)                                                                           \
    }

static inline void sw_buf_init(struct sw_buf *b, size_t max)
{
    *b = (struct sw_buf)SW_BUF_INIT(max);
}

/* Free the content; the buffer may be used again. */
void sw_buf_done(struct sw_buf *b);

void sw_buf_append(struct sw_buf *b, const void *bytes, size_t n);
void sw_buf_puts(struct sw_buf *b, const char *text);
void sw_buf_printf(struct sw_buf *b, const char *fmt, ...) SW_PRINTF(2, 3);

/* Forget the content and a failure, keep the memory. */
void sw_buf_reset(struct sw_buf *b);

/* The content as a C string ("" when empty); valid until the next append. */
const char *sw_buf_str(const struct sw_buf *b);

/* 0, or -1 with SW_ERR_BAD_DATA when an append failed: `what` names the content. */
SW_MUST_CHECK
int sw_buf_check(const struct sw_buf *b, const char *what, struct sw_err *err);

#define sw_autobuf __attribute__((cleanup(sw_buf_done)))

#endif
