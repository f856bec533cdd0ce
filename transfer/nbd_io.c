/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/nbd_io.h"

#include <assert.h>
#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <string.h>

#include "common/bytes.h"
#include "common/clock.h"

#define DEFAULT_STALL_NS (60 * SW_NS_PER_SEC)
#define DEFAULT_MAX_BLOCK (32 * SW_MIB) /* the protocol's own default limit for a request */
#define LARGEST_MIN_BLOCK (64 * SW_KIB) /* the protocol's limit for "minimum block size" */

bool sw_is_nbd_uri(const char *text)
{
    static const char *const schemes[] = { "nbd://", "nbds://", "nbd+unix://", "nbds+unix://" };

    for (size_t i = 0; i < SW_COUNT(schemes); i++) {
        if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0)
            return true;
    }
    return false;
}

char *sw_nbd_redact(const char *uri)
{
    char *copy = strdup(uri);
    char *host = copy ? strstr(copy, "://") : NULL;

    if (!host)
        return copy;
    host += 3;

    char *at = memchr(host, '@', strcspn(host, "/?#"));
    char *colon = at ? memchr(host, ':', (size_t)(at - host)) : NULL;
    if (colon)
        memmove(colon, at, strlen(at) + 1);
    return copy;
}

/* libnbd's last error, which is per thread, as ours. Everything about TLS is a matter of
 * credentials; socket errors may be gone at the next attempt. */
static enum sw_err_kind kind_of(int sys, const char *why)
{
    if (strstr(why, "gnutls") || strstr(why, "TLS") || strstr(why, "certificate"))
        return SW_ERR_DENIED;
    switch (sys) {
    case ENOENT:
        return SW_ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return SW_ERR_DENIED;
    case EINVAL:
    case ENOTSUP:
        return SW_ERR_UNSUPPORTED;
    default:
        return SW_ERR_TRANSIENT;
    }
}

static int failed(const struct sw_nbd_dial *d, const char *doing, struct sw_err *err)
{
    const char *why = nbd_get_error();
    int sys = nbd_get_errno();

    if (!why)
        why = "closed by the server";
    sw_err_set(err, kind_of(sys, why), "%s '%s': %s", doing, d->where, why);
    err->sys = sys;
    return -1;
}

/* Closing drops all commands in flight: no buffer or slot of theirs is touched afterwards. */
static void drop(struct sw_nbd_conn *conn)
{
    nbd_close(conn->h); /* accepts NULL */
    conn->h = NULL;
}

void sw_nbd_disconnect(struct sw_nbd_conn *conn)
{
    if (conn->h && nbd_aio_is_ready(conn->h) == 1)
        (void)nbd_aio_disconnect(conn->h, 0);
    drop(conn);
}

static int lost(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, const char *why,
                struct sw_err *err)
{
    sw_err_set(err, SW_ERR_TRANSIENT, "connection to '%s' lost: %s", d->where,
               why ? why : "closed by the server");
    err->sys = ENOTCONN;
    drop(conn);
    return -1;
}

/* Wait until the socket is ready for what libnbd wants. Returns its events; -1 when cancelled or
 * stalled. */
static int wait_for_socket(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d,
                           struct sw_err *err)
{
    const int64_t stall = d->stall_ns ? d->stall_ns : DEFAULT_STALL_NS;
    const unsigned dir = nbd_aio_get_direction(conn->h);
    struct timespec t = { .tv_sec = stall / SW_NS_PER_SEC, .tv_nsec = stall % SW_NS_PER_SEC };
    struct pollfd p[2] = {
        { .fd = nbd_aio_get_fd(conn->h) },
        { .fd = d->cancel ? d->cancel->fd : -1, .events = POLLIN },
    };
    int r;

    if (dir & LIBNBD_AIO_DIRECTION_READ)
        p[0].events |= POLLIN;
    if (dir & LIBNBD_AIO_DIRECTION_WRITE)
        p[0].events |= POLLOUT;
    do {
        r = ppoll(p, 2, &t, NULL);
    } while (r < 0 && errno == EINTR && !sw_cancelled(d->cancel));

