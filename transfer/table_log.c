/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/table_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "common/fileio.h"
#include "common/macros.h"

#define HEAD SW_TABLE_RECORD_HEAD
#define FLUSH_AT (UINT64_C(256) << 10)

struct sw_table_log {
    char *path;
    atomic_int fd; /* -1 until the file is needed; sync() may be called by another thread */
    uint64_t at;   /* end of what is in the file, or of what has been read of it          */
    uint64_t max;
    bool full;

    uint8_t *buf; /* adding: not written yet; reading: the record at hand */
    size_t n, cap;
    struct sw_table_record cut; /* reading: the last record, when `upto` lay inside it */
};

int sw_table_log_open(const char *path, uint64_t max_bytes, struct sw_table_log **ret,
                      struct sw_err *err)
{
    struct sw_table_log *l = calloc(1, sizeof(*l));

    if (l)
        l->path = strdup(path);
    if (!l || !l->path) {
        free(l);
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    }
    atomic_init(&l->fd, -1);
    l->max = max_bytes;
    *ret = l;
    return 0;
}

void sw_table_log_close(struct sw_table_log *l)
{
    if (!l)
        return;
    if (atomic_load(&l->fd) >= 0)
        close(atomic_load(&l->fd));
    free(l->path);
    free(l->buf);
    free(l);
}

static int make_room(struct sw_table_log *l, size_t cap, struct sw_err *err)
{
    if (cap <= l->cap)
        return 0;
    if (cap < 2 * l->cap)
        cap = 2 * l->cap;
    uint8_t *buf = realloc(l->buf, cap);

    if (!buf)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for %zu bytes of tables", cap);
    l->buf = buf;
    l->cap = cap;
    return 0;
}

static uint32_t crc_of(const uint8_t head[12], const uint8_t *bytes, size_t n)
{
    uLong crc = crc32(0, head, 12);

    return (uint32_t)(n ? crc32(crc, bytes, (uInt)n) : crc);
}

static size_t payload(const struct sw_table_record *r)
{
    return r->kind == SW_TABLE_BYTES ? r->len : 0;
}

size_t sw_table_record_format(const struct sw_table_record *r, uint8_t *to)
{
    size_t n = payload(r);

    sw_put_le64(to, r->off);
    sw_put_le32(to + 8, (uint32_t)r->kind << 24 | r->len);
    sw_put_le32(to + 12, crc_of(to, r->bytes, n));
    if (n)
        memcpy(to + HEAD, r->bytes, n);
    return HEAD + n;
}

static bool decode_head(const uint8_t *head, struct sw_table_record *ret)
{
    uint32_t word = sw_le32(head + 8);

    *ret = (struct sw_table_record){ .kind = (enum sw_table_kind)(word >> 24),
                                     .off = sw_le64(head),
                                     .len = word & 0xffffff };
    return ret->kind >= SW_TABLE_BYTES && ret->kind <= SW_TABLE_GIVEN &&
           ret->len <= SW_TABLE_RECORD_MAX && ret->off <= UINT64_MAX - ret->len &&
           (ret->len == 0) == (ret->kind == SW_TABLE_GIVEN);
}

size_t sw_table_record_parse(struct sw_span bytes, struct sw_table_record *ret)
{
    if (bytes.n < HEAD || !decode_head(bytes.p, ret))
        return 0;

    size_t n = payload(ret);
    if (bytes.n - HEAD < n || crc_of(bytes.p, bytes.p + HEAD, n) != sw_le32(bytes.p + 12))
        return 0;
    ret->bytes = n ? bytes.p + HEAD : NULL;
    return HEAD + n;
}

/* ---- adding ---------------------------------------------------------------------------------- */

