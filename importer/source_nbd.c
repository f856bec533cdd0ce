/* SPDX-License-Identifier: Apache-2.0 */
#include "importer/sources.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libnbd.h>

#include "common/buf.h"
#include "common/bytes.h"
#include "common/clock.h"
#include "common/fileio.h"
#include "transfer/nbd_io.h"

#define DEFAULT_CONNECTIONS 4
#define DEFAULT_RETRIES 8
#define DEFAULT_STALL_NS (30 * SW_NS_PER_SEC)
#define FIRST_WAIT_NS (200 * SW_NS_PER_MS) /* doubled per attempt that brought nothing */
#define LONGEST_WAIT_NS (10 * SW_NS_PER_SEC)

/* 16 requests of 256 KiB per connection: nbdcopy measured no gain beyond. */
#define READ_PIECE (256 * SW_KIB)
#define READ_DEPTH 16

/* One question about allocation covers this much; the answer is kept. */
#define STATUS_WINDOW SW_GIB
#define STATUS_EXTENTS 1024

#define PEM_MAX SW_MIB /* of all CA certificates together */

struct lane_conn {
    struct sw_nbd_conn conn;
    pthread_mutex_t lock; /* conn; lane 0's is also used by status() */
};

struct nbd_source {
    struct sw_source base;
    char *uri;
    char *tls_dir; /* a directory of ours that libnbd reads certificates from, or NULL */
    struct sw_nbd_dial dial;
    struct sw_nbd_facts facts; /* of the first connection */
    unsigned retries;
    bool ask_status; /* the server tells what is zero; status() only */
    size_t n_extents;
    struct sw_nbd_extent extent[STATUS_EXTENTS];
    struct lane_conn lane[SW_LANES_MAX];
};

static struct nbd_source *nbd_source(struct sw_source *s)
{
    return (struct nbd_source *)s;
}

/* ---- connections ---- */

static int reconnect(struct nbd_source *n, struct sw_nbd_conn *conn, struct sw_err *err)
{
    if (conn->h)
        return 0;
    if (sw_nbd_connect(conn, &n->dial, err) < 0)
        return -1;
    if (conn->facts.size == n->facts.size && conn->facts.min_block <= n->facts.min_block)
        return 0;
    sw_err_set(err, SW_ERR_BAD_DATA, "'%s' had %llu bytes and has %llu on a new connection",
               n->base.url, (unsigned long long)n->facts.size,
               (unsigned long long)conn->facts.size);
    sw_nbd_disconnect(conn);
    return -1;
}

/* A lost connection, a server that restarts (no socket, no export for a moment), and a read error
 * of its storage may all be over at the next attempt. */
static bool is_worth_retrying(const struct sw_err *err)
{
    return err->kind == SW_ERR_TRANSIENT || err->kind == SW_ERR_NOT_FOUND || err->sys == EIO ||
           err->sys == ENOMEM || err->sys == ESHUTDOWN;
}

static int give_up(const struct nbd_source *n, unsigned attempts, struct sw_err *err)
{
    if (!is_worth_retrying(err))
        return -1;
    err->kind = SW_ERR_TRANSIENT;
    return sw_err_wrap(err, "gave up after %u attempts on '%s'", attempts, n->base.url);
}

static int64_t back_off(unsigned attempt)
{
    int64_t ns = FIRST_WAIT_NS << (attempt < 8 ? attempt : 8);

    return ns < LONGEST_WAIT_NS ? ns : LONGEST_WAIT_NS;
}

/* Read whole minimum blocks, through as many connections as it takes. Attempts count anew whenever
 * one has brought some bytes. */
static int read_blocks(struct nbd_source *n, struct sw_nbd_conn *conn, struct sw_nbd_job j,
                       struct sw_err *err)
{
    unsigned attempt = 0;

    j.op = SW_NBD_READ;
    j.depth = READ_DEPTH;
    j.piece = (uint32_t)sw_min_u64(sw_max_u64(READ_PIECE, n->facts.min_block), n->facts.max_block);
    for (;;) {
        j.done = 0;
        if (reconnect(n, conn, err) == 0 && sw_nbd_run(conn, &n->dial, &j, err) == 0)
            return 0;
        if (j.done)
            attempt = 0;
        if (!is_worth_retrying(err) || attempt == n->retries)
            return give_up(n, attempt + 1, err);
        j.buf += j.done;
        j.off += j.done;
        j.len -= j.done;
        if (sw_cancel_sleep(n->dial.cancel, back_off(attempt++), err) < 0)
            return -1;
    }
}

/* ---- reading ---- */

/* A read that does not start and end on the server's minimum block goes through memory of our
 * own. Only servers with a minimum above 1 come here, and only for odd ends. */
