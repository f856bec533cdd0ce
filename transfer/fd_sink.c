/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer/fd_sink.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bytes.h"

/* Dirty page cache of all lanes together: two windows each, so at most twice this. Small enough for
 * a memory cgroup of 128 MiB, large enough to keep a disk's queue full. */
#define WINDOW_ALL_LANES (8 * SW_MIB)

/* Written wherever no cheaper way to zero is left; never written to, so it takes no memory. */
#define ZEROES_LEN (256 * SW_KIB)
static _Alignas(SW_SINK_ALIGN) uint8_t zeroes[ZEROES_LEN];

struct piece {
    const uint8_t *p;
    size_t len;
    uint64_t off;
};

static struct sw_fd_sink *fd_sink(struct sw_sink *s)
{
    return (struct sw_fd_sink *)s;
}

static void advance(struct piece *w, size_t n)
{
    w->p += n;
    w->len -= n;
    w->off += n;
}

static int write_failed(const struct sw_fd_sink *f, int sys, const struct piece *w,
                        struct sw_err *err)
{
    return sw_err_sys(err, sys, "write %zu bytes at offset %llu of '%s'", w->len,
                      (unsigned long long)w->off, f->base.path);
}

/* Ask the file system what O_DIRECT wants (Linux 6.1 and newer say); never less than a page for
 * offsets, which keeps direct and buffered writes on different pages. */
static void learn_alignment(struct sw_fd_sink *f)
{
    f->align = f->mem_align = SW_SINK_ALIGN;
#ifdef STATX_DIOALIGN
    struct statx sx;

    if (statx(f->direct_fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) < 0 ||
        !(sx.stx_mask & STATX_DIOALIGN))
        return;
    if (!sw_is_pow2(sx.stx_dio_offset_align) || !sw_is_pow2(sx.stx_dio_mem_align)) {
        atomic_store(&f->direct, false); /* 0: "no direct I/O on this file" */
        return;
    }
    f->align = sw_max_u64(SW_SINK_ALIGN, sx.stx_dio_offset_align);
    f->mem_align = sx.stx_dio_mem_align;
#endif
}

int sw_fd_sink_new(const struct sw_sink_ops *ops, const char *path, unsigned lanes,
                   const int fds[2], struct sw_fd_sink **ret, struct sw_err *err)
{
    assert(lanes > 0);

    struct sw_fd_sink *f = calloc(1, sizeof(*f) + lanes * sizeof(f->lane[0]));
    char *name = strdup(path);

    if (!f || !name) {
        free(f);
        free(name);
        for (int i = 0; i < 2; i++) {
            if (fds[i] >= 0)
                close(fds[i]);
        }
        return sw_err_set(err, SW_ERR_INTERNAL, "out of memory");
    }
    f->base.ops = ops;
    f->base.path = name;
    f->base.lanes = lanes;
    f->fd = fds[0];
    f->direct_fd = fds[1];
    atomic_init(&f->direct, fds[1] >= 0);
    atomic_init(&f->behind.refused, false);
    f->behind.fd = f->fd;
    f->behind.window = sw_max_u64(WINDOW_ALL_LANES / lanes, SW_MIB);
    f->align = f->mem_align = SW_SINK_ALIGN;
    if (f->direct_fd >= 0)
        learn_alignment(f);
    *ret = f;
    return 0;
}

