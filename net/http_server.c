/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "net/self_signed.h"

#define IDLE_SECONDS 10U
#define CONNECTION_BYTES ((size_t)32 << 10)
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct sw_http_server {
    struct MHD_Daemon *daemon;
    sw_http_handler *handler;
    void *ctx;
    uint16_t port;
    char *key, *cert; /* PEM */
};

static enum MHD_Result send_reply(struct MHD_Connection *c, const struct sw_http_reply *reply)
{
    const char *type = reply->content_type ? reply->content_type : "text/plain; charset=utf-8";
    bool whole = !reply->body.failed;
    struct MHD_Response *r = MHD_create_response_from_buffer(
        whole ? reply->body.n : 0, whole && reply->body.n ? reply->body.p : (void *)"",
        MHD_RESPMEM_MUST_COPY);

    if (!r)
        return MHD_NO;
    unsigned status = !whole          ? MHD_HTTP_INTERNAL_SERVER_ERROR
                      : reply->status ? reply->status
                                      : MHD_HTTP_OK;
    enum MHD_Result done = MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (done == MHD_YES)
        done = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return done;
}

/* libmicrohttpd calls this once when the request head is there and again when a body follows or
 * the request is complete; the reply goes out at the second call. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version SW_UNUSED,
                                  const char *upload SW_UNUSED, size_t *upload_len, void **state)
{
    struct sw_http_server *server = cls;
    struct sw_http_reply reply = { .body = SW_BUF_INIT(SW_HTTP_REPLY_MAX) };

    if (!*state) {
        *state = server;
        return MHD_YES;
    }
    if (*upload_len) {
        *upload_len = 0; /* a body with a GET: read past it */
        return MHD_YES;
    }
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        server->handler(server->ctx, url, &reply);
    else
        reply.status = MHD_HTTP_METHOD_NOT_ALLOWED;

    enum MHD_Result done = send_reply(c, &reply);
    sw_buf_done(&reply.body);
    return done;
}

/* A listening socket on all addresses: one for both IP versions where the machine has IPv6. */
static int bind_port(uint16_t port, int family, struct sw_err *err)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
    bool is_six = family == AF_INET6;
    const void *addr = is_six ? (const void *)&six : (const void *)&four;
    socklen_t len = is_six ? sizeof(six) : sizeof(four);
    int on = 1;
    int off = 0;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return sw_err_sys(err, errno, "make a socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (is_six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0) ||
        bind(fd, addr, len) < 0 || listen(fd, SW_HTTP_CONNECTIONS_MAX) < 0) {
        sw_err_sys(err, errno, "listen on port %u", port);
        close(fd);
        return -1;
    }
    return fd;
}

static int listen_anywhere(uint16_t port, struct sw_err *err)
{
    struct sw_err six = { 0 };
    int fd = bind_port(port, AF_INET6, &six);

    return fd >= 0 ? fd : bind_port(port, AF_INET, err);
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } a = { .six = { 0 } };
    socklen_t len = sizeof(a);

    if (getsockname(fd, &a.any, &len) < 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.six.sin6_port : a.four.sin_port);
}

static int start_daemon(struct sw_http_server *s, const struct sw_http_server_options *o,
                        struct sw_err *err)
{
    /* The list of options ends where there is no certificate. */
    enum MHD_OPTION tls = o->is_plain ? MHD_OPTION_END : MHD_OPTION_HTTPS_MEM_KEY;
    unsigned flags = MHD_USE_EPOLL | (o->is_plain ? 0 : MHD_USE_TLS) |
                     (o->is_driven ? 0 : MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ITC);
    int fd = listen_anywhere(o->port, err);

    if (fd < 0)
        return -1;
    s->port = bound_port(fd);
    s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, fd,
                                 MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)SW_HTTP_CONNECTIONS_MAX,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, tls, s->key,
                                 MHD_OPTION_HTTPS_MEM_CERT, s->cert, MHD_OPTION_HTTPS_PRIORITIES,
                                 TLS_PRIORITIES, MHD_OPTION_END);
    if (s->daemon)
        return 0;
    close(fd);
    return sw_err_set(err, SW_ERR_INTERNAL, "port %u: cannot start", s->port);
}

int sw_http_server_start(const struct sw_http_server_options *options, struct sw_http_server **ret,
                         struct sw_err *err)
{
    struct sw_http_server *s = calloc(1, sizeof(*s));

    if (!s)
        return sw_err_set(err, SW_ERR_INTERNAL, "HTTP server: out of memory");
    s->handler = options->handler;
    s->ctx = options->ctx;
    if ((!options->is_plain && sw_self_signed(options->host_name, &s->key, &s->cert, err) < 0) ||
        start_daemon(s, options, err) < 0) {
        sw_http_server_stop(s);
        return sw_err_wrap(err, "HTTP server");
    }
    *ret = s;
    return 0;
}

uint16_t sw_http_server_port(const struct sw_http_server *server)
{
    return server->port;
}

int sw_http_server_fd(const struct sw_http_server *server)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon,
                                                           MHD_DAEMON_INFO_EPOLL_FD);

    return info ? info->epoll_fd : -1;
}

int64_t sw_http_server_wait_ms(const struct sw_http_server *server)
{
    MHD_UNSIGNED_LONG_LONG ms = 0;

    return MHD_get_timeout(server->daemon, &ms) == MHD_YES ? (int64_t)ms : -1;
}

void sw_http_server_run(struct sw_http_server *server)
{
    (void)MHD_run(server->daemon);
}

void sw_http_server_stop(struct sw_http_server *server)
{
    if (!server)
        return;
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    if (server->key)
        explicit_bzero(server->key, strlen(server->key));
    free(server->key);
    free(server->cert);
    free(server);
}