static int read_unaligned(struct nbd_source *n, struct sw_nbd_conn *conn,
                          const struct sw_nbd_job *want, struct sw_err *err)
{
    const uint64_t from = sw_align_down(want->off, n->facts.min_block);
    const uint64_t to = sw_min_u64(sw_align_up(want->off + want->len, n->facts.min_block),
                                   n->facts.size);
    sw_autofree uint8_t *bounce = malloc((size_t)(to - from));
    struct sw_nbd_job j = { .buf = bounce, .off = from, .len = to - from };

    if (!bounce)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for %llu bytes",
                          (unsigned long long)(to - from));
    if (read_blocks(n, conn, j, err) < 0)
        return -1;
    memcpy(want->buf, bounce + (want->off - from), (size_t)want->len);
    return 0;
}

static int nbd_read_at(struct sw_source *s, unsigned lane, void *buf, size_t len, uint64_t off,
                       struct sw_err *err)
{
    struct nbd_source *n = nbd_source(s);
    struct lane_conn *l = &n->lane[lane % s->lanes];
    struct sw_nbd_job j = { .buf = buf, .off = off, .len = len };
    const uint64_t odd = (off | len) & (n->facts.min_block - 1);
    SW_LOCK_SCOPE(&l->lock);

    if (!len)
        return 0;
    if ((odd ? read_unaligned(n, &l->conn, &j, err) : read_blocks(n, &l->conn, j, err)) < 0)
        return -1;
    __atomic_fetch_add(&s->fetched, len, __ATOMIC_RELAXED);
    return 0;
}

/* ---- allocation ---- */

static const struct sw_nbd_extent *find_extent(const struct nbd_source *n, uint64_t off)
{
    for (size_t i = 0; i < n->n_extents; i++) {
        if (off >= n->extent[i].off && off < n->extent[i].end)
            return &n->extent[i];
    }
    return NULL;
}

static int ask(struct nbd_source *n, uint64_t off, struct sw_err *err)
{
    const uint64_t from = sw_align_down(off, n->facts.min_block);
    struct lane_conn *l = &n->lane[0];
    struct sw_nbd_status st = { .off = from,
                                .extent = n->extent,
                                .max = STATUS_EXTENTS,
                                .len = sw_min_u64(STATUS_WINDOW, n->facts.size - from) };
    SW_LOCK_SCOPE(&l->lock);

    n->n_extents = 0;
    if (reconnect(n, &l->conn, err) < 0 || sw_nbd_block_status(&l->conn, &n->dial, &st, err) < 0)
        return -1;
    n->n_extents = st.n;
    return 0;
}

/* Only a saving: a server that cannot answer makes everything data, and reading finds out what is
 * wrong with it, with retries. */
static int nbd_status(struct sw_source *s, uint64_t off, uint64_t len, bool *ret_zero,
                      uint64_t *ret_len, struct sw_err *err)
{
    struct nbd_source *n = nbd_source(s);
    struct sw_err why = { 0 };
    const struct sw_nbd_extent *e = find_extent(n, off);

    *ret_zero = false;
    *ret_len = len;
    if (!e && n->ask_status && ask(n, off, &why) < 0) {
        if (why.kind == SW_ERR_CANCELLED) {
            *err = why;
            return -1;
        }
        n->ask_status = false;
        return 0;
    }
    e = find_extent(n, off);
    if (e) {
        *ret_zero = e->is_zero;
        *ret_len = sw_min_u64(len, e->end - off);
    }
    return 0;
}

/* ---- certificates ---- */

/* libnbd takes certificates from a directory with fixed names; ours have names of their own. */
static int add_pem(const char *path, struct sw_buf *all, struct sw_err *err)
{
    sw_autofree char *text = NULL;

    if (sw_file_slurp(path, PEM_MAX, &text, NULL, err) < 0)
        return -1;
    sw_buf_printf(all, "%s\n", text);
    return sw_buf_check(all, "the CA certificates", err);
}

static int add_pem_dir(const char *dir, struct sw_buf *all, struct sw_err *err)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int r = 0;

    if (!d)
        return sw_err_sys(err, errno, "open directory '%s'", dir);
    while (r == 0 && (e = readdir(d))) {
        sw_autobuf struct sw_buf path = SW_BUF_INIT(8192);

        if (e->d_name[0] == '.')
            continue;
        sw_buf_printf(&path, "%s/%s", dir, e->d_name);
        r = sw_buf_check(&path, "the path", err);
        if (r == 0)
            r = add_pem(path.p, all, err);
    }
    closedir(d);
    return r;
}

static int link_in(const char *tls_dir, const char *name, const char *file, struct sw_err *err)
{
    sw_autobuf struct sw_buf path = SW_BUF_INIT(8192);
    sw_autofree char *absolute = NULL;

    if (!file)
        return 0;
    absolute = realpath(file, NULL);
    if (!absolute)
        return sw_err_sys(err, errno, "open '%s'", file);
    sw_buf_printf(&path, "%s/%s", tls_dir, name);
    if (sw_buf_check(&path, "the path", err) < 0)
        return -1;
    if (symlink(absolute, path.p) < 0)
        return sw_err_sys(err, errno, "create '%s'", path.p);
    return 0;
}