    if (sw_cancelled(d->cancel))
        return sw_err_set(err, SW_ERR_CANCELLED, "cancelled");
    if (r > 0)
        return p[0].revents;
    if (r < 0)
        return sw_err_sys(err, errno, "poll");
    sw_err_set(err, SW_ERR_TRANSIENT, "'%s': the server did nothing for %.1f s", d->where,
               (double)stall / SW_NS_PER_SEC);
    err->sys = ETIMEDOUT;
    return -1;
}

/* Let libnbd send and receive once. -1: the connection is closed. */
static int turn(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, const char *doing,
                struct sw_err *err)
{
    int events = wait_for_socket(conn, d, err);
    int r = 0;

    if (events < 0) {
        drop(conn);
        return -1;
    }
    if (events & (POLLIN | POLLHUP))
        r = nbd_aio_notify_read(conn->h);
    else if (events & POLLOUT)
        r = nbd_aio_notify_write(conn->h);
    else if (events)
        return lost(conn, d, "socket error", err);
    if (r == 0)
        return 0;
    failed(d, doing, err);
    drop(conn);
    return -1;
}

static int set_up(struct nbd_handle *h, const struct sw_nbd_dial *d)
{
    if (nbd_set_uri_allow_local_file(h, true) < 0)
        return -1;
    if (d->tls_dir && nbd_set_tls_certificates(h, d->tls_dir) < 0)
        return -1;
    if (d->insecure && nbd_set_tls_verify_peer(h, false) < 0)
        return -1;
    if (d->block_status && nbd_add_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0)
        return -1;
    return 0;
}

static int learn_blocks(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, struct sw_err *err)
{
    int64_t min = nbd_get_block_size(conn->h, LIBNBD_SIZE_MINIMUM);
    int64_t max = nbd_get_block_size(conn->h, LIBNBD_SIZE_MAXIMUM);

    if (min <= 0)
        min = 1;
    if (max <= 0)
        max = DEFAULT_MAX_BLOCK;
    if (!sw_is_pow2((uint64_t)min) || (uint64_t)min > LARGEST_MIN_BLOCK || max < min)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "'%s': the server names impossible block sizes: minimum %lld, maximum "
                          "%lld bytes",
                          d->where, (long long)min, (long long)max);
    max = (int64_t)sw_min_u64((uint64_t)max, DEFAULT_MAX_BLOCK);
    conn->facts.min_block = (uint32_t)min;
    conn->facts.max_block = (uint32_t)sw_align_down((uint64_t)max, (uint64_t)min);
    return 0;
}

static int learn(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, struct sw_err *err)
{
    struct sw_nbd_facts *f = &conn->facts;
    int64_t size = nbd_get_size(conn->h);

    if (size < 0)
        return failed(d, "size of", err);
    *f = (struct sw_nbd_facts){
        .size = (uint64_t)size,
        .read_only = nbd_is_read_only(conn->h) != 0,
        .multi_conn = nbd_can_multi_conn(conn->h) == 1,
        .zero = nbd_can_zero(conn->h) == 1,
        .fast_zero = nbd_can_fast_zero(conn->h) == 1,
        .flush = nbd_can_flush(conn->h) == 1,
        .block_status = d->block_status &&
                        nbd_can_meta_context(conn->h, LIBNBD_CONTEXT_BASE_ALLOCATION) == 1,
    };
    return learn_blocks(conn, d, err);
}

static int start(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, struct sw_err *err)
{
    conn->h = nbd_create();
    if (!conn->h)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (set_up(conn->h, d) < 0 || nbd_aio_connect_uri(conn->h, d->uri) < 0)
        return failed(d, "connect to", err);
    return 0;
}