static int write_buffered(struct sw_fd_sink *f, unsigned lane, struct piece w, struct sw_err *err)
{
    const uint64_t off = w.off, len = w.len;

    while (w.len) {
        ssize_t n = pwrite(f->fd, w.p, w.len, (off_t)w.off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return write_failed(f, n < 0 ? errno : ENOSPC, &w, err);
        advance(&w, (size_t)n);
    }
    if (len && sw_write_behind_add(&f->behind, &f->lane[lane], off, len, err) < 0)
        return sw_err_wrap(err, "'%s'", f->base.path);
    return 0;
}

/* The aligned middle. On success *w holds what O_DIRECT left over: nothing, or the rest of a short
 * write, or everything when the file system refuses direct writes after all. */
static int write_direct(struct sw_fd_sink *f, struct piece *w, struct sw_err *err)
{
    while (w->len && !(w->off & (f->align - 1))) {
        ssize_t n = pwrite(f->direct_fd, w->p, w->len, (off_t)w->off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) {
            atomic_store(&f->direct, false);
            return 0;
        }
        if (n <= 0)
            return write_failed(f, n < 0 ? errno : ENOSPC, w, err);
        advance(w, (size_t)n);
    }
    return 0;
}

/* How to cut [off, off + len) at p for O_DIRECT: bytes before the aligned middle, and the middle's
 * own (0: nothing of it can go direct). */
static size_t direct_middle(const struct sw_fd_sink *f, const void *p, size_t len, uint64_t off,
                            size_t *ret_head)
{
    uint64_t from = sw_align_up(off, f->align), to = sw_align_down(off + len, f->align);

    *ret_head = 0;
    if (!atomic_load_explicit(&f->direct, memory_order_relaxed) || to <= from)
        return 0;
    *ret_head = (size_t)(from - off);
    if (((uintptr_t)p + *ret_head) & (f->mem_align - 1)) {
        *ret_head = 0;
        return 0;
    }
    return (size_t)(to - from);
}

/* A device ends where it ends; the kernel's own answer would be ENOSPC without any number. */
static int check_end(const struct sw_fd_sink *f, uint64_t len, uint64_t off, struct sw_err *err)
{
    uint64_t end;

    if (sw_add_overflows(off, len, &end) || end > INT64_MAX)
        return sw_err_set(err, SW_ERR_NO_SPACE, "'%s': %llu bytes at offset %llu: past 2^63",
                          f->base.path, (unsigned long long)len, (unsigned long long)off);
    if (f->fixed_size && end > f->base.size)
        return sw_err_set(err, SW_ERR_NO_SPACE,
                          "'%s' holds %llu bytes; %llu bytes at offset %llu end at %llu",
                          f->base.path, (unsigned long long)f->base.size, (unsigned long long)len,
                          (unsigned long long)off, (unsigned long long)end);
    return 0;
}

int sw_fd_sink_pwrite(struct sw_sink *s, unsigned lane, const void *buf, size_t len, uint64_t off,
                      struct sw_err *err)
{
    struct sw_fd_sink *f = fd_sink(s);
    size_t head;

    assert(lane < s->lanes);
    if (check_end(f, len, off, err) < 0)
        return -1;

    size_t middle = direct_middle(f, buf, len, off, &head);
    struct piece rest = { buf, len, off };

    if (middle) {
        struct piece direct = { (const uint8_t *)buf + head, middle, off + head };

        if (write_buffered(f, lane, (struct piece){ buf, head, off }, err) < 0 ||
            write_direct(f, &direct, err) < 0)
            return -1;
        advance(&rest, head + middle - direct.len);
    }
    if (write_buffered(f, lane, rest, err) < 0)
        return -1;
    __atomic_fetch_add(&s->written, len, __ATOMIC_RELAXED);
    return 0;
}

int sw_fd_sink_write_zeroes(struct sw_sink *s, unsigned lane, uint64_t off, uint64_t len,
                            struct sw_err *err)
{
    while (len) {
        /* The first piece ends on a multiple of the buffer, so that all others are aligned. */
        uint64_t n = sw_min_u64(len, ZEROES_LEN - off % ZEROES_LEN);

        /* The same alignment in memory as on the disk keeps the middle direct. */
        if (sw_fd_sink_pwrite(s, lane, zeroes + off % ZEROES_LEN, (size_t)n, off, err) < 0)
            return -1;
        off += n;
        len -= n;
    }
    return 0;
}

/* The ladder takes whole pages: on a device because it must, in a file because a partly punched
 * block would be read, changed and written by the kernel. What is left at the edges is written. */
int sw_fd_sink_zero(struct sw_sink *s, unsigned lane, uint64_t off, uint64_t len,
                    struct sw_err *err)
{
    struct sw_fd_sink *f = fd_sink(s);
    uint64_t from = sw_align_up(off, SW_SINK_ALIGN), end = off + len;
    uint64_t to = sw_align_down(end, SW_SINK_ALIGN);

    assert(lane < s->lanes);
    if (check_end(f, len, off, err) < 0)
        return -1;
    if (end == s->size)
        to = end; /* the last block may be a short one */
    if (to <= from)
        return sw_fd_sink_write_zeroes(s, lane, off, len, err);

    int done = sw_zero_ladder_try(&f->ladder, f->fd, from, to - from, err);
    if (done < 0)
        return sw_err_wrap(err, "'%s'", s->path);
    if (!done)
        return sw_fd_sink_write_zeroes(s, lane, off, len, err);
    if (sw_fd_sink_write_zeroes(s, lane, off, from - off, err) < 0)
        return -1;
    return sw_fd_sink_write_zeroes(s, lane, to, end - to, err);
}

static int read_exactly(const struct sw_fd_sink *f, int fd, struct piece r, struct sw_err *err)
{
    while (r.len) {
        ssize_t n = pread(fd, (void *)(uintptr_t)r.p, r.len, (off_t)r.off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sw_err_sys(err, errno, "read %zu bytes at offset %llu of '%s'", r.len,
                              (unsigned long long)r.off, f->base.path);
        if (n == 0)
            return sw_err_set(err, SW_ERR_INTERNAL,
                              "'%s' ends at %llu, %zu bytes before the end of a read", f->base.path,
                              (unsigned long long)r.off, r.len);
        advance(&r, (size_t)n);
    }
    return 0;
}

int sw_fd_sink_pread(struct sw_sink *s, unsigned lane, void *buf, size_t len, uint64_t off,
                     struct sw_err *err)
{
    struct sw_fd_sink *f = fd_sink(s);
    struct piece r = { buf, len, off };
    size_t head;

    (void)lane;
    if (direct_middle(f, buf, len, off, &head) == len)
        return read_exactly(f, f->direct_fd, r, err);
    if (read_exactly(f, f->fd, r, err) < 0)
        return -1;
    (void)posix_fadvise(f->fd, (off_t)off, (off_t)len, POSIX_FADV_DONTNEED);
    return 0;
}

/* One descriptor is enough: fdatasync() is about the inode, and the errors of direct writes were
 * reported by the writes themselves. */
int sw_fd_sink_flush(struct sw_sink *s, struct sw_err *err)
{
    struct sw_fd_sink *f = fd_sink(s);

    if (fdatasync(f->fd) < 0)
        return sw_err_sys(err, errno, "flush '%s' (%llu bytes)", s->path,
                          (unsigned long long)s->size);
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
    return 0;
}

void sw_fd_sink_close(struct sw_sink *s)
{
    struct sw_fd_sink *f = fd_sink(s);

    if (!s)
        return;
    if (f->direct_fd >= 0)
        close(f->direct_fd);
    close(f->fd);
    free(s->path);
    free(f);
}
