/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP(S) server: one handler, whole replies. It exists to keep the library behind it
 * (libmicrohttpd, see docs/HTTP-SERVER.md for why) in one file.
 *
 * The server runs one thread of its own, which calls the handler; a handler must be quick and may
 * only touch what is safe from another thread. A process with an event loop of its own lets that
 * drive the server instead (is_driven): then the handler runs inside sw_http_server_run().
 *
 * HTTP/1.1 with keep-alive, TLS 1.2 and later, at most
 * SW_HTTP_CONNECTIONS_MAX connections, 32 KiB of memory for each, idle ones dropped after 10 s.
 * Only GET and HEAD are let through (405 otherwise). Request bodies are not read: servers that
 * take uploads get a streaming handler beside this one. */
#ifndef SW_NET_HTTP_SERVER_H
#define SW_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

struct sw_http_server; /* opaque */

#define SW_HTTP_CONNECTIONS_MAX 16
#define SW_HTTP_REPLY_MAX ((size_t)64 << 10)

/* What a handler fills; zeroed by the server but for the buffer's ceiling (SW_HTTP_REPLY_MAX). */
struct sw_http_reply {
    unsigned status;          /* 0 means 200                                    */
    const char *content_type; /* static; NULL: "text/plain; charset=utf-8"      */
    struct sw_buf body;       /* appended to by the handler, freed by the server */
};

/* path is percent-decoded and begins with '/'; borrowed for the call. */
typedef void sw_http_handler(void *ctx, const char *path, struct sw_http_reply *reply);

struct sw_http_server_options {
    uint16_t port;         /* on all addresses; 0: any free one                   */
    const char *host_name; /* of the certificate made for this run                */
    bool is_plain;         /* no TLS, no certificate: probes of a node's agent    */
    bool is_driven;        /* no thread: the caller drives it                     */
    sw_http_handler *handler;
    void *ctx; /* outlives the server                                 */
};

/* Make a certificate, bind, listen and start the thread. -1 with SW_ERR_INTERNAL (thread, memory,
 * TLS) or the kind of errno for the port (in use, not permitted). */
SW_MUST_CHECK
int sw_http_server_start(const struct sw_http_server_options *options, struct sw_http_server **ret,
                         struct sw_err *err);

/* The port that was bound. */
uint16_t sw_http_server_port(const struct sw_http_server *server);

/* For a driven server only: the descriptor that becomes readable when there is something to do,
 * borrowed; the time after which to run all the same (milliseconds; -1: none); and what serves
 * whatever is there, without blocking, calling the handler. */
int sw_http_server_fd(const struct sw_http_server *server);
int64_t sw_http_server_wait_ms(const struct sw_http_server *server);
void sw_http_server_run(struct sw_http_server *server);

/* Drop all connections, join the thread, free. Accepts NULL. */
void sw_http_server_stop(struct sw_http_server *server);

#endif