int sw_nbd_connect(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, struct sw_err *err)
{
    assert(!conn->h);
    if (!sw_is_nbd_uri(d->uri))
        return sw_err_set(err, SW_ERR_USAGE,
                          "'%s' is not an NBD address (nbd://HOST/EXPORT, nbds://HOST/EXPORT, "
                          "nbd+unix:///EXPORT?socket=PATH)",
                          d->where);
    if (start(conn, d, err) < 0) {
        drop(conn);
        return -1;
    }
    while (nbd_aio_is_connecting(conn->h) == 1) {
        if (turn(conn, d, "connect to", err) < 0)
            return -1;
    }
    if (nbd_aio_is_ready(conn->h) != 1)
        return lost(conn, d, "closed during the handshake", err);
    if (learn(conn, d, err) < 0) {
        drop(conn);
        return -1;
    }
    return 0;
}

/* One request on the wire. */
struct slot {
    uint64_t off, len;
    bool busy;
    int error; /* errno of the server, or 0 */
};

/* A completion's error argument is the only place where a failed read is told (ignoring it is
 * CVE-2022-0485). Returning 1 retires the command. */
static int on_done(void *user, int *error)
{
    struct slot *s = user;

    s->error = *error;
    s->busy = false;
    return 1;
}

static int64_t issue(struct sw_nbd_conn *conn, const struct sw_nbd_job *j, struct slot *s)
{
    nbd_completion_callback cb = { .callback = on_done, .user_data = s };
    uint8_t *p = j->buf ? j->buf + (s->off - j->off) : NULL;

    s->busy = true;
    s->error = 0;
    switch (j->op) {
    case SW_NBD_READ:
        return nbd_aio_pread(conn->h, p, (size_t)s->len, s->off, cb, 0);
    case SW_NBD_WRITE:
        return nbd_aio_pwrite(conn->h, p, (size_t)s->len, s->off, cb, 0);
    case SW_NBD_ZERO:
        return nbd_aio_zero(conn->h, s->len, s->off, cb, j->fast ? LIBNBD_CMD_FLAG_FAST_ZERO : 0);
    }
    return -1;
}

/* The pieces of one job: a window of requests, refilled as they complete. */
struct flight {
    struct slot slot[SW_NBD_DEPTH_MAX];
    uint64_t next;      /* first byte of the export not asked for yet */
    struct slot failed; /* the first refusal; error 0: none */
};

static bool is_gone(const struct sw_nbd_conn *conn)
{
    return nbd_aio_is_dead(conn->h) == 1 || nbd_aio_is_closed(conn->h) == 1;
}

static int fill(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, struct sw_nbd_job *j,
                struct flight *f, struct sw_err *err)
{
    const uint64_t end = j->off + j->len;

    for (unsigned i = 0; i < j->depth && f->next < end && !f->failed.error; i++) {
        struct slot *s = &f->slot[i];

        /* A slot that failed keeps its error until settle() has seen it. */
        if (s->busy || s->error)
            continue;
        s->off = f->next;
        s->len = sw_min_u64(j->piece, end - f->next);
        if (issue(conn, j, s) >= 0) {
            f->next += s->len;
            continue;
        }
        s->busy = false;
        if (is_gone(conn))
            return lost(conn, d, nbd_get_error(), err);
        failed(d, "request to", err); /* refused by libnbd itself: flags, bounds */
        drop(conn);
        return -1;
    }
    return 0;
}

/* Look at what has completed. Returns the number of requests still on the wire; j->done becomes the
 * start of the first piece that is not transferred. */
static unsigned settle(struct sw_nbd_job *j, struct flight *f)
{
    uint64_t first = f->next;
    unsigned busy = 0;

    for (unsigned i = 0; i < j->depth; i++) {
        struct slot *s = &f->slot[i];

        if (s->error && !f->failed.error)
            f->failed = *s;
        if (s->busy || s->error)
            first = sw_min_u64(first, s->off);
        busy += s->busy;
    }
    j->done = first - j->off;
    return busy;
}

static const char *verb(enum sw_nbd_op op)
{
    return op == SW_NBD_READ ? "read" : op == SW_NBD_WRITE ? "write" : "zero";
}

int sw_nbd_run(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, struct sw_nbd_job *j,
               struct sw_err *err)
{
    struct flight f = { .next = j->off };

