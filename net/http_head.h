/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an HTTP answer, as far as a download needs it. Filled line by line from untrusted
 * bytes; a field that is malformed, repeated with another value or too long counts as absent, or,
 * for Content-Range, as wrong. Pure, no allocation. Source: RFC 9110 and RFC 9112. Fuzzed by
 * tests/fuzz/fuzz-http_head.c. */
#ifndef SW_NET_HTTP_HEAD_H
#define SW_NET_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SW_HTTP_UNKNOWN UINT64_MAX
#define SW_HTTP_VALUE_MAX 256     /* bytes of a validator or media type; real ones are below 100 */
#define SW_HTTP_LOCATION_MAX 8192 /* bytes; signed URLs of object stores reach 2 KiB             */

enum sw_http_range_answer {
    SW_HTTP_RANGE_NONE,  /* no Content-Range                              */
    SW_HTTP_RANGE_OK,    /* first, last and total are set                 */
    SW_HTTP_RANGE_UNSAT, /* "bytes * / total", the form of a 416 answer   */
    SW_HTTP_RANGE_BAD,   /* malformed, contradictory, or not in bytes     */
};

struct sw_http_head {
    unsigned status; /* 100 to 599; 0 before the status line, or when it is malformed */
    char reason[64]; /* the server's words for it; printable ASCII only               */
    uint64_t length; /* Content-Length, or SW_HTTP_UNKNOWN                            */
    enum sw_http_range_answer range;
    uint64_t first, last;     /* bytes, both inclusive                                         */
    uint64_t total;           /* bytes of the whole object, or SW_HTTP_UNKNOWN for "*"         */
    uint64_t retry_after_sec; /* the number form; 0 when absent or a date                      */
    bool chunked;             /* any Transfer-Encoding                                         */
    char
        etag[SW_HTTP_VALUE_MAX]; /* with its quotes and W/; "" when absent                        */
    char
        modified[SW_HTTP_VALUE_MAX]; /* Last-Modified as it stands                                */
    char
        encoding[SW_HTTP_VALUE_MAX]; /* Content-Encoding, lower case                              */
    char type[SW_HTTP_VALUE_MAX];    /* Content-Type, lower case, without parameters              */
    char location[SW_HTTP_LOCATION_MAX];
};

/* One line of the head, n bytes, with or without its line end. A status line ("HTTP/...") forgets
 * all that came before, for the answers to 1xx and of proxies come first. */
void sw_http_head_line(struct sw_http_head *head, const char *line, size_t n);

/* Whether etag is a strong one, well-formed: quoted, no W/, no blank or control byte. Only these
 * may tie two ranges together (RFC 9110, 8.8.3 and 13.1.5). */
bool sw_http_etag_is_strong(const char *etag);

#endif
