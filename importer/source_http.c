/* SPDX-License-Identifier: Apache-2.0 */
/* DESIGN
 *
 * Seekable: read_at() asks for exactly the missing bytes of its range on the lane's own connection
 * and checks every head before a byte is taken: 206, the span we asked for, the size and validators
 * of the opening. A cut leaves what arrived in the buffer; the next request asks for the rest.
 *
 * Stream: one whole GET, pulled by read(). What the consumer has no room for stays in libcurl and
 * the socket (SW_HTTP_PAUSE), but for the rest of one 16 KiB piece, which waits in `spill`; the
 * receive buffer and that are all that is ever held. After a cut the stream goes on with a range
 * where the server has ranges; else it starts again and throws away what was delivered already, if
 * the validators prove that it is the same object; else it fails.
 *
 * A close-delimited answer (no length, not chunked) ends where the connection ends: nobody can tell
 * that from a cut, so its consumer's own end marker or digest must. */
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "importer/http_object.h"

#define LANES_DEFAULT 4
#define PIECE_MAX 16384                     /* bytes that libcurl delivers at once, at most     */
#define STREAM_LATENCY (200 * SW_NS_PER_MS) /* a slow stream hands out what it has after this   */

struct stream {
    uint64_t received; /* bytes of the object taken so far, in order                */
    uint64_t discard;  /* bytes of a repeated answer that were delivered before     */
    bool active;       /* a request is running                                      */
    bool ended;
    bool repeated;   /* the running request started again from zero               */
    unsigned status; /* of its answer                                             */
    uint64_t retry_after_sec;
    uint8_t *dst; /* the consumer's buffer, during read()                      */
    size_t room, got;
    size_t spill_at, spill_n;
    struct sw_http_request req;
    struct sw_http_retry retry;
    uint8_t spill[PIECE_MAX];
};

struct http_source {
    struct sw_source base;
    struct sw_http_object object;
    struct sw_http_seat seats[SW_LANES_MAX]; /* seat 0 is also the stream's and open()'s */
    struct stream stream;
};

static void count_fetched(struct http_source *src, size_t n)
{
    __atomic_fetch_add(&src->base.fetched, n, __ATOMIC_RELAXED);
}

static unsigned retries_of(const struct http_source *src)
{
    const struct sw_http_options *o = src->object.options;

    return o->retries ? o->retries : SW_HTTP_RETRIES;
}

/* ---- ranges ---- */

struct part {
    struct http_source *src;
    uint8_t *buf;
    size_t len, got; /* of the whole read_at()                               */
    uint64_t off;
    unsigned status; /* of the last answer, 0: none                          */
    uint64_t retry_after_sec;
    bool renewed; /* the URL was looked up again since the last progress  */
    struct sw_http_retry retry;
};

/* The head of a 206 answer to [first, last]. */
static int check_part(const struct sw_http_object *o, const struct sw_http_head *head,
                      uint64_t first, uint64_t last, struct sw_err *err)
{
    if (sw_http_object_check(o, head, err) < 0)
        return -1;
    if (head->range != SW_HTTP_RANGE_OK)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "the server's answer to a range request has no valid Content-Range");
    if (head->first != first || (last != SW_HTTP_WHOLE && head->last != last))
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "asked for bytes %llu to %llu, the server sends %llu to %llu",
                          (unsigned long long)first, (unsigned long long)last,
                          (unsigned long long)head->first, (unsigned long long)head->last);
    uint64_t span = head->last - head->first + 1;
    if (head->length != SW_HTTP_UNKNOWN && !head->chunked && head->length != span)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "the server announces %llu bytes and a Content-Length of %llu",
                          (unsigned long long)span, (unsigned long long)head->length);
    return 0;
}

static enum sw_http_verdict on_part_head(void *ctx, const struct sw_http_head *head,
                                         struct sw_err *err)
{
    struct part *p = ctx;
    const struct sw_http_object *o = &p->src->object;