static int put_ca(const char *tls_dir, const struct sw_http_options *o, struct sw_err *err)
{
    sw_autobuf struct sw_buf pem = SW_BUF_INIT(PEM_MAX);
    sw_autobuf struct sw_buf path = SW_BUF_INIT(8192);

    if (o->ca_file && add_pem(o->ca_file, &pem, err) < 0)
        return -1;
    if (o->ca_dir && add_pem_dir(o->ca_dir, &pem, err) < 0)
        return -1;
    sw_buf_printf(&path, "%s/ca-cert.pem", tls_dir);
    if (sw_buf_check(&path, "the path", err) < 0)
        return -1;
    return sw_file_replace(path.p, sw_buf_str(&pem), pem.n, 0600, err);
}

static int make_tls_dir(struct nbd_source *n, const struct sw_http_options *o, struct sw_err *err)
{
    const char *base = getenv("TMPDIR");
    sw_autobuf struct sw_buf path = SW_BUF_INIT(4096);

    if (!o->ca_file && !o->ca_dir && !o->cert_file)
        return 0;
    if (!o->ca_file && !o->ca_dir)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "'%s': a client certificate for NBD needs a CA certificate beside it",
                          n->base.url);
    sw_buf_printf(&path, "%s/slipway-tls-XXXXXX", base && *base ? base : "/tmp");
    if (sw_buf_check(&path, "the path", err) < 0)
        return -1;
    if (!mkdtemp(path.p))
        return sw_err_sys(err, errno, "create the directory '%s'", path.p);
    n->tls_dir = sw_steal(path.p);
    n->dial.tls_dir = n->tls_dir;
    if (put_ca(n->tls_dir, o, err) < 0 ||
        link_in(n->tls_dir, "client-cert.pem", o->cert_file, err) < 0)
        return -1;
    return link_in(n->tls_dir, "client-key.pem", o->key_file, err);
}

static void remove_tls_dir(const char *dir)
{
    static const char *const names[] = { "ca-cert.pem", "client-cert.pem", "client-key.pem" };

    for (size_t i = 0; i < SW_COUNT(names); i++) {
        sw_autobuf struct sw_buf path = SW_BUF_INIT(8192);

        sw_buf_printf(&path, "%s/%s", dir, names[i]);
        (void)unlink(sw_buf_str(&path));
    }
    (void)rmdir(dir);
}

/* ---- opening ---- */

static void nbd_source_close(struct sw_source *s)
{
    struct nbd_source *n = nbd_source(s);

    if (!n)
        return;
    for (size_t i = 0; i < SW_LANES_MAX; i++) {
        sw_nbd_disconnect(&n->lane[i].conn);
        pthread_mutex_destroy(&n->lane[i].lock);
    }
    if (n->tls_dir)
        remove_tls_dir(n->tls_dir);
    free(n->tls_dir);
    free(n->uri);
    sw_source_done(s);
    free(n);
}

static const struct sw_source_ops nbd_ops = {
    .name = "nbd",
    .read_at = nbd_read_at,
    .status = nbd_status,
    .close = nbd_source_close,
};

static int set_name(struct nbd_source *n, struct sw_err *err)
{
    char *export = nbd_get_export_name(n->lane[0].conn.h); /* malloc()ed by libnbd */

    n->base.name = export ? export : strdup("");
    if (!n->base.name)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    return 0;
}

/* The first connection tells what the export is; the others are made when their lanes first read. */
static int look(struct nbd_source *n, const struct sw_http_options *o, struct sw_err *err)
{
    unsigned want = o->connections ? o->connections : DEFAULT_CONNECTIONS;

    if (sw_nbd_connect(&n->lane[0].conn, &n->dial, err) < 0)
        return -1;
    n->facts = n->lane[0].conn.facts;
    n->base.seekable = true;
    n->base.size = n->facts.size;
    n->base.lanes = n->facts.multi_conn ? (unsigned)sw_min_u64(want, SW_LANES_MAX) : 1;
    n->ask_status = n->facts.block_status;
    return set_name(n, err);
}

int sw_source_open_nbd(const char *uri, const struct sw_http_options *o, struct sw_source **ret,
                       struct sw_err *err)
{
    struct nbd_source *n = calloc(1, sizeof(*n));

    if (!n)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    for (size_t i = 0; i < SW_LANES_MAX; i++)
        pthread_mutex_init(&n->lane[i].lock, NULL);
    n->base.ops = &nbd_ops;
    n->base.url = sw_nbd_redact(uri);
    n->uri = strdup(uri);
    n->retries = o->retries ? o->retries : DEFAULT_RETRIES;
    n->dial = (struct sw_nbd_dial){
        .uri = n->uri,
        .where = n->base.url,
        .insecure = o->insecure,
        .block_status = true,
        .stall_ns = o->stall_ns ? o->stall_ns : DEFAULT_STALL_NS,
        .cancel = o->cancel,
    };

    int r = n->uri && n->base.url ? make_tls_dir(n, o, err)
                                  : sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    if (r < 0 || look(n, o, err) < 0) {
        nbd_source_close(&n->base);
        return -1;
    }
    *ret = &n->base;
    return 0;
}