    assert(j->depth > 0 && j->depth <= SW_NBD_DEPTH_MAX && j->piece > 0);
    j->done = 0;
    for (;;) {
        if (fill(conn, d, j, &f, err) < 0)
            return -1;
        unsigned busy = settle(j, &f);
        if (is_gone(conn))
            return lost(conn, d, NULL, err);
        if (!busy && (f.failed.error || j->done == j->len))
            break;
        if (busy && turn(conn, d, "talk to", err) < 0) {
            if (err->kind != SW_ERR_CANCELLED)
                err->kind = SW_ERR_TRANSIENT;
            return -1;
        }
    }
    if (f.failed.error)
        return sw_err_sys(
            err, f.failed.error, "'%s': the server cannot %s %llu bytes at offset %llu", d->where,
            verb(j->op), (unsigned long long)f.failed.len, (unsigned long long)f.failed.off);
    return 0;
}

/* Wait for a single request. */
static int wait_one(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, const struct slot *s,
                    struct sw_err *err)
{
    while (s->busy) {
        if (is_gone(conn))
            return lost(conn, d, NULL, err);
        if (turn(conn, d, "talk to", err) < 0) {
            if (err->kind != SW_ERR_CANCELLED)
                err->kind = SW_ERR_TRANSIENT;
            return -1;
        }
    }
    return is_gone(conn) ? lost(conn, d, NULL, err) : 0;
}

static int not_issued(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, struct sw_err *err)
{
    return lost(conn, d, nbd_get_error(), err);
}

int sw_nbd_flush(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d, struct sw_err *err)
{
    struct slot s = { .busy = true };
    nbd_completion_callback cb = { .callback = on_done, .user_data = &s };

    if (nbd_aio_flush(conn->h, cb, 0) < 0)
        return not_issued(conn, d, err);
    if (wait_one(conn, d, &s, err) < 0)
        return -1;
    if (s.error)
        return sw_err_sys(err, s.error, "'%s': the server cannot flush", d->where);
    return 0;
}

/* The server may send more than was asked for, less, or nonsense: extents of no length end the
 * answer, what lies past the question is cut off. */
static void add_extent(struct sw_nbd_status *st, uint64_t len, bool is_zero)
{
    uint64_t from = st->n ? st->extent[st->n - 1].end : st->off;
    uint64_t end = sw_min_u64(from + len, st->off + st->len);

    if (st->n && st->extent[st->n - 1].is_zero == is_zero)
        st->extent[st->n - 1].end = end;
    else if (st->n < st->max && end > from)
        st->extent[st->n++] = (struct sw_nbd_extent){ from, end, is_zero };
}

static int on_extents(void *user, const char *context, uint64_t off, uint32_t *entries, size_t n,
                      int *error)
{
    struct sw_nbd_status *st = user;

    if (*error || strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0 || off != st->off)
        return 0;
    for (size_t i = 0; i + 1 < n && entries[i]; i += 2) {
        bool is_zero = entries[i + 1] & LIBNBD_STATE_ZERO;
        bool is_full = st->n == st->max && st->extent[st->n - 1].is_zero != is_zero;

        if (is_full)
            break;
        add_extent(st, entries[i], is_zero);
    }
    return 0;
}

int sw_nbd_block_status(struct sw_nbd_conn *conn, const struct sw_nbd_dial *d,
                        struct sw_nbd_status *st, struct sw_err *err)
{
    struct slot s = { .busy = true };
    nbd_completion_callback done = { .callback = on_done, .user_data = &s };
    nbd_extent_callback extents = { .callback = on_extents, .user_data = st };

    assert(st->max > 0);
    st->n = 0;
    if (nbd_aio_block_status(conn->h, st->len, st->off, extents, done, 0) < 0)
        return not_issued(conn, d, err);
    if (wait_one(conn, d, &s, err) < 0)
        return -1;
    if (s.error)
        return sw_err_sys(err, s.error, "'%s': the server cannot tell what is allocated", d->where);
    if (!st->n)
        return sw_err_set(err, SW_ERR_BAD_DATA, "'%s': empty answer about allocation", d->where);
    return 0;
}