    p->status = head->status;
    p->retry_after_sec = head->retry_after_sec;
    switch (head->status) {
    case 206:
        if (check_part(o, head, p->off + p->got, p->off + p->len - 1, err) < 0)
            return SW_HTTP_FAIL;
        return SW_HTTP_TAKE;
    case 200: /* never taken: it may be the whole image */
        if (sw_http_object_check(o, head, err) == 0)
            sw_err_set(err, SW_ERR_BAD_DATA,
                       "the server answered a range request with the whole object");
        return SW_HTTP_FAIL;
    case 416:
        sw_err_set(err, SW_ERR_BAD_DATA,
                   "the object changed while it was read: this range is not in it any more");
        return SW_HTTP_FAIL;
    default:
        return SW_HTTP_SKIP;
    }
}

static enum sw_http_verdict on_part_body(void *ctx, const uint8_t *bytes, size_t n,
                                         struct sw_err *err)
{
    struct part *p = ctx;

    count_fetched(p->src, n);
    if (n > p->len - p->got) {
        sw_err_set(err, SW_ERR_BAD_DATA, "the server sent more than the %zu bytes asked for",
                   p->len);
        return SW_HTTP_FAIL;
    }
    memcpy(p->buf + p->got, bytes, n);
    p->got += n;
    return SW_HTTP_TAKE;
}

/* One request for the missing bytes. 0: it went through (p->got tells how far), or -1. */
static int fetch_part(struct http_source *src, struct sw_http_seat *seat, struct part *p,
                      struct sw_err *err)
{
    struct sw_http_object *o = &src->object;
    struct sw_http_request req = { .first = p->off + p->got,
                                   .last = p->off + p->len - 1,
                                   .if_range = *o->etag ? o->etag : NULL,
                                   .ctx = p,
                                   .on_head = on_part_head,
                                   .on_body = on_part_body };
    size_t before = p->got;

    p->status = 0;
    p->retry_after_sec = 0;
    if (sw_http_object_sit(o, seat, err) < 0)
        return -1;
    sw_http_object_address(o, seat, &req);
    int rc = sw_http_perform(seat->client, &req, err);
    if (p->got > before) {
        p->renewed = false;
        sw_http_retry_progress(&p->retry, p->got - before);
    }
    if (rc < 0 || p->got == p->len)
        return rc;
    if (p->status == 206)
        return sw_err_set(err, SW_ERR_TRANSIENT, "%s:%u: the answer ended %zu bytes early",
                          seat->url.host, seat->url.port, p->len - p->got);
    const struct sw_http_head head = { .status = p->status };
    return sw_http_status_err(&head, &seat->url, err);
}

/* After a failed request: renew the URL, or wait, or give up. 0: go on. */
static int recover(struct http_source *src, struct sw_http_seat *seat, struct part *p,
                   struct sw_err *err)
{
    if (sw_http_object_is_stale(&src->object, seat, p->status) && !p->renewed) {
        p->renewed = true;
        if (sw_http_object_renew(&src->object, seat, err) == 0)
            return 0;
    }
    return sw_http_retry_wait(&p->retry, p->retry_after_sec, err);
}

static int http_read_at(struct sw_source *s, unsigned lane, void *buf, size_t len, uint64_t off,
                        struct sw_err *err)
{
    struct http_source *src = (struct http_source *)s;
    struct sw_http_seat *seat = &src->seats[lane];
    struct part p = { .src = src,
                      .buf = buf,
                      .len = len,
                      .off = off,
                      .retry = { .max = retries_of(src), .cancel = src->object.options->cancel } };

    while (p.got < len) {
        struct sw_err attempt = { 0 }; /* err stays untouched unless this is the end */

        if (fetch_part(src, seat, &p, &attempt) == 0 || recover(src, seat, &p, &attempt) == 0)
            continue;
        *err = attempt;
        return sw_err_wrap(err, "read '%s' at %llu", s->url, (unsigned long long)(off + p.got));
    }
    return 0;
}

/* ---- one stream ---- */

static enum sw_http_verdict on_stream_head(void *ctx, const struct sw_http_head *head,
                                           struct sw_err *err)
{
    struct http_source *src = ctx;
    struct stream *st = &src->stream;
    bool asked_range = st->req.first != SW_HTTP_WHOLE;

