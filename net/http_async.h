/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests on a loop: as many at once as there are, over HTTP/2 in one connection where the
 * server speaks it, over HTTP/1.1 otherwise. libcurl's multi interface with the loop's descriptors
 * and timers; what a request means, and whether to try again, is the caller's business.
 *
 * Nothing is followed (redirects are answers), decoded or taken from the environment (proxies).
 *
 * Ownership: everything is copied when a request starts. Callbacks run on the loop's thread, never inside
 * sw_http_async_start(); they may start and cancel any request, their own included. */
#ifndef SW_NET_HTTP_ASYNC_H
#define SW_NET_HTTP_ASYNC_H

#include <stddef.h>

#include "net/loop.h"

struct sw_http_pool;  /* connections and requests of one loop; opaque */
struct sw_http_async; /* one request; opaque */

/* user_agent NULL: SW_USER_AGENT. -1 with SW_ERR_INTERNAL. */
SW_MUST_CHECK
int sw_http_pool_open(struct sw_loop *loop, const char *user_agent, struct sw_http_pool **ret,
                      struct sw_err *err);

/* Requests that still run are cancelled. NULL is fine. */
void sw_http_pool_close(struct sw_http_pool *pool);

static inline void sw_cleanup_http_pool(struct sw_http_pool **pool)
{
    sw_http_pool_close(*pool);
}
#define sw_auto_http_pool __attribute__((cleanup(sw_cleanup_http_pool)))

/* PEM texts, n bytes each; NULL: none. Connections are shared by requests whose texts are equal. */
struct sw_http_tls {
    const char *ca;         /* the only roots that are trusted; NULL: the system's          */
    const char *cert, *key; /* client certificate (chain) and key                           */
    size_t ca_n, cert_n, key_n;
    bool is_insecure;        /* check neither certificate nor name                          */
    const char *server_name; /* name to ask for and check instead of the URL's host; or NULL */
};

/* How a request ended. */
struct sw_http_async_end {
    unsigned status;          /* HTTP status; 0: no answer was received                         */
    unsigned http;            /* 11 or 20; 0: no answer                                         */
    uint64_t retry_after_s;   /* Retry-After in seconds; 0: none (a date is not taken)          */
    int64_t took_ns;          /* since the start                                                */
    bool was_sent;            /* a byte of the request may have reached a server                */
    const struct sw_err *err; /* NULL: the answer is complete, whatever its status. Otherwise
                              * SW_ERR_TRANSIENT (no connection, cut, deadline), SW_ERR_DENIED (TLS), what
                              * on_body said, SW_ERR_UNSUPPORTED, SW_ERR_INTERNAL                 */
};

struct sw_http_async_request {
    const char *method;
    const char *url; /* http or https */
    const struct sw_http_tls *tls;
    const char *const *headers; /* n_headers of "Name: value"; no line breaks (assert)    */
    size_t n_headers;
    const char *body; /* body_n bytes; NULL: none */
    size_t body_n;
    const char *proxy;   /* URL; NULL: none, whatever the environment says                 */
    int64_t deadline_ns; /* for the whole of it, from now; 0: none                          */
    int64_t answer_ns;   /* until the first byte of the answer, from now; 0: none           */
    bool is_http1;       /* do not offer HTTP/2                                             */

    void *ctx;
    /* Bytes of the body. Answer -1 with err filled to end the request with that error. */
    int (*on_body)(void *ctx, const char *bytes, size_t n, struct sw_err *err);
    /* Once; the request is gone afterwards. See struct sw_http_async_end. */
    void (*on_end)(void *ctx, const struct sw_http_async_end *end);
    /* The status line and header are complete (before the first on_body). May be NULL. */
    void (*on_head)(void *ctx, unsigned status);
    /* When the request is gone, whichever way: ended, cancelled, its pool closed. The last call with
     * this ctx, some time after the others. May be NULL; not called when the start fails. */
    void (*on_free)(void *ctx);
};

/* -1 with SW_ERR_INTERNAL, or SW_ERR_USAGE (a URL or PEM text that libcurl does not take); on_end is
 * not called then. ret may be NULL when it is never cancelled. */
SW_MUST_CHECK
int sw_http_async_start(struct sw_http_pool *pool, const struct sw_http_async_request *request,
                        struct sw_http_async **ret, struct sw_err *err);

/* No callback comes any more. NULL is fine. */
void sw_http_async_cancel(struct sw_http_async *request);

/* Requests that run now. */
size_t sw_http_pool_running(const struct sw_http_pool *pool);

/* --- The simple case -------------------------------------------------------------------------- */

/* One GET whose body is small, e.g. a pod's metrics page. Cancelled with sw_http_async_cancel(). */
struct sw_http_fetch {
    const char *url;
    const struct sw_http_tls *tls; /* NULL: certificates are not checked (a page that anybody may
                                    * read from a server whom nothing is told)               */
    int64_t deadline_ns;           /* 0: 2 s      */
    size_t max;                    /* 0: 64 KiB; a longer body is SW_ERR_BAD_DATA */
    void *ctx;
    /* text is the body, NUL-terminated, when status is 200; NULL with err otherwise. */
    void (*on_done)(void *ctx, const char *text, size_t n, const struct sw_err *err);
};

SW_MUST_CHECK
int sw_http_fetch_start(struct sw_http_pool *pool, const struct sw_http_fetch *fetch,
                        struct sw_http_async **ret, struct sw_err *err);

#endif
