/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/1.1 connection's worth of client: a libcurl handle that performs one GET after another,
 * keeps its connection alive in between, follows nothing, decodes nothing, retries nothing. What a
 * request means (ranges, redirects, retries) is decided by the caller, who sees every head.
 *
 *   struct sw_http_config   what all clients of one source share; immutable while any exists
 *   struct sw_http_client   used by one thread at a time; as many as there are connections
 *
 * Waiting is done in poll() together with the cancel descriptor, so a cancel is seen at once, also
 * while a name is looked up or a peer is silent. */
#ifndef SW_NET_HTTP_CLIENT_H
#define SW_NET_HTTP_CLIENT_H

#include "common/cancel.h"
#include "net/http_head.h"
#include "net/proxy.h"
#include "net/tls_roots.h"
#include "net/url.h"

#define SW_HTTP_STALL_NS (INT64_C(30) * 1000000000)

/* A peer that brings less than this within stall_ns is as good as silent: "no byte at all" alone
 * would let a dripping one hold an import for ever. */
#define SW_HTTP_STALL_BYTES 1024

struct sw_http_config {
    const struct sw_tls_roots
        *roots; /* in addition to the system's; NULL: none                   */
    struct sw_proxy_env proxy_env;
    const char *proxy;        /* as sw_proxy_choose() takes it in `forced`                 */
    const char *user_agent;   /* NULL: SW_USER_AGENT                                       */
    bool insecure;            /* check no certificate                                      */
    int64_t stall_ns;         /* 0: SW_HTTP_STALL_NS                                       */
    long buffer_size;         /* receive buffer, bytes, 16 KiB to 10 MiB; 0: default       */
    struct sw_cancel *cancel; /* may be NULL                                               */
};

/* What only one origin may see. Borrowed. */
struct sw_http_secrets {
    const char *user, *password; /* Basic authentication; NULL: none                          */
    const char *const *headers;  /* "Name: value", checked by sw_http_header_check()          */
    size_t n_headers;
    const char *cert_file,
        *key_file; /* PEM; key_file NULL: in cert_file                          */
};

enum sw_http_verdict {
    SW_HTTP_FAIL =
        -1,        /* the callback filled err: abort, and hand that out                        */
    SW_HTTP_TAKE,  /* deliver the body to on_body                                              */
    SW_HTTP_SKIP,  /* of no interest: read a short body to keep the connection, else drop it   */
    SW_HTTP_STOP,  /* the head was enough: drop the connection, and that is success            */
    SW_HTTP_PAUSE, /* on_body only: nothing taken, deliver the same bytes again after resume   */
};

#define SW_HTTP_WHOLE UINT64_MAX

struct sw_http_request {
    const struct sw_url *url;
    const struct sw_http_secrets
        *secrets; /* NULL: none go with this request                      */
    uint64_t
        first;     /* SW_HTTP_WHOLE: no Range header                                              */
    uint64_t last; /* inclusive; SW_HTTP_WHOLE: to the end                                        */
    const char
        *if_range; /* strong ETag, NULL: none                                               */
    void *ctx;

    /* Once per request, with the head of the final answer (no 1xx, no proxy's). */
    enum sw_http_verdict (*on_head)(void *ctx, const struct sw_http_head *head, struct sw_err *err);
    /* At most 16 KiB per call; all or nothing is taken. May be NULL when never taken. */
    enum sw_http_verdict (*on_body)(void *ctx, const uint8_t *bytes, size_t n, struct sw_err *err);
};

struct sw_http_client; /* opaque */

/* -1 with SW_ERR_INTERNAL (out of memory; a libcurl without OpenSSL). config is borrowed. */
SW_MUST_CHECK
int sw_http_client_open(const struct sw_http_config *config, struct sw_http_client **ret,
                        struct sw_err *err);
void sw_http_client_close(struct sw_http_client *c); /* accepts NULL */

/* Start a request; req and what it points to live until sw_http_stop(). -1 with SW_ERR_USAGE (the
 * proxy setting) or SW_ERR_INTERNAL; there is nothing to stop then. */
SW_MUST_CHECK
int sw_http_start(struct sw_http_client *c, const struct sw_http_request *req, struct sw_err *err);

/* Let bytes flow and callbacks run; waits until something happens, at most wait_ns. Returns 1 when
 * the request is complete, 0 when not, -1 when it failed:
 *   SW_ERR_TRANSIENT  no connection, cut, timeout, less than SW_HTTP_STALL_BYTES in stall_ns
 *   SW_ERR_DENIED     TLS verification or client certificate, a proxy that refuses
 *   SW_ERR_CANCELLED
 *   SW_ERR_USAGE, SW_ERR_UNSUPPORTED, SW_ERR_INTERNAL, or what a callback said
 * The message names the host (never the query) and libcurl's reason. */
SW_MUST_CHECK
int sw_http_step(struct sw_http_client *c, int64_t wait_ns, struct sw_err *err);

/* Go on after SW_HTTP_PAUSE, or after a while without sw_http_step(): that time does not count as a
 * stall. Runs on_body inside. */
void sw_http_resume(struct sw_http_client *c);

/* End the request, complete or not. A connection with an unread rest is dropped. */
void sw_http_stop(struct sw_http_client *c);

/* start, step until done, stop. 0 or -1. */
SW_MUST_CHECK
int sw_http_perform(struct sw_http_client *c, const struct sw_http_request *req,
                    struct sw_err *err);

/* Whether the last request got as far as an answer. */
bool sw_http_was_answered(const struct sw_http_client *c);

/* Whether an extra header line may be sent: it has a name and a colon, no line break, and is not
 * one that we need for ourselves (Range, If-Range, Accept-Encoding). Blanks at the end of the line
 * do not matter: they are cut when it is sent. -1 with SW_ERR_USAGE; the value is not quoted. */
SW_MUST_CHECK
int sw_http_header_check(const char *line, struct sw_err *err);

/* The error that an answer with this status is: 401, 403, 407 and 451 SW_ERR_DENIED, 404 and 410
 * SW_ERR_NOT_FOUND, 408, 425, 429 and 5xx SW_ERR_TRANSIENT (but 501 and 505 SW_ERR_UNSUPPORTED), any
 * other SW_ERR_BAD_DATA. Always returns -1. */
int sw_http_status_err(const struct sw_http_head *head, const struct sw_url *url,
                       struct sw_err *err);

#endif
