/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/park.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fileio.h"
#include "transfer/park_device.h"
#include "transfer/target_impl.h"

/* Runs of the stream that are parked, ascending, merged. An image that parks every other cluster
 * has many; what they cost is bounded here. */
#define RUNS_MAX (1u << 20)

struct run {
    uint64_t off, len;
    uint64_t log; /* bytes parked before it */
};

struct sw_park {
    char *path;                    /* NULL: device */
    atomic_int fd;                 /* sync() may be called by another thread */
    struct sw_park_device *device; /* or only its memory */
    struct run *runs;
    size_t n, cap;
    uint64_t bytes;
};

static int open_park(const char *path, const struct sw_park_room *room, struct sw_park **ret,
                     struct sw_err *err)
{
    struct sw_park *p = calloc(1, sizeof(*p));

    if (!p)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    atomic_init(&p->fd, -1);
    p->path = path ? strdup(path) : NULL;
    if (path ? !p->path : sw_park_device_open(room, &p->device, err) < 0) {
        free(p);
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    }
    *ret = p;
    return 0;
}

int sw_park_open(const char *path, uint64_t max_memory, struct sw_park **ret, struct sw_err *err)
{
    const struct sw_park_room room = { .memory = max_memory };

    return open_park(path, &room, ret, err);
}

int sw_park_open_device(struct sw_target *t, const struct sw_reader *reader, uint64_t max_memory,
                        struct sw_park **ret, struct sw_err *err)
{
    struct sw_sink *sink = sw_target_sink(t);
    const struct sw_park_room room = { .sink = sink,
                                       .lane = sw_target_lane(t, SW_TARGET_LANES - 1),
                                       .withheld = SW_WITHHELD,
                                       .memory = max_memory,
                                       .reader = reader };

    return open_park(NULL, &room, ret, err);
}

void sw_park_close(struct sw_park *p)
{
    if (!p)
        return;
    if (atomic_load(&p->fd) >= 0)
        close(atomic_load(&p->fd));
    free(p->path);
    sw_park_device_close(p->device);
    free(p->runs);
    free(p);
}

static int add_run(struct sw_park *p, uint64_t off, uint64_t len, struct sw_err *err)
{
    struct run *last = p->n ? &p->runs[p->n - 1] : NULL;

    if (last && last->off + last->len == off) {
        last->len += len;
        return 0;
    }
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        struct run *runs = cap <= RUNS_MAX ? realloc(p->runs, cap * sizeof(*runs)) : NULL;

        if (!runs)
            return sw_err_set(
                err, SW_ERR_UNSUPPORTED,
                "the image is too scattered to be read as a stream (%zu parked runs): "
                "give it as a file or from a server with ranges",
                p->n);
        p->runs = runs;
        p->cap = cap;
    }
    assert(p->runs);
    p->runs[p->n++] = (struct run){ .off = off, .len = len, .log = p->bytes };
    return 0;
}

static int open_file(struct sw_park *p, int flags, struct sw_err *err)
{
    if (atomic_load(&p->fd) < 0)
        atomic_store(&p->fd, open(p->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600));
    if (atomic_load(&p->fd) < 0)
        return sw_err_sys(err, errno, "%s '%s'", flags & O_CREAT ? "create" : "open", p->path);
    return 0;
}

static int put_file(struct sw_park *p, uint64_t off, struct sw_span bytes, struct sw_err *err)
{
    if (open_file(p, O_CREAT | O_TRUNC, err) < 0)
        return -1;
    if (sw_pwrite_full(atomic_load(&p->fd), bytes.p, bytes.n, off, err) < 0)
        return sw_err_wrap(err, "park in '%s'", p->path);
    return 0;
}

int sw_park_put(struct sw_park *p, uint64_t off, struct sw_span bytes, struct sw_err *err)
{
    if (add_run(p, off, bytes.n, err) < 0)
        return -1;
    p->bytes += bytes.n;
    return p->path ? put_file(p, off, bytes, err) : sw_park_device_append(p->device, bytes, err);
}

int sw_park_restore(struct sw_park *p, uint64_t off, uint64_t len, struct sw_err *err)
{
    const struct run *last = p->n ? &p->runs[p->n - 1] : NULL;
    struct stat st;

    if (last && last->off + last->len > off)
        return sw_err_set(err, SW_ERR_BAD_DATA, "parked twice at %llu", (unsigned long long)off);
    if (open_file(p, 0, err) < 0)
        return -1;
    if (fstat(atomic_load(&p->fd), &st) < 0)
        return sw_err_sys(err, errno, "look at '%s'", p->path);
    if ((uint64_t)st.st_size < off || (uint64_t)st.st_size - off < len)
        return sw_err_set(err, SW_ERR_BAD_DATA, "'%s' was cut short by somebody", p->path);
    if (add_run(p, off, len, err) < 0)
        return -1;
    p->bytes += len;
    return 0;
}

int sw_park_sync(struct sw_park *p, struct sw_err *err)
{
    int fd = atomic_load(&p->fd);

    if (fd >= 0 && fdatasync(fd) < 0)
        return sw_err_sys(err, errno, "sync '%s'", p->path);
    return 0;
}

/* The last run that begins at or before off, or NULL. */
static const struct run *run_before(const struct sw_park *p, uint64_t off)
{
    size_t lo = 0, hi = p->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (p->runs[mid].off <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? &p->runs[lo - 1] : NULL;
}

/* The run that holds all of [off, off + len), or NULL. */
static const struct run *find(const struct sw_park *p, uint64_t off, size_t len)
{
    const struct run *r = run_before(p, off);

    return r && off - r->off <= r->len && len <= r->len - (off - r->off) ? r : NULL;
}

uint64_t sw_park_have(const struct sw_park *p, uint64_t off)
{
    const struct run *r = run_before(p, off);

    return r && off - r->off < r->len ? r->len - (off - r->off) : 0;
}

int sw_park_get(struct sw_park *p, uint64_t off, void *buf, size_t len, struct sw_err *err)
{
    const struct run *r = find(p, off, len);

    if (!r)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "%zu bytes at offset %llu of the image are used twice, or by its tables: "
                          "a stream cannot go back to them",
                          len, (unsigned long long)off);
    if (!p->path)
        return sw_park_device_read(p->device, r->log + (off - r->off), buf, len, err);
    ssize_t got = sw_pread_full(atomic_load(&p->fd), buf, len, off, err);
    if (got < 0)
        return sw_err_wrap(err, "'%s'", p->path);
    if ((size_t)got < len)
        return sw_err_set(err, SW_ERR_INTERNAL, "'%s' was cut short by somebody", p->path);
    return 0;
}

/* The side file keeps its bytes to the end: files have the room, and a hole costs as much. */
int sw_park_drop(struct sw_park *p, uint64_t upto, struct sw_err *err)
{
    const struct run *r = run_before(p, upto);

    if (p->path || !r)
        return 0;
    return sw_park_device_drop(p->device, r->log + sw_min_u64(upto - r->off, r->len), err);
}

int sw_park_claim(struct sw_park *p, uint64_t off, uint64_t len, struct sw_err *err)
{
    return p->path ? 0 : sw_park_device_claim(p->device, off, len, err);
}

int sw_park_clear(struct sw_park *p, struct sw_err *err)
{
    return p->path ? 0 : sw_park_device_clear(p->device, err);
}

uint64_t sw_park_bytes(const struct sw_park *p)
{
    return p->bytes;
}
