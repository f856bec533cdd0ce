/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/park.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/fileio.h"

/* Runs of the stream that are parked, ascending, merged. An image that parks every other cluster
 * has many; what they cost is bounded here. */
#define RUNS_MAX (1u << 20)

struct run {
    uint64_t off, len;
    uint64_t mem; /* memory parks: where in `memory` the run begins */
};

struct sw_park {
    char *path; /* NULL: memory */
    int fd;
    uint8_t *memory;
    uint64_t mem_used, mem_cap, mem_max;
    struct run *runs;
    size_t n, cap;
    uint64_t bytes;
};

int sw_park_open(const char *path, uint64_t max_memory, struct sw_park **ret, struct sw_err *err)
{
    struct sw_park *p = calloc(1, sizeof(*p));

    if (!p)
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    p->fd = -1;
    p->mem_max = max_memory;
    if (path && !(p->path = strdup(path))) {
        free(p);
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    }
    *ret = p;
    return 0;
}

void sw_park_close(struct sw_park *p)
{
    if (!p)
        return;
    if (p->fd >= 0) {
        close(p->fd);
        unlink(p->path);
    }
    free(p->path);
    free(p->memory);
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
    p->runs[p->n++] = (struct run){ .off = off, .len = len, .mem = p->mem_used };
    return 0;
}

static int put_file(struct sw_park *p, uint64_t off, struct sw_span bytes, struct sw_err *err)
{
    if (p->fd < 0)
        p->fd = open(p->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->fd < 0)
        return sw_err_sys(err, errno, "create '%s'", p->path);
    if (sw_pwrite_full(p->fd, bytes.p, bytes.n, off, err) < 0)
        return sw_err_wrap(err, "park in '%s'", p->path);
    return 0;
}

static int put_memory(struct sw_park *p, struct sw_span bytes, struct sw_err *err)
{
    if (bytes.n > p->mem_max - p->mem_used)
        return sw_err_set(err, SW_ERR_UNSUPPORTED,
                          "the image's tables come after more than %llu MiB of its data, which a "
                          "stream to a block target cannot hold back: give it as a file or from a "
                          "server with ranges, or raise --memory",
                          (unsigned long long)(p->mem_max >> 20));
    if (p->mem_used + bytes.n > p->mem_cap) {
        uint64_t cap = sw_max_u64(p->mem_cap * 2, sw_align_up(p->mem_used + bytes.n, 65536));
        uint8_t *memory = realloc(p->memory, cap);

        if (!memory)
            return sw_err_set(err, SW_ERR_INTERNAL, "out of memory for parked bytes");
        p->memory = memory;
        p->mem_cap = cap;
    }
    memcpy(p->memory + p->mem_used, bytes.p, bytes.n);
    return 0;
}

int sw_park_put(struct sw_park *p, uint64_t off, struct sw_span bytes, struct sw_err *err)
{
    if ((p->path ? put_file(p, off, bytes, err) : put_memory(p, bytes, err)) < 0 ||
        add_run(p, off, bytes.n, err) < 0)
        return -1;
    p->mem_used += p->path ? 0 : bytes.n;
    p->bytes += bytes.n;
    return 0;
}

/* The run that holds all of [off, off + len), or NULL. */
static const struct run *find(const struct sw_park *p, uint64_t off, size_t len)
{
    size_t lo = 0, hi = p->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (p->runs[mid].off <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return NULL;
    const struct run *r = &p->runs[lo - 1];
    return off - r->off <= r->len && len <= r->len - (off - r->off) ? r : NULL;
}

int sw_park_get(struct sw_park *p, uint64_t off, void *buf, size_t len, struct sw_err *err)
{
    const struct run *r = find(p, off, len);

    if (!r)
        return sw_err_set(err, SW_ERR_BAD_DATA,
                          "%zu bytes at offset %llu of the image are used twice, or by its tables: "
                          "a stream cannot go back to them",
                          len, (unsigned long long)off);
    if (!p->path) {
        memcpy(buf, p->memory + r->mem + (off - r->off), len);
        return 0;
    }
    ssize_t got = sw_pread_full(p->fd, buf, len, off, err);
    if (got < 0)
        return sw_err_wrap(err, "'%s'", p->path);
    if ((size_t)got < len)
        return sw_err_set(err, SW_ERR_INTERNAL, "'%s' was cut short by somebody", p->path);
    return 0;
}

uint64_t sw_park_bytes(const struct sw_park *p)
{
    return p->bytes;
}