    st->status = head->status;
    st->retry_after_sec = head->retry_after_sec;
    if (head->status == 206 && asked_range)
        return check_part(&src->object, head, st->received, SW_HTTP_WHOLE, err) < 0 ? SW_HTTP_FAIL
                                                                                    : SW_HTTP_TAKE;
    if (head->status == 200 && !asked_range)
        return sw_http_object_check(&src->object, head, err) < 0 ? SW_HTTP_FAIL : SW_HTTP_TAKE;
    if (head->status == 200 || head->status == 206 || head->status == 416) {
        sw_err_set(err, SW_ERR_BAD_DATA,
                   "the object changed while it was read, or the server does"
                   " not know what was asked (answer %u)",
                   head->status);
        return SW_HTTP_FAIL;
    }
    return SW_HTTP_SKIP;
}

/* All or nothing: a piece goes to the consumer, its rest to the spill, or libcurl keeps it. */
static enum sw_http_verdict on_stream_body(void *ctx, const uint8_t *bytes, size_t n,
                                           struct sw_err *err)
{
    struct http_source *src = ctx;
    struct stream *st = &src->stream;
    size_t old = (size_t)sw_min_u64(st->discard, n);
    size_t fresh = n - old;

    if (fresh > PIECE_MAX) {
        sw_err_set(err, SW_ERR_INTERNAL, "libcurl delivered %zu bytes at once", n);
        return SW_HTTP_FAIL;
    }
    if (fresh > 0 && (st->spill_n > 0 || st->got == st->room))
        return SW_HTTP_PAUSE;
    count_fetched(src, n);
    st->discard -= old;
    st->received += fresh;

    size_t now = (size_t)sw_min_u64(fresh, st->room - st->got);
    if (now > 0)
        memcpy(st->dst + st->got, bytes + old, now);
    st->got += now;
    if (fresh > now)
        memcpy(st->spill, bytes + old + now, fresh - now);
    st->spill_at = 0;
    st->spill_n = fresh - now;
    if (src->base.size != SW_SIZE_UNKNOWN && st->received > src->base.size) {
        sw_err_set(err, SW_ERR_BAD_DATA, "the server sent more than the %llu bytes announced",
                   (unsigned long long)src->base.size);
        return SW_HTTP_FAIL;
    }
    return SW_HTTP_TAKE;
}

static void drain_spill(struct stream *st)
{
    size_t n = (size_t)sw_min_u64(st->spill_n, st->room - st->got);

    memcpy(st->dst + st->got, st->spill + st->spill_at, n);
    st->got += n;
    st->spill_at += n;
    st->spill_n -= n;
}

static int start_stream(struct http_source *src, struct sw_err *err)
{
    struct sw_http_object *o = &src->object;
    struct sw_http_seat *seat = &src->seats[0];
    struct stream *st = &src->stream;

    if (sw_http_object_sit(o, seat, err) < 0)
        return -1;
    st->req = (struct sw_http_request){ .first = SW_HTTP_WHOLE,
                                        .last = SW_HTTP_WHOLE,
                                        .ctx = src,
                                        .on_head = on_stream_head,
                                        .on_body = on_stream_body };
    sw_http_object_address(o, seat, &st->req);
    st->status = 0;
    st->retry_after_sec = 0;
    st->discard = 0;
    if (st->received > 0 && o->resumable) {
        st->req.first = st->received;
        st->req.if_range = *o->etag ? o->etag : NULL;
    } else {
        st->discard = st->received;
    }
    if (sw_http_start(seat->client, &st->req, err) < 0)
        return -1;
    st->active = true;
    return 0;
}

/* The running request came to its end. 0: the stream has, too. -1: it failed. */
static int end_request(struct http_source *src, struct sw_err *err)
{
    struct stream *st = &src->stream;
    const struct sw_url *url = &src->seats[0].url;
    const struct sw_http_head head = { .status = st->status };

    if (st->status != 200 && st->status != 206)
        return sw_http_status_err(&head, url, err);
    if (st->discard > 0)
        return sw_err_set(err, SW_ERR_BAD_DATA, "the object is shorter than it was: start again");
    if (src->base.size != SW_SIZE_UNKNOWN && st->received < src->base.size)
        return sw_err_set(err, SW_ERR_TRANSIENT, "%s:%u: the answer ended %llu bytes early",
                          url->host, url->port,
                          (unsigned long long)(src->base.size - st->received));
    st->ended = true;
    return 0;
}

