/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/health.h"

#include <string.h>
#include <sys/epoll.h>

#include "net/http_server.h"

struct sw_health {
    struct sw_loop *loop;
    struct sw_health_options o;
    struct sw_http_server *server;
    struct sw_loop_fd fd;
    struct sw_loop_timer timer; /* connections time out */
};

static void on_get(void *ctx, const char *path, struct sw_http_reply *reply)
{
    struct sw_health *h = ctx;
    const char *reason = "";

    if (strcmp(path, "/healthz") == 0) {
        sw_buf_puts(&reply->body, "ok\n");
    } else if (strcmp(path, "/readyz") == 0) {
        bool is_ready = h->o.is_ready(h->o.ctx, &reason);

        reply->status = is_ready ? 200 : 503;
        sw_buf_printf(&reply->body, "%s\n", is_ready ? "ok" : reason);
    } else if (strcmp(path, "/metrics") == 0) {
        reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
        h->o.write_metrics(h->o.ctx, &reply->body);
    } else {
        reply->status = 404;
        sw_buf_puts(&reply->body, "/healthz, /readyz, /metrics\n");
    }
}

static void run(struct sw_health *h)
{
    sw_http_server_run(h->server);
    int64_t wait_ms = sw_http_server_wait_ms(h->server);

    if (wait_ms < 0)
        sw_loop_timer_stop(h->loop, &h->timer);
    else
        sw_loop_timer_set(h->loop, &h->timer, sw_now_ns() + wait_ms * SW_NS_PER_MS);
}

static void on_readable(void *ctx, int fd SW_UNUSED, uint32_t events SW_UNUSED)
{
    run(ctx);
}

static void on_time(void *ctx)
{
    run(ctx);
}

int sw_health_open(struct sw_loop *loop, const struct sw_health_options *options,
                   struct sw_health **ret, struct sw_err *err)
{
    struct sw_health *h = calloc(1, sizeof(*h));

    if (!h)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for the health port");
    h->loop = loop;
    h->o = *options;
    h->fd = (struct sw_loop_fd){ .fn = on_readable, .ctx = h };
    h->timer = (struct sw_loop_timer){ .fn = on_time, .ctx = h };
    const struct sw_http_server_options o = {
        .port = options->port, .handler = on_get, .ctx = h, .is_plain = true, .is_driven = true
    };
    if (sw_http_server_start(&o, &h->server, err) < 0 ||
        sw_loop_watch(loop, &h->fd, sw_http_server_fd(h->server), EPOLLIN, err) < 0) {
        sw_health_close(h);
        return sw_err_wrap(err, "health port");
    }
    *ret = h;
    return 0;
}

uint16_t sw_health_port(const struct sw_health *h)
{
    return sw_http_server_port(h->server);
}

void sw_health_close(struct sw_health *h)
{
    if (!h)
        return;
    if (h->fd.is_watched)
        sw_loop_unwatch(h->loop, &h->fd);
    sw_loop_timer_stop(h->loop, &h->timer);
    sw_http_server_stop(h->server);
    free(h);
}