int sw_table_log_add(struct sw_table_log *l, const struct sw_table_record *r, struct sw_err *err)
{
    size_t n = HEAD + payload(r);

    if (r->len > SW_TABLE_RECORD_MAX)
        return sw_err_set(err, SW_ERR_INTERNAL, "a table record of %u bytes", r->len);
    if (l->full || n > l->max - sw_min_u64(l->max, l->at + l->n)) {
        l->full = true;
        return 0;
    }
    if (make_room(l, l->n + n, err) < 0)
        return -1;
    l->n += sw_table_record_format(r, l->buf + l->n);
    return l->n >= FLUSH_AT ? sw_table_log_flush(l, err) : 0;
}

int sw_table_log_flush(struct sw_table_log *l, struct sw_err *err)
{
    int fd = atomic_load(&l->fd);

    if (!l->n)
        return 0;
    if (fd < 0) {
        fd = open(l->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return sw_err_sys(err, errno, "create '%s'", l->path);
        atomic_store(&l->fd, fd);
    }
    if (sw_pwrite_full(fd, l->buf, l->n, l->at, err) < 0)
        return sw_err_wrap(err, "keep tables in '%s'", l->path);
    l->at += l->n;
    l->n = 0;
    return 0;
}

bool sw_table_log_whole(const struct sw_table_log *l)
{
    return !l->full;
}

int sw_table_log_sync(struct sw_table_log *l, struct sw_err *err)
{
    int fd = atomic_load(&l->fd);

    if (fd >= 0 && fdatasync(fd) < 0)
        return sw_err_sys(err, errno, "sync '%s'", l->path);
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The record at l->at, in l->buf. 1, 0 when there is none that is intact, or -1. */
static int read_record(struct sw_table_log *l, struct sw_table_record *ret, struct sw_err *err)
{
    int fd = atomic_load(&l->fd);
    uint8_t head[HEAD];
    ssize_t got = sw_pread_full(fd, head, HEAD, l->at, err);

    if (got < HEAD)
        return got < 0 ? -1 : 0;
    if (!decode_head(head, ret))
        return 0;

    size_t n = HEAD + payload(ret);
    if (make_room(l, n, err) < 0)
        return -1;
    got = sw_pread_full(fd, l->buf, n, l->at, err);
    if (got < 0)
        return -1;
    return sw_table_record_parse((struct sw_span){ l->buf, (size_t)got }, ret) ? 1 : 0;
}

int sw_table_log_next(struct sw_table_log *l, uint64_t upto, struct sw_table_record *ret,
                      struct sw_err *err)
{
    struct sw_table_record r;

    if (atomic_load(&l->fd) < 0) {
        int fd = open(l->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
            return sw_err_sys(err, errno, "open '%s'", l->path);
        atomic_store(&l->fd, fd);
    }
    int rc = l->cut.len ? 0 : read_record(l, &r, err);
    if (rc <= 0)
        return rc;
    if (r.kind == SW_TABLE_GIVEN ? r.off > upto : r.off >= upto)
        return 0;
    if (r.len > upto - r.off) {
        r.len = (uint32_t)(upto - r.off);
        l->cut = r;
    } else {
        l->at += HEAD + payload(&r);
    }
    *ret = r;
    return 1;
}

/* The record that was cut is written in its shorter form before the rest goes: a kill in between
 * leaves a tail that is not intact. */
int sw_table_log_cut(struct sw_table_log *l, struct sw_err *err)
{
    int fd = atomic_load(&l->fd);

    l->n = 0;
    if (l->cut.len) {
        size_t n = HEAD + payload(&l->cut);
        sw_autofree uint8_t *text = malloc(n);

        if (!text)
            return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for %zu bytes of tables", n);
        (void)sw_table_record_format(&l->cut, text);
        if (sw_pwrite_full(fd, text, n, l->at, err) < 0)
            return sw_err_wrap(err, "keep tables in '%s'", l->path);
        l->at += n;
        l->cut = (struct sw_table_record){ 0 };
    }
    if (ftruncate(fd, (off_t)l->at) < 0)
        return sw_err_sys(err, errno, "cut '%s'", l->path);
    return 0;
}