/* After a failure: may and should the stream go on? */
static int recover_stream(struct http_source *src, struct sw_err *err)
{
    struct sw_http_object *o = &src->object;
    struct stream *st = &src->stream;
    bool is_stale = sw_http_object_is_stale(o, &src->seats[0], st->status);

    if (st->received > 0 && !sw_http_object_has_identity(o) &&
        (sw_err_is_transient(err) || is_stale))
        return sw_err_wrap(err,
                           "cut after %llu bytes, and the server names neither ETag nor date and"
                           " length, so the rest could be of another object",
                           (unsigned long long)st->received);
    if (is_stale && !st->repeated) {
        st->repeated = true;
        if (sw_http_object_renew(o, &src->seats[0], err) == 0)
            return 0;
    }
    return sw_http_retry_wait(&st->retry, st->retry_after_sec, err);
}

/* Start or continue the request, once. */
static int pump(struct http_source *src, int64_t wait_ns, struct sw_err *err)
{
    struct stream *st = &src->stream;
    struct sw_http_client *client = src->seats[0].client;
    uint64_t before = st->received;

    if (!st->active && start_stream(src, err) < 0)
        return -1;
    int done = sw_http_step(client, wait_ns, err);
    if (st->received > before) {
        st->repeated = false;
        sw_http_retry_progress(&st->retry, st->received - before);
    }
    if (done == 0)
        return 0;
    sw_http_stop(client);
    st->active = false;
    if (done > 0 && end_request(src, err) == 0)
        return 0;
    return recover_stream(src, err);
}

static ssize_t http_read(struct sw_source *s, void *buf, size_t len, struct sw_err *err)
{
    struct http_source *src = (struct http_source *)s;
    struct stream *st = &src->stream;
    int64_t deadline = sw_now_ns() + STREAM_LATENCY;

    st->dst = buf;
    st->room = len;
    st->got = 0;
    drain_spill(st);
    if (st->active)
        sw_http_resume(src->seats[0].client);
    while (st->got < len && !st->ended) {
        int64_t left = deadline - sw_now_ns();
        struct sw_err attempt = { 0 };

        if (st->got > 0 && left <= 0)
            break;
        if (pump(src, left > 0 ? left : SW_HTTP_STALL_NS, &attempt) < 0) {
            *err = attempt;
            return sw_err_wrap(err, "read '%s' at %llu", s->url, (unsigned long long)st->received);
        }
    }
    st->room = st->got; /* nothing may reach the buffer any more */
    return (ssize_t)st->got;
}

/* ---- life cycle ---- */

static void http_close(struct sw_source *s)
{
    struct http_source *src = (struct http_source *)s;

    if (!src)
        return;
    for (size_t i = 0; i < SW_COUNT(src->seats); i++)
        sw_http_seat_done(&src->seats[i]);
    sw_http_object_done(&src->object);
    sw_source_done(s);
    free(src);
}

static const struct sw_source_ops http_ops = {
    .name = "http",
    .read_at = http_read_at,
    .read = http_read,
    .close = http_close,
};

static int describe(struct http_source *src, const char *url, struct sw_err *err)
{
    const struct sw_http_object *o = &src->object;
    unsigned wanted = o->options->connections ? o->options->connections : LANES_DEFAULT;

    src->base.seekable = o->ranges;
    src->base.lanes = o->ranges ? wanted < SW_LANES_MAX ? wanted : SW_LANES_MAX : 1;
    src->base.size = o->size;
    src->base.url = sw_url_redact(url);
    src->base.name = strdup(o->name);
    if (!src->base.url || !src->base.name)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    return sw_http_object_validator(o, &src->base.validator, err);
}

int sw_source_open_http(const char *url, const struct sw_http_options *o, struct sw_source **ret,
                        struct sw_err *err)
{
    struct http_source *src = calloc(1, sizeof(*src));
    sw_autofree char *shown = sw_url_redact(url);

    if (!src || !shown) {
        free(src);
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    }
    src->base.ops = &http_ops;
    if (sw_http_object_init(&src->object, url, o, err) < 0) {
        free(src);
        return -1;
    }
    src->stream.retry = (struct sw_http_retry){ .max = retries_of(src), .cancel = o->cancel };
    if (sw_http_object_resolve(&src->object, &src->seats[0], err) < 0 ||
        describe(src, url, err) < 0) {
        http_close(&src->base);
        return sw_err_wrap(err, "open '%s'", shown);
    }
    *ret = &src->base;
    return 0;
}
