/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"
#include "net/http_async.h"

#define FETCH_NS (2 * SW_NS_PER_SEC)
#define FETCH_MAX ((size_t)64 << 10)

struct fetching {
    struct sw_buf body;
    void *ctx;
    void (*on_done)(void *ctx, const char *text, size_t n, const struct sw_err *err);
};

static int on_body(void *ctx, const char *bytes, size_t n, struct sw_err *err)
{
    struct fetching *f = ctx;

    sw_buf_append(&f->body, bytes, n);
    return sw_buf_check(&f->body, "the body", err);
}

static void on_end(void *ctx, const struct sw_http_async_end *end)
{
    struct fetching *f = ctx;
    struct sw_err err;

    if (end->err) {
        f->on_done(f->ctx, NULL, 0, end->err);
    } else if (end->status != 200) {
        sw_err_set(&err, end->status == 404 ? SW_ERR_NOT_FOUND : SW_ERR_TRANSIENT,
                   "answered with status %u", end->status);
        f->on_done(f->ctx, NULL, 0, &err);
    } else {
        f->on_done(f->ctx, sw_buf_str(&f->body), f->body.n, NULL);
    }
}

static void free_fetching(void *ctx)
{
    struct fetching *f = ctx;

    sw_buf_done(&f->body);
    free(f);
}

int sw_http_fetch_start(struct sw_http_pool *pool, const struct sw_http_fetch *fetch,
                        struct sw_http_async **ret, struct sw_err *err)
{
    static const struct sw_http_tls unchecked = { .is_insecure = true };
    struct fetching *f = calloc(1, sizeof(*f));
    struct sw_http_async_request q = {
        .method = "GET",
        .url = fetch->url,
        .tls = fetch->tls ? fetch->tls : &unchecked,
        .deadline_ns = fetch->deadline_ns ? fetch->deadline_ns : FETCH_NS,
        .is_http1 = true,
        .ctx = f,
        .on_body = on_body,
        .on_end = on_end,
        .on_free = free_fetching,
    };

    if (!f)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for a request");
    sw_buf_init(&f->body, fetch->max ? fetch->max : FETCH_MAX);
    f->ctx = fetch->ctx;
    f->on_done = fetch->on_done;
    if (sw_http_async_start(pool, &q, ret, err) < 0) {
        free_fetching(f);
        return -1;
    }
    return 0;
}
